"""Measuring how long a call takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def median_s(repeats: int, call: Callable[[], object]) -> float:
    """Median seconds of ``repeats`` calls."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
