"""Two connections in one process, and another process that comes and goes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fetalstudio.project.project import Project

_RUN = """
import sys
from pathlib import Path
from fetalstudio.project.project import Project
with Project.open(Path(sys.argv[1])) as project:
    project.runs.update(project.runs.start(sys.argv[2], {}, {}).id, state="finished")
"""


def run_elsewhere(path: Path, name: str) -> None:
    """Open the project in a process of its own, add a run, and close it."""
    subprocess.run([sys.executable, "-c", _RUN, str(path), name], check=True, timeout=60)


def test_opening_a_second_time_takes_no_locks_away(tmp_path: Path) -> None:
    """Else the other process believes that it is the last, deletes the log that is in use here,
    and what either side writes afterwards is lost to the other."""
    path = tmp_path / "project"
    with Project.create(path) as first, Project.open(path) as second:
        run_elsewhere(path, "one")
        assert [run.name for run in first.runs.all()] == ["one"]
        first.runs.start("two", {}, {})
        run_elsewhere(path, "three")
        assert [run.name for run in first.runs.all()] == ["three", "two", "one"]
        assert [run.name for run in second.runs.all()] == ["three", "two", "one"]
    with Project.open(path) as again:
        assert [run.name for run in again.runs.all()] == ["three", "two", "one"]
