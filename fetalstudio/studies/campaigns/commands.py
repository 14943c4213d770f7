"""The commands that the campaigns ``kills`` and ``signals`` interrupt, in processes of their own.

The processes are forked from one that has imported everything, so that a trial takes no time to
load PyTorch. This needs a POSIX system.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import runpy
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from fetalstudio.engine.process.signals import END_SIGNALS
from fetalstudio.project.importers import import_frames
from fetalstudio.project.project import Project
from fetalstudio.resources import samples_dir

PAIRS = 6
COMMANDS: Mapping[str, Callable[[Path, Path], list[str]]] = {
    "import": lambda project, out: ["import", str(project), str(out.with_name("more"))],
    "export": lambda project, out: ["export", str(project), str(out), "--format", "hc18"],
    "synthesize": lambda project, out: [
        *("synthesize", str(project), "--count", str(PAIRS), "--steps", "1", "--out", str(out)),
    ],
    "train": lambda project, out: [
        *("train", str(project), "--real", "2", "--synthetic", "0", "--epochs", "1"),
    ],
}
RESUMABLE = ("synthesize", "train")
_PATIENCE_S = 300.0


@dataclass(slots=True)
class Workplace:
    """A whole project, and how many seconds each command takes on a copy of it."""

    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)
    frames: int = 0
    """Those of the whole project."""

    @classmethod
    def made(cls, folder: Path) -> Workplace:
        """Make the project in ``folder``."""
        place = cls(folder)
        with Project.create(folder / "whole") as project:
            import_frames(project, samples_dir(), cohort="samples")
            place.frames = len(project.frames.all())
        place._make_more()
        # The process that forks loads PyTorch first, which is no part of how long a command takes.
        place.run(["models", "list"])
        return place

    def _make_more(self) -> None:
        """Frames for the import: those of the project, a grey level lighter."""
        import numpy as np

        from fetalstudio.formats.pictures import read_image, write_png

        (self.folder / "more").mkdir()
        for path in sorted(samples_dir().glob("*_HC.png")):
            pixels = np.minimum(read_image(path), 254).astype(np.uint8) + np.uint8(1)
            write_png(self.folder / "more" / path.name, pixels)

    @contextlib.contextmanager
    def copy(self) -> Iterator[tuple[Path, Path]]:
        """A copy of the project, and a folder beside it that is not there yet."""
        project, out = self.folder / "project", self.folder / "out"
        shutil.copytree(self.folder / "whole", project)
        try:
            yield project, out
        finally:
            shutil.rmtree(project, ignore_errors=True)
            shutil.rmtree(out, ignore_errors=True)

    def start(self, arguments: list[str]) -> BaseProcess:
        """Start a command; what it prints goes into files."""
        for name in ("stdout", "stderr"):
            (self.folder / name).write_bytes(b"")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*_PRELOADED])
        process = context.Process(target=_command, args=(arguments, self.folder), daemon=True)
        process.start()
        return process

    def ended(self, process: BaseProcess) -> Ended:
        """Wait for the end of a command."""
        process.join(_PATIENCE_S)
        if process.is_alive():
            process.kill()
            process.join()
            return Ended(None, None, f"no end after {_PATIENCE_S:.0f} s")
        lines = (self.folder / "stdout").read_text().splitlines()
        line = None
        with contextlib.suppress(ValueError):
            line = json.loads(lines[-1]) if lines else None
        return Ended(process.exitcode, line, (self.folder / "stderr").read_text())

    def run(self, arguments: list[str]) -> Ended:
        """Run a command to its end."""
        return self.ended(self.start(arguments))

    def moment(self, name: str, chance: random.Random) -> float:
        """Seconds after its start at which a command is interrupted.

        The command is run once, undisturbed, to see how long it takes. Call this outside of
        :meth:`copy`.
        """
        if name not in self.seconds:
            with self.copy() as (project, out):
                started = time.monotonic()
                ended = self.run(COMMANDS[name](project, out))
                self.seconds[name] = time.monotonic() - started
            if ended.status != 0:
                raise RuntimeError(f"{name} fails undisturbed: {ended.errors}")
        return chance.uniform(0, 1.1 * self.seconds[name])


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int | None
    line: Any
    """The last line, which is JSON; None if there is none."""
    errors: str
    """What it wrote for a person."""


_PRELOADED = (
    "fetalstudio.cli.main",
    "fetalstudio.engine.jobs.import_frames.job",
    "fetalstudio.engine.jobs.export.job",
    "fetalstudio.engine.jobs.synthesize.job",
    "fetalstudio.engine.jobs.train.job",
    "fetalstudio.synthesis.synthesizer",
)


def _command(arguments: list[str], folder: Path) -> None:
    """In the process: run the command as the program would."""
    for number in END_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name, number in (("stdout", 1), ("stderr", 2)):
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    sys.argv = ["fetalstudio", *arguments, "--json"]
    # Ends in SystemExit, whose status becomes that of this process.
    runpy.run_module("fetalstudio", run_name="__main__", alter_sys=True)


def faults(place: Workplace, project_path: Path, out: Path) -> list[str]:
    """What is lost or half-done in an interrupted project."""
    found = []
    with Project.open(project_path) as project:
        frames = project.frames.all()
        more = len(list((place.folder / "more").iterdir()))
        if len(frames) not in (place.frames, place.frames + more):
            found.append(f"{len(frames)} frames: a half import")
        for frame in (*frames, *(pair.frame for pair in project.pairs.all())):
            project.frames.pixels(frame.id)
        if len(project.annotations.by_frame("samples")) < 16:
            found.append("annotations are lost")
        project.recover()
        if any(run.state == "running" for run in project.runs.all()):
            found.append("a run is still marked as running")
        if left := [*project_path.rglob(".staging-*"), *project_path.rglob(".import-*")]:
            found.append(f"{left[0]} is left")
    return found


def leftovers(place: Workplace) -> list[str]:
    """What a command left half-written beside or in its output."""
    left = [*place.folder.glob(".part-*"), *(place.folder / "out").rglob(".part-*")]
    return [f"{path} is left" for path in left]
