"""The guidance that a synthesizer learns to follow by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guidance:
    """How strongly ellipse and style are followed.

    A guided answer is the one without them, plus this many times what they change. 1 is the plain
    answer. The larger it is, the more faithful heads are, and the more even skulls.
    """

    usual: float = 2.5
    first: float | None = None
    """For heads of the first trimester, whose skull is faint; None for the usual one."""

    @classmethod
    def read(cls, value: object) -> Guidance:
        """The guidance in a card or a checkpoint; the older ones have one number."""
        if isinstance(value, Mapping):
            return cls(**value)
        return cls(float(str(value)))

    @property
    def plain(self) -> bool:
        """Whether there is nothing to learn."""
        return self.usual == 1 and self.first in (None, 1)

    def of(self, style: str) -> float:
        """The guidance of a frame of this style."""
        return self.first if style == "first" and self.first is not None else self.usual


PLAIN = Guidance(1.0)
"""The data alone are learnt."""
