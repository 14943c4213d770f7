"""A second look along the outline: finds an ellipse's place to the pixel, from any first ellipse.

A strip around the first ellipse is sampled at the frame's own resolution: rays from the centre, in
coordinates in which the ellipse is the unit circle. A small network gives each ray's distance to
the edge of the skull, and how certain it is. An ellipse is fitted to these points, weighted by
their certainty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fetalstudio.core.biometry import Spread
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, is_out_of_memory
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.learning import autocast, pick_device
from fetalstudio.segmentation.checkpoints import read_checkpoint, write_checkpoint
from fetalstudio.segmentation.profiles import PIXEL_MEAN, PIXEL_STD

WEIGHTS = "outline.safetensors"
RAYS = 128
"""Rays of a strip. The first one points along the major axis."""
RADII = np.concatenate(
    [
        np.linspace(0.2, 0.8, 16, endpoint=False),
        np.linspace(0.8, 1.2, 48, endpoint=False),
        np.linspace(1.2, 1.6, 16, endpoint=False),
    ]
).astype(np.float32)
"""Radii of the samples on a ray; the ellipse is at 1. They are dense where the edge is expected.
The inside and the surroundings are sampled coarsely, for what they say about the place of an edge
that is not seen."""
_FINE = slice(16, 64)
_REACH = 0.4
"""The largest distance of an edge from the ellipse, as a share of the radius."""

_LOOKS = 3
_FAR = 0.03
"""Look again if the outline has moved by more, as a share of the radius (root mean square)."""

_LOG_SCALE = (-6.0, -1.5)
"""Bounds of the log of a ray's uncertainty, as a share of the radius."""
FEATURES = 5
"""Values that are known of each ray, see :func:`ray_features`."""


def strip(image: NDArray[np.uint8], ellipse: Ellipse) -> NDArray[np.float32]:
    """Samples of a frame (H, W) uint8 along the rays: (2, RAYS, len(RADII)) float32.

    The first channel holds grey values, 0 to 255; the second is 1 inside the frame and 0 outside.
    """
    grey = np.empty((RAYS, len(RADII)), np.float32)
    size = math.sqrt(ellipse.a * ellipse.b)
    fine = _FINE
    # Twice the rays, averaged in pairs, because a ray passes most speckles by.
    grey[:, fine] = _sampled(image, ellipse, RADII[fine], 2 * RAYS, size * 0.4 / 48)
    for coarse, step in ((slice(0, fine.start), 0.6 / 16), (slice(fine.stop, None), 0.4 / 16)):
        grey[:, coarse] = _sampled(image, ellipse, RADII[coarse], RAYS, size * step)
    x, y = _positions(ellipse, RADII, RAYS)
    h, w = image.shape
    inside = (x >= -0.5) & (x <= w - 0.5) & (y >= -0.5) & (y <= h - 0.5)
    return np.stack([grey, inside.astype(np.float32)])


def _sampled(
    image: NDArray[np.uint8], ellipse: Ellipse, radii: NDArray[np.float32], rays: int, step: float
) -> NDArray[np.float32]:
    """(RAYS, len(radii)) grey values; ``step`` is the distance in px between two samples."""
    factor = max(int(step), 1)
    h, w = image.shape
    size = (-(-w // factor), -(-h // factor))
    small = image if factor == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    x, y = _positions(ellipse, radii, rays)
    sx, sy = size[0] / w, size[1] / h
    values = cv2.remap(
        small.astype(np.float32),
        ((x + 0.5) * sx - 0.5).astype(np.float32),
        ((y + 0.5) * sy - 0.5).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return np.asarray(values.reshape(RAYS, rays // RAYS, len(radii)).mean(axis=1), np.float32)


def _positions(
    ellipse: Ellipse, radii: NDArray[np.float32], rays: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # With more than one ray for each direction of the strip, their mean is that direction.
    share = rays // RAYS
    t = (np.arange(rays) - (share - 1) / 2) * (2 * math.pi / rays)
    unit = np.stack([ellipse.a * np.cos(t), ellipse.b * np.sin(t)], axis=1) @ ellipse.axes
    points = unit[:, None] * radii[None, :, None]
    return ellipse.cx + points[..., 0], ellipse.cy + points[..., 1]


def ray_features(ellipse: Ellipse) -> NDArray[np.float32]:
    """What is known of each ray besides its samples, (FEATURES, RAYS) float32.

    Its direction in the frame (a beam comes from above), its position on the ellipse (equal for
    both halves), and the ratio of the axes.
    """
    t = np.arange(RAYS) * (2 * math.pi / RAYS)
    direction = np.stack([ellipse.a * np.cos(t), ellipse.b * np.sin(t)], axis=1) @ ellipse.axes
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    ratio = np.full(RAYS, 5 * (ellipse.b / ellipse.a - 0.78))
    features = [direction[:, 0], direction[:, 1], np.cos(2 * t), np.sin(2 * t), ratio]
    return np.stack(features).astype(np.float32)


@dataclass(frozen=True, slots=True)
class OutlineConfig:
    """The architecture, as it is saved in ``model.json``."""

    widths: tuple[int, int, int, int] = (16, 32, 64, 96)
    """Channels by stage; each stage halves the radial resolution."""
    channels: int = 128
    """Channels of a ray."""
    attention: int = 2
    """Attention blocks in which each ray sees all others."""


class _Around(nn.Module):
    """A convolution that is circular along the rays. (B, C, rays, radii)."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, (0, 1), bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(functional.pad(x, (0, 0, 1, 1), mode="circular")))


class _Block(nn.Module):
    """A stage: one convolution that may shrink the strip, then a residual one."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.shrink = _Around(inputs, outputs, stride)
        self.first, self.second = _Around(outputs, outputs), _Around(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.shrink(x))
        return functional.relu(x + self.second(functional.relu(self.first(x))))


class _Along(nn.Module):
    """A residual convolution over neighbouring rays. (B, C, rays)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv = nn.Conv1d(channels, channels, 5, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.pad(functional.gelu(self.norm(x)), (2, 2), mode="circular")
        return x + self.conv(y)


class OutlineNet(nn.Module):
    """From a strip to each second ray's edge and its uncertainty."""

    def __init__(self, config: OutlineConfig) -> None:
        super().__init__()
        self.config = config
        w = config.widths
        self.stages = nn.Sequential(
            _Block(2, w[0], (1, 2)),
            _Block(w[0], w[1], (2, 2)),
            _Block(w[1], w[2], (1, 2)),
            _Around(w[2], w[3], (1, 2)),
            nn.ReLU(),
        )
        c = config.channels
        self.gather = nn.Conv1d(w[3] * (len(RADII) // 16) + FEATURES, c, 1)
        self.along = nn.Sequential(_Along(c), _Along(c))
        self.attention = nn.ModuleList(
            nn.TransformerEncoderLayer(
                c, 4, 2 * c, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(config.attention)
        )
        self.head = nn.Sequential(nn.LayerNorm(c), nn.Linear(c, 2))
        # torch's type hints leave this argument out.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, strips: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets of the edge from the unit circle and the log of their scale, each (B, RAYS/2).

        ``strips`` (B, 2, RAYS, len(RADII)), ``features`` (B, FEATURES, RAYS).
        """
        grey = (strips[:, :1] - PIXEL_MEAN) / PIXEL_STD
        x = torch.cat([grey, strips[:, 1:]], dim=1)
        x = self.stages(x.contiguous(memory_format=torch.channels_last))
        b, c, rays, radii = x.shape
        x = x.permute(0, 1, 3, 2).reshape(b, c * radii, rays)
        x = self.along(self.gather(torch.cat([x, features[..., ::2].to(x.dtype)], dim=1)))
        x = x.transpose(1, 2)
        for block in self.attention:
            x = block(x)
        offset, log_scale = self.head(x).float().unbind(-1)
        return _REACH * torch.tanh(0.25 * offset), (log_scale - 4).clamp(*_LOG_SCALE)


def directions(n: int = RAYS // 2) -> Tensor:
    """Cosine and sine of the rays that the network answers for, (2, n)."""
    t = torch.arange(n) * (2 * math.pi / n)
    return torch.stack([t.cos(), t.sin()])


def fit(offsets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The ellipse through the points at radius 1 + ``offsets`` on the rays, by least squares.

    ``offsets`` and ``weights`` (B, n). Returns centres (B, 2) and matrices (B, 2, 2), with
    (x - c)' M (x - c) = 1 on the ellipse. It is exact for points on an ellipse. A weak pull towards
    the unit circle decides where the points do not.
    """
    points = directions(offsets.shape[1]).to(offsets) * (1 + offsets)[:, None]
    x, y = points.unbind(1)
    basis = torch.stack([x * x, x * y, y * y, x, y], dim=-1)
    away = 1 - x * x - y * y
    w = (weights / weights.mean(dim=1, keepdim=True))[..., None]
    normal = basis.transpose(1, 2) @ (w * basis) / offsets.shape[1]
    normal = normal + 1e-6 * torch.eye(5, device=offsets.device)
    right = (w * basis * away[..., None]).mean(dim=1)
    q = torch.linalg.solve(normal, right)
    matrix = torch.stack([1 + q[:, 0], q[:, 1] / 2, q[:, 1] / 2, 1 + q[:, 2]], dim=-1)
    matrix = matrix.reshape(-1, 2, 2)
    centre = -0.5 * torch.linalg.solve(matrix, q[:, 3:])
    level = 1 + ((matrix @ centre[..., None])[..., 0] * centre).sum(dim=-1)
    return centre, matrix / level[:, None, None]


def radii_of(centre: Tensor, matrix: Tensor, n: int = RAYS // 2) -> Tensor:
    """Radii (B, n) at which the rays from the origin, inside the ellipse, meet its outline."""
    d = directions(n).to(centre)
    along = torch.einsum("in,bij,jn->bn", d, matrix, d)
    towards = torch.einsum("in,bij,bj->bn", d, matrix, centre)
    beyond = 1 - torch.einsum("bi,bij,bj->b", centre, matrix, centre)
    root = (towards * towards + along * beyond[:, None]).clamp(min=1e-9).sqrt()
    return (towards + root) / along


def sizes_of(centre: Tensor, matrix: Tensor, ratio: Tensor) -> Tensor:
    """Logs of circumference, minor and major axis (B, 3), relative to the geometric mean radius.

    ``ratio`` (B,) is the minor over the major axis of the first ellipse, the unit circle.
    """
    axes = torch.stack([ratio.rsqrt(), ratio.sqrt()], dim=1)
    points = directions().to(centre) * radii_of(centre, matrix)[:, None] * axes[..., None]
    steps = points - points.roll(1, dims=2)
    hc = steps.square().sum(dim=1).sqrt().sum(dim=1)
    shape = matrix / (axes[:, :, None] * axes[:, None, :])
    half = (shape[:, 0, 0] + shape[:, 1, 1]) / 2
    spread = (half * half - torch.linalg.det(shape)).clamp(min=1e-7).sqrt()
    minor, major = half + spread, (half - spread).clamp(min=1e-4)
    return torch.stack([hc.log(), -0.5 * minor.log(), -0.5 * major.log()], dim=1)


def size_variances(log_scales: Tensor, ratio: Tensor) -> Tensor:
    """Variances of the logs of circumference, minor and major axis, (B, 3), if rays erred alone.

    ``log_scales`` (B, n) are those of the rays, ``ratio`` (B,) as for :func:`sizes_of`.
    """
    x, y = directions(log_scales.shape[1]).to(log_scales)
    one = torch.ones_like(x)
    # Small changes of an ellipse: of its size, its centre, its shape and its angle.
    basis = torch.stack([one, x, y, x * x - y * y, 2 * x * y], dim=1)
    precision = torch.einsum("nk,bn,nl->bkl", basis, (-2 * log_scales).exp(), basis)
    covariance = torch.linalg.inv(precision)
    # The circumference of a long ellipse depends more on its major axis than on the other.
    lean = (1 - ratio.square()) / (1 + ratio.square())
    zero, whole = torch.zeros_like(ratio), torch.ones_like(ratio)
    of = torch.stack(
        [
            torch.stack([whole, zero, zero, lean, zero], dim=1),
            torch.stack([whole, zero, zero, -whole, zero], dim=1),
            torch.stack([whole, zero, zero, whole, zero], dim=1),
        ],
        dim=1,
    )
    return torch.einsum("bqk,bkl,bql->bq", of, covariance, of)


@dataclass(frozen=True, slots=True)
class Snapped:
    """What a second look found."""

    ellipse: Ellipse | None
    """In px; None if the rays describe no ellipse near the first one."""
    spread: Spread
    """How far its sizes may be from a sonographer's."""


class SecondLook:
    """The network with its card.

    The card's ``preprocessing`` holds the number of ``views`` (2 with the mirrored strip) and
    ``calibration``, three factors by which the rays' own uncertainty of HC, BPD and OFD is
    multiplied.
    """

    def __init__(
        self, net: OutlineNet, card: ModelCard, device: torch.device | None = None
    ) -> None:
        self.device = device or pick_device()
        self.net = net.to(self.device).eval()
        self.card = card
        self.views: int = card.preprocessing.get("views", 2)
        self.calibration = np.array(card.preprocessing.get("calibration", (1.0, 1.0, 1.0)), float)

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> SecondLook:
        """Load from a folder. Raises :class:`InputError` if it holds no usable second look."""
        card = ModelCard.read(folder)
        if card.kind != "outline":
            raise InputError(f"{folder} holds a {card.kind}, not an outline. Choose another model.")
        path = folder / WEIGHTS
        state = read_checkpoint(path).state
        try:
            fields = {k: v for k, v in card.architecture.items() if k != "type"}
            config = OutlineConfig(**{**fields, "widths": tuple(fields["widths"])})
            net = OutlineNet(config)
            net.load_state_dict({k: v.float() for k, v in state.items()})
            return cls(net, card, device)
        except Exception as error:
            # A card can say anything: PyTorch and Python raise many kinds of error for that.
            if is_out_of_memory(error):
                raise
            raise InputError(
                f"{path} does not fit the model.json in {folder}: {error}. Replace the folder by "
                "an intact copy."
            ) from error

    def save(self, folder: Path, card: ModelCard) -> None:
        """Save the weights in half precision, then the card that makes the folder a model."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {k: v.half() for k, v in self.net.state_dict().items()}
        write_checkpoint(weights, folder / WEIGHTS)
        card.write(folder)

    def snap(self, image: NDArray[np.uint8], ellipse: Ellipse) -> Snapped:
        """The ellipse near ``ellipse`` that follows the skull in a frame, (H, W) uint8.

        It looks again, up to :data:`_LOOKS` times, from an ellipse that was far off: such a strip
        shows the skull where the samples are coarse.
        """
        spread = Spread(0.0, 0.0, 0.0)
        for _ in range(_LOOKS):
            offsets, log_scales = self._rays(image, ellipse)
            centre, matrix = fit(offsets, (-2 * log_scales).exp())
            ratio = torch.tensor([ellipse.b / ellipse.a], dtype=offsets.dtype)
            sd = size_variances(log_scales, ratio)[0].sqrt().numpy() * self.calibration
            spread = Spread(*sd.tolist())
            near = _moved(ellipse, centre, matrix)
            if near is None:
                return Snapped(None, spread)
            ellipse = near
            if (radii_of(centre, matrix) - 1).square().mean().sqrt() < _FAR:
                break
        return Snapped(ellipse, spread)

    @torch.inference_mode()
    def _rays(self, image: NDArray[np.uint8], ellipse: Ellipse) -> tuple[Tensor, Tensor]:
        """The mean of the views: offsets and log scales, each (1, RAYS / 2) float64."""
        samples, known = strip(image, ellipse), ray_features(ellipse)
        strips, features = [samples], [known]
        if self.views == 2:
            strips.append(_mirrored(samples))
            features.append(_mirrored(known) * _MIRRORED)
        with autocast(self.device):
            seen = self.net(
                torch.from_numpy(np.stack(strips)).to(self.device),
                torch.from_numpy(np.stack(features)).to(self.device),
            )
        offsets, log_scales = (values.double().cpu().numpy() for values in seen)
        for values in (offsets, log_scales):
            values[1:] = _mirrored(values[1:])
        return (
            torch.from_numpy(offsets.mean(axis=0, keepdims=True)),
            torch.from_numpy(log_scales.mean(axis=0, keepdims=True)),
        )


def _moved(first: Ellipse, centre: Tensor, matrix: Tensor) -> Ellipse | None:
    """The fitted ellipse in px, from coordinates in which ``first`` is the unit circle.

    None if the fit is no ellipse, or one whose centre or axes are far from those of ``first``.
    """
    values, vectors = np.linalg.eigh(matrix[0].numpy())
    x, y = centre[0].tolist()
    if not (np.isfinite(values).all() and math.hypot(x, y) < _REACH):
        return None
    if not (1 + _REACH) ** -2 < values[0] <= values[1] < (1 - _REACH) ** -2:
        return None
    # Columns: the semi-axes of the fit, then in the frame.
    half = np.diag([first.a, first.b]) @ vectors @ np.diag(values**-0.5)
    axes, lengths, _ = np.linalg.svd(first.axes.T @ half)
    cx, cy = np.array([x * first.a, y * first.b]) @ first.axes + (first.cx, first.cy)
    angle = math.degrees(math.atan2(axes[1, 0], axes[0, 0]))
    return Ellipse.of(cx, cy, lengths[0], lengths[1], angle)


def outline_card(name: str, config: OutlineConfig, **fields: Any) -> ModelCard:
    """The card of a second look; for the fields see :class:`ModelCard`."""
    architecture: Mapping[str, Any] = {**asdict(config), "widths": list(config.widths)}
    values = {"licence": "Apache-2.0", "training_data": {}, "preprocessing": {}, **fields}
    return ModelCard(
        name=name, kind="outline", architecture={"type": "rays", **architecture}, **values
    )


def _mirrored(rays: NDArray[Any]) -> NDArray[Any]:
    """Values by ray on the second axis as in the mirrored frame: that at -t is at t."""
    return np.roll(rays[:, ::-1], 1, axis=1)


_MIRRORED = np.array([[-1], [1], [1], [-1], [1]], np.float32)
"""Signs of the ray features in a mirrored frame."""
