"""Adding SAM checkpoints to the user's models, and exporting them for other programs.

A checkpoint of up to a gigabyte (vit_b, MedSAM) is copied. A larger one (vit_l, vit_h) is not
copied but referred to, like Stable Diffusion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from fetalstudio.core.errors import InputError, is_out_of_memory
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.engine.models.base_models import digest, new_folder
from fetalstudio.engine.models.catalogue import FoundModel
from fetalstudio.engine.models.exported_card import (
    ExportedCard,
    card_beside,
    read_card_beside,
    write_card_beside,
)
from fetalstudio.engine.models.loading import load_segmenter
from fetalstudio.engine.models.not_known import CHECKPOINT, unknown_checkpoint
from fetalstudio.engine.models.seen import seen_by
from fetalstudio.formats.model_card import (
    ModelCard,
    Source,
    write_seen_subjects,
    write_training_frames,
)
from fetalstudio.project.project import Project
from fetalstudio.segmentation.checkpoints import (
    check_weights,
    kind_of,
    lora_error,
    read_checkpoint,
    to_hugging_face,
    write_checkpoint,
)
from fetalstudio.segmentation.profiles import ProfileName
from fetalstudio.segmentation.segmenter import WEIGHTS
from fetalstudio.segmentation.vit import AUTO_TOKENS, config_of, load_vit, variant_of

COPIED_UP_TO = 1_000_000_000
"""Larger checkpoints are not copied, in bytes."""
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
"""In a folder of peft's, which holds a LoRA."""
_ORIGINALS = frozenset(
    {
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",  # sam_vit_b_01ec64.pth
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",  # sam_vit_l_0b3195.pth
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",  # sam_vit_h_4b8939.pth
    }
)
"""SHA-256 of SAM's own checkpoints, which learnt from photographs alone."""
_FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")


def is_sam(path: Path) -> bool:
    """Whether a file or folder is to be added as a segmenter.

    A pickle that is no Stable Diffusion is, whatever it holds, since a synthesizer cannot be one.
    Raises :class:`InputError` for a file that is no whole model.
    """
    if path.is_dir():
        if any((path / name).is_file() for name in _ADAPTER):
            raise lora_error(path)
        if next(path.glob("*.index.json"), None) is not None:
            raise InputError(
                f"{path} holds its weights in several files. Save the model as one, as "
                "save_pretrained does with a larger max_shard_size."
            )
        return any((path / name).is_file() for name in _FOLDER_FILES)
    kind = kind_of(path)
    return kind == "sam" or (kind == "other" and path.suffix != ".safetensors")


def add_sam(
    path: Path,
    name: str | None = None,
    profile: ProfileName | None = None,
    progress: Progress = NO_PROGRESS,
    warn: Callable[[str], None] = lambda sentence: None,
) -> FoundModel:
    """Add a SAM checkpoint: a file, or a folder of Hugging Face's.

    ``profile`` says how frames are prepared, by default as the card beside an exported checkpoint
    does, or else as for ``sam``. MedSAM cannot be distinguished from vit_b by its weights. The card
    also tells what the model saw; ``warn`` is called where that is not known. ``progress`` counts
    bytes. Raises :class:`InputError` that names the file and the cure.
    """
    given = path.absolute()
    path = next((f for n in _FOLDER_FILES if (f := given / n).is_file()), given)
    exported, unread = _exported(path)
    if profile is None and exported is not None:
        profile = _profile_of(exported)
    if profile is None and "medsam" in given.name.lower():
        raise InputError(
            f"{given.name} may be MedSAM, which needs its frames prepared in another way than SAM "
            "does; its weights look the same. Say which one it is with --profile medsam or "
            "--profile sam."
        )
    folder = new_folder(name, given)
    checkpoint = read_checkpoint(path)
    if any(key.startswith("image_encoder.trunk.") for key in checkpoint.state):
        raise InputError(
            f"{path} is a SAM 2, which is built differently. Give a checkpoint of the first SAM "
            "(vit_b, vit_l or vit_h) or of MedSAM."
        )
    check_weights(checkpoint.state, path)
    try:
        config = config_of(checkpoint.state)
        sam = load_vit(checkpoint.state)
    except (RuntimeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        what = " ".join(str(error).split())[:300].rstrip(".")
        raise InputError(
            f"{path} is not one of the SAM models that can be added (vit_b, vit_l, vit_h, MedSAM): "
            f"{what}. Give segment_anything's checkpoint, or Hugging Face's."
        ) from error
    for key, value in checkpoint.state.items():
        if not torch.isfinite(value).all():
            raise InputError(
                f"{path} has values in {key} that are no numbers (NaN or infinite): its training "
                "failed. Give an earlier checkpoint of it."
            )
    sha256, size = digest([path], progress)
    training_data: dict[str, Any] = {"source": path.name, "left_out": checkpoint.stripped}
    if exported is not None:
        training_data["base"] = exported.card.training_data
    if reason := _why_unknown(path, sha256, exported, unread):
        training_data[CHECKPOINT] = path.name
        warn(f"{unknown_checkpoint(path.name)} {reason}")
    copied = size <= COPIED_UP_TO
    source = Source(path.name if copied else str(path), size, sha256)
    if copied:
        write_checkpoint(sam.state_dict(), folder / WEIGHTS)
    source.write(folder)
    card = ModelCard(
        name=folder.name,
        kind="segmenter",
        architecture={"type": "sam", "variant": variant_of(config)},
        preprocessing={"profile": profile or "sam", "side": config.image_size},
        licence="that of the weights; SAM and MedSAM are under the Apache License 2.0",
        training_data=training_data,
    )
    card.write(folder)
    if exported is not None and exported.seen.subjects:
        write_seen_subjects(folder, exported.seen.subjects)
        write_training_frames(folder, sorted(exported.seen.frames))
    return FoundModel(card.name, "segmenter", folder, "user")


def _exported(checkpoint: Path) -> tuple[ExportedCard | None, str]:
    """The card beside a checkpoint, or what is wrong with it."""
    try:
        return read_card_beside(checkpoint), ""
    except InputError as error:
        return None, str(error)


def _profile_of(exported: ExportedCard) -> ProfileName | None:
    named: Mapping[Any, ProfileName] = {"sam": "sam", "medsam": "medsam"}
    return named.get(exported.card.preprocessing.get("profile"))


def _why_unknown(path: Path, sha256: str, exported: ExportedCard | None, unread: str) -> str:
    """Why it is not known what an added checkpoint saw, or what to do; empty if it is known."""
    beside = card_beside(path).name
    if exported is None:
        if sha256 in _ORIGINALS:
            return ""
        cure = f"If FetalStudio exported it, put {beside} beside it and add it again."
        return f"{unread} {cure}" if unread else cure
    if exported.sha256 != sha256:
        return f"{path.name} was changed since {beside} was written."
    if not exported.complete:
        return f"{beside} does not name all subjects."
    return ""


def export_sam(
    model: FoundModel, out: Path, *, hugging_face: bool = False, project: Project | None = None
) -> list[str]:
    """Write a segmenter's weights for other programs. Returns a sentence on each thing left out.

    Its card is written beside them, as ``OUT.json``: with the frames' preparation, the prompt, how
    the cohorts are drawn that it learnt from, and hashes of the subjects and frames that it saw, by
    which :func:`add_sam` knows them. ``project`` is the one that has the model.

    ``out`` is a ``.pth`` that ``segment_anything.sam_model_registry`` loads, or a ``.safetensors``;
    with ``hugging_face`` it has the names of transformers' ``SamModel``. Raises :class:`InputError`
    for a model that is not a SAM.
    """
    if out.suffix not in (".pth", ".safetensors"):
        raise InputError(
            f"{out} has no ending that says how to write it. Choose a name that ends in .pth or "
            ".safetensors."
        )
    card = ModelCard.read(model.folder)
    if card.architecture.get("type") != "sam":
        raise InputError(
            f"{model.name} has FetalStudio's own encoder, which no other program can load. Export "
            "a model that was trained from vit_b, vit_l or vit_h."
        )
    state = dict(load_segmenter(model).sam.state_dict())
    left_out = []
    if state.pop(AUTO_TOKENS, None) is not None:
        left_out.append(
            f"The learned tokens of {model.name}, with which it finds heads without a prompt, do "
            "not exist in this format and were left out. Prompt the exported model with a box."
        )
    write_checkpoint(to_hugging_face(state) if hugging_face else state, out)
    return left_out + write_card_beside(out, card, seen_by(project, model), project)
