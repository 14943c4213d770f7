"""FetalStudio: draw fetal head ellipses, synthesise matching ultrasounds, fine-tune a segmenter.

Everything that this package exports is public::

    import fetalstudio as fs

    with fs.Project.create("heads") as project:
        fs.import_frames(project, "frames")
        print(fs.evaluate(project, "compact").dice)

The names are imported when they are first used, so that importing the package is quick. torch is
imported when a model is first loaded. All other modules may change without notice.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fetalstudio.version import __version__ as __version__

if TYPE_CHECKING:
    from fetalstudio.api import (
        Segmenter,
        Synthesizer,
        evaluate,
        import_frames,
        load_segmenter,
        load_synthesizer,
        synthesize,
        train,
    )
    from fetalstudio.core.biometry import measure
    from fetalstudio.core.calibration import Calibration
    from fetalstudio.core.ellipse import Ellipse
    from fetalstudio.core.errors import InputError, UserError
    from fetalstudio.core.training_settings import TrainingSettings
    from fetalstudio.project.project import Project

__all__ = [
    "Calibration",
    "Ellipse",
    "InputError",
    "Project",
    "Segmenter",
    "Synthesizer",
    "TrainingSettings",
    "UserError",
    "evaluate",
    "import_frames",
    "load_segmenter",
    "load_synthesizer",
    "measure",
    "synthesize",
    "train",
]

_MODULES = {
    "Calibration": "fetalstudio.core.calibration",
    "Ellipse": "fetalstudio.core.ellipse",
    "InputError": "fetalstudio.core.errors",
    "Project": "fetalstudio.project.project",
    "TrainingSettings": "fetalstudio.core.training_settings",
    "UserError": "fetalstudio.core.errors",
    "measure": "fetalstudio.core.biometry",
}
"""Where the public names are defined, except for those of ``fetalstudio.api``."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES.get(name, "fetalstudio.api")), name)
    globals()[name] = value  # so that this function is not asked again
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
