"""The copy index of a synthesizer, by which copies of its training frames are detected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.similarity import Neighbours, neighbours_of
from fetalstudio.formats.model_card import write_training_frames
from fetalstudio.formats.neighbours import read_neighbours, write_neighbours


def copy_index(frames: Sequence[LabelledFrame], base: Path | None = None) -> Neighbours:
    """The copy index of a synthesizer that was trained on these frames.

    ``base`` is the folder of the model that was adapted, whose frames count too. Raises
    :class:`InputError` if the base has no copy index and, without a base, for frames of fewer than
    50 subjects.
    """
    known = None if base is None else read_neighbours(base)
    if base is not None and known is None:
        raise InputError(
            f"{base} does not say which frames it was trained on, so copies of them would not be "
            "noticed. Start from the built-in synthesizer, compact."
        )
    return neighbours_of(frames, known)


def write_copy_index(index: Neighbours, folder: Path) -> None:
    """Write a copy index and the list of its frames into a synthesizer's folder.

    Raises :class:`~fetalstudio.core.errors.UserError` where they cannot be written.
    """
    write_neighbours(index, folder)
    write_training_frames(folder, list(index.ids))
