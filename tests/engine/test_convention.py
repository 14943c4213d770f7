"""Proposals and evaluations follow how a cohort's annotators draw."""

from __future__ import annotations

import shutil
from argparse import Namespace
from dataclasses import asdict, astuple, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from fetalstudio.core.convention import Convention, Offset
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.metrics import Interval
from fetalstudio.core.progress import Stopped
from fetalstudio.engine import measured_conventions
from fetalstudio.engine.cohort_conventions import drawn_for_pairs, known_for_pairs
from fetalstudio.engine.cohort_split import labelled_frames
from fetalstudio.engine.followed_conventions import has_learnt, own_offset
from fetalstudio.engine.jobs.evaluate.request import EvaluateRequest
from fetalstudio.engine.jobs.evaluate.scorecard import conventions
from fetalstudio.engine.jobs.pair_convention.request import PairConventionRequest
from fetalstudio.engine.jobs.propose.request import ProposeRequest
from fetalstudio.engine.jobs.report.page import report_html
from fetalstudio.engine.jobs.sample.request import SampleRequest
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.engine.models.loading import find_model
from fetalstudio.engine.process.events import Event, Progress
from fetalstudio.engine.process.local import run_job
from fetalstudio.engine.quality import Judge
from fetalstudio.formats.model_card import ModelCard, write_training_frames
from fetalstudio.formats.pictures.synthetic_notes import read_note
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


def test_what_was_snapped_follows_the_convention_that_is_left(drawn_outside: Project) -> None:
    path = drawn_outside.path
    only_snapped = run_job(ProposeRequest(path, "new", convention=False, snap=True))
    result = run_job(ProposeRequest(path, "new", again=True, snap=True))
    (convention,) = result.conventions.values()
    assert convention.segmenter == "new, with a second look," and "sees it" in result.followed
    (before,), (after,) = only_snapped.proposals, result.proposals
    assert after.ellipse == convention.apply(before.ellipse) and after.spread == before.spread
    unsnapped = run_job(ProposeRequest(path, "new", again=True)).conventions
    assert convention.size.mean != next(iter(unsnapped.values())).size.mean


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
    said = (
        f"other and {cohort} are drawn differently (other along the skull, {cohort} 4.0 % outside)"
    )
    assert said in conventions(both)[-1]
    assert not run_job(EvaluateRequest(drawn_outside.path, "new", prompt="box")).conventions


def _outside(factor: float, seed: int) -> tuple[Ellipse, Ellipse]:
    skull = Ellipse(100.0 + seed, 90.0, 50.0 + seed, 40.0, 10.0 * seed)
    return Ellipse(skull.cx, skull.cy, skull.a * factor, skull.b * factor, skull.angle_deg), skull


def test_what_is_followed_can_be_undone() -> None:
    offset = Offset(0.02, 0.03, 0.05, -0.01)
    for seed in range(4):
        drawn, skull = _outside(1.0, seed)
        again = offset.remove(offset.apply(skull))
        assert astuple(again) == pytest.approx(astuple(drawn))


def test_pairs_show_the_skull_where_the_cohort_draws_the_ellipse_around_it(
    drawn_outside: Project, tmp_path: Path
) -> None:
    path = drawn_outside.path
    request = SynthesizeRequest(path, count=2, seed=3, steps=2)
    plain = run_job(replace(request, convention=False))
    followed = run_job(replace(request, out=tmp_path / "pairs"))
    assert not plain.followed and "outside the skull as judge sees it" in followed.followed
    for a, b in zip(plain.pair_ids, followed.pair_ids, strict=True):
        without, pair = drawn_outside.pairs.get(a), drawn_outside.pairs.get(b)
        assert "convention" not in without.provenance
        assert pair.ellipse == without.ellipse == pair.requested
        used = Offset(**pair.provenance["convention"])
        assert 0.01 < used.long < 0.06  # some 5 % as the judge sees it, of three subjects
        skull = Ellipse(*pair.provenance["skull"])
        assert astuple(used.apply(skull)) == pytest.approx(astuple(pair.ellipse))
        assert pair.frame.id != without.frame.id
        with PILImage.open(tmp_path / "pairs" / f"{without.frame.name}.png") as picture:
            note = read_note(picture.info["fetalstudio"])
        assert note is not None
        assert note.provenance["convention"] == pair.provenance["convention"]
    # A synthesizer that draws so by itself is asked for the ellipse itself.
    used_by_itself = pair.provenance["convention"]
    folder = path / "models/own"
    shutil.copytree(find_model("synthesizer", None).folder, folder)
    card = ModelCard.read(folder)
    replace(card, name="own", metrics={**card.metrics, "convention": used_by_itself}).write(folder)
    drawn_outside.models.add("own", "synthesizer", "models/own", run_id=None, metrics={})
    own = run_job(replace(request, synthesizer="own"))
    images, expected = (
        [drawn_outside.frames.pixels(drawn_outside.pairs.get(i).frame.id) for i in ids]
        for ids in (own.pair_ids, plain.pair_ids)
    )
    for image, wanted in zip(images, expected, strict=True):
        assert np.abs(image.astype(int) - wanted).max() <= 2


def test_a_single_image_follows_the_convention_as_a_batch_does(
    drawn_outside: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, ellipse = drawn_outside, labelled_frames(drawn_outside)[0].ellipse
    (cohort,) = project.frames.cohorts()
    found = run_job(PairConventionRequest(project.path, cohort)).convention
    assert found is not None and 0.01 < found.offset.long < 0.06
    assert len(project.parts.stored()) == 5  # no test frame of tomorrow was measured
    plain = SampleRequest(ellipse, (800, 540), project=project.path, cohort=cohort, steps=2)
    made = run_job(replace(plain, convention=found.offset))
    assert made.ellipse == ellipse
    assert made.provenance["convention"] == asdict(found.offset)
    skull = Ellipse(*made.provenance["skull"])
    assert astuple(found.offset.apply(skull)) == pytest.approx(astuple(ellipse))
    without = run_job(plain)
    assert "convention" not in without.provenance
    on_skull = ModelCard.read(find_model("synthesizer", None).folder)
    shown = own_offset(on_skull).apply(skull)
    same = run_job(replace(plain, ellipse=shown))
    assert np.array_equal(made.image, same.image)
    # The phantom of the simulated scanner has no offset of its own.
    phantom = replace(plain, style="simulated", measure=False)
    drawn = run_job(replace(phantom, convention=found.offset))
    assert np.array_equal(drawn.image, run_job(replace(phantom, ellipse=skull)).image)
    # It was measured once: neither again nor for a batch.
    monkeypatch.setattr(measured_conventions, "convention_of_each", None)
    assert run_job(PairConventionRequest(project.path, cohort)).convention == found
    batch = run_job(SynthesizeRequest(project.path, count=1, seed=3, steps=2))
    assert project.pairs.get(batch.pair_ids[0]).provenance["convention"] == asdict(found.offset)
    with pytest.raises(InputError, match="has no cohort 'Bern'"):
        run_job(PairConventionRequest(project.path, "Bern"))


def test_a_cohort_of_two_subjects_has_no_convention_and_none_is_measured(
    drawn_outside: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for item in labelled_frames(drawn_outside)[2:]:
        drawn_outside.annotations.add(item.id, None, author="a person", state="draft")
    (cohort,) = drawn_outside.frames.cohorts()
    assert known_for_pairs(drawn_outside, drawn_for_pairs(drawn_outside, [cohort])) == {
        cohort: None
    }
    monkeypatch.setattr(measured_conventions, "convention_of_each", None)
    assert run_job(PairConventionRequest(drawn_outside.path, cohort)).convention is None


def test_a_synthesizer_that_was_adapted_to_the_cohort_is_not_changed_twice() -> None:
    adapted = {"started_from": "compact", "cohorts": ["Madrid"]}
    built_in = ModelCard.read(find_model("synthesizer", None).folder)
    card = replace(built_in, training_data=adapted, metrics={})
    assert has_learnt(card, "Madrid") and not has_learnt(card, "Accra")
    measured = replace(card, metrics={"convention": {"long": 0.01}})
    assert not has_learnt(measured, "Madrid") and own_offset(measured) == Offset(long=0.01)


def test_a_pair_is_compared_with_the_ellipse_that_the_cohort_draws_around_its_skull() -> None:
    """The judge finds the skull on 40 px where 41.6 px were drawn: that is as it was asked for."""
    skull = Ellipse(100, 80, 50, 40, 0)
    offset = Offset(0.04, 0.04)

    class Finds:
        card = ModelCard.read(find_model("segmenter", None).folder)

        def predict(self, image: object) -> Namespace:
            return Namespace(ellipse=skull)

    judge = Judge(Finds(), None, None)  # type: ignore[arg-type]
    image = skull.mask((200, 160)) * np.uint8(80)
    label = offset.apply(skull)
    kept = judge(image, label, None, offset)
    assert kept.quality["dice"] == 1.0 and kept.quality["hc_difference"] == pytest.approx(0)
    assert Ellipse(*kept.provenance["found"]) == label
    assert judge(image, label).quality["hc_difference"] == pytest.approx(1 / 1.04 - 1)
