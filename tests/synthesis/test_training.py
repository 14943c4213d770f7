from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.learning import Watch
from fetalstudio.synthesis.training import Example, TrainSettings, band_statistics, train

SETTINGS = TrainSettings(steps=4, batch=2, widths=(8, 8, 16, 32))


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    rng = np.random.default_rng(0)
    result = []
    for cx in (300, 400, 500):
        head = Ellipse(cx, 270, 200, 150, 20)
        image = (40 + 60 * head.mask((800, 540)) + rng.integers(0, 30, (540, 800))).astype(np.uint8)
        result.append(Example(image, head, "second"))
    return result


def _weights(pipeline: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.flatten() for p in pipeline.unet.parameters()])


def test_a_resumed_training_is_the_unbroken_one(examples: list[Example], tmp_path: Path) -> None:
    whole = train(examples, SETTINGS, tmp_path / "whole.pt")
    losses: list[float] = []
    train(
        examples,
        SETTINGS,
        tmp_path / "broken.pt",
        watch=Watch(lambda _step, loss: losses.append(loss), lambda: len(losses) == 2),
    )
    assert len(losses) == 2
    resumed = train(examples, SETTINGS, tmp_path / "broken.pt")
    torch.testing.assert_close(_weights(resumed), _weights(whole), rtol=0, atol=1e-6)


def test_the_loss_falls(examples: list[Example], tmp_path: Path) -> None:
    losses: list[float] = []
    settings = replace(SETTINGS, steps=80, batch=4, learning_rate=4e-3)
    train(
        examples, settings, tmp_path / "c.pt", watch=Watch(lambda _step, loss: losses.append(loss))
    )
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def test_bands_are_normalised_by_the_training_frames(examples: list[Example]) -> None:
    mean, std = band_statistics(examples)
    assert len(mean) == len(std) == 16
    assert mean[0] < -1  # dark: four times a mean grey of about -0.5
    assert std[0] > std[15] > 0
