"""The campaigns run, and a few of their trials show nothing that must not happen."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from fetalstudio.studies.campaigns.__main__ import campaign
from fetalstudio.studies.campaigns.campaign import Counts, Outcome, run
from fetalstudio.studies.campaigns.child import in_child

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork and has no signals")


@posix
@pytest.mark.parametrize(
    ("name", "trials"),
    [
        ("damaged-database", 12),
        ("damaged-exports", 20),
        ("damaged-pictures", 30),
        pytest.param("damaged-models", 12, marks=pytest.mark.slow),
        pytest.param("disks", 2, marks=pytest.mark.slow),
        pytest.param("kills", 3, marks=pytest.mark.slow),
        pytest.param("signals", 2, marks=pytest.mark.slow),
        pytest.param("two-processes", 1, marks=pytest.mark.slow),
    ],
)
def test_nothing_happens_that_must_not(name: str, trials: int, forks: None, tmp_path: Path) -> None:
    counts = run(campaign(name, tmp_path), trials)
    assert counts.outcomes.total() == trials and counts.failures == []


@posix
def test_the_command_runs_a_campaign_by_its_name() -> None:
    command = [sys.executable, "-m", "fetalstudio.studies.campaigns", "damaged-database"]
    ended = subprocess.run([*command, "--trials", "2"], capture_output=True, text=True, check=False)
    assert ended.stdout.startswith("2 trials\n"), ended.stderr
    assert ended.stdout.endswith("\n0 faults\n")
    assert ended.returncode == 0


class _OddFails:
    def trial(self, seed: int) -> Outcome:
        return Outcome("odd", ("it is odd",)) if seed % 2 else Outcome("even")


def test_outcomes_are_counted_and_faults_named_with_their_seed() -> None:
    seen: list[int] = []
    counts = run(_OddFails(), 5, 10, lambda counts: seen.append(counts.outcomes.total()))
    assert counts.outcomes == {"even": 3, "odd": 2}
    assert counts.failures == ["seed 11, odd: it is odd", "seed 13, odd: it is odd"]
    assert seen == [1, 2, 3, 4, 5]
    assert str(counts).startswith("5 trials\n       3  even\n       2  odd\n2 faults\nseed 11")
    assert "0 faults" in str(Counts())


@posix
def test_a_hang_a_crash_and_much_memory_are_faults(forks: None) -> None:
    assert in_child(time.sleep, 60.0, patience_s=0.2).faults() == ["it did not end within 0 s"]
    assert in_child(sys.exit, 3).faults() == ["it ended with status 3"]
    (fault,) = in_child(_hold, 1100, patience_s=60.0).faults()
    assert fault.startswith("it took 1")
    assert in_child(_hold, 1, patience_s=60.0).faults() == []


def _hold(megabytes: int) -> int:
    return len(bytearray(b"x") * (megabytes << 20))
