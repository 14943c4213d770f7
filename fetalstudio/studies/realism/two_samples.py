"""A classifier two-sample test: can a small network tell two sets of frames apart?

Three folds by subject; in each, a network with three blocks learns to distinguish the two sets on
two thirds of the subjects and is asked about the others. The area under its ROC curve is 0.5 where
it can never tell. (D. Lopez-Paz, M. Oquab, Revisiting classifier two-sample tests, ICLR 2017.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine, warp
from fetalstudio.core.metrics import Interval

Kind = Literal["patch", "head"]
SIDE = 96
"""Side in px of what the network sees: a patch at the frame's own size, or a head reduced to it."""
PATCHES = 16
"""Patches by which a frame is judged."""
_REACH = 1.1
"""Patches have their middle within this multiple of the ellipse; heads are cropped at it."""
_RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame of either set."""

    image: NDArray[np.uint8]
    ellipse: Ellipse
    subject: str
    group: str
    """What figures are given apart for, such as a trimester."""


@dataclass(frozen=True, slots=True)
class TestSettings:
    """The protocol; a test of another length cannot be compared."""

    __test__ = False

    steps: int = 800
    batch: int = 48
    folds: int = 3
    learning_rate: float = 1e-3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Scores:
    """How much each frame of both sets looked like the second, and in which fold."""

    one: NDArray[np.float64]
    """(n, k): n frames with k patches, or with one head."""
    other: NDArray[np.float64]
    folds: tuple[NDArray[np.intp], NDArray[np.intp]]
    """(n,) each: the fold in which a frame was held out."""


def auroc(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The share of pairs in which the second set's score is larger; ties count half."""
    if not len(one) or not len(other):
        return float("nan")
    ordered = np.sort(one)
    below, at_most = (np.searchsorted(ordered, other, side).mean() for side in ("left", "right"))
    return float(below + at_most) / 2 / len(one)


def folds_of(subjects: Sequence[str], folds: int, seed: int = 0) -> dict[str, int]:
    """The fold of each subject, of equal sizes."""
    names = sorted(set(subjects))
    order = np.random.default_rng(seed).permutation(len(names))
    return {names[i]: place % folds for place, i in enumerate(order)}


def two_sample_scores(
    one: Sequence[Shown],
    other: Sequence[Shown],
    kind: Kind,
    settings: TestSettings,
    *,
    device: torch.device | None = None,
) -> Scores:
    """Scores of all frames by networks that have not seen their subjects.

    Raises ``ValueError`` for fewer subjects than folds.
    """
    fold_of = folds_of([s.subject for s in (*one, *other)], settings.folds, settings.seed)
    if len(fold_of) < settings.folds:
        raise ValueError(f"{len(fold_of)} subjects are too few for {settings.folds} folds")
    folds = tuple(np.array([fold_of[s.subject] for s in of]) for of in (one, other))
    sets = tuple([_viewer(s, kind) for s in of] for of in (one, other))
    count = PATCHES if kind == "patch" else 1
    scores = tuple(np.zeros((len(of), count)) for of in (one, other))
    for fold in range(settings.folds):
        learnt = [
            [views for views, own in zip(of, place, strict=True) if own != fold]
            for of, place in zip(sets, folds, strict=True)
        ]
        network = _trained(learnt, settings, fold, device or torch.device("cpu"))
        for of, place, into in zip(sets, folds, scores, strict=True):
            for i in np.flatnonzero(place == fold).tolist():
                into[i] = _judged(network, of[i](count, _rng(settings, i)))
    return Scores(scores[0], scores[1], (folds[0], folds[1]))


def told_apart(
    scores: Scores,
    one: Sequence[Shown],
    other: Sequence[Shown],
    *,
    whole: bool = False,
    groups: Sequence[str] | None = None,
) -> Interval:
    """The AUROC, the mean over the folds, with its 95 % interval by bootstrap over subjects.

    ``whole`` judges a frame by the mean of its patches. With ``groups``, only their frames count.
    """
    sets = []
    for of, values, folds in zip(
        (one, other), (scores.one, scores.other), scores.folds, strict=True
    ):
        kept = np.array([groups is None or s.group in groups for s in of], bool)
        values = values.mean(axis=1, keepdims=True) if whole else values
        sets.append((values[kept], folds[kept], np.array([s.subject for s in of])[kept]))
    subjects = sorted({*sets[0][2], *sets[1][2]})
    members = [{name: np.flatnonzero(own == name) for name in subjects} for _, _, own in sets]

    def mean(drawn: Sequence[str] | None) -> float:
        found = []
        for fold in sorted({*sets[0][1].tolist(), *sets[1][1].tolist()}):
            parts = []
            for (values, folds, _), rows in zip(sets, members, strict=True):
                at = (
                    np.arange(len(values))
                    if drawn is None
                    else np.concatenate([rows[name] for name in drawn])
                )
                parts.append(values[at[folds[at] == fold]].ravel())
            found.append(auroc(parts[0], parts[1]))
        return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")

    rng = np.random.default_rng(0)
    resampled = [mean(rng.choice(subjects, len(subjects)).tolist()) for _ in range(_RESAMPLES)]
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    n = sum(len(values) for values, _, _ in sets)
    return Interval(mean(None), float(low), float(high), n)


def _rng(settings: TestSettings, *place: int) -> np.random.Generator:
    return np.random.default_rng((settings.seed, *place))


_Viewer = Callable[[int, np.random.Generator], NDArray[np.float32]]
"""Gives so many views of a frame, (count, 96, 96) grey levels, 0 to 1."""


def _viewer(shown: Shown, kind: Kind) -> _Viewer:
    if kind == "patch":
        return partial(_patches, shown)
    head = _head(shown)  # always the same view, so it is cut out once
    return lambda count, _: np.repeat(head[None], count, axis=0)


def _head(shown: Shown) -> NDArray[np.float32]:
    e = shown.ellipse
    scale = SIDE / (2 * _REACH * e.a)
    middle = (SIDE - 1) / 2
    to_view = (
        Affine.translation(middle, middle)
        @ Affine.scaling(scale)
        @ Affine.translation(-e.cx, -e.cy)
    )
    return warp(shown.image, to_view, (SIDE, SIDE)).astype(np.float32) / np.float32(255)


def _patches(shown: Shown, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    e, (h, w) = shown.ellipse, shown.image.shape
    (ux, uy), (vx, vy) = e.axes
    views = []
    for _ in range(count):
        turn, radius = rng.uniform(0, 2 * np.pi), _REACH * np.sqrt(rng.random())
        u, v = e.a * radius * np.cos(turn), e.b * radius * np.sin(turn)
        left = int(np.clip(e.cx + u * ux + v * vx - SIDE / 2, 0, max(w - SIDE, 0)))
        top = int(np.clip(e.cy + u * uy + v * vy - SIDE / 2, 0, max(h - SIDE, 0)))
        view = shown.image[top : top + SIDE, left : left + SIDE]
        short = [(0, SIDE - view.shape[0]), (0, SIDE - view.shape[1])]
        views.append(np.pad(view, short).astype(np.float32) / np.float32(255))
    return np.stack(views)


def _network() -> nn.Module:
    layers: list[nn.Module] = []
    before = 1
    for width in (16, 32, 64):
        layers += [
            nn.Conv2d(before, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 1))


def _trained(
    learnt: Sequence[Sequence[_Viewer]],
    settings: TestSettings,
    fold: int,
    device: torch.device,
) -> nn.Module:
    torch.manual_seed(settings.seed)
    network = _network().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    half = settings.batch // 2
    target = torch.cat([torch.zeros(half), torch.ones(half)]).to(device)
    for step in range(settings.steps):
        rng = _rng(settings, fold, step)
        drawn = [of[int(rng.integers(len(of)))](1, rng)[0] for of in learnt for _ in range(half)]
        # Gamma and gain are varied, so that brightness alone tells nothing.
        gamma, gain = np.exp(rng.normal(0, 0.25, (2, len(drawn), 1, 1)).astype(np.float32))
        x = np.clip(np.stack(drawn) ** gamma * gain, 0, 1)
        answer = network(_batch(x, device))[:, 0]
        loss = functional.binary_cross_entropy_with_logits(answer, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return network.eval()


def _batch(x: NDArray[np.float32], device: torch.device) -> Tensor:
    standard = (torch.from_numpy(x)[:, None].to(device) - 0.2) / 0.2
    return standard.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def _judged(network: nn.Module, views: NDArray[np.float32]) -> NDArray[np.float64]:
    device = next(network.parameters()).device
    return np.asarray(network(_batch(views, device))[:, 0].cpu().numpy(), np.float64)
