"""Command ``log``."""

from __future__ import annotations

import argparse
from datetime import datetime

from fetalstudio.cli.console import Console
from fetalstudio.cli.outputs import output_file
from fetalstudio.core.errors import InputError
from fetalstudio.core.words import quoted
from fetalstudio.project.audit import write_audit_log
from fetalstudio.project.project import Project


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than the project."""
    parser.description = (
        "Lists who drew, changed, accepted, rejected, read and amended what, and when, the oldest "
        "first. It is read from what the project records anyway."
    )
    parser.add_argument(
        "--frame",
        metavar="NAME",
        help="only this frame: its name, or its id or at least the first 8 characters of it",
    )
    parser.add_argument(
        "--author",
        metavar="NAME",
        help="only what this person, or a segmenter, did: the name as the list shows it",
    )
    parser.add_argument(
        "--since", metavar="TIME", help="only from this day or time on, such as 2026-03-31"
    )
    parser.add_argument("--csv", type=output_file, metavar="FILE", help="write it as a table")


def run(options: argparse.Namespace, console: Console) -> None:
    """List the history of the project."""
    since = None
    if options.since is not None:
        try:
            since = datetime.fromisoformat(options.since).astimezone()
        except (ValueError, OverflowError) as error:
            raise InputError(
                f"{options.since} is no day or time. Write it as 2026-03-31 or 2026-03-31T14:05."
            ) from error
    with Project.open(options.project) as project:
        names = [None] if options.frame is None else _ids(project, options.frame)
        entries = [
            entry
            for frame_id in names
            for entry in project.audit.log(frame_id=frame_id, author=options.author, since=since)
        ]
        entries.sort(key=lambda entry: entry.at)
        for entry in entries:
            when = entry.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
            frame = f"{entry.frame}: " if entry.frame else ""
            console.say(f"{when}  {entry.who}: {frame}{entry.action}")
        if options.csv is not None:
            write_audit_log(options.csv, entries)
            console.say(f"Wrote {options.csv}.")
        shown = [
            {
                "at": entry.at.isoformat(),
                "author": entry.author or None,
                "action": entry.action,
                "frame_id": entry.frame_id,
                "frame": entry.frame or None,
                "pair": entry.pair_id,
            }
            for entry in entries
        ]
        text = f"{len(entries)} entries." if len(entries) != 1 else "1 entry."
        console.result({"entries": shown}, text)


def _ids(project: Project, wanted: str) -> list[str | None]:
    """The ids of the frames of this name (of several cohorts), or whose id begins so."""
    frames = project.frames.all(kind=None)
    found = [frame.id for frame in frames if frame.name == wanted]
    if not found and len(wanted) >= 8:
        found = [frame.id for frame in frames if frame.id.startswith(wanted)]
    if not found:
        raise InputError(
            f"{project.path} holds no frame {wanted}. See fetalstudio frames "
            f"{quoted(project.path)} list."
        )
    return list(found)
