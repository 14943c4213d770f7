"""The real jobs on the sample frames: what they store, and what a cancel or bad input leaves."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Stopped
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.engine.cohort_split import labelled_frames, of_part, split, usable_pairs
from fetalstudio.engine.jobs.evaluate.request import EvaluateRequest
from fetalstudio.engine.jobs.measure_conventions.request import MeasureConventionsRequest
from fetalstudio.engine.jobs.propose.request import ProposeRequest
from fetalstudio.engine.jobs.sample.request import SampleRequest
from fetalstudio.engine.jobs.snap.request import SnapRequest
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.engine.jobs.train import job as train_job
from fetalstudio.engine.jobs.train.request import TrainRequest
from fetalstudio.engine.models.loading import find_model
from fetalstudio.engine.models.seen import Seen
from fetalstudio.engine.process.events import (
    Cancelled,
    Epoch,
    Event,
    Finished,
    Preview,
    Progress,
    Started,
)
from fetalstudio.engine.process.job import Asked
from fetalstudio.engine.process.local import run_job
from fetalstudio.engine.resumable import can_resume, state_file
from fetalstudio.formats.model_card import ModelCard, write_training_frames
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.formats.tables.ellipse_table import NamedEllipse
from fetalstudio.project.project import Project
from fetalstudio.segmentation.segmenter import Segmenter

HEAD = Ellipse(400, 270, 230, 175, 8)


def _request(project: Project, **fields: Any) -> TrainRequest:
    named = {k: fields.pop(k) for k in ("name", "segmenter") if k in fields}
    settings = TrainingSettings(**{"epochs": 2, **fields})
    return TrainRequest(project.path, real=4, synthetic=0, settings=settings, **named)


def test_propose_leaves_what_a_person_has_drawn(sample_project: Project) -> None:
    drawn = {k: a.revision for k, a in sample_project.annotations.by_frame().items()}
    result = run_job(ProposeRequest(sample_project.path))
    assert len(result.proposals) + len(result.without) == 8
    after = sample_project.annotations.by_frame()
    assert {k: after[k].revision for k in drawn} == drawn
    proposed = after[result.proposals[0].frame_id]
    assert proposed.state == "proposed"
    assert proposed.author == "segmenter:compact+cohort"
    assert proposed.confidence == pytest.approx(result.proposals[0].confidence)


def test_a_waiting_proposal_is_made_again_only_when_asked(sample_project: Project) -> None:
    first = run_job(ProposeRequest(sample_project.path))
    assert first.proposals
    again = run_job(ProposeRequest(sample_project.path))
    assert len(again.proposals) + len(again.without) == len(first.without)
    rejected = first.proposals[0].frame_id
    sample_project.annotations.add(rejected, None, author="a person", state="draft")
    again = run_job(ProposeRequest(sample_project.path))
    assert rejected not in {p.frame_id for p in again.proposals}
    asked = run_job(ProposeRequest(sample_project.path, again=True))
    assert len(asked.proposals) == len(first.proposals)
    other = first.proposals[0].frame_id
    sample_project.annotations.add(
        other, HEAD, author="segmenter:other", state="proposed", confidence=0.5
    )
    replaced = run_job(ProposeRequest(sample_project.path))
    assert other in {p.frame_id for p in replaced.proposals}


def test_proposals_are_moved_onto_the_skull_when_asked(sample_project: Project) -> None:
    references = {item.id: item.ellipse for item in labelled_frames(sample_project)[:5]}
    request = ProposeRequest(sample_project.path, frame_ids=tuple(references), convention=False)
    plain = run_job(request)
    snapped = run_job(replace(request, snap=True))
    assert all(p.spread is None for p in plain.proposals)
    for before, after in zip(plain.proposals, snapped.proposals, strict=True):
        assert after.ellipse != before.ellipse
        assert after.spread is not None and 0 < after.spread.hc < after.spread.ofd < 0.2
        assert after.ellipse.overlap(before.ellipse) > 0.9
        assert after.ellipse.overlap(references[after.frame_id]) > 0.9


def test_snapping_moves_a_rough_ellipse_and_stores_nothing(sample_project: Project) -> None:
    item = labelled_frames(sample_project)[0]
    true = item.ellipse
    rough = Ellipse.of(true.cx + 8, true.cy - 6, 1.05 * true.a, 0.96 * true.b, true.angle_deg + 3)
    result = run_job(SnapRequest(sample_project.path, item.id, rough))
    assert result.ellipse is not None
    assert result.ellipse.overlap(true) > rough.overlap(true)
    assert not result.elsewhere
    assert sample_project.annotations.revisions(item.id)[-1].ellipse == true


def test_snapping_onto_the_sac_says_that_the_head_is_elsewhere(sample_project: Project) -> None:
    (frame,) = (frame for frame in sample_project.frames.all() if frame.name == "031_HC")
    placed = Ellipse(395.0, 298.0, 232.0, 181.0, 0.0)  # across the sac, with the head in a corner
    head = run_job(ProposeRequest(sample_project.path, frame_ids=(frame.id,))).proposals[0].ellipse
    onto_sac = run_job(SnapRequest(sample_project.path, frame.id, placed))
    assert onto_sac.ellipse is not None and onto_sac.ellipse.overlap(head) < 0.7
    assert onto_sac.elsewhere
    onto_head = run_job(SnapRequest(sample_project.path, frame.id, replace(head, a=1.05 * head.a)))
    assert onto_head.ellipse is not None and onto_head.ellipse.overlap(head) > 0.9
    assert not onto_head.elsewhere


def test_propose_for_an_annotated_frame_answers_without_storing(sample_project: Project) -> None:
    item = labelled_frames(sample_project)[0]
    result = run_job(ProposeRequest(sample_project.path, frame_ids=(item.id,)))
    assert result.proposals[0].ellipse.overlap(item.ellipse) > 0.8
    assert len(sample_project.annotations.revisions(item.id)) == 1


def test_a_sample_reports_its_steps_and_how_to_make_it_again() -> None:
    heard: list[Event] = []
    request = SampleRequest(HEAD, (800, 540), style="second", steps=3, seed=11)
    result = run_job(request, heard.append)
    assert isinstance(heard[0], Started) and isinstance(heard[-1], Finished)
    assert sum(isinstance(e, Preview) for e in heard) == 2
    assert [e.done for e in heard if isinstance(e, Progress)] == [1, 2, 3]
    assert result.image.shape == (540, 800)
    assert result.provenance["seed"] == 11 and result.provenance["steps"] == 3
    assert len(result.provenance["synthesizer_sha256"]) == 64
    assert 0 <= result.quality["dice"] <= 1
    again = run_job(replace(request, previews=False))
    np.testing.assert_array_equal(again.image, result.image)


def test_a_sample_stops_within_a_step() -> None:
    heard: list[Event] = []
    with pytest.raises(Stopped):
        run_job(
            SampleRequest(HEAD, (800, 540), steps=50),
            heard.append,
            cancelled=lambda: any(isinstance(e, Progress) and e.done == 2 for e in heard),
        )
    assert max(e.done for e in heard if isinstance(e, Progress)) == 2
    assert isinstance(heard[-1], Cancelled)


def test_a_batch_from_a_table_writes_pictures_masks_and_figures(
    sample_project: Project, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    wanted = (
        NamedEllipse("one", HEAD, (800, 540)),
        NamedEllipse("two", Ellipse(130, 100, 80, 60, 120), (260, 200)),
    )
    request = SynthesizeRequest(sample_project.path, ellipses=wanted, steps=2, seed=5, out=out)
    result = run_job(request)
    for item in wanted:
        picture, mask = (
            read_image(out / f"{item.name}.png"),
            read_image(out / f"{item.name}_mask.png"),
        )
        assert picture.shape == mask.shape == item.size[::-1]
        np.testing.assert_array_equal(mask > 0, item.ellipse.mask(item.size) > 0)
    with (out / "pairs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["name"] for row in rows] == ["one", "two"]
    assert float(rows[0]["cx"]) == HEAD.cx and 0 <= float(rows[0]["dice"]) <= 1
    pairs = sample_project.pairs.all()
    assert {p.id for p in pairs} == set(result.pair_ids)
    assert all(p.state == "pending" and p.frame.kind == "synthetic" for p in pairs)
    assert {p.provenance["steps"] for p in pairs} == {2}


def test_a_cancelled_batch_keeps_the_pairs_that_are_done(sample_project: Project) -> None:
    heard: list[Event] = []
    with pytest.raises(Stopped) as stopped:
        run_job(
            SynthesizeRequest(sample_project.path, count=12, steps=1),
            heard.append,
            cancelled=lambda: sum(isinstance(e, Preview) for e in heard) >= 4,
        )
    kept = sample_project.pairs.all()
    assert 4 <= len(kept) < 12
    shown = [e for e in heard if isinstance(e, Preview)]
    assert [e.stays for e in shown] == [True] * len(kept), "each pair is to be seen"
    assert set(stopped.value.result.pair_ids) == {p.id for p in kept}


def test_no_subject_is_in_two_parts_and_pairs_of_held_out_frames_are_left_out(
    sample_project: Project,
) -> None:
    labelled = labelled_frames(sample_project)
    parts = split(sample_project, labelled)
    groups = [
        {i.subject for i in of_part(labelled, parts, part)}
        for part in ("train", "validation", "test")
    ]
    assert all(groups) and sum(map(len, groups)) == len(set.union(*groups))
    for part in ("train", "test"):
        source = of_part(labelled, parts, part)[0]
        pixels = np.full((64, 64), 50 if part == "train" else 60, np.uint8)
        pair = sample_project.pairs.add(
            pixels,
            name=part,
            ellipse=Ellipse(30, 30, 20, 15, 0),
            cohort="synthetic",
            calibration=None,
            quality={"dice": 0.9},
            provenance={"source_frame": source.id},
        )
        sample_project.pairs.review(pair.id, "accepted", reviewer="test")
    assert [p.frame.name for p in usable_pairs(sample_project, parts, Seen())] == ["train"]


@pytest.fixture
def worse(sample_project: Project) -> str:
    """A segmenter of the project that any training improves: the built-in one, damaged."""
    folder = sample_project.path / "models" / "worse"
    segmenter = Segmenter.load(find_model("segmenter", "compact").folder)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in segmenter.sam.mask_decoder.output_upscaling.parameters():
            weight += 3 * weight.std() * torch.randn_like(weight)
    segmenter.save(folder, replace(segmenter.card, name="worse"))
    sample_project.models.add("worse", "segmenter", "models/worse")
    return "worse"


def test_training_makes_a_model_that_can_be_adopted_and_rolled_back(
    sample_project: Project, worse: str
) -> None:
    heard: list[Event] = []
    request = _request(sample_project, name="mine", segmenter=worse, learning_rate=3e-4)
    result = run_job(request, heard.append)
    epochs = [e for e in heard if isinstance(e, Epoch)]
    assert [e.epoch for e in epochs] == list(range(result.epochs_run + 1))
    run = sample_project.runs.get(result.run_id)
    assert run.state == "finished"
    assert len(run.history) == len(epochs)
    assert run.verdict is not None and run.verdict["verdict"] == result.verdict
    subjects = {
        part: {sample_project.frames.get(i).subject for i in run.data[part]}
        for part in ("train", "validation", "test")
    }
    assert not subjects["train"] & (subjects["validation"] | subjects["test"])
    assert result.model == "mine" and result.best_epoch >= 1
    assert result.dice_after > result.dice_before
    assert result.difference == pytest.approx(result.dice_after - result.dice_before)
    sample_project.models.adopt("segmenter", "mine")
    evaluate = EvaluateRequest(sample_project.path, frame_ids=tuple(run.data["test"][:1]))
    assert run_job(evaluate).segmenter == "mine"
    sample_project.models.roll_back("segmenter")
    assert run_job(evaluate).segmenter == "compact"


def test_a_training_that_helps_nothing_leaves_no_model(sample_project: Project) -> None:
    result = run_job(_request(sample_project, learning_rate=1e-9))
    assert result.model is None and result.best_epoch == 0
    assert "Keep that model" in result.verdict
    assert sample_project.models.all("segmenter") == []


def test_a_cancelled_training_keeps_its_best_epoch(sample_project: Project, worse: str) -> None:
    heard: list[Event] = []

    def improved() -> bool:
        return any(isinstance(e, Epoch) and e.best and e.epoch > 0 for e in heard)

    request = TrainRequest(
        sample_project.path,
        segmenter=worse,
        real=4,
        synthetic=0,
        settings=TrainingSettings(epochs=500, patience=500, learning_rate=3e-4),
    )
    with pytest.raises(Stopped) as stopped:
        run_job(request, heard.append, cancelled=improved)
    result = stopped.value.result
    run = sample_project.runs.all()[0]
    assert run.state == "cancelled"
    assert result.epochs_run < 500
    tested = [e for e in heard if isinstance(e, Progress) and e.note == "testing the best epoch"]
    assert tested and all(e.finishing for e in tested), "it needs longer than the grace"
    assert {m.name for m in sample_project.models.all("segmenter")} == {"worse", result.model}
    ids = tuple(item.id for item in labelled_frames(sample_project)[:2])
    evaluate = EvaluateRequest(sample_project.path, segmenter=result.model, frame_ids=ids)
    assert run_job(evaluate).n == 2


@pytest.mark.parametrize("stopped_before", [False, True])
def test_a_training_that_ends_untested_is_resumed_for_its_verdict(
    sample_project: Project, worse: str, stopped_before: bool
) -> None:
    heard: list[Event] = []

    def asked() -> Asked:
        if any(isinstance(e, Progress) and e.finishing for e in heard):
            return Asked.TO_STOP_NOW  # such as by closing the window
        improved = any(isinstance(e, Epoch) and e.best and e.epoch > 0 for e in heard)
        return Asked.TO_STOP if improved and stopped_before else Asked.NOT

    settings = TrainingSettings(epochs=2, learning_rate=3e-4)
    request = TrainRequest(
        sample_project.path, segmenter=worse, real=4, synthetic=0, settings=settings
    )
    with pytest.raises(Stopped) as stopped:
        run_job(request, heard.append, cancelled=asked)
    assert stopped.value.result is None
    (run,) = sample_project.runs.all()
    assert (run.state, run.verdict) == ("cancelled", None)
    assert can_resume(sample_project, run)
    kept = next(m for m in sample_project.models.all("segmenter") if m.run_id == run.id)
    result = run_job(TrainRequest(sample_project.path, resume=run.id))
    assert (result.model, result.epochs_run) == (kept.name, 2)
    (run,) = sample_project.runs.all()
    assert run.state == "finished" and run.verdict is not None


def test_frames_that_are_purged_meanwhile_do_not_end_a_training(
    sample_project: Project, worse: str
) -> None:
    """Another process removes the test frames for good before they are measured again."""

    def purge(event: Event) -> None:
        if isinstance(event, Epoch) and event.epoch == 1:
            with Project.open(sample_project.path) as other:
                other.amendments.remove(other.runs.all()[0].data["test"], author="other")
                assert other.purge()

    settings = TrainingSettings(epochs=1, learning_rate=3e-4)
    request = TrainRequest(
        sample_project.path, segmenter=worse, real=4, synthetic=0, settings=settings
    )
    run_job(MeasureConventionsRequest(sample_project.path))
    result = run_job(request, purge)
    assert result.model is not None and result.test_frames > 0
    card = ModelCard.read(find_model("segmenter", result.model, sample_project).folder)
    assert "skull as compact sees it" in card.training_data["drawn"]["samples"]
    assert sample_project.runs.all()[0].state == "finished"


def test_frames_that_are_removed_meanwhile_get_no_proposal(sample_project: Project) -> None:
    waiting = sample_project.frames.all(annotated=False)
    assert len(waiting) > 2

    def purge(event: Event) -> None:
        if isinstance(event, Progress) and event.done == 1:
            with Project.open(sample_project.path) as other:
                other.amendments.remove([frame.id for frame in waiting[1:-1]], author="other")
                other.purge()

    result = run_job(ProposeRequest(sample_project.path, convention=False), purge)
    assert {p.frame_id for p in result.proposals} <= {waiting[0].id, waiting[-1].id}
    assert sample_project.frames.all(annotated=False) == []


def test_a_training_is_resumed_after_its_cohort_was_renamed(sample_project: Project) -> None:
    (cohort,) = sample_project.frames.cohorts()
    settings = TrainingSettings(epochs=2, copies=1)
    request = TrainRequest(
        sample_project.path, cohort=cohort, real=3, synthetic=0, settings=settings
    )
    heard: list[Event] = []

    def first_epoch_done() -> bool:
        return any(isinstance(e, Epoch) and e.epoch == 1 for e in heard)

    with pytest.raises(Stopped):
        run_job(request, heard.append, cancelled=first_epoch_done)
    (run,) = sample_project.runs.all()
    sample_project.amendments.rename_cohort(cohort, "Scanner A", author="me")
    result = run_job(TrainRequest(sample_project.path, resume=run.id))
    assert (result.run_id, result.epochs_run) == (run.id, 2)


def test_a_training_whose_cohort_is_gone_says_so(sample_project: Project) -> None:
    (cohort,) = sample_project.frames.cohorts()
    ids = [item.id for item in labelled_frames(sample_project)]
    stored = {"job": "train", "started_from": "compact", "cohort": cohort}
    run = sample_project.runs.start("mine", stored, {"train": ids})
    sample_project.runs.update(run.id, state="cancelled")
    state_file(sample_project, run.id).write_bytes(b"")
    sample_project.amendments.set_cohort(ids[:2], "one", author="me")
    others = [frame.id for frame in sample_project.frames.all(cohort=cohort)]
    sample_project.amendments.set_cohort(others, "two", author="me")
    message = f"mine cannot be resumed: there is no cohort '{cohort}'.*Start a new training"
    with pytest.raises(InputError, match=message):
        run_job(TrainRequest(sample_project.path, resume=run.id))


def test_a_name_is_checked_before_anything_is_loaded(
    sample_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loads(*_: object) -> None:
        raise AssertionError("the model was loaded first")

    monkeypatch.setattr(train_job, "load_segmenter", loads)
    monkeypatch.setattr(train_job, "choose_data", loads)
    with pytest.raises(InputError, match="is taken"):
        run_job(TrainRequest(sample_project.path, name="Compact "))


def test_a_training_that_asks_for_too_much_says_what_there_is(sample_project: Project) -> None:
    path = sample_project.path
    for request, message in (
        (TrainRequest(path, real=500), "500 real frames were requested"),
        (TrainRequest(path, synthetic=3), "0 are accepted"),
        (TrainRequest(path, real=0, synthetic=0), "nothing to train on"),
        (TrainRequest(path, cohort="nowhere"), "no cohort 'nowhere'"),
        (TrainRequest(path, name="compact"), "taken"),
        (TrainRequest(path, settings=TrainingSettings(epochs=0)), "epochs is 0"),
        (TrainRequest(path, settings=TrainingSettings(seed=-1)), "seed is -1"),
        (TrainRequest(path, segmenter="gone"), "Choose one of these: compact"),
    ):
        with pytest.raises(InputError, match=message):
            run_job(request)
    assert sample_project.runs.all() == []


def test_a_project_with_too_few_subjects_is_refused(tmp_path: Path) -> None:
    with Project.create(tmp_path / "p") as project:
        rng = np.random.default_rng(0)
        for i in range(2):
            frame, _ = project.frames.add(
                rng.integers(0, 255, (100, 100), dtype=np.uint8),
                name=f"f{i}",
                cohort="c",
                subject=f"s{i}",
            )
            project.annotations.add(frame.id, Ellipse(50, 50, 30, 20, 0), author="t", state="final")
        with pytest.raises(InputError, match="at least three subjects"):
            run_job(TrainRequest(project.path))


@pytest.mark.parametrize("prompt", ["auto", "box"])
@pytest.mark.parametrize("protocol", ["native", "paper"])
def test_evaluation_in_both_protocols(sample_project: Project, prompt: str, protocol: str) -> None:
    ids = tuple(i.id for i in labelled_frames(sample_project)[8:12])
    request = EvaluateRequest(
        sample_project.path,
        prompt=prompt,  # type: ignore[arg-type]
        protocol=protocol,  # type: ignore[arg-type]
        frame_ids=ids,
    )
    result = run_job(request)
    assert result.n == 4 and len(result.frames) == 4
    low, high = result.dice["ci95"]
    assert 0.85 < result.dice["min"] <= result.dice["mean"]
    # Student's interval of four subjects is wide.
    assert 0.85 < low < result.dice["mean"] < high <= 1
    assert (result.hc_mae_mm is None) == (protocol == "paper")
    json.dumps(result.dice)


def test_both_protocols_by_one_request_with_groups_and_millimetres(
    sample_project: Project,
) -> None:
    ids = tuple(i.id for i in labelled_frames(sample_project)[4:12])
    both = EvaluateRequest(sample_project.path, protocol="both", frame_ids=ids)
    result = run_job(both)
    alone = run_job(replace(both, protocol="paper"))
    # As text, in which the intervals of single subjects, which are not numbers, are equal too.
    assert repr(result.paper) == repr(alone) and alone.protocol == "paper"
    assert result.n == 8 and result.subjects == len({f.subject for f in result.frames})
    trimesters = {name: g.n for name, g in result.groups.items()}
    assert sum(trimesters.values()) == 8 and len(trimesters) > 1
    for frame in result.frames:
        assert 0 < frame.assd_px < frame.hd95_px
        assert frame.assd_mm is not None
        scale = frame.assd_mm / frame.assd_px
        assert 0.05 < scale < 0.5 and frame.hd95_mm == pytest.approx(scale * frame.hd95_px)
    errors = [frame.hc_error_mm for frame in result.frames if frame.hc_error_mm is not None]
    assert len(errors) == 8 and result.hc_limits_mm is not None
    low, high = result.hc_limits_mm
    assert (low + high) / 2 == pytest.approx(result.hc_bias_mm)
    assert high - low == pytest.approx(2 * 1.96 * np.std(errors, ddof=1))
    assert result.failure_ci95[0] <= result.failures / 8 <= result.failure_ci95[1]


def test_held_out_leaves_out_all_frames_of_subjects_that_were_learnt_from(
    sample_project: Project,
) -> None:
    model = find_model("segmenter", None, sample_project)
    copy = sample_project.path / "models" / "mine"
    shutil.copytree(model.folder, copy)
    twice = [i for i in labelled_frames(sample_project) if i.subject == "299"]
    write_training_frames(copy, [twice[0].id])
    sample_project.models.add("mine", "segmenter", "models/mine", run_id=None, metrics={})
    request = EvaluateRequest(sample_project.path, segmenter="mine", held_out=True)
    result = run_job(request)
    assert len(twice) == 2
    assert result.n == len(labelled_frames(sample_project)) - 2
    write_training_frames(copy, [i.id for i in labelled_frames(sample_project)])
    with pytest.raises(InputError, match="all of these subjects"):
        run_job(request)


def test_the_same_evaluation_twice_is_the_same(sample_project: Project) -> None:
    ids = tuple(i.id for i in labelled_frames(sample_project)[:2])
    request = EvaluateRequest(sample_project.path, prompt="box", protocol="paper", frame_ids=ids)
    assert run_job(request) == run_job(request)
