"""What a model saw is not new to it: subjects in its training, its choice or its calibration."""

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
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.engine.cohort_split import labelled_frames, of_part, split, usable_pairs
from fetalstudio.engine.jobs.evaluate.request import EvaluateRequest
from fetalstudio.engine.jobs.evaluate.scorecard import cautions
from fetalstudio.engine.jobs.export.request import ExportRequest
from fetalstudio.engine.jobs.train.data import select_training_data
from fetalstudio.engine.jobs.train.request import TrainRequest
from fetalstudio.engine.models.catalogue import FoundModel
from fetalstudio.engine.models.loading import find_model
from fetalstudio.engine.models.not_known import not_known
from fetalstudio.engine.models.seen import MakersSeen, Seen, seen_by
from fetalstudio.engine.process.events import Event, Warned
from fetalstudio.engine.process.local import run_job
from fetalstudio.formats.model_card import (
    fingerprint,
    hashed_subject,
    seen_subjects,
    write_seen_subjects,
    write_training_frames,
)
from fetalstudio.formats.writing.dataset_card import DATA_CARD
from fetalstudio.project.models import ModelKind
from fetalstudio.project.patients import PUBLIC_KEYS
from fetalstudio.project.project import Project
from fetalstudio.segmentation.segmenter import Segmenter

_UNKNOWN = "by a synthesizer that was not found here"


def _copied(project: Project, kind: ModelKind, name: str, *subjects: str) -> Path:
    """A copy of the built-in model that has seen these subjects and no frame of this project."""
    model = find_model(kind, "compact")
    folder = project.path / "models" / name
    shutil.copytree(model.folder, folder)
    card = folder / "model.json"
    card.write_text(card.read_text().replace('"name": "compact"', f'"name": "{name}"'))
    write_training_frames(folder, ["0" * 16])
    write_seen_subjects(folder, map(hashed_subject, subjects))
    project.models.add(name, kind, f"models/{name}")
    return folder


def _accept(project: Project, name: str, **made: Any) -> None:
    pair = project.pairs.add(
        np.full((64, 64), len(project.pairs.all()) + 40, np.uint8),
        name=name,
        ellipse=Ellipse(30, 30, 20, 15, 0),
        cohort="synthetic",
        calibration=None,
        quality={"dice": 0.9},
        provenance=made,
    )
    project.pairs.review(pair.id, "accepted", reviewer="me")


def _held_out(project: Project) -> list[LabelledFrame]:
    frames = labelled_frames(project)
    return of_part(frames, split(project, frames), "test")


def test_another_frame_of_a_seen_subject_is_not_new(sample_project: Project) -> None:
    frames = labelled_frames(sample_project)
    subject = frames[0].subject
    _copied(sample_project, "segmenter", "mine", subject)
    heard: list[Event] = []
    ids = tuple(frame.id for frame in frames[:6])
    seen = sum(frame.subject == subject for frame in frames[:6])
    request = EvaluateRequest(sample_project.path, "mine", frame_ids=ids)
    assert run_job(request, heard.append).trained_on == seen
    assert any(isinstance(e, Warned) and "saw before" in e.message for e in heard)
    held_out = run_job(EvaluateRequest(sample_project.path, "mine", frame_ids=ids, held_out=True))
    assert held_out.n == 6 - seen
    assert subject not in {score.subject for score in held_out.frames}


def test_built_in_models_say_which_subjects_calibrated_them() -> None:
    segmenter = seen_subjects(find_model("segmenter", "compact").folder)
    synthesizer = seen_subjects(find_model("synthesizer", "compact").folder)
    # Of HC18, 478 subjects were trained on, and 32 chose the level and the confidence curve.
    assert len(segmenter) == 510 and len(synthesizer) == 478 and synthesizer < segmenter


def test_seen_test_and_validation_frames_are_warned_of(sample_project: Project) -> None:
    frames = labelled_frames(sample_project)
    parts = split(sample_project, frames)
    for part in ("test", "validation"):
        subject = of_part(frames, parts, part)[0].subject
        _copied(sample_project, "segmenter", f"saw-{part}", subject)
        data = select_training_data(
            sample_project, None, real=None, synthetic=None, segmenter=f"saw-{part}"
        )
        assert [f" {part} frames are of subjects" in said for said in data.warnings].count(True)
    data = select_training_data(sample_project, None, real=None, synthetic=None)
    assert not any("saw before" in said for said in data.warnings)


def test_a_pair_whose_synthesizer_saw_a_held_out_subject_teaches_nobody(
    sample_project: Project,
) -> None:
    held_out = _held_out(sample_project)[0].subject
    folder = _copied(sample_project, "synthesizer", "leaky", held_out)
    made = {"synthesizer": "leaky", "synthesizer_sha256": fingerprint(folder)}
    _accept(sample_project, "leaky", **made)
    own = find_model("synthesizer", "compact")
    made = {"synthesizer": "compact", "synthesizer_sha256": fingerprint(own.folder)}
    _accept(sample_project, "clean", **made)
    data = select_training_data(sample_project, None, real=None, synthetic=None)
    assert [pair.frame.name for pair in data.pairs] == ["clean"]
    assert any("synthesizer saw such subjects" in said for said in data.warnings)
    assert not any(_UNKNOWN in said for said in data.warnings)
    # The figures of a segmenter that saw this subject are not those of a new one anyway.
    parts = split(sample_project, labelled_frames(sample_project))
    saw = Seen(subjects=frozenset({hashed_subject(held_out)}))
    assert len(usable_pairs(sample_project, parts, saw)) == 2


def test_a_pair_whose_synthesizer_saw_a_held_out_subject_is_not_exported_with_it(
    sample_project: Project, tmp_path: Path
) -> None:
    frames = labelled_frames(sample_project)
    held_out = _held_out(sample_project)[0].subject
    folder = _copied(sample_project, "synthesizer", "leaky", held_out)
    made = {"synthesizer": "leaky", "synthesizer_sha256": fingerprint(folder)}
    _accept(sample_project, "leaky", **made)
    _accept(sample_project, "elsewhere", synthesizer="leaky", synthesizer_sha256="0" * 64)
    undivided = run_job(ExportRequest(sample_project.path, tmp_path / "undivided"))
    assert undivided.pairs == 2 and not undivided.problems
    sample_project.parts.divide(frame.subject for frame in frames)
    divided = run_job(ExportRequest(sample_project.path, tmp_path / "divided"))
    assert divided.pairs == 1
    assert "1 accepted pair left out: their synthesizer learnt" in divided.problems[0]
    assert divided.problems[1].startswith(f"1 pair is {_UNKNOWN} (leaky)")
    assert divided.problems[1] in (tmp_path / "divided" / DATA_CARD).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "made",
    [
        {"synthesizer": "leaky", "synthesizer_sha256": "0" * 64},  # the one here is another one
        {"synthesizer": "theirs", "synthesizer_sha256": "0" * 64, "imported": True},
        {"synthesizer": "simulator", "synthesizer_sha256": "0" * 64},  # what has weights can learn
        {},
    ],
)
def test_pairs_by_an_unknown_synthesizer_are_used_and_warned_of(
    sample_project: Project, made: dict[str, Any]
) -> None:
    _copied(sample_project, "synthesizer", "leaky")
    _accept(sample_project, "clean", synthesizer="simulator")
    _accept(sample_project, "elsewhere", **made)
    data = select_training_data(sample_project, None, real=None, synthetic=None)
    assert len(data.pairs) == 2 and len(data.unknown_makers) == 1
    (said,) = (said for said in data.warnings if _UNKNOWN in said)
    assert said.startswith("1 pair is") and f"({made.get('synthesizer', 'no name')})" in said
    # Nor is it asked of pairs that are not drawn, or of what the segmenter saw anyway.
    none = select_training_data(sample_project, None, real=None, synthetic=0)
    assert not any(_UNKNOWN in said for said in none.warnings)
    everybody = [frame.subject for frame in labelled_frames(sample_project)]
    _copied(sample_project, "segmenter", "saw-all", *everybody)
    data = select_training_data(
        sample_project, None, real=None, synthetic=None, segmenter="saw-all"
    )
    assert len(data.pairs) == 2 and not data.unknown_makers


@pytest.mark.parametrize(
    "made",
    [
        {"synthesizer": "simulator", "style": "simulated"},
        {"synthesizer": "compact", "synthesizer_sha256": "0" * 64},  # of a former version
        {"synthesizer": "diffusion", "synthesizer_sha256": "0" * 64},
    ],
)
def test_what_the_makers_of_pairs_saw_is_known_of_these(
    sample_project: Project, made: dict[str, Any]
) -> None:
    folder = _copied(sample_project, "synthesizer", "diffusion")
    card = json.loads((folder / "model.json").read_text())
    card["architecture"] = {"type": "stable-diffusion"}
    (folder / "model.json").write_text(json.dumps(card))
    _accept(sample_project, "plain", **made)
    data = select_training_data(sample_project, None, real=None, synthetic=None)
    assert len(data.pairs) == 1 and not any(_UNKNOWN in said for said in data.warnings)


def test_a_former_built_in_synthesizer_saw_what_todays_saw(
    sample_project: Project,
) -> None:
    _accept(sample_project, "former", synthesizer="compact", synthesizer_sha256="0" * 64)
    (pair,) = sample_project.pairs.all()
    saw = seen_subjects(find_model("synthesizer", "compact").folder)
    learnt = next(s for s in PUBLIC_KEYS if hashed_subject(s) in saw)
    assert MakersSeen(sample_project).one_of(pair, [learnt])
    assert not MakersSeen(sample_project).one_of(pair, ["somebody else"])


@pytest.mark.parametrize("imported", [True, False])
def test_what_a_removed_synthesizer_saw_is_known_by_its_run(
    sample_project: Project, imported: bool
) -> None:
    held_out = _held_out(sample_project)[0]
    settings = {"job": "adapt", "started_from": "compact", "started_from_sha256": "0" * 64}
    data = {"train": [held_out.id], "validation": []}
    run = sample_project.runs.start("mine", settings, data)
    folder = _copied(sample_project, "synthesizer", "other")
    sample_project.models.add("mine", "synthesizer", "models/other", run_id=run.id)
    made = {"synthesizer": "mine", "synthesizer_sha256": fingerprint(folder)}
    _accept(sample_project, "pair", **made, imported=imported)
    sample_project.models.remove("synthesizer", "mine")
    makers = MakersSeen(sample_project)
    (pair,) = sample_project.pairs.all()
    # What came from elsewhere is by another model that has the same name.
    assert makers.one_of(pair, [held_out.subject]) is not imported
    assert makers.unknown([pair]) == ({pair.id: "mine"} if imported else {})


def test_a_training_warns_once_and_records_the_unknown_makers(sample_project: Project) -> None:
    segmenter = Segmenter.load(find_model("segmenter", "compact").folder)
    torch.manual_seed(0)
    with torch.no_grad():  # damaged, so that any training improves it
        for weight in segmenter.sam.mask_decoder.output_upscaling.parameters():
            weight += 3 * weight.std() * torch.randn_like(weight)
    segmenter.save(sample_project.path / "models" / "worse", replace(segmenter.card, name="worse"))
    sample_project.models.add("worse", "segmenter", "models/worse")
    _accept(sample_project, "elsewhere", synthesizer="theirs", synthesizer_sha256="0" * 64)
    settings = TrainingSettings(epochs=3, learning_rate=3e-4)
    heard: list[Event] = []
    request = TrainRequest(
        sample_project.path, segmenter="worse", real=4, synthetic=1, settings=settings
    )
    result = run_job(request, heard.append)
    assert [_UNKNOWN in e.message for e in heard if isinstance(e, Warned)].count(True) == 1
    assert sample_project.runs.all()[0].settings["unknown_makers"] == {"theirs": 1}
    assert result.model is not None
    (said,) = not_known(find_model("segmenter", result.model, sample_project))
    assert said.startswith(f"{result.model} learnt from 1 pair {_UNKNOWN} (theirs)")


def test_a_segmenter_remembers_the_unknown_makers_of_its_pairs(sample_project: Project) -> None:
    folder = _copied(sample_project, "segmenter", "mine")
    card = json.loads((folder / "model.json").read_text())
    card["training_data"] = {"base": {"unknown_makers": {"theirs": 3}}, "unknown_makers": {}}
    (folder / "model.json").write_text(json.dumps(card))
    result = run_job(EvaluateRequest(sample_project.path, "mine", held_out=True))
    (said,) = result.not_known
    assert said.startswith(f"mine learnt from 3 pairs {_UNKNOWN} (theirs)")
    assert said in cautions(result)
    data = select_training_data(sample_project, None, real=None, synthetic=0, segmenter="mine")
    assert said in data.warnings
    assert not run_job(EvaluateRequest(sample_project.path, "compact", held_out=True)).not_known


def test_what_a_model_started_from_counts(sample_project: Project) -> None:
    frames = labelled_frames(sample_project)
    run = sample_project.runs.start(
        "child", {"started_from": "parent"}, {"train": [frames[0].id], "validation": []}
    )
    _copied(sample_project, "segmenter", "parent", "elsewhere")
    folder = _copied(sample_project, "segmenter", "other")
    sample_project.models.add("child", "segmenter", "models/other", run_id=run.id)
    seen = seen_by(sample_project, FoundModel("child", "segmenter", folder, "project"))
    assert seen.knows_subject("elsewhere") and seen.knows_subject(frames[0].subject)
    assert not seen.knows_subject("nobody")


def test_a_damaged_list_of_subjects_is_named(sample_project: Project) -> None:
    folder = _copied(sample_project, "segmenter", "mine")
    (folder / "seen_subjects.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match=r"seen_subjects\.txt is damaged"):
        run_job(EvaluateRequest(sample_project.path, "mine"))
