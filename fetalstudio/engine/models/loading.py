"""Finding a model by name, and keeping the last ones loaded. Importing this imports no torch."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from fetalstudio.core.errors import InputError
from fetalstudio.core.similarity import Neighbours
from fetalstudio.engine.models.catalogue import FoundModel, list_models, models_in
from fetalstudio.formats.model_card import Kind, ModelCard
from fetalstudio.formats.neighbours import read_neighbours
from fetalstudio.project.project import Project
from fetalstudio.resources import models_dir, user_data_dir

if TYPE_CHECKING:
    from fetalstudio.segmentation.segmenter import Segmenter
    from fetalstudio.synthesis.interface import SceneSynthesizer

BUILT_IN = "compact"
JUDGE = "judge"
State = tuple[tuple[str, int, int], ...]
"""Of a folder's files: name, time in ns, bytes."""
STABLE_DIFFUSION = "stable-diffusion"
"""Architecture type of the cards whose weights lie elsewhere; see :func:`base_folder`."""


def find_model(kind: Kind, name: str | None, project: Project | None = None) -> FoundModel:
    """The model of that name (the project's own first); by default the adopted one, or ``compact``.

    Raises :class:`InputError` that lists what there is.
    """
    if name is None and project is not None and (active := project.models.active(kind)) is not None:
        name = active.name
    name = name or BUILT_IN
    candidates = [m for m in reversed(list_models(project)) if m.kind == kind]
    for model in candidates:
        if model.name == name:
            return model
    there = ", ".join(sorted({m.name for m in candidates})) or "none"
    raise InputError(f"There is no {kind} called {name!r}; there are: {there}.")


def judge_model() -> FoundModel:
    """The segmenter that judges synthetic frames: a built-in one, trained on real frames only.

    Never ``compact`` or the adopted one, which learned from such pairs as it would judge, and never
    one of the same name from the user's or the project's folders.
    """
    return next(
        model
        for model in models_in(models_dir(), "built-in")
        if (model.kind, model.name) == ("segmenter", JUDGE)
    )


def load_segmenter(model: FoundModel) -> Segmenter:
    """Loaded, and kept for the next job unless its files change."""
    return _segmenter(model.folder, _state(model.folder))


def load_synthesizer(model: FoundModel) -> SceneSynthesizer:
    """Loaded, as the type that its card names, and kept for the next job unless it changes."""
    folder, base = model.folder, None
    if ModelCard.read(folder).architecture.get("type") == STABLE_DIFFUSION:
        base = base_folder(folder)
    return _synthesizer(folder, base, _state(folder) + (() if base is None else _state(base)))


@lru_cache(maxsize=2)
def _segmenter(folder: Path, _as: State) -> Segmenter:
    from fetalstudio.segmentation.segmenter import Segmenter

    return Segmenter.load(folder)


@lru_cache(maxsize=1)
def _synthesizer(folder: Path, base: Path | None, _as: State) -> SceneSynthesizer:
    if base is not None:
        # Imported for these models only: transformers and peft take seconds.
        from fetalstudio.synthesis.stable_diffusion.synthesizer import StableDiffusionSynthesizer

        return StableDiffusionSynthesizer.load(folder, base)
    from fetalstudio.synthesis.synthesizer import Synthesizer

    return Synthesizer.load(folder)


def load_neighbours(model: FoundModel) -> Neighbours | None:
    """What the synthesizer's folder remembers of its training frames; None where it does not."""
    return _neighbours(model.folder, _state(model.folder))


@lru_cache(maxsize=2)
def _neighbours(folder: Path, _as: State) -> Neighbours | None:
    return read_neighbours(folder)


def base_folder(folder: Path) -> Path:
    """The model folder that says where a Stable Diffusion model's own weights are.

    An adapted model names its base, which each machine has at a place of its own. Raises
    :class:`InputError` where this one has it not, or other weights by that name.
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
                    f"{card.name} was trained on other weights than those that are called {name} "
                    "here. Add the right ones under another name and train again."
                )
            return model.folder
    raise InputError(
        f"{card.name} needs Stable Diffusion weights called {name}, which this machine does not "
        f"have. Add them: fetalstudio models add PATH --name {name}."
    )


def _state(folder: Path) -> State:
    """Differs whenever a file was added, taken away or replaced, by an older one too."""
    files = ((p, p.stat()) for p in sorted(folder.rglob("*")) if p.is_file())
    return tuple((str(p), stat.st_mtime_ns, stat.st_size) for p, stat in files)
