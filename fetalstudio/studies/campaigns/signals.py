"""Campaign ``signals``: commands get SIGINT, SIGTERM or SIGHUP at random moments, once or twice.

Each must end soon, with a JSON line and without a traceback, and leave nothing half-done.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from pathlib import Path

from fetalstudio.engine.process.signals import END_SIGNALS
from fetalstudio.studies.campaigns.commands import (
    COMMANDS,
    Ended,
    Workplace,
    faults,
    leftovers,
)
from fetalstudio.studies.campaigns.counting import Counts

SOON_S = 5.0


def run(folder: Path, trials: int, seed: int = 0) -> Counts:
    """Send signals to a command ``trials`` times, each time on a fresh copy of a project."""
    place, counts = Workplace.made(folder), Counts()
    for number in range(seed, seed + trials):
        outcome, found = _trial(place, number)
        counts.outcomes[outcome] += 1
        counts.failures += [f"seed {number}, {outcome}: {fault}" for fault in found]
    return counts


def _trial(place: Workplace, number: int) -> tuple[str, list[str]]:
    chance = random.Random(number)
    name = [*COMMANDS][number % len(COMMANDS)]
    which = END_SIGNALS[number // len(COMMANDS) % len(END_SIGNALS)]
    twice = chance.random() < 0.3
    moment = place.moment(name, chance)
    with place.copy() as (project, out):
        process = place.start(COMMANDS[name](project, out))
        # Before the handlers are set, the process is not yet the program.
        time.sleep(max(0.3, moment))
        assert process.pid is not None
        sent = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, which)
            if twice:
                time.sleep(0.2)
                os.kill(process.pid, which)
        ended = place.ended(process)
        took = time.monotonic() - sent
        outcome = f"{name}: {which.name}{' twice' if twice else ''}"
        outcome += ", had ended" if ended.status == 0 else ""
        found = [*_faults(ended), *faults(place, project, out), *leftovers(place)]
        if ended.status != 0 and took > SOON_S:
            found.append(f"it took {took:.1f} s to end")
        return outcome, found


def _faults(ended: Ended) -> list[str]:
    """What is wrong with how a command ended."""
    found = []
    if ended.status not in (0, 1):
        found.append(f"exit status {ended.status}")
    if not isinstance(ended.line, dict):
        found.append(f"no JSON line: {ended.errors[-200:]}")
    elif ended.status == 1 and not ended.line.get("cancelled"):
        found.append(f"not cancelled: {ended.line}")
    if "Traceback" in ended.errors:
        found.append(ended.errors[-300:])
    return found
