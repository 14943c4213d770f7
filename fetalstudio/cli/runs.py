"""Command ``runs``: list the trainings of a project and how they ended."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any

from fetalstudio.cli.console import Console
from fetalstudio.core.training_settings import RECOMMENDED
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.train.data import select_training_data
from fetalstudio.engine.jobs.train.verdict import verdict_of
from fetalstudio.engine.resumable import can_resume
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Run

DESCRIPTION = (
    "Lists the trainings of a project, the newest first: fine-tunings (train), adaptations of a "
    "synthesizer (adapt, adapt-sd) and experiments. A run that was cancelled or failed can be "
    "resumed if it has kept its state: train --resume resumes the newest such training, and the "
    "other commands resume when they are repeated with the same options. At the end, the command "
    "says whether pairs are likely to help the next training."
)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than the project."""
    parser.description = DESCRIPTION
    parser.add_argument("action", choices=["list"], nargs="?", default="list")


def run(options: argparse.Namespace, console: Console) -> None:
    """List the runs. A run whose process is gone is marked as failed first."""
    with Project.open(options.project) as project:
        project.runs.fail_crashed()
        entries = [_entry(project, run) for run in project.runs.all()]
        advice = select_training_data(project, None, real=None, synthetic=RECOMMENDED).advice
    for entry in entries:
        when = datetime.fromisoformat(entry["started_at"]).strftime("%Y-%m-%d %H:%M")
        resumable = ", can be resumed" if entry["resumable"] else ""
        console.say(
            f"{entry['id']:4}  {entry['name']:24} {entry['job']:10} {when}  "
            f"{entry['state']}{resumable}"
        )
        if entry["verdict"]:
            console.say(f"      {entry['verdict']}")
    if advice is not None:
        console.say(f"The next training: {advice.text}")
    said = None if advice is None else advice.text
    console.result({"runs": entries, "advice": said}, f"{counted(len(entries), 'run')}.")


def _entry(project: Project, run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "job": run.job,
        "state": run.state,
        "resumable": can_resume(project, run),
        "started_at": run.started_at.astimezone().isoformat(),
        "verdict": _verdict(run),
    }


def _verdict(run: Run) -> str | None:
    """The verdict as a sentence; None for a run that has none."""
    found = verdict_of(run) or {}
    sentence = found.get("verdict", found.get("sentence"))
    return None if sentence is None else str(sentence)
