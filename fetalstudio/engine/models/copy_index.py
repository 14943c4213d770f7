"""What a synthesizer remembers of its training frames, so that a copy of one is noticed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.similarity import Neighbours, neighbours_of
from fetalstudio.formats.model_card import write_training_frames
from fetalstudio.formats.neighbours import read_neighbours, write_neighbours


def write_copy_index(
    frames: Sequence[LabelledFrame], folder: Path, base: Path | None = None
) -> Neighbours:
    """Into a synthesizer's folder: which frames it saw, and what tells a copy of one of them.

    ``base`` is the folder of the model that it went on from, whose frames count too. Raises
    :class:`InputError` where the base does not know its frames, and, without one, for frames of
    fewer than 50 subjects.
    """
    known = None if base is None else read_neighbours(base)
    if base is not None and known is None:
        raise InputError(
            f"{base} does not say what it was trained on, so a copy of those frames would not be "
            "noticed. Go on from the built-in synthesizer."
        )
    found = neighbours_of(frames, known)
    write_neighbours(found, folder)
    write_training_frames(folder, list(found.ids))
    return found
