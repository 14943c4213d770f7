"""Stable Diffusion as a synthesizer, with the same interface as the compact one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.outline import find_outline
from fetalstudio.core.sector import seen_sector
from fetalstudio.formats.model_card import ModelCard, fingerprint
from fetalstudio.learning import pick_device
from fetalstudio.synthesis.conditions import STYLES
from fetalstudio.synthesis.grain import with_grain_of
from fetalstudio.synthesis.interface import Drawn, OnStep
from fetalstudio.synthesis.lift import rounded
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.simulated import SIMULATED, simulated_provenance
from fetalstudio.synthesis.stable_diffusion import lora, memory, sampling
from fetalstudio.synthesis.stable_diffusion.canvas import RgbImage, to_canvas, to_frame
from fetalstudio.synthesis.stable_diffusion.loading import (
    Parts,
    bytes_to_load,
    load_parts,
    weight_files,
)
from fetalstudio.synthesis.stable_diffusion.settings import TYPE, LoraSettings
from fetalstudio.synthesis.stable_diffusion.training import scene_condition
from fetalstudio.synthesis.synthesizer import simulate_scenes

_DEFAULT_STEPS = 30
_PAPER_GUIDANCE, _CONDITIONED_GUIDANCE = 7.5, 3.0
"""Guidance of the paper, and a lower one for a given ellipse, not tuned on real weights."""
_PAPER_SCALE = 0.9
"""Strength of the LoRA in sampling: as in the paper's code, and full if conditioned."""


class StableDiffusionSynthesizer:
    """Stable Diffusion with its adapter; see ``fetalstudio.synthesis.interface``."""

    def __init__(
        self,
        parts: Parts,
        card: ModelCard,
        hash_: str,
        device: torch.device,
        settings: LoraSettings,
    ) -> None:
        self.parts, self.card, self.hash = parts, card, hash_
        self.device, self.settings = device, settings
        self._prompts: dict[str, Tensor] = {}
        self._ways: list[memory.Preset] | None = None

    @classmethod
    def load(cls, folder: Path, base: Path | None = None) -> StableDiffusionSynthesizer:
        """Load from a model's folder; ``base`` is the folder of its Stable Diffusion.

        Raises :class:`InputError` if the folder is incomplete or has no adapter, or if the base has
        changed.
        """
        card = ModelCard.read(folder)
        names = list(card.architecture.get("lora", []))
        if not names:
            raise InputError(
                f"The model {card.name} is plain Stable Diffusion, which has never seen an "
                "ultrasound. Adapt it first: fetalstudio adapt-sd PROJECT --base "
                f"{card.name}."
            )
        device = pick_device()
        settings = LoraSettings.of(card.architecture.get("settings", {}))
        parts = load_base(base or folder, device)
        for name in names:
            lora.load_adapter(parts.unet, folder / name, settings.alpha)
        if settings.mode == "conditioned":
            lora.load_conv_in(parts.unet, folder / lora.CONV_IN_FILE)
        lora.set_scale(parts.unet, _PAPER_SCALE if settings.mode == "paper" else 1.0)
        base_hash = str(ModelCard.read(base or folder).architecture["weights_sha256"])
        both = hashlib.sha256((base_hash + fingerprint(folder)).encode()).hexdigest()
        return cls(parts, card, both, device, settings)

    def generate(
        self,
        scenes: Sequence[Scene],
        seeds: Sequence[int],
        *,
        steps: int | None = None,
        guidance: float | None = None,
        on_step: OnStep | None = None,
    ) -> list[NDArray[np.uint8]]:
        """The images of :meth:`draw` without their labels."""
        drawn = self.draw(scenes, seeds, steps=steps, guidance=guidance, on_step=on_step)
        return [one.image for one in drawn]

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
        """Make an image, (H, W) uint8, for each scene, with its label.

        In the mode ``paper`` the scene's ellipse is not followed. The label is the ellipse that is
        found in the third channel, or the scene's if none is found. ``outline_score`` (0 to 1),
        ``outline_coverage`` and ``outline_residual_px`` say how reliable it is. In the mode
        ``conditioned`` the label is the scene's ellipse, and ``outline_overlap`` its Dice with the
        ellipse in the third channel.

        Raises :class:`InputError` for scenes that cannot be made and :class:`UserError` if memory
        is not sufficient. If memory runs out on the way, ``on_warning`` is called and the images
        are started again with less memory. ``on_step`` may raise to stop.
        """
        if any(scene.style == SIMULATED for scene in scenes):
            simulated = simulate_scenes(scenes, seeds, on_step)
            return [Drawn(i, scene.ellipse) for i, scene in zip(simulated, scenes, strict=True)]
        steps = _DEFAULT_STEPS if steps is None else steps
        guidance = self._default_guidance if guidance is None else guidance
        _check(scenes, seeds, steps, guidance)
        if self._ways is None:
            self._ways = self._usable()

        def work(preset: memory.Preset) -> list[RgbImage]:
            made: list[RgbImage] = []
            for start in range(0, len(scenes), preset.batch):
                part = slice(start, start + preset.batch)
                made += self._pictures(preset, scenes[part], seeds[part], steps, guidance, on_step)
            return made

        def precise_enough(preset: memory.Preset) -> list[RgbImage]:
            try:
                return work(preset)
            except OverflowError as error:
                if preset.dtype(self.device) != torch.float16:
                    raise UserError(
                        f"The images of {self.card.name} are not numbers, so its adapter or its "
                        "base is damaged. Replace the damaged one by an intact copy, or adapt the "
                        "model again."
                    ) from error
            self._ways = [replace(way, half=False) for way in self._ways or []]
            self._prompts.clear()  # they may have overflowed
            if on_warning is not None:
                on_warning(
                    "Numbers of 16 bits are not precise enough on this device. The images are made "
                    "with 32 bits, which takes twice the memory."
                )
            return work(replace(preset, half=False))

        def warn(message: str) -> None:
            # A preset that did not fit is not tried again.
            self._ways = (self._ways or [])[1:]
            if on_warning is not None:
                on_warning(message)

        pictures = memory.falling_back(self._ways, precise_enough, warn)
        return [self._label(*parts) for parts in zip(pictures, scenes, seeds, strict=True)]

    def provenance(
        self, *, seed: int, steps: int | None, guidance: float | None, style: str
    ) -> Mapping[str, Any]:
        """The plain values with which the same image can be made again."""
        if style == SIMULATED:
            return simulated_provenance(seed)
        return {
            "synthesizer": self.card.name,
            "synthesizer_sha256": self.hash,
            "seed": seed,
            "steps": _DEFAULT_STEPS if steps is None else steps,
            "guidance": self._default_guidance if guidance is None else guidance,
            "style": style,
            "prompt": self.settings.prompt(style),
            "mode": self.settings.mode,
            "sampler": "UniPC",
            "lora_scale": _PAPER_SCALE if self.settings.mode == "paper" else 1.0,
            "memory_preset": self._ways[0].name if self._ways else "auto",
            "generated_at_px": [self.parts.side, self.parts.side],
        }

    @property
    def to_scale(self) -> bool:
        """See ``SceneSynthesizer``."""
        return self.settings.mode == "conditioned"

    @property
    def _default_guidance(self) -> float:
        return _PAPER_GUIDANCE if self.settings.mode == "paper" else _CONDITIONED_GUIDANCE

    def _usable(self) -> list[memory.Preset]:
        needs = [
            (way, memory.needed_bytes(self.parts, way, self.device))
            for way in memory.presets(self.device)
        ]
        room = memory.room_for(self.parts, self.device)
        return memory.choose("auto", needs, room, self.device)

    def _pictures(
        self,
        preset: memory.Preset,
        scenes: Sequence[Scene],
        seeds: Sequence[int],
        steps: int,
        guidance: float,
        on_step: OnStep | None,
    ) -> list[RgbImage]:
        parts, device, dtype = self.parts, self.device, preset.dtype(self.device)
        for module in (parts.unet, parts.vae, parts.text_encoder):
            nn.Module.to(module, dtype)  # diffusers' own method warns needlessly
        asked = torch.cat([self._prompt(self.settings.prompt(s.style)) for s in scenes])
        free = self._prompt("")
        condition = self._conditions(scenes) if self.settings.mode == "conditioned" else None
        if preset.offload:
            parts.text_encoder.to("cpu")
            parts.vae.to("cpu")
        parts.unet.to(device)

        def heard(done: int, total: int, preview: Callable[[], RgbImage]) -> None:
            if on_step is not None:
                there = self._to_canvas(scenes[0])
                on_step(done, total, lambda: _image(rendered(preview), there, scenes[0]))

        def rendered(preview: Callable[[], RgbImage]) -> RgbImage:
            picture = preview()
            if preset.offload:
                parts.vae.to("cpu")
            return picture

        latents = sampling.sample(
            parts.unet,
            parts.vae,
            parts.scheduler,
            asked,
            free,
            condition,
            seeds,
            steps=steps,
            guidance=guidance,
            apart=preset.sliced,
            on_step=heard,
        )
        if preset.offload:
            parts.unet.to("cpu")
        return sampling.decode(parts.vae, latents)

    def _prompt(self, text: str) -> Tensor:
        if text not in self._prompts:
            self._prompts[text] = sampling.embed(self.parts, [text], self.device).float()
        return self._prompts[text]

    def _conditions(self, scenes: Sequence[Scene]) -> Tensor:
        pictures = [
            scene_condition(
                scene.ellipse,
                scene.reference,
                self._to_canvas(scene),
                self.parts.side,
                self.settings.outline_width,
            )
            for scene in scenes
        ]
        return sampling.encode(self.parts.vae, pictures, self.device)[:, :4]

    def _label(self, picture: RgbImage, scene: Scene, seed: int) -> Drawn:
        there = self._to_canvas(scene)
        image = _image(picture, there, scene)
        if self.settings.mode == "conditioned" and scene.reference is not None:
            image = rounded(with_grain_of(scene.reference, image.astype(np.float32), seed))
            sector = seen_sector(scene.reference)
            if sector is not None:
                image[sector == 0] = 0  # exact black, as a scanner leaves it
        filled = self.settings.third_channel == "filled"
        found = find_outline(picture[..., 2], filled=filled)
        if found is None:
            return Drawn(image, scene.ellipse, {"outline_score": 0.0, "outline_coverage": 0.0})
        realised = found.ellipse.transformed(there.inverse())
        figures = {
            "outline_score": found.score,
            "outline_coverage": found.coverage,
            "outline_residual_px": found.residual_px,
        }
        if self.settings.mode == "paper":
            return Drawn(image, realised, figures)
        return Drawn(
            image, scene.ellipse, {**figures, "outline_overlap": realised.overlap(scene.ellipse)}
        )

    def _to_canvas(self, scene: Scene) -> Any:
        return to_canvas(scene.size, self.parts.side, self.settings.placement)


def load_base(folder: Path, device: torch.device) -> Parts:
    """Load the Stable Diffusion that a model's folder points to, in a precision for ``device``.

    Raises :class:`InputError` if its weights are missing or have changed since they were added.
    """
    card = ModelCard.read(folder)
    if card.architecture.get("type") != TYPE or "weights" not in card.architecture:
        raise InputError(
            f"{folder} does not say where the weights of its Stable Diffusion are. Add them again: "
            "fetalstudio models add PATH --name NAME."
        )
    weights = Path(card.architecture["weights"])
    config = card.architecture.get("config")
    if not weights.exists():
        raise InputError(
            f"{weights}, which holds the weights of {card.name}, is no longer there. Put it back; "
            f"or delete {folder} and add the weights from where they are now: fetalstudio models "
            f"add PATH --name {card.name}."
        )
    if sum(p.stat().st_size for p in weight_files(weights)) != card.architecture["weights_bytes"]:
        raise InputError(
            f"{weights} has changed since it was added as {card.name}. Put the former file back, "
            "or add this one under another name: fetalstudio models add PATH --name NAME."
        )
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    memory.check_room_to_load(bytes_to_load(weights, dtype))
    return load_parts(weights, None if config is None else Path(config), dtype)


def _check(scenes: Sequence[Scene], seeds: Sequence[int], steps: int, guidance: float) -> None:
    if len(seeds) != len(scenes):
        raise ValueError("give one seed for each scene")
    if not 2 <= steps <= 200:
        raise InputError(
            f"{steps} steps are outside 2 to 200. Choose a number between, such as 30."
        )
    if not 1 <= guidance <= 30:
        raise InputError(
            f"A guidance of {guidance} is outside 1 to 30. Choose a value between, such as the "
            "paper's 7.5."
        )
    for scene in scenes:
        if scene.style not in STYLES:
            raise InputError(
                f"There is no style {scene.style!r}. Choose one of these: {', '.join(STYLES)}."
            )
        if scene.replaces is not None:
            raise InputError(
                "Stable Diffusion makes whole images and cannot keep the tissue of a frame. Choose "
                "the background 'made', or the synthesizer 'compact'."
            )


def _image(picture: RgbImage, there: Any, scene: Scene) -> NDArray[np.uint8]:
    """The first channel, which is the frame, at the scene's size."""
    return to_frame(picture[..., 0], there, scene.size)
