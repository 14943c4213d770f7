"""The compact synthesizer: loaded from a folder, it makes frames at native size from scenes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils.logging import disable_progress_bar
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError, is_out_of_memory
from fetalstudio.core.geometry import letterbox, warp
from fetalstudio.core.sector import seen_sector
from fetalstudio.formats.model_card import ModelCard, fingerprint
from fetalstudio.learning import pick_device
from fetalstudio.synthesis.conditions import CANVAS, STYLES, Condition, Surroundings
from fetalstudio.synthesis.grain import with_grain_of
from fetalstudio.synthesis.interface import Drawn, OnStep
from fetalstudio.synthesis.lift import Lift, fit_to
from fetalstudio.synthesis.pipeline import SAMPLER, CompactPipeline
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.simulated import SIMULATED, simulated_images, simulated_provenance

# The progress bar for loading two files would mix with our own progress.
disable_progress_bar()

_MARGIN, _FEATHER = 0.12, 0.2
"""Width of the margin of new tissue around a head that replaces another, and of its fading into
the surroundings, in semi-minor axes."""


class Synthesizer:
    """A :class:`CompactPipeline` with its card, which makes images at the size of frames."""

    def __init__(
        self, pipeline: CompactPipeline, card: ModelCard, hash_: str, lift: Lift | None = None
    ) -> None:
        self.pipeline = pipeline
        self.card = card
        self.hash = hash_
        self.lift = lift
        """None enlarges without added detail."""

    to_scale = True
    """See ``SceneSynthesizer``."""

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> Synthesizer:
        """Load from a model's folder. Raises :class:`InputError` if it holds no usable model."""
        card = ModelCard.read(folder)
        if card.kind != "synthesizer":
            raise InputError(f"{folder} holds a {card.kind}. Choose a synthesizer.")
        try:
            # Loading with less memory needs accelerate and has no benefit at this size.
            pipeline = CompactPipeline.from_pretrained(
                folder, local_files_only=True, low_cpu_mem_usage=False, dtype=torch.float32
            )
        except Exception as error:
            if is_out_of_memory(error):
                raise
            # diffusers and safetensors raise a dozen kinds of error for a damaged folder.
            raise InputError(
                f"{folder} is not a complete synthesizer: {error}. Replace the folder by an intact "
                "copy, or choose another synthesizer."
            ) from error
        pipeline = pipeline.to(device or pick_device())
        return cls(pipeline, card, fingerprint(folder), Lift.read(folder))

    def save(self, folder: Path) -> None:
        """Save the pipeline in the format of diffusers (fp16), the lift, and then the card.

        Raises :class:`UserError` if a file cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.pipeline.unet.half()
        try:
            self.pipeline.save_pretrained(folder)
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{folder} could not be written: {error}. Check that it is writable and the disk "
                "has room, then try again."
            ) from error
        finally:
            self.pipeline.unet.float()
        if self.lift is not None:
            self.lift.write(folder)
        self.card.write(folder)

    def generate(
        self,
        scenes: Sequence[Scene],
        seeds: Sequence[int],
        *,
        steps: int | None = None,
        guidance: float | None = None,
        on_step: OnStep | None = None,
    ) -> list[NDArray[np.uint8]]:
        """Make the images, each (H, W) uint8 at its scene's size.

        ``on_step`` is called with (steps done, steps, a function that renders the first image so
        far) and may raise to stop. Raises :class:`InputError` for steps outside 1 to 100, guidance
        outside 1 to 10, an unknown style, an ellipse outside the frame, or a batch that is only
        partly simulated.
        """
        steps, guidance = self._defaults(steps, guidance)
        _check(scenes, steps, guidance)
        if any(scene.style == SIMULATED for scene in scenes):
            return simulate_scenes(scenes, seeds, on_step)
        conditions = [_condition(scene) for scene in scenes]

        def step_end(
            pipeline: DiffusionPipeline, i: int, _t: Tensor, tensors: dict[str, Tensor]
        ) -> dict[str, Any]:
            def preview() -> NDArray[np.uint8]:
                # Without grain, which would take as long as a third of a step.
                canvas = self.pipeline.decode(tensors["clean"][:1])[0]
                plain = fit_to(canvas.astype(np.float32), scenes[0].size)
                return _placed(plain, conditions[0], scenes[0])

            if on_step is not None:
                on_step(i + 1, steps, preview)
            return {}

        canvases = self.pipeline(
            conditions,
            seeds,
            num_inference_steps=steps,
            guidance_scale=guidance,
            callback_on_step_end=step_end,
        )
        return [
            self._picture(*parts) for parts in zip(canvases, conditions, scenes, seeds, strict=True)
        ]

    def draw(
        self,
        scenes: Sequence[Scene],
        seeds: Sequence[int],
        *,
        steps: int | None = None,
        guidance: float | None = None,
        on_step: OnStep | None = None,
        on_warning: Callable[[str], None] | None = None,
    ) -> list[Drawn]:
        """As :meth:`generate`, with the scene's ellipse as the label of each image."""
        images = self.generate(scenes, seeds, steps=steps, guidance=guidance, on_step=on_step)
        return [Drawn(i, scene.ellipse) for i, scene in zip(images, scenes, strict=True)]

    def provenance(
        self, *, seed: int, steps: int | None, guidance: float | None, style: str
    ) -> Mapping[str, Any]:
        """The plain values with which the same image can be made again."""
        if style == SIMULATED:
            return simulated_provenance(seed)
        steps, guidance = self._defaults(steps, guidance)
        return {
            "synthesizer": self.card.name,
            "synthesizer_sha256": self.hash,
            "seed": seed,
            "steps": steps,
            "guidance": guidance,
            "sampler": SAMPLER,
            "style": style,
            "generated_at_px": list(CANVAS),
        }

    def _defaults(self, steps: int | None, guidance: float | None) -> tuple[int, float]:
        config = self.pipeline.config
        return (
            config.default_steps if steps is None else steps,
            config.default_guidance if guidance is None else guidance,
        )

    def _picture(
        self, canvas: NDArray[np.uint8], condition: Condition, scene: Scene, seed: int
    ) -> NDArray[np.uint8]:
        """The image at the frame's size, in its sector or surroundings."""
        if self.lift is None:
            image = fit_to(canvas.astype(np.float32), scene.size)
        else:
            image = self.lift.apply(canvas, scene.size, seed)
        if scene.reference is not None and scene.grain:
            image = with_grain_of(scene.reference, image, seed)
        return _placed(image, condition, scene)


def simulate_scenes(
    scenes: Sequence[Scene], seeds: Sequence[int], on_step: OnStep | None = None
) -> list[NDArray[np.uint8]]:
    """Images of the style ``simulated``, each (H, W) uint8, without any model.

    Raises :class:`InputError` for a batch that is only partly simulated.
    """
    if any(scene.style != SIMULATED for scene in scenes):
        raise InputError("Simulated images need a batch of their own. Request them separately.")
    images = simulated_images(scenes, seeds, on_step)
    return [_placed(p, _condition(s), s) for p, s in zip(images, scenes, strict=True)]


def _placed(image: NDArray[np.uint8], condition: Condition, scene: Scene) -> NDArray[np.uint8]:
    """The image in the reference's surroundings if they are kept, else cut to its sector."""
    if scene.reference is None:
        return image
    if condition.surroundings is not None:
        to_frame = letterbox(scene.size, CANVAS).inverse()
        made = warp(condition.surroundings.made, to_frame, scene.size, border=0.0)
        mixed = made * image + (1 - made) * scene.reference
        return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    if (sector := seen_sector(scene.reference)) is not None:
        image[sector == 0] = 0
    return image


def _check(scenes: Sequence[Scene], steps: int, guidance: float) -> None:
    if not 1 <= steps <= 100:
        raise InputError(f"{steps} steps are outside 1 to 100. Choose a number between, such as 8.")
    if not 1 <= guidance <= 10:
        raise InputError(
            f"A guidance of {guidance} is outside 1 to 10. Choose a value between, or none for the "
            "model's own."
        )
    for scene in scenes:
        if scene.style not in (*STYLES, SIMULATED):
            styles = ", ".join((*STYLES, SIMULATED))
            raise InputError(f"There is no style {scene.style!r}. Choose one of these: {styles}.")
        if not scene.ellipse.reaches(scene.size):
            w, h = scene.size
            raise InputError(f"The ellipse lies off the {w}x{h} px frame. Move it onto the frame.")


def _condition(scene: Scene) -> Condition:
    to_canvas = letterbox(scene.size, CANVAS)
    ellipse = scene.ellipse.transformed(to_canvas)
    if scene.reference is None:
        return Condition(ellipse, None, scene.style)
    laid = warp(scene.reference, to_canvas, CANVAS)
    surroundings = None
    if scene.replaces is not None:
        made = np.maximum(*(_made(e) for e in (ellipse, scene.replaces.transformed(to_canvas))))
        surroundings = Surroundings(laid, made)
    return Condition(ellipse, seen_sector(laid), scene.style, surroundings)


def _made(head: Ellipse) -> NDArray[np.float32]:
    """(256, 384): 1 on the head and a margin around it, fading to 0."""
    beyond = head.sdf(CANVAS) / head.b - _MARGIN
    return np.clip(1 - beyond / _FEATHER, 0, 1).astype(np.float32)
