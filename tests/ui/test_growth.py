"""What the window may take on a large project."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.growth import make, measured


@pytest.mark.perf
def test_a_hundred_thousand_frames_open_in_five_seconds_and_half_a_gigabyte(tmp_path: Path) -> None:
    found = measured(make(tmp_path / "project", 100_000))
    assert found["frames"] == 100_000
    assert found["open_s"][0] <= 5.0
    assert found["memory"] <= 500
