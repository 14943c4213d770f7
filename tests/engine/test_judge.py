"""Who judges the synthetic frames, and what becomes of copies."""

from __future__ import annotations

import csv
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.texture import texture_of
from fetalstudio.engine import quality
from fetalstudio.engine.cohort_split import labelled_frames, split, usable_pairs
from fetalstudio.engine.jobs.export.request import ExportRequest
from fetalstudio.engine.jobs.sample.request import SampleRequest
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.engine.jobs.train.job import choose_data
from fetalstudio.engine.jobs.train.request import TrainRequest
from fetalstudio.engine.models.catalogue import list_models
from fetalstudio.engine.models.copy_index import copy_index, write_copy_index
from fetalstudio.engine.models.loading import find_model, judge_model
from fetalstudio.engine.models.seen import Seen
from fetalstudio.engine.process.local import run_job
from fetalstudio.engine.quality import Judge, Measured, cohort_texture
from fetalstudio.formats.neighbours import read_neighbours
from fetalstudio.formats.tables.ellipse_table import NamedEllipse
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Pair
from fetalstudio.segmentation.segmenter import Segmenter

HEAD = Ellipse(400, 270, 230, 175, 8)
COHORT_FIGURES = {"speckle_snr", "speckle_difference", "spectrum_db", "grey_difference"}


@pytest.fixture
def blind(sample_project: Project) -> Project:
    """The project with an adopted segmenter that finds nothing."""
    segmenter = Segmenter.load(judge_model().folder)
    with torch.no_grad():
        for weight in segmenter.sam.mask_decoder.parameters():
            weight.zero_()
    card = replace(segmenter.card, name="blind")
    segmenter.save(sample_project.path / "models" / "blind", card)
    sample_project.models.add("blind", "segmenter", "models/blind")
    sample_project.models.adopt("segmenter", "blind")
    return sample_project


def test_the_projects_adopted_segmenter_is_not_the_judge(blind: Project) -> None:
    adopted = find_model("segmenter", None, blind)
    assert adopted.origin == "project"
    synthesizer = find_model("synthesizer", None, blind)
    judge = Judge.of(synthesizer, blind)
    item = labelled_frames(blind)[0]
    image = item.image
    assert Segmenter.load(adopted.folder).predict(image).ellipse is None
    assert judge(image, item.ellipse).quality["dice"] > 0.9
    sample = SampleRequest(HEAD, (800, 540), project=blind.path, steps=4)
    assert run_job(sample).quality["dice"] > 0.9


def test_a_users_model_of_the_same_name_is_not_the_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FETALSTUDIO_HOME", str(tmp_path))
    built_in = judge_model()
    assert built_in.origin == "built-in"
    users = {model.folder.parent for model in list_models()} - {built_in.folder.parent}
    assert users == set()
    segmenter = Segmenter.load(built_in.folder)
    from fetalstudio.resources import user_data_dir

    segmenter.save(user_data_dir() / "models" / "mine", segmenter.card)
    assert find_model("segmenter", "judge").origin == "user"
    assert judge_model() == built_in


def test_a_batch_knows_its_nearest_training_frames_and_its_cohort(
    sample_project: Project, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    request = SynthesizeRequest(sample_project.path, count=2, steps=2, seed=1, out=out)
    result = run_job(request)
    known = read_neighbours(find_model("synthesizer", "compact").folder)
    assert known is not None
    for pair in (sample_project.pairs.get(i) for i in result.pair_ids):
        assert set(pair.quality) >= COHORT_FIGURES
        assert pair.provenance["nearest_frame"] in known.ids
        assert pair.copy_threshold == pytest.approx(known.threshold)
        assert pair.copy == (pair.quality["similarity"] > known.threshold)
        assert pair.provenance["judge"] == "judge"
        assert pair.found is not None
        assert pair.found.overlap(pair.ellipse) == pytest.approx(pair.quality["dice"], abs=0.01)
        assert pair.provenance["cohort_frames"] == 16
        assert set(pair.provenance["cohort_limits"]) == COHORT_FIGURES - {"speckle_snr"}
    with (out / "pairs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert all(float(row["similarity"]) < 1 and row["copy"] in ("0", "1") for row in rows)
    assert all(row["nearest_frame"] in known.ids and row["spectrum_db"] for row in rows)


def test_of_all_cohorts_each_pair_is_held_to_its_own(sample_project: Project) -> None:
    """Pictures of a soft scanner's heads are not held to a sharp one's texture."""
    for item in labelled_frames(sample_project)[:4]:
        soft = cv2.GaussianBlur(item.image, (0, 0), 4)
        frame, _ = sample_project.frames.add(
            np.asarray(soft, np.uint8),
            name=f"soft_{item.name}",
            cohort="soft",
            subject=f"soft_{item.subject}",
        )
        sample_project.annotations.add(frame.id, item.ellipse, author="me", state="final")
    sources = {frame.cohort: frame for frame in sample_project.frames.all()}
    heads = tuple(
        NamedEllipse(cohort, HEAD, frame.size, frame.id) for cohort, frame in sources.items()
    )
    result = run_job(SynthesizeRequest(sample_project.path, ellipses=heads, steps=2))
    pairs = [sample_project.pairs.get(i) for i in result.pair_ids]
    assert len(pairs) == 2
    for pair, cohort in zip(pairs, sources, strict=True):
        texture = cohort_texture(sample_project, cohort)
        assert texture is not None and pair.provenance["cohort_frames"] == texture.frames
        made = texture_of(sample_project.frames.pixels(pair.frame.id), pair.ellipse)
        assert pair.quality["spectrum_db"] == pytest.approx(
            texture.differences(made)["spectrum_db"]
        )


def test_a_mirrored_training_frame_is_a_copy_and_one_that_it_never_saw_is_not(
    sample_project: Project, tmp_path: Path
) -> None:
    """The samples are of subjects that the built-in models never saw; half of them are taught."""
    items = labelled_frames(sample_project)
    subjects = sorted({item.subject for item in items})
    taught = [item for item in items if item.subject in subjects[::2]]
    synthesizer = find_model("synthesizer", "compact")
    write_copy_index(copy_index(taught, synthesizer.folder), tmp_path)
    judge = Judge.of(replace(synthesizer, folder=tmp_path), sample_project)
    assert 3 < len(taught) < len(items) - 3
    caught = []  # of those that were drawn beside their heads
    for item in items:
        image = np.ascontiguousarray(item.image[:, ::-1])
        e, width = item.ellipse, item.size[0]
        found = judge(image, Ellipse.of(width - 1 - e.cx, e.cy, e.a, e.b, -e.angle_deg))
        above = found.quality["similarity"] > found.provenance["copy_threshold"]
        assert above == (item in taught)
        beside = Ellipse.of(width - 1 - e.cx + 0.15 * e.a, e.cy, e.a, e.b, -e.angle_deg)
        if item in taught:
            caught.append(judge(image, beside).quality["similarity"] > 0.746)
        if item in taught:
            assert found.provenance["nearest_frame"] == item.id[:16]
    assert np.mean(caught) > 0.7


def test_of_an_unknown_synthesizer_nothing_is_guessed(sample_project: Project) -> None:
    synthesizer = find_model("synthesizer", "compact")
    unknown = replace(synthesizer, folder=sample_project.path / "models")
    found = Judge.of(unknown)(np.zeros((540, 800), np.uint8), HEAD)
    assert "similarity" not in found.quality
    assert found.provenance["nearest_frame"] is None and found.provenance["copy_threshold"] is None


def test_the_cohorts_texture_is_of_at_most_fifty_and_kept(
    sample_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "COHORT_FRAMES", 5)
    first = cohort_texture(sample_project)
    assert first is not None and first.frames == 4
    assert cohort_texture(sample_project) is first
    item = labelled_frames(sample_project)[0]
    e = item.ellipse
    moved = Ellipse(e.cx + 20, e.cy, e.a, e.b, e.angle_deg)
    sample_project.annotations.add(item.id, moved, author="me", state="final")
    assert cohort_texture(sample_project) is not first
    assert cohort_texture(sample_project, "nowhere") is None


@pytest.mark.perf
def test_the_figures_cost_little(sample_project: Project) -> None:
    """Without the segmenter; the limit of 30 ms is held with room for a busy machine."""
    judge = Judge.of(find_model("synthesizer", "compact"), sample_project)
    assert judge.neighbours is not None
    image = sample_project.frames.pixels(sample_project.frames.all()[0].id)
    spent = []
    for _ in range(5):
        started = time.process_time()
        judge.neighbours.nearest(image, HEAD)
        quality.texture_of(image, HEAD)
        quality.edge_score(image, HEAD)
        spent.append(time.process_time() - started)
    assert min(spent) < 0.06


def _accept(project: Project, name: str, grey: int, measured: Measured) -> Pair:
    pair = project.pairs.add(
        np.full((64, 64), grey, np.uint8),
        name=name,
        ellipse=Ellipse(30, 30, 20, 15, 0),
        cohort="synthetic",
        calibration=None,
        quality=measured.quality,
        provenance=measured.provenance,
    )
    return project.pairs.review(pair.id, "accepted", reviewer="test")


def test_an_accepted_copy_is_neither_trained_on_nor_exported(
    sample_project: Project, tmp_path: Path
) -> None:
    told = {"nearest_frame": "0" * 16, "copy_threshold": 0.75}
    _accept(sample_project, "copy", 10, Measured({"dice": 0.98, "similarity": 0.8}, told))
    _accept(sample_project, "own", 20, Measured({"dice": 0.98, "similarity": 0.7}, told))
    _accept(sample_project, "unknown", 30, Measured({"dice": 0.98}, {}))
    parts = split(sample_project, labelled_frames(sample_project))
    usable = usable_pairs(sample_project, parts, Seen())
    assert {pair.frame.name for pair in usable} == {"own", "unknown"}
    data = choose_data(sample_project, TrainRequest(sample_project.path))
    assert (len(data.pairs), data.copies) == (2, 1)
    with pytest.raises(InputError, match="besides 1 copies of training frames"):
        choose_data(sample_project, TrainRequest(sample_project.path, synthetic=3))
    exported = run_job(ExportRequest(sample_project.path, tmp_path / "a"))
    assert (exported.pairs, exported.copies_left_out) == (2, 1)
    assert len(list((tmp_path / "a").rglob("synthetic_*[0-9].png"))) == 2
    request = ExportRequest(sample_project.path, tmp_path / "b", copies=True)
    exported = run_job(request)
    assert (exported.pairs, exported.copies_left_out) == (3, 0)


def test_an_adapted_model_remembers_its_frames_and_its_bases(
    sample_project: Project, tmp_path: Path
) -> None:
    base = find_model("synthesizer", "compact").folder
    items = labelled_frames(sample_project)[:3]
    found = copy_index(items, base)
    write_copy_index(found, tmp_path)
    known = read_neighbours(base)
    assert known is not None
    assert set(found.ids) == set(known.ids) | {item.id[:16] for item in items}
    assert found.threshold == known.threshold
    assert set((tmp_path / "training_frames.txt").read_text().split()) == set(found.ids)
    with pytest.raises(InputError, match="does not say which frames it was trained on"):
        copy_index(items, tmp_path / "nowhere")
