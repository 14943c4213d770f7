"""The commands that campaigns interrupt or starve, on copies of a small project.

Each runs in a process of its own, just as the program would; see :mod:`.child`.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import runpy
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.process.signals import END_SIGNALS, handling, ignore_at_the_end, interrupt
from fetalstudio.formats.pictures.picture_files import read_image, write_png
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.project import Project
from fetalstudio.resources import samples_dir
from fetalstudio.studies.campaigns.child import Child, preload

PAIRS = 6
STABLE_DIFFUSION = "tiny"
"""The name of the Stable Diffusion in miniature."""

Arguments = Callable[[Path, Path], list[str]]
"""The arguments of a command on a project; what it writes beside it goes into the second path."""

COMMANDS: Mapping[str, Arguments] = {
    "import": lambda project, out: ["import", str(project), str(out.with_name("more"))],
    "export": lambda project, out: ["export", str(project), str(out), "--format", "hc18"],
    "synthesize": lambda project, out: [
        *("synthesize", str(project), "--count", str(PAIRS), "--steps", "1", "--out", str(out)),
    ],
    "train": lambda project, out: [
        *("train", str(project), "--real", "2", "--synthetic", "0", "--epochs", "1"),
    ],
}
"""What is killed and started again."""

JOBS: Mapping[str, Arguments] = {
    **COMMANDS,
    "propose": lambda project, out: ["propose", str(project)],
    "sample": lambda project, out: ["sample", str(project)],
    "adapt": lambda project, out: ["adapt", str(project), "--steps", "2"],
    "adapt-sd": lambda project, out: [
        *("adapt-sd", str(project), "--base", STABLE_DIFFUSION, "--steps", "4"),
    ],
    "evaluate": lambda project, out: ["evaluate", str(project), "--csv", str(out / "scores.csv")],
    "report": lambda project, out: ["evaluate", str(project), "--report", str(out / "r.html")],
    "experiment": lambda project, out: [
        *("experiment", str(project), "--real", "2", "--seeds", "1", "--epochs", "1"),
    ],
}
"""A command for every job. ``sample``, which only the window asks for, is run as a command would
run it."""

PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int | None
    """None if it had to be killed."""
    line: Any
    """The last line, which is JSON; None if there is none."""
    errors: str
    """What it wrote for a person."""


@dataclass(slots=True)
class Workplace:
    """A whole project, and how many seconds each command takes on a copy of it."""

    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)
    frames: int = 0
    """Those of the whole project."""

    @classmethod
    def made(cls, folder: Path, *, pairs: bool = False) -> Workplace:
        """Make the project in ``folder``; with ``pairs`` it holds some that are accepted, so that
        there is an experiment to run."""
        preload(PRELOADED)
        place = cls(folder)
        with Project.create(folder / "whole") as project:
            import_frames(project, samples_dir(), cohort="samples")
            place.frames = len(project.frames.all())
            for number in range(PAIRS if pairs else 0):
                _add_pair(project, number)
        place._make_more()
        # The process that forks loads PyTorch first, which is no part of how long a command takes.
        place.run(["models", "list"])
        return place

    def _make_more(self) -> None:
        """Frames for the import: those of the project, a grey level lighter."""
        (self.folder / "more").mkdir()
        for path in sorted(samples_dir().glob("*_HC.png")):
            pixels = np.minimum(read_image(path), 254).astype(np.uint8) + np.uint8(1)
            write_png(self.folder / "more" / path.name, pixels)

    @contextlib.contextmanager
    def copy(self, *, into: Path | None = None) -> Iterator[tuple[Path, Path]]:
        """A copy of the project, and a folder beside it that is not there yet; by default both are
        beside the whole one."""
        parent = into or self.folder
        project, out = parent / "project", parent / "out"
        shutil.copytree(self.folder / "whole", project)
        if into is not None:
            shutil.copytree(self.folder / "more", into / "more")
        try:
            yield project, out
        finally:
            for made in (project, out, *([into / "more"] if into else [])):
                shutil.rmtree(made, ignore_errors=True)

    def start(
        self,
        arguments: list[str],
        prepare: Callable[[], object] | None = None,
        *,
        log: str = "",
    ) -> Child[None]:
        """Start a command; see :func:`start_command`."""
        return start_command(arguments, self.folder, prepare, log=log)

    def ended(self, child: Child[None], *, log: str = "") -> Ended:
        """Wait for the end of a command."""
        ended = child.ended(PATIENCE_S)
        errors = (self.folder / f"{log}stderr").read_text()
        if ended.status is None:
            return Ended(None, None, f"no end after {PATIENCE_S:.0f} s: {errors}")
        lines = (self.folder / f"{log}stdout").read_text().splitlines()
        line = None
        with contextlib.suppress(ValueError):
            line = json.loads(lines[-1]) if lines else None
        return Ended(ended.status, line, errors)

    def run(self, arguments: list[str]) -> Ended:
        """Run a command to its end."""
        return self.ended(self.start(arguments))

    def duration(self, name: str) -> float:
        """How many seconds the job takes undisturbed, from the fork on. Call this outside of
        :meth:`copy`."""
        if name not in self.seconds:
            with self.copy() as (project, out):
                started = time.monotonic()
                ended = self.run(JOBS[name](project, out))
                self.seconds[name] = time.monotonic() - started
            if ended.status != 0:
                raise RuntimeError(f"{name} fails undisturbed: {ended.errors}")
        return self.seconds[name]

    def moment(self, name: str, chance: random.Random) -> float:
        """Seconds after its start at which a job is interrupted; see :meth:`duration`."""
        return chance.uniform(0, self.duration(name))


PRELOADED = (
    "fetalstudio.cli.main",
    *(
        f"fetalstudio.engine.jobs.{job}.job"
        for job in (
            *("import_frames", "export", "synthesize", "train", "propose", "sample", "adapt"),
            *("adapt_sd", "evaluate", "experiment", "report"),
        )
    ),
    "fetalstudio.synthesis.synthesizer",
)
"""The modules that the commands import."""


def start_command(
    arguments: list[str],
    folder: Path,
    prepare: Callable[[], object] | None = None,
    *,
    log: str = "",
) -> Child[None]:
    """Start a command; what it prints goes into the files ``stdout`` and ``stderr`` in ``folder``,
    whose names begin with ``log``.

    ``prepare``, which can be pickled, is called in the process first.
    """
    for name in ("stdout", "stderr"):
        (folder / f"{log}{name}").write_bytes(b"")
    return Child(_command, arguments, folder, log, prepare)


def _command(
    arguments: list[str],
    folder: Path,
    log: str,
    prepare: Callable[[], object] | None,
) -> None:
    """In the process: run the command as the program would."""
    for number in END_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name, number in (("stdout", 1), ("stderr", 2)):
        handle = os.open(folder / f"{log}{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    if prepare is not None:
        prepare()
    if arguments[0] == "sample":
        raise SystemExit(_sample(Path(arguments[1])))
    sys.argv = ["fetalstudio", *arguments, "--json"]
    # Ends in SystemExit, whose status becomes that of this process.
    runpy.run_module("fetalstudio", run_name="__main__", alter_sys=True)


def _sample(project: Path) -> int:
    """The job ``sample``, ended by signals as a command is."""
    from fetalstudio.core.progress import Stopped
    from fetalstudio.engine.jobs.sample.request import SampleRequest
    from fetalstudio.engine.process.local import run_job

    ignore_at_the_end()
    try:
        with handling(interrupt):
            run_job(SampleRequest(Ellipse(400, 270, 200, 150, 20), (800, 540), project=project))
    except (Stopped, KeyboardInterrupt):
        print(json.dumps({"cancelled": True}))
        return 1
    print(json.dumps({"made": True}))
    return 0


def _add_pair(project: Project, number: int) -> None:
    pixels = np.random.default_rng(number).integers(0, 200, (540, 800), dtype=np.uint8)
    pair = project.pairs.add(
        pixels,
        name=f"pair-{number}",
        ellipse=Ellipse(400, 270, 200, 150, 20 + number),
        cohort="synthetic",
        calibration=None,
        quality={"dice": 0.95},
        provenance={"synthesizer": "compact", "copy_threshold": None},
    )
    project.pairs.review(pair.id, "accepted", reviewer="campaign")


def add_stable_diffusion(place: Workplace) -> None:
    """Give the workplace the base model of ``adapt-sd``, in miniature."""
    from fetalstudio.studies.campaigns.tiny_stable_diffusion import write_tiny

    weights = write_tiny(place.folder / "sd")
    added = place.run(["models", "add", str(weights), "--name", STABLE_DIFFUSION])
    if added.status != 0:
        raise RuntimeError(f"no Stable Diffusion could be added: {added.errors}")


def faults(place: Workplace, project_path: Path, out: Path) -> list[str]:
    """What is lost or half-done in an interrupted project."""
    found = []
    more = len(list((place.folder / "more").iterdir()))
    with Project.open(project_path) as project:
        frames = project.frames.all()
        if len(frames) not in (place.frames, place.frames + more):
            found.append(f"{len(frames)} frames: a half import")
        for frame in (*frames, *(pair.frame for pair in project.pairs.all())):
            project.frames.pixels(frame.id)
        if len(project.annotations.by_frame("samples")) < 16:
            found.append("annotations are lost")
        project.recover()
        if any(run.state == "running" for run in project.runs.all()):
            found.append("a run is still marked as running")
        found += project.damage
        project.imports.discard()  # what an import that was stopped can go on from
        if left := [*project_path.rglob(".staging-*"), *project_path.rglob(".import-*")]:
            found.append(f"{left[0]} is left")
    return found


def leftovers(out: Path) -> list[str]:
    """What a command left half-written beside or in its output."""
    left = [*out.parent.glob(".part-*"), *out.rglob(".part-*")]
    return [f"{path} is left" for path in left]
