"""The automatic filter for synthetic pairs: thresholds that a person can see and change."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from fetalstudio.core.errors import InputError
from fetalstudio.core.words import percent

REAL_SHARE = 0.05
"""The share of common ultrasound above which an image has pixels of its lender. Images whose tissue
was made have at most 0.01, those that keep a real frame's tissue at least 0.15."""


@dataclass(frozen=True, slots=True)
class Check:
    """One figure against its threshold."""

    figure: str
    """The key in ``Pair.quality``."""
    name: str
    value: str
    """The value as it is shown; ``not known`` without one."""
    limit: str
    """The threshold in words, ``at least 0.950``; empty without a threshold."""
    passed: bool | None
    """None without a value or a threshold."""
    reason: str
    """Why the check fails or could not be made, in words; empty if it passes."""
    slack: float
    """Distance from the threshold: about 1 for the best values, negative for a failed check, and
    minus infinity if a required figure is missing."""


@dataclass(frozen=True, slots=True)
class _Figure:
    """What is the same for every check of a figure."""

    key: str
    """As :attr:`Check.figure`."""
    name: str
    form: Callable[[float], str]
    """Writes a value as it is shown."""
    unit: float
    """The distance from the threshold that counts as 1."""

    def check(self, value: float | None, limit: str, margin: float | None, reason: str) -> Check:
        """Check a value that keeps to its ``limit`` by ``margin``; None where one is missing."""
        shown = "not known" if value is None else self.form(value)
        if not limit:
            return Check(self.key, self.name, shown, limit, None, "", 1.0)
        if margin is None:
            return Check(self.key, self.name, shown, limit, None, reason, -math.inf)
        passed = margin >= 0
        why = "" if passed else reason
        return Check(self.key, self.name, shown, limit, passed, why, margin / self.unit)


_DICE = _Figure("dice", "Dice", "{:.3f}".format, 0.05)
_HC = _Figure("hc_difference", "HC", partial(percent, decimals=1, signed=True), 0.05)
_EDGE = _Figure("edge", "Skull edge", percent, 0.5)
_SIMILARITY = _Figure("similarity", "Similarity", "{:.3f}".format, 0.3)
_OUTLINE = _Figure("outline_score", "Outline", "{:.2f}".format, 0.5)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of the filter for one pair."""

    checks: tuple[Check, ...]
    copy: bool

    @property
    def passed(self) -> bool:
        """Whether no check fails. A missing figure fails, except for the similarity: the training
        frames of some models are not known."""
        return self.slack >= 0

    @property
    def worst(self) -> Check:
        """The check that fails most, or passes by the least."""
        return min(self.checks, key=lambda check: check.slack)

    @property
    def slack(self) -> float:
        """The margin of the worst check."""
        return self.worst.slack

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the pair fails, the worst reason first; empty for a pair that passes."""
        failed = [check for check in self.checks if check.slack < 0]
        return tuple(check.reason for check in sorted(failed, key=lambda check: check.slack))

    @property
    def order(self) -> tuple[bool, float]:
        """Sort key that puts the worst pairs first: copies, then by the worst figure."""
        return not self.copy, self.slack


@dataclass(frozen=True, slots=True)
class PairFilter:
    """Thresholds for a pair; None for a figure that does not matter.

    Figures are compared as they are shown, rounded.
    """

    dice: float | None = 0.95
    """Least Dice; 95 of 100 real frames reach it."""
    hc_difference: float | None = 0.05
    """Largest relative difference, in either direction."""
    edge: float | None = 0.5
    """Least edge score; 99 of 100 real frames reach it."""
    similarity: float | None = None
    """Largest similarity. A copy by the model's own threshold fails in any case."""
    outline: float | None = 0.5
    """Least confidence in an outline that the synthesizer drew itself."""

    def __post_init__(self) -> None:
        for name in ("dice", "hc_difference", "edge", "similarity", "outline"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                words = name.replace("_", " ")
                raise InputError(
                    f"The threshold for the {words} is {value}. Choose a value from 0 to 1."
                )

    def verdict(self, quality: Mapping[str, float], copy_threshold: float | None) -> Verdict:
        """Compare a pair's figures with the thresholds.

        ``copy_threshold`` is the synthesizer's own (``Pair.copy_threshold``), None if its
        training frames are not known.
        """
        checks = [
            self._dice(quality.get("dice")),
            self._hc(quality.get("hc_difference")),
            self._edge(quality.get("edge")),
            self._similarity(quality.get("similarity"), copy_threshold),
        ]
        # With an overlap, the label is the requested ellipse.
        if "outline_score" in quality and "outline_overlap" not in quality:
            checks.append(self._outline(quality["outline_score"]))
        return Verdict(tuple(checks), is_copy(quality, copy_threshold))

    def _dice(self, value: float | None) -> Check:
        limit = "" if self.dice is None else f"at least {self.dice:.3f}"
        margin = _less(value, self.dice, 3)
        return _DICE.check(value, limit, margin, "the segmenter finds the head elsewhere")

    def _hc(self, value: float | None) -> Check:
        limit = "" if self.hc_difference is None else f"at most {percent(self.hc_difference, 1)}"
        margin = _less(self.hc_difference, None if value is None else abs(value), 3)
        reason = "the segmenter finds no head"
        if value is not None:
            reason = f"the segmenter's head is {'larger' if value > 0 else 'smaller'}"
        return _HC.check(value, limit, margin, reason)

    def _edge(self, value: float | None) -> Check:
        limit = "" if self.edge is None else f"at least {percent(self.edge)}"
        margin = _less(value, self.edge, 2)
        return _EDGE.check(value, limit, margin, "little of the ellipse has a skull under it")

    def _similarity(self, value: float | None, threshold: float | None) -> Check:
        if value is None or threshold is None:
            reason = "what the model was trained on is not known, so a copy would not be noticed"
            return Check("similarity", "Similarity", "not known", "", None, reason, 1.0)
        most = threshold if self.similarity is None else min(self.similarity, threshold)
        reason = "a copy of a training frame" if value > threshold else "much like a training frame"
        return _SIMILARITY.check(value, f"at most {most:.3f}", most - value, reason)

    def _outline(self, value: float) -> Check:
        limit = "" if self.outline is None else f"at least {self.outline:.2f}"
        margin = _less(value, self.outline, 2)
        reason = "the outline that the synthesizer drew is in doubt"
        return _OUTLINE.check(value, limit, margin, reason)


def is_copy(quality: Mapping[str, float], copy_threshold: float | None) -> bool:
    """Whether an image resembles a training frame more than different patients' heads do."""
    similarity = quality.get("similarity")
    return similarity is not None and copy_threshold is not None and similarity > copy_threshold


def shows_real_pixels(quality: Mapping[str, float]) -> bool | None:
    """Whether a part of an image is its lender's; None where they were not compared."""
    share = quality.get("real_share")
    return None if share is None else share > REAL_SHARE


def _less(high: float | None, low: float | None, digits: int) -> float | None:
    """``high - low``, rounded so that no stray last bits remain."""
    if high is None or low is None:
        return None
    return round(round(high, digits) - round(low, digits), digits)
