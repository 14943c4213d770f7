"""Sets how many threads torch computes with, and how they wait.

Both are environment variables that torch reads when it is imported, so they must be set before. A
variable that is set already is left as it is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def settle_threads() -> None:
    """Use one thread per core, and let waiting threads sleep after a moment.

    By default they spin, which starves the very thread they wait for as soon as anything else
    wants a core (the window, another training): a sample then took 17 s instead of 2 on two cores.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Sleeping at once costs an idle machine a third of its speed in wake-ups (a sample 1.3 s
    # instead of 0.9): GNU's OpenMP, which torch has on Linux, first spins for some microseconds.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def cores() -> int:
    """Number of physical cores that this process may use, or of logical ones where the system does
    not say. In the kernels of torch, two threads on one core only get in each other's way."""
    if sys.platform != "linux":
        return os.cpu_count() or 1
    usable = os.sched_getaffinity(0)
    topology = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    try:
        return len({Path(topology.format(cpu)).read_text() for cpu in usable})
    except OSError:
        return len(usable)
