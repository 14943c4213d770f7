"""Finding models by name, and keeping the last ones loaded. Imports no torch by itself."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.similarity import Neighbours
from fetalstudio.engine.models.catalogue import (
    FoundModel,
    list_models,
    missing_files,
    models_in,
    outline_folder,
)
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.formats.neighbours import read_neighbours
from fetalstudio.project.models import BUILT_IN, ModelKind
from fetalstudio.project.project import Project
from fetalstudio.resources import models_dir, user_data_dir

if TYPE_CHECKING:
    from fetalstudio.segmentation.outline import SecondLook
    from fetalstudio.segmentation.segmenter import Segmenter
    from fetalstudio.synthesis.interface import SceneSynthesizer
    from fetalstudio.synthesis.synthesizer import Synthesizer

JUDGE = "judge"
State = tuple[tuple[str, int, int], ...]
"""Name, modification time in ns and bytes of each file in a folder."""
STABLE_DIFFUSION = "stable-diffusion"
"""Architecture type of cards that refer to weights elsewhere; see :func:`base_folder`."""
ALIGNED = "aligned"
"""Key in the preprocessing of a synthesizer's card: drawn heads are moved onto their ellipses."""


def find_model(kind: ModelKind, name: str | None, project: Project | None = None) -> FoundModel:
    """The model of that name, the project's own first. Default: the adopted one, or ``compact``.

    Raises :class:`InputError` that lists the available models, or that says which files of the
    model are missing.
    """
    if name is None and project is not None and (active := project.models.active(kind)) is not None:
        name = active.name
    name = name or BUILT_IN
    candidates = [m for m in reversed(list_models(project)) if m.kind == kind]
    for model in candidates:
        if model.name == name:
            if (missing := missing_files(model)) is not None:
                raise InputError(missing)
            return model
    there = ", ".join(sorted({m.name for m in candidates})) or "none"
    raise InputError(f"There is no {kind} called {name!r}. Choose one of these: {there}.")


def judge_model() -> FoundModel:
    """The judge, which measures synthetic frames: a built-in segmenter trained on real frames only.

    It is never ``compact`` or the adopted segmenter, which may have learnt from pairs, and never a
    model of the same name in the user's or the project's folders. Raises :class:`InputError` if it
    is missing or damaged.
    """
    for model in models_in(models_dir(), "built-in"):
        if (model.kind, model.name) == ("segmenter", JUDGE):
            if (missing := missing_files(model)) is not None:
                raise InputError(missing)
            return model
    raise InputError(
        f"The judge, which measures synthetic frames, is missing or damaged in {models_dir()}. "
        "Install FetalStudio again."
    )


def load_segmenter(model: FoundModel) -> Segmenter:
    """Load a segmenter, and keep it for the next job unless its files change."""
    return _segmenter(model.folder, _state(model.folder))


def load_outline() -> SecondLook:
    """The built-in second look, which moves the ellipse of any segmenter or person onto the skull.

    Raises :class:`InputError` if its files are missing or damaged.
    """
    return _outline(outline_folder(), _state(outline_folder()))


def load_synthesizer(model: FoundModel) -> SceneSynthesizer:
    """Load a synthesizer of its card's type, and keep it for the next job unless it changes."""
    folder, base = model.folder, None
    if ModelCard.read(folder).architecture.get("type") == STABLE_DIFFUSION:
        base = base_folder(folder)
    return _synthesizer(folder, base, _state(folder) + (() if base is None else _state(base)))


@lru_cache(maxsize=2)
def _segmenter(folder: Path, _as: State) -> Segmenter:
    from fetalstudio.segmentation.segmenter import Segmenter

    return Segmenter.load(folder)


@lru_cache(maxsize=1)
def _outline(folder: Path, _as: State) -> SecondLook:
    from fetalstudio.segmentation.outline import SecondLook

    return SecondLook.load(folder)


@lru_cache(maxsize=1)
def _synthesizer(folder: Path, base: Path | None, _as: State) -> SceneSynthesizer:
    if base is not None:
        # Imported for these models only, because transformers and peft take seconds.
        from fetalstudio.synthesis.stable_diffusion.synthesizer import StableDiffusionSynthesizer

        return StableDiffusionSynthesizer.load(folder, base)
    return load_compact(folder)


def load_compact(folder: Path) -> Synthesizer:
    """Load a compact synthesizer from a folder, with the second look if its card asks for it.

    The second look finds the drawn heads, which are then moved onto their ellipses. Raises
    :class:`InputError` if the folder holds no usable model.
    """
    from fetalstudio.synthesis.synthesizer import Synthesizer

    return Synthesizer.load(folder, find_head=find_head if is_aligned(folder) else None)


def is_aligned(folder: Path) -> bool:
    """Whether the card of a synthesizer asks that drawn heads are moved onto their ellipses."""
    return bool(ModelCard.read(folder).preprocessing.get(ALIGNED))


def find_head(image: NDArray[np.uint8], ellipse: Ellipse) -> Ellipse | None:
    """The ellipse of the head near a given one in an (H, W) image, by the second look."""
    return load_outline().snap(image, ellipse).ellipse


def load_neighbours(model: FoundModel) -> Neighbours | None:
    """The copy index in the synthesizer's folder; None if it has none."""
    return _neighbours(model.folder, _state(model.folder))


@lru_cache(maxsize=2)
def _neighbours(folder: Path, _as: State) -> Neighbours | None:
    return read_neighbours(folder)


def base_folder(folder: Path) -> Path:
    """The model folder that refers to the weights of a Stable Diffusion model.

    An adapted model names its base, whose location depends on the machine. Raises
    :class:`InputError` if this machine does not have it, or has other weights of that name.
    """
    card = ModelCard.read(folder)
    name = card.architecture.get("base")
    if name is None:
        return folder
    for model in models_in(user_data_dir() / "models", "user"):
        if model.name == name and model.kind == "synthesizer":
            known = ModelCard.read(model.folder).architecture.get("weights_sha256")
            if known != card.architecture.get("weights_sha256"):
                raise InputError(
                    f"{card.name} was trained from other Stable Diffusion weights than those that "
                    f"are called {name} on this machine. Delete {model.folder}, and add the "
                    f"weights that it was trained from: fetalstudio models add PATH --name {name}."
                )
            return model.folder
    raise InputError(
        f"{card.name} needs the Stable Diffusion weights that it was trained from, which are "
        f"called {name} and are not on this machine. Add them: fetalstudio models add PATH --name "
        f"{name}."
    )


def _state(folder: Path) -> State:
    """Changes when a file is added, removed or replaced, even by an older one."""
    files = ((p, p.stat()) for p in sorted(folder.rglob("*")) if p.is_file())
    return tuple((str(p), stat.st_mtime_ns, stat.st_size) for p, stat in files)
