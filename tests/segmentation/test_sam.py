import subprocess
import sys

import pytest
import torch

from fetalstudio.segmentation.compact import CompactConfig, build_compact
from fetalstudio.segmentation.sam import (
    MaskDecoder,
    TwoWayTransformer,
    decode,
    dice_ce,
    reached_iou,
)

TINY = CompactConfig(image_size=64, widths=(8, 8, 16, 24), blocks=(1, 1, 1), attention=1)


def test_segment_anything_is_imported_without_torchvision() -> None:
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from fetalstudio.segmentation.sam import Sam\n"
        "assert Sam.__module__.startswith('segment_anything')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_batched_decoder_is_the_original_one_image_at_a_time() -> None:
    torch.manual_seed(0)
    sam = build_compact(TINY).eval()
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=512, num_heads=8)
    original = MaskDecoder(
        num_multimask_outputs=3, transformer=transformer, transformer_dim=256
    ).eval()
    original.load_state_dict(sam.mask_decoder.state_dict())
    embeddings = torch.randn(3, 256, 4, 4)
    boxes = torch.tensor([[5.0, 6, 40, 50], [1, 2, 30, 40], [20, 20, 60, 60]])
    with torch.no_grad():
        logits, iou = decode(sam, embeddings, boxes=boxes)
        for i in range(3):
            sparse, dense = sam.prompt_encoder(points=None, boxes=boxes[i : i + 1], masks=None)
            expected = original(
                image_embeddings=embeddings[i : i + 1],
                image_pe=sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
            torch.testing.assert_close(logits[i : i + 1], expected[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(iou[i : i + 1], expected[1], rtol=1e-4, atol=1e-5)


def test_prompts_reach_the_mask_and_none_uses_the_learned_tokens() -> None:
    torch.manual_seed(0)
    sam = build_compact(TINY).eval()
    embeddings = torch.randn(2, 256, 4, 4)
    points = (torch.tensor([[[10.0, 10.0]], [[50.0, 50.0]]]), torch.ones(2, 1))
    boxes = torch.tensor([[5.0, 6, 40, 50], [1, 2, 30, 40]])
    with torch.no_grad():
        auto, boxed, pointed = (
            decode(sam, embeddings, **prompt)[0]
            for prompt in ({}, {"boxes": boxes}, {"points": points})
        )
        sam.prompt_encoder.auto_tokens += 1.0
        changed = decode(sam, embeddings)[0]
    assert auto.shape == (2, 1, 16, 16)
    for other in (boxed, pointed, changed):
        assert (auto - other).abs().max() > 1e-4


def test_dice_ce_is_near_zero_for_the_truth_and_large_for_its_opposite() -> None:
    target = torch.zeros(2, 1, 16, 16)
    target[..., 4:12, 4:12] = 1
    confident = (target * 2 - 1) * 20
    assert dice_ce(confident, target).item() < 1e-3
    assert dice_ce(-confident, target).item() > 10


def test_the_reached_iou_is_of_each_mask() -> None:
    target = torch.zeros(3, 1, 4, 4)
    target[:2, :, :, :2] = 1
    logits = torch.full((3, 1, 4, 4), -5.0)
    logits[0, :, :, :2] = 5
    logits[1, :, :, 1:3] = 5
    torch.testing.assert_close(reached_iou(logits, target), torch.tensor([1.0, 1 / 3, 0.0]))


def test_dice_ce_agrees_with_its_closed_form() -> None:
    target = torch.ones(1, 1, 4, 4)
    logits = torch.zeros(1, 1, 4, 4)
    expected = 1 - 2 * 0.5 / (0.25 + 1) + 0.6931472
    assert dice_ce(logits, target).item() == pytest.approx(expected, abs=1e-4)
