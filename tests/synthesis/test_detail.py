"""The detail stage learns the texture of real frames, follows the lender and keeps the head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import letterbox, warp
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.probe import Probe
from fetalstudio.core.sector import tissue_mask
from fetalstudio.core.spectrum import tissue_power
from fetalstudio.engine.models.loading import find_model
from fetalstudio.engine.models.verify import verify
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.learning import TrainingRun
from fetalstudio.resources import samples_dir
from fetalstudio.synthesis.conditions import CANVAS
from fetalstudio.synthesis.detail import (
    CONDITIONS,
    Detail,
    DetailNet,
    beam_maps,
    lent_by,
    noise_of,
)
from fetalstudio.synthesis.detail_training import (
    SIZES,
    DetailSettings,
    Material,
    canvases_of,
    material_of,
    train_detail,
)
from fetalstudio.synthesis.equaliser import fine_power
from fetalstudio.synthesis.lift import enlarged
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.synthesizer import Synthesizer

SIZE = (800, 540)
PROBE = Probe(400, -200, 220, 760, 0.6)


@pytest.fixture(scope="module")
def frame() -> LabelledFrame:
    return LabelledFrame.of(
        read_image(samples_dir() / "209_HC.png"), Ellipse(420, 260, 200, 155, 20), id="a"
    )


@pytest.fixture(scope="module")
def material(frame: LabelledFrame) -> list[Material]:
    canvas = warp(frame.image, letterbox(frame.size, CANVAS), CANVAS)
    return material_of(frame, np.stack([canvas] * 3))


def test_the_beams_are_known_at_each_place() -> None:
    x, y, depth, scale = beam_maps(PROBE, SIZE, 2.0)
    assert x.shape == (135, 200) and scale[0, 0] == 1
    assert abs(x[:, 100]).max() < 0.05 and x[60, 20] < 0 < x[60, 180]
    assert (np.diff(depth[:, 100]) >= 0).all() and y.min() > 0


def test_noise_is_the_same_for_a_seed_and_widens_with_depth() -> None:
    one, same, other = (noise_of(seed, PROBE, SIZE) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.01
    beams = one[1, :, 350:450]

    def across(rows: slice) -> float:
        x = beams[rows]
        return float(np.corrcoef(x[:, :-2].ravel(), x[:, 2:].ravel())[0, 1])

    assert across(slice(400, 520)) > across(slice(40, 160)) + 0.1
    assert one.std(axis=(1, 2)) == pytest.approx([1, 1], abs=0.05)


def test_material_is_a_frame_at_several_sizes(material: list[Material]) -> None:
    assert len(material) >= 3  # at the smallest size there may be too little tissue
    for one in material:
        factor = one.frame.shape[1] / 800
        assert any(abs(factor - size) < 0.01 for size in SIZES)
        assert one.ellipse.a == pytest.approx(200 * factor, rel=0.01)
        assert one.speckle.shape == (2, CONDITIONS - 4)
    assert material[0].speckle.mean() > material[-1].speckle.mean()


def test_canvases_are_reduced_redrawn_and_made(frame: LabelledFrame) -> None:
    pipeline = Synthesizer.load(find_model("synthesizer", "compact").folder).pipeline
    reduced, again, made = canvases_of(pipeline, [frame], [3])[0].astype(float)
    apart = [np.corrcoef(reduced.ravel(), other.ravel())[0, 1] for other in (again, made)]
    assert 1 > apart[0] > apart[1]


def test_a_training_goes_on_where_it_stopped(material: list[Material], tmp_path: Path) -> None:
    settings = DetailSettings(steps=4, batch=2, width=4)
    whole = train_detail(material, settings, TrainingRun(tmp_path / "whole.pt"))
    done: list[int] = []
    run = TrainingRun(tmp_path / "halves.pt")
    half = replace(
        run, on_step=lambda step, loss: done.append(step), stopped=lambda: len(done) == 2
    )
    train_detail(material, settings, half)
    resumed = train_detail(material, settings, run)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    with pytest.raises(ValueError, match="enough tissue"):
        train_detail([], settings, TrainingRun(tmp_path / "none.pt"))


def test_it_learns_to_add_detail_and_keeps_what_the_canvas_shows(
    frame: LabelledFrame, material: list[Material], tmp_path: Path
) -> None:
    settings = DetailSettings(steps=50, batch=4, width=8, warmup=10, learning_rate=1e-3)
    own = next(one for one in material if one.frame.shape == SIZE[::-1])
    detail = Detail(train_detail([own], settings, TrainingRun(tmp_path / "state.pt")))
    plain = enlarged(own.canvases[0], SIZE)
    made = detail.apply(plain, 2.08, 0, frame.image)
    tissue = tissue_mask(frame.image)
    power = tissue_power([plain, made, frame.image], tissue, 10)
    assert power is not None
    before, after, real = np.log10(power + 1e-3)[:, 4:].mean(axis=1)
    assert before + 0.3 < min(after, real)  # how much is learnt later
    blurred = [cv2.GaussianBlur(x, (0, 0), 4) for x in (plain, made)]
    assert np.abs(blurred[0] - blurred[1])[tissue > 0].mean() < 6


def test_black_stays_black_without_a_lender_and_equal_requests_give_equal_pixels() -> None:
    torch.manual_seed(0)
    detail = Detail(DetailNet(width=4))
    plain = np.full((202, 301), 90, np.float32)
    plain[:, :60] = 0
    reference = np.clip(noise_of(1, PROBE, (301, 202))[1] * 20 + 90, 0, 255).astype(np.uint8)
    one, same = (detail.apply(plain, 1.3, 4, reference) for _ in range(2))
    np.testing.assert_array_equal(one, same)
    assert one.shape == plain.shape
    assert np.abs(one - detail.apply(plain, 1.3, 5, reference)).max() > 0
    alone = detail.apply(plain, 1.3, 4)
    assert alone.shape == plain.shape and not alone[:, :55].any() and alone[:, 70:].any()
    large = np.asarray(cv2.resize(plain, (1204, 808)), np.float32)
    assert detail.apply(large, 5.2, 4).shape == large.shape


def test_what_is_nearly_black_stays_smooth() -> None:
    torch.manual_seed(0)
    detail = Detail(DetailNet(width=4))
    plain = np.full((204, 300), 60, np.float32)
    plain[:, 150:] = 1.5
    reference = np.clip(noise_of(1, PROBE, (300, 204))[1] * 20 + 90, 0, 255).astype(np.uint8)
    added = detail.apply(plain, 1.3, 4, reference) - plain
    assert np.abs(added[:, :140]).mean() > 10 * np.abs(added[:, 170:]).mean()
    assert np.abs(added[:, 170:]).max() < 0.3


def test_what_the_built_in_one_adds_does_not_depend_on_the_grid_of_its_network() -> None:
    detail = Synthesizer.load(find_model("synthesizer", "compact").folder).finish
    assert isinstance(detail, Detail)
    frame = read_image(samples_dir() / "209_HC.png")
    probe, lent = lent_by(frame)
    assert lent is not None
    small = cv2.resize(frame, (SIZE[0] // 2, SIZE[1] // 2), interpolation=cv2.INTER_AREA)
    plain = cv2.resize(small, SIZE, interpolation=cv2.INTER_CUBIC) / 127.5 - 1
    maps = detail.net.place_maps(beam_maps(probe, SIZE, 2.0), lent)
    seen = torch.from_numpy(np.stack([plain, *noise_of(1, probe, SIZE)]).astype(np.float32))[None]
    where = torch.from_numpy(maps)[None]
    with torch.inference_mode():
        made = detail.net(seen[:, :1], seen[:, 1:], where)
        for dx, dy in ((1, 1), (2, 2), (3, 1)):
            part = seen[..., dy : dy - 4, dx : dx - 4]
            moved = detail.net(part[:, :1], part[:, 1:], where[..., :-1, :-1])
            apart = (made[..., dy : dy - 4, dx : dx - 4] - moved)[..., 8:-8, 8:-8]
            assert apart.square().mean() < 0.1 * (made - seen[:, :1]).square().mean()


def test_images_of_the_built_in_one_have_no_columns_of_two_px(frame: LabelledFrame) -> None:
    synthesizer = Synthesizer.load(find_model("synthesizer", "compact").folder)
    scene = Scene(frame.ellipse, frame.size, "second", frame.image)
    tissue = tissue_mask(frame.image)
    real = fine_power(frame.image, tissue)
    made = fine_power(synthesizer.generate([scene], [3])[0], tissue)
    assert real is not None and made is not None
    assert made[0, 16] < 2 * real[0, 16]


def test_the_border_is_as_smooth_as_the_inside() -> None:
    detail = Synthesizer.load(find_model("synthesizer", "compact").folder).finish
    assert isinstance(detail, Detail)
    frame = read_image(samples_dir() / "209_HC.png")
    plain = np.full((540, 800), 90, np.float32)
    made = detail.apply(plain, 2.1, 3, frame)
    steps = np.abs(np.diff(made, axis=1)).mean(axis=1)
    assert steps[-8:].max() < 1.5 * steps[200:300].max()
    assert np.abs(made[-8:].mean(axis=1) - made[200:300].mean()).max() < 10


def test_gains_that_are_no_numbers_are_damage(tmp_path: Path) -> None:
    detail = Detail(DetailNet(width=4))
    detail.net.gains[3, 3] = torch.nan
    detail.write(tmp_path)
    with pytest.raises(InputError, match="not all finite numbers"):
        Detail.read(tmp_path)


def test_it_is_saved_with_the_synthesizer_in_place_of_the_lift(tmp_path: Path) -> None:
    found = find_model("synthesizer", "compact")
    synthesizer = Synthesizer.load(found.folder)
    synthesizer.finish = Detail(DetailNet(width=4))
    synthesizer.save(tmp_path)
    read = Synthesizer.load(tmp_path)
    assert isinstance(read.finish, Detail)
    assert read.hash != synthesizer.hash
    scene = Scene(
        Ellipse(400, 270, 240, 180, 10),
        SIZE,
        "second",
        read_image(samples_dir() / "209_HC.png"),
    )
    image = read.generate([scene], [3], steps=3)[0]
    assert image.shape == (540, 800) and image.std() > 5
    (tmp_path / "detail" / "config.json").write_text("{")
    with pytest.raises(InputError, match="detail is damaged"):
        Synthesizer.load(tmp_path)
    assert "detail is damaged" in str(verify(replace(found, folder=tmp_path)))
