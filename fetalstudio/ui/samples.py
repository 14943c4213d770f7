"""The frames of the sample project."""

from __future__ import annotations

from pathlib import Path

from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.resources import samples_dir, wide_samples_dir


def sample_imports(project: Path) -> list[ImportRequest]:
    """The imports that fill the sample project, in their order: frames of HC18, and the same kind
    of frames with ellipses that are drawn wider than the skull."""
    return [
        ImportRequest(
            project, samples_dir(), Choices("HC18"), options=ImportOptions(format="hc18")
        ),
        ImportRequest(
            project,
            wide_samples_dir(),
            Choices("HC18 wide"),
            options=ImportOptions(format="huggingface", keep_names=True),
        ),
    ]
