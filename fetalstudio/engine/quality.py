"""Quality figures of synthetic frames: how well they show the requested ellipse."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.convention import NO_OFFSET, Offset
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.metrics import dice, surface_distances
from fetalstudio.core.similarity import Neighbours, real_share
from fetalstudio.core.texture import CohortTexture, texture_of
from fetalstudio.engine.cohort_split import labelled_if_any
from fetalstudio.engine.models.catalogue import FoundModel
from fetalstudio.engine.models.loading import judge_model, load_neighbours, load_segmenter
from fetalstudio.project.project import Project

if TYPE_CHECKING:
    from fetalstudio.segmentation.segmenter import Segmenter


COHORT_FRAMES = 50
"""The texture of a cohort is measured on at most this many annotated frames, evenly chosen."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The quality figures of a synthetic frame, and what it was compared with."""

    quality: Mapping[str, float]
    """The figures, as in ``Pair.quality``."""
    provenance: Mapping[str, Any]
    """``judge``, ``found``, ``convention`` and ``skull`` where one is followed, ``nearest_frame``,
    ``copy_threshold``, ``cohort_frames``, ``cohort_limits``."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Measures the frames of one synthesizer, in comparison with one cohort of real frames."""

    segmenter: Segmenter
    neighbours: Neighbours | None
    """The copy index; None if the synthesizer's training frames are not known."""
    cohort: CohortTexture | None
    """The texture of real frames; None if there are none to compare with."""

    @classmethod
    def of(
        cls, synthesizer: FoundModel, project: Project | None = None, cohort: str | None = None
    ) -> Judge:
        """With the judge segmenter, the synthesizer's copy index and the project's frames."""
        texture = None if project is None else cohort_texture(project, cohort)
        return cls(load_segmenter(judge_model()), load_neighbours(synthesizer), texture)

    def __call__(
        self,
        image: NDArray[np.uint8],
        ellipse: Ellipse,
        lender: NDArray[np.uint8] | None = None,
        convention: Offset = NO_OFFSET,
    ) -> Measured:
        """Measure an (H, W) image against its requested ellipse.

        The whole of it is compared with its ``lender``, (H, W), if it has one. With a
        ``convention``, the ellipse was drawn around the skull that the image shows. What the judge
        finds is then compared, and stored, as it would be drawn.
        """
        skull = convention.remove(ellipse)
        seen_skull = self.segmenter.predict(image).ellipse
        found = None if seen_skull is None else convention.apply(seen_skull)
        quality = dict(agreement(found, image, ellipse, skull=skull))
        info: dict[str, Any] = {"judge": self.segmenter.card.name}
        info["found"] = None if found is None else list(astuple(found))
        if convention != NO_OFFSET:
            info["convention"], info["skull"] = asdict(convention), list(astuple(skull))
        info["nearest_frame"] = info["copy_threshold"] = None
        if self.neighbours is not None:
            # Also at the judge's ellipse, because a copy may lie beside the requested ellipse.
            seen = [skull] if seen_skull is None else [skull, seen_skull]
            looks = [self.neighbours.nearest(image, one) for one in seen]
            nearest = max(looks, key=lambda look: look.similarity)
            quality["similarity"] = nearest.similarity
            info["nearest_frame"] = nearest.frame_id
            info["copy_threshold"] = self.neighbours.threshold
        if lender is not None and (share := real_share(image, lender)) is not None:
            quality["real_share"] = share
        if self.cohort is not None:
            texture = texture_of(image, skull)
            quality["speckle_snr"] = texture.speckle_snr
            quality.update(self.cohort.differences(texture))
            info["cohort_frames"] = self.cohort.frames
            info["cohort_limits"] = dict(self.cohort.limits)
        return Measured(quality, info)


def cohort_texture(project: Project, cohort: str | None = None) -> CohortTexture | None:
    """The texture of at most 50 annotated real frames; None without any.

    It is cached for the last few cohorts, until their frames or ellipses change.
    """
    drawn = [(item.id, item.ellipse) for item in labelled_if_any(project, cohort)]
    chosen = drawn[:: max(1, math.ceil(len(drawn) / COHORT_FRAMES))]
    key = (project.path, tuple(chosen))
    if key not in _cohorts:
        textures = [texture_of(project.frames.pixels(frame_id), e) for frame_id, e in chosen]
        _cohorts[key] = CohortTexture.of(textures)
        if len(_cohorts) > 4:
            _cohorts.popitem(last=False)
    return _cohorts[key]


_cohorts: OrderedDict[tuple[Path, tuple[tuple[str, Ellipse], ...]], CohortTexture | None] = (
    OrderedDict()
)


def pair_quality(
    segmenter: Segmenter, image: NDArray[np.uint8], ellipse: Ellipse
) -> Mapping[str, float]:
    """:func:`agreement` of what the segmenter finds without a prompt."""
    return agreement(segmenter.predict(image).ellipse, image, ellipse)


def agreement(
    found: Ellipse | None,
    image: NDArray[np.uint8],
    ellipse: Ellipse,
    *,
    skull: Ellipse | None = None,
) -> Mapping[str, float]:
    """Figures of a pair that compare the ellipse found by a segmenter with the requested one.

    ``dice`` is 0 to 1 (0 if nothing is found), ``hc_difference`` relative (positive if the found
    head is larger), ``hd95_px`` in px, and ``edge`` the :func:`edge_score` along ``skull``, by
    default the ellipse. Figures that cannot be computed are left out.
    """
    h, w = image.shape
    wanted = ellipse.mask((w, h))
    quality = {"dice": 0.0, "edge": edge_score(image, skull or ellipse)}
    if found is not None:
        shown = found.mask((w, h))
        quality["dice"] = dice(shown, wanted)
        quality["hc_difference"] = found.perimeter / ellipse.perimeter - 1
        hd95 = surface_distances(shown, wanted).hd95
        if math.isfinite(hd95):
            quality["hd95_px"] = hd95
    return quality


def edge_score(image: NDArray[np.uint8], ellipse: Ellipse) -> float:
    """Share of the outline with a skull-like ridge on it, 0 to 1. Needs no model.

    ``image`` is (H, W). At 180 points, the brightest place near the outline, from 6 % of b inside
    to 2 % outside, is compared with the mean brightness farther inside and farther outside along
    the normal. Points outside the frame do not count; the score is 0 if no point is left.
    """
    h, w = image.shape
    depth = np.linspace(-0.2, 0.2, 41) * ellipse.b
    t = np.linspace(0, 2 * math.pi, 180, endpoint=False)
    outline = np.column_stack([ellipse.a * np.cos(t), ellipse.b * np.sin(t)])
    normal = np.column_stack([np.cos(t) / ellipse.a, np.sin(t) / ellipse.b])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    points = (outline[:, None] + depth[None, :, None] * normal[:, None]) @ ellipse.axes
    x = (points[..., 0] + ellipse.cx).astype(np.float32)
    y = (points[..., 1] + ellipse.cy).astype(np.float32)
    profile = cv2.remap(image.astype(np.float32), x, y, cv2.INTER_LINEAR, borderValue=0)
    on_frame = (x >= 0) & (y >= 0) & (x <= w - 1) & (y <= h - 1)
    usable = on_frame.all(axis=1)
    if not usable.any():
        return 0.0
    ridge = (depth > -0.07 * ellipse.b) & (depth < 0.03 * ellipse.b)
    inner, outer = depth < -0.12 * ellipse.b, depth > 0.08 * ellipse.b
    peak = profile[:, ridge].max(axis=1)
    around = np.minimum(profile[:, inner].mean(axis=1), profile[:, outer].mean(axis=1))
    return float((peak[usable] > 1.5 * around[usable] + 10).mean())
