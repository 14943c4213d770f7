"""The benchmark's figures fit together, and what it times is a training; how long is not tested."""

import pytest
import torch

from fetalstudio.engine.bench import segmentation
from fetalstudio.engine.bench.segmentation import proposal_s, sam_figures, snap_s
from tests.segmentation.tiny_sam import TINY


def test_both_trainings_are_timed_and_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, ...]] = []
    step = segmentation._step

    def counted(
        logits: torch.Tensor, targets: torch.Tensor, optimizer: torch.optim.Optimizer
    ) -> None:
        before = [p.clone() for g in optimizer.param_groups for p in g["params"]]
        step(logits, targets, optimizer)
        after = [p for g in optimizer.param_groups for p in g["params"]]
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
        assert logits.shape == targets.shape and 0 < targets.mean() < 1
        sizes.append(tuple(logits.shape))

    monkeypatch.setattr(segmentation, "_step", counted)
    figures = sam_figures(1, with_paper=True, config=TINY, frames=7)
    ours = 2 * [(5, 1, 16, 16), (2, 1, 16, 16)]  # one epoch to warm up, one to time
    assert sizes == [*ours, (1, 1, 16, 16), *2 * [(5, 1, 16, 16)]]
    assert figures["paper_sam_epoch_s"] == 2 * figures["paper_sam_step_s"]
    total = 7 * figures["sam_embed_s"] + 20 * figures["sam_epoch_s"]
    assert figures["sam_20_epochs_s"] == pytest.approx(total)
    assert figures["sam_20_epochs_times_faster"] == pytest.approx(
        20 * figures["paper_sam_epoch_s"] / total
    )


def test_a_proposal_and_our_own_part_are_timed_alone() -> None:
    assert proposal_s(1) > 0
    assert snap_s(1) > 0
    assert "paper_sam_step_s" not in sam_figures(1, with_paper=False, config=TINY, frames=2)
