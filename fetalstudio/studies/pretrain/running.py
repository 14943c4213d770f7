"""How the options of the command become a run of a training."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from fetalstudio.learning import TrainingRun, pick_device
from fetalstudio.studies.log import Log


def run_of(options: argparse.Namespace, stopped: Sequence[bool]) -> TrainingRun:
    """A run that prints its loss and ends when the first entry of ``stopped`` becomes true."""
    return TrainingRun(
        options.checkpoint,
        Log(),
        lambda: stopped[0],
        device=pick_device(),
        workers=options.workers,
    )
