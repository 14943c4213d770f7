"""Which frames a command concerns, by their names, subjects, cohorts and ids."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from fnmatch import fnmatch

from fetalstudio.core.errors import InputError
from fetalstudio.core.words import quoted
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Frame


def choice_options(parser: argparse.ArgumentParser) -> None:
    """Add the options by which frames are chosen."""
    group = parser.add_argument_group(
        "frames",
        "The frames to choose. Repeat an option to choose more; a frame must match each kind of "
        "option that is given.",
    )
    for option, metavar, text in (
        ("--name", "PATTERN", "frames whose name matches; * stands for any letters, as in '023_*'"),
        ("--subject", "SUBJECT", "frames of this subject"),
        ("--cohort", "COHORT", "frames of this cohort"),
        ("--id", "ID", "frames whose id begins like this"),
    ):
        group.add_argument(option, action="append", metavar=metavar, help=text)


def matching(project: Project, options: argparse.Namespace) -> list[Frame]:
    """The real frames that match the options; all where none is given."""

    def matches(frame: Frame) -> bool:
        return (
            _any(options.name, lambda pattern: fnmatch(frame.name, pattern))
            and _any(options.subject, lambda subject: frame.subject == subject)
            and _any(options.cohort, lambda cohort: frame.cohort == cohort)
            and _any(options.id, frame.id.startswith)
        )

    return [frame for frame in project.frames.all() if matches(frame)]


def chosen(project: Project, options: argparse.Namespace) -> list[Frame]:
    """The frames that match. An amendment never concerns all frames just because none was named.

    Raises :class:`InputError` where none was named, or none matches.
    """
    if not (options.name or options.subject or options.cohort or options.id):
        raise InputError(
            "No frames were chosen. Choose them by --name, --subject, --cohort or --id; "
            "--name '*' chooses all."
        )
    frames = matching(project, options)
    if not frames:
        raise InputError(
            f"No frame of {project.path} matches. See fetalstudio frames "
            f"{quoted(project.path)} list."
        )
    return frames


def _any(wanted: Sequence[str] | None, matches: Callable[[str], bool]) -> bool:
    return wanted is None or any(map(matches, wanted))
