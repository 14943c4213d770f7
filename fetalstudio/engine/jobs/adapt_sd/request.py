"""Request and result types for adapting Stable Diffusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class AdaptStableDiffusionRequest:
    """Job ``adapt-sd``: adapt Stable Diffusion to the project's own frames by a LoRA.

    After a cancel or a crash, a request with the same name resumes the run.
    """

    job: ClassVar[Job[AdaptStableDiffusionRequest, AdaptStableDiffusionResult]] = Job(
        "adapt-sd", "Adapting Stable Diffusion", "fetalstudio.engine.jobs.adapt_sd.job:run"
    )
    project: Path
    base: str
    """Name of a Stable Diffusion that was added to the user's models."""
    mode: Literal["paper", "conditioned"] = "paper"
    steps: int | None = None
    """The number of steps; by default 6000, as in the paper's code."""
    name: str | None = None
    """Name of the new model; by default ``<base>-<mode>``."""
    cohort: str | None = None
    memory: Literal["auto", "large", "medium", "small"] = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further settings by name, see ``synthesis.stable_diffusion.settings.LoraSettings``."""


@dataclass(frozen=True, slots=True)
class AdaptStableDiffusionResult:
    """What was trained, and how the loss changed."""

    model: str
    frames: int
    subjects: int
    steps: int
    loss_first: float
    """Mean loss over the first tenth of the steps of this call."""
    loss_last: float
    """Mean loss over the last tenth."""
    seconds: float
    """Seconds that the run has taken, including those before it was resumed."""


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """Job ``probe``: import the libraries that Stable Diffusion needs.

    The result is a line for a person.
    """

    job: ClassVar[Job[ProbeRequest, str]] = Job(
        "probe", "Checking the libraries", "fetalstudio.engine.jobs.adapt_sd.job:probe"
    )
