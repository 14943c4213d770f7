"""Command ``demo``: every step of the work on the sample frames, and a picture of the result."""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.screening import PairFilter
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.engine.cohort_split import labelled_frames
from fetalstudio.engine.jobs.evaluate.request import EvaluateRequest
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.jobs.propose.request import ProposeRequest
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.engine.jobs.train.request import TrainRequest, TrainResult
from fetalstudio.engine.pictures import Curve, curves, montage, overlay, stack
from fetalstudio.formats.files import atomic_path
from fetalstudio.formats.pictures.picture_files import FIGURE_NOTE, write_png
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.importers import AUTHOR
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import PROPOSED_BY
from fetalstudio.resources import samples_dir

PAIRS = 16
EPOCHS = 8
FILTER = PairFilter(dice=0.9)
REVIEWER = "demo"


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR")


def run(options: argparse.Namespace, console: Console) -> None:
    """Import, propose, synthesise, review, fine-tune, measure; leave ``report.png`` in ``--out``.

    Every step is the real one, except that the quality figures review the pairs in place of a
    person. The project stays in the folder ``project`` of ``--out``, to be opened in the window.
    """
    out: Path = options.out
    started = time.monotonic()
    folder = out / "project"
    _make_room(out, folder)
    with Project.create(folder):
        pass
    imported = console.run(ImportRequest(folder, samples_dir(), Choices("HC18")))
    console.say(f"1  imported {imported.frames} frames, {imported.annotated} annotated")
    proposed = console.run(ProposeRequest(folder))
    console.say(f"2  proposed {len(proposed.proposals)} ellipses for the others")
    before = console.run(EvaluateRequest(folder))
    console.say(f"3  segmenter as shipped: Dice {before.dice['mean']:.4f} on {before.n} frames")
    made = console.run(SynthesizeRequest(folder, count=PAIRS))
    console.say(
        f"4  synthesised {len(made.pair_ids)} pairs, {made.seconds_per_pair:.2f} s each, "
        f"mean Dice to the drawn ellipse {made.mean_dice:.4f}"
    )
    accepted = _review(folder)
    console.say(f"5  accepted {accepted} pairs: Dice at least {FILTER.dice}, and no copies")
    trained = console.run(
        TrainRequest(folder, settings=TrainingSettings(epochs=EPOCHS, patience=EPOCHS))
    )
    console.say(f"6  {trained.verdict}")
    report = out / "report.png"
    _report(folder, trained, report)
    seconds = time.monotonic() - started
    console.result(
        {
            "report": report,
            "project": folder,
            "seconds": seconds,
            "pairs": len(made.pair_ids),
            "accepted": accepted,
            "pair_dice": made.mean_dice,
            "dice_before": trained.dice_before,
            "dice_after": trained.dice_after,
            "difference_ci95": trained.difference_ci95,
            "test_frames": trained.test_frames,
            "test_subjects": trained.test_subjects,
        },
        f"Done in {seconds:.0f} s: {report}",
    )


def _make_room(out: Path, folder: Path) -> None:
    """Remove the project of an earlier demo, and nothing else. Raises :class:`UserError`."""
    marker = out / ".fetalstudio-demo"
    if folder.exists():
        if not marker.exists():
            raise UserError(
                f"{folder} was not made by a demo, so it was not replaced. Choose another folder "
                "with --out."
            )
        if _worked_in(folder):
            raise UserError(
                f"{folder} is an earlier demo in which somebody has drawn or reviewed since, so it "
                "was not replaced. Choose another folder with --out, or remove it."
            )
        shutil.rmtree(folder)
    with atomic_path(marker) as temporary:
        temporary.write_text("made by fetalstudio demo; replaced by the next one\n")


def _worked_in(folder: Path) -> bool:
    """Whether a person did something in the project. Raises :class:`UserError` while it is open."""
    try:
        with Project.open(folder) as project, project.lock():
            authors = {
                revision.author
                for frame in project.frames.all()
                for revision in project.annotations.revisions(frame.id)
            }
            reviewers = {pair.reviewer for pair in project.pairs.all()}
    except InputError:  # an earlier demo that was interrupted before there was a project
        return False
    drawn = any(a != AUTHOR and not a.startswith(PROPOSED_BY) for a in authors)
    return drawn or not reviewers <= {None, REVIEWER}


def _review(folder: Path) -> int:
    accepted = 0
    with Project.open(folder) as project, project.transaction():
        for pair in project.pairs.all(state="pending"):
            good = FILTER.verdict(pair.quality, pair.copy_threshold).passed
            project.pairs.review(pair.id, "accepted" if good else "rejected", reviewer=REVIEWER)
            accepted += good
    return accepted


def _report(folder: Path, trained: TrainResult, path: Path) -> None:
    with Project.open(folder) as project:
        sources = {item.id: item for item in labelled_frames(project)}
        rows = []
        for pair in sorted(project.pairs.all(), key=lambda pair: pair.id)[:8]:
            source = sources[str(pair.provenance["source_frame"])]
            rows += [
                overlay(source.image, None, source.ellipse),
                overlay(project.frames.pixels(pair.frame.id), None, pair.requested),
            ]
        history = project.runs.get(trained.run_id).history
    epochs = [entry["epoch"] for entry in history]
    plots = [
        curves(
            "loss",
            [
                Curve("train", epochs[1:], [e["train_loss"] for e in history[1:]]),
                Curve("validation", epochs, [e["validation_loss"] for e in history]),
            ],
        ),
        curves(
            "validation Dice",
            [Curve("validation", epochs, [e["validation_dice"] for e in history])],
        ),
    ]
    write_png(
        path,
        stack(
            [
                (
                    "real frame, then the synthetic one for its varied ellipse",
                    montage(rows, columns=4),
                ),
                (trained.verdict, montage(plots, columns=2, cell=(768, 320))),
            ]
        ),
        FIGURE_NOTE,
    )
