"""The frame of a clip that shows a head best, by the built-in segmenter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.progress import Stopped
from fetalstudio.engine.jobs.import_frames import job as import_job
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.jobs.sharpest.job import run
from fetalstudio.engine.jobs.sharpest.request import SharpestRequest
from fetalstudio.engine.process.events import Event, Progress
from fetalstudio.engine.process.progress import Steps
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.project import Project
from fetalstudio.resources import samples_dir
from tests.formats.dicom_files import write

COUNT, BEST = 5, 3


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip of noise, one frame of which shows a head."""
    head = read_image(samples_dir() / "011_HC.png")
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 60, (COUNT, *head.shape)).astype(np.uint8)
    frames[BEST] = head
    return write(tmp_path / "in" / "cine", frames)


def test_the_frame_with_the_head_is_found_and_imported(clip: Path, tmp_path: Path) -> None:
    Project.create(tmp_path / "p").close()
    events: list[Event] = []
    found = run(SharpestRequest((clip,)), events.append, lambda: False)
    assert found.numbers == {clip: BEST + 1}
    steps = [event for event in events if isinstance(event, Progress)]
    assert steps[-1].done == steps[-1].total == COUNT and steps[-2].eta_s is not None
    request = ImportRequest(tmp_path / "p", clip.parent, options=ImportOptions(frames="sharpest"))
    imported = import_job.run(request, events.append, lambda: False)
    assert imported.frames == 1
    assert not any("no head" in said or "middle" in said for said in imported.problems)
    with Project.open(tmp_path / "p") as project:
        (frame,) = project.frames.all()
        stored = project.frames.pixels(frame.id)
    head = read_image(samples_dir() / "011_HC.png")
    assert np.array_equal(stored[stored > 0], head[stored > 0]) and (stored > 0).mean() > 0.3


def test_the_time_left_begins_again_with_steps_of_another_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    events: list[Event] = []
    steps = Steps(None, events.append, lambda: False)
    for number in range(1, 101):  # headers, each in a second
        now += 1
        steps.advance(number, 100)
    steps.advance(0, 10)
    now += 5
    steps.advance(1, 10)
    last = events[-1]
    assert isinstance(last, Progress) and last.eta_s == pytest.approx(45)


def test_the_search_is_cancelled_within_a_frame(clip: Path) -> None:
    events: list[Event] = []

    def cancelled() -> bool:
        return sum(isinstance(event, Progress) for event in events) >= 3

    with pytest.raises(Stopped):
        run(SharpestRequest((clip,)), events.append, cancelled)
    assert sum(isinstance(event, Progress) for event in events) == 3
