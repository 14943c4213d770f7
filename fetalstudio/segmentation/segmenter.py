"""A segmenter: loaded by folder, shown a frame and perhaps a prompt, answers with an ellipse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor

from fetalstudio.core.ellipse import Ellipse, largest_component
from fetalstudio.core.errors import BadInput
from fetalstudio.core.files import write_bytes
from fetalstudio.core.geometry import Affine, Size, letterbox, warp
from fetalstudio.core.model_card import ModelCard
from fetalstudio.learning import pick_device
from fetalstudio.segmentation.compact import CompactConfig, build_compact
from fetalstudio.segmentation.confidence import Confidence
from fetalstudio.segmentation.sam import Sam, decode

WEIGHTS = "model.safetensors"
Box = tuple[float, float, float, float]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a segmenter sees in a frame."""

    mask: NDArray[np.uint8]
    """(H, W) of 0 and 1 at the frame's own size: the largest region."""
    ellipse: Ellipse | None
    """Fitted to the mask; None where there is no head to fit."""
    confidence: float
    """The IoU to expect, 0 to 1: the model's own estimate by the curve of its card."""


class Segmenter:
    """A ``Sam`` with its preprocessing and its card."""

    def __init__(self, sam: Sam, card: ModelCard, device: torch.device | None = None) -> None:
        self.device = device or pick_device()
        self.sam = sam.to(self.device).eval()
        self.card = card
        self.confidence = Confidence(**card.preprocessing.get("confidence", {}))
        self.side: int = sam.image_encoder.img_size

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> Segmenter:
        """From a model's folder. Raises :class:`BadInput` where it holds no usable segmenter."""
        card = ModelCard.read(folder)
        architecture: dict[str, Any] = dict(card.architecture)
        if card.kind != "segmenter" or architecture.pop("type", None) != "compact":
            raise BadInput(f"{folder} holds a {card.kind} that cannot segment. Choose a segmenter.")
        path = folder / WEIGHTS
        try:
            sam = build_compact(CompactConfig(**{k: _tuple(v) for k, v in architecture.items()}))
            sam.load_state_dict({k: v.float() for k, v in load_file(path).items()})
        except OSError as error:
            raise BadInput(f"{path} cannot be read: {error}. Copy the model again.") from error
        except Exception as error:
            # safetensors and load_state_dict each have their own errors for a damaged file.
            raise BadInput(f"{path} does not fit its model.json: {error}") from error
        return cls(sam, card, device)

    def save(self, folder: Path, card: ModelCard) -> None:
        """Into a folder: half-precision weights first, then the card that makes it a model."""
        weights = {k: v.half().contiguous().cpu() for k, v in self.sam.state_dict().items()}
        write_bytes(folder / WEIGHTS, save(weights))
        replace(card, architecture=self.card.architecture).write(folder)

    @torch.inference_mode()
    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Frames, each (H, W) uint8, to embeddings (B, 256, side/16, side/16) float32."""
        target = (self.side, self.side)
        laid = [warp(i, letterbox((i.shape[1], i.shape[0]), target), target) for i in images]
        x = torch.from_numpy(np.stack(laid)).float()[:, None].to(self.device)
        x = (x - self.sam.pixel_mean[0]) / self.sam.pixel_std[0]
        return self.sam.image_encoder(x.expand(-1, 3, -1, -1))

    @torch.inference_mode()
    def predict_embedded(
        self, embedding: Tensor, size: Size, *, box: Box | None = None, points: Points | None = None
    ) -> Prediction:
        """From one embedding (1, 256, h, w) of a frame of ``size``; prompts in frame pixels."""
        to_input = letterbox(size, (self.side, self.side))
        boxes = labelled = None
        if box is not None:
            corners = to_input.apply(np.array(box, float).reshape(2, 2)).reshape(1, 4)
            boxes = torch.from_numpy(corners).float().to(self.device)
        if points is not None:
            placed = torch.from_numpy(to_input.apply(np.array(points, float))[None]).float()
            labelled = (placed.to(self.device), torch.ones(1, len(points), device=self.device))
        logits, iou = decode(self.sam, embedding, boxes=boxes, points=labelled)
        mask = largest_component(self._to_frame(logits[0, 0].float().cpu().numpy(), size) > 0)
        return Prediction(mask, _ellipse(mask), self.confidence(float(iou[0, 0])))

    def predict(
        self, image: NDArray[np.uint8], *, box: Box | None = None, points: Points | None = None
    ) -> Prediction:
        """From a frame, (H, W) uint8; without a prompt the model finds the head itself."""
        h, w = image.shape
        return self.predict_embedded(self.embed([image]), (w, h), box=box, points=points)

    def _to_frame(self, logits: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
        """Logits on the model's grid, enlarged to the frame and cut to it."""
        s = self.side / logits.shape[1]
        grid_to_input = Affine(xx=s, x0=0.5 * s - 0.5, yy=s, y0=0.5 * s - 0.5)
        to_frame = letterbox(size, (self.side, self.side)).inverse() @ grid_to_input
        enlarged = cv2.warpAffine(
            logits, to_frame.matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return enlarged.astype(np.float32)


def compact_card(name: str, config: CompactConfig, **fields: object) -> ModelCard:
    """The card of a compact segmenter; the other fields as :class:`ModelCard` names them."""
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


def _ellipse(mask: NDArray[np.uint8]) -> Ellipse | None:
    try:
        return Ellipse.from_mask(mask)
    except ValueError:
        return None


def _listed(value: Any) -> Any:
    """As JSON will have it, so that a card equals what is read back."""
    return list(value) if isinstance(value, tuple) else value


def _tuple(value: Any) -> Any:
    """JSON knows lists only; the configuration is hashable."""
    return tuple(value) if isinstance(value, list) else value
