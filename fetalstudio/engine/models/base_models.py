"""Adding Stable Diffusion to the user's models by a card that refers to its weights.

The weights are not copied, because they take gigabytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from fetalstudio.core.names import checked_model_name, fitting_name
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.engine.models.catalogue import FoundModel, list_models
from fetalstudio.engine.models.loading import STABLE_DIFFUSION
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.resources import user_data_dir
from fetalstudio.synthesis.stable_diffusion.loading import check_source, weight_files

_BLOCK = 1 << 24


def add_base_model(
    weights: Path,
    name: str | None = None,
    config: Path | None = None,
    progress: Progress = NO_PROGRESS,
) -> FoundModel:
    """Register a local Stable Diffusion 1.5: a diffusers folder or a ``.safetensors`` file.

    A file needs ``config``, a folder in diffusers' layout without the weights. ``progress``
    counts bytes. Raises :class:`InputError` that names the file and the cure.
    """
    weights = weights.absolute()
    config = None if config is None else config.absolute()
    folder = new_folder(name, weights)
    check_source(weights, config)
    sha256, total = digest(weight_files(weights), progress)
    card = ModelCard(
        name=folder.name,
        kind="synthesizer",
        architecture={
            "type": STABLE_DIFFUSION,
            "weights": str(weights),
            "config": None if config is None else str(config),
            "weights_sha256": sha256,
            "weights_bytes": total,
            "mode": None,
            "lora": [],
        },
        preprocessing={},
        licence="that of the weights; Stable Diffusion 1.5 has the CreativeML Open RAIL-M",
        training_data={"source": weights.name},
    )
    card.write(folder)
    return FoundModel(card.name, "synthesizer", folder, "user")


def new_folder(name: str | None, source: Path) -> Path:
    """The folder for a model of that name, which defaults to the name of its file or folder.

    Raises :class:`InputError` for a name that is not allowed or taken.
    """
    own = user_data_dir() / "models"
    taken = {model.name for model in list_models()} | {p.parent.name for p in own.glob("*/*.json")}
    stem = source.stem if source.is_file() else source.name
    return own / checked_model_name(fitting_name(stem) if name is None else name, taken)


def digest(files: Sequence[Path], progress: Progress = NO_PROGRESS) -> tuple[str, int]:
    """SHA-256 (hex) of the content of the files, in order, and their size in bytes."""
    total = sum(path.stat().st_size for path in files)
    read, done = hashlib.sha256(), 0
    for path in files:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                read.update(block)
                done += len(block)
                progress.advance(done, total)
    return read.hexdigest(), total
