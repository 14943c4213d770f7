"""How fast this machine segments and fine-tunes SAM, compared with the paper's training loop.

Weights are random, which takes as long as with trained ones. Both trainings take the same step:
decoder forwards and backwards, Adam, Dice and cross-entropy on the grid of the logits, batches of
five, box prompts. The paper's code (``SamModel`` of transformers) embeds its frames in every step.
Ours embeds each frame once and keeps the embedding in half precision, as fine-tuning does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine
from fetalstudio.engine.bench.timing import median_s
from fetalstudio.engine.models.loading import BUILT_IN, find_model, load_outline, load_segmenter
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.learning import pick_device
from fetalstudio.segmentation.profiles import Profile, SamProfile
from fetalstudio.segmentation.sam import decode, dice_ce, jittered_boxes
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.segmentation.vit import VARIANTS, VitConfig, build_vit, variant_of

_SIZE = (800, 540)
_BATCH, _EPOCHS, _LEARNING_RATE = 5, 20, 1e-5
"""As in the paper's code."""
_PAPER_STEPS_TIMED = 2
"""A step takes minutes on a laptop. An epoch is calculated from the median of these."""


def proposal_s(repeats: int) -> float:
    """Median seconds in which the built-in segmenter proposes an ellipse for a frame."""
    segmenter = load_segmenter(find_model("segmenter", BUILT_IN))
    image = _frame(Ellipse(400, 270, 220, 165, 10))
    segmenter.predict(image)
    return median_s(repeats, lambda: segmenter.predict(image))


def snap_s(repeats: int) -> float:
    """Median seconds in which the second look moves an ellipse of a frame onto the skull."""
    outline, head = load_outline(), Ellipse(400, 270, 220, 165, 10)
    image = _frame(head)
    outline.snap(image, head)
    return median_s(repeats, lambda: outline.snap(image, head))


def sam_figures(
    repeats: int,
    *,
    with_paper: bool,
    config: VitConfig = VARIANTS["vit_b"],
    frames: int = 50,
    say: Callable[[str], None] = lambda text: None,
) -> Mapping[str, Any]:
    """Median seconds of embedding a frame and of an epoch over ``frames`` frames.

    Our epochs are timed as a whole; the paper's is calculated from a few of its steps. Also says
    how many times faster ours is, for one epoch and for a training of 20 epochs with embedding.
    """
    heads = [Ellipse(400 + i, 270, 220 - i, 165, 3 * i) for i in range(frames)]
    say("Timing SAM's encoder on a frame, and its decoder on embeddings")
    segmenter = Segmenter(build_vit(config), _card(config))
    embedding, embed_s = _embed(segmenter, _frame(heads[0]))
    epoch_s = _cached_epoch_s(segmenter, embedding.half(), heads, min(repeats, 3))
    total_s = frames * embed_s + _EPOCHS * epoch_s
    figures: dict[str, Any] = {
        "sam_frames": frames,
        "sam_embed_s": embed_s,
        "sam_epoch_s": epoch_s,
        "sam_20_epochs_s": total_s,
    }
    if with_paper:
        del segmenter
        say("Timing the paper's loop, three steps of it (minutes without a GPU)")
        step_s = _paper_step_s(config, heads)
        paper_epoch_s = step_s * -(-frames // _BATCH)
        figures["paper_sam_step_s"] = step_s
        figures["paper_sam_epoch_s"] = paper_epoch_s
        figures["paper_sam_20_epochs_s"] = _EPOCHS * paper_epoch_s
        figures["sam_epoch_times_faster"] = paper_epoch_s / epoch_s
        figures["sam_20_epochs_times_faster"] = _EPOCHS * paper_epoch_s / total_s
    return figures


def _step(logits: Tensor, targets: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """What both trainings do with their logits (B, 1, h, w)."""
    loss = dice_ce(logits, targets)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    loss.item()  # waits for a GPU to finish


def _embed(segmenter: Segmenter, image: NDArray[np.uint8]) -> tuple[Tensor, float]:
    """An embedding (1, 256, h, w), and the seconds that computing it takes after a warm-up."""
    found: list[Tensor] = []

    def embed() -> None:
        found[:] = [segmenter.embed([image])]
        found[0].sum().item()

    embed()
    return found[0].clone(), median_s(2, embed)


def _cached_epoch_s(
    segmenter: Segmenter, embedding: Tensor, heads: Sequence[Ellipse], repeats: int
) -> float:
    cached = embedding.repeat(len(heads), 1, 1, 1)
    sam = segmenter.sam.requires_grad_(False)
    sam.mask_decoder.requires_grad_(True)
    optimizer = torch.optim.Adam(sam.mask_decoder.parameters(), lr=_LEARNING_RATE)
    batches = list(_batches(heads, segmenter.profile, segmenter.device))

    def epoch() -> None:
        for i, (boxes, targets) in enumerate(batches):
            part = cached[i * _BATCH : i * _BATCH + len(boxes)].float()
            _step(decode(sam, part, boxes=boxes)[0], targets, optimizer)

    epoch()
    return median_s(repeats, epoch)


def _paper_step_s(config: VitConfig, heads: Sequence[Ellipse]) -> float:
    """Seconds of a step with five frames, after a warm-up."""
    from transformers import SamConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

    device = pick_device()
    vision = SamVisionConfig(
        hidden_size=config.width,
        num_hidden_layers=config.depth,
        num_attention_heads=config.heads,
        image_size=config.image_size,
        mlp_dim=4 * config.width,
        global_attn_indexes=list(config.global_attention),
        window_size=config.window,
    )
    prompts = SamPromptEncoderConfig(image_size=config.image_size)
    model: Any = SamModel(
        SamConfig(vision_config=vision.to_dict(), prompt_encoder_config=prompts.to_dict())
    )
    model = model.to(device).train()
    model.requires_grad_(False)
    decoder = model.mask_decoder.requires_grad_(True)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=_LEARNING_RATE)
    profile = SamProfile(config.image_size)
    images = torch.stack([profile.prepare(_frame(head)) for head in heads[:_BATCH]])
    boxes, targets = next(_batches(heads, profile, device))

    def step(count: int) -> None:
        answer = model(
            pixel_values=images[:count].to(device),
            input_boxes=boxes[:count, None],
            multimask_output=False,
        )
        _step(answer.pred_masks[:, 0], targets[:count], optimizer)

    step(1)
    return median_s(_PAPER_STEPS_TIMED, lambda: step(_BATCH))


def _batches(
    heads: Sequence[Ellipse], profile: Profile, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Boxes (B, 4) in pixels of the input, and masks (B, 1, S/4, S/4) of 0 and 1."""
    rng = np.random.default_rng(0)
    side = profile.side // 4
    to_input = profile.to_input(_SIZE)
    for start in range(0, len(heads), _BATCH):
        inner = [head.transformed(to_input) for head in heads[start : start + _BATCH]]
        small = [head.transformed(Affine(0.25, 0, -0.375, 0, 0.25, -0.375)) for head in inner]
        masks = np.stack([head.mask((side, side)) for head in small])[:, None]
        yield (
            jittered_boxes(rng, inner, 0.1, device),
            torch.from_numpy(masks).float().to(device),
        )


def _frame(head: Ellipse) -> NDArray[np.uint8]:
    """A frame (H, W). Its content does not change the time."""
    return head.mask(_SIZE) * np.uint8(120)


def _card(config: VitConfig) -> ModelCard:
    return ModelCard(
        name="random",
        kind="segmenter",
        architecture={"type": "sam", "variant": variant_of(config)},
        preprocessing={"profile": "sam"},
        licence="",
        training_data={},
    )
