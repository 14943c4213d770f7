"""The compact synthesizer: loaded from a folder, it makes frames at native size from scenes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils.logging import disable_progress_bar
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from fetalstudio.core.errors import InputError, UserError, is_out_of_memory
from fetalstudio.core.geometry import Affine, Size, letterbox, warp
from fetalstudio.core.sector import seen_sector
from fetalstudio.formats.model_card import INTACT_COPY, ModelCard, fingerprint
from fetalstudio.learning import pick_device
from fetalstudio.synthesis.alignment import HeadFinder, aligned
from fetalstudio.synthesis.closer import closer_condition, closer_view, made_around
from fetalstudio.synthesis.conditions import CANVAS, STYLES, Condition, Surroundings
from fetalstudio.synthesis.detail import FROM_NOWHERE, Detail
from fetalstudio.synthesis.grain import with_grain_of
from fetalstudio.synthesis.guidance import Guidance
from fetalstudio.synthesis.interface import Drawn, OnStep
from fetalstudio.synthesis.lift import Image, Lift, enlarged, rounded
from fetalstudio.synthesis.pipeline import SAMPLER, CompactPipeline
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.simulated import SIMULATED, simulated_images, simulated_provenance
from fetalstudio.synthesis.tone import tone_curve, toned

# The progress bar for loading two files would mix with our own progress.
disable_progress_bar()

_FINISHED_FROM = 3
"""Steps from which an image is finished: small heads are drawn again, and detail is added. Drafts
of fewer steps show where the skull will be while an ellipse is dragged."""


class Synthesizer:
    """A :class:`CompactPipeline` with its card, which makes images at the size of frames."""

    def __init__(
        self,
        pipeline: CompactPipeline,
        card: ModelCard,
        hash_: str = "unsaved",
        finish: Lift | Detail | None = None,
        find_head: HeadFinder | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.card = card
        self.hash = hash_
        self.finish = finish
        """What takes the canvas to the frame's size; None enlarges without added detail."""
        self.find_head = find_head
        """Finds drawn heads, which are then moved onto their ellipses; None leaves them."""

    to_scale = True
    """See ``SceneSynthesizer``."""

    @property
    def learnt_guidance(self) -> Guidance:
        """The guidance that one evaluation a step follows, because it was learnt.

        Raises :class:`InputError` if the card tells it in a form that no training writes.
        """
        settings = self.card.training_data.get("settings", {})
        try:
            if not isinstance(settings, Mapping):
                raise ValueError(f"its settings are {settings!r}")
            return Guidance.read(settings.get("guidance", 1.0))
        except ValueError as error:
            raise InputError(
                f"The card of the synthesizer {self.card.name} is damaged: {error}. {INTACT_COPY}"
            ) from error

    @classmethod
    def load(
        cls,
        folder: Path,
        device: torch.device | None = None,
        find_head: HeadFinder | None = None,
    ) -> Synthesizer:
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
        finish = Detail.read(folder) or Lift.read(folder)
        return cls(pipeline, card, fingerprint(folder), finish, find_head)

    def save(self, folder: Path) -> None:
        """Save the pipeline in the format of diffusers (fp16), the finish, and then the card.

        Raises :class:`UserError` if a file cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for part in (self.pipeline, self.pipeline.unet):
            part.register_to_config(**FROM_NOWHERE)
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
        if self.finish is not None:
            self.finish.write(folder)
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
        views: dict[int, Affine] = {}
        finished = steps >= _FINISHED_FROM
        if finished:
            found = ((i, closer_view(s.ellipse, s.size)) for i, s in enumerate(scenes))
            views = {i: view for i, view in found if view is not None}
        total = 2 * steps if views else steps

        def report(done: int, look: Callable[[], _Look]) -> None:
            def preview() -> NDArray[np.uint8]:
                # Without detail, which would take as long as a third of a step.
                shown = _toned(look(), conditions[0], scenes[0])
                return _placed(rounded(_laid(shown, scenes[0], enlarged)), conditions[0], scenes[0])

            if on_step is not None:
                on_step(done, total, preview)

        canvases = self._sampled(
            conditions,
            seeds,
            steps,
            guidance,
            lambda done, first: report(done, lambda: _Look(first())),
        )
        looks = [_Look(canvas) for canvas in canvases]
        if views:
            closer = [closer_condition(scenes[i], view, canvases[i]) for i, view in views.items()]

            def look_so_far(first: Callable[[], NDArray[np.uint8]]) -> _Look:
                return _Look(canvases[0], first(), views[0]) if 0 in views else looks[0]

            again = self._sampled(
                closer,
                [seeds[i] for i in views],
                steps,
                guidance,
                lambda done, first: report(steps + done, lambda: look_so_far(first)),
            )
            for (i, view), canvas in zip(views.items(), again, strict=True):
                looks[i] = _Look(canvases[i], canvas, view)
        finish, find_head = (self.finish, self.find_head) if finished else (None, None)
        return [
            _picture(finish, find_head, *parts)
            for parts in zip(looks, conditions, scenes, seeds, strict=True)
        ]

    def _sampled(
        self,
        conditions: Sequence[Condition],
        seeds: Sequence[int],
        steps: int,
        guidance: float,
        on_step: Callable[[int, Callable[[], NDArray[np.uint8]]], None],
    ) -> NDArray[np.uint8]:
        """Canvases, (B, 256, 384) uint8. ``on_step`` is given the steps done and a function that
        renders the first canvas so far."""

        def step_end(
            pipeline: DiffusionPipeline, i: int, _t: Tensor, tensors: dict[str, Tensor]
        ) -> dict[str, Any]:
            on_step(i + 1, lambda: self.pipeline.decode(tensors["clean"][:1])[0])
            return {}

        return self.pipeline(
            conditions,
            seeds,
            num_inference_steps=steps,
            guidance_scale=guidance,
            callback_on_step_end=step_end,
        )

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
            "aligned": self.find_head is not None,
        }

    def _defaults(self, steps: int | None, guidance: float | None) -> tuple[int, float]:
        config = self.pipeline.config
        return (
            config.default_steps if steps is None else steps,
            config.default_guidance if guidance is None else guidance,
        )


@dataclass(frozen=True, slots=True)
class _Look:
    """The drawing of a whole frame, and the closer one of its head, if it is small."""

    canvas: NDArray[np.uint8]
    closer: NDArray[np.uint8] | None = None
    view: Affine | None = None
    """Maps the frame to the closer drawing."""


def _picture(
    finish: Lift | Detail | None,
    find_head: HeadFinder | None,
    look: _Look,
    condition: Condition,
    scene: Scene,
    seed: int,
) -> NDArray[np.uint8]:
    """The image at the frame's size, in its sector or surroundings."""
    size, look = scene.size, _toned(look, condition, scene)
    if isinstance(finish, Detail):
        # The texture that is added afterwards is not stretched.
        plain = _aligned(_laid(look, scene, enlarged), scene, find_head)
        scale = 1 / letterbox(size, CANVAS).scale
        lender = scene.reference if scene.grain else None
        image = finish.apply(plain, scale, seed, lender)
    else:

        def lifted(canvas: NDArray[np.uint8], size: Size, view: Affine | None) -> Image:
            if finish is None:
                return enlarged(canvas.astype(np.float32), size, view)
            return finish.apply(canvas, size, seed, view).astype(np.float32)

        image = _aligned(_laid(look, scene, lifted), scene, find_head)
    if scene.reference is not None and scene.grain:
        image = with_grain_of(scene.reference, image, seed)
    return _placed(rounded(image), condition, scene)


def _toned(look: _Look, condition: Condition, scene: Scene) -> _Look:
    """The drawings, as bright as the frame that lends its sector."""
    if scene.reference is None or condition.sector is None or not scene.grain:
        return look
    levels = tone_curve(look.canvas, _on_canvas(scene.reference), condition.sector)
    closer = None if look.closer is None else toned(look.closer, levels)
    return _Look(toned(look.canvas, levels), closer, look.view)


def _laid(
    look: _Look,
    scene: Scene,
    enlarge: Callable[[NDArray[np.uint8], Size, Affine | None], Image],
) -> Image:
    """Both drawings at the frame's size, the closer one on the head."""
    image = enlarge(look.canvas, scene.size, None)
    if look.closer is None or look.view is None:
        return image
    made = made_around(scene.ellipse.transformed(look.view))
    share = np.clip(enlarged(made, scene.size, look.view), 0, 1)
    return image + share * (enlarge(look.closer, scene.size, look.view) - image)


def _aligned(image: Image, scene: Scene, find_head: HeadFinder | None) -> Image:
    """The image with its head on the ellipse of the scene, if there is one to find."""
    if find_head is None:
        return image
    sector = None if scene.reference is None else seen_sector(scene.reference)
    return aligned(image, scene.ellipse, find_head(rounded(image), scene.ellipse), sector)


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
        return rounded(mixed)
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


def _on_canvas(reference: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return warp(reference, letterbox((reference.shape[1], reference.shape[0]), CANVAS), CANVAS)


def _condition(scene: Scene) -> Condition:
    to_canvas = letterbox(scene.size, CANVAS)
    ellipse = scene.ellipse.transformed(to_canvas)
    if scene.reference is None:
        return Condition(ellipse, None, scene.style)
    laid = _on_canvas(scene.reference)
    surroundings = None
    if scene.replaces is not None:
        made = np.maximum(
            *(made_around(e) for e in (ellipse, scene.replaces.transformed(to_canvas)))
        )
        surroundings = Surroundings(laid, made)
    return Condition(ellipse, seen_sector(laid), scene.style, surroundings)
