"""What a study says on its way."""

from __future__ import annotations

import sys
import time

import numpy as np


def say(text: str) -> None:
    """Print a line with the time to stderr, at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Log:
    """Prints a line every 50 steps."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.started = time.monotonic()

    def __call__(self, step: int, loss: float) -> None:
        self.losses.append(loss)
        if len(self.losses) == 50:
            elapsed = time.monotonic() - self.started
            say(f"step {step} loss {np.mean(self.losses):.4f} after {elapsed:.0f} s")
            self.losses.clear()
