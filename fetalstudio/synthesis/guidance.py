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

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for anything else than numbers of 1 to 10."""
        if not _possible(self.usual) or not (self.first is None or _possible(self.first)):
            raise ValueError(f"a guidance is 1 to 10, not {self.usual!r} or {self.first!r}")

    @classmethod
    def read(cls, value: object) -> Guidance:
        """The guidance in a card or a checkpoint; the older ones have one number.

        Raises ``ValueError`` for anything else.
        """
        numbers = value if isinstance(value, Mapping) else {"usual": value}
        try:
            return cls(**{"usual": None, **numbers})
        except (TypeError, ValueError) as error:
            raise ValueError(f"the guidance that it learnt is {value!r}") from error

    @property
    def plain(self) -> bool:
        """Whether there is nothing to learn."""
        return self.usual == 1 and self.first in (None, 1)

    def of(self, style: str) -> float:
        """The guidance of a frame of this style."""
        return self.first if style == "first" and self.first is not None else self.usual


def _possible(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 1 <= value <= 10


PLAIN = Guidance(1.0)
"""The data alone are learnt."""
