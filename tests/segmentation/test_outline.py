"""The second look: geometry of rays and ellipses, and the built-in model on heads."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Affine
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import dice
from fetalstudio.engine.models.catalogue import outline_folder
from fetalstudio.engine.models.loading import load_outline
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.learning import TrainingRun
from fetalstudio.segmentation.outline import (
    RAYS,
    OutlineConfig,
    OutlineNet,
    SecondLook,
    fit,
    outline_card,
    radii_of,
    size_variances,
    sizes_of,
)
from fetalstudio.segmentation.outline_training import (
    OutlineSettings,
    in_units,
    jittered,
    pretrain_outline,
)
from tests.simulated import labelled

TINY = OutlineConfig(widths=(4, 8, 8, 8), channels=16, attention=1)
HEADS = labelled(6, seed=5, size=(480, 324))


def in_first(first: Ellipse, true: Ellipse) -> tuple[torch.Tensor, torch.Tensor]:
    centre, matrix = in_units(first, true)
    return torch.from_numpy(centre)[None], torch.from_numpy(matrix)[None]


def test_the_fit_returns_the_ellipse_that_its_points_lie_on() -> None:
    first, true = Ellipse(200, 150, 90, 70, 20), Ellipse(205, 148, 95, 66, 28)
    centre, matrix = in_first(first, true)
    offsets = radii_of(centre, matrix) - 1
    found = fit(offsets, torch.ones_like(offsets))
    assert torch.allclose(found[0], centre, atol=1e-4)
    assert torch.allclose(found[1], matrix, atol=1e-4)


def test_rays_that_are_not_trusted_do_not_move_the_fit() -> None:
    offsets = torch.full((1, RAYS // 2), 0.02, dtype=torch.float64)
    weights = torch.ones_like(offsets)
    offsets[:, :6], weights[:, :6] = 0.3, 1e-6
    radii = radii_of(*fit(offsets, weights))
    assert torch.allclose(radii, torch.full_like(radii, 1.02), atol=1e-3)


def test_sizes_are_those_of_the_ellipse() -> None:
    first, true = Ellipse(0, 0, 100, 80, 0), Ellipse(2, -3, 110, 83, 12)
    ratio = torch.tensor([first.b / first.a], dtype=torch.float64)
    hc, minor, major = sizes_of(*in_first(first, true), ratio)[0].exp() * np.sqrt(8000)
    assert hc.item() == pytest.approx(true.perimeter, rel=2e-3)
    assert (minor.item(), major.item()) == pytest.approx((true.b, true.a), rel=1e-6)


def test_an_axis_whose_ends_are_not_seen_is_the_uncertain_one() -> None:
    t = torch.arange(RAYS // 2) * (4 * torch.pi / RAYS)
    log_scales = torch.full((1, RAYS // 2), -4.0)
    log_scales[:, t.cos().abs() > 0.8] = -2.0  # the ends of the long axis
    hc, bpd, ofd = size_variances(log_scales, torch.tensor([0.8]))[0].tolist()
    assert ofd > 2 * bpd
    assert bpd < hc < ofd


@pytest.mark.parametrize(("image", "true"), HEADS)
def test_a_rough_ellipse_comes_closer_to_the_skull(image: np.ndarray, true: Ellipse) -> None:
    size = (image.shape[1], image.shape[0])
    rough = Ellipse.of(
        true.cx + 0.05 * true.a, true.cy, 1.06 * true.a, 0.95 * true.b, true.angle_deg
    )
    found = load_outline().snap(image, rough)
    assert found.ellipse is not None
    before, after = (dice(e.mask(size), true.mask(size)) for e in (rough, found.ellipse))
    assert after > before
    assert 0 < found.spread.hc < 0.1


def test_sonographers_ellipses_are_met_from_rough_ones(samples: Path) -> None:
    rng, before, after = np.random.default_rng(1), [], []
    for ring in sorted(samples.glob("*_Annotation.png")):
        image = read_image(ring.with_name(ring.name.replace("_Annotation", "")))
        true, size = Ellipse.from_ring(read_image(ring)), (image.shape[1], image.shape[0])
        rough = jittered(rng, true, 0.06)
        found = load_outline().snap(image, rough).ellipse
        assert found is not None
        before.append(dice(rough.mask(size), true.mask(size)))
        after.append(dice(found.mask(size), true.mask(size)))
    assert np.mean(before) < 0.96
    assert np.mean(after) > 0.97


def test_a_mirrored_frame_has_the_mirrored_ellipse() -> None:
    image, true = HEADS[0]
    mirror = Affine(xx=-1.0, x0=image.shape[1] - 1.0)
    rough = Ellipse.of(true.cx + 4, true.cy - 3, 1.03 * true.a, true.b, true.angle_deg + 3)
    found = load_outline().snap(image, rough).ellipse
    other = (
        load_outline().snap(np.ascontiguousarray(image[:, ::-1]), rough.transformed(mirror)).ellipse
    )
    assert found is not None and other is not None
    back = other.transformed(mirror)
    assert (back.cx, back.cy, back.a, back.b) == pytest.approx(
        (found.cx, found.cy, found.a, found.b), abs=0.3
    )


def test_an_ellipse_far_from_any_frame_is_answered() -> None:
    black = np.zeros((64, 64), np.uint8)
    found = load_outline().snap(black, Ellipse(300, 300, 20, 10, 0))
    assert found.ellipse is None or np.isfinite(found.ellipse.perimeter)


def test_a_saved_model_answers_as_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    card = outline_card("tiny", TINY, preprocessing={"views": 1, "calibration": [2.0, 3.0, 4.0]})
    look = SecondLook(OutlineNet(TINY), card, torch.device("cpu"))
    look.save(tmp_path, card)
    image, true = HEADS[0]
    loaded = SecondLook.load(tmp_path, torch.device("cpu"))
    first, again = look.snap(image, true), loaded.snap(image, true)
    assert first.ellipse is not None and again.ellipse is not None
    assert again.ellipse.perimeter == pytest.approx(first.ellipse.perimeter, rel=1e-2)
    assert again.spread.ofd == pytest.approx(first.spread.ofd, rel=0.05)


def test_a_damaged_model_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "outline"
    shutil.copytree(outline_folder(), folder)
    weights = folder / "outline.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"outline\.safetensors"):
        SecondLook.load(folder)


def test_a_card_that_does_not_fit_its_weights_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "outline"
    shutil.copytree(outline_folder(), folder)
    card = json.loads((folder / "model.json").read_text())
    card["architecture"]["channels"] = 64
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="does not fit"):
        SecondLook.load(folder)


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    frames = [LabelledFrame.of(image, ellipse) for image, ellipse in HEADS]
    done: list[int] = []

    def trained(run: TrainingRun) -> OutlineNet:
        settings = OutlineSettings(steps=4, batch=2, cropped=0.5)
        return pretrain_outline(frames[3:], settings, run, simulated=frames[:3], config=TINY)

    whole = trained(TrainingRun(tmp_path / "whole.pt")).state_dict()
    run = TrainingRun(tmp_path / "parts.pt")
    trained(replace(run, on_step=lambda step, _: done.append(step), stopped=lambda: done == [1, 2]))
    assert done == [1, 2]
    parts = trained(run).state_dict()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
