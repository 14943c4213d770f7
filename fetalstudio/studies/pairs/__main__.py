r"""The trial of the pairs: what they add where few real frames are at hand.

    python -m fetalstudio.studies.pairs carrier PROJECT OUT
    python -m fetalstudio.studies.pairs confirmation PROJECT OUT
    python -m fetalstudio.studies.pairs paper PROJECT OUT --start SYNTHESIZER
    python -m fetalstudio.studies.pairs unlabelled PROJECT OUT --start SYNTHESIZER
    python -m fetalstudio.studies.pairs show OUT

PROJECT holds the annotated cohorts HC18 and Africa (and Spain, for ``paper``). OUT keeps the
settings with the primary comparison, ``results.jsonl`` (a line for each run with the figures of
every test frame), the pairs and the trained segmenters. The same command resumes an interrupted
trial: a training goes on from its checkpoint. SIGINT and SIGTERM save the state first. ``show``
makes the table and the figure from the settings and ``results.jsonl`` alone; with ``--evidence``,
it also writes the file by which the program advises for or against pairs. SYNTHESIZER is the
folder of one that learnt from simulated frames only: see ``pretrain synthesizer --frames 0``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from fetalstudio.core.errors import UserError
from fetalstudio.studies.pairs.plan import runs_of

CARRIERS = ("carrier", "confirmation")
STEPS, BATCH, LEARNING_RATE = 400, 8, 1.5e-3
SYNTHESIZER_STEPS = 800
_DESIGNS = {
    "carrier": ("a generator between hospitals", 300),
    "confirmation": ("the same with other draws and a stronger control", 300),
    "paper": ("the paper's situation with its missing control", 495),
    "unlabelled": ("a synthesizer that also learns from frames without ellipses", 300),
}
"""What each design is about, and its pairs."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    options = _parser().parse_args(arguments)
    try:
        if options.what == "show":
            from fetalstudio.studies.pairs.report import show

            print(show(options.out, options.evidence))
        else:
            _run(options)
    except UserError as error:
        raise SystemExit(str(error)) from error


def _run(options: argparse.Namespace) -> None:
    import cv2
    import torch

    from fetalstudio.engine.cohort_split import labelled_frames
    from fetalstudio.learning import until_stopped
    from fetalstudio.project.project import Project
    from fetalstudio.studies.pairs.carrier import Carrier
    from fetalstudio.studies.pairs.making import PairSettings
    from fetalstudio.studies.pairs.paper import Learning, Paper
    from fetalstudio.studies.pairs.segmenters import Recipe
    from fetalstudio.studies.pairs.trial import Source, Trial
    from fetalstudio.studies.pairs.unlabelled import Unlabelled

    if options.threads:
        torch.set_num_threads(options.threads)
        cv2.setNumThreads(options.threads)
    # The paper's tests have a box too, the others none.
    without_prompt = 0.5 if options.what == "paper" else 1.0
    recipe = Recipe(options.steps, BATCH, LEARNING_RATE, without_prompt)
    pairs = PairSettings(options.pairs)
    with until_stopped() as stopped, Project.open(options.project) as project:
        frames = labelled_frames(project)
        source: Source
        if options.what in CARRIERS:
            source = Carrier(frames, recipe, pairs, options.synthesizer, options.what)
        else:
            learning = Learning(options.start, steps=options.synthesizer_steps)
            given = frames, recipe, pairs, learning
            source = Paper(*given) if options.what == "paper" else Unlabelled(*given)
        trial = Trial(options.out, source, stopped=lambda: stopped[0])
        trial.go_on(runs_of(options.what))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fetalstudio.studies.pairs", description=__doc__.split("\n")[0]
    )
    commands = parser.add_subparsers(dest="what", required=True)
    for design, (about, pairs) in _DESIGNS.items():
        command = commands.add_parser(design, help=about)
        command.add_argument("project", type=Path, metavar="PROJECT")
        command.add_argument("out", type=Path, metavar="OUT")
        if design in CARRIERS:
            command.add_argument("--synthesizer", type=Path, help="folder; default: the built-in")
        else:
            command.add_argument("--start", type=Path, required=True, metavar="SYNTHESIZER")
            command.add_argument(
                "--synthesizer-steps", type=int, default=SYNTHESIZER_STEPS, help="of its training"
            )
        command.add_argument("--steps", type=int, default=STEPS, help="of each training")
        command.add_argument("--pairs", type=int, default=pairs, help="pairs of each draw")
        command.add_argument("--threads", type=int, help="CPU threads; default all")
    shown = commands.add_parser("show", help="the table and the figure of a trial")
    shown.add_argument("out", type=Path, metavar="OUT")
    shown.add_argument(
        "--evidence",
        type=Path,
        metavar="FILE",
        help="also write what the program's advice on pairs rests on, such as to "
        "resources/evidence/carrier.json",
    )
    return parser


if __name__ == "__main__":
    main()
