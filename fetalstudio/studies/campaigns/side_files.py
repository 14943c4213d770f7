"""Campaign ``side-files``: the files beside the weights of models are damaged at random.

Such a model is read, or refused with a message that names a file; checking it never fails.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fetalstudio.core.errors import UserError
from fetalstudio.engine.models.catalogue import FoundModel, models_in
from fetalstudio.engine.models.verify import verify
from fetalstudio.formats.model_card import Kind, ModelCard, training_frames
from fetalstudio.formats.neighbours import read_neighbours
from fetalstudio.resources import models_dir
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies.campaigns.counting import Counts
from fetalstudio.synthesis.lift import Lift
from fetalstudio.synthesis.synthesizer import Synthesizer

_MODELS = ("synthesizer-compact", "segmenter-compact")
_LOADED_EVERY = 10
"""Loading a model takes a second; reading its side files takes milliseconds."""
SOON_S = 5.0


def run(folder: Path, trials: int, seed: int = 0) -> Counts:
    """Damage one side file of a built-in model ``trials`` times, each time of a fresh copy."""
    counts = Counts()
    for number in range(seed, seed + trials):
        name = _MODELS[number % len(_MODELS)]
        copy = folder / name
        # Weights are linked: only what lies beside them is damaged.
        shutil.copytree(models_dir() / name, copy, copy_function=_linked)
        started = time.monotonic()
        load = number % _LOADED_EVERY < 2
        outcome, failure = _trial(copy, random.Random(number), load=load)
        if (took := time.monotonic() - started) > SOON_S and not load:
            failure = failure or f"it took {took:.1f} s"
        counts.outcomes[outcome] += 1
        if failure:
            counts.failures.append(f"seed {number}: {failure}")
        shutil.rmtree(copy)
    return counts


def _linked(source: str, copy: str) -> str:
    if Path(source).name in ("model.safetensors", "diffusion_pytorch_model.safetensors"):
        Path(copy).symlink_to(source)
        return copy
    return shutil.copy(source, copy)


def _trial(folder: Path, chance: random.Random, *, load: bool) -> tuple[str, str]:
    """The outcome, and what must not happen, if it did."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    path = chance.choice([p for p in files if p.suffix != ".md"])
    what = chance.choice(_DAMAGES)(path, chance)
    kind: Kind = "synthesizer" if folder.name.startswith("synthesizer") else "segmenter"
    steps: list[Callable[[], object]] = [
        lambda: list(models_in(folder.parent, "user")),
        lambda: ModelCard.read(folder),
        lambda: training_frames(folder),
        lambda: read_neighbours(folder),
        lambda: Lift.read(folder),
        lambda: verify(FoundModel("damaged", kind, folder, "user")),
    ]
    if load:
        loader = Synthesizer if kind == "synthesizer" else Segmenter
        steps.append(lambda: loader.load(folder))
    refused = False
    for step in steps:
        try:
            step()
        except UserError as error:
            refused = True
            if str(folder) not in str(error):
                return "failed", f"no file is named after {what}: {error}"
        except Exception as error:
            return "failed", f"{type(error).__name__}: {str(error)[:200]} after {what}"
    return f"{path.name}: {'refused' if refused else 'read'}", ""


def _flip(path: Path, chance: random.Random) -> str:
    data = bytearray(path.read_bytes())
    places = [chance.randrange(len(data)) for _ in range(chance.randrange(1, 5))]
    for at in places:
        data[at] = chance.randrange(256)
    path.write_bytes(data)
    return f"other bytes at {places} of {path.name}"


def _cut(path: Path, chance: random.Random) -> str:
    data = path.read_bytes()
    length = chance.randrange(len(data))
    path.write_bytes(data[:length])
    return f"{path.name} cut to {length} bytes"


def _zero(path: Path, chance: random.Random) -> str:
    path.write_bytes(bytes(path.stat().st_size))
    return f"zeros in {path.name}"


def _foreign(path: Path, chance: random.Random) -> str:
    data = chance.choice((b"", b"[" * 100_000, b"null", b"3", b"\xff\xfe\xfa", b"{}"))
    path.write_bytes(data)
    return f"{data[:5]!r} in {path.name}"


def _change_value(path: Path, chance: random.Random) -> str:
    """Put a value of another type somewhere into a JSON file; bytes are changed in others."""
    if path.suffix != ".json":
        return _flip(path, chance)
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


_DAMAGES = (_flip, _cut, _zero, _foreign, _change_value, _change_value, _change_value)
