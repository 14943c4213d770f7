"""Stable Diffusion's parts, real and tiny: from folders and single files, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fetalstudio.core.errors import InputError
from fetalstudio.studies.campaigns.tiny_stable_diffusion import write_tiny
from fetalstudio.synthesis.stable_diffusion.loading import (
    Parts,
    bytes_to_load,
    check_source,
    load_parts,
    token_ids,
    weight_files,
)
from fetalstudio.synthesis.stable_diffusion.sampling import embed
from tests.synthesis.single_file import write_single_file

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("sd") / "tiny")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def _states(parts: Parts) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value
        for name in ("unet", "vae", "text_encoder")
        for key, value in getattr(parts, name).state_dict().items()
    }


def test_two_prompts_have_different_ids_and_embeddings(folder: Path) -> None:
    parts = load_parts(folder, None, torch.float32)
    assert (parts.side, parts.factor) == (64, 4)
    ids = token_ids(parts.tokenizer, ["fetal head, first trimester", "fetal head, third trimester"])
    assert ids.shape == (2, 77) and not torch.equal(ids[0], ids[1])
    first, third = embed(parts, ["first trimester", "third trimester"], CPU)
    assert (first - third).abs().max() > 1e-3


def test_a_single_file_holds_the_same_model(folder: Path, tmp_path: Path) -> None:
    file = write_single_file(folder, tmp_path / "sd15.safetensors")
    config = tmp_path / "config"
    shutil.copytree(folder, config, ignore=shutil.ignore_patterns("*.safetensors"))
    expected = _states(load_parts(folder, None, torch.float32))
    found = _states(load_parts(file, config, torch.float32))
    assert set(found) == set(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_text_encoders_saved_by_older_transformers_are_read(copy: Path) -> None:
    expected = _states(load_parts(copy, None, torch.float32))
    file = copy / "text_encoder" / "model.safetensors"
    old = {f"text_model.{key}": value for key, value in load_file(file).items()}
    save_file({**old, "text_model.embeddings.position_ids": torch.arange(77)[None]}, file)
    found = _states(load_parts(copy, None, torch.float32))
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_half_precision_variants_are_read(copy: Path) -> None:
    for part in ("unet", "vae"):
        file = copy / part / "diffusion_pytorch_model.safetensors"
        file.rename(file.with_suffix(".fp16.safetensors"))
    text = copy / "text_encoder" / "model.safetensors"
    text.rename(text.with_suffix(".fp16.safetensors"))
    assert load_parts(copy, None, torch.float16).unet.dtype == torch.float16
    assert len(weight_files(copy)) == 3


def test_what_is_not_read_does_not_count(copy: Path) -> None:
    read = weight_files(copy)
    for file in read:
        shutil.copy(file, file.with_suffix(".fp16.safetensors"))
        shutil.copy(file, file.with_name("diffusion_pytorch_model.non_ema.safetensors"))
    assert weight_files(copy) == read
    parts = load_parts(copy, None, torch.float32)
    modules = (parts.unet, parts.vae, parts.text_encoder)
    count = sum(p.numel() for module in modules for p in module.parameters())
    wanted = bytes_to_load(copy, torch.float32)
    assert wanted == pytest.approx(4 * count, rel=0.05)
    assert bytes_to_load(copy, torch.float16) == wanted / 2


def test_pickles_are_refused_unread(copy: Path, tmp_path: Path) -> None:
    for name in ("sd.ckpt", "sd.pt", "sd.bin"):
        (tmp_path / name).write_bytes(b"a pickle")
        with pytest.raises(InputError, match=r"is a pickle.*\.safetensors"):
            check_source(tmp_path / name, copy)
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_suffix(".bin"))
    with pytest.raises(InputError, match=r"no \.safetensors file"):
        weight_files(copy)
    with pytest.raises(InputError, match=r"no \.safetensors file"):
        load_parts(copy, None, torch.float32)


def test_a_single_file_without_configurations_says_what_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(InputError, match="--config"):
        check_source(file, None)
    with pytest.raises(InputError, match=r"unet/config\.json is missing"):
        check_source(file, tmp_path)
    with pytest.raises(InputError, match="is missing"):
        check_source(tmp_path / "nowhere", None)


def test_a_folder_without_its_vocabulary_is_refused(copy: Path) -> None:
    (copy / "tokenizer" / "vocab.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer/vocab\.json is missing"):
        check_source(copy, None)


def test_damage_is_named(copy: Path) -> None:
    weights = copy / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=str(copy)):
        load_parts(copy, None, torch.float32)


def test_damage_is_named_before_anything_is_loaded(copy: Path) -> None:
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    size = weights.stat().st_size
    weights.write_bytes(b"\xff" * size)
    with pytest.raises(InputError, match=r"unet.*not a complete"):
        bytes_to_load(copy, torch.float32)


def test_a_text_encoder_that_lacks_weights_is_not_left_random(copy: Path) -> None:
    file = copy / "text_encoder" / "model.safetensors"
    weights = load_file(file)
    weights.pop("final_layer_norm.weight")
    save_file(weights, file)
    with pytest.raises(InputError, match=r"lacks final_layer_norm\.weight"):
        load_parts(copy, None, torch.float32)


def test_a_tokenizer_that_knows_no_words_is_refused(copy: Path) -> None:
    (copy / "tokenizer" / "vocab.json").write_text(
        json.dumps({"<|startoftext|>": 0, "<|endoftext|>": 1})
    )
    with pytest.raises(InputError, match="tokenizer"):
        load_parts(copy, None, torch.float32)


def test_other_models_are_refused(copy: Path, tmp_path: Path) -> None:
    other = write_tiny(tmp_path / "other", seed=1)
    config = other / "unet" / "config.json"
    config.write_text(config.read_text().replace('"in_channels": 4', '"in_channels": 9'))
    with pytest.raises(InputError):
        load_parts(other, None, torch.float32)


def test_the_compact_synthesizer_does_not_wait_for_what_it_does_not_need() -> None:
    code = (
        "import sys, fetalstudio.engine.jobs.sample.job\n"
        "assert 'diffusers' in sys.modules\n"
        "found = {'transformers', 'peft', 'accelerate', 'scipy'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
