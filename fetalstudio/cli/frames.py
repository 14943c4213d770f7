"""Command ``frames``: list the frames, correct their subject or cohort, remove them, and undo."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from fnmatch import fnmatch

from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError
from fetalstudio.core.words import counted
from fetalstudio.project.project import Project
from fetalstudio.project.records import Amendment, Frame
from fetalstudio.project.removal import removal_effect, sentences, subject_effect

DESCRIPTION = (
    "Lists the real frames of a project and amends them. Every amendment is kept in a log and can "
    "be undone; so can every import. A removed frame is deleted for good by purge, and when a "
    "window opens or closes the project; until then it can be restored with its annotations and "
    "its pairs."
)

_LISTED_CHANGES = 20


def options(parser: argparse.ArgumentParser) -> None:
    """Add the actions, each with its own options."""
    parser.description = DESCRIPTION
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(
        name: str, text: str, *, selects: bool = False, writes: bool = True
    ) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        # SUPPRESS, or the default here would replace a --json given before the action.
        sub.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="one JSON object as the last line",
        )
        if selects:
            _selection_options(sub)
        if writes:
            sub.add_argument(
                "--author",
                default="command line",
                metavar="NAME",
                help='name that is stored in the log (default "command line")',
            )
        return sub

    add("list", "list the frames", selects=True, writes=False)
    sub = add("remove", "remove frames, with their annotations and pairs", selects=True)
    _yes(sub, "remove them; without this option, only say what would be removed")
    sub = add("set-subject", "correct the subject (the patient key) of frames", selects=True)
    sub.add_argument("new_subject", metavar="SUBJECT")
    sub = add("set-cohort", "move frames into another cohort, or into a new one", selects=True)
    sub.add_argument("new_cohort", metavar="COHORT")
    sub = add("rename-cohort", "give a cohort another name")
    sub.add_argument("old", metavar="OLD")
    sub.add_argument("new", metavar="NEW")
    sub = add("merge-cohorts", "move all frames of cohorts into one")
    sub.add_argument("cohorts", nargs="+", metavar="COHORT")
    sub.add_argument("--into", required=True, metavar="COHORT", help="one of them, or a new one")
    sub = add("undo", "undo the newest amendment, or the one with this number")
    sub.add_argument("amendment", nargs="?", type=int, metavar="NUMBER", help="from the log")
    sub = add("redo", "do an amendment again that was undone")
    sub.add_argument("amendment", type=int, metavar="NUMBER", help="from the log")
    add("log", "list the amendments, the newest first", writes=False)
    sub = add("purge", "delete the removed frames for good", writes=False)
    _yes(sub, "delete them; this cannot be undone")


def _yes(sub: argparse.ArgumentParser, text: str) -> None:
    sub.add_argument("--yes", action="store_true", help=text)


def _selection_options(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group(
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


def run(options: argparse.Namespace, console: Console) -> None:
    """Do what ``action`` names."""
    with Project.open(options.project) as project:
        match options.action:
            case "list":
                _list(project, options, console)
            case "log":
                _log(project, console)
            case "purge":
                _purge(project, options, console)
            case _:
                _tell(_amend(project, options, console), console)


def _amend(project: Project, options: argparse.Namespace, console: Console) -> Amendment:
    frames, author = project.frames, options.author
    match options.action:
        case "rename-cohort":
            return frames.rename_cohort(options.old, options.new, author=author)
        case "merge-cohorts":
            return frames.merge_cohorts(options.cohorts, options.into, author=author)
        case "undo":
            return frames.undo(options.amendment, author=author)
        case "redo":
            return frames.redo(options.amendment, author=author)
    ids = [frame.id for frame in _chosen(project, options)]
    match options.action:
        case "set-subject":
            for sentence in subject_effect(project, ids):
                console.warn(sentence)
            return frames.set_subject(ids, options.new_subject, author=author)
        case "set-cohort":
            return frames.set_cohort(ids, options.new_cohort, author=author)
    for sentence in sentences(removal_effect(project, ids)):
        console.say(sentence)
    if not options.yes:
        raise InputError("Nothing was removed. Repeat the command with --yes to remove them.")
    return frames.remove(ids, author=author)


def _selected(project: Project, options: argparse.Namespace) -> list[Frame]:
    def matches(frame: Frame) -> bool:
        return (
            _any(options.name, lambda pattern: fnmatch(frame.name, pattern))
            and _any(options.subject, lambda subject: frame.subject == subject)
            and _any(options.cohort, lambda cohort: frame.cohort == cohort)
            and _any(options.id, frame.id.startswith)
        )

    return [frame for frame in project.frames.all() if matches(frame)]


def _chosen(project: Project, options: argparse.Namespace) -> list[Frame]:
    """The selected frames. An amendment never concerns all frames just because none was named."""
    if not (options.name or options.subject or options.cohort or options.id):
        raise InputError(
            "No frames were chosen. Choose them by --name, --subject, --cohort or --id; "
            "--name '*' chooses all."
        )
    frames = _selected(project, options)
    if not frames:
        raise InputError(
            f"No frame of {project.path} matches. See fetalstudio frames {project.path} list."
        )
    return frames


def _any(wanted: Sequence[str] | None, matches: Callable[[str], bool]) -> bool:
    return wanted is None or any(map(matches, wanted))


def _list(project: Project, options: argparse.Namespace, console: Console) -> None:
    frames = _selected(project, options)
    annotations = project.annotations.by_frame()
    entries = [
        {
            "id": frame.id,
            "name": frame.name,
            "cohort": frame.cohort,
            "subject": frame.subject,
            "state": annotations[frame.id].state if frame.id in annotations else "none",
        }
        for frame in frames
    ]
    for entry in entries:
        console.say(
            f"{entry['id'][:16]}  {entry['name']:24} cohort {entry['cohort']}, "
            f"subject {entry['subject']}, ellipse: {entry['state']}"
        )
    console.result({"frames": entries}, f"{counted(len(frames), 'frame')}.")


def _log(project: Project, console: Console) -> None:
    amendments = project.frames.amendments()
    for amendment in amendments:
        when = amendment.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
        undone = "  (undone)" if amendment.undone else ""
        console.say(
            f"{amendment.id:4}  {when}  {amendment.author}: {amendment.description}{undone}"
        )
        for line in _changes(amendment)[:_LISTED_CHANGES]:
            console.say(f"      {line}")
        more = len(amendment.changes) - _LISTED_CHANGES
        if more > 0:
            console.say(f"      and {more} more")
    console.result(
        {"amendments": [_entry(amendment) for amendment in amendments]},
        f"{counted(len(amendments), 'amendment')}.",
    )


def _changes(amendment: Amendment) -> list[str]:
    lines = []
    for before, after in amendment.changes:
        if amendment.adds_frames and amendment.undoes is None:
            lines.append(f"{after.name}: imported into cohort {after.cohort}")
            continue
        said = [
            f"{word} {old} -> {new}"
            for word, old, new in (
                ("name", before.name, after.name),
                ("cohort", before.cohort, after.cohort),
                ("subject", before.subject, after.subject),
            )
            if old != new
        ]
        if before.removed != after.removed:
            said.append("removed" if after.removed else "restored")
        lines.append(f"{before.name}: {', '.join(said)}")
    return lines


def _purge(project: Project, options: argparse.Namespace, console: Console) -> None:
    if not options.yes:
        raise InputError(
            "Nothing was deleted. Repeat the command with --yes to delete the removed frames for "
            "good, or restore them with undo."
        )
    purged = project.frames.purge()
    console.result({"purged": purged}, f"Deleted {counted(purged, 'frame')} for good.")


def _tell(amendment: Amendment, console: Console) -> None:
    for old, new in amendment.renamed:
        console.say(f"{old} is now named {new}: its name was taken in the cohort.")
    description = amendment.description[0].upper() + amendment.description[1:]
    console.result(_entry(amendment), f"{description}. It is amendment {amendment.id} in the log.")


def _entry(amendment: Amendment) -> dict[str, object]:
    return {
        "amendment": amendment.id,
        "author": amendment.author,
        "description": amendment.description,
        "created_at": amendment.created_at.isoformat(),
        "undoes": amendment.undoes,
        "undone": amendment.undone,
        "changes": [{"before": before, "after": after} for before, after in amendment.changes],
        "renamed": dict(amendment.renamed),
    }
