"""Training the built-in models: what they learn from, and what their cards say about it."""

from __future__ import annotations

import json
from argparse import Namespace
from functools import partial
from pathlib import Path

import pytest

from fetalstudio.project.project import Project
from fetalstudio.studies import pretrain
from fetalstudio.studies.reliability import estimates


@pytest.mark.slow
def test_simulated_frames_join_a_pretraining_and_its_card(
    sample_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    train = pretrain.pretrain

    def counted(examples: list, *arguments: object, **options: object) -> object:
        seen.append(len(examples))
        return train(examples, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pretrain, "pretrain", counted)
    # A model of one step gives the same figures for one frame as for seven varied copies of it.
    monkeypatch.setattr(pretrain, "estimates", partial(estimates, copies=0))
    command = ["segmenter", str(sample_project.path), "--steps", "1", "--batch", "1"]
    command += ["--checkpoint", str(tmp_path / "c.pt"), "--out", str(tmp_path / "model")]
    pretrain.main([*command, "--simulated", "3"])
    data = json.loads((tmp_path / "model" / "model.json").read_text())["training_data"]
    assert data["simulated"]["frames"] == 3 and data["simulated"]["seed"] == 0
    assert seen == [data["frames"] + 3]
    with pytest.raises(SystemExit):
        pretrain.main([*command, "--simulated", "-1"])


def test_frames_to_learn_from_are_drawn_by_the_seed(
    sample_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: dict[int, list[str]] = {}

    def noted(_project: Project, data: dict, options: Namespace) -> None:
        learnt[options.seed] = [item.id for item in data["train"]]

    monkeypatch.setattr(pretrain, "_segmenter", noted)
    for seed in range(3):
        command = ["segmenter", str(sample_project.path), "--steps", "1", "--frames", "4"]
        command += ["--checkpoint", str(tmp_path / "c.pt"), "--out", str(tmp_path / "model")]
        pretrain.main([*command, "--seed", str(seed)])
    assert {len(ids) for ids in learnt.values()} == {4}
    assert len({tuple(ids) for ids in learnt.values()}) == 3
