"""Segmenters: loaded from a folder, they find the ellipse in a frame, with or without a prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fetalstudio.core.contour import ellipse_of
from fetalstudio.core.ellipse import Ellipse, largest_component
from fetalstudio.core.errors import InputError, is_out_of_memory
from fetalstudio.core.geometry import Affine, Size, warp
from fetalstudio.core.prompts import Prompt
from fetalstudio.formats.model_card import ModelCard, Source
from fetalstudio.learning import pick_device
from fetalstudio.segmentation.box_prompt import Box, drawn_to_box
from fetalstudio.segmentation.checkpoints import read_checkpoint, write_checkpoint
from fetalstudio.segmentation.compact import CompactConfig, build_compact
from fetalstudio.segmentation.confidence import Confidence
from fetalstudio.segmentation.profiles import profile_of
from fetalstudio.segmentation.sam import Sam, decode
from fetalstudio.segmentation.views import views_of
from fetalstudio.segmentation.vit import load_vit

WEIGHTS = "model.safetensors"
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a segmenter finds in a frame."""

    mask: NDArray[np.uint8]
    """(H, W) of 0 and 1 at the frame's own size: the largest region."""
    ellipse: Ellipse | None
    """Fitted to the logits, and to the box of a prompt; None if no head is found."""
    confidence: float | None
    """The expected IoU, 0 to 1: the model's own estimate, calibrated by its card. None if the card
    withholds it, because too few frames could calibrate it."""

    @property
    def head(self) -> NDArray[np.uint8]:
        """The head as (H, W) of 0 and 1: the filled ellipse, or the mask where there is none."""
        height, width = self.mask.shape
        return self.mask if self.ellipse is None else self.ellipse.mask((width, height))


class Segmenter:
    """A ``Sam`` with its preprocessing profile and its card.

    The card's ``preprocessing`` gives the profile, the number of ``views`` that are averaged, the
    ``level`` of the logits at the outline, the ``box_share`` by which the ellipse is drawn towards
    the box of a prompt, the curve of the ``confidence`` (null where it is withheld), and the
    ``prompt`` that the model is used with.
    """

    def __init__(self, sam: Sam, card: ModelCard, device: torch.device | None = None) -> None:
        self.device = device or pick_device()
        self.sam = sam.to(self.device).eval()
        self.card = card
        curve = card.preprocessing.get("confidence", {})
        self.confidence = None if curve is None else Confidence(**curve)
        self.side: int = sam.image_encoder.img_size
        self.profile = profile_of(card.preprocessing, self.side)
        self.views: int = card.preprocessing.get("views", 1)
        self.level: float = card.preprocessing.get("level", 0.0)
        self.box_share: float = card.preprocessing.get("box_share", 0.0)

    @property
    def needs_prompt(self) -> bool:
        """Whether the model needs a prompt, as plain SAM does."""
        return self.sam.prompt_encoder.auto_tokens is None

    @property
    def prompt(self) -> Prompt:
        """What the model is used with: a box if it needs one, or if it is better with one."""
        by_itself: Prompt = "box" if self.needs_prompt else "auto"
        prompt: Prompt = self.card.preprocessing.get("prompt", by_itself)
        return prompt

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> Segmenter:
        """Load from a folder. Raises :class:`InputError` if it holds no usable segmenter."""
        card = ModelCard.read(folder)
        if card.kind != "segmenter" or card.architecture.get("type") not in _BUILDERS:
            raise InputError(
                f"{folder} holds a {card.kind} that cannot be loaded as a segmenter. Choose a "
                "segmenter."
            )
        path, source = folder / WEIGHTS, Source.read(folder)
        if source is not None and not path.exists():
            path = source.check()
        state = read_checkpoint(path).state
        try:
            return cls(_BUILDERS[card.architecture["type"]](card.architecture, state), card, device)
        except Exception as error:
            # A card can say anything: PyTorch and Python raise many kinds of error for that.
            if is_out_of_memory(error):
                raise
            raise InputError(
                f"{path} does not fit the model.json in {folder}: {error}. Replace the folder by "
                "an intact copy, or choose another segmenter."
            ) from error

    def save(self, folder: Path, card: ModelCard) -> None:
        """Save the weights, then the card that makes the folder a model.

        Weights are saved in half precision, except those of a vision transformer, so that cached
        embeddings stay valid.
        """
        weights = self.sam.state_dict()
        if self.card.architecture["type"] == "compact":
            weights = {k: v.half() for k, v in weights.items()}
        write_checkpoint(weights, folder / WEIGHTS)
        replace(card, architecture=self.card.architecture).write(folder)

    @torch.inference_mode()
    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Encode frames, each (H, W) uint8, as (B, 256, side/16, side/16) float32."""
        x = torch.stack([self.profile.prepare(image) for image in images])
        return self._encoded(x)

    def _encoded(self, x: Tensor) -> Tensor:
        """(B, 256, h, w) of the prepared frames, in halves if memory runs out for all at once."""
        try:
            return self.sam.image_encoder(x.to(self.device))
        except Exception as error:
            if len(x) == 1 or not is_out_of_memory(error):
                raise
        # Outside the handler, because the error's traceback keeps the tensors alive.
        half = len(x) // 2
        return torch.cat([self._encoded(x[:half]), self._encoded(x[half:])])

    @torch.inference_mode()
    def predict_embedded(
        self, embedding: Tensor, size: Size, *, box: Box | None = None
    ) -> Prediction:
        """Predict from an embedding (1, 256, h, w) of a frame of ``size``; the box in its px.

        Raises :class:`InputError` without a box if the model :attr:`needs_prompt`.
        """
        self._require_prompt(box, None)
        logits, estimate = self._look(embedding, size, Affine(), box, None)
        return self._answer(logits, estimate, box)

    def predict(
        self, image: NDArray[np.uint8], *, box: Box | None = None, points: Points | None = None
    ) -> Prediction:
        """Predict from a frame, (H, W) uint8, with or without a prompt.

        Raises :class:`InputError` without a prompt if the model :attr:`needs_prompt`.
        """
        self._require_prompt(box, points)
        return self._predict(image, [(box, points)])[0]

    def predict_boxes(self, image: NDArray[np.uint8], boxes: Sequence[Box]) -> list[Prediction]:
        """As :meth:`predict`, for each box, from one embedding."""
        return self._predict(image, [(box, None) for box in boxes])

    def _predict(
        self, image: NDArray[np.uint8], prompts: Sequence[tuple[Box | None, Points | None]]
    ) -> list[Prediction]:
        """By prompt; all of them or none."""
        h, w = image.shape
        views = views_of((w, h), self.views, turned=prompts[0] == (None, None))
        embeddings = self.embed([warp(image, view, (w, h)) for view in views])
        answers = []
        for box, points in prompts:
            seen = [
                self._look(embedding[None], (w, h), view, box, points)
                for embedding, view in zip(embeddings, views, strict=True)
            ]
            logits = np.mean([logits for logits, _ in seen], axis=0)
            estimate = float(np.mean([estimate for _, estimate in seen]))
            answers.append(self._answer(logits, estimate, box))
        return answers

    @torch.inference_mode()
    def _look(
        self, embedding: Tensor, size: Size, view: Affine, box: Box | None, points: Points | None
    ) -> tuple[NDArray[np.float32], float]:
        """Logits (H, W) in the frame's pixels and the IoU estimate, from a view of the frame.

        Prompts are in the frame's pixels.
        """
        to_input = self.profile.to_input(size) @ view
        boxes = labelled = None
        if box is not None:
            corners = np.sort(to_input.apply(np.array(box, float).reshape(2, 2)), axis=0)
            boxes = torch.from_numpy(corners.reshape(1, 4)).float().to(self.device)
        if points is not None:
            placed = torch.from_numpy(to_input.apply(np.array(points, float))[None]).float()
            labelled = (placed.to(self.device), torch.ones(1, len(points), device=self.device))
        logits, iou = decode(self.sam, embedding, boxes=boxes, points=labelled)
        found = logits[0, 0].float().cpu().numpy()
        return self._to_frame(found, size, to_input), float(iou[0, 0])

    def _answer(self, logits: NDArray[np.float32], estimate: float, box: Box | None) -> Prediction:
        logits = logits - np.float32(self.level)
        mask, ellipse = largest_component(logits > 0), ellipse_of(logits)
        if ellipse is not None and box is not None:
            ellipse = drawn_to_box(ellipse, box, self.box_share)
        expected = None if self.confidence is None else self.confidence(estimate)
        return Prediction(mask, ellipse, expected)

    def _require_prompt(self, box: Box | None, points: Points | None) -> None:
        """Checked before embedding, which can take seconds."""
        if self.needs_prompt and box is None and points is None:
            raise InputError(
                f"{self.card.name} finds no head by itself: plain SAM needs a prompt. Give it a "
                "box (--prompt box), fine-tune it first, or use compact."
            )

    def _to_frame(
        self, logits: NDArray[np.float32], size: Size, to_input: Affine
    ) -> NDArray[np.float32]:
        """Logits on the model's grid, enlarged to the frame and cut to it."""
        s = self.side / logits.shape[1]
        grid_to_input = Affine(xx=s, x0=0.5 * s - 0.5, yy=s, y0=0.5 * s - 0.5)
        enlarged = cv2.warpAffine(
            logits,
            (to_input.inverse() @ grid_to_input).matrix,
            size,
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return enlarged.astype(np.float32)


def compact_card(name: str, config: CompactConfig, **fields: object) -> ModelCard:
    """The card of a compact segmenter; for the fields see :class:`ModelCard`."""
    values: dict[str, object] = {
        "licence": "Apache-2.0",
        "training_data": {},
        "preprocessing": {"resize": "letterbox, centred", "side": config.image_size},
        **fields,
    }
    return ModelCard(
        name=name,
        kind="segmenter",
        architecture={"type": "compact", **{k: _listed(v) for k, v in asdict(config).items()}},
        **values,  # type: ignore[arg-type]  # checked by ModelCard's own constructor
    )


def _compact(architecture: Mapping[str, Any], state: Mapping[str, Tensor]) -> Sam:
    fields = {k: _tuple(v) for k, v in architecture.items() if k != "type"}
    sam = build_compact(CompactConfig(**fields))
    sam.load_state_dict({k: v.float() for k, v in state.items()})
    return sam


_BUILDERS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Tensor]], Sam]] = {
    "compact": _compact,
    "sam": lambda _architecture, state: load_vit(state),
}
"""Builds a SAM from the card's architecture and the weights, by architecture type."""


def _listed(value: Any) -> Any:
    """Values as JSON stores them, so that a card equals the card that is read back."""
    return list(value) if isinstance(value, tuple) else value


def _tuple(value: Any) -> Any:
    """Lists of JSON as tuples, because the configuration is hashable."""
    return tuple(value) if isinstance(value, list) else value
