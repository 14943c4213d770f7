import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.synthesis.adapting import Halt, adapt, adapt_settings
from fetalstudio.synthesis.guidance import Guidance
from fetalstudio.synthesis.pipeline import CompactPipeline, build_scheduler
from tests.labelled import of_style
from tests.synthesis.tiny_synthesizer import tiny_pipeline, tiny_synthesizer


@pytest.fixture
def parent() -> CompactPipeline:
    pipeline = tiny_pipeline(default_steps=5)
    pipeline.register_modules(scheduler=build_scheduler(3.0))
    return pipeline


@pytest.fixture(scope="module")
def examples() -> list[LabelledFrame]:
    rng = np.random.default_rng(0)
    image = rng.integers(10, 200, (256, 384), dtype=np.uint8)
    return [of_style(image, Ellipse(190, 120, 90, 70, 5), "any")]


def weights(pipeline: CompactPipeline) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in pipeline.unet.parameters()]).clone()


Runner = Callable[..., list[Halt]]


@pytest.fixture
def halted(parent: CompactPipeline, examples: list[LabelledFrame]) -> Runner:
    def run(
        checkpoint: Path, halts: list[int], enough: int = 99, broken_at: int | None = None
    ) -> list[Halt]:
        seen: list[Halt] = []

        def on_step(step: int, _loss: float) -> None:
            if step == broken_at:
                raise KeyboardInterrupt

        def on_halt(halt: Halt) -> bool:
            seen.append(halt)
            return len(seen) < enough

        settings = adapt_settings(
            tiny_synthesizer(parent, guidance=2.5), steps=6, batch=2, learning_rate=1e-3, seed=0
        )
        assert settings.guidance == Guidance(2.5)
        with contextlib.suppress(KeyboardInterrupt):
            adapt(
                examples,
                settings,
                checkpoint,
                start=parent,
                halts=halts,
                on_step=on_step,
                on_halt=on_halt,
            )
        return seen

    return run


def test_it_halts_where_it_should_and_leaves_the_parent_as_it_is(
    parent: CompactPipeline, halted: Runner, tmp_path: Path
) -> None:
    before = weights(parent)
    seen = halted(tmp_path / "c.pt", [2, 4, 6])
    assert [halt.step for halt in seen] == [2, 4, 6]
    torch.testing.assert_close(weights(parent), before, rtol=0, atol=0)
    moved = [(weights(halt.pipeline) - before).abs().mean().item() for halt in seen]
    assert 0 < moved[0] < moved[2]
    config = seen[2].pipeline.config
    assert (config.default_steps, config.default_guidance) == (5, 2.5)
    assert seen[2].pipeline.scheduler.config.flow_shift == 3.0
    # What is measured is what will be saved in half precision.
    half = weights(seen[2].pipeline)
    torch.testing.assert_close(half.half().float(), half, rtol=0, atol=0)


def test_enough_is_enough(halted: Runner, tmp_path: Path) -> None:
    assert [halt.step for halt in halted(tmp_path / "c.pt", [2, 4, 6], enough=1)] == [2]


def test_broken_off_it_goes_on_from_the_last_halt_and_ends_the_same(
    halted: Runner, tmp_path: Path
) -> None:
    whole = halted(tmp_path / "whole.pt", [2, 4, 6])
    first = halted(tmp_path / "broken.pt", [2, 4, 6], broken_at=5)
    assert [halt.step for halt in first] == [2, 4]
    rest = halted(tmp_path / "broken.pt", [6])
    assert [halt.step for halt in rest] == [6]
    torch.testing.assert_close(
        weights(rest[0].pipeline), weights(whole[2].pipeline), rtol=0, atol=1e-4
    )
