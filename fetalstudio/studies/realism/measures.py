"""What real frames and their pictures are compared by: a network, texture, features and copies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from fetalstudio.core.metrics import Interval
from fetalstudio.core.probe import Probe
from fetalstudio.core.screening import REAL_SHARE
from fetalstudio.core.sector import seen_sector, tissue_mask
from fetalstudio.core.similarity import Neighbours, real_share
from fetalstudio.core.speckle import EDGES, Speckle, speckle_of
from fetalstudio.core.spectrum import tissue_power
from fetalstudio.core.statistics import mean_interval
from fetalstudio.engine.models.loading import BUILT_IN, find_model, load_segmenter
from fetalstudio.formats.neighbours import read_neighbours
from fetalstudio.learning import pick_device
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies.kept import kept
from fetalstudio.studies.log import say
from fetalstudio.studies.realism.pictures import Pictures
from fetalstudio.studies.realism.two_samples import (
    Kind,
    TestSettings,
    folds_of,
    told_apart,
    two_sample_scores,
)

PROTOCOL = (
    "one synthetic frame for each real frame, on its sector and for its ellipse, with its position "
    "as the seed; AUROC of a network with three blocks, 800 steps of 48, gamma and gain varied, "
    "three folds by subject; 95 % intervals over subjects"
)
DEPTHS = ("near", "middle", "far")
"""Thirds of the scanned depth."""
_FIGURES = ("axial", "lateral", "skewness", "kurtosis", "snr")
_SPLITS = 10
"""Divisions of the real frames into halves, of which distances are averaged."""


def classifier_tests(
    pictures: Pictures, kinds: Sequence[Kind], settings: TestSettings, *, real: bool = False
) -> Mapping[str, Any]:
    """How well each kind of view tells the sets apart, in all and by trimester or cohort.

    With ``real``, the sets are two halves of the real frames, by subject.
    """
    one, other = pictures.shown()
    if real:
        half = folds_of([s.subject for s in one], 2, seed=1)
        one, other = ([s for s in one if half[s.subject] == i] for i in (0, 1))
    groups = sorted({s.group for s in one})
    found: dict[str, Any] = {}
    for kind in kinds:
        scores = two_sample_scores(one, other, kind, settings, device=pick_device())
        rows = {kind: False, "frame": True} if kind == "patch" else {kind: False}
        for name, whole in rows.items():
            found[name] = _interval(told_apart(scores, one, other, whole=whole))
            if not real:
                found[name]["by_group"] = {
                    group: _interval(told_apart(scores, one, other, whole=whole, groups=[group]))
                    for group in groups
                }
    return found


def texture(pictures: Pictures) -> Mapping[str, Any]:
    """Spectra and speckle of real and made frames.

    ``radial_off_by`` is the mean absolute difference in log10 power between a frame and its
    picture, over ten rings; ``directional_off_by`` the same over the bands along and across the
    beams, after the mean over the windows. ``by_depth`` holds medians over windows, real and made.
    The ``real`` ones compare halves of the real frames: the differences of their means.
    """
    radial, directional, subjects = [], [], []
    real_speckle, made_speckle, owners = [], [], []
    for item, made in zip(pictures.items, pictures.made, strict=True):
        tissue, probe = tissue_mask(item.image), _probe_of(item.image)
        if (power := tissue_power([made, item.image], tissue, 10)) is None:
            continue
        of_real, of_made = (speckle_of(image, tissue, probe) for image in (item.image, made))
        if not len(of_real) or not len(of_made):
            continue
        radial.append(np.log10(power[0] + 1e-6) - np.log10(power[1] + 1e-6))
        directional.append(of_made.power.mean(0) - of_real.power.mean(0))
        subjects.append(item.subject)
        real_speckle.append(of_real)
        made_speckle.append(of_made)
        owners.append(item.subject)
    if not subjects:
        return {"frames": 0}
    half = folds_of(owners, 2, seed=1)
    halves = [
        [s for s, o in zip(real_speckle, owners, strict=True) if half[o] == i] for i in (0, 1)
    ]
    sets = {"real": real_speckle, "made": made_speckle, "half": halves[0], "other_half": halves[1]}
    off = {
        "radial_off_by": mean_interval([float(np.abs(d).mean()) for d in radial], subjects),
        "directional_off_by": mean_interval(
            [float(np.abs(d).mean()) for d in directional], subjects
        ),
    }
    return {
        "frames": len(subjects),
        **{name: _interval(value) for name, value in off.items()},
        "radial": np.mean(radial, axis=0).round(3).tolist(),
        "bands": list(EDGES),
        "along": np.mean(directional, axis=0)[0].round(3).tolist(),
        "across": np.mean(directional, axis=0)[1].round(3).tolist(),
        "real_halves_off_by": _halves_off_by(halves),
        "by_depth": {
            name: {
                depth: _medians(Speckle.joined(of).between(i / 3, (i + 1) / 3 + (i == 2)))
                for i, depth in enumerate(DEPTHS)
            }
            for name, of in sets.items()
            if of
        },
    }


def features(pictures: Pictures, segmenter: Segmenter) -> Mapping[str, Any]:
    """The distance of the sets in the segmenter's encoder: a kernel distance (KID, Binkowski et
    al. 2018), in thousandths, with that between halves of the real frames."""
    real, made = (
        np.stack([_feature(segmenter, image) for image in images])
        for images in ([item.image for item in pictures.items], pictures.made)
    )
    middle, spread = real.mean(axis=0), real.std(axis=0) + 1e-6
    real, made = (real - middle) / spread, (made - middle) / spread
    subjects = np.array([item.subject for item in pictures.items])
    apart = []
    for seed in range(_SPLITS):
        half = folds_of(subjects.tolist(), 2, seed)
        first = np.array([half[s] == 0 for s in subjects])
        if min(first.sum(), (~first).sum()) > 1:
            apart.append(kernel_distance(real[first], real[~first]))
    return {
        "kid": 1000 * kernel_distance(real, made, paired=True),
        "real": 1000 * float(np.mean(apart)) if apart else None,
        "real_largest": 1000 * float(np.max(apart)) if apart else None,
    }


def kernel_distance(
    one: NDArray[np.floating], other: NDArray[np.floating], *, paired: bool = False
) -> float:
    """The unbiased squared maximum mean discrepancy of (n, d) and (m, d) by a cubic kernel.

    Rows that are ``paired``, such as a frame and the picture on its sector, are not compared with
    each other: the sets would seem closer than they are.
    """

    def mean(a: NDArray[np.floating], b: NDArray[np.floating], apart: bool) -> float:
        k = (a @ b.T / a.shape[1] + 1) ** 3
        return float((k.sum() - np.trace(k)) / (k.size - len(k)) if apart else k.mean())

    return mean(one, one, True) + mean(other, other, True) - 2 * mean(one, other, paired)


def copies(pictures: Pictures, neighbours: Neighbours | None) -> Mapping[str, Any]:
    """The similarity to training frames, around the head, and what is shared with the lender, on
    the whole frame."""
    shares = [
        share
        for item, made in zip(pictures.items, pictures.made, strict=True)
        if (share := real_share(made, item.image)) is not None
    ]
    found: dict[str, Any] = {
        "real_share_largest": max(shares, default=None),
        "with_real_pixels": sum(share > REAL_SHARE for share in shares),
    }
    if neighbours is not None:
        similar = [
            neighbours.nearest(made, item.ellipse).similarity
            for item, made in zip(pictures.items, pictures.made, strict=True)
        ]
        found |= {
            "similarity_median": float(np.median(similar)),
            "similarity_largest": max(similar),
            "threshold": neighbours.threshold,
            "copies": int((np.array(similar) > neighbours.threshold).sum()),
        }
    return found


def measured(
    pictures: Pictures,
    model: Path,
    cache: Path,
    *,
    tests: Sequence[Kind] = get_args(Kind),
    settings: TestSettings | None = None,
    name: str = "held",
) -> Mapping[str, Any]:
    """All figures of the pictures of a model (its folder), as plain values.

    Each part is kept in ``cache``, the model's own folder, when it is finished. What compares real
    frames with one another is the same for all models, and is kept in the folder above. ``name``
    says which frames were chosen.
    """
    settings = settings or TestSettings()
    items = pictures.items
    figures: dict[str, Any] = {
        "protocol": PROTOCOL,
        "n": len(items),
        "subjects": len({item.subject for item in items}),
        "settings": asdict(settings),
    }
    parts: dict[str, Callable[[], Mapping[str, Any]]] = {
        "texture": lambda: texture(pictures),
        "features": lambda: features(pictures, load_segmenter(find_model("segmenter", BUILT_IN))),
        "copies": lambda: copies(pictures, read_neighbours(model)),
    }
    for kind in tests:
        compared = partial(classifier_tests, pictures, [kind], settings)
        parts[f"told_apart_{kind}"] = compared
        parts[f"real_{kind}"] = partial(compared, real=True)
    for part, measure in parts.items():
        folder = cache.parent if part.startswith("real_") else cache
        figures[part] = kept(folder / f"{part}_{name}_{len(items)}_{settings.steps}.json", measure)
        say(f"{part}: {json.dumps(figures[part])}")
    return figures


def _probe_of(image: NDArray[np.uint8]) -> Probe:
    sector = seen_sector(image)
    h, w = image.shape
    return Probe.usual((w, h)) if sector is None else Probe.of_sector(sector)


def _medians(speckle: Speckle) -> Mapping[str, float | int]:
    if not len(speckle):
        return {"windows": 0}
    values = {name: float(np.median(getattr(speckle, name))) for name in _FIGURES}
    return {"windows": len(speckle), **{name: round(v, 3) for name, v in values.items()}}


def _halves_off_by(halves: Sequence[Sequence[Speckle]]) -> float | None:
    if not all(halves):
        return None
    means = [np.mean([s.power.mean(0) for s in half], axis=0) for half in halves]
    return float(np.abs(means[0] - means[1]).mean())


def _feature(segmenter: Segmenter, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean and spread of each channel over the frame."""
    with torch.inference_mode():
        embedded = segmenter.embed([image])[0].float().cpu().numpy()
    return np.concatenate([embedded.mean((1, 2)), embedded.std((1, 2))]).astype(np.float32)


def _interval(value: Interval) -> dict[str, Any]:
    return {"mean": value.mean, "ci95": [value.low, value.high], "n": value.n}
