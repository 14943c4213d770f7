"""Request and result types for adapting Stable Diffusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class AdaptStableDiffusionRequest:
    """Job ``adapt-sd``: fit Stable Diffusion to the project's own frames by a LoRA.

    After a cancel or a crash, a request for the same name resumes the run.
    """

    job: ClassVar[Job[AdaptStableDiffusionRequest, AdaptStableDiffusionResult]] = Job(
        "adapt-sd", "Adapting Stable Diffusion", "fetalstudio.engine.jobs.adapt_sd.job:run"
    )
    project: Path
    base: str
    """Name of a Stable Diffusion that was added to the user's models."""
    mode: Literal["paper", "conditioned"] = "paper"
    steps: int | None = None
    """Default: the paper's 6000."""
    name: str | None = None
    """Of the new model; by default ``<base>-<mode>``."""
    cohort: str | None = None
    memory: Literal["auto", "large", "medium", "small"] = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further settings by name, see ``synthesis.stable_diffusion.settings.LoraSettings``."""


@dataclass(frozen=True, slots=True)
class AdaptStableDiffusionResult:
    """What was trained, and how the loss went."""

    model: str
    frames: int
    subjects: int
    steps: int
    loss_first: float
    """Mean over the first tenth of the steps that this call took."""
    loss_last: float
    """Mean over the last tenth."""
    seconds: float
    """Taken by the run so far, those before it was resumed included."""


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """Job ``probe``: import the libraries that Stable Diffusion needs.

    The result is a line for a person.
    """

    job: ClassVar[Job[ProbeRequest, str]] = Job(
        "probe", "Checking the libraries", "fetalstudio.engine.jobs.adapt_sd.job:probe"
    )
