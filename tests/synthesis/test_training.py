import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.progress import Stopped
from fetalstudio.learning import TrainingRun
from fetalstudio.synthesis.guidance import PLAIN, Guidance
from fetalstudio.synthesis.pipeline import CompactPipeline, build_scheduler, build_unet
from fetalstudio.synthesis.training import (
    Teacher,
    TrainSettings,
    _draw,
    _guidance_pull,
    _step_loss,
    band_statistics,
    fit_lift,
    train,
)
from tests.labelled import of_style
from tests.progress import Watched

SETTINGS = TrainSettings(steps=4, batch=2, widths=(8, 8, 16, 32))


@pytest.fixture(scope="module")
def examples() -> list[LabelledFrame]:
    rng = np.random.default_rng(0)
    result = []
    for cx in (300, 400, 500):
        head = Ellipse(cx, 270, 200, 150, 20)
        image = (40 + 60 * head.mask((800, 540)) + rng.integers(0, 30, (540, 800))).astype(np.uint8)
        result.append(of_style(image, head, "second"))
    return result


def _weights(pipeline: CompactPipeline) -> torch.Tensor:
    return torch.cat([p.flatten() for p in pipeline.unet.parameters()])


def test_a_resumed_training_is_the_unbroken_one(
    examples: list[LabelledFrame], tmp_path: Path
) -> None:
    whole = train(examples, SETTINGS, TrainingRun(tmp_path / "whole.pt"))
    losses: list[float] = []
    train(
        examples,
        SETTINGS,
        TrainingRun(
            tmp_path / "broken.pt",
            lambda _step, loss: losses.append(loss),
            lambda: len(losses) == 2,
        ),
    )
    assert len(losses) == 2
    # Whether other processes draw the batches makes no difference.
    resumed = train(examples, SETTINGS, TrainingRun(tmp_path / "broken.pt", workers=2))
    torch.testing.assert_close(_weights(resumed), _weights(whole), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_loss_falls(examples: list[LabelledFrame], tmp_path: Path) -> None:
    losses: list[float] = []
    settings = replace(SETTINGS, steps=40, learning_rate=8e-3)
    train(
        examples,
        settings,
        TrainingRun(tmp_path / "c.pt", lambda _step, loss: losses.append(loss)),
    )
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def test_the_ellipses_of_unlabelled_frames_are_not_learnt(
    examples: list[LabelledFrame], tmp_path: Path
) -> None:
    settings = replace(SETTINGS, steps=2, wide=0.0)
    middle = Ellipse(400, 270, 100, 90, 0)
    bare = [frame.redrawn(frame.image, middle) for frame in examples[1:]]
    learnt = [
        _weights(
            train(examples[:1], settings, TrainingRun(tmp_path / f"{i}.pt"), unlabelled=others)
        )
        for i, others in enumerate((examples[1:], bare, []))
    ]
    assert torch.equal(learnt[0], learnt[1])
    assert not torch.equal(learnt[0], learnt[2])


def test_bands_are_normalised_by_the_training_frames(examples: list[LabelledFrame]) -> None:
    mean, std = band_statistics(examples)
    assert len(mean) == len(std) == 16
    assert mean[0] < -1  # dark: four times a mean grey of about -0.5
    assert std[0] > std[15] > 0


def test_a_model_can_be_trained_further(examples: list[LabelledFrame], tmp_path: Path) -> None:
    start = train(examples, SETTINGS, TrainingRun(tmp_path / "first.pt"))
    before = _weights(start).clone()
    still = replace(SETTINGS, learning_rate=0.0)
    further = train(examples[:1], still, TrainingRun(tmp_path / "second.pt"), start=start)
    torch.testing.assert_close(_weights(further), before)
    assert list(further.config.band_mean) == list(start.config.band_mean)
    moved = train(examples[:1], SETTINGS, TrainingRun(tmp_path / "third.pt"), start=start)
    assert not torch.equal(_weights(moved), before)
    torch.testing.assert_close(_weights(start), before)


def test_the_guidance_pulls_away_from_the_answer_without_the_ellipse(
    examples: list[LabelledFrame], tmp_path: Path
) -> None:
    pipeline = train(examples, SETTINGS, TrainingRun(tmp_path / "c.pt"))
    settings = replace(SETTINGS, guidance=Guidance(2.5), guidance_interval=(0.1, 0.95))
    batch = _draw(
        examples, [], replace(settings, drop_ellipse=0.0, batch=3), np.random.default_rng(0)
    )
    assert batch.guided == [0, 1, 2]
    noisy, level = torch.randn(3, 16, 64, 96), torch.tensor([0.5, 0.99, 0.2])
    with torch.no_grad():
        asked = pipeline.velocity(noisy, *batch.asked, level)
        unasked = pipeline.velocity(noisy, *batch.free, level)
    pull = _guidance_pull(pipeline, batch, noisy, level, asked, settings)
    torch.testing.assert_close(pull[[0, 2]], (asked - unasked)[[0, 2]], rtol=0, atol=1e-5)
    assert pull[0].abs().max() > 0 and not pull[1].any()


def test_the_guidance_of_a_teacher_that_follows_one_is_that_which_is_asked_for(
    examples: list[LabelledFrame], tmp_path: Path
) -> None:
    """The targets are those of the same teacher without a guidance of its own."""
    settings = replace(
        SETTINGS, guidance=Guidance(1.75), drop_ellipse=0.0, guidance_interval=(0.0, 1.0)
    )
    plain = train(
        examples, replace(SETTINGS, steps=15, guidance=PLAIN), TrainingRun(tmp_path / "plain.pt")
    )
    batch = _draw(examples, [], settings, np.random.default_rng(0))
    asked = plain.velocity

    def follows(noisy: Tensor, maps: Tensor, labels: Tensor, level: Tensor) -> Tensor:
        free = asked(noisy, *batch.free, level)
        return free + 2.5 * (asked(noisy, maps, labels, level) - free)

    own = copy.deepcopy(plain)
    taught = _step_loss(own, settings, Teacher(plain), batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "velocity", follows)
        again = _step_loss(own, settings, Teacher(plain, Guidance(2.5)), batch)
        assert not torch.isclose(_step_loss(own, settings, Teacher(plain), batch), taught)
    torch.testing.assert_close(again, taught)
    still = _step_loss(own, replace(settings, guidance=PLAIN), Teacher(plain), batch)
    assert still.item() == 0.0 < taught.item()


def test_the_first_trimester_is_taught_its_own_guidance(
    examples: list[LabelledFrame], tmp_path: Path
) -> None:
    plain = train(
        examples, replace(SETTINGS, steps=15, guidance=PLAIN), TrainingRun(tmp_path / "plain.pt")
    )
    settings = replace(SETTINGS, drop_ellipse=0.0, guidance=Guidance(1.0, first=2.5))
    of_first = [of_style(frame.image, frame.ellipse, "first") for frame in examples]
    for frames, taught in ((examples, False), (of_first, True)):
        batch = _draw(frames, [], settings, np.random.default_rng(0))
        loss = _step_loss(copy.deepcopy(plain), settings, Teacher(plain), batch)
        assert (float(loss) > 0) is taught


@pytest.mark.slow
def test_a_teachers_guided_answers_are_learnt(
    examples: list[LabelledFrame], tmp_path: Path
) -> None:
    plain = replace(SETTINGS, steps=15, warmup=10, learning_rate=4e-3, guidance=PLAIN)
    teacher = train(examples, plain, TrainingRun(tmp_path / "teacher.pt"))
    still: list[float] = []
    run = TrainingRun(
        tmp_path / "same.pt", lambda _step, loss: still.append(loss), lambda: bool(still)
    )
    train(examples, plain, run, start=teacher, teacher=Teacher(teacher))
    assert still[0] < 1e-6  # without guidance there is nothing to learn from oneself
    losses: list[float] = []
    guided = replace(plain, steps=30, guidance=Guidance(4.0), guidance_interval=(0.0, 1.0))
    run = TrainingRun(tmp_path / "own.pt", lambda _step, loss: losses.append(loss))
    train(examples, guided, run, start=teacher, teacher=Teacher(teacher))
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])


def test_a_teacher_must_see_the_same_bands(examples: list[LabelledFrame], tmp_path: Path) -> None:
    teacher = CompactPipeline(build_unet(SETTINGS.widths), build_scheduler())
    start = CompactPipeline(build_unet(SETTINGS.widths), build_scheduler(), [0.1] * 16)
    with pytest.raises(ValueError, match="another way"):
        train(
            examples,
            SETTINGS,
            TrainingRun(tmp_path / "c.pt"),
            start=start,
            teacher=Teacher(teacher),
        )


def test_what_a_model_learnt_is_not_asked_of_it_again(
    examples: list[LabelledFrame], tmp_path: Path
) -> None:
    guided = train(examples, replace(SETTINGS, steps=1), TrainingRun(tmp_path / "guided.pt"))
    plain = train(
        examples, replace(SETTINGS, steps=1, guidance=PLAIN), TrainingRun(tmp_path / "plain.pt")
    )
    assert guided.config.default_guidance == 1.0
    assert plain.config.default_guidance == 2.5


def test_fitting_the_lift_stops_between_two_frames(examples: list[LabelledFrame]) -> None:
    asked: list[int] = []

    def second() -> bool:
        asked.append(1)
        return len(asked) == 2

    pipeline = CompactPipeline(build_unet(SETTINGS.widths), build_scheduler())
    with pytest.raises(Stopped):
        fit_lift(pipeline, examples, progress=Watched(second))
    assert len(asked) == 2
