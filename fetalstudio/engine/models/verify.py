"""Checks that a model's files are complete and that files it refers to are unchanged."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open

from fetalstudio.core.errors import UserError, is_out_of_memory
from fetalstudio.engine.models.base_models import digest
from fetalstudio.engine.models.catalogue import FoundModel, missing_files
from fetalstudio.engine.models.loading import STABLE_DIFFUSION, base_folder
from fetalstudio.formats.model_card import ModelCard, Source, seen_subjects, training_frames
from fetalstudio.formats.neighbours import read_neighbours
from fetalstudio.segmentation.segmenter import WEIGHTS
from fetalstudio.synthesis.detail import Detail
from fetalstudio.synthesis.lift import Lift
from fetalstudio.synthesis.stable_diffusion.loading import weight_files


def verify(model: FoundModel) -> str | None:
    """What is wrong with a model, naming the file and the cure; None if nothing is.

    Safetensors must be complete. Files outside the model's folder are read and compared with those
    that were added.
    """
    try:
        if problem := missing_files(model):
            return problem
        card = ModelCard.read(model.folder)
        files = sorted(model.folder.rglob("*.safetensors"))
        if problem := next((p for path in files if (p := _damage(path))), None):
            return problem
        source = Source.read(model.folder)
        if source is not None and not (model.folder / WEIGHTS).exists():
            return _compare([source.check()], source.sha256)
        if card.architecture.get("type") == STABLE_DIFFUSION:
            base = ModelCard.read(base_folder(model.folder)).architecture
            weights = weight_files(Path(base["weights"]))
            return next((p for path in weights if (p := _damage(path))), None) or _compare(
                weights, base["weights_sha256"]
            )
        training_frames(model.folder)
        seen_subjects(model.folder)
        read_neighbours(model.folder)
        Lift.read(model.folder)
        Detail.read(model.folder)
    except UserError as error:
        return str(error)
    except Exception as error:
        # Whatever one model's files hold, the others are checked too.
        return f"{model.folder} cannot be used ({error!r}). Copy, add or train the model again."
    return None


def _damage(path: Path) -> str | None:
    try:
        with safe_open(path, "pt") as stored:
            if not stored.keys():
                return f"{path} holds no weights. Copy, add or train the model again."
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # safetensors raises its own errors for a damaged file.
        return (
            f"{path} is damaged: {error}. Put an intact copy of the file there, or add or train "
            "the model again."
        )
    return None


def _compare(files: list[Path], sha256: str) -> str | None:
    if digest(files)[0] == sha256:
        return None
    return (
        f"{files[0]} has changed since the model was added. Put the former file back, or add this "
        "one as another model: fetalstudio models add PATH --name NAME."
    )
