"""Ctrl-C, SIGTERM and SIGHUP end a command like a cancel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fetalstudio.cli import main
from fetalstudio.engine.process.signals import END_SIGNALS
from fetalstudio.project.project import Project
from fetalstudio.studies.campaigns.commands import start_command


@pytest.fixture(autouse=True)
def _as_in_a_terminal() -> Iterator[None]:
    """A shell starts what runs in its background with signals ignored, and tests may be run so."""
    before = [signal.signal(number, signal.SIG_DFL) for number in END_SIGNALS]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in zip(END_SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", END_SIGNALS)
def test_a_signal_outside_of_a_job_ends_the_command_like_a_cancel(
    number: signal.Signals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = [signal.getsignal(each) for each in END_SIGNALS]

    def interrupted(path: Path) -> Project:
        os.kill(os.getpid(), number)
        time.sleep(5)
        raise AssertionError("not interrupted")

    monkeypatch.setattr(Project, "create", interrupted)
    assert main(["new", str(tmp_path / "p"), "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out) == {"cancelled": True, "result": None}
    assert "Traceback" not in said.err
    assert [signal.getsignal(each) for each in END_SIGNALS] == before


def _wait_for(project: Project, pairs: int) -> None:
    until = time.monotonic() + 120
    while len(project.pairs.all()) < pairs:
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGINT)])
def test_a_signal_ends_a_job_like_a_cancel(
    number: signal.Signals, sample_project: Project, tmp_path: Path, forks: None
) -> None:
    command = ["synthesize", str(sample_project.path), "--count", "40", "--steps", "1"]
    child = start_command(command, tmp_path)
    _wait_for(sample_project, 1)
    os.kill(child.pid, number)
    assert child.ended(60.0).status == 1
    line = json.loads((tmp_path / "stdout").read_text().splitlines()[-1])
    errors = (tmp_path / "stderr").read_text()
    assert line["cancelled"] and 0 < len(line["result"]["pair_ids"]) < 40
    assert "Traceback" not in errors
    (batch,) = sample_project.batches.unfinished()
    assert batch.done == len(line["result"]["pair_ids"])


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
def test_a_signal_while_the_program_is_loaded_leaves_no_traceback(tmp_path: Path) -> None:
    code = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "fetalstudio.cli.adapt":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv.append("--json")
from fetalstudio.cli import main
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert json.loads(ended.stdout) == {"cancelled": True, "result": None}
    assert "Traceback" not in ended.stderr


_AGAIN_AT_EACH_STEP = """
import atexit, os, signal, sys
def again(*_):
    os.kill(os.getpid(), signal.SIGTERM)
class Out:
    def write(self, text):
        again()
        return sys.__stdout__.write(text)
    def flush(self):
        again()
sys.stdout = Out()
atexit.register(again)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "fetalstudio.cli.adapt":
            again()
sys.argv = ["fetalstudio", "new", "nowhere", "--json"]
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
@pytest.mark.parametrize(
    "first",
    [
        "sys.meta_path.insert(0, Finder())",
        "from fetalstudio.project.project import Project; Project.create = again",
    ],
    ids=["while the program is loaded", "in a command"],
)
def test_more_signals_cut_off_nothing_that_is_said(first: str, tmp_path: Path) -> None:
    code = f"{_AGAIN_AT_EACH_STEP}{first}\nfrom fetalstudio.cli import main\nsys.exit(main())"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert json.loads(ended.stdout) == {"cancelled": True, "result": None}, ended.stderr
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
