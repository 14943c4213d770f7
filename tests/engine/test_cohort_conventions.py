"""How cohorts are drawn: measured once, kept, and warned about where they differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fetalstudio.cli import main
from fetalstudio.core.convention import Convention
from fetalstudio.core.errors import UserError
from fetalstudio.core.metrics import Interval
from fetalstudio.engine import measured_conventions
from fetalstudio.engine.cohort_conventions import (
    CohortConvention,
    Kept,
    apart,
    kept_conventions,
    measurable,
)
from fetalstudio.engine.cohort_split import labelled_frames
from fetalstudio.engine.jobs.export.request import ExportRequest
from fetalstudio.engine.jobs.measure_conventions.request import MeasureConventionsRequest
from fetalstudio.engine.jobs.train.data import select_training_data
from fetalstudio.engine.process.events import Event, Warned
from fetalstudio.engine.process.local import run_job
from fetalstudio.project.project import Project


def _drawn(outside: float, spread: float = 0.004) -> Convention:
    size = Interval(outside, outside - spread, outside + spread, 9)
    none = Interval(0.0, -spread, spread, 9)
    return Convention(size, size, size, none, none, 9, "compact")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Each measurement, by its cohorts: those of ``wide`` are drawn 3 % outside."""
    asked: list[list[str]] = []

    def measure(_model: object, cohorts: Mapping[str, object], *_: object) -> dict:
        asked.append(sorted(cohorts))
        return {name: _drawn(0.03 if name == "wide" else 0.0) for name in cohorts}

    monkeypatch.setattr(measured_conventions, "convention_of_each", measure)
    return asked


@pytest.fixture
def two(sample_project: Project) -> Project:
    """Half of the annotated frames are in the cohort ``wide``."""
    items = labelled_frames(sample_project)
    subjects = sorted({item.subject for item in items})
    half = [item.id for item in items if item.subject in subjects[::2]]
    sample_project.amendments.set_cohort(half, "wide", author="a person")
    return sample_project


def test_cohorts_are_measured_once_until_an_ellipse_changes(
    two: Project, found: list[list[str]]
) -> None:
    assert kept_conventions(two) == {}
    result = run_job(MeasureConventionsRequest(two.path))
    assert found == [["samples", "wide"]]
    assert "wide: drawn 3.0 % outside the skull as compact sees it" in result.sentences[1]
    assert "samples and wide are drawn differently" in result.sentences[2]
    assert kept_conventions(two) == result.conventions
    run_job(MeasureConventionsRequest(two.path))
    assert len(found) == 1
    item = next(item for item in labelled_frames(two) if item.cohort == "wide")
    moved = replace(item.ellipse, cx=item.ellipse.cx + 1)
    two.annotations.add(item.id, moved, author="a person", state="final")
    assert kept_conventions(two).keys() == {"samples"}
    run_job(MeasureConventionsRequest(two.path, "wide"))
    assert found == [["samples", "wide"], ["wide"]]
    (two.path / "cache" / "conventions.json").write_text('{"wide": {"drawn": 1}}')
    assert kept_conventions(two) == {}  # damaged: measured again


def test_training_and_export_of_cohorts_that_differ_are_warned_of(
    two: Project, found: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def warned() -> bool:
        data = select_training_data(two, None, real=None, synthetic=None)
        return any("are drawn differently" in said for said in data.warnings)

    assert not warned()
    exported = run_job(ExportRequest(two.path, tmp_path / "all"))
    assert "samples and wide are drawn differently" in exported.problems[-1]
    assert warned() and len(found) == 1
    one = run_job(ExportRequest(two.path, tmp_path / "one", cohort="wide"))
    assert not any("differently" in said for said in one.problems)
    assert main(["frames", str(two.path), "conventions", "--json"]) == 0
    printed = capsys.readouterr()
    assert "(samples along the skull, wide 3.0 % outside)" in printed.err
    said = json.loads(printed.out.splitlines()[-1])["conventions"]
    assert said["wide"]["convention"]["size"]["mean"] == 0.03


def test_an_export_goes_on_where_the_disk_of_the_project_is_full(
    two: Project, found: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise UserError("There is no room on the disk.")

    monkeypatch.setattr(Kept, "keep", full)
    heard: list[Event] = []
    exported = run_job(ExportRequest(two.path, tmp_path / "all"), heard.append)
    assert exported.frames == len(two.frames.all())
    assert "samples and wide are drawn differently" in exported.problems[-1]
    assert [e.message for e in heard if isinstance(e, Warned)] == [
        "How heads are drawn was measured, but not kept: There is no room on the disk."
    ]


def test_a_cohort_that_the_segmenter_learnt_from_has_no_convention() -> None:
    learnt, wide = CohortConvention("HC18", None), CohortConvention("Madrid", _drawn(0.02))
    near = CohortConvention("Accra", _drawn(0.008))
    said = apart({"HC18": learnt, "Madrid": wide, "Accra": near})
    assert [sentence.split(" are")[0] for sentence in said] == [
        "Accra and Madrid",
        "HC18 and Madrid",
    ]
    assert apart({"HC18": learnt, "Accra": near}) == []
    assert "learnt it from this cohort" in learnt.sentence


def test_few_subjects_cannot_be_measured(sample_project: Project) -> None:
    items = labelled_frames(sample_project)
    assert measurable(items) == {"samples"}
    few = {item.subject for item in items[:2]}
    assert measurable([item for item in items if item.subject in few]) == set()
