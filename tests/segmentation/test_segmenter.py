"""The bundled segmenter on real frames of subjects that it was not trained on, and its files."""

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.metrics import dice
from fetalstudio.engine.models.loading import find_model, load_segmenter
from fetalstudio.formats.model_card import training_frames
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.project.store.pixels import picture_id
from fetalstudio.segmentation.compact import CompactConfig, build_compact
from fetalstudio.segmentation.segmenter import Prediction, Segmenter, compact_card
from fetalstudio.segmentation.views import views_of

TINY = CompactConfig(image_size=64, widths=(8, 8, 16, 24), blocks=(1, 1, 1), attention=1)
COMPACT = find_model("segmenter", "compact")


@pytest.fixture(scope="module")
def bundled() -> Segmenter:
    return load_segmenter(COMPACT)


@pytest.fixture
def annotated(samples: Path) -> list[tuple[np.ndarray, Ellipse]]:
    rings = sorted(samples.glob("*_Annotation.png"))
    return [
        (
            read_image(ring.with_name(ring.name.replace("_Annotation", ""))),
            Ellipse.from_ring(read_image(ring)),
        )
        for ring in rings
    ]


def test_the_head_is_the_ellipse_and_the_region_only_without_one() -> None:
    region, ellipse = np.zeros((60, 80), np.uint8), Ellipse(40, 30, 20, 15, 10)
    region[20:30, 20:30] = 1
    np.testing.assert_array_equal(Prediction(region, None, None).head, region)
    np.testing.assert_array_equal(Prediction(region, ellipse, None).head, ellipse.mask((80, 60)))


@pytest.mark.parametrize("prompt", ["auto", "box", "points"])
def test_heads_are_found_in_the_samples(
    bundled: Segmenter, annotated: list[tuple[np.ndarray, Ellipse]], prompt: str
) -> None:
    scores = []
    for image, ellipse in annotated:
        h, w = image.shape
        if prompt == "box":
            found = bundled.predict(image, box=ellipse.box())
        elif prompt == "points":
            found = bundled.predict(image, points=[(ellipse.cx, ellipse.cy)])
        else:
            found = bundled.predict(image)
        assert found.ellipse is not None
        assert found.confidence is not None and 0.5 < found.confidence <= 1
        scores.append(dice(found.ellipse.mask((w, h)), ellipse.mask((w, h))))
    assert len(scores) >= 16
    assert np.mean(scores) > 0.95
    assert min(scores) > 0.85


def test_the_samples_were_not_in_the_training_data(samples: Path) -> None:
    seen = training_frames(COMPACT.folder)
    with (samples / "training_set_pixel_size_and_HC.csv").open() as stream:
        names = [row["filename"] for row in csv.DictReader(stream)]
    ids = {picture_id(read_image(samples / name))[:16] for name in names}
    assert len(seen) > 500 and len(ids) == 24
    assert not ids & seen


def test_a_black_frame_is_no_error(bundled: Segmenter) -> None:
    found = bundled.predict(np.zeros((540, 800), np.uint8))
    assert found.mask.shape == (540, 800)
    assert found.ellipse is None or (found.confidence or 0.0) < 0.95


def test_masks_land_where_the_logits_are() -> None:
    """A blob drawn on the model's grid comes back at the same place of a frame of any shape."""
    segmenter = Segmenter(build_compact(TINY), compact_card("t", TINY))
    for size in ((800, 540), (300, 500), (64, 64)):
        head = Ellipse(size[0] * 0.45, size[1] * 0.55, 0.3 * min(size), 0.2 * min(size), 30)
        scale = 64 / max(size)
        shift = [(64 - scale * side) / 2 for side in size]
        wide = np.linspace(0, 63, 64)
        x, y = np.meshgrid(
            (wide + 0.5 - shift[0]) / scale - 0.5, (wide + 0.5 - shift[1]) / scale - 0.5
        )
        inside = ((np.stack([x, y], -1) - [head.cx, head.cy]) @ head.axes.T) / [head.a, head.b]
        logits = (1 - np.linalg.norm(inside, axis=-1)).astype(np.float32)
        mask = segmenter._to_frame(logits, size, segmenter.profile.to_input(size)) > 0
        assert dice(mask, head.mask(size)) > 0.985


def test_saved_and_loaded_it_predicts_the_same(tmp_path: Path) -> None:
    segmenter = Segmenter(build_compact(TINY), compact_card("tiny", TINY))
    segmenter.sam.half().float()  # what half-precision files keep
    segmenter.save(tmp_path, segmenter.card)
    loaded = Segmenter.load(tmp_path)
    noise = np.random.default_rng(0).integers(0, 255, (100, 150), dtype=np.uint8)
    image = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8)
    np.testing.assert_array_equal(loaded.predict(image).mask, segmenter.predict(image).mask)
    assert loaded.card == segmenter.card


def test_damaged_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no model"):
        Segmenter.load(tmp_path)
    segmenter = Segmenter(build_compact(TINY), compact_card("tiny", TINY))
    segmenter.save(tmp_path, segmenter.card)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        Segmenter.load(tmp_path)
    (tmp_path / "model.json").write_text('{"name": 1')
    with pytest.raises(InputError, match=r"model\.json is damaged"):
        Segmenter.load(tmp_path)


def test_a_synthesizer_is_not_taken_for_a_segmenter() -> None:
    with pytest.raises(InputError, match="cannot be loaded as a segmenter"):
        Segmenter.load(find_model("synthesizer", "compact").folder)


def _looking(segmenter: Segmenter, views: int) -> Segmenter:
    preprocessing = {**segmenter.card.preprocessing, "views": views}
    return Segmenter(segmenter.sam, replace(segmenter.card, preprocessing=preprocessing))


def test_with_its_mirror_image_a_frame_has_the_mirrored_answer(
    bundled: Segmenter, annotated: list[tuple[np.ndarray, Ellipse]]
) -> None:
    image, ellipse = annotated[0]
    mirrored = np.ascontiguousarray(image[:, ::-1])
    both = _looking(bundled, 2)
    straight, other = both.predict(image), both.predict(mirrored)
    np.testing.assert_array_equal(other.mask[:, ::-1], straight.mask)
    assert other.confidence == pytest.approx(straight.confidence, abs=1e-6)
    x0, y0, x1, y1 = ellipse.box()
    w = image.shape[1]
    prompted = both.predict(mirrored, box=(w - 1 - x1, y0, w - 1 - x0, y1))
    assert dice(prompted.mask[:, ::-1], both.predict(image, box=(x0, y0, x1, y1)).mask) > 0.999


def test_turned_views_lie_on_the_frame_again(
    bundled: Segmenter, annotated: list[tuple[np.ndarray, Ellipse]]
) -> None:
    scores = []
    for image, ellipse in annotated[3:7]:
        found = _looking(bundled, 4).predict(image)
        assert found.ellipse is not None
        scores.append(found.ellipse.overlap(ellipse))
    assert np.mean(scores) > 0.95


def test_prompted_frames_are_not_turned() -> None:
    size = (80, 54)
    assert len(views_of(size, 4, turned=True)) == 4
    assert [v.yx for v in views_of(size, 4, turned=False)] == [0, 0]
    mirror = views_of(size, 2, turned=False)[1]
    np.testing.assert_allclose(mirror.apply(np.array([0.0, 5.0])), [79, 5])
