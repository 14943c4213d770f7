"""Small heads are drawn on a closer view of the frame; the rest of the frame stays as it was."""

from __future__ import annotations

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import letterbox
from fetalstudio.engine.models.loading import find_model
from fetalstudio.engine.quality import edge_score
from fetalstudio.synthesis.closer import closer_view
from fetalstudio.synthesis.conditions import CANVAS
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.synthesizer import Synthesizer

SIZE = (800, 540)


@pytest.mark.parametrize("head", [(400, 270), (20, 500), (790, 10)])
def test_a_closer_view_shows_the_head_larger_and_stays_within_the_frame(
    head: tuple[int, int],
) -> None:
    small = Ellipse(*head, 40, 30, 20)
    view = closer_view(small, SIZE)
    assert view is not None and view.scale > 2 * letterbox(SIZE, CANVAS).scale
    corners = np.array([[-0.5, -0.5], [CANVAS[0] - 0.5, CANVAS[1] - 0.5]])
    low, high = view.inverse().apply(corners)
    assert (low >= -0.51).all() and (high <= np.array(SIZE) - 0.49).all()
    assert small.transformed(view).reaches(CANVAS)


def test_usual_heads_need_no_closer_view() -> None:
    assert closer_view(Ellipse(400, 270, 200, 150, 0), SIZE) is None


def test_a_small_head_is_drawn_again_and_the_tissue_far_from_it_is_not() -> None:
    model = Synthesizer.load(find_model("synthesizer", "compact").folder)
    model.finish = None
    # Without a lender, whose grain would change the whole frame.
    scene = Scene(Ellipse(380, 300, 44, 34, 10), SIZE, "first")
    steps: list[tuple[int, int]] = []
    shown: list[np.ndarray] = []

    def on_step(done: int, total: int, preview: object) -> None:
        steps.append((done, total))
        shown.append(preview())  # type: ignore[operator]

    image = model.generate([scene], [1], steps=3, on_step=on_step)[0]
    assert steps == [(i + 1, 6) for i in range(6)]
    assert all(p.shape == image.shape for p in shown)
    far = scene.ellipse.sdf(SIZE) > 40
    assert np.abs(image.astype(int) - shown[2])[far].max() <= 1
    assert np.abs(image.astype(int) - shown[2])[~far].mean() > 3
    assert edge_score(image, scene.ellipse) > 0.4
    # A draft is one drawing, which is as fast as for a large head.
    steps.clear()
    model.generate([scene], [1], steps=2, on_step=on_step)
    assert steps == [(1, 2), (2, 2)]
