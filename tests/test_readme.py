"""The README's example in Python runs as it stands, and its figures are those of what ships."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from fetalstudio.project.project import Project

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MODELS = ROOT / "resources" / "models"


def test_the_figures_of_the_built_in_models_are_those_of_their_cards() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split())

    def metrics(model: str) -> Any:
        return json.loads((MODELS / model / "model.json").read_text())["metrics"]

    segmenter, synthesizer = metrics("segmenter-compact"), metrics("synthesizer-compact")
    dice = segmenter["auto"]["dice"]
    apart = synthesizer["realism"]
    patch = apart["told_apart_patch"]["patch"]["mean"]
    head = apart["told_apart_head"]["head"]["mean"]
    assert f"mean Dice {dice['mean']:.3f}, worst {dice['min']:.3f}" in text
    assert f"with a mean Dice of {synthesizer['dice_mean']:.3f} on" in text
    assert f"with an AUROC of {patch:.3f}, and whole heads with {head:.3f}." in text


@pytest.mark.slow
def test_from_a_folder_of_frames_to_an_evaluated_model(
    tmp_path: Path,
    samples: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    shutil.copytree(samples, tmp_path / "frames")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block, str(README), "exec"), names)
    assert re.search(r"Dice.* 0\.9\d+ \[0\.\d+, 0\.\d+\]$", capsys.readouterr().out.strip())
    with Project.open(tmp_path / "heads") as project:
        assert len(project.frames.all(cohort="Scanner A")) == 24
        assert len(project.pairs.all(state="accepted")) == 4
        assert [run.state for run in project.runs.all()].count("finished") >= 1
