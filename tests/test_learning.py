"""What all trainings share says plainly what went wrong, and spoils no checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from fetalstudio.core.errors import UserError
from fetalstudio.learning import (
    OptimizerSettings,
    TrainingRun,
    load_checkpoint,
    save_checkpoint,
    train_resumably,
)


def test_a_loss_that_is_no_number_ends_the_training_and_is_not_saved(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.pt"
    module = torch.nn.Linear(2, 1)

    def loss_of(step: int) -> torch.Tensor:
        return module(torch.ones(1, 2)).square().sum() * (1.0 if step < 3 else torch.nan)

    steps = iter(range(9))
    with pytest.raises(UserError, match=r"not a finite number after 3 steps.*c\.pt.*learning rate"):
        train_resumably(
            module,
            lambda rng: next(steps),
            loss_of,
            OptimizerSettings(9, 1e-2, 0.0, ema=0.5, seed=0),
            TrainingRun(checkpoint, save_every_s=0),
            keep={},
        )
    saved = load_checkpoint(checkpoint)
    assert saved is not None and saved["step"] == 3
    assert all(torch.isfinite(value).all() for value in saved["model"].values())


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on a file's size")
def test_a_full_disk_is_said_and_the_checkpoint_before_stays(tmp_path: Path) -> None:
    import resource

    checkpoint = tmp_path / "c.pt"
    save_checkpoint(checkpoint, {"step": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(UserError, match=r"c\.pt could not be written.*disk has room"):
            save_checkpoint(checkpoint, {"step": 2, "weights": torch.zeros(1 << 20)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load_checkpoint(checkpoint) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]
