"""Campaign ``kills``: commands are killed (SIGKILL) at random moments and started again.

Nothing may be lost or half-done, and the second start must do the work to its end.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from fetalstudio.project.project import Project
from fetalstudio.studies.campaigns.campaign import Outcome
from fetalstudio.studies.campaigns.commands import (
    COMMANDS,
    PAIRS,
    Workplace,
    faults,
    leftovers,
)

RESUMABLE = ("synthesize", "train")
_NOTHING_TO_RESUME = ("has no unfinished batch", "has no training that can be resumed")


class Kills:
    """Kills a command, each time on a fresh copy of a project."""

    def __init__(self, folder: Path) -> None:
        self._place = Workplace.made(folder)

    def trial(self, seed: int) -> Outcome:
        chance = random.Random(seed)
        name = [*COMMANDS][seed % len(COMMANDS)]
        moment = self._place.moment(name, chance)
        with self._place.copy() as (project, out):
            child = self._place.start(COMMANDS[name](project, out))
            time.sleep(moment)
            had_ended = child.kill() == 0
            found = faults(self._place, project, out)
            if had_ended:
                return Outcome(f"{name}: had ended", tuple(found))
            return Outcome(f"{name}: killed", (*found, *again(self._place, name, project, out)))


def again(place: Workplace, name: str, project_path: Path, out: Path) -> list[str]:
    """What goes wrong where an interrupted command is started again, or resumed if it can be."""
    arguments = COMMANDS[name](project_path, out)
    with Project.open(project_path) as project:
        made, finished = (
            len(project.pairs.all()),
            any(run.state == "finished" for run in project.runs.all()),
        )
    if (name == "export" and out.exists()) or made == PAIRS or finished:
        return []  # interrupted after its work was done
    if name in RESUMABLE:
        where = ["--out", str(out)] if name == "synthesize" else []
        resumed = place.run([name, str(project_path), "--resume", *where])
        if resumed.status == 0:
            return _complete(place, name, project_path, out) + leftovers(out)
        if not any(said in resumed.errors for said in _NOTHING_TO_RESUME):
            return [f"the resumption failed: {resumed.errors[-300:]}"]
    second = place.run(arguments)
    if second.status != 0:
        return [f"the second start failed: {second.errors[-300:]}"]
    return _complete(place, name, project_path, out) + leftovers(out)


def _complete(place: Workplace, name: str, project_path: Path, out: Path) -> list[str]:
    with Project.open(project_path) as project:
        if name == "synthesize" and (made := len(project.pairs.all())) != PAIRS:
            return [f"{made} pairs after the second start"]
        if name == "train" and not any(run.state == "finished" for run in project.runs.all()):
            return ["no training is finished after the second start"]
        more = len(list((place.folder / "more").iterdir()))
        if name == "import" and len(project.frames.all()) != place.frames + more:
            return ["the second import is not whole"]
    if name == "export" and not [*(out / "training_set").glob("*_HC.png")]:
        return ["the second export is not whole"]
    return []
