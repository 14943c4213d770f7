"""Job ``adapt-sd``: fit Stable Diffusion to the project's own frames by a LoRA."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.progress import Stopped
from fetalstudio.core.similarity import neighbours_of
from fetalstudio.engine.cohort_split import labelled_frames, of_part, split
from fetalstudio.engine.jobs.adapt_sd.request import (
    AdaptStableDiffusionRequest,
    AdaptStableDiffusionResult,
    ProbeRequest,
)
from fetalstudio.engine.models.loading import (
    BUILT_IN,
    STABLE_DIFFUSION,
    FoundModel,
    find_model,
    load_neighbours,
)
from fetalstudio.engine.process.events import Checkpoint, Warned
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.formats.model_card import ModelCard, write_training_frames
from fetalstudio.formats.neighbours import write_neighbours
from fetalstudio.learning import Watch, load_checkpoint, pick_device
from fetalstudio.project.locks import Lock
from fetalstudio.project.project import Project
from fetalstudio.synthesis.stable_diffusion.lora import LORA_FILE, save_adapter, whole_parts
from fetalstudio.synthesis.stable_diffusion.settings import LoraSettings, settings_for
from fetalstudio.synthesis.stable_diffusion.synthesizer import load_base
from fetalstudio.synthesis.stable_diffusion.training import train_lora

CHECKPOINT = "checkpoint.pt"


def run(
    request: AdaptStableDiffusionRequest, report: Report, cancelled: CancelCheck
) -> AdaptStableDiffusionResult:
    """Train on the training part of the project and add the model to it.

    A cancelled training leaves a checkpoint in the model's folder, from which the same request
    goes on; held-out subjects are never seen. Raises :class:`UserError` where another process is
    training a model of that name.
    """
    settings = _settings(request)
    name = _name(request)
    with Project.open(request.project) as project, _only_one(project, name):
        base = find_model("synthesizer", request.base, project)
        if "weights" not in ModelCard.read(base.folder).architecture:
            raise InputError(
                f"{base.name} is no Stable Diffusion that can be adapted. Add one: fetalstudio "
                "models add PATH --name NAME."
            )
        _check_free(project, request, name)
        folder = project.path / "models" / f"sd-{name}"
        frames = _frames(project, request.cohort)
        training = _Training(settings, folder / CHECKPOINT, report, cancelled)
        unet = training.run(base, frames, request.memory)
        if training.done < settings.steps:
            raise Stopped
        save_adapter(unet, folder)
        write_training_frames(folder, [item.id for item in frames])
        _write_copy_index(frames, folder, report)
        result = training.result(name, frames)
        _card(base, name, settings, request.memory, frames, result).write(folder)
        path = folder.relative_to(project.path).as_posix()
        project.models.add(name, "synthesizer", path, metrics=asdict(result))
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return result


def probe(request: ProbeRequest, report: Report, cancelled: CancelCheck) -> str:
    """For the self-test: check that the libraries which Stable Diffusion needs are complete."""
    return whole_parts()


class _Training:
    """Counts, reports and remembers the losses of one call."""

    def __init__(
        self, settings: LoraSettings, checkpoint: Path, report: Report, cancelled: CancelCheck
    ) -> None:
        self.settings, self.checkpoint = settings, checkpoint
        self.report, self.cancelled = report, cancelled
        self.losses: list[float] = []
        self.done = 0
        self.started = time.monotonic()

    def run(self, base: FoundModel, frames: Sequence[LabelledFrame], memory: str) -> object:
        device = pick_device()
        parts = load_base(base.folder, device)
        examples = [frame.loaded() for frame in frames]
        begun = load_checkpoint(self.checkpoint)
        self.done = 0 if begun is None else int(begun["step"])
        encoding = Steps(len(examples), self.report, self.cancelled, "encoding the frames")
        # A cancel ends the training by `stopped`, which saves; `Steps` must not raise before.
        trained = Steps(self.settings.steps, self.report, lambda: False, "adapting")

        def on_step(step: int, loss: float) -> None:
            self.losses.append(loss)
            self.done = step
            mean = float(np.mean(self.losses[-50:]))
            trained.advance(step, note=f"adapting, loss {mean:.4f}")

        unet = train_lora(
            parts,
            examples,
            self.settings,
            self.checkpoint,
            device=device,
            data=_identity(base, frames),
            memory_preset=memory,
            watch=Watch(on_step=on_step, stopped=self.cancelled),
            progress=encoding,
            warn=lambda message: self.report(Warned(message)),
        )
        self.report(Checkpoint(self.checkpoint, f"step {self.done}"))
        return unet

    def result(self, name: str, frames: Sequence[LabelledFrame]) -> AdaptStableDiffusionResult:
        tenth = max(len(self.losses) // 10, 1)
        return AdaptStableDiffusionResult(
            model=name,
            frames=len(frames),
            subjects=len({item.subject for item in frames}),
            steps=self.settings.steps,
            loss_first=float(np.mean(self.losses[:tenth])) if self.losses else 0.0,
            loss_last=float(np.mean(self.losses[-tenth:])) if self.losses else 0.0,
            seconds=time.monotonic() - self.started,
        )


def _write_copy_index(frames: Sequence[LabelledFrame], folder: Path, report: Report) -> None:
    """So that copies of the training frames are noticed, by the built-in synthesizer's threshold:
    a handful of frames gives none of its own."""
    known = load_neighbours(find_model("synthesizer", BUILT_IN))
    if known is None:
        report(Warned("The built-in synthesizer remembers no frames, so copies go unnoticed."))
        return
    none_yet = replace(known, ids=(), descriptors=known.descriptors[:0])
    write_neighbours(neighbours_of(frames, none_yet), folder)


def _settings(request: AdaptStableDiffusionRequest) -> LoraSettings:
    values = settings_for(request.mode).plain() | dict(request.options)
    settings = LoraSettings.of(values)
    return settings if request.steps is None else replace(settings, steps=request.steps).checked()


def _identity(base: FoundModel, frames: Sequence[LabelledFrame]) -> str:
    """SHA-256 (hex) of what is trained and on what: a training only goes on with the same."""
    parts = [ModelCard.read(base.folder).architecture["weights_sha256"]]
    parts += [f"{item.id} {item.ellipse}" for item in frames]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _frames(project: Project, cohort: str | None) -> list[LabelledFrame]:
    labelled = labelled_frames(project, cohort)
    frames = of_part(labelled, split(labelled), "train")
    if not frames:
        raise InputError(
            f"{project.path} has no annotated frame to learn from: those that it has are held out "
            "to validate and to test. Annotate frames of more subjects."
        )
    return frames


def _name(request: AdaptStableDiffusionRequest) -> str:
    name = request.name if request.name is not None else f"{request.base}-{request.mode}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._ -]*", name):
        raise InputError(f"{name!r} cannot be a model's name. Use letters, digits, '.', '_', '-'.")
    return name


def _check_free(project: Project, request: AdaptStableDiffusionRequest, name: str) -> None:
    if name in {m.name for m in project.models.all("synthesizer")} | {BUILT_IN, request.base}:
        raise InputError(f"The name {name!r} is taken. Choose another one with --name.")


@contextlib.contextmanager
def _only_one(project: Project, name: str) -> Iterator[None]:
    """Two at once would write one checkpoint, each over the other's."""
    lock = Lock(project.path / "models" / f".sd-{name}.lock")
    otherwise = (
        f"Another FetalStudio is adapting Stable Diffusion to {project.path} under the name "
        f"{name}. Let it end, or choose another name with --name."
    )
    with lock.held(otherwise):
        yield
        lock.remove()  # the name is taken from now on


def _card(
    base: FoundModel,
    name: str,
    settings: LoraSettings,
    memory: str,
    frames: Sequence[LabelledFrame],
    result: AdaptStableDiffusionResult,
) -> ModelCard:
    base_card = ModelCard.read(base.folder)
    return ModelCard(
        name=name,
        kind="synthesizer",
        architecture={
            "type": STABLE_DIFFUSION,
            "base": base.name,
            "weights_sha256": base_card.architecture["weights_sha256"],
            "mode": settings.mode,
            "lora": [LORA_FILE],
            "memory": memory,
            "settings": settings.plain(),
        },
        preprocessing={"placement": settings.placement, "third_channel": settings.third_channel},
        licence=base_card.licence,
        training_data={
            "started_from": base.name,
            "cohorts": sorted({item.cohort for item in frames}),
            "frames": len(frames),
            "subjects": result.subjects,
        },
        metrics={"loss_first": result.loss_first, "loss_last": result.loss_last},
    )
