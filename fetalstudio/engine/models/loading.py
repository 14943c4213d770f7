"""Finding models by name, and keeping the last ones loaded. Imports no torch by itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from fetalstudio.core.errors import InputError
from fetalstudio.core.similarity import Neighbours
from fetalstudio.engine.models.catalogue import FoundModel, list_models, models_in
from fetalstudio.formats.model_card import CARD, Kind, ModelCard, Source
from fetalstudio.formats.neighbours import read_neighbours
from fetalstudio.project.project import Project
from fetalstudio.resources import models_dir, user_data_dir

if TYPE_CHECKING:
    from fetalstudio.segmentation.segmenter import Segmenter
    from fetalstudio.synthesis.interface import SceneSynthesizer

BUILT_IN = "compact"
JUDGE = "judge"
State = tuple[tuple[str, int, int], ...]
"""Name, modification time in ns and bytes of each file in a folder."""
STABLE_DIFFUSION = "stable-diffusion"
"""Architecture type of cards that refer to weights elsewhere; see :func:`base_folder`."""
_ROLL_BACK: Mapping[Kind, str] = {
    "segmenter": "Train, Roll back; or fetalstudio models roll-back --project PROJECT "
    "--kind segmenter",
    "synthesizer": "fetalstudio models roll-back --project PROJECT --kind synthesizer",
}
"""How the last adoption of each kind is undone."""


def find_model(kind: Kind, name: str | None, project: Project | None = None) -> FoundModel:
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


def missing_files(model: FoundModel) -> str | None:
    """What is missing of a model whose card or weights are gone, with the cure; None if nothing is.

    Whether the files are whole is for :func:`.verify.verify` to say, which reads them.
    """
    folder = model.folder
    if not (folder / CARD).is_file():
        gone = f"{folder / CARD} is missing"
    elif _has_weights(folder):
        return None
    else:
        gone = f"{folder} holds no weights"
    what = f"The {model.kind} {model.name} cannot be used: {gone}."
    if model.origin == "built-in":
        return f"{what} Install FetalStudio again."
    if model.origin == "user":
        return (
            f"{what} Delete what is left of the folder and add the model again: "
            f"fetalstudio models add PATH --name {model.name}."
        )
    return (
        f"{what} Put the folder back, choose another {model.kind} (--{model.kind} on the command "
        f"line), or go back to the one that was in use before ({_ROLL_BACK[model.kind]})."
    )


def _has_weights(folder: Path) -> bool:
    """Whether there are weights in the folder, or a note of where they are."""
    if any(folder.rglob("*.safetensors")) or Source.read(folder) is not None:
        return True
    return "weights" in ModelCard.read(folder).architecture


def judge_model() -> FoundModel:
    """The judge, which measures synthetic frames: a built-in segmenter trained on real frames only.

    It is never ``compact`` or the adopted segmenter, which may have learnt from pairs, and never a
    model of the same name in the user's or the project's folders.
    """
    return next(
        model
        for model in models_in(models_dir(), "built-in")
        if (model.kind, model.name) == ("segmenter", JUDGE)
    )


def load_segmenter(model: FoundModel) -> Segmenter:
    """Load a segmenter, and keep it for the next job unless its files change."""
    return _segmenter(model.folder, _state(model.folder))


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
def _synthesizer(folder: Path, base: Path | None, _as: State) -> SceneSynthesizer:
    if base is not None:
        # Imported for these models only, because transformers and peft take seconds.
        from fetalstudio.synthesis.stable_diffusion.synthesizer import StableDiffusionSynthesizer

        return StableDiffusionSynthesizer.load(folder, base)
    from fetalstudio.synthesis.synthesizer import Synthesizer

    return Synthesizer.load(folder)


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
