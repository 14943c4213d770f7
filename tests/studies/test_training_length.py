"""A training's checkpoints are measured with both kinds of weights that they hold."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fetalstudio.learning import load_checkpoint
from fetalstudio.project.project import Project
from fetalstudio.studies import ablation, training_length
from fetalstudio.studies.training_length import pipeline_of


def test_both_kinds_of_weights_of_a_checkpoint_are_measured(
    sample_project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny = replace(ablation.VARIANTS["narrow"], settings={"widths": (8, 8, 16, 32)})
    monkeypatch.setattr(ablation, "VARIANTS", {"narrow": tiny})
    small = ["--steps", "2", "--batch", "2", "--frames", "2", "--seeds", "1"]
    ablation.main([str(sample_project.path), str(tmp_path), "--variants", "narrow", *small])
    checkpoint = tmp_path / "narrow.pt"
    capsys.readouterr()
    training_length.main(
        [str(sample_project.path), str(checkpoint), "--seeds", "1", "--frames", "1"]
    )
    rows = [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()]
    assert rows[2:] == ["| 2 steps, moving average", "| 2 steps, last step"]
    state = load_checkpoint(checkpoint)
    assert state is not None
    average, last = (pipeline_of(state, weights) for weights in training_length.WEIGHTS)
    name = "conv_in.weight"
    assert torch.equal(last.unet.state_dict()[name], state["model"][name])
    assert torch.equal(average.unet.state_dict()[name], state["average"]["shadow"][name])
    assert not torch.equal(average.unet.conv_in.weight, last.unet.conv_in.weight)


def test_another_file_is_no_checkpoint(sample_project: Project, tmp_path: Path) -> None:
    for path in (tmp_path / "none.pt", tmp_path / "other.pt"):
        if path.name == "other.pt":
            torch.save({"step": 1}, path)
        with pytest.raises(SystemExit, match=f"{path.name} is not a checkpoint"):
            training_length.main([str(sample_project.path), str(path)])
