"""Stands for torch: a module that takes its time."""

import time

from tests.engine.jobs_for_tests import echo as run

__all__ = ["run"]

time.sleep(2.0)
