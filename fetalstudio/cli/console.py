"""Output for a person (stderr, progress bars) and for a script (one JSON line on stdout)."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress

from fetalstudio.core.errors import UserError
from fetalstudio.core.progress import Progress
from fetalstudio.core.words import format_duration
from fetalstudio.engine.process import events
from fetalstudio.engine.process.job import Request, job_of
from fetalstudio.engine.process.local import run_job

Result = TypeVar("Result")


class ProblemsFoundError(UserError):
    """A check that a command ran to its end has found problems: the exit status is 1, and the JSON
    line holds ``report`` beside the message."""

    def __init__(self, message: str, report: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.report = report


class _Bar:
    """The `Progress` of work that is no job, shown as a bar. Ctrl-C stops it by itself."""

    def __init__(self, bar: RichProgress, note: str) -> None:
        self._bar = bar
        self._task = bar.add_task(note, total=None)

    def advance(self, done: int, total: int, note: str = "") -> None:
        self._bar.update(self._task, completed=done, total=total, description=note or None)

    def check(self) -> None:
        pass


class Console:
    """Runs jobs and shows their events."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.rich = RichConsole(stderr=True, highlight=False)

    def run(self, request: Request[Result]) -> Result:
        """Run the job that ``request`` asks for, with a progress bar on a terminal.

        Returns the job's result; raises as `run_job`.
        """
        job = job_of(request).name
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        # Without a terminal a bar would be noise in a log file.
        terminal = self.rich.is_terminal
        with RichProgress(*columns, console=self.rich, disable=not terminal, transient=True) as bar:
            task = bar.add_task(job, total=None, left="")

            def on_event(event: events.Event) -> None:
                if isinstance(event, events.Progress):
                    left = "" if event.eta_s is None else f"{format_duration(event.eta_s)} left"
                    bar.update(
                        task,
                        total=event.total,
                        completed=event.done,
                        description=event.note or job,
                        left=left,
                    )
                elif isinstance(event, events.Epoch):
                    best = "  best so far" if event.best else ""
                    self.say(
                        f"epoch {event.epoch}/{event.epochs}  loss {_loss(event.train_loss)}  "
                        f"validation loss {event.validation_loss:.4f}  "
                        f"Dice {event.validation_dice:.4f}{best}"
                    )
                elif isinstance(event, events.Adapting):
                    best = "  best so far" if event.best else ""
                    self.say(
                        f"step {event.step}/{event.steps}  loss {_loss(event.loss)}  "
                        f"Dice {event.fidelity:.4f}  grey levels {event.grey:.1f} away  "
                        f"spectrum {event.spectrum:.2f} dB away  copies {event.copies}{best}"
                    )
                elif isinstance(event, events.Warned):
                    self.warn(event.message)

            return run_job(request, on_event)

    @contextmanager
    def reading(self, note: str) -> Iterator[Progress]:
        """A `Progress` that counts bytes, with a bar on a terminal; ``note`` says what is read."""
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        terminal = self.rich.is_terminal
        with RichProgress(*columns, console=self.rich, disable=not terminal, transient=True) as bar:
            yield _Bar(bar, note)

    def say(self, text: str) -> None:
        """Show ``text`` to a person."""
        self.rich.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Show a warning."""
        self.rich.print(f"warning: {text}", markup=False, style="yellow", soft_wrap=True)

    def error(self, text: str) -> None:
        """Show why the command failed."""
        self.rich.print(f"error: {text}", markup=False, style="red", soft_wrap=True)

    def result(self, value: Any, text: str) -> None:
        """The outcome: ``text`` for a person, ``value`` as one JSON line if asked for."""
        if text:
            self.say(text)
        if self.as_json:
            sys.stdout.write(json.dumps(plain(value)) + "\n")  # ASCII, for any console
            sys.stdout.flush()


def _loss(value: float) -> str:
    """The loss, or a dash for the first measurement, which no training step came before."""
    return "-" if math.isnan(value) else f"{value:.4f}"


def plain(value: Any) -> Any:
    """``value`` in types that JSON has: paths become text, numbers that are not finite null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
