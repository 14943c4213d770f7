r"""Measures how a synthesizer's images change with the length of its training.

    python -m fetalstudio.studies.training_length PROJECT CHECKPOINT...

The checkpoints are copies from a training with ``pretrain``. Each is measured like a variant of
``ablation``: with the moving average of the weights, which ships, and with the weights of the last
step. Prints the rows of a Markdown table one by one.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fetalstudio.core.errors import UserError
from fetalstudio.engine.models.loading import judge_model, load_segmenter
from fetalstudio.learning import load_checkpoint, pick_device
from fetalstudio.project.project import Project
from fetalstudio.studies.ablation import (
    GUIDANCE,
    HEADER,
    Sampling,
    examples_and_targets,
    figures,
    table_row,
)
from fetalstudio.synthesis.guidance import Guidance
from fetalstudio.synthesis.pipeline import CompactPipeline, build_scheduler, build_unet

WEIGHTS = {"moving average": "average", "last step": "model"}


def pipeline_of(state: Mapping[str, Any], weights: str) -> CompactPipeline:
    """The pipeline of a checkpoint of ``synthesis.training.train``; ``weights`` is a key of
    :data:`WEIGHTS`."""
    unet = build_unet(state["settings"]["widths"])
    values = state[WEIGHTS[weights]]
    unet.load_state_dict(values["shadow"] if weights == "moving average" else values)
    return CompactPipeline(unet.eval(), build_scheduler(), state["band_mean"], state["band_std"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("project", type=Path, metavar="PROJECT")
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--seeds", type=int, default=4, help="images of each head")
    parser.add_argument("--frames", type=int, help="heads, at most")
    options = parser.parse_args(arguments)
    try:
        with Project.open(options.project) as project:
            _, targets = examples_and_targets(project, options.frames)
    except UserError as error:
        raise SystemExit(str(error)) from error
    judge = load_segmenter(judge_model())
    print("\n".join(HEADER), flush=True)
    for path in options.checkpoints:
        state = load_checkpoint(path)
        if state is None or "band_mean" not in state:
            raise SystemExit(
                f"{path} is not a checkpoint of a synthesizer's training. Name one of pretrain."
            )
        # A model that has learnt guidance must not be guided again.
        learnt = Guidance.read(state["settings"]["guidance"])
        guidance = GUIDANCE if learnt.plain else 1.0
        for weights in WEIGHTS:
            pipeline = pipeline_of(state, weights).to(pick_device())
            found = figures(pipeline, targets, judge, Sampling(guidance=guidance), options.seeds)
            print(table_row(f"{state['step']} steps, {weights}", found), flush=True)


if __name__ == "__main__":
    main()
