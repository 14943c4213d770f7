"""Commands ``models adopt``, ``models roll-back`` and ``runs``, and what a lost model says."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fetalstudio.cli.main import BAD_INPUT, FAILED, OK, main
from fetalstudio.engine.models.loading import find_model
from fetalstudio.engine.resumable import state_file
from fetalstudio.project.models import ModelKind
from fetalstudio.project.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with the segmenters and synthesizers ``first`` and ``second``."""
    with Project.create(tmp_path / "p") as made:
        kinds: tuple[ModelKind, ...] = ("segmenter", "synthesizer")
        for kind in kinds:
            for name in ("first", "second"):
                made.models.add(name, kind, f"models/{kind}-{name}")
        yield made


class Command:
    """Runs a command and keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: object, status: int = OK) -> dict[str, Any]:
        assert main([*map(str, arguments), "--json"]) == status
        said = self.capsys.readouterr()
        self.shown = said.err
        found: dict[str, Any] = json.loads(said.out.splitlines()[-1])
        return found


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.mark.parametrize("kind", ["segmenter", "synthesizer"])
def test_a_model_is_adopted_and_rolled_back(
    project: Project, command: Command, kind: ModelKind
) -> None:
    of = ("--project", project.path, "--kind", kind)
    for name in ("first", "second"):
        assert command("models", "adopt", name, *of) == {"kind": kind, "name": name}
        active = project.models.active(kind)
        assert active is not None and active.name == name
    assert command("models", "roll-back", *of)["name"] == "first"
    assert command("models", "roll-back", *of)["name"] == "compact"
    assert project.models.active(kind) is None
    said = command("models", "roll-back", *of, status=FAILED)["error"]
    assert f"built-in {kind} is in use" in said


def test_what_cannot_be_adopted_says_what_can(project: Project, command: Command) -> None:
    of = ("--project", project.path, "--kind", "segmenter")
    said = command("models", "adopt", "third", *of, status=BAD_INPUT)["error"]
    assert "third" in said and "first" in said and "second" in said
    assert "adopt NAME" in command("models", "adopt", *of, status=BAD_INPUT)["error"]
    for action in (["adopt", "first"], ["roll-back"]):
        said = command("models", *action, "--kind", "segmenter", status=BAD_INPUT)["error"]
        assert "--project PROJECT" in said and "--kind segmenter" in said


@pytest.mark.parametrize("lost", ["model.safetensors", "."])
def test_an_adopted_model_without_its_files_names_cures_that_help(
    project: Project, command: Command, lost: str, sample_project: Project
) -> None:
    path = sample_project.path
    frames = [frame.id for frame in sample_project.frames.all(annotated=True)]
    sample_project.amendments.remove(frames[2:], author="me")  # to be quick
    folder = path / "models" / "mine"
    shutil.copytree(find_model("segmenter", "compact").folder, folder)
    sample_project.models.add("mine", "segmenter", "models/mine")
    sample_project.models.adopt("segmenter", "mine")
    kept = shutil.move(folder / lost if lost != "." else folder, path / "kept")
    said = command("evaluate", path, status=BAD_INPUT)["error"]
    roll_back = f"fetalstudio models roll-back --project {path} --kind segmenter"
    assert "segmenter mine cannot be used" in said and str(folder) in said
    assert "--segmenter" in said and roll_back.replace(str(path), "PROJECT") in said
    problems = command("models", "verify", "--project", path, status=FAILED)["problems"]
    assert [(p["kind"], p["name"], p["problem"]) for p in problems] == [("segmenter", "mine", said)]

    assert command("evaluate", path, "--segmenter", "compact")["n"] == 2
    command(*roll_back.split()[1:])
    assert command("evaluate", path)["segmenter"] == "compact"
    command("models", "adopt", "mine", "--project", path, "--kind", "segmenter")
    shutil.move(kept, folder / lost if lost != "." else folder)
    assert command("models", "verify", "--project", path)["problems"] == []


def test_runs_are_listed_with_their_state_and_verdict(project: Project, command: Command) -> None:
    assert command("runs", project.path)["runs"] == []
    done = project.runs.start("tuned-1", {"job": "train"}, {})
    project.runs.update(done.id, state="finished", verdict={"verdict": "It is better."})
    compared = project.runs.start("experiment-1", {"job": "experiment"}, {})
    project.runs.update(compared.id, state="cancelled", verdict={"sentence": "No."})
    for name in ("kept", "lost"):
        run = project.runs.start(name, {"job": "adapt"}, {})
        project.runs.update(run.id, state="failed")
        if name == "kept":
            state_file(project, run.id).write_bytes(b"state")
    project.runs.start("now", {"job": "train"}, {})
    listed = command("runs", project.path, "list")["runs"]
    assert [(r["name"], r["job"], r["state"], r["resumable"], r["verdict"]) for r in listed] == [
        ("now", "train", "running", False, None),
        ("lost", "adapt", "failed", False, None),
        ("kept", "adapt", "failed", True, None),
        ("experiment-1", "experiment", "cancelled", True, "No."),
        ("tuned-1", "train", "finished", False, "It is better."),
    ]
    assert listed[-1]["id"] == done.id and listed[-1]["started_at"].startswith("20")
    assert "can be resumed" in command.shown and "It is better." in command.shown
    assert "5 runs." in command.shown


def test_bad_training_options_are_refused_before_the_project_is_opened(
    tmp_path: Path, command: Command
) -> None:
    for name in ("train", "experiment"):
        said = command(name, tmp_path / "nowhere", "--epochs", "0", status=BAD_INPUT)["error"]
        assert said.startswith("epochs is 0")
    said = command("train", tmp_path / "nowhere", "--name", "a/b", status=BAD_INPUT)["error"]
    assert "'a/b' cannot be a model's name" in said


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        (["synthesize", "--count", "0"], "1 to 100000. Choose a number between"),
        (["synthesize", "--spread", "9"], "Choose a value between"),
        (["synthesize", "--shift", "0.5", "0"], "Choose two values from -0.3 to 0.3"),
        (["synthesize", "--ratio", "0.1", "0.2"], "Choose a range within"),
        (["adapt-sd", "--base", "sd", "--set", "rank"], "Use SETTING=VALUE"),
        (["adapt-sd", "--base", "sd", "--set", "rank=many"], "Give a whole number"),
        (["adapt-sd", "--base", "sd", "--set", "flip=perhaps"], "Give true or false"),
        (["adapt-sd", "--base", "sd", "--set", "placement=round"], "Choose squash or letterbox"),
    ],
)
def test_values_out_of_range_are_refused_with_the_cure(
    sample_project: Project, command: Command, options: list[str], cure: str
) -> None:
    name, *rest = options
    assert cure in command(name, sample_project.path, *rest, status=BAD_INPUT)["error"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_is_no_model_and_not_waited_for(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FETALSTUDIO_HOME", str(tmp_path / "home"))
    for name in ("sam_vit_b.pth", "sd.safetensors"):
        os.mkfifo(tmp_path / name)
        said = command("models", "add", tmp_path / name, "--name", "x", status=BAD_INPUT)
        assert str(tmp_path / name) in said["error"]
