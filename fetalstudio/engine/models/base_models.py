"""Adding Stable Diffusion to the user's models: a card that says where its weights are.

The weights stay where they are, for they are gigabytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.engine.models.catalogue import FoundModel
from fetalstudio.engine.models.loading import BUILT_IN, STABLE_DIFFUSION
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
        training_data={"source": str(weights)},
    )
    card.write(folder)
    return FoundModel(card.name, "synthesizer", folder, "user")


def new_folder(name: str | None, source: Path) -> Path:
    """Where a model of that name goes, by default named after its file or folder.

    Raises :class:`InputError` for a name that cannot be or is taken.
    """
    stem = source.stem if source.is_file() else source.name
    name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", stem)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or name == BUILT_IN:
        raise InputError(
            f"{name!r} cannot be a model's name. Choose one of letters, digits, '.', '_' and '-' "
            f"with --name (not {BUILT_IN})."
        )
    folder = user_data_dir() / "models" / name
    if (folder / "model.json").exists():
        raise InputError(f"There already is a model called {name}. Choose another --name.")
    return folder


def digest(files: Sequence[Path], progress: Progress = NO_PROGRESS) -> tuple[str, int]:
    """SHA-256 (hex) over the files, one after the other, and the number of their bytes."""
    total = sum(path.stat().st_size for path in files)
    read, done = hashlib.sha256(), 0
    for path in files:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                read.update(block)
                done += len(block)
                progress.advance(done, total)
    return read.hexdigest(), total
