"""The campaigns run, and a few of their trials show nothing that must not happen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fetalstudio.studies.campaigns import kills, side_files, signals
from fetalstudio.studies.campaigns.counting import Counts

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork and has no signals")


def _nothing_wrong(counts: Counts, trials: int) -> None:
    assert counts.failures == []
    assert counts.outcomes.total() == trials


@pytest.mark.slow
@posix
def test_kills(tmp_path: Path) -> None:
    _nothing_wrong(kills.run(tmp_path, 4), 4)


@pytest.mark.slow
@posix
def test_signals(tmp_path: Path) -> None:
    _nothing_wrong(signals.run(tmp_path, 4), 4)


def test_damaged_side_files(tmp_path: Path) -> None:
    _nothing_wrong(side_files.run(tmp_path, 30), 30)
