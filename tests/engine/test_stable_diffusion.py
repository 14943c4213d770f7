"""Stable Diffusion through the commands and jobs: added, adapted, synthesised from, reviewed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fetalstudio.cli import main
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.cohort_split import labelled_frames, of_part, split
from fetalstudio.engine.jobs.adapt_sd.request import AdaptStableDiffusionRequest, ProbeRequest
from fetalstudio.engine.jobs.sample.request import SampleRequest
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.engine.models import base_models
from fetalstudio.engine.models import loading as models
from fetalstudio.engine.models.catalogue import list_models
from fetalstudio.engine.models.loading import find_model, load_synthesizer
from fetalstudio.engine.models.verify import verify
from fetalstudio.engine.process.events import Checkpoint, Event, Preview, Progress, Warned
from fetalstudio.engine.process.local import run_job
from fetalstudio.formats.model_card import ModelCard, training_frames
from fetalstudio.project.project import Project
from fetalstudio.studies.campaigns.tiny_stable_diffusion import write_tiny
from fetalstudio.synthesis.stable_diffusion import memory, sampling
from fetalstudio.synthesis.stable_diffusion.canvas import draw_outline
from tests.progress import Watched
from tests.synthesis.single_file import write_single_file


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("sd") / "tiny")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("FETALSTUDIO_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    models._synthesizer.cache_clear()


def _adapt(project: Project, **fields: Any) -> AdaptStableDiffusionRequest:
    options = {"rank": 4, "alpha": 4, **fields.pop("options", {})}
    values: dict[str, Any] = {"base": "sd15", "steps": 3, "options": options, **fields}
    return AdaptStableDiffusionRequest(project.path, **values)


def test_the_whole_way_by_commands(
    home: Path, weights: Path, sample_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*arguments: str) -> Any:
        assert main([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    project = str(sample_project.path)
    added = command("models", "add", str(weights), "--name", "sd15")["added"]
    assert added["name"] == "sd15" and Path(added["folder"]).is_relative_to(home)
    listed = command("models", "list")["models"]
    assert ("synthesizer", "sd15", "user") in {(m["kind"], m["name"], m["origin"]) for m in listed}

    adapt = ["adapt-sd", project, "--base", "sd15", "--steps", "3", "--set", "rank=4"]
    paper = command(*adapt, "--set", "flip=true")
    assert paper["model"] == "sd15-paper" and paper["steps"] == 3 and paper["loss_first"] > 0
    conditioned = command(*adapt, "--mode", "conditioned", "--name", "rules")
    assert conditioned["frames"] == paper["frames"] > 0

    card = ModelCard.read(find_model("synthesizer", "sd15-paper", sample_project).folder)
    assert card.architecture["settings"]["flip"] is True
    assert card.architecture["base"] == "sd15" and str(weights) not in json.dumps(card.architecture)

    made = {}
    for name in ("sd15-paper", "rules"):
        run = ["synthesize", project, "--synthesizer", name, "--count", "2", "--steps", "2"]
        made[name] = command(*run)["pair_ids"]
        assert len(made[name]) == 2
    for name, ids in made.items():
        for pair in map(sample_project.pairs.get, ids):
            assert pair.state == "pending" and pair.frame.kind == "synthetic"
            assert pair.provenance["synthesizer"] == name
            assert pair.provenance["steps"] == 2 and isinstance(pair.provenance["seed"], int)
            assert len(pair.provenance["synthesizer_sha256"]) == 64
            assert "outline_score" in pair.quality and "dice" in pair.quality
            # The paper's model chooses how large a head it draws: no scale in mm holds for it.
            assert (pair.frame.calibration is None) == (name == "sd15-paper")
    assert all(p.ellipse == p.requested for p in map(sample_project.pairs.get, made["rules"]))


@pytest.fixture
def paper(home: Path, weights: Path, sample_project: Project) -> Project:
    """A project with an adapted model called ``mine``."""
    base_models.add_base_model(weights, "sd15")
    run_job(_adapt(sample_project, name="mine"))
    return sample_project


def test_the_ellipse_in_the_picture_becomes_the_label(
    paper: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Ellipse(30, 33, 20, 14, 40)
    ring = draw_outline(shown, 64, 1.5)
    half = ring.copy()
    half[:, 36:] = 0
    rng = np.random.default_rng(0)
    drawings = iter([ring, half, ring])

    def decode(vae: Any, latents: Any) -> list[Any]:
        grey = [rng.integers(0, 200, (64, 64), dtype=np.uint8) for _ in latents]
        return [np.dstack([g, g, next(drawings)]) for g in grey]

    monkeypatch.setattr(sampling, "decode", decode)
    request = SynthesizeRequest(paper.path, count=3, synthesizer="mine", steps=2, seed=1)
    ids = run_job(request).pair_ids
    pairs = [paper.pairs.get(i) for i in ids]
    for pair in (pairs[0], pairs[2]):
        (w, h), e = pair.frame.size, pair.ellipse
        assert e != pair.requested and pair.state == "pending"
        assert (e.cx / w, e.cy / h) == pytest.approx((30.5 / 64, 33.5 / 64), abs=0.02)
        assert pair.quality["outline_score"] > 0.7
    assert pairs[1].quality["outline_score"] < 0.65
    assert paper.pairs.review(pairs[0].id, "accepted", reviewer="t").ellipse == pairs[0].ellipse


def test_adaptation_sees_no_held_out_subject(paper: Project) -> None:
    labelled = labelled_frames(paper)
    train = of_part(labelled, split(paper, labelled), "train")
    folder = find_model("synthesizer", "mine", paper).folder
    assert training_frames(folder) == {item.id[:16] for item in train}
    assert not list((paper.path / "models").glob(".run-*"))
    remembered = models.load_neighbours(find_model("synthesizer", "mine", paper))
    assert remembered is not None and set(remembered.ids) == training_frames(folder)
    own = paper.frames.pixels(train[0].id)
    assert remembered.nearest(own, train[0].ellipse).similarity > remembered.threshold
    assert load_synthesizer(find_model("synthesizer", "mine", paper)).card.name == "mine"


def test_a_cancelled_adaptation_goes_on_where_it_was(
    home: Path, weights: Path, sample_project: Project
) -> None:
    base_models.add_base_model(weights, "sd15")
    heard: list[Event] = []

    def after_two() -> bool:
        return any(isinstance(e, Progress) and e.total == 6 and e.done == 2 for e in heard)

    request = _adapt(sample_project, name="mine", steps=6)
    with pytest.raises(Stopped):
        run_job(request, heard.append, cancelled=after_two)
    assert isinstance(heard[-2], Checkpoint) and heard[-2].path.exists()
    assert sample_project.models.all("synthesizer") == []
    with pytest.raises(InputError, match="other settings"):
        run_job(_adapt(sample_project, name="mine", steps=6, options={"rank": 8}))
    labelled = labelled_frames(sample_project)
    item = of_part(labelled, split(sample_project, labelled), "train")[0]
    moved = replace(item.ellipse, cx=item.ellipse.cx + 9)
    sample_project.annotations.add(item.id, moved, author="me", state="final")
    with pytest.raises(InputError, match="other frames"):
        run_job(request)
    sample_project.annotations.add(item.id, item.ellipse, author="me", state="final")
    heard.clear()
    run_job(request, heard.append)
    adapting = [e.done for e in heard if isinstance(e, Progress) and e.total == 6]
    assert adapting == [0, 3, 4, 5, 6]
    assert [m.name for m in sample_project.models.all("synthesizer")] == ["mine"]


def test_a_cancelled_batch_stores_no_unfinished_picture(paper: Project) -> None:
    heard: list[Event] = []
    request = SynthesizeRequest(paper.path, count=8, synthesizer="mine", steps=10)
    asked = 0

    def cancelled() -> bool:
        """In the middle of the second four pictures."""
        nonlocal asked
        asked += sum(isinstance(event, Preview) for event in heard) >= 4
        return asked > 5

    with pytest.raises(Stopped) as stopped:
        run_job(request, heard.append, cancelled=cancelled)
    assert len(paper.pairs.all()) == len(stopped.value.result.pair_ids) == 4
    assert asked == 6


def test_running_out_of_memory_is_said_in_a_warning(
    paper: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = sampling.sample, 0

    def sample(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise torch.OutOfMemoryError("injected")
        return real(*args, **options)

    monkeypatch.setattr(sampling, "sample", sample)
    heard: list[Event] = []
    item = labelled_frames(paper)[0]
    request = SampleRequest(
        item.ellipse, item.size, project=paper.path, synthesizer="mine", steps=2
    )
    run_job(replace(request, measure=False, previews=False), heard.append)
    (warned,) = [e for e in heard if isinstance(e, Warned)]
    assert "Memory ran out with the preset 'large'" in warned.message


def test_a_name_that_is_being_adapted_elsewhere_is_left_alone(
    home: Path, weights: Path, sample_project: Project
) -> None:
    base_models.add_base_model(weights, "sd15")
    other_name = _adapt(sample_project, name="other", steps=1)
    elsewhere = sample_project.runs.start("mine", {"job": "adapt-sd"}, {})
    with pytest.raises(InputError, match="'mine' is taken"):
        run_job(_adapt(sample_project, name="mine"))
    run_job(other_name)
    sample_project.runs.update(elsewhere.id, state="failed")
    with pytest.raises(InputError, match="taken"):
        run_job(other_name)
    run_job(_adapt(sample_project, name="mine", steps=1))
    assert {m.name for m in sample_project.models.all("synthesizer")} == {"mine", "other"}


def test_an_adaptation_that_cannot_fit_is_refused_before_it_begins(
    home: Path, weights: Path, sample_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    base_models.add_base_model(weights, "sd15")
    sizes = {"large": 9e9, "medium": 5e9, "small": 2e9}
    monkeypatch.setattr(memory, "needed_bytes", lambda parts, way, *a, **k: int(sizes[way.name]))
    monkeypatch.setattr(memory, "free_bytes", lambda device: 3 * 10**9)
    with pytest.raises(InputError, match=r"preset 'large'.*Choose the preset 'small'"):
        run_job(_adapt(sample_project, memory="large"))
    assert sample_project.models.all("synthesizer") == []


def test_what_cannot_be_adapted_or_used_is_said(
    home: Path, weights: Path, sample_project: Project
) -> None:
    base_models.add_base_model(weights, "sd15")
    for fields, message in (
        ({"base": "nowhere"}, "no synthesizer called 'nowhere'"),
        ({"base": "compact"}, "compact is not a Stable Diffusion"),
        ({"name": "compact"}, "is taken"),
        ({"name": "a/b"}, "cannot be a model's name"),
        ({"steps": 0}, "steps is 0"),
        ({"cohort": "none"}, "has no cohort 'none'"),
        ({"memory": "huge"}, "no memory preset 'huge'"),
    ):
        with pytest.raises(InputError, match=message):
            run_job(_adapt(sample_project, **fields))
    with pytest.raises(InputError, match="has never seen an ultrasound"):
        load_synthesizer(find_model("synthesizer", "sd15"))


def test_the_self_tests_probe_is_a_job() -> None:
    assert "transformers" in run_job(ProbeRequest())


def test_bases_are_checked_when_they_are_added(home: Path, weights: Path, tmp_path: Path) -> None:
    base_models.add_base_model(weights, "sd15")
    file = write_single_file(weights, tmp_path / "v1-5.safetensors")
    watched = Watched()
    added = base_models.add_base_model(file, config=weights, progress=watched)
    size = file.stat().st_size
    assert added.name == "v1-5" and watched.steps[-1] == (size, size)
    assert {m.name for m in list_models() if m.origin == "user"} == {"sd15", "v1-5"}
    assert verify(added) is None and verify(find_model("synthesizer", "sd15")) is None
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "v1-5.safetensors has changed since the model was added" in str(verify(added))
    (tmp_path / "old.ckpt").touch()
    for path, name, message in (
        (weights, "sd15", "is taken"),
        (weights, "compact", "is taken"),
        (tmp_path / "old.ckpt", None, "is a pickle"),
        (file, "other", "--config"),
        (tmp_path, "other", "is missing"),
    ):
        with pytest.raises(InputError, match=message):
            base_models.add_base_model(path, name)


def test_weights_that_moved_or_changed_are_named_with_the_cure(
    paper: Project, weights: Path, tmp_path: Path
) -> None:
    mine = find_model("synthesizer", "mine", paper)
    base = find_model("synthesizer", "sd15").folder
    card = ModelCard.read(base)

    def load_with(**changes: Any) -> None:
        replace(card, architecture={**card.architecture, **changes}).write(base)
        load_synthesizer(mine)

    load_with()
    with pytest.raises(InputError, match=r"no longer there.*models add PATH"):
        load_with(weights=str(tmp_path / "away"))
    with pytest.raises(InputError, match="has changed since"):
        load_with(weights_bytes=1)
    with pytest.raises(
        InputError, match="other Stable Diffusion weights than those that are called sd15"
    ):
        load_with(weights_sha256="0" * 64)
    shutil.rmtree(base)
    with pytest.raises(InputError, match="called sd15 and are not on this machine"):
        load_synthesizer(mine)
