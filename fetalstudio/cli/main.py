"""The list of commands, and how their errors become exit statuses."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from fetalstudio import distributed
from fetalstudio.cli import (
    adapt,
    adapt_sd,
    bench,
    demo,
    evaluate,
    experiment,
    export,
    formats,
    frames,
    import_frames,
    log,
    models,
    new,
    open,
    propose,
    readings,
    restore,
    review,
    runs,
    secret,
    selftest,
    shareable,
    synthesize,
    train,
    verify,
)
from fetalstudio.cli.console import Console, ProblemsFoundError
from fetalstudio.core.errors import InputError, UserError, is_out_of_memory
from fetalstudio.core.progress import Stopped
from fetalstudio.core.words import quoted
from fetalstudio.engine.process.job import failure
from fetalstudio.engine.process.signals import handling, ignore, ignore_at_the_end, interrupt
from fetalstudio.engine.process.threads import settle_threads
from fetalstudio.version import __version__

OK, FAILED, BAD_INPUT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Command:
    """A command. Its options and what it does are in one module of this package."""

    name: str
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Console], None]
    text: str
    """The description that ``--help`` shows."""
    project: bool = True
    """Whether its first argument is a project."""
    segmenter: bool = False
    """Whether it takes ``--segmenter`` and ``--cohort``."""


COMMANDS = (
    Command("new", new.options, new.run, "make an empty project"),
    Command("import", import_frames.options, import_frames.run, "import frames into a project"),
    Command(
        "frames",
        frames.options,
        frames.run,
        "list frames, amend or remove them, undo that, forget patients",
    ),
    Command(
        "readings",
        readings.options,
        readings.run,
        "measure how well observers agree; export and merge their readings",
    ),
    Command("log", log.options, log.run, "list who did what in a project, and when"),
    Command(
        "propose",
        propose.options,
        propose.run,
        "let the segmenter propose ellipses",
        segmenter=True,
    ),
    Command("synthesize", synthesize.options, synthesize.run, "make synthetic pairs"),
    Command(
        "review",
        review.options,
        review.run,
        "accept or reject all pending pairs by their figures",
    ),
    Command(
        "adapt",
        adapt.options,
        adapt.run,
        "adapt the synthesizer to the project's annotated frames",
    ),
    Command("train", train.options, train.run, "fine-tune the segmenter", segmenter=True),
    Command("runs", runs.options, runs.run, "list the trainings and how they ended"),
    Command(
        "experiment",
        experiment.options,
        experiment.run,
        "measure whether the synthetic pairs help",
        segmenter=True,
    ),
    Command(
        "evaluate",
        evaluate.options,
        evaluate.run,
        "measure a segmenter on the annotated frames",
        segmenter=True,
    ),
    Command(
        "export",
        export.options,
        export.run,
        "write frames and pairs in a layout that other programs read",
    ),
    Command(
        "formats",
        formats.options,
        formats.run,
        "list the formats to import from and to export in, and what each can carry",
        project=False,
    ),
    Command(
        "verify",
        verify.options,
        verify.run,
        "check that a data set is what was exported; needs no project",
        project=False,
    ),
    Command(
        "adapt-sd",
        adapt_sd.options,
        adapt_sd.run,
        "adapt Stable Diffusion to the project's annotated frames",
    ),
    Command(
        "restore",
        restore.options,
        restore.run,
        "list the backups of a project's database, put one back",
    ),
    Command(
        "secret",
        secret.options,
        secret.run,
        "move the secret of a project's patient keys to another computer",
    ),
    Command(
        "shareable",
        shareable.options,
        shareable.run,
        "take out of a project what may say who its patients are",
    ),
    Command(
        "models",
        models.options,
        models.run,
        "list the models that can be loaded by name; add, adopt, verify or export one",
        project=False,
    ),
    Command(
        "demo",
        demo.options,
        demo.run,
        "run every step once on the sample frames",
        project=False,
    ),
    Command(
        "bench",
        bench.options,
        bench.run,
        "measure the speed of this machine, and of the paper's pipeline on it",
        project=False,
    ),
    Command(
        "selftest",
        selftest.options,
        selftest.run,
        "check that this installation is complete",
        project=False,
    ),
    Command("open", open.options, open.run, "open the window on a project"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default the window. Returns 0, 1 (failed) or 2 (bad input).

    ``arguments`` are by default those of the process, which has to end afterwards.
    """
    ends = arguments is None
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments:
        from fetalstudio.ui.app import run as open_window

        return open_window()
    if distributed.rank() > 0:
        settle_threads()
        distributed.follow()
        distributed.end(OK)
    console = Console(as_json="--json" in arguments)
    if ends:
        ignore_at_the_end()
    with handling(ignore):  # or a second signal could cut off what is said about the first
        status = _command(arguments, console)
    distributed.dismiss()
    distributed.end(status)
    return status


def _command(arguments: Sequence[str], console: Console) -> int:
    try:
        with handling(interrupt):
            _check_command(arguments[0])
            options = _parser().parse_args(arguments)
            console.as_json = options.json
            options.command.run(options, console)
    except InputError as error:
        return _fail(console, str(error), BAD_INPUT)
    except ProblemsFoundError as found:
        return _fail(console, str(found), FAILED, found.report)
    except UserError as error:
        return _fail(console, str(error), FAILED)
    except Stopped as stopped:
        return _cancelled(console, stopped.result)
    except KeyboardInterrupt:  # before or after a job, or in a command that runs none
        return _cancelled(console)
    except Exception as error:
        # A fault of the program. The traceback helps to mend it; a script still gets its JSON line.
        if not is_out_of_memory(error):
            traceback.print_exc()
        return _fail(console, failure(arguments[0], error).message, FAILED)
    return OK


def _check_command(word: str) -> None:
    """Raise :class:`InputError` for a path, such as that of a project, in place of a command."""
    known = word.startswith("-") or word in {command.name for command in COMMANDS}
    if not known and (len(Path(word).parts) > 1 or Path(word).is_dir()):
        raise InputError(
            f"{word} is not a command. To open a project in the window: "
            f"fetalstudio open {quoted(word)}"
        )


def _cancelled(console: Console, result: object = None) -> int:
    console.result({"cancelled": True, "result": result}, "Cancelled; what was saved is kept.")
    return FAILED


def _fail(
    console: Console, message: str, status: int, report: Mapping[str, Any] | None = None
) -> int:
    console.error(message)
    console.result({"error": message, **(report or {})}, "")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fetalstudio",
        description="Draw fetal head ellipses, synthesise matching ultrasound, fine-tune SAM. "
        "Without a command the window opens. For research, not for diagnosis.",
    )
    parser.add_argument("--version", action="version", version=f"fetalstudio {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    for command in COMMANDS:
        sub = commands.add_parser(command.name, help=command.text, description=command.text)
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="one JSON object as the last line")
        if command.project:
            sub.add_argument("project", type=Path, metavar="PROJECT")
        if command.segmenter:
            sub.add_argument("--segmenter", metavar="NAME")
            sub.add_argument("--cohort", metavar="NAME")
        command.options(sub)
    return parser


class _Parser(argparse.ArgumentParser):
    """Reports wrong options as bad input, in the JSON line too."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise InputError(f"{message}. {self.prog} --help lists the options.")
