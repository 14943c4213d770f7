"""The ablation: each variant is what its words say, and one run trains, measures and tabulates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.project.project import Project
from fetalstudio.studies import ablation
from fetalstudio.studies.ablation import VARIANTS, Target
from fetalstudio.synthesis.conditions import Condition, condition_tensors
from fetalstudio.synthesis.pipeline import CompactPipeline, build_scheduler
from tests.labelled import of_style
from tests.synthesis.tiny_synthesizer import tiny_pipeline


def _made(name: str) -> CompactPipeline:
    return VARIANTS[name].pipeline(tiny_pipeline().unet, build_scheduler())


@pytest.mark.parametrize("name", ["base", "plain-blocks"])
def test_bands_are_undone(name: str) -> None:
    pipeline = _made(name)
    images = torch.rand(1, 1, 256, 384) * 2 - 1
    there = pipeline.encode(images)
    assert there.shape == (1, 16, 64, 96)
    wanted = ((images + 1) * 127.5).round()[:, 0].to(torch.uint8)
    assert np.abs(pipeline.decode(there).astype(int) - wanted.numpy().astype(int)).max() <= 1
    first = there[0, :, 0, 0]
    plain = images[0, 0, :4, :4].flatten()
    assert torch.allclose(first, plain) == (name == "plain-blocks")


@torch.no_grad()
def test_what_a_variant_does_not_see_changes_nothing() -> None:
    cpu = torch.device("cpu")
    one = Condition(Ellipse(190, 120, 80, 60, 10), None, "first")
    two = Condition(Ellipse(190, 120, 80, 60, 10), np.ones((256, 384), np.uint8), "third")
    noisy, level = torch.randn(1, 16, 64, 96), torch.tensor(0.5)
    (maps, label), (others, other) = (condition_tensors([c], cpu) for c in (one, two))

    def moved(name: str, maps_: torch.Tensor, label_: torch.Tensor) -> bool:
        pipeline = _made(name)
        before = pipeline.velocity(noisy, maps, label, level)
        return not torch.equal(before, pipeline.velocity(noisy, maps_, label_, level))

    assert moved("base", others, label) and not moved("no-sector", others, label)
    assert moved("base", maps, other) and not moved("no-style", maps, other)
    without = maps.clone()
    without[:, 1:5] = 0
    assert moved("no-distance", without, label) and moved("no-coordinates", without, label)
    assert not moved("coverage-only", without, label)


@torch.no_grad()
def test_v_prediction_asks_the_denoiser_for_v() -> None:
    """With an answer of v = c noise - s clean, the velocity is noise - clean at every level."""
    pipeline = _made("v-prediction")
    clean, noise = torch.randn(2, 16, 64, 96), torch.randn(2, 16, 64, 96)
    level = torch.tensor([0.2, 0.9])
    t = level.view(-1, 1, 1, 1)
    radius = ((1 - t) ** 2 + t**2).sqrt()
    answer = ((1 - t) * noise - t * clean) / radius
    seen = []

    def denoiser(x: torch.Tensor, *_args: object, **_options: object) -> object:
        seen.append(x[:, :16])
        return type("Answer", (), {"sample": answer})

    pipeline.unet.forward = denoiser
    conditions = [Condition(Ellipse(190, 120, 80, 60, 10))] * 2
    found = pipeline.velocity(
        torch.lerp(clean, noise, t), *condition_tensors(conditions, clean.device), level
    )
    torch.testing.assert_close(found, noise - clean, rtol=1e-4, atol=1e-4)
    assert 0.95 < float(seen[0].std()) < 1.05


def test_a_target_is_laid_on_the_canvas() -> None:
    frame = np.full((540, 800), 60, np.uint8)
    target = Target.of(of_style(frame, Ellipse(400, 270, 200, 150, 20), "second"))
    assert target.frame.image.shape == (256, 384)
    assert abs(target.frame.ellipse.a - 200 * 256 / 540) < 2
    assert target.condition.style == "second"


@pytest.mark.slow
def test_a_run_trains_measures_and_adds_to_the_table(
    sample_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = {
        name: replace(variant, settings={"widths": (8, 8, 16, 32)})
        for name, variant in VARIANTS.items()
    }
    monkeypatch.setattr(ablation, "VARIANTS", tiny)
    small = ["--steps", "1", "--batch", "1", "--frames", "2", "--seeds", "1"]
    for name in ("narrow", "no-style"):
        ablation.main([str(sample_project.path), str(tmp_path), "--variants", name, *small])
    row = json.loads((tmp_path / "narrow.json").read_text())
    assert row["figures"]["base"]["n"] == row["figures"]["base"]["frames"] >= 1
    table = (tmp_path / "ablation.md").read_text()
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == [
        "| widths 32, 64, 96, 128",
        "| no trimester",
    ]
    with pytest.raises(SystemExit, match="--start"):
        ablation.main([str(sample_project.path), str(tmp_path), "--variants", "simulated-first"])
