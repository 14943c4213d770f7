"""Campaign ``kills``: commands are killed (SIGKILL) at random moments and started again.

Nothing may be lost or half-done, and the second start must do the work to its end.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from fetalstudio.project.project import Project
from fetalstudio.studies.campaigns.commands import (
    COMMANDS,
    PAIRS,
    RESUMABLE,
    Workplace,
    faults,
    leftovers,
)
from fetalstudio.studies.campaigns.counting import Counts


def run(folder: Path, trials: int, seed: int = 0) -> Counts:
    """Kill a command ``trials`` times, each time on a fresh copy of a project."""
    place, counts = Workplace.made(folder), Counts()
    for number in range(seed, seed + trials):
        outcome, found = _trial(place, number)
        counts.outcomes[outcome] += 1
        counts.failures += [f"seed {number}, {outcome}: {fault}" for fault in found]
    return counts


def _trial(place: Workplace, number: int) -> tuple[str, list[str]]:
    chance = random.Random(number)
    name = [*COMMANDS][number % len(COMMANDS)]
    moment = place.moment(name, chance)
    with place.copy() as (project, out):
        process = place.start(COMMANDS[name](project, out))
        time.sleep(moment)
        process.kill()
        process.join()
        if process.exitcode == 0:
            return f"{name}: had ended", faults(place, project, out)
        found = faults(place, project, out)
        return f"{name}: killed", found + _retried(place, name, project, out)


def _retried(place: Workplace, name: str, project_path: Path, out: Path) -> list[str]:
    """What goes wrong where the command is started again, or resumed if it can be."""
    arguments = COMMANDS[name](project_path, out)
    with Project.open(project_path) as project:
        made, finished = (
            len(project.pairs.all()),
            any(run.state == "finished" for run in project.runs.all()),
        )
    if (name == "export" and out.exists()) or made == PAIRS or finished:
        return []  # killed after its work was done
    if name in RESUMABLE:
        resumed = place.run([name, str(project_path), "--resume"])
        if resumed.status == 0:
            return _complete(place, name, project_path) + leftovers(place)
        if "resume" not in resumed.errors and "unfinished" not in resumed.errors:
            return [f"the resumption failed: {resumed.errors[-300:]}"]
    again = place.run(arguments)
    if again.status != 0:
        return [f"the second start failed: {again.errors[-300:]}"]
    return _complete(place, name, project_path) + leftovers(place)


def _complete(place: Workplace, name: str, project_path: Path) -> list[str]:
    with Project.open(project_path) as project:
        if name == "synthesize" and (made := len(project.pairs.all())) != PAIRS:
            return [f"{made} pairs after the second start"]
        if name == "train" and not any(run.state == "finished" for run in project.runs.all()):
            return ["no training is finished after the second start"]
        more = len(list((place.folder / "more").iterdir()))
        if name == "import" and len(project.frames.all()) != place.frames + more:
            return ["the second import is not whole"]
    exported = place.folder / "out" / "training_set"
    if name == "export" and len(list(exported.glob("*_HC.png"))) == 0:
        return ["the second export is not whole"]
    return []
