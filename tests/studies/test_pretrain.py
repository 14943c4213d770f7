"""Training the built-in models: what they learn from, and what their cards say about it."""

from __future__ import annotations

import json
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fetalstudio.engine.models.loading import find_model
from fetalstudio.formats.model_card import seen_subjects
from fetalstudio.formats.neighbours import read_neighbours
from fetalstudio.project.project import Project
from fetalstudio.segmentation.compact import CompactConfig
from fetalstudio.studies.pretrain import detail, outline, segmenter, synthesizer
from fetalstudio.studies.pretrain.__main__ import main
from fetalstudio.studies.reliability import estimates
from fetalstudio.synthesis.detail import Detail
from fetalstudio.synthesis.equaliser import NEUTRAL
from fetalstudio.synthesis.guidance import Guidance
from fetalstudio.synthesis.synthesizer import Synthesizer


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segmenter that is quickly measured on all frames."""
    config = CompactConfig(
        image_size=64, widths=(8, 8, 8, 32), blocks=(1, 1, 1), attention=1, decoder_mlp=8
    )
    monkeypatch.setattr(segmenter, "CompactConfig", lambda: config)
    monkeypatch.setattr(segmenter, "pretrain", partial(segmenter.pretrain, config=config))


@pytest.mark.slow
def test_simulated_frames_join_a_pretraining_and_its_card(
    sample_project: Project, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    train = segmenter.pretrain

    def counted(examples: list, *arguments: object, **options: object) -> object:
        seen.append(len(examples))
        return train(examples, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(segmenter, "pretrain", counted)
    # A model of one step gives the same figures for one frame as for seven varied copies of it.
    monkeypatch.setattr(segmenter, "estimates", partial(estimates, copies=0))
    command = ["segmenter", str(sample_project.path), "--steps", "1", "--batch", "1"]
    command += ["--checkpoint", str(tmp_path / "c.pt"), "--out", str(tmp_path / "model")]
    main([*command, "--simulated", "3"])
    data = json.loads((tmp_path / "model" / "model.json").read_text())["training_data"]
    assert data["simulated"]["frames"] == 3 and data["simulated"]["seed"] == 0
    assert seen == [data["frames"] + 3]
    with pytest.raises(SystemExit):
        main([*command, "--simulated", "-1"])


def test_the_judge_knows_no_head_that_a_synthesizer_learnt_from(
    sample_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: dict[str, set[str]] = {}

    def noted(*arguments: Any) -> None:
        data, options = arguments[-2:]
        learnt[options.kind] = {item.subject for item in data["train"]}

    for module in (segmenter, synthesizer, detail, outline):
        monkeypatch.setattr(module, "build", noted)
    rest = [str(sample_project.path), "--steps", "1", "--checkpoint", "c", "--out", "o"]
    for kind in ("segmenter", "synthesizer", "outline", "judge"):
        main([kind, *rest])
    main(["detail", *rest, "--start", "m"])
    assert learnt["detail"] == learnt["synthesizer"]
    assert learnt["judge"] and learnt["synthesizer"]
    assert not learnt["judge"] & learnt["synthesizer"]
    assert learnt["judge"] | learnt["synthesizer"] == learnt["segmenter"] == learnt["outline"]
    with pytest.raises(SystemExit):
        main(["judge", *rest, "--accepted-pairs", "also"])


@pytest.mark.slow
def test_a_judge_is_trained_by_one_command(
    sample_project: Project, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmenter, "estimates", partial(estimates, copies=0))
    command = ["judge", str(sample_project.path), "--steps", "1", "--batch", "1"]
    main([*command, "--checkpoint", str(tmp_path / "c.pt"), "--out", str(tmp_path / "m")])
    card = json.loads((tmp_path / "m" / "model.json").read_text())
    assert card["name"] == "judge"
    assert card["preprocessing"]["views"] == 1 and "box_share" not in card["preprocessing"]
    assert "synthesizers learn" in card["training_data"]["held_out"]


@pytest.mark.slow
def test_a_detail_stage_completes_a_synthesizer(
    sample_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = find_model("synthesizer", "compact").folder
    measured: list[object] = []

    def figures(model: Synthesizer, items: list) -> dict[str, int]:
        measured.append(model.finish)
        return {"n": len(items)}

    monkeypatch.setattr(detail, "fidelity", figures)
    command = ["detail", str(sample_project.path), "--steps", "1", "--batch", "1", "--frames", "2"]
    command += ["--checkpoint", str(tmp_path / "c.pt"), "--out", str(tmp_path / "m")]
    with pytest.raises(SystemExit):
        main(command)
    main([*command, "--start", str(start)])
    assert len(list(tmp_path.glob("c.canvases/*/*.npy"))) == 2
    model = Synthesizer.load(tmp_path / "m")
    assert isinstance(model.finish, Detail) and isinstance(measured[0], Detail)
    assert (model.finish.net.equaliser.gains != NEUTRAL).any()
    assert not (tmp_path / "m" / "lift.safetensors").exists()
    learnt = model.card.training_data["detail"]
    assert learnt["frames"] == 2 and learnt["settings"]["steps"] == 1
    assert "judge learns" in learnt["held_out"]
    assert read_neighbours(tmp_path / "m") is not None


@pytest.mark.slow
def test_another_guidance_is_taught_by_a_synthesizer_that_follows_its_own(
    sample_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model keeps the detail stage and counts what the one before it saw."""
    before = find_model("synthesizer", "compact").folder
    asked: list[Guidance] = []
    train = synthesizer.train

    def watched(*args: Any, **keywords: Any) -> Any:
        asked.append(keywords["teacher"].follows)
        return train(*args, **keywords)

    monkeypatch.setattr(synthesizer, "train", watched)
    monkeypatch.setattr(synthesizer, "fidelity", lambda model, items: {"n": len(items)})
    out = tmp_path / "m"
    command = ["synthesizer", str(sample_project.path), "--steps", "1", "--batch", "1"]
    command += ["--frames", "2", "--guidance", "1.75", "--first-guidance", "2"]
    command += ["--start", str(before), "--teacher", str(before)]
    main([*command, "--checkpoint", str(tmp_path / "c.pt"), "--out", str(out)])
    assert asked == [Synthesizer.load(before).learnt_guidance]
    made, old = Synthesizer.load(out), Synthesizer.load(before)
    assert made.learnt_guidance == Guidance(1.75, first=2.0)
    assert made.pipeline.config.default_guidance == 1.0
    assert isinstance(made.finish, Detail) and isinstance(old.finish, Detail)
    weights = made.finish.net.state_dict()
    kept = {k: v for k, v in old.finish.net.state_dict().items() if k != "gains"}
    assert kept and all(weights[name].equal(value) for name, value in kept.items())
    learnt = made.card.training_data
    assert learnt["base"] == old.card.training_data and learnt["frames"] == 2
    assert learnt["detail"]["equalised_on"] == 2
    assert seen_subjects(before) < seen_subjects(out)
    known, now = read_neighbours(before), read_neighbours(out)
    assert known is not None and now is not None and set(known.ids) < set(now.ids)


@pytest.mark.parametrize(
    ("guidance", "message"),
    [
        (("--first-guidance", "2"), "with --guidance"),
        (("--guidance", "0"), "are 1 to 10"),
        (("--guidance", "2", "--first-guidance", "11"), "are 1 to 10"),
    ],
)
def test_a_guidance_that_cannot_be_learnt_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], guidance: tuple[str, ...], message: str
) -> None:
    command = ["synthesizer", str(tmp_path), "--steps", "1", *guidance]
    with pytest.raises(SystemExit):
        main([*command, "--checkpoint", str(tmp_path / "c.pt"), "--out", str(tmp_path / "m")])
    assert message in capsys.readouterr().err


def test_frames_to_learn_from_are_drawn_by_the_seed(
    sample_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: dict[int, list[str]] = {}

    def noted(_project: Project, data: dict, options: Namespace) -> None:
        learnt[options.seed] = [item.id for item in data["train"]]

    monkeypatch.setattr(segmenter, "build", noted)
    for seed in range(3):
        command = ["segmenter", str(sample_project.path), "--steps", "1", "--frames", "4"]
        command += ["--checkpoint", str(tmp_path / "c.pt"), "--out", str(tmp_path / "model")]
        main([*command, "--seed", str(seed)])
    assert {len(ids) for ids in learnt.values()} == {4}
    assert len({tuple(ids) for ids in learnt.values()}) == 3
