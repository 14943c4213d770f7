"""A frame of each scanner layout in a source, to be shown to the person who confirms the layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from fetalstudio.formats.privacy.burned_in_text import Box
from fetalstudio.formats.privacy.redaction import Layout, Screen, propose, text_boxes

_MOST = 40
"""Layouts of which a frame is kept; the frames of others are redacted as it is proposed for each,
and named."""


@dataclass(frozen=True, slots=True)
class ScreenSample:
    """A frame of a layout, as the scanner showed it. It is kept in memory only."""

    layout: str
    """The fingerprint."""
    path: Path
    frames: int
    """How many frames of the source have the layout."""
    pixels: NDArray[np.uint8]
    """(H, W) grey."""
    proposal: Layout
    """What was confirmed before, or else what is proposed."""
    text: tuple[Box, ...]
    """The text that is found in this frame, wherever it stands."""
    confirmed: bool
    """Whether a person has confirmed this layout before."""
    whole: bool = False
    """Whether it is a picture with text and no screen: it may be confirmed, and is kept whole
    otherwise."""


@dataclass(frozen=True, slots=True)
class _Seen:
    path: Path
    pixels: NDArray[np.uint8]
    screen: Screen
    groups: list[Box]

    @property
    def order(self) -> tuple[int, str]:
        """The frame with the most text is shown."""
        return len(self.groups), str(self.path)


class ScreenSamples:
    """Gathers the frames while they are read, on any number of threads.

    Of each layout it keeps the frame with the most text, and none where no frame shows any.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[str, _Seen] = {}
        self._text: dict[str, tuple[_Seen, tuple[Box, ...]]] = {}

    def saw(
        self, path: Path | None, pixels: NDArray[np.uint8], screen: Screen, groups: list[Box]
    ) -> None:
        """Take note of a screen; see :attr:`Redactor.seen`."""
        if not groups or path is None:
            return
        one = _Seen(path, pixels, screen, groups)
        with self._lock:
            before = self._kept.get(screen.layout)
            if len(self._kept) < _MOST if before is None else before.order < one.order:
                self._kept[screen.layout] = one

    def samples(
        self, frames: Mapping[str, int], confirmed: Mapping[str, Layout]
    ) -> tuple[ScreenSample, ...]:
        """A frame of each of these layouts. ``frames`` says how many there are of each, by
        fingerprint, and ``confirmed`` what a person confirmed before."""
        with self._lock:
            kept = {layout: self._kept[layout] for layout in frames if layout in self._kept}
        return tuple(
            ScreenSample(
                layout,
                one.path,
                frames[layout],
                one.pixels,
                confirmed.get(layout) or propose(one.pixels, one.screen),
                self._text_of(layout, one),
                layout in confirmed,
                one.screen.whole,
            )
            for layout, one in kept.items()
        )

    def _text_of(self, layout: str, one: _Seen) -> tuple[Box, ...]:
        """Found once: the detector takes a while."""
        if layout not in self._text or self._text[layout][0] is not one:
            self._text[layout] = one, text_boxes(one.pixels, one.groups)
        return self._text[layout][1]
