"""Job ``adapt-sd``: adapt Stable Diffusion to the project's own frames by a LoRA."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.names import checked_model_name
from fetalstudio.core.progress import Stopped
from fetalstudio.core.similarity import neighbours_of
from fetalstudio.engine.cohort_split import keep_parts, labelled_frames, of_part, split
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
from fetalstudio.engine.models.seen import Seen
from fetalstudio.engine.process.events import Checkpoint, Warned
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.engine.resumable import ResumableRun, newest_resumable, resumable_run
from fetalstudio.formats.model_card import ModelCard, write_seen_subjects, write_training_frames
from fetalstudio.formats.neighbours import write_neighbours
from fetalstudio.learning import TrainingRun, load_checkpoint, pick_device
from fetalstudio.project.project import Project
from fetalstudio.synthesis.stable_diffusion.lora import LORA_FILE, save_adapter, whole_parts
from fetalstudio.synthesis.stable_diffusion.settings import LoraSettings, settings_for
from fetalstudio.synthesis.stable_diffusion.synthesizer import load_base
from fetalstudio.synthesis.stable_diffusion.training import train_lora


def run(
    request: AdaptStableDiffusionRequest, report: Report, cancelled: CancelCheck
) -> AdaptStableDiffusionResult:
    """Train on the training part of the project and add the model to it.

    A training that was cancelled or that crashed leaves a checkpoint. A request with the same name
    resumes it. Held-out subjects are never used. Raises :class:`InputError` if such a request has
    other settings, if the frames have changed, and for a name that is taken or not allowed.
    """
    settings = _settings(request)
    # By its default name, too, an unfinished training is found and resumed.
    name = checked_model_name(
        request.name if request.name is not None else f"{request.base}-{request.mode}"
    )
    with Project.open(request.project) as project:
        base = find_model("synthesizer", request.base, project)
        if "weights" not in ModelCard.read(base.folder).architecture:
            raise InputError(
                f"{base.name} is not a Stable Diffusion that can be adapted. Add one: fetalstudio "
                "models add PATH --name NAME."
            )
        frames = _frames(project, request.cohort)
        with resumable_run(
            project,
            "adapt-sd",
            report,
            cancelled,
            name=name,
            stem=name,
            settings={**asdict(request), "project": None, "settings": settings.plain()},
            data={"train": [item.id for item in frames]},
            resume=newest_resumable(project, "adapt-sd", lambda run: run.name == name),
        ) as held:
            _take_over_checkpoint(project, held)
            training = _Training(held, settings)
            unet = training.run(base, frames, request.memory)
            if training.done < settings.steps:
                raise Stopped
            save_adapter(unet, held.folder)
            write_training_frames(held.folder, [item.id for item in frames])
            write_seen_subjects(held.folder, Seen().with_subjects_of(frames).subjects)
            _write_copy_index(frames, held.folder, held.report)
            result = training.result(held.name, frames)
            _card(base, held.name, settings, request.memory, frames, result).write(held.folder)
            held.add_model(asdict(result))
            held.finish(asdict(result))
    return result


def _take_over_checkpoint(project: Project, held: ResumableRun) -> None:
    """Earlier versions kept the checkpoint in the model's folder, and no run with it."""
    before = project.path / "models" / f"sd-{held.name}" / "checkpoint.pt"
    if before.exists():
        before.replace(held.state_file)


def probe(request: ProbeRequest, report: Report, cancelled: CancelCheck) -> str:
    """For the self-test: check that the libraries which Stable Diffusion needs are complete."""
    return whole_parts()


class _Training:
    """The training of one call, which reports and keeps its steps and losses."""

    def __init__(self, held: ResumableRun, settings: LoraSettings) -> None:
        self.held, self.settings = held, settings
        self.losses: list[float] = []
        self.done = 0

    def run(self, base: FoundModel, frames: Sequence[LabelledFrame], memory: str) -> object:
        held, device = self.held, pick_device()
        parts = load_base(base.folder, device)
        examples = [frame.loaded() for frame in frames]
        begun = load_checkpoint(held.state_file)
        self.done = 0 if begun is None else int(begun["step"])
        encoding = held.steps(len(examples), "encoding the frames")
        # A cancel ends the training by `stopped`, which saves; `Steps` must not raise before.
        trained = Steps(self.settings.steps, held.report, lambda: False, "adapting")

        def on_step(step: int, loss: float) -> None:
            self.losses.append(loss)
            self.done = step
            trained.advance(step, note=f"adapting, loss {self._mean_of_last(50):.4f}")

        unet = train_lora(
            parts,
            examples,
            self.settings,
            TrainingRun(held.state_file, on_step, lambda: bool(held.cancelled()), device=device),
            data=_identity(base, frames),
            memory_preset=memory,
            progress=encoding,
            warn=lambda message: held.report(Warned(message)),
        )
        held.record({"step": self.done, "loss": self._mean_of_last(50)})
        held.report(Checkpoint(held.state_file, f"step {self.done}"))
        return unet

    def result(self, name: str, frames: Sequence[LabelledFrame]) -> AdaptStableDiffusionResult:
        tenth = max(len(self.losses) // 10, 1)
        return AdaptStableDiffusionResult(
            model=name,
            frames=len(frames),
            subjects=len({item.subject for item in frames}),
            steps=self.settings.steps,
            loss_first=float(np.mean(self.losses[:tenth])) if self.losses else 0.0,
            loss_last=self._mean_of_last(tenth),
            seconds=self.held.elapsed_s,
        )

    def _mean_of_last(self, steps: int) -> float:
        return float(np.mean(self.losses[-steps:])) if self.losses else 0.0


def _write_copy_index(frames: Sequence[LabelledFrame], folder: Path, report: Report) -> None:
    """Write the copy index of the training frames.

    Its threshold is that of the built-in synthesizer, because a handful of frames is too few for a
    threshold of its own.
    """
    known = load_neighbours(find_model("synthesizer", BUILT_IN))
    if known is None:
        report(
            Warned(
                "The built-in synthesizer has no copy index, so copies of training frames will not "
                "be noticed. Install FetalStudio again before you use the images for training."
            )
        )
        return
    none_yet = replace(known, ids=(), descriptors=known.descriptors[:0])
    write_neighbours(neighbours_of(frames, none_yet), folder)


def _settings(request: AdaptStableDiffusionRequest) -> LoraSettings:
    values = settings_for(request.mode).plain() | dict(request.options)
    settings = LoraSettings.of(values)
    return settings if request.steps is None else replace(settings, steps=request.steps).checked()


def _identity(base: FoundModel, frames: Sequence[LabelledFrame]) -> str:
    """SHA-256 (hex) of the weights and the frames, with which alone a training can be resumed."""
    parts = [ModelCard.read(base.folder).architecture["weights_sha256"]]
    parts += [f"{item.id} {item.ellipse}" for item in frames]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _frames(project: Project, cohort: str | None) -> list[LabelledFrame]:
    keep_parts(project, cohort)
    labelled = labelled_frames(project, cohort)
    frames = of_part(labelled, split(project, labelled), "train")
    if not frames:
        raise InputError(
            f"All annotated frames of {project.path} are held out to validate and to test, so "
            "there is none to learn from. Annotate frames of more subjects."
        )
    return frames


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
