r"""Trains the bundled models from a project of annotated frames, and measures them.

    python -m fetalstudio.studies.pretrain segmenter PROJECT --steps 1800 \
        --checkpoint FILE --out DIR
    python -m fetalstudio.studies.pretrain synthesizer PROJECT --steps 2600 \
        --checkpoint FILE --out DIR
    python -m fetalstudio.studies.pretrain detail PROJECT --start MODEL --steps 8000 --batch 16 \
        --checkpoint FILE --out DIR
    python -m fetalstudio.studies.pretrain judge PROJECT --steps 3000 --simulated 150 \
        --checkpoint FILE --out DIR
    python -m fetalstudio.studies.pretrain outline PROJECT --steps 4300 --batch 32 \
        --simulated 300 --checkpoint FILE --out DIR

The detail stage belongs to a synthesizer: it learns what a real frame shows at its own size where
the canvases of that synthesizer show too little. DIR is a copy of MODEL with the detail stage
instead of the lift. The outline is the second look, which moves any ellipse onto the skull. The
judge is a segmenter that learns from a quarter of the training subjects, which are left out when a
synthesizer is trained. So it knows no head that a synthetic frame may repeat.

A training that is interrupted (Ctrl-C, SIGTERM) saves its state and writes the model that it has
reached. The same command with the same checkpoint resumes it. It runs on a CPU or a GPU.

``--simulated N`` adds N simulated frames to the real ones. Each frame, simulated or real, is drawn
equally often. Train a synthesizer on simulated frames first, and then on real frames alone in a
second call with ``--start``; otherwise some of its images look simulated.

``segmenter --accepted-pairs also`` adds the project's accepted pairs to its real frames. ``only``
trains on the pairs alone, which shows what synthetic data are worth by themselves. All models are
measured on the same held-out real frames. ``--frames N`` draws N frames (or pairs) at random with
the seed; with 0, only simulated frames are left.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from fetalstudio.engine.cohort_split import bundled_parts, labelled_frames, of_part, without_judges
from fetalstudio.project.project import Project
from fetalstudio.studies.log import say
from fetalstudio.studies.pretrain import detail, outline, segmenter, synthesizer
from fetalstudio.studies.pretrain.learnt_from import drawn


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    options = _options(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    with Project.open(options.project) as project:
        frames = labelled_frames(project)
        parts = bundled_parts(frames)
        data = {part: of_part(frames, parts, part) for part in ("train", "validation", "test")}
        others, judges = without_judges(data["train"])
        learnt = {"synthesizer": others, "detail": others, "judge": judges}.get(
            options.kind, data["train"]
        )
        data["train"] = drawn(learnt, options)
        say(f"{ {part: len(items) for part, items in data.items()} } frames, by subject")
        if options.kind == "synthesizer":
            synthesizer.build(data, options)
        elif options.kind == "detail":
            detail.build(data, options)
        elif options.kind == "outline":
            outline.build(project, data, options)
        else:
            segmenter.build(project, data, options)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m fetalstudio.studies.pretrain", description=__doc__.split("\n")[0]
    )
    parser.add_argument("kind", choices=["segmenter", "synthesizer", "detail", "outline", "judge"])
    parser.add_argument("project", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument(
        "--learning-rate", type=float, help="peak learning rate; default that of the kind"
    )
    parser.add_argument("--threads", type=int, help="CPU threads; default all cores")
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that prepare frames; for a GPU 2 to 6"
    )
    parser.add_argument(
        "--start",
        type=Path,
        help="model folder to start from (synthesizer) or to complete (detail)",
    )
    parser.add_argument(
        "--teacher", type=Path, help="model folder whose guided output is learnt (synthesizer only)"
    )
    parser.add_argument(
        "--guidance", type=float, help="guidance that the synthesizer learns to follow; 1 for none"
    )
    parser.add_argument(
        "--first-guidance",
        type=float,
        metavar="GUIDANCE",
        help="another guidance for heads of the first trimester (with --guidance)",
    )
    parser.add_argument(
        "--simulated", type=int, default=0, metavar="N", help="number of simulated frames to add"
    )
    parser.add_argument(
        "--accepted-pairs",
        choices=["also", "only"],
        help="train on accepted pairs in addition to or instead of real frames",
    )
    parser.add_argument("--frames", type=int, metavar="N", help="train on N frames drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="seed of this draw and of the training")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    options = parser.parse_args(arguments)
    if not 0 <= options.simulated <= 20_000:
        parser.error("--simulated is outside 0 to 20000 frames; more do not fit into memory")
    if options.kind == "detail" and options.start is None:
        parser.error("--start: name the synthesizer that the detail stage is for")
    if options.first_guidance is not None and options.guidance is None:
        parser.error("--first-guidance: give the guidance of the others with --guidance")
    for guidance in (options.guidance, options.first_guidance):
        if guidance is not None and not 1 <= guidance <= 10:
            parser.error("--guidance and --first-guidance are 1 to 10")
    if options.kind == "judge" and options.accepted_pairs:
        parser.error("--accepted-pairs: the judge of synthetic frames learns from none of them")
    return options


if __name__ == "__main__":
    main()
