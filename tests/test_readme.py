"""The README's example in Python runs as it stands, and its figures are those of what ships."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fetalstudio.project.project import Project

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MODELS = ROOT / "resources" / "models"


def _text(path: Path) -> str:
    return " ".join(path.read_text(encoding="utf-8").split())


def _metrics(model: str) -> Any:
    return json.loads((MODELS / model / "model.json").read_text())["metrics"]


def _interval(limits: Sequence[float], digits: int) -> str:
    low, high = limits
    return f"{low:.{digits}f} to {high:.{digits}f}"


def test_the_figures_of_the_built_in_models_are_those_of_their_cards() -> None:
    text = _text(README)
    segmenter, synthesizer = _metrics("segmenter-compact"), _metrics("synthesizer-compact")
    dice = segmenter["auto"]["dice"]
    apart = synthesizer["realism"]
    patch = apart["told_apart_patch"]["patch"]["mean"]
    head = apart["told_apart_head"]["head"]["mean"]
    assert f"mean Dice {dice['mean']:.3f}, worst {dice['min']:.3f}" in text
    assert f"with a mean Dice of {synthesizer['dice_mean']:.3f} on" in text
    assert f"with an AUROC of {patch:.3f}, and whole heads with {head:.3f}." in text


@pytest.mark.parametrize("model", ["segmenter-compact", "segmenter-judge"])
def test_a_segmenters_readme_has_the_figures_of_its_card(model: str) -> None:
    text, auto = _text(MODELS / model / "README.md"), _metrics(model)["auto"]
    dice = auto["dice"]
    assert (
        f"Dice {dice['mean']:.4f} ({_interval(dice['ci95'], 4)}), median {dice['median']:.4f}, "
        f"worst {dice['min']:.3f}"
    ) in text
    assert f"{auto['hc_mae_mm']:.2f} mm" in text


def test_the_synthesizers_readme_has_the_figures_of_its_card() -> None:
    text = _text(MODELS / "synthesizer-compact" / "README.md")
    card = _metrics("synthesizer-compact")
    by = card["dice_by_trimester"]
    assert (
        f"is {card['dice_mean']:.4f} (95 % interval over examinations "
        f"{_interval(card['dice_ci95'], 4)}), the 5th percentile "
        f"{card['dice_5th_percentile']:.3f}, the lowest {card['dice_min']:.3f}; first trimester "
        f"{by['first']:.3f}, second {by['second']:.3f}, third {by['third']:.3f}."
    ) in text
    for test, part in (("told_apart_patch", "patch"), ("told_apart_head", "head")):
        apart = card["realism"][test][part]
        groups = " / ".join(f"{apart['by_group'][g]['mean']:.2f}" for g in by)
        assert f"| {apart['mean']:.3f} ({_interval(apart['ci95'], 3)}) | {groups} |" in text
    # That the long axis is longer and the short one shorter is part of the sentence.
    offset = card["convention"]
    assert (
        f"long axis is {100 * offset['long']:.1f} % longer and its short axis "
        f"{-100 * offset['short']:.1f} % shorter"
    ) in text


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
