"""Memory that runs out: recognised, answered by smaller batches, and nothing is lost."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from fetalstudio.core.errors import InputError, is_out_of_memory
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.engine.models.loading import find_model, load_segmenter
from fetalstudio.engine.process.job import failure
from fetalstudio.engine.process.local import run_job
from fetalstudio.project.project import Project
from fetalstudio.segmentation import segmenter as segmenters
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.synthesis.synthesizer import Synthesizer

CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)"
)
ERRORS = (
    CPU,
    RuntimeError("could not create a primitive"),
    RuntimeError("MPS backend out of memory (MPS allocated: 1.0 GB)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: str(e)[:30])
def test_errors_of_memory_are_recognised_and_say_what_to_do(error: Exception) -> None:
    assert is_out_of_memory(error)
    said = failure("train", error).message
    assert "not enough memory" in said and "smaller batch" in said


def test_other_errors_are_not_taken_for_it() -> None:
    for error in (RuntimeError("shapes differ"), OSError(errno.ENOSPC, "full"), KeyError("a")):
        assert not is_out_of_memory(error)
    assert not is_out_of_memory(InputError("notes on out of memory.csv is damaged."))


def test_a_model_that_memory_is_too_small_for_is_not_called_damaged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build(*_: Any) -> None:
        raise CPU

    monkeypatch.setitem(segmenters._BUILDERS, "compact", build)
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        Segmenter.load(find_model("segmenter", "compact").folder)


def test_a_batch_is_made_in_halves_where_memory_is_small(
    sample_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, sizes = Synthesizer.draw, []

    def hungry(self: Synthesizer, scenes: Sequence[Any], *rest: Any, **options: Any) -> Any:
        sizes.append(len(scenes))
        if len(scenes) > 1:
            raise CPU
        return draw(self, scenes, *rest, **options)

    monkeypatch.setattr(Synthesizer, "draw", hungry)
    result = run_job(SynthesizeRequest(sample_project.path, count=3, steps=1))
    assert len(result.pair_ids) == 3
    assert sizes == [3, 1, 2, 1, 1]


def test_a_batch_that_memory_is_too_small_for_can_be_resumed(
    sample_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(*_: Any, **__: Any) -> Any:
        raise CPU

    with monkeypatch.context() as patch:
        patch.setattr(Synthesizer, "draw", hungry)
        with pytest.raises(RuntimeError):
            run_job(SynthesizeRequest(sample_project.path, count=2, steps=1))
    (batch,) = sample_project.batches.unfinished()
    resumed = SynthesizeRequest(sample_project.path, resume=batch.id)
    assert len(run_job(resumed).pair_ids) == 2


def test_frames_are_embedded_in_halves_where_memory_is_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    segmenter = load_segmenter(find_model("segmenter", "compact"))
    images = [np.full((540, 800), level, np.uint8) for level in (40, 90, 200)]
    whole = segmenter.embed(images)
    forward = segmenter.sam.image_encoder.forward

    def hungry(x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1:
            raise CPU
        return forward(x)

    monkeypatch.setattr(segmenter.sam.image_encoder, "forward", hungry)
    assert torch.allclose(segmenter.embed(images), whole, atol=1e-3)
