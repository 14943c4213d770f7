"""A project made by version 0.1 opens, migrates, shows, resumes and exports.

The fixture was made by that version's commands on eight small frames of each kind: imported frames,
proposals, a draft, calibrations, labels, three pairs of ``synthesize --count 3`` and their reviews,
a batch that was stopped after four of its five pairs, a training, an adopted model (without its
weights), and a run that was interrupted. It never changes.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fetalstudio.core.errors import InputError
from fetalstudio.engine.jobs.synthesize import plan
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.engine.models.loading import FoundModel
from fetalstudio.engine.process.local import run_job
from fetalstudio.project.exporting.exporters import export_frames
from fetalstudio.project.project import Project
from fetalstudio.project.store import schema
from fetalstudio.project.store.database import Database
from fetalstudio.synthesis.interface import SceneSynthesizer

FIXTURE = Path(__file__).parent / "data" / "project-0.1.zip"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "old"
    with zipfile.ZipFile(FIXTURE) as archive:
        archive.extractall(path)
    return path


@pytest.fixture
def old(path: Path) -> Iterator[Project]:
    with Project.open(path) as project:
        yield project


def test_it_is_migrated_after_a_backup(path: Path) -> None:
    Project.open(path).close()
    with contextlib.closing(Database(path / "project.db")) as database:
        version = database.one("PRAGMA user_version")
        assert version is not None
        assert version[0] == len(schema.MIGRATIONS)
        assert database.query("PRAGMA foreign_key_check") == []
        keys = database.one("PRAGMA foreign_keys")
        assert keys is not None
        assert keys[0] == 1
    assert (path / "project.db.version-3").is_file()


def test_it_shows_all_that_it_held(old: Project) -> None:
    assert old.counts() == {
        **{"none": 0, "proposed": 1, "draft": 1, "final": 10},
        **{"pending": 6, "accepted": 2, "rejected": 1},
    }
    frames = {frame.name: frame for frame in old.frames.all()}
    assert len(frames) == 12
    assert old.frames.cohorts() == ["clinic"]
    assert {frames["023_HC"].subject, frames["023_2HC"].subject} == {"023"}
    labelled = frames["068_HC"]
    assert labelled.labels == {"country": "EGY", "quality": "clear"}
    assert labelled.calibration is not None
    assert labelled.calibration.mm_per_px_x == 0.5
    states = [r.state for r in old.annotations.revisions(frames["031_HC"].id)]
    assert states == ["proposed", "draft"]
    assert old.annotations.by_frame("clinic").keys() == {frame.id for frame in frames.values()}
    for frame in old.frames.all(kind=None):
        assert old.frames.pixels(frame.id).shape == frame.size[::-1]
    accepted = old.pairs.all(state="accepted")
    assert sorted(pair.corrected for pair in accepted) == [False, True]
    assert {old.frames.get(str(p.provenance["source_frame"])).kind for p in accepted} == {"real"}
    interrupted, finished = old.runs.all()
    assert (finished.name, finished.state, len(finished.history)) == ("clinic-1", "finished", 2)
    assert finished.verdict is not None
    assert interrupted.state == "running"
    active = old.models.active("segmenter")
    assert active is not None
    assert (active.name, active.run_id, active.metrics) == ("clinic-1", finished.id, {"dice": 0.97})
    assert old.amendments.all() == []


def test_it_recovers(old: Project) -> None:
    (note,) = old.recover()
    assert note.startswith("The run clinic-2 was interrupted")
    assert len(old.frames.all()) == 12


def test_it_goes_on(old: Project) -> None:
    """Its frames can be amended and annotated, and its model rolled back."""
    frame = old.frames.all()[0]
    old.amendments.set_subject([frame.id], "x", author="me")
    old.amendments.remove([frame.id], author="me")
    assert len(old.frames.all()) == 11
    old.amendments.undo(author="me")
    assert old.frames.get(frame.id).subject == "x"
    before = old.annotations.revisions(frame.id)
    old.annotations.add(frame.id, None, author="me", state="draft")
    assert len(old.annotations.revisions(frame.id)) == len(before) + 1
    assert old.models.roll_back("segmenter") is None


def test_its_batch_is_not_mixed_with_what_later_weights_make(old: Project) -> None:
    (batch,) = old.batches.unfinished()
    assert (batch.wanted, batch.done) == (5, 4)
    with pytest.raises(InputError, match=r"compact has changed since 4 of 5 pairs .* Make a new"):
        run_job(SynthesizeRequest(old.path, resume=batch.id))
    assert old.counts()["pending"] == 6


def test_its_batch_is_resumed_with_the_weights_that_it_was_begun_with(
    old: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights of that time are gone, so the present ones go by their hash."""
    (batch,) = old.batches.unfinished()
    load = plan.load_synthesizer

    def of_that_time(model: FoundModel) -> SceneSynthesizer:
        synthesizer = load(model)
        monkeypatch.setattr(synthesizer, "hash", batch.settings["synthesizer_sha256"])
        return synthesizer

    monkeypatch.setattr(plan, "load_synthesizer", of_that_time)
    result = run_job(SynthesizeRequest(old.path, resume=batch.id))
    assert len(result.pair_ids) == 5
    assert old.batches.unfinished() == []
    assert old.counts()["pending"] == 7


def test_it_is_exported(old: Project, tmp_path: Path) -> None:
    report = export_frames(old, tmp_path / "out", copies=True)
    assert (report.frames, report.pairs) == (12, 2)
    drawn = (tmp_path / "out").rglob("*_Annotation.png")
    assert len(list(drawn)) == 11 + 2
