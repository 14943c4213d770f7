from pathlib import Path

import numpy as np
import pytest
import torch

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.synthesis.conditions import CANVAS, Condition, Surroundings
from fetalstudio.synthesis.pipeline import CompactPipeline, build_scheduler
from tests.synthesis.tiny_synthesizer import tiny_pipeline

HEAD = Condition(Ellipse(200, 120, 90, 70, 30), style="second")
OTHER = Condition(Ellipse(150, 130, 60, 50, 100), style="first")


@pytest.fixture(scope="module")
def tiny() -> CompactPipeline:
    """A pipeline of the real architecture, narrow and untrained."""
    mean, std = [-2.0] + [0.0] * 15, [1.5] + [0.2] * 15
    pipeline = tiny_pipeline(band_mean=mean, band_std=std)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_pictures_have_the_canvas_size(tiny: CompactPipeline) -> None:
    pictures = tiny([HEAD, OTHER], [1, 2], num_inference_steps=2)
    assert pictures.shape == (2, 256, 384)
    assert pictures.dtype == np.uint8


def test_encode_and_decode_are_inverse_up_to_rounding(tiny: CompactPipeline) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (2, 256, 384), dtype=np.uint8)
    image = torch.from_numpy(grey).float()[:, None] / 127.5 - 1
    np.testing.assert_array_equal(tiny.decode(tiny.encode(image)), grey)


def test_a_seed_means_the_same_picture_alone_and_in_a_batch(tiny: CompactPipeline) -> None:
    alone = tiny([HEAD], [7], num_inference_steps=3)[0]
    again = tiny([HEAD], [7], num_inference_steps=3)[0]
    batched = tiny([OTHER, HEAD], [3, 7], num_inference_steps=3)[1]
    other_seed = tiny([HEAD], [8], num_inference_steps=3)[0]
    np.testing.assert_array_equal(alone, again)
    assert np.abs(alone.astype(int) - batched).max() <= 1
    assert (alone != other_seed).mean() > 0.5


def test_ellipse_style_and_guidance_each_reach_the_picture(tiny: CompactPipeline) -> None:
    base = tiny([HEAD], [7], num_inference_steps=3)[0]
    moved = Condition(Ellipse(230, 120, 90, 70, 30), style="second")
    restyled = Condition(HEAD.ellipse, style="first")
    assert (tiny([moved], [7], num_inference_steps=3)[0] != base).any()
    assert (tiny([restyled], [7], num_inference_steps=3)[0] != base).any()
    assert (tiny([HEAD], [7], num_inference_steps=3, guidance_scale=4.0)[0] != base).any()


def test_the_callback_sees_every_step_and_may_stop_the_sampling(tiny: CompactPipeline) -> None:
    seen = []

    def count(_pipe: object, i: int, _t: object, tensors: dict[str, torch.Tensor]) -> dict:
        seen.append((i, tensors["clean"].shape))
        if i == 2:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        tiny([HEAD], [7], num_inference_steps=8, callback_on_step_end=count)
    assert seen == [(i, (1, 16, 64, 96)) for i in range(3)]
    assert tiny([HEAD], [7], num_inference_steps=2).shape == (1, 256, 384)


def test_what_is_saved_loads_and_draws_the_same(tiny: CompactPipeline, tmp_path: Path) -> None:
    tiny.save_pretrained(tmp_path)
    loaded = CompactPipeline.from_pretrained(tmp_path, local_files_only=True)
    before = tiny([HEAD], [7], num_inference_steps=2)
    np.testing.assert_array_equal(loaded([HEAD], [7], num_inference_steps=2), before)
    inputs = torch.randn(1, tiny.unet.config.in_channels, 64, 96), 500, torch.zeros(1).long()
    with torch.inference_mode():
        exact, again = (p.unet(*inputs).sample for p in (tiny, loaded))
    assert torch.equal(exact, again)


def test_a_missing_seed_is_refused(tiny: CompactPipeline) -> None:
    with pytest.raises(ValueError, match="seed"):
        tiny([HEAD, OTHER], [1])


def test_surroundings_stay_and_the_rest_is_made(tiny: CompactPipeline) -> None:
    image = np.random.default_rng(0).integers(60, 90, CANVAS[::-1], dtype=np.uint8)
    made = np.zeros(CANVAS[::-1], np.float32)
    made[:, 192:] = 1
    kept = Condition(HEAD.ellipse, style="second", surroundings=Surroundings(image, made))
    picture = tiny([kept, HEAD], [7, 7], num_inference_steps=4)
    assert np.abs(picture[0, :, :188].astype(int) - image[:, :188]).max() <= 1
    assert np.abs(picture[0, :, 196:].astype(int) - image[:, 196:]).mean() > 10
    assert np.abs(picture[1, :, :188].astype(int) - image[:, :188]).mean() > 10


def test_a_redrawn_picture_stays_itself_the_more_the_less_noise_it_got(
    tiny: CompactPipeline,
) -> None:
    grey = np.full((1, *CANVAS[::-1]), 60, np.uint8)
    grey[:, 80:160, 100:300] = 150
    images = torch.from_numpy(grey).float()[:, None] / 127.5 - 1
    change = [
        np.abs(tiny.redraw([HEAD], images, [1], level)[0].astype(int) - grey[0]).mean()
        for level in (0.02, 0.3, 0.9)
    ]
    assert 0 < change[0] < change[1] < change[2]


def test_a_model_samples_with_its_own_defaults(tiny: CompactPipeline) -> None:
    own = CompactPipeline(
        tiny.unet,
        build_scheduler(),
        list(tiny.config.band_mean),
        list(tiny.config.band_std),
        3,
        4.0,
    )
    asked = tiny([HEAD], [7], num_inference_steps=3, guidance_scale=4.0)
    np.testing.assert_array_equal(own([HEAD], [7]), asked)
