"""Campaign ``damaged-models``: the files of models are damaged at random, and the checkpoints of
trainings.

Such a model is read, or refused with a message that names a file; checking it never fails.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fetalstudio.core.errors import UserError
from fetalstudio.engine.models.catalogue import FoundModel, models_in
from fetalstudio.engine.models.verify import verify
from fetalstudio.formats.model_card import Kind, ModelCard, training_frames
from fetalstudio.formats.neighbours import read_neighbours
from fetalstudio.learning import load_checkpoint, save_checkpoint
from fetalstudio.resources import models_dir
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies.campaigns.campaign import Outcome
from fetalstudio.studies.campaigns.child import preload
from fetalstudio.studies.campaigns.damage import damage_bytes
from fetalstudio.studies.campaigns.damaged import DamagedInputs
from fetalstudio.synthesis.lift import Lift
from fetalstudio.synthesis.synthesizer import Synthesizer

_MODELS = ("synthesizer-compact", "segmenter-compact")
_WEIGHTS = ("model.safetensors", "diffusion_pytorch_model.safetensors")
_STATE = "state.pt"
_LOADED_SHARE = 0.1
"""Loading a model takes a second; reading its side files takes milliseconds."""
_WEIGHTS_SHARE = 0.05
"""Weights are large, and are linked where they are not damaged."""


class DamagedModels(DamagedInputs):
    """Damages one file of a built-in model, or a checkpoint."""

    def make(self, folder: Path) -> None:
        import torch

        preload(("fetalstudio.studies.campaigns.damaged_models",))
        folder.mkdir()
        for name in _MODELS:
            shutil.copytree(models_dir() / name, folder / name, copy_function=_linked)
        tensors = {f"layer.{n}": torch.arange(300.0) * n for n in range(4)}
        state = {"step": 3, "best": 0.5, "weights": tensors, "seeds": [1, 2]}
        save_checkpoint(folder / _STATE, state)

    def copy(self, folder: Path) -> None:
        folder.mkdir()

    def damage(self, folder: Path, chance: random.Random) -> str:
        name = chance.choice((*_MODELS, _STATE))
        if name == _STATE:
            shutil.copy(self._whole / name, folder / name)
            return damage_bytes(folder / name, chance)
        model = folder / name
        shutil.copytree(self._whole / name, model, symlinks=True)
        (model / "loaded").touch() if chance.random() < _LOADED_SHARE else None
        weights = [path for path in sorted(model.rglob("*")) if path.name in _WEIGHTS]
        if chance.random() < _WEIGHTS_SHARE:
            path = chance.choice(weights)
            whole = path.resolve()
            path.unlink()
            shutil.copy(whole, path)
            (model / "loaded").touch()
            return damage_bytes(path, chance)
        sides = [path for path in sorted(model.rglob("*")) if path.is_file()]
        left_out = {*weights, model / "loaded"}
        path = chance.choice([p for p in sides if p not in left_out and p.suffix != ".md"])
        if path.suffix == ".json" and chance.random() < 0.5:
            return _change_value(path, chance)
        return damage_bytes(path, chance)

    def use(self, folder: Path) -> Outcome:
        (path,) = folder.iterdir()
        if path.name == _STATE:
            load_checkpoint(path)
            return Outcome("checkpoint: read")
        kind: Kind = "synthesizer" if path.name.startswith("synthesizer") else "segmenter"
        steps: list[Callable[[], object]] = [
            lambda: list(models_in(folder, "user")),
            lambda: ModelCard.read(path),
            lambda: training_frames(path),
            lambda: read_neighbours(path),
            lambda: Lift.read(path),
            lambda: verify(FoundModel("damaged", kind, path, "user")),
        ]
        if (path / "loaded").exists():
            loader = Synthesizer if kind == "synthesizer" else Segmenter
            steps.append(lambda: loader.load(path))
        refused = False
        for step in steps:
            try:
                step()
            except UserError as error:
                refused = True
                if str(path) not in str(error):
                    return Outcome(path.name, (f"no file is named: {error}",))
        return Outcome(f"{path.name}: {'refused' if refused else 'read'}")


def _linked(source: str, copy: str) -> str:
    if Path(source).name in _WEIGHTS:
        Path(copy).symlink_to(source)
        return copy
    return shutil.copy(source, copy)


def _change_value(path: Path, chance: random.Random) -> str:
    """Put a value of another type somewhere into a JSON file."""
    values: Any = json.loads(path.read_bytes())
    places: list[tuple[Any, Any]] = []

    def walk(holder: Any) -> None:
        keys = [*holder] if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            places.append((holder, key))
            if isinstance(holder[key], dict | list):
                walk(holder[key])

    walk(values)
    holder, key = chance.choice(places)
    holder[key] = chance.choice((None, 3, -1e300, "x", [], {}, [[1]], {"a": []}, True, 10**30))
    path.write_text(json.dumps(values))
    return f"{key!r} = {holder[key]!r} in {path.name}"
