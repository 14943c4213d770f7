"""What a segmenter is given besides the frame, where a job lets a person choose."""

from __future__ import annotations

from typing import Literal

Prompt = Literal["auto", "box"]
"""``auto``: nothing. ``box``: a box around the head. Where a model is measured, that is the box of
the person's ellipse; where it proposes, the box of another proposal."""


def in_words(prompt: Prompt) -> str:
    """How a model was measured, for a person."""
    return "with the box of the person's ellipse" if prompt == "box" else "without a prompt"
