"""How fast this machine synthesises and segments, compared with the paper's pipeline on it.

Times are medians of whole calls in this process. The paper's models are timed with random weights,
which take as long as trained ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch

from fetalstudio.engine.bench.segmentation import proposal_s, sam_figures, snap_s
from fetalstudio.engine.bench.synthesis import synthesis_figures
from fetalstudio.learning import pick_device

Part = Literal["all", "synthesis", "segmentation"]


def bench(
    repeats: int,
    *,
    part: Part = "all",
    with_paper: bool,
    say: Callable[[str], None] = lambda text: None,
) -> Mapping[str, Any]:
    """Median seconds of each task, those of the paper's pipeline, and the ratio of the two.

    ``say`` receives a sentence before each measurement.
    """
    figures: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "device": str(pick_device()),
        "repeats": repeats,
    }
    if part != "segmentation":
        figures |= synthesis_figures(repeats, with_paper=with_paper, say=say)
    if part != "synthesis":
        say("Timing the compact segmenter")
        figures["proposal_s"] = proposal_s(repeats)
        figures["snap_s"] = snap_s(repeats)
        figures |= sam_figures(repeats, with_paper=with_paper, say=say)
    return figures
