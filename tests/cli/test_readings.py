"""The commands ``readings`` and ``log``."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fetalstudio.cli.main import BAD_INPUT, OK
from fetalstudio.cli.main import main as fetalstudio
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.project.project import Project

HEAD = Ellipse.of(48, 40, 30, 22, 20)


def made(path: Path, observer: str, size: float) -> Path:
    """A project with the same four frames, which this observer has drawn and read."""
    with Project.create(path) as project:
        for i in range(4):
            pixels = np.random.default_rng(i).integers(0, 256, (80, 96), dtype=np.uint8)
            frame, _ = project.frames.add(
                pixels,
                name=f"frame-{i:05d}",
                cohort="c",
                subject=f"subject-{i:016x}",
                calibration=Calibration(0.5, 0.5, "table"),
            )
            drawn = Ellipse.of(48, 40, (29 + i) * size, 22 * size, 20)
            project.annotations.add(frame.id, drawn, author=observer, state="final")
        session = project.readings.start(
            [frame.id for frame in project.frames.all()], observer=observer, seed=1
        )
        for number, frame_id in session.left:
            newest = project.annotations.newest(frame_id)
            assert newest is not None
            project.readings.add(session, number, newest.ellipse, seconds=20)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return made(tmp_path / "project", "anna", 1.0)


def result(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The JSON line of the last command."""
    value: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return value


def test_a_colleagues_readings_are_exported_merged_and_compared(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, file = made(tmp_path / "other", "Ben Example", 1.02), tmp_path / "ben.json"
    rename = ("--rename", "Ben Example=BE")
    assert fetalstudio(["readings", str(other), "export", str(file), *rename, "--json"]) == OK
    assert result(capsys)["readings"] == 4
    merge = ["readings", str(path), "merge", str(file)]
    assert fetalstudio([*merge, "--dry-run", "--json"]) == OK
    assert result(capsys) == {
        **{"new": 4, "known": 0, "unknown": [], "conflicts": [], "amendment": None}
    }
    assert fetalstudio([*merge, "--author", "anna", "--json"]) == OK
    assert result(capsys)["amendment"] == 1
    table = tmp_path / "frames.csv"
    agreement = ["readings", str(path), "agreement", "--csv", str(table), "--json"]
    assert fetalstudio(agreement) == OK
    shown = capsys.readouterr()
    found = json.loads(shown.out.splitlines()[-1])["agreements"]
    # anna drew each frame in the usual work, and read it without seeing.
    assert [(one["first"], one["second"]) for one in found] == [("anna", "anna"), ("BE", "anna")]
    assert [one["not_blinded"] for one in found] == [4, 0]
    assert found[1]["sizes"]["HC"]["bias"]["mean"] < 0
    assert "Too few to tell: 4 subjects" in shown.err
    assert "BE and anna: 4 frames of 4 subjects" in shown.err
    assert len(list(csv.DictReader(table.open()))) == 8
    assert fetalstudio(["readings", str(path), "log", "--json"]) == OK
    readings = result(capsys)["readings"]
    assert {(r["observer"], r["round"], r["blinded"]) for r in readings} == {
        *{("anna", 1, True), ("BE", 1, True)}
    }
    assert fetalstudio(merge) == BAD_INPUT
    assert "holds nothing new" in capsys.readouterr().err
    changed = json.loads(file.read_text())
    changed["readings"][0]["observer"] = "CE"
    file.write_text(json.dumps(changed))
    assert fetalstudio([*merge, "--dry-run", "--json"]) == OK
    (conflict,) = result(capsys)["conflicts"]
    assert conflict.endswith("the reading of BE was changed: observer CE in the file, BE here.")


def test_wrong_options_are_named(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "x.json")
    assert fetalstudio(["readings", str(path), "export", file, "--rename", "anna"]) == BAD_INPUT
    assert "--rename anna is not OLD=NEW" in capsys.readouterr().err
    assert fetalstudio(["readings", str(path), "export", file, "--observer", "eva"]) == BAD_INPUT
    assert "This project has readings by: anna" in capsys.readouterr().err
    assert fetalstudio(["readings", str(path), "agreement", "--blinded"]) == BAD_INPUT
    assert "No frame" in capsys.readouterr().err


def test_the_log_lists_who_did_what(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "log.csv"
    command = ["log", str(path), "--frame", "frame-00002", "--csv", str(table), "--json"]
    assert fetalstudio(command) == OK
    shown = capsys.readouterr()
    entries = json.loads(shown.out.splitlines()[-1])["entries"]
    assert [(e["author"], e["action"]) for e in entries] == [
        (None, "calibrated"),
        ("anna", "drew the ellipse as final"),
        ("anna", "read the frame without seeing (reading 1)"),
    ]
    assert "not recorded: frame-00002: calibrated" in shown.err
    assert len(list(csv.DictReader(table.open()))) == 3
    with Project.open(path) as project:
        frame = next(f for f in project.frames.all() if f.name == "frame-00003")
        proposed = Ellipse(400, 270, 200, 150, 0)
        by = "segmenter:compact+cohort"
        project.annotations.add(frame.id, proposed, author=by, state="proposed")
    assert fetalstudio(["log", str(path), "--frame", "frame-00003"]) == OK
    said = "segmenter compact, as the cohort is drawn: frame-00003: proposed an ellipse"
    assert said in capsys.readouterr().err
    assert fetalstudio(["log", str(path), "--author", "anna", "--json"]) == OK
    assert len(result(capsys)["entries"]) == 8
    assert fetalstudio(["log", str(path), "--since", "2001-01-01", "--json"]) == OK
    assert len(result(capsys)["entries"]) == 13
    assert fetalstudio(["log", str(path), "--since", "2999-01-01", "--json"]) == OK
    assert result(capsys)["entries"] == []
    assert fetalstudio(["log", str(path), "--since", "yesterday"]) == BAD_INPUT
    assert "yesterday is no day or time" in capsys.readouterr().err
    assert fetalstudio(["log", str(path), "--frame", "frame-9"]) == BAD_INPUT
    assert "holds no frame frame-9" in capsys.readouterr().err
