"""How often models were compared on the same test subjects.

Each comparison errs by chance now and then, so the best of many is likely to be one that did.
Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable

from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Run


def comparisons(project: Project, subjects: Iterable[str]) -> int:
    """The number of this comparison on any of these test subjects: 1 for the first.

    Trainings that made a model and experiments count; evaluations compare nothing, and do not.
    """
    wanted = set(subjects)
    subject_of = {frame.id: frame.subject for frame in project.frames.all()}
    earlier = (run for run in project.runs.all() if _compared(run))
    tested = ({subject_of.get(frame) for frame in run.data.get("test", ())} for run in earlier)
    return 1 + sum(not wanted.isdisjoint(those) for those in tested)


def comparisons_in_words(number: int) -> str:
    """A sentence for a person; empty for the first comparison."""
    if number < 2:
        return ""
    return (
        f"Models have been compared {number} times on these test subjects. Each time, chance alone "
        "can give a false answer (1 in 20)."
    )


def _compared(run: Run) -> bool:
    if run.verdict is None:
        return False
    return run.job == "experiment" or (run.job == "train" and run.verdict.get("model") is not None)
