"""The commands and their options."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from fetalstudio import __version__, distributed
from fetalstudio.cli import evaluation, experiment, models, stable_diffusion, training
from fetalstudio.cli.batches import batch_options, request_of
from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.screening import PairFilter
from fetalstudio.engine.jobs.adapt.request import AdaptRequest
from fetalstudio.engine.jobs.export.request import ExportRequest
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.jobs.propose.request import ProposeRequest
from fetalstudio.engine.process.job import JobCancelled, failure
from fetalstudio.engine.process.threads import settle_threads
from fetalstudio.project.project import Project
from fetalstudio.project.records import ReviewState

OK, FAILED, BAD_INPUT = 0, 1, 2
Command = Callable[[argparse.Namespace, Console], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default the window; the status is 0, 1 (failed) or 2 (bad input)."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments:
        from fetalstudio.ui.app import run as open_window

        return open_window()
    if distributed.rank() > 0:
        settle_threads()
        distributed.follow()
        distributed.end(OK)
    console = Console(as_json="--json" in arguments)
    status = _command(arguments, console)
    distributed.dismiss()
    distributed.end(status)
    return status


def _command(arguments: Sequence[str], console: Console) -> int:
    try:
        options = _parser().parse_args(arguments)
        console.as_json = options.json
        command: Command = options.command
        command(options, console)
    except InputError as error:
        return _fail(console, str(error), BAD_INPUT)
    except UserError as error:
        return _fail(console, str(error), FAILED)
    except JobCancelled as stopped:
        console.result(
            {"cancelled": True, "result": stopped.result}, "Cancelled; what was saved is kept."
        )
        return FAILED
    except Exception as error:
        # Ours to mend: the traceback helps with that, and a script still gets its line.
        traceback.print_exc()
        return _fail(console, failure(arguments[0], error).message, FAILED)
    return OK


def _fail(console: Console, message: str, status: int) -> int:
    console.error(message)
    console.result({"error": message}, "")
    return status


def _new(options: argparse.Namespace, console: Console) -> None:
    with Project.create(options.project) as project:
        console.result({"project": project.path}, f"Made the project {project.path}.")


def _import(options: argparse.Namespace, console: Console) -> None:
    result = console.run(
        "import",
        ImportRequest(options.project, options.source, options.format, options.cohort),
    )
    for problem in result.problems:
        console.warn(problem)
    console.result(
        result,
        f"Imported {result.frames} frames into cohort {result.cohort}, {result.annotated} with an "
        f"annotation; {result.duplicates} were already there. Warnings: {len(result.problems)}.",
    )


def _propose(options: argparse.Namespace, console: Console) -> None:
    result = console.run(
        "propose",
        ProposeRequest(
            options.project,
            options.segmenter,
            options.cohort,
            prompt=options.prompt,
            again=options.again,
        ),
    )
    console.result(
        result,
        f"Proposed {len(result.proposals)} ellipses; no head found in {len(result.without)} "
        "frames. Each waits to be confirmed by a person.",
    )


def _synthesize(options: argparse.Namespace, console: Console) -> None:
    result = console.run("synthesize", request_of(options))
    more = f" ({result.before} of them before)" if result.before else ""
    console.result(
        result,
        f"Made {len(result.pair_ids)} pairs{more}, {result.seconds_per_pair:.2f} s each; mean Dice "
        f"{result.mean_dice:.3f} between the ellipse and what the segmenter finds. "
        + (
            f"{result.again} of them were there already, asked for with the same seed: give "
            "another --seed for new ones."
            if result.again
            else "They wait to be reviewed."
        ),
    )


def _review(options: argparse.Namespace, console: Console) -> None:
    named = (options.accept_above, options.hc_within, options.edge_above, options.similarity_below)
    # One threshold that is named makes the others a person's own decision too.
    filter_ = PairFilter() if named == (None,) * 4 else PairFilter(*named)
    counts = {"accepted": 0, "rejected": 0, "copies": 0}
    reasons: Counter[str] = Counter()
    corrected = 0
    with Project.open(options.project) as project, project.transaction():
        for pair in project.pairs.all(state="pending"):
            if pair.corrected:
                corrected += 1
                continue
            verdict = filter_.verdict(pair.quality, pair.copy_threshold)
            state: ReviewState = "accepted" if verdict.passed else "rejected"
            project.pairs.review(pair.id, state, reviewer=options.reviewer)
            counts[state] += 1
            counts["copies"] += verdict.copy
            reasons.update(verdict.reasons[:1])
    for reason, count in reasons.most_common():
        console.say(f"{count} rejected: {reason}")
    if corrected:
        console.say(f"{corrected} corrected by hand, which no filter decides: left to be reviewed.")
    console.result(
        counts, f"Accepted {counts['accepted']} pairs and rejected {counts['rejected']}."
    )


def _adapt(options: argparse.Namespace, console: Console) -> None:
    result = console.run(
        "adapt",
        AdaptRequest(
            options.project,
            cohort=options.cohort,
            synthesizer=options.synthesizer,
            steps=options.steps,
            name=options.name,
            seed=options.seed,
        ),
    )
    if options.adopt and result.model is not None:
        with Project.open(options.project) as project:
            project.models.adopt("synthesizer", result.model)
    console.result(result, result.verdict)


def _export(options: argparse.Namespace, console: Console) -> None:
    result = console.run(
        "export",
        ExportRequest(
            options.project,
            options.out,
            options.format,
            options.cohort,
            synthetic=not options.real_only,
            copies=options.include_copies,
        ),
    )
    if result.copies_left_out:
        console.warn(
            f"Left out {result.copies_left_out} accepted pairs that are copies of training frames; "
            "--include-copies writes them too."
        )
    for problem in result.problems:
        console.warn(problem)
    console.result(
        result, f"Wrote {result.frames} frames and {result.pairs} pairs to {result.out}."
    )


def _demo(options: argparse.Namespace, console: Console) -> None:
    from fetalstudio.cli.demo import demo

    demo(options.out, console)


def _selftest(options: argparse.Namespace, console: Console) -> None:
    from fetalstudio.cli.selftest import selftest

    selftest(console)


def _bench(options: argparse.Namespace, console: Console) -> None:
    settle_threads()  # as the jobs do, before torch is imported
    from fetalstudio.engine.bench import bench

    if options.repeats < 1:
        raise InputError(f"--repeats is at least 1, not {options.repeats}.")
    figures = bench(
        options.repeats, part=options.part, with_paper=not options.without_paper, say=console.say
    )
    lines = [f"{key:28} {value}" for key, value in figures.items()]
    console.result(figures, "\n".join(lines))


def _window(options: argparse.Namespace, _console: Console) -> None:
    from fetalstudio.ui.app import run as open_window

    raise SystemExit(open_window(options.project))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fetalstudio",
        description="Draw fetal head ellipses, synthesise matching ultrasound, fine-tune SAM. "
        "Without a command the window opens. For research, not for diagnosis.",
    )
    parser.add_argument("--version", action="version", version=f"fetalstudio {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Command, text: str, *, project: bool = True) -> _Parser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="one JSON object as the last line")
        if project:
            sub.add_argument("project", type=Path, metavar="PROJECT")
        return sub

    add("new", _new, "make an empty project")
    sub = add("import", _import, "bring frames into a project")
    sub.add_argument("source", type=Path, metavar="SOURCE")
    sub.add_argument("--format", choices=["auto", "hc18", "folder"], default="auto")
    sub.add_argument("--cohort", metavar="NAME")
    sub = add("propose", _propose, "let the segmenter propose ellipses")
    _segmenter_options(sub)
    sub.add_argument(
        "--prompt",
        choices=["auto", "box"],
        default="auto",
        help="box: that of another segmenter's proposal, for a SAM that needs a prompt",
    )
    sub.add_argument(
        "--again",
        action="store_true",
        help="also where a proposal of this segmenter waits or was rejected",
    )
    batch_options(add("synthesize", _synthesize, "make synthetic pairs"))
    sub = add("review", _review, "accept or reject all pending pairs by their figures")
    sub.description = (
        "Accepts the pending pairs that pass and rejects the others. Without a threshold the usual "
        "ones hold (Dice 0.95, HC within 0.05, edge 0.5); with any, only those that are given. A "
        "copy of a training frame never passes."
    )
    sub.add_argument("--accept-above", type=float, metavar="DICE", help="least Dice, 0 to 1")
    sub.add_argument("--hc-within", type=float, metavar="SHARE", help="most HC difference, 0.05")
    sub.add_argument("--edge-above", type=float, metavar="SHARE", help="least skull edge, 0 to 1")
    sub.add_argument("--similarity-below", type=float, metavar="R", help="to any training frame")
    sub.add_argument("--reviewer", default="command line")
    sub = add("adapt", _adapt, "fit the synthesizer to one's own annotated frames")
    sub.add_argument("--cohort", metavar="NAME")
    sub.add_argument("--steps", type=int, default=500, metavar="K")
    sub.add_argument("--name", metavar="NAME", help="of the new model")
    sub.add_argument("--synthesizer", metavar="NAME", help="start from this one")
    sub.add_argument("--seed", type=int, default=0, metavar="S")
    sub.add_argument("--adopt", action="store_true", help="use the new model from now on")
    sub = add("train", training.run, "fine-tune the segmenter")
    _segmenter_options(sub)
    training.options(sub)
    sub = add("experiment", experiment.run, "measure whether the synthetic pairs help")
    _segmenter_options(sub)
    experiment.options(sub)
    sub = add("evaluate", evaluation.run, "measure a segmenter on the annotated frames")
    _segmenter_options(sub)
    evaluation.options(sub)
    sub = add("export", _export, "write frames and pairs in a layout that others read")
    sub.add_argument("out", type=Path, metavar="OUT")
    sub.add_argument("--format", choices=["hc18"], required=True)
    sub.add_argument("--cohort", metavar="NAME")
    sub.add_argument("--real-only", action="store_true", help="without the accepted pairs")
    sub.add_argument("--include-copies", action="store_true", help="also copies of training frames")
    sub = add(
        "adapt-sd", stable_diffusion.adapt, "fit Stable Diffusion to the project's own frames"
    )
    stable_diffusion.adapt_options(sub)
    text = "list the models that can be loaded by name; add, verify, export them"
    models.options(add("models", models.run, text, project=False))
    sub = add("demo", _demo, "go once round the loop on the sample frames", project=False)
    sub.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR")
    sub = add("bench", _bench, "time this machine, and the paper's pipeline on it", project=False)
    sub.add_argument("--part", choices=["all", "synthesis", "segmentation"], default="all")
    sub.add_argument("--repeats", type=int, default=5, metavar="N")
    sub.add_argument("--without-paper", action="store_true", help="our own speed alone")
    add("selftest", _selftest, "prove that this installation is whole", project=False)
    add("open", _window, "open the window on a project")
    return parser


class _Parser(argparse.ArgumentParser):
    """Wrong options are bad input like any other, in the JSON line too."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise InputError(f"{message}. {self.prog} --help tells what there is.")


def _segmenter_options(sub: _Parser) -> None:
    sub.add_argument("--segmenter", metavar="NAME")
    sub.add_argument("--cohort", metavar="NAME")
