"""The jobs by name. Only names here, so that knowing a job does not import what it needs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from fetalstudio.engine.job import Job

JOBS: Mapping[str, str] = MappingProxyType(
    {
        "import": "fetalstudio.engine.jobs.import_frames:run",
        "propose": "fetalstudio.engine.jobs.propose:run",
        "sample": "fetalstudio.engine.jobs.sample:run",
        "synthesize": "fetalstudio.engine.jobs.synthesize:run",
        "train": "fetalstudio.engine.jobs.train:run",
        "experiment": "fetalstudio.engine.jobs.experiment:run",
        "adapt": "fetalstudio.engine.jobs.adapt:run",
        "evaluate": "fetalstudio.engine.jobs.evaluate:run",
        "report": "fetalstudio.engine.jobs.report:run",
        "export": "fetalstudio.engine.jobs.export:run",
        "adapt-sd": "fetalstudio.engine.jobs.adapt_stable_diffusion:run",
    }
)


def reference(name: str) -> str:
    """``module:function`` of the job ``name``, which may be such a reference itself.

    Raises ValueError where no job has that name.
    """
    if ":" in name:
        return name
    if name not in JOBS:
        raise ValueError(f"There is no job '{name}'; there are: {', '.join(JOBS)}.")
    return JOBS[name]


def resolve(name: str) -> Job:
    """Import and return the function of the job ``name``. Raises ValueError, ImportError."""
    module, _, function = reference(name).partition(":")
    return cast(Job, getattr(importlib.import_module(module), function))
