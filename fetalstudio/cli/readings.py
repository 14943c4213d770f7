"""Command ``readings``: independent readings of frames, their agreement, export and merge."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fetalstudio.cli.console import Console
from fetalstudio.cli.outputs import author, output_file
from fetalstudio.core.agreement import SIZES, Estimate, SizeAgreement
from fetalstudio.core.errors import InputError
from fetalstudio.core.words import counted, quoted
from fetalstudio.project.agreements import (
    ObserverAgreement,
    agreements,
    group_agreement,
    write_disagreements,
)
from fetalstudio.project.project import Project
from fetalstudio.project.reading_exchange import export_readings, merge_readings, plan_merge

DESCRIPTION = (
    "Readings are ellipses that observers draw on frames without seeing any other, in the window "
    "(Readings, Read again without seeing). They never change the annotation of a frame."
)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the actions, each with its own options."""
    parser.description = DESCRIPTION
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=text, description=text)
        # Without a default, so that the option before the action is not forgotten.
        sub.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="one JSON object as the last line",
        )
        return sub

    add("log", "list the readings, the oldest first")
    sub = add("agreement", "how well each observer agrees with herself and with the others")
    sub.add_argument("--cohort", metavar="COHORT", help="only this cohort")
    sub.add_argument(
        "--blinded", action="store_true", help="leave out the annotations of the usual work"
    )
    sub.add_argument("--csv", type=output_file, metavar="FILE", help="write a table of all frames")
    sub = add("export", "write readings into a small file for a colleague")
    sub.add_argument("file", type=output_file, metavar="FILE")
    sub.add_argument(
        "--observer", action="append", metavar="NAME", help="only those of this observer"
    )
    _rename(sub, "in the file")
    sub.add_argument(
        "--annotations", action="store_true", help="also the final annotations, as not blinded"
    )
    sub = add("merge", "take over the readings of a colleague's file; nothing is overwritten")
    sub.add_argument("file", type=Path, metavar="FILE")
    sub.add_argument("--dry-run", action="store_true", help="only say what would be stored")
    sub.add_argument(
        "--keep-both",
        action="store_true",
        help="where the same observer read a frame in both projects, keep both readings",
    )
    _rename(sub, "in this project")
    sub.add_argument(
        "--author", type=author, default="command line", help="who merges, for the log"
    )


def _rename(sub: argparse.ArgumentParser, where: str) -> None:
    sub.add_argument(
        "--rename",
        action="append",
        metavar="OLD=NEW",
        default=[],
        help=f"what an observer is called {where}",
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Do what ``action`` names."""
    with Project.open(options.project) as project:
        match options.action:
            case "log":
                _log(project, console)
            case "agreement":
                _agreement(project, options, console)
            case "export":
                count = export_readings(
                    project,
                    options.file,
                    observers=options.observer,
                    rename=_renamed(options.rename),
                    annotations=options.annotations,
                )
                console.result(
                    {"readings": count, "file": options.file},
                    f"Wrote {counted(count, 'reading')} into {options.file}.",
                )
            case "merge":
                _merge(project, options, console)


def _renamed(pairs: list[str]) -> Mapping[str, str]:
    renamed = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not (old and equals and new.strip()):
            raise InputError(f"--rename {pair} is not OLD=NEW, such as Anna=AB.")
        renamed[old] = new
    return renamed


def _log(project: Project, console: Console) -> None:
    names = {frame.id: frame.name for frame in project.frames.all()}
    readings = project.readings.all()
    for reading in readings:
        when = reading.read_at.astimezone().strftime("%Y-%m-%d %H:%M")
        took = "" if reading.seconds is None else f", {reading.seconds:.0f} s"
        which = f"reading {reading.round}" if reading.round else "annotation"
        blinded = "" if reading.blinded else ", not blinded"
        unread = "" if reading.ellipse else ", cannot be read"
        console.say(
            f"{when}  {reading.observer}: {names[reading.frame_id]}, {which}{took}{blinded}{unread}"
        )
    entries = [
        {
            "id": reading.id,
            "frame_id": reading.frame_id,
            "frame": names[reading.frame_id],
            "observer": reading.observer,
            "round": reading.round,
            "blinded": reading.blinded,
            "ellipse": reading.ellipse,
            "seconds": reading.seconds,
            "read_at": reading.read_at.isoformat(),
        }
        for reading in readings
    ]
    console.result({"readings": entries}, f"{counted(len(readings), 'reading')}.")


def _agreement(project: Project, options: argparse.Namespace, console: Console) -> None:
    annotations = not options.blinded
    found = agreements(project, cohort=options.cohort, annotations=annotations)
    if not found:
        raise InputError(
            f"No frame of {project.path} was read twice. Read frames in the window (Readings, Read "
            "again without seeing), or merge the readings of a colleague."
        )
    for one in found:
        for line in _described(one):
            console.say(line)
    group = group_agreement(project, cohort=options.cohort, annotations=annotations)
    if group is not None:
        console.say(f"{group.title}: {group.about()}")
        console.say(f"  HC {group.figures()}")
        for sentence in group.sentences():
            console.say(f"  {sentence}")
    if options.csv is not None:
        write_disagreements(options.csv, found, project)
        console.say(f"Wrote {options.csv}.")
    console.result({"agreements": [_entry(one) for one in found], "group": group}, "")


def _described(one: ObserverAgreement) -> list[str]:
    found = one.agreement
    frames, subjects = counted(len(found.pairs), "frame"), counted(found.subjects, "subject")
    dice = found.dice
    lines = [
        f"{one.title}: {frames} of {subjects}",
        f"  Dice {dice.mean:.4f} ({dice.low:.4f} to {dice.high:.4f}), lowest "
        f"{min(found.dices):.4f}",
    ]
    lines += [f"  {size} {_size(found.sizes[size])}" for size in SIZES if size in found.sizes]
    return [*lines, *(f"  {sentence}" for sentence in one.sentences())]


def _size(size: SizeAgreement) -> str:
    bias = Estimate(size.bias.mean, size.bias.low, size.bias.high)
    return (
        f"bias {bias.text(1, '+')} mm, limits of agreement {size.lower.text(1, '+')} and "
        f"{size.upper.text(1, '+')} mm, ICC(A,1) {size.icc_agreement.text(3)}, ICC(C,1) "
        f"{size.icc_consistency.text(3)}, technical error {size.technical_error:.2f} mm"
    )


def _entry(one: ObserverAgreement) -> dict[str, Any]:
    found = one.agreement
    return {
        "first": one.first,
        "second": one.second,
        "frames": len(found.pairs),
        "subjects": found.subjects,
        "too_few": found.too_few,
        "not_blinded": one.not_blinded,
        "unread": one.unread,
        "dice": found.dice,
        "sizes": found.sizes,
    }


def _merge(project: Project, options: argparse.Namespace, console: Console) -> None:
    rename = _renamed(options.rename)
    plan = plan_merge(project, options.file, rename=rename)
    for sentence in plan.sentences():
        console.say(sentence)
    for conflict in plan.conflicts:
        console.say(f"  {conflict.sentence()}")
    value = {
        "new": len(plan.new),
        "known": plan.known,
        "unknown": sorted({record.frame for record in plan.unknown}),
        "conflicts": [conflict.sentence() for conflict in plan.conflicts],
    }
    if options.dry_run:
        console.result({**value, "amendment": None}, "Nothing was stored.")
        return
    number = merge_readings(
        project, plan, author=options.author, keep_both=options.keep_both, rename=rename
    )
    console.result(
        {**value, "amendment": number},
        f"Merged. fetalstudio frames {quoted(project.path)} undo {number} takes it back.",
    )
