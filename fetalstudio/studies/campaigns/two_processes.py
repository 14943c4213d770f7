"""Campaign ``two-processes``: two commands work on one project at the same time.

Each must do its work or say why not, and the project must hold what both have done.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from fetalstudio.project.project import Project
from fetalstudio.studies.campaigns.campaign import Outcome
from fetalstudio.studies.campaigns.commands import (
    COMMANDS,
    JOBS,
    PAIRS,
    Ended,
    Workplace,
    faults,
    leftovers,
)

_JOBS = (*COMMANDS, "propose", "evaluate")


class TwoProcesses:
    """Runs two commands at once, each time on a fresh copy of a project."""

    def __init__(self, folder: Path) -> None:
        self._place = Workplace.made(folder)

    def trial(self, seed: int) -> Outcome:
        chance = random.Random(seed)
        first, second = chance.choice(_JOBS), chance.choice(_JOBS)
        delay = chance.uniform(0, self._place.duration(first))
        with self._place.copy() as (project, out):
            one = self._place.start(JOBS[first](project, out))
            time.sleep(delay)
            other = self._place.start(JOBS[second](project, out), log="second-")
            ended = self._place.ended(one), self._place.ended(other, log="second-")
            found = [fault for each in ended for fault in _faults(each)]
            found += self._undone((first, second), ended, project)
            found += [*faults(self._place, project, out), *leftovers(out)]
        told = ["done" if each.status == 0 else "refused" for each in ended]
        return Outcome(f"{first} {told[0]}, {second} {told[1]}", tuple(found))

    def _undone(self, names: tuple[str, str], ended: tuple[Ended, Ended], path: Path) -> list[str]:
        """What a command said that it did, and the project lacks."""
        done = [name for name, each in zip(names, ended, strict=True) if each.status == 0]
        with Project.open(path) as project:
            pairs = len(project.pairs.all())
            trained = sum(run.state == "finished" for run in project.runs.all())
            frames = len(project.frames.all())
        more = len(list((self._place.folder / "more").iterdir()))
        wanted = (
            ("pairs", pairs, PAIRS * done.count("synthesize")),
            ("finished trainings", trained, done.count("train")),
            ("frames", frames, self._place.frames + more * ("import" in done)),
        )
        return [f"{held} {what}, not {n}" for what, held, n in wanted if held != n]


def _faults(ended: Ended) -> list[str]:
    """What is wrong with how a command ended."""
    found = []
    if ended.status not in (0, 1, 2):
        found.append(f"exit status {ended.status}: {ended.errors[-300:]}")
    elif ended.status and not (isinstance(ended.line, dict) and ended.line.get("error")):
        found.append(f"it failed without a message: {ended.errors[-300:]}")
    if "Traceback" in ended.errors:
        found.append(ended.errors[-1500:])
    return found
