"""Damaged files beside a model's weights give messages, not tracebacks."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fetalstudio.cli import main
from fetalstudio.core.errors import InputError
from fetalstudio.engine.models.catalogue import FoundModel, models_in
from fetalstudio.engine.models.verify import verify
from fetalstudio.formats.model_card import ModelCard, Source, training_frames
from fetalstudio.formats.neighbours import read_neighbours
from fetalstudio.learning import load_checkpoint, save_checkpoint
from fetalstudio.resources import models_dir, user_data_dir
from fetalstudio.synthesis.lift import Lift
from fetalstudio.synthesis.stable_diffusion.loading import check_source

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture
def model() -> FoundModel:
    """A copy of the built-in synthesizer among the user's models."""
    folder = user_data_dir() / "models" / "mine"
    shutil.copytree(models_dir() / "synthesizer-compact", folder)
    (found,) = models_in(user_data_dir() / "models", "user")
    return found


@pytest.mark.parametrize(
    "changed",
    [
        {"name": 3},
        {"licence": None},
        {"architecture": []},
        {"architecture": {"type": []}},
        {"preprocessing": "letterbox"},
        {"training_data": 1},
        {"metrics": [1]},
    ],
    ids=str,
)
def test_wrong_types_in_a_card_are_refused(changed: dict[str, Any], model: FoundModel) -> None:
    path = model.folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(InputError, match=r"model\.json is damaged"):
        ModelCard.read(model.folder)
    assert main(["models", "list"]) == 0


def test_deep_nesting_is_refused(model: FoundModel, tmp_path: Path) -> None:
    for name, read in (("model.json", ModelCard.read), ("source.json", Source.read)):
        (tmp_path / name).write_text(DEEP)
        with pytest.raises(InputError, match=f"{name} is damaged"):
            read(tmp_path)


def test_wrong_types_in_a_source_are_refused(tmp_path: Path) -> None:
    (tmp_path / "source.json").write_text('{"path": [], "bytes": "3", "sha256": 1}')
    with pytest.raises(InputError, match=r"source\.json is damaged"):
        Source.read(tmp_path)


def test_a_damaged_list_of_training_frames_is_refused(model: FoundModel) -> None:
    (model.folder / "training_frames.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match=r"training_frames\.txt is damaged"):
        training_frames(model.folder)
    assert "training_frames.txt is damaged" in str(verify(model))


@pytest.mark.parametrize("key", ["ids", "descriptors", "mean", "scale", "threshold"])
def test_a_foreign_copy_index_is_refused(key: str, model: FoundModel) -> None:
    path = model.folder / "training_frames.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **(arrays | {key: np.array([[[1j]]])}))
    with pytest.raises(InputError, match=r"training_frames\.npz is damaged"):
        read_neighbours(model.folder)
    assert "training_frames.npz is damaged" in str(verify(model))


@pytest.mark.parametrize(
    "arrays", [{}, {"other": torch.ones(3)}, {"enlargement": torch.ones(2, 2)}], ids=str
)
def test_a_foreign_lift_is_refused(arrays: dict[str, torch.Tensor], model: FoundModel) -> None:
    save_file(arrays, model.folder / "lift.safetensors")
    with pytest.raises(InputError, match=r"lift\.safetensors is damaged"):
        Lift.read(model.folder)
    assert "lift.safetensors" in str(verify(model))


def test_one_broken_model_does_not_end_the_check_of_all(
    model: FoundModel, capsys: pytest.CaptureFixture[str]
) -> None:
    card = json.loads((model.folder / "model.json").read_text())
    card["architecture"] = {"type": "stable-diffusion", "weights": 3}
    (model.folder / "model.json").write_text(json.dumps(card))
    assert main(["models", "verify", "--json"]) == 1
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    (problem,) = json.loads(said.out)["problems"]
    assert problem["name"] == model.name and "cannot be used" in problem["problem"]


def test_a_zeroed_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_checkpoint(path, {"weights": torch.randn(1000), "step": 3})
    whole = load_checkpoint(path)
    assert whole is not None and whole["step"] == 3
    with zipfile.ZipFile(path) as archive:
        (entry,) = (e for e in archive.infolist() if e.filename.endswith("data/0"))
        place = entry.header_offset
    data = bytearray(path.read_bytes())
    middle = place + 2000  # within the tensor
    data[middle : middle + 1000] = bytes(1000)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"state\.pt is damaged.*Start a new"):
        load_checkpoint(path)
    path.write_bytes(bytes(len(data)))
    with pytest.raises(InputError, match=r"state\.pt is damaged"):
        load_checkpoint(path)


def test_a_folder_of_stable_diffusion_with_empty_weights_is_refused(tmp_path: Path) -> None:
    for part in ("unet", "vae", "text_encoder", "scheduler", "tokenizer"):
        (tmp_path / part).mkdir()
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        (tmp_path / part / name).write_text("{}")
    (tmp_path / "tokenizer" / "vocab.json").write_text("{}")
    for part in ("unet", "vae"):
        save_file({}, tmp_path / part / "diffusion_pytorch_model.safetensors")
    save_file({}, tmp_path / "text_encoder" / "model.safetensors")
    with pytest.raises(InputError, match="holds no weights"):
        check_source(tmp_path, None)
