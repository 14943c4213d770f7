r"""What a synthesizer remembers of its training frames, so that a copy of one is noticed.

    python -m fetalstudio.engine.models.copy_index PROJECT MODEL

writes it anew for a model whose training frames, by its ``training_frames.txt``, are in PROJECT.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.similarity import Neighbours, neighbours_of
from fetalstudio.engine.cohort_split import labelled_frames
from fetalstudio.formats.model_card import training_frames, write_training_frames
from fetalstudio.formats.neighbours import read_neighbours, write_neighbours
from fetalstudio.project.project import Project


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("project", type=Path, metavar="PROJECT")
    parser.add_argument("model", type=Path, metavar="MODEL", help="its folder")
    options = parser.parse_args(arguments)
    wanted = training_frames(options.model)
    with Project.open(options.project) as project:
        frames = [frame for frame in labelled_frames(project) if frame.id[:16] in wanted]
        if len(frames) < len(wanted) or not wanted:
            raise SystemExit(
                f"{options.project} holds {len(frames)} of the {len(wanted)} training frames that "
                f"{options.model} names. Import them and draw their ellipses first."
            )
        found = write_copy_index(frames, options.model)
    print(f"{len(found.ids)} frames; a copy is above a similarity of {found.threshold:.3f}")


if __name__ == "__main__":
    main()
