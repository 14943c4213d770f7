"""Campaign ``signals``: every job gets SIGINT, SIGTERM or SIGHUP at random moments, once or twice.

Each must end soon, with a JSON line and without a traceback, and leave nothing half-done. What a
second signal left must be gone after the next command.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from pathlib import Path

from fetalstudio.engine.process.signals import END_SIGNALS
from fetalstudio.studies.campaigns.campaign import Outcome
from fetalstudio.studies.campaigns.child import HANG_S
from fetalstudio.studies.campaigns.commands import (
    JOBS,
    Ended,
    Workplace,
    add_stable_diffusion,
    faults,
    leftovers,
)

_TWICE = 0.3
"""The share of trials with a second signal."""
_BEGUN_S = 0.3
"""Before the handlers are set, the process is not yet the program."""


class Signals:
    """Sends signals to a job, each time on a fresh copy of a project."""

    def __init__(self, folder: Path) -> None:
        self._place = Workplace.made(folder, pairs=True)
        self._has_stable_diffusion = False

    def trial(self, seed: int) -> Outcome:
        chance = random.Random(seed)
        name = [*JOBS][seed % len(JOBS)]
        which = END_SIGNALS[seed // len(JOBS) % len(END_SIGNALS)]
        twice = chance.random() < _TWICE
        if name == "adapt-sd" and not self._has_stable_diffusion:
            add_stable_diffusion(self._place)
            self._has_stable_diffusion = True
        moment = self._place.moment(name, chance)
        with self._place.copy() as (project, out):
            child = self._place.start(JOBS[name](project, out))
            time.sleep(max(_BEGUN_S, moment))
            sent = time.monotonic()
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, which)
                if twice:
                    time.sleep(0.2)
                    os.kill(child.pid, which)
            ended = self._place.ended(child)
            took = time.monotonic() - sent
            text = f"{name}: {which.name}{' twice' if twice else ''}"
            text += ", had ended" if ended.status == 0 else ""
            found = [*_faults(ended), *faults(self._place, project, out)]
            if twice and ended.status != 0 and leftovers(out):
                # The second signal ends the command at once, and the next command clears the rest.
                self._place.run(JOBS[name](project, out))
            found += leftovers(out)
            if ended.status != 0 and took > HANG_S:
                found.append(f"it took {took:.1f} s to end")
            return Outcome(text, tuple(found))


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
