"""Proposals and evaluations follow how a cohort's annotators draw."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from fetalstudio.core.convention import Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.metrics import Interval
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.cohort_split import labelled_frames
from fetalstudio.engine.jobs.evaluate.request import EvaluateRequest
from fetalstudio.engine.jobs.evaluate.scorecard import conventions
from fetalstudio.engine.jobs.propose.request import ProposeRequest
from fetalstudio.engine.jobs.report.page import report_html
from fetalstudio.engine.models.loading import find_model
from fetalstudio.engine.process.events import Event, Progress
from fetalstudio.engine.process.local import run_job
from fetalstudio.formats.model_card import write_training_frames
from fetalstudio.project.project import Project


@pytest.fixture
def drawn_outside(sample_project: Project) -> Project:
    """Five frames of five subjects, drawn 4 % outside of what the segmenter ``new`` finds. It saw
    none of them. One frame waits for a proposal."""
    project = sample_project
    shutil.copytree(find_model("segmenter", None).folder, project.path / "models/new")
    for name in ("training_frames.txt", "seen_subjects.txt"):
        (project.path / "models/new" / name).unlink()
    project.models.add("new", "segmenter", "models/new", run_id=None, metrics={})
    by_subject = {item.subject: item.id for item in labelled_frames(project)}
    kept = list(by_subject.values())[:5]
    waiting = project.frames.all(annotated=False)[0].id
    others = [f.id for f in project.frames.all() if f.id not in {*kept, waiting}]
    project.amendments.remove(others, author="a person")
    found = run_job(ProposeRequest(project.path, "new", frame_ids=tuple(kept), convention=False))
    for p in found.proposals:
        e = p.ellipse
        grown = Ellipse(e.cx, e.cy, e.a * 1.04, e.b * 1.04, e.angle_deg)
        project.annotations.add(p.frame_id, grown, author="a person", state="final")
    return project


def test_proposals_follow_the_cohort_and_say_so(drawn_outside: Project) -> None:
    path = drawn_outside.path
    plain = run_job(ProposeRequest(path, "new", convention=False))
    (before,) = plain.proposals
    assert not plain.conventions and not plain.followed
    assert drawn_outside.annotations.revisions(before.frame_id)[-1].author == "segmenter:new"
    followed = run_job(ProposeRequest(path, "new", again=True))
    (after,) = followed.proposals
    expected = 1 + 0.04 * 5 / 7  # five subjects, and two that would say that there is none
    assert after.ellipse.a / before.ellipse.a == pytest.approx(expected, abs=1e-4)
    assert after.ellipse.b / before.ellipse.b == pytest.approx(expected, abs=1e-4)
    assert "drawn 4.0 % outside the skull as new sees it" in followed.followed
    newest = drawn_outside.annotations.newest(after.frame_id)
    assert newest is not None and newest.ellipse == after.ellipse
    assert newest.author == "segmenter:new+cohort"
    assert not run_job(ProposeRequest(path, "new")).proposals  # it waits: not made again
    drawn_outside.annotations.add(after.frame_id, None, author="a person", state="draft")
    assert not run_job(ProposeRequest(path, "new")).proposals  # it was rejected


def test_a_segmenter_that_learnt_from_the_cohort_is_not_changed(drawn_outside: Project) -> None:
    path, items = drawn_outside.path, labelled_frames(drawn_outside)
    folder = path / "models/new"
    write_training_frames(folder, [item.id for item in items[:2]])
    used = run_job(ProposeRequest(path, "new", again=True)).conventions
    assert [c.subjects for c in used.values()] == [3]  # two frames are no cohort
    write_training_frames(folder, [item.id for item in items[:3]])
    assert not run_job(ProposeRequest(path, "new", again=True)).conventions


def test_two_annotated_frames_are_too_few(drawn_outside: Project) -> None:
    for item in labelled_frames(drawn_outside)[2:]:
        drawn_outside.annotations.add(item.id, None, author="a person", state="draft")
    result = run_job(ProposeRequest(drawn_outside.path, "new"))
    assert result.proposals and not result.conventions


def test_measuring_can_be_cancelled(drawn_outside: Project) -> None:
    waiting = next(f.id for f in drawn_outside.frames.all(annotated=False))
    heard: list[Event] = []
    with pytest.raises(Stopped):
        run_job(
            ProposeRequest(drawn_outside.path, "new"),
            heard.append,
            lambda: any(isinstance(e, Progress) and e.done == 2 for e in heard),
        )
    assert drawn_outside.annotations.newest(waiting) is None


def test_an_evaluation_says_how_each_cohort_is_drawn(drawn_outside: Project) -> None:
    (cohort,) = drawn_outside.frames.cohorts()
    result = run_job(EvaluateRequest(drawn_outside.path, "new"))
    (measured,) = result.conventions.values()
    assert isinstance(measured, Convention)
    assert measured.size.mean == pytest.approx(0.04, abs=1e-4)
    (sentence,) = conventions(result)
    assert sentence.startswith(f"Heads of {cohort} are drawn 4.0 % outside the skull as new sees")
    page = report_html(result, lambda _: np.zeros((540, 800), np.uint8), datetime.now())
    assert sentence in page
    on_the_skull = replace(measured, size=Interval(0.0, -0.001, 0.001, 5))
    both = replace(result, conventions={cohort: measured, "other": on_the_skull})
    assert f"{cohort} and other are drawn differently" in conventions(both)[-1]
    assert not run_job(EvaluateRequest(drawn_outside.path, "new", prompt="box")).conventions
