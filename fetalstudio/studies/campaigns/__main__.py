"""Runs a campaign by its name and prints the counts of its outcomes."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from fetalstudio.studies.campaigns import damaged_database, kills, side_files, signals
from fetalstudio.studies.campaigns.counting import Counts

CAMPAIGNS: Mapping[str, Callable[[Path, int, int], Counts]] = {
    "damaged-database": damaged_database.run,
    "kills": kills.run,
    "side-files": side_files.run,
    "signals": signals.run,
}
"""Each is called with an empty folder to work in, the number of trials and the first seed."""


def main() -> int:
    """The exit status is 1 where an outcome was seen that must not happen."""
    parser = argparse.ArgumentParser(prog="python -m fetalstudio.studies.campaigns")
    parser.add_argument("campaign", choices=sorted(CAMPAIGNS))
    parser.add_argument("--trials", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the first trial")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = CAMPAIGNS[options.campaign](Path(folder), options.trials, options.seed)
    print(counts)
    return 1 if counts.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
