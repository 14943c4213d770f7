import numpy as np
import pytest

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import style_of
from fetalstudio.engine.models.loading import judge_model, load_segmenter
from fetalstudio.engine.quality import edge_score, pair_quality

HEAD = Ellipse(400, 270, 240, 180, 10)


def _ring(ellipse: Ellipse) -> np.ndarray:
    """A bright band just inside the outline, on dim noise."""
    depth = -ellipse.sdf((800, 540))
    noise = np.random.default_rng(0).integers(20, 40, (540, 800))
    return np.where((depth > 0) & (depth < 10), 200, noise).astype(np.uint8)


def test_a_skull_on_the_outline_scores_one_and_elsewhere_nothing() -> None:
    image = _ring(HEAD)
    assert edge_score(image, HEAD) > 0.99
    assert edge_score(image, Ellipse(400, 270, 170, 120, 10)) < 0.05
    assert edge_score(np.full((540, 800), 90, np.uint8), HEAD) == 0


def test_half_a_skull_scores_a_half() -> None:
    image = _ring(Ellipse(400, 270, 240, 180, 0))
    image[:, :400] = 30
    assert edge_score(image, Ellipse(400, 270, 240, 180, 0)) == pytest.approx(0.5, abs=0.05)


def test_points_off_the_frame_do_not_count() -> None:
    cut = Ellipse(60, 270, 240, 180, 0)
    assert edge_score(_ring(cut), cut) > 0.99
    assert edge_score(_ring(HEAD), Ellipse(5000, 270, 240, 180, 0)) == 0


def test_a_picture_without_a_head_has_a_poor_dice() -> None:
    judge = load_segmenter(judge_model())
    quality = pair_quality(judge, np.zeros((540, 800), np.uint8), HEAD)
    assert quality["dice"] < 0.9 and quality["edge"] == 0


def test_auto_style_is_the_trimester_where_there_is_a_scale() -> None:
    assert style_of(HEAD, None, "auto") == "any"
    assert style_of(HEAD, None, "third") == "third"
    for mm_per_px, style in ((0.05, "first"), (0.12, "second"), (0.24, "third")):
        assert style_of(HEAD, Calibration(mm_per_px, mm_per_px, "table"), "auto") == style
