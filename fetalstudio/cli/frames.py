"""Command ``frames``: list and measure the frames, correct what is known of them, remove them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from fetalstudio.cli.console import Console
from fetalstudio.cli.frame_choice import choice_options, chosen, matching
from fetalstudio.cli.outputs import author
from fetalstudio.core.biometry import hadlock_1984, intergrowth_21st, measure
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError
from fetalstudio.core.growth import AGE_LABEL, age_of, age_text, sizes_for_age
from fetalstudio.core.name_patterns import NamePattern
from fetalstudio.core.words import counted
from fetalstudio.engine.forgetting import CANNOT_BE_UNDONE, forget, plan_forgetting
from fetalstudio.engine.jobs.measure_conventions.request import MeasureConventionsRequest
from fetalstudio.formats.privacy.identifiers import looks_like
from fetalstudio.formats.tables.frame_rows import some
from fetalstudio.project.calibrating import from_number, from_table, removal
from fetalstudio.project.project import Project
from fetalstudio.project.regrouping import Regrouper
from fetalstudio.project.removal import removal_effect, sentences, subject_effect
from fetalstudio.project.store.records import Amendment

DESCRIPTION = (
    "Lists the real frames of a project and amends them. Every amendment is kept in a log and can "
    "be undone; so can every import. A removed frame is deleted for good by purge, and when a "
    "window opens or closes the project; until then it can be restored with its annotations and "
    "its pairs. Only forgetting a patient cannot be undone."
)

_LISTED_CHANGES = 20


def options(parser: argparse.ArgumentParser) -> None:
    """Add the actions, each with its own options."""
    parser.description = DESCRIPTION
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(
        name: str, text: str, *, selects: bool = False, logged: bool = True
    ) -> argparse.ArgumentParser:
        shown = text.replace("%", "%%")  # argparse formats a help text, but not a description
        sub = actions.add_parser(name, help=shown, description=text[0].upper() + text[1:] + ".")
        # SUPPRESS, or the default here would replace a --json given before the action.
        sub.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="one JSON object as the last line",
        )
        if selects:
            choice_options(sub)
        if logged:
            sub.add_argument(
                "--author",
                type=author,
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
    _yes(sub, "set it also where a person should decide; without this option that is refused")
    sub = add(
        "group-by-name",
        "give frames the subjects that their names state; names that do not match stay",
        selects=True,
    )
    sub.add_argument(
        "pattern",
        metavar="PATTERN",
        help="where the subject stands in the name, as in '{subject}_*'; * stands for anything, # "
        "for a number, ? for one character",
    )
    sub.add_argument(
        "--regular-expression",
        action="store_true",
        help="PATTERN is a regular expression whose first group is the subject",
    )
    _yes(sub, "group them; without this option, only say what would change")
    sub = add("set-cohort", "move frames into another cohort, or into a new one", selects=True)
    sub.add_argument("new_cohort", metavar="COHORT")
    sub = add(
        "set-age",
        "set the gestational age at the examination, if it is known from elsewhere",
        selects=True,
    )
    sub.add_argument("age", metavar="AGE", help="weeks+days, such as 20+3; none takes it away")
    sub = add("set-label", "give frames a label, such as quality or scanner", selects=True)
    sub.add_argument("label", metavar="LABEL")
    sub.add_argument("value", metavar="VALUE")
    sub = add("remove-label", "take a label away from frames", selects=True)
    sub.add_argument("label", metavar="LABEL")
    sub = add("set-calibration", "set the pixel size of frames, or take it away", selects=True)
    sub.add_argument(
        "mm_per_px",
        metavar="MM",
        help="mm per pixel, such as 0.12; or the path of a table with the columns filename and "
        "pixel size(mm), in which frames are found by their names; or none",
    )
    sub.add_argument(
        "--replace",
        action="store_true",
        help="also for frames that have another calibration; without this option they are refused",
    )
    add(
        "measure",
        "list the measurements of the annotated frames: HC, BPD, OFD, cephalic index, and the "
        "centile of the HC where the gestational age is known; --json adds the ages from the HC",
        selects=True,
        logged=False,
    )
    sub = add(
        "conventions",
        "say how far outside or inside the skull the heads of each cohort are drawn",
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
    sub = add(
        "forget",
        "delete every trace of the subjects of the chosen frames, which cannot be undone",
        selects=True,
    )
    sub.add_argument(
        "--dry-run", action="store_true", help="only say what would be deleted (the default)"
    )
    _yes(sub, "delete it")
    models = sub.add_mutually_exclusive_group()
    models.add_argument(
        "--remove-models",
        action="store_true",
        help="also delete the models that learned from these subjects",
    )
    models.add_argument("--keep-models", action="store_true", help="keep them")
    sub.add_argument(
        "--remove-exports",
        action="store_true",
        help="also delete the exports outside the project that are named: the files that they "
        "wrote, and no other",
    )
    sub = add("purge", "delete the removed frames for good", logged=False)
    _yes(sub, "delete them; this cannot be undone")


def _yes(sub: argparse.ArgumentParser, text: str) -> None:
    sub.add_argument("--yes", action="store_true", help=text)


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
            case "forget":
                _forget(project, options, console)
            case "measure":
                _measure(project, options, console)
            case "purge":
                _purge(project, options, console)
            case _:
                _show(_amend(project, options, console), console)


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
    return _amend_chosen(project, options, console)


def _amend_chosen(project: Project, options: argparse.Namespace, console: Console) -> Amendment:
    """Amend the chosen frames. Raises ``ValueError`` for an action that amends none."""
    amendments, author = project.amendments, options.author
    ids = [frame.id for frame in chosen(project, options)]
    match options.action:
        case "set-subject":
            subject = project.patients.key(options.new_subject)
            for sentence in subject_effect(project, ids):
                console.warn(sentence)
            _check(Regrouper(project).questions(dict.fromkeys(ids, subject)), options, console)
            return amendments.set_subject(ids, subject, author=author)
        case "group-by-name":
            return amendments.set_subjects(_grouped(project, options, console), author=author)
        case "set-label" | "remove-label":
            value = "" if options.action == "remove-label" else options.value
            if likeness := looks_like(value):
                console.warn(f"The value may be {likeness}; labels are exported with the frames.")
            return amendments.set_label(ids, options.label, value, author=author)
        case "set-calibration":
            return amendments.set_calibrations(
                _calibrations(project, options, console), author=author
            )
        case "set-cohort":
            return amendments.set_cohort(ids, options.new_cohort, author=author)
        case "remove":
            for sentence in sentences(removal_effect(project, ids)):
                console.say(sentence)
            if not options.yes:
                raise InputError(
                    "Nothing was removed. Repeat the command with --yes to remove them."
                )
            return amendments.remove(ids, author=author)
    raise ValueError(f"{options.action} amends no frames")


def _check(questions: Sequence[str], options: argparse.Namespace, console: Console) -> None:
    """Raise where a person should decide something first and has not."""
    for question in questions:
        console.warn(question)
    if questions and not options.yes:
        raise InputError("Nothing was changed. Repeat the command with --yes if this is right.")


def _grouped(project: Project, options: argparse.Namespace, console: Console) -> Mapping[str, str]:
    """The new subjects of the chosen frames, by frame id."""
    pattern = NamePattern.parse(options.pattern, regular_expression=options.regular_expression)
    grouping = Regrouper(project).by_names(chosen(project, options), pattern)
    for match in grouping.matches:
        said = f"subject {match.frame.subject}"
        if match.read is None:
            said += ", does not match"
        elif match.subject != match.frame.subject:
            said += f" -> {match.subject} ({match.read})"
        console.say(f"{match.frame.id[:16]}  {match.frame.name:24} {said}")
    console.say(grouping.summary())
    for sentence in subject_effect(project, grouping.subjects):
        console.warn(sentence)
    _check(grouping.questions, options, console)
    if not grouping.subjects:
        raise InputError("Nothing was changed: no frame would get another subject.")
    if not options.yes:
        raise InputError("Nothing was changed. Repeat the command with --yes to group them.")
    return grouping.subjects


def _calibrations(
    project: Project, options: argparse.Namespace, console: Console
) -> Mapping[str, Calibration | None]:
    frames, text = chosen(project, options), options.mm_per_px
    if text.lower() == "none":
        return removal(frames).chosen(replace=True)
    try:
        number = float(text)
    except ValueError:
        wanted = from_table(frames, Path(text))
    else:
        wanted = from_number(frames, number)
    for note in wanted.notes:
        console.warn(note)
    replaced = len(wanted.replaced)
    if replaced and not options.replace:
        raise InputError(
            f"{replaced} of {counted(len(frames), 'frame')} {'has' if replaced == 1 else 'have'} "
            f"another calibration ({wanted.sources()}). Nothing was changed. Repeat the command "
            "with --replace to replace it, or choose other frames."
        )
    return wanted.chosen(replace=True)


def _forget(project: Project, options: argparse.Namespace, console: Console) -> None:
    plan = plan_forgetting(project, (frame.subject for frame in chosen(project, options)))
    for sentence in plan.sentences():
        console.say(sentence)
    console.warn(CANNOT_BE_UNDONE)
    models = [model.name for model in plan.learned]
    result = {
        "subjects": len(plan.subjects),
        "frames": len(plan.frames),
        "pairs": len(plan.effect.pairs),
        "exports": [path.name for path in plan.exports],
        "outside": [str(path) for path in plan.outside],
        "moved": [str(path) for path in plan.moved],
        "models": models,
    }
    if options.dry_run:
        console.result({"forgotten": False, **result}, "Nothing was deleted.")
        return
    if not options.yes:
        raise InputError("Nothing was deleted. Repeat the command with --yes to delete it.")
    if models and not (options.remove_models or options.keep_models):
        raise InputError(
            f"Nothing was deleted. Decide on the models that learned from them ({some(models)}): "
            "--remove-models or --keep-models."
        )
    left = forget(
        project,
        plan,
        author=options.author,
        remove_models=options.remove_models,
        remove_outside=options.remove_exports,
    )
    for sentence in left:
        console.warn(sentence)
    frames, subjects = counted(len(plan.frames), "frame"), counted(len(plan.subjects), "subject")
    console.result({"forgotten": True, **result}, f"Deleted {frames} of {subjects} for good.")


def _list(project: Project, options: argparse.Namespace, console: Console) -> None:
    frames = matching(project, options)
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
    ids = [frame.id for frame in chosen(project, options)]
    age = "" if options.age.lower() == "none" else options.age
    amendment = project.amendments.set_label(ids, AGE_LABEL, age, author=options.author)
    age = project.frames.get(ids[0]).labels.get(AGE_LABEL, "")
    done = f"Set the gestational age of {counted(len(ids), 'frame')} to {age}."
    if not age:
        done = f"Took the gestational age of {counted(len(ids), 'frame')} away."
    console.result({**_entry(amendment), "frames": len(ids), "gestational_age": age or None}, done)


def _measure(project: Project, options: argparse.Namespace, console: Console) -> None:
    annotations = project.annotations.by_frame()
    entries: list[dict[str, object]] = []
    without = 0
    for frame in matching(project, options):
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
    project.scrub()
    console.result({"purged": purged}, f"Deleted {counted(purged, 'frame')} for good.")


def _show(amendment: Amendment, console: Console) -> None:
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
