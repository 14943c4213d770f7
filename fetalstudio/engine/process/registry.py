"""The jobs by name. Only names here, so that knowing a job does not import what it needs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from fetalstudio.engine.process.job import Job

JOBS: Mapping[str, str] = MappingProxyType(
    {
        "import": "fetalstudio.engine.jobs.import_frames.job:run",
        "propose": "fetalstudio.engine.jobs.propose.job:run",
        "sample": "fetalstudio.engine.jobs.sample.job:run",
        "synthesize": "fetalstudio.engine.jobs.synthesize.job:run",
        "train": "fetalstudio.engine.jobs.train.job:run",
        "experiment": "fetalstudio.engine.jobs.experiment.job:run",
        "adapt": "fetalstudio.engine.jobs.adapt.job:run",
        "evaluate": "fetalstudio.engine.jobs.evaluate.job:run",
        "report": "fetalstudio.engine.jobs.report.job:run",
        "export": "fetalstudio.engine.jobs.export.job:run",
        "adapt-sd": "fetalstudio.engine.jobs.adapt_sd.job:run",
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
