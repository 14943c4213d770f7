"""How fast the built-in synthesizer is, compared with one step of the paper's generator.

The paper's generator is timed with random weights: one guided step of the denoiser of Stable
Diffusion 1.5 at 512x512 px. One of its images takes thirty such steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.bench.timing import median_s
from fetalstudio.engine.jobs.sample.request import DRAFT_STEPS
from fetalstudio.engine.models.loading import (
    BUILT_IN,
    find_model,
    judge_model,
    load_segmenter,
    load_synthesizer,
)
from fetalstudio.engine.quality import pair_quality
from fetalstudio.learning import pick_device
from fetalstudio.synthesis.scene import Scene

_SIZE = (800, 540)
_PAPER_STEPS = 30


def synthesis_figures(
    repeats: int, *, with_paper: bool, say: Callable[[str], None]
) -> Mapping[str, Any]:
    """Median seconds of a sample, a draft, a sample in a batch and its quality figures.

    With the paper: also of one step and one image of its generator, and the ratio.
    """
    synthesizer = load_synthesizer(find_model("synthesizer", BUILT_IN))
    judge = load_segmenter(judge_model())
    scenes = [Scene(Ellipse(400, 270, 220 - 5 * i, 165, 10 * i), _SIZE, "second") for i in range(4)]
    image = synthesizer.generate(scenes[:1], [0])[0]

    say("Timing the compact synthesizer")
    figures: dict[str, Any] = {
        "sample_s": median_s(repeats, lambda: synthesizer.generate(scenes[:1], [0])),
        "draft_s": median_s(
            repeats, lambda: synthesizer.generate(scenes[:1], [0], steps=DRAFT_STEPS)
        ),
        "sample_in_batch_s": median_s(
            repeats, lambda: synthesizer.generate(scenes, range(len(scenes)))
        )
        / len(scenes),
        "quality_s": median_s(repeats, lambda: pair_quality(judge, image, scenes[0].ellipse)),
    }
    if with_paper:
        say("Timing one step of the paper's generator (takes 3.5 GB of memory for a minute)")
        step = _paper_step_s()
        figures["paper_step_s"] = step
        figures["paper_picture_s"] = _PAPER_STEPS * step
        figures["times_faster"] = _PAPER_STEPS * step / figures["sample_s"]
    return figures


@torch.inference_mode()
def _paper_step_s() -> float:
    """Seconds of one guided step (two evaluations) at 512x512 px, without the first, cold one."""
    from diffusers import UNet2DConditionModel

    device = pick_device()
    # Stable Diffusion 1.5: all else is this class's default.
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768).to(device).eval()
    latents, text = torch.zeros(2, 4, 64, 64), torch.zeros(2, 77, 768)
    inputs = latents.to(device), 500, text.to(device)

    def step() -> None:
        # Reading a value waits for a GPU to finish.
        unet(*inputs).sample.sum().item()

    step()
    return median_s(2, step)
