"""Command ``frames``: list and measure the frames, correct what is known of them, remove them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from fnmatch import fnmatch

from fetalstudio.cli.console import Console
from fetalstudio.core.biometry import hadlock_1984, intergrowth_21st, measure
from fetalstudio.core.errors import InputError
from fetalstudio.core.growth import AGE_LABEL, age_of, age_text, parse_age, sizes_for_age
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.measure_conventions.request import MeasureConventionsRequest
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
        name: str, text: str, *, selects: bool = False, logged: bool = True
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
        if logged:
            sub.add_argument(
                "--author",
                default="command line",
                metavar="NAME",
                help='name that is stored in the log (default "command line")',
            )
        return sub

    add("list", "list the frames", selects=True, logged=False)
    sub = add("remove", "remove frames, with their annotations and pairs", selects=True)
    _yes(sub, "remove them; without this option, only say what would be removed")
    sub = add("set-subject", "correct the subject (the patient key) of frames", selects=True)
    sub.add_argument("new_subject", metavar="SUBJECT")
    sub = add("set-cohort", "move frames into another cohort, or into a new one", selects=True)
    sub.add_argument("new_cohort", metavar="COHORT")
    sub = add(
        "set-age",
        "set the gestational age at the examination, if it is known from elsewhere",
        selects=True,
        logged=False,
    )
    sub.add_argument("age", metavar="AGE", help="weeks+days, such as 20+3; none takes it away")
    add(
        "measure",
        "list the measurements of the annotated frames: HC, BPD, OFD, the gestational age from "
        "the HC, and the centile of the HC where the age is known",
        selects=True,
        logged=False,
    )
    sub = add(
        "conventions",
        "say how the heads of each cohort are drawn, such as 2 % outside the skull",
        logged=False,
    )
    sub.add_argument("--cohort", metavar="COHORT", help="only this cohort")
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
    add("log", "list the amendments, the newest first", logged=False)
    sub = add("purge", "delete the removed frames for good", logged=False)
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
    if options.action == "conventions":
        result = console.run(MeasureConventionsRequest(options.project, options.cohort))
        said = result.sentences or ["No cohort has annotated frames of three subjects or more."]
        console.result(result, "\n".join(said))
        return
    with Project.open(options.project) as project:
        match options.action:
            case "list":
                _list(project, options, console)
            case "log":
                _log(project, console)
            case "set-age":
                _set_age(project, options, console)
            case "measure":
                _measure(project, options, console)
            case "purge":
                _purge(project, options, console)
            case _:
                _tell(_amend(project, options, console), console)


def _amend(project: Project, options: argparse.Namespace, console: Console) -> Amendment:
    amendments, author = project.amendments, options.author
    match options.action:
        case "rename-cohort":
            return amendments.rename_cohort(options.old, options.new, author=author)
        case "merge-cohorts":
            return amendments.merge_cohorts(options.cohorts, options.into, author=author)
        case "undo":
            return amendments.undo(options.amendment, author=author)
        case "redo":
            return amendments.redo(options.amendment, author=author)
    ids = [frame.id for frame in _chosen(project, options)]
    match options.action:
        case "set-subject":
            for sentence in subject_effect(project, ids):
                console.warn(sentence)
            subject = project.patients.key(options.new_subject)
            return amendments.set_subject(ids, subject, author=author)
        case "set-cohort":
            return amendments.set_cohort(ids, options.new_cohort, author=author)
    for sentence in sentences(removal_effect(project, ids)):
        console.say(sentence)
    if not options.yes:
        raise InputError("Nothing was removed. Repeat the command with --yes to remove them.")
    return amendments.remove(ids, author=author)


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
            "gestational_age": frame.labels.get(AGE_LABEL),
        }
        for frame in frames
    ]
    for frame, entry in zip(frames, entries, strict=True):
        age = f", {entry['gestational_age']} weeks" if entry["gestational_age"] else ""
        console.say(
            f"{frame.id[:16]}  {frame.name:24} cohort {frame.cohort}, "
            f"subject {frame.subject}, ellipse: {entry['state']}{age}"
        )
    console.result({"frames": entries}, f"{counted(len(frames), 'frame')}.")


def _set_age(project: Project, options: argparse.Namespace, console: Console) -> None:
    try:
        age = "" if options.age.lower() == "none" else age_text(parse_age(options.age))
    except ValueError as error:
        raise InputError(f"{error}; or none.") from error
    frames = _chosen(project, options)
    with project.transaction():
        for frame in frames:
            project.frames.set_labels(frame.id, {AGE_LABEL: age})
    done = f"Set the gestational age of {counted(len(frames), 'frame')} to {age}."
    if not age:
        done = f"Took the gestational age of {counted(len(frames), 'frame')} away."
    console.result({"frames": len(frames), "gestational_age": age or None}, done)


def _measure(project: Project, options: argparse.Namespace, console: Console) -> None:
    annotations = project.annotations.by_frame()
    entries: list[dict[str, object]] = []
    without = 0
    for frame in _selected(project, options):
        annotation = annotations.get(frame.id)
        if annotation is None or annotation.ellipse is None:
            continue
        if frame.calibration is None:
            without += 1
            continue
        head = measure(annotation.ellipse, frame.calibration)
        entry: dict[str, object] = {
            "id": frame.id,
            "name": frame.name,
            "state": annotation.state,
            **asdict(head),
        }
        ages = [hadlock_1984(head.hc_mm), intergrowth_21st(head.hc_mm)]
        entry["ages"] = [asdict(age) for age in ages]
        known = age_of(frame.labels)
        entry["gestational_age"] = None if known is None else age_text(known)
        sizes = () if known is None else sizes_for_age(head.hc_mm, known)
        entry["sizes"] = [asdict(size) for size in sizes]
        entries.append(entry)
        at = f", at {age_text(known)}: " if known is not None else ""
        console.say(
            f"{frame.id[:16]}  {frame.name:24} {annotation.state:8} HC {head.hc_mm:.1f} mm, BPD "
            f"{head.bpd_mm:.1f} mm outer-outer, {head.bpd_outer_inner_mm:.1f} mm outer-inner, OFD "
            f"{head.ofd_mm:.1f} mm, index {head.cephalic_index:.0f} %{at}"
            + "; ".join(f"{size.chart} {size.text}" for size in sizes)
        )
    if without:
        console.warn(
            f"{counted(without, 'annotated frame')} without a calibration cannot be measured in "
            "mm. Calibrate them in Annotate."
        )
    console.result({"frames": entries}, f"Measured {counted(len(entries), 'frame')}.")


def _log(project: Project, console: Console) -> None:
    amendments = project.amendments.all()
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
    purged = project.purge()
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
