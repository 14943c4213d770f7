"""Fine detail at the frame's own size: speckle along and across the beams, as the lender shows it.

The canvas has no detail finer than two of its pixels, and its texture is the average of all
scanners. A small network adds what is missing at the frame's own size. Its noise is drawn on the
grid of beams and depths, so that speckle widens with depth, and it is given the direction of the
beam, the depth, the scale of the canvas and the lender's speckle.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fetalstudio.core.errors import InputError, is_out_of_memory
from fetalstudio.core.geometry import Affine, Size
from fetalstudio.core.probe import Probe
from fetalstudio.core.sector import seen_sector, tissue_mask
from fetalstudio.core.speckle import BANDS, power_at_ends
from fetalstudio.formats.model_card import INTACT_COPY
from fetalstudio.learning import autocast
from fetalstudio.synthesis.equaliser import NEUTRAL, Equaliser

FOLDER = "detail"
FROM_NOWHERE = {"_name_or_path": ""}
"""For a configuration that is saved: diffusers would write down where the model was read from, and
that path may name a person."""
PLACE = 4
"""Maps of the beam: its direction (x, y), depth and log2 of the scale."""
SPECKLE = 2 * BANDS
"""Maps of the lender's speckle: its power by band, along and across the beams."""
CONDITIONS = PLACE + SPECKLE
CELL = 4
"""px of the frame for each cell of the coarse grid."""
LARGEST_SCALE = 2.8
"""A frame with more px for each px of the canvas is made smaller and then enlarged."""
_AXIAL, _LATERAL = 1.4, 2.8
"""px of the frame for each cell of the noise along the beam, and across it at half the depth."""
_MARGIN = 16
"""Width in px of the mirrored margin, a multiple of :data:`CELL`. The network pads with zeros, and
that shows as far as it sees."""
_BLACK, _DIM = 2.0, 6.0
"""Grey levels up to which nothing is added, and from which all is: scanners show what is darker
without speckle."""

Image = NDArray[np.float32]


class DetailNet(ModelMixin, ConfigMixin):
    """Adds detail to an image, (B, 1, H, W) in [-1, 1]; H and W are multiples of 4."""

    @register_to_config
    def __init__(
        self,
        width: int = 16,
        speckle_mean: tuple[float, ...] = (0.0,) * SPECKLE,
        speckle_std: tuple[float, ...] = (1.0,) * SPECKLE,
    ) -> None:
        super().__init__()
        wide = 2 * width
        self.enter = nn.Conv2d(12, width, 3, padding=1)
        self.down = nn.Conv2d(width, wide, 2, stride=2)
        self.place = nn.Conv2d(CONDITIONS, 2 * wide, 1)
        self.coarse = nn.ModuleList([nn.Conv2d(wide, wide, 3, padding=1) for _ in range(2)])
        self.up = nn.Conv2d(wide, 4 * width, 1)
        self.fine = nn.Conv2d(width, width, 3, padding=1)
        self.leave = nn.Conv2d(width, 4, 3, padding=1)
        self.gains: Tensor
        self.register_buffer("gains", torch.from_numpy(NEUTRAL.copy()))
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Tensor, noise: Tensor, conditions: Tensor) -> Tensor:
        """``noise`` (B, 2, H, W) has unit variance; ``conditions`` (B, 16, H/4, W/4)."""
        x = functional.pixel_unshuffle(torch.cat([image, noise], dim=1), 2)
        fine = functional.leaky_relu(self.enter(x), 0.2)
        scale, shift = self.place(conditions).chunk(2, dim=1)
        coarse = self.down(fine) * (1 + scale) + shift
        for layer in self.coarse:
            coarse = coarse + functional.leaky_relu(layer(coarse), 0.2)
        fine = fine + functional.pixel_shuffle(self.up(coarse), 2)
        fine = functional.leaky_relu(fine + self.fine(fine), 0.2)
        return image + functional.pixel_shuffle(self.leave(fine), 2).float()

    @property
    def equaliser(self) -> Equaliser:
        """What evens out the spectrum of the network's images."""
        return Equaliser(self.gains.float().cpu().numpy())

    def place_maps(self, at: Image, lent: NDArray[np.float64]) -> Image:
        """(16, h, w) from the maps of :func:`beam_maps`, (4, h, w), and the lender's speckle,
        (2, 12) at the ends of the depth."""
        mean, std = (np.array(self.config[key]) for key in ("speckle_mean", "speckle_std"))
        near, far = ((lent - mean) / std).astype(np.float32)[:, :, None, None]
        depth = at[2][None]
        return np.concatenate([at, near + (far - near) * depth])


class Detail:
    """A :class:`DetailNet`, ready to use."""

    def __init__(self, net: DetailNet) -> None:
        self.net = net.eval()

    @classmethod
    def read(cls, folder: Path) -> Detail | None:
        """Read from a model's folder; None if it holds no detail stage.

        Raises :class:`InputError` for damaged files.
        """
        path = folder / FOLDER
        if not path.exists():
            return None
        try:
            net = DetailNet.from_pretrained(
                path, local_files_only=True, low_cpu_mem_usage=False, torch_dtype=torch.float32
            )
            if not all(values.isfinite().all() for values in net.state_dict().values()):
                raise ValueError("its weights are not all finite numbers")
        except Exception as error:
            # diffusers and safetensors raise a dozen kinds of error for a damaged folder.
            if is_out_of_memory(error):
                raise
            raise InputError(f"{path} is damaged: {error}. {INTACT_COPY}") from error
        return cls(net)

    def write(self, folder: Path) -> None:
        """Write into a model's folder, in half precision."""
        self.net.register_to_config(**FROM_NOWHERE)
        self.net.half()
        try:
            self.net.save_pretrained(folder / FOLDER)
        finally:
            self.net.float()

    @torch.inference_mode()
    def apply(
        self,
        image: Image,
        scale: float,
        seed: int,
        reference: NDArray[np.uint8] | None = None,
    ) -> Image:
        """Add detail to an enlarged canvas, (H, W) in grey levels, and return the same.

        ``scale`` is the number of px for each px of the canvas. ``reference``, of the same size,
        lends its beams and its speckle; without one, both are usual ones, and black areas stay
        black. The result is the same for the same seed.
        """
        h, w = image.shape
        shrink = min(1.0, LARGEST_SCALE / scale)
        size = (max(round(w * shrink), CELL), max(round(h * shrink), CELL))
        probe, lent = _lent(None if reference is None else reference.tobytes(), (h, w), size)
        if lent is None:
            lent = np.array([self.net.config.speckle_mean] * 2)
        work = image if size == (w, h) else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        maps = self.net.place_maps(beam_maps(probe, size, scale * size[0] / w), lent)
        noise = noise_of(seed, probe, size)
        right, below = -size[0] % CELL, -size[1] % CELL
        framed = np.stack([work / 127.5 - 1, *noise]).astype(np.float32)
        beside = ((0, 0), (_MARGIN, _MARGIN + below), (_MARGIN, _MARGIN + right))
        framed = np.pad(framed, beside, mode="symmetric")
        maps = np.pad(maps, ((0, 0), *((_MARGIN // CELL, _MARGIN // CELL),) * 2), mode="edge")
        x = torch.from_numpy(framed)[None].to(self.net.device)
        conditions = torch.from_numpy(maps)[None].to(self.net.device)
        # What is added is small beside what is there, so half the precision is enough for it.
        with autocast(self.net.device):
            made = self.net(x[:, :1], x[:, 1:], conditions)
        inside = made[0, 0, _MARGIN : _MARGIN + size[1], _MARGIN : _MARGIN + size[0]]
        result = (inside.float().cpu().numpy() + 1) * 127.5
        seen = np.clip((work - _BLACK) / (_DIM - _BLACK), 0, 1)
        result = self.net.equaliser.apply(work + seen * (result - work), seed)
        if size != (w, h):
            result = cv2.resize(result, (w, h), interpolation=cv2.INTER_CUBIC)
        if reference is None:  # whose sector would be cut out
            result = result * cv2.blur((image > 1).astype(np.float32), (5, 5))
        return np.asarray(result, np.float32)


def beam_maps(probe: Probe, size: Size, scale: float, to_frame: Affine | None = None) -> Image:
    """Direction of the beam (x, y), depth and log2 of the scale: (4, H/4, W/4), rounded up.

    ``to_frame`` maps the grid's px to those of the probe's frame.
    """
    to_frame = to_frame or Affine()
    x, y = (np.arange(-(-side // CELL)) * CELL + (CELL - 1) / 2 for side in size)
    points = to_frame.apply(np.stack(np.meshgrid(x, y), axis=-1))
    dx, dy = points[..., 0] - probe.apex_x, points[..., 1] - probe.apex_y
    r = np.maximum(np.hypot(dx, dy), 1e-3)
    depth = np.clip((r - probe.near) / (probe.far - probe.near), 0, 1)
    return np.stack([dx / r, dy / r, depth, np.full_like(r, np.log2(scale))]).astype(np.float32)


@lru_cache(maxsize=2)  # while an ellipse is dragged, seed and frame stay
def noise_of(seed: int, probe: Probe, size: Size) -> Image:
    """(2, H, W): white noise, and noise on the grid of beams and depths, of unit variance."""
    rng = np.random.default_rng([seed, 2])
    white = rng.standard_normal(size[::-1], np.float32)
    r, theta = probe.beams(size)
    low, first = float(r.min()), float(theta.min())
    beam = _LATERAL / ((probe.near + probe.far) / 2)
    shape = (
        int((float(r.max()) - low) / _AXIAL) + 3,
        int((float(theta.max()) - first) / beam) + 3,
    )
    polar = rng.standard_normal(shape, np.float32)
    column, row = (theta - np.float32(first)) / np.float32(beam), (r - np.float32(low)) / _AXIAL
    along = cv2.remap(
        polar, column + np.float32(0.5), row.astype(np.float32) + np.float32(0.5), cv2.INTER_CUBIC
    )
    return np.stack([white, along / np.float32(max(float(along.std()), 1e-6))])


@lru_cache(maxsize=3)
def _lent(
    pixels: bytes | None, shape: tuple[int, int], size: Size
) -> tuple[Probe, NDArray[np.float64] | None]:
    """The beams of a frame that is resized to ``size``, and its speckle at the ends of the depth,
    (2, 12). Without a frame, or with one that is too dark, usual beams and no speckle."""
    if pixels is None:
        return Probe.usual(size), None
    frame = np.frombuffer(pixels, np.uint8).reshape(shape)
    if size != (shape[1], shape[0]):
        frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    return lent_by(frame)


def lent_by(frame: NDArray[np.uint8]) -> tuple[Probe, NDArray[np.float64] | None]:
    """The beams of an (H, W) frame and its speckle at the ends of the depth, (2, 12).

    The speckle is None if the frame shows too little tissue.
    """
    sector = seen_sector(frame)
    probe = (
        Probe.usual((frame.shape[1], frame.shape[0])) if sector is None else Probe.of_sector(sector)
    )
    power = power_at_ends(frame, tissue_mask(frame), probe)
    return probe, None if power is None else power.reshape(2, -1)
