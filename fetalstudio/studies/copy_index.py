r"""Writes a synthesizer's copy index again, from the frames that it was trained on.

    python -m fetalstudio.studies.copy_index PROJECT MODEL

MODEL is a folder. PROJECT holds the frames that the model's ``training_frames.txt`` names.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from fetalstudio.core.errors import UserError
from fetalstudio.engine.cohort_split import labelled_frames
from fetalstudio.engine.models.copy_index import copy_index, write_copy_index
from fetalstudio.formats.model_card import training_frames
from fetalstudio.project.project import Project


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
        try:
            found = copy_index(frames)
            write_copy_index(found, options.model)
        except UserError as error:
            raise SystemExit(str(error)) from error
    print(f"{len(found.ids)} frames; a copy is above a similarity of {found.threshold:.3f}")


if __name__ == "__main__":
    main()
