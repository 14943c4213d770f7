"""Command ``import``."""

from __future__ import annotations

import argparse
import fnmatch
import glob
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Stopped
from fetalstudio.core.words import counted, counted_are, quoted
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.jobs.plan_import.request import PlanRequest
from fetalstudio.formats.privacy.redaction import POLICIES
from fetalstudio.formats.reading.doubts import CLIP_CHOICES, Question
from fetalstudio.formats.sources import AUTO, FORMATS
from fetalstudio.project.frames import SET_SUBJECT
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.choices_file import read_choices, write_choices
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.importing.plan import ImportPlan, PlannedFrame
from fetalstudio.project.importing.roles import Role
from fetalstudio.project.project import Project
from fetalstudio.project.staging import UnfinishedImport


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than the project."""
    parser.add_argument(
        "source",
        type=Path,
        metavar="SOURCE",
        nargs="?",
        help="a folder, an archive or a file; an import of it that was stopped goes on from there",
    )
    parser.add_argument(
        "--discard",
        action="store_true",
        help="without SOURCE: delete what imports that were stopped have read",
    )
    parser.add_argument("--format", choices=[AUTO, *FORMATS], default=AUTO)
    parser.add_argument(
        "--cohort",
        metavar="NAME",
        help="default: the folder's name, unless that may say who a patient is",
    )
    parser.add_argument(
        "--keep-names",
        action="store_true",
        help="let the frames keep the names of their files, which exports and reports then show; "
        "by default they are called frame-00001 and so on",
    )
    parser.add_argument(
        "--keep-labels",
        action="append",
        default=[],
        metavar="LABEL",
        help="import these labels, as in a column site, although they look like names, numbers or "
        "dates",
    )
    parser.add_argument(
        "--mask-value",
        metavar="N",
        help="which value (2) or colour ('#ff0000') marks the head in masks of several structures; "
        "short for --answer head N",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be imported, and store nothing"
    )
    parser.add_argument(
        "--answer",
        action="append",
        nargs="+",
        default=[],
        metavar=("QUESTION ANSWER", "FILE"),
        help=f"answer what is in doubt ({', '.join(Question)}) for these files, which may be "
        "patterns such as '*_overlay.png', or for all; can be repeated",
    )
    parser.add_argument(
        "--choices",
        type=Path,
        metavar="FILE",
        help="the answers in a JSON file; with --dry-run, one that is not there is written, to be "
        "filled in",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--frames",
        metavar="CHOICE",
        help=f"which frames of a file with several: {', '.join(CLIP_CHOICES)}, or numbers such as "
        "1,5,9-12; the segmenter finds the sharpest (default: all; of a DICOM clip the middle one, "
        "with a warning)",
    )
    which.add_argument(
        "--every", type=int, metavar="N", help="every Nth frame of a file with several"
    )
    parser.add_argument(
        "--redact",
        choices=POLICIES,
        default="auto",
        help="what is blacked out of a scanner's screen: auto (default: as confirmed in the window "
        "for its layout, else all but the sector, and the text in it), confirmed (leave out "
        "layouts that nobody confirmed), text (only text that is found), none",
    )
    parser.add_argument(
        "--head-label",
        metavar="NAME",
        help="how annotation files of other programs call the head",
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Import the source, or say what an import would do, with a warning for what is in doubt."""
    if options.discard:
        _discard(options, console)
        return
    if options.source is None:
        raise InputError("SOURCE is missing. State the folder or the file to import.")
    choices = _choices(options)
    how = ImportOptions(
        options.format,
        options.frames if options.every is None else f"every {options.every}",
        options.head_label,
        options.redact,
        keep_names=options.keep_names,
        keep_labels=tuple(options.keep_labels),
    )
    if options.dry_run:
        planned = PlanRequest(options.project, options.source, choices, how)
        _show(console.run(planned), options, console)
    else:
        request = ImportRequest(
            options.project, options.source, choices=choices, options=how, author="command line"
        )
        _import(request, console)


def _discard(options: argparse.Namespace, console: Console) -> None:
    """Delete what stopped imports have left."""
    if options.source is not None:
        raise InputError(
            f"--discard takes no SOURCE, but {options.source} was given. Leave one of them out."
        )
    with Project.open(options.project) as project:
        unfinished = project.imports.unfinished()
        project.imports.discard()
    count = counted(len(unfinished), "unfinished import")
    text = f"Deleted what {count} had read." if unfinished else "There was nothing to delete."
    console.result({"discarded": unfinished}, text)


def _choices(options: argparse.Namespace) -> Choices:
    """Those of the file, and those of the options, which count before."""
    path: Path | None = options.choices
    to_be_written = options.dry_run and path is not None and not path.exists()
    stored = Choices() if path is None or to_be_written else read_choices(path)
    answers = [] if options.mask_value is None else [("head", options.mask_value, ())]
    for words in options.answer:
        if len(words) < 2:
            raise InputError(
                f"--answer {words[0]} lacks the answer. Give --answer QUESTION ANSWER."
            )
        answers.append((words[0], words[1], tuple(words[2:])))
    return stored.joined(Choices.of(answers, cohort=options.cohort))


def _import(request: ImportRequest, console: Console) -> None:
    try:
        result = console.run(request)
    except Stopped as stopped:
        if isinstance(stopped.result, UnfinishedImport):
            console.say(
                f"Nothing was imported. {stopped.result} were read: the same command goes on from "
                f"there. To delete them: fetalstudio import {quoted(request.project)} --discard"
            )
        raise
    for problem in result.problems:
        console.warn(problem)
    for label, likeness in result.doubtful_labels.items():
        console.warn(
            f"The labels {label!r} were left out: one of them looks like {likeness}. "
            "If they say nothing about who a patient is, import again with --keep-labels "
            f"{quoted(label)}."
        )
    read = result.frames + result.duplicates
    text = (
        f"Imported {counted(result.frames, 'frame')} into cohort {result.cohort}, "
        f"{result.annotated} of them with an annotation. {result.duplicates} were already there. "
        f"{counted(read, 'frame')} of {counted(result.subjects, 'subject')}."
    )
    if result.resumed:
        text += f" {counted(result.resumed, 'picture')} had been read before the import stopped."
    if result.pairs:
        text += f" {counted(result.pairs, 'synthetic pair')} came, to be reviewed."
    if read == result.subjects > 1:
        text += (
            " Each frame counts as a patient of its own. If some show the same patient, state the "
            f"subject ({SET_SUBJECT})."
        )
    warnings = len(result.problems) + len(result.doubtful_labels)
    text += f" Warnings: {warnings}.{_left(result.in_doubt)}"
    if result.amendment is not None:
        undo = f"fetalstudio frames {quoted(request.project)} undo {result.amendment}"
        text += f" To take the import back: {undo}"
    console.result(result, text)


def _left(in_doubt: int) -> str:
    if not in_doubt:
        return ""
    what = f"{counted_are(in_doubt, 'picture')} in doubt"
    return f" {what}, of which the safe part was imported. List the questions with --dry-run."


def _show(plan: ImportPlan, options: argparse.Namespace, console: Console) -> None:
    """The plan as a table, with a warning for each problem."""
    table = Table(box=None, pad_edge=False)
    for column in ("File", "Taken for", "Subject", "Ellipse", "mm per px", "In doubt"):
        table.add_column(column, overflow="fold")
    for frame in plan.frames:
        questions = ", ".join(doubt.question for doubt in plan.open_doubts(frame))
        size = frame.calibration
        cells = (
            frame.key,
            frame.taken_for,
            frame.subject,
            _ellipse(frame),
            "" if size is None else f"{size.mm_per_px:.4g} ({size.source})",
            questions,
        )
        table.add_row(*map(Text, cells))
    root = plan.source if plan.source.is_dir() else plan.source.parent
    for file in plan.files:
        if file.role is not Role.OTHER:
            name = file.path.relative_to(root) if file.path.is_relative_to(root) else file.path
            table.add_row(Text(name.as_posix()), Text(file.role))
    console.rich.print(table)
    for text in _questions(plan):
        console.warn(text)
    renamed = plan.renamed(keep_names=options.keep_names)
    for note in (*plan.all_notes, *([] if renamed is None else [renamed])):
        console.warn(note)
    path: Path | None = options.choices
    if path is not None and not path.exists():
        write_choices(plan, path)
        console.say(f"The questions are in {path}. Fill in the answers and import with it.")
    summary = plan.counts().summary()
    console.result(_record(plan, renamed), f"Nothing was imported. Cohort {plan.cohort}: {summary}")


def _questions(plan: ImportPlan) -> list[str]:
    """What is in doubt, each once, with the answers that can be given, and how."""
    asked: dict[tuple[Question, str], list[str]] = defaultdict(list)
    answers: dict[tuple[Question, str], dict[str, str]] = defaultdict(dict)
    for frame in plan.frames:
        for doubt in plan.open_doubts(frame):
            about = frame.clip if doubt.question is Question.FRAMES else None
            asked[doubt.question, doubt.message].append(about or frame.key)
            answers[doubt.question, doubt.message] |= {a.value: a.text for a in doubt.answers}
    of_tables = _files_of_tables({m: keys for (q, m), keys in asked.items() if q is Question.AXES})
    texts = []
    for (question, message), keys in asked.items():
        files: Sequence[str] = list(dict.fromkeys(keys))
        if question is Question.AXES:
            files = of_tables[message]
        elif question is Question.PLACE and len(files) > 1:  # it is about all of the source
            files = ()
        option = " ".join((f"--answer {question} ANSWER", *map(quoted, files)))
        offered = "; ".join(f"{a}: {text}" for a, text in answers[question, message].items())
        texts.append(f"{message} Answer with {option}. {offered}.")
    return texts


def _files_of_tables(asked: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """What stands for the frames of each table and for none of another, by what is asked about it:
    the patterns of their folders, or else their names. Nothing where there is one table only."""
    files: dict[str, list[str]] = {}
    for message, keys in asked.items():
        others = [key for other in asked.keys() - {message} for key in asked[other]]
        patterns = {key: f"{glob.escape(key.rpartition('/')[0])}/*" for key in keys}
        shared = {p for p in set(patterns.values()) if fnmatch.filter(others, p)}
        own = (key if "/" not in key or p in shared else p for key, p in patterns.items())
        files[message] = list(dict.fromkeys(own)) if others else []
    return files


def _ellipse(frame: PlannedFrame) -> str:
    if frame.ellipse is None:
        return ""
    return "yes" if frame.certain else "proposal"


def _record(plan: ImportPlan, renamed: str | None) -> dict[str, Any]:
    """The plan in types that JSON has, with what is said of names that are taken."""
    return {
        "source": plan.source,
        "cohort": plan.cohort,
        "counts": plan.counts(),
        "frames": [
            {
                "file": frame.key,
                "taken_for": frame.taken_for,
                "subject": frame.subject,
                "size": frame.size,
                "ellipse": frame.ellipse,
                "certain": frame.certain,
                "calibration": frame.calibration,
                "doubts": plan.open_doubts(frame),
                "notes": frame.notes,
            }
            for frame in plan.frames
        ],
        "files": plan.files,
        "problems": plan.problems if renamed is None else (*plan.problems, renamed),
    }
