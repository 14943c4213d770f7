"""Command ``selftest``: checks that an installation or a packaged build is complete."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from fetalstudio.cli.console import Console
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.engine.jobs.adapt_sd.request import ProbeRequest
from fetalstudio.engine.jobs.evaluate.evaluation import summarise
from fetalstudio.engine.jobs.evaluate.request import FrameScore
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.jobs.report.page import report_html
from fetalstudio.engine.jobs.sample.request import SampleRequest
from fetalstudio.engine.jobs.train.request import TrainRequest
from fetalstudio.engine.models.catalogue import list_models
from fetalstudio.engine.models.loading import BUILT_IN, find_model
from fetalstudio.engine.process.client import EngineClient
from fetalstudio.engine.process.events import (
    FINAL,
    Cancelled,
    Epoch,
    Event,
    Failed,
    Finished,
    Progress,
)
from fetalstudio.engine.process.job import Request
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.project import Project
from fetalstudio.resources import samples_dir

PATIENCE_S = 300.0

Result = TypeVar("Result")


def options(parser: argparse.ArgumentParser) -> None:
    """The command has no options."""


def run(options: argparse.Namespace, console: Console) -> None:
    """Check Qt, the models, a report and the packages of Stable Diffusion; in the engine's process
    make one pair, train for two epochs, and cancel a longer training.

    Raises :class:`UserError` that names the part that fails.
    """
    done: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="fetalstudio-") as temporary:
        folder = Path(temporary) / "project"
        engine = EngineClient()
        checks: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("window", _window),
            ("models", _models),
            ("import", lambda: _import(engine, folder)),
            ("pair", lambda: _pair(engine)),
            ("training", lambda: _training(engine, folder)),
            ("report", _report),
            ("cancel", lambda: _cancel(engine, folder)),
            ("diffusion", lambda: _result(engine, ProbeRequest())),
        )
        try:
            for name, check in checks:
                started = time.monotonic()
                try:
                    done[name] = check()
                except UserError as error:
                    raise UserError(f"The self-test failed at {name!r}: {error}") from error
                console.say(f"{name:10} ok   {done[name]}   {time.monotonic() - started:.1f} s")
        finally:
            engine.close()
    console.result({"ok": True, **done}, "This installation is complete.")


def _window() -> str:
    """Check that Qt draws a widget with its platform plugin and finds its icons and styles."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in screens):
        os.environ["QT_QPA_PLATFORM"] = "offscreen"  # else Qt aborts the whole process

    from PySide6.QtWidgets import QApplication, QLabel

    from fetalstudio.ui.app import make_application

    app = QApplication.instance() or make_application()
    label = QLabel("FetalStudio")
    label.resize(200, 50)
    label.show()
    app.processEvents()
    picture = label.grab().toImage()
    if picture.isNull():
        raise UserError(
            "Qt draws nothing. Install the system's packages for it, on Debian and Ubuntu libegl1, "
            "libgl1, libxkbcommon0, libdbus-1-3 and libfontconfig1."
        )
    label.close()
    return f"Qt draws {picture.width()}x{picture.height()} px on {QApplication.platformName()}"


def _models() -> str:
    for kind in ("synthesizer", "segmenter"):
        find_model(kind, BUILT_IN)
    return ", ".join(f"{m.kind} {m.name}" for m in list_models() if m.origin == "built-in")


def _import(engine: EngineClient, folder: Path) -> str:
    with Project.create(folder):
        pass
    # A few of these public frames show a counter of the scanner, which is no problem.
    request = ImportRequest(
        folder, samples_dir(), Choices("samples"), options=ImportOptions(redact="none")
    )
    result = _result(engine, request)
    if not result.annotated or result.problems:
        raise UserError(
            "; ".join(result.problems)
            or "The sample frames have no annotations. Install FetalStudio again."
        )
    return f"{result.frames} frames"


def _pair(engine: EngineClient) -> str:
    request = SampleRequest(Ellipse(400, 270, 240, 180, 5), (800, 540), style="second", seed=1)
    result = _result(engine, request)
    if result.image.shape != (540, 800) or int(np.ptp(result.image)) < 100:
        raise UserError(
            "The synthesizer made an empty image, so its weights are damaged. Install FetalStudio "
            "again."
        )
    return f"Dice {result.quality['dice']:.3f} in {result.seconds:.1f} s"


def _training(engine: EngineClient, folder: Path) -> str:
    request = TrainRequest(
        folder, real=4, synthetic=0, settings=TrainingSettings(epochs=2, patience=2)
    )
    result = _result(engine, request)
    return f"{result.epochs_run} epochs, Dice {result.dice_after:.3f}"


def _report() -> str:
    """Check that the templates of a report are found and filled in."""
    head = Ellipse(60, 40, 30, 20, 0)
    score = FrameScore(
        frame_id="0",
        name="frame",
        subject="0",
        cohort="c",
        dice=1.0,
        iou=1.0,
        hd95_px=0.0,
        assd_px=0.0,
        reference=head,
        found=head,
    )
    black = np.zeros((80, 120), np.uint8)
    page = report_html(summarise("selftest", [score]), lambda _: black, datetime.now())
    return f"{len(page) // 1024} KiB"


def _cancel(engine: EngineClient, folder: Path) -> str:
    """Cancel a long training in its first epochs. It has to stop within the engine's grace."""
    request = TrainRequest(
        folder, real=4, synthetic=0, settings=TrainingSettings(epochs=1000, patience=1000)
    )
    job = engine.submit(request)
    _wait(engine, job, lambda event: isinstance(event, Epoch) and event.epoch > 0)
    asked = time.monotonic()
    engine.cancel(job)
    last = _wait(engine, job, lambda event: isinstance(event, FINAL))
    if not isinstance(last, Cancelled):
        raise UserError(f"The cancelled training ended with {type(last).__name__}.")
    return f"stopped after {time.monotonic() - asked:.1f} s"


def _result(engine: EngineClient, request: Request[Result]) -> Result:
    last = _wait(engine, engine.submit(request), lambda event: isinstance(event, FINAL))
    if isinstance(last, Finished):
        return cast(Result, last.result)
    details = f"{last.message}\n{last.traceback}" if isinstance(last, Failed) else repr(last)
    raise UserError(details)


def _wait(engine: EngineClient, job: int, wanted: Callable[[Event], bool]) -> Event:
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < PATIENCE_S:
        for number, event in engine.poll(0.2):
            if number != job:
                continue
            if wanted(event):
                return event
            if isinstance(event, FINAL):
                raise UserError(f"The job ended early: {event}")
            if isinstance(event, Progress | Epoch):
                quiet_since = time.monotonic()
    raise UserError(f"The engine did not answer for {PATIENCE_S:.0f} s.")
