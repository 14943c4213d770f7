"""Runs a campaign by its name and prints the counts of its outcomes."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fetalstudio.studies.campaigns.campaign import Campaign, Counts, run

CAMPAIGNS: Mapping[str, str] = {
    "damaged-database": "damaged_database:DamagedDatabase",
    "damaged-exports": "damaged_pictures:DamagedExports",
    "damaged-models": "damaged_models:DamagedModels",
    "damaged-pictures": "damaged_pictures:DamagedPictures",
    "disks": "disks:Disks",
    "kills": "kills:Kills",
    "signals": "signals:Signals",
    "two-processes": "two_processes:TwoProcesses",
}
"""The class of each, found when it is run: some need PyTorch, and some a POSIX system."""


def campaign(name: str, folder: Path) -> Campaign:
    """The campaign of this name, with an empty folder to work in."""
    module, _, kind = CAMPAIGNS[name].partition(":")
    made: Campaign = getattr(importlib.import_module(f"{__package__}.{module}"), kind)(folder)
    return made


def main() -> int:
    """The exit status is 1 where an outcome was seen that must not happen."""
    parser = argparse.ArgumentParser(prog="python -m fetalstudio.studies.campaigns")
    parser.add_argument("campaign", choices=sorted(CAMPAIGNS))
    parser.add_argument("--trials", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the first trial")
    options = parser.parse_args()
    said = 0

    def report(counts: Counts) -> None:
        nonlocal said
        for failure in counts.failures[said:]:
            print(failure, file=sys.stderr, flush=True)
        said = len(counts.failures)
        if counts.outcomes.total() % 50 == 0:
            print(f"{counts.outcomes.total()} trials", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        # Settings, and the secret from which patients' keys are made, are those of the trials.
        os.environ["FETALSTUDIO_HOME"] = str(Path(folder, "home"))
        made = campaign(options.campaign, Path(folder))
        counts = run(made, options.trials, options.seed, report)
    print(counts)
    return 1 if counts.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
