"""Command ``frames``: what it lists, amends, refuses and undoes."""

from __future__ import annotations

import json
import shlex
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fetalstudio.cli.console import Console
from fetalstudio.cli.frames import _amend
from fetalstudio.cli.main import BAD_INPUT, FAILED, OK
from fetalstudio.cli.main import main as fetalstudio
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.project.project import Project


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A project with 001_HC and 001_2HC of subject 001 in ``one``, and 002_HC in ``two``."""
    with Project.create(tmp_path / "p") as project:
        for i, (name, cohort) in enumerate(
            [("001_HC", "one"), ("001_2HC", "one"), ("002_HC", "two")]
        ):
            pixels = np.random.default_rng(i).integers(0, 256, (64, 96), dtype=np.uint8)
            frame, _ = project.frames.add(pixels, name=name, cohort=cohort, subject=name[:3])
            ellipse = Ellipse(48, 32, 20, 15, 10)
            project.annotations.add(frame.id, ellipse, author="me", state="final")
    return tmp_path / "p"


def frames(path: Path, *arguments: str) -> int:
    return fetalstudio(["frames", str(path), *arguments, "--json"])


def result(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def held(path: Path) -> list[tuple[str, str, str]]:
    with Project.open(path) as project:
        return [(f.cohort, f.name, f.subject) for f in project.frames.all()]


def test_no_action_but_remove_removes_frames(path: Path) -> None:
    action = Namespace(
        action="new", name=["*"], subject=None, cohort=None, id=None, yes=True, author="me"
    )
    with Project.open(path) as project, pytest.raises(ValueError, match="new amends no frames"):
        _amend(project, action, Console(as_json=True))
    assert len(held(path)) == 3


def test_frames_are_listed_by_what_is_asked(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, wanted in (
        ((), {"001_HC", "001_2HC", "002_HC"}),
        (("--name", "*_2HC"), {"001_2HC"}),
        (("--subject", "001", "--name", "001_HC"), {"001_HC"}),
        (("--name", "001_HC", "--name", "002*"), {"001_HC", "002_HC"}),
        (("--cohort", "two"), {"002_HC"}),
        (("--cohort", "three"), set()),
    ):
        assert frames(path, "list", *arguments) == OK
        assert {entry["name"] for entry in result(capsys)["frames"]} == wanted
    frames(path, "list", "--name", "002_HC")
    (entry,) = result(capsys)["frames"]
    assert (entry["subject"], entry["state"]) == ("002", "final")
    frames(path, "list", "--id", entry["id"][:16])
    assert result(capsys)["frames"] == [entry]


def test_a_suggested_command_can_be_copied_where_the_path_has_a_space(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = path.rename(path.with_name("my heads"))
    for command in (
        ["frames", str(path), "remove", "--name", "x"],
        ["log", str(path), "--frame", "x"],
    ):
        assert fetalstudio([*command, "--json"]) == BAD_INPUT
        suggested = result(capsys)["error"].partition("See fetalstudio ")[2].removesuffix(".")
        assert shlex.split(suggested) == ["frames", str(path), "list"]


def test_heads_are_measured_and_compared_at_a_known_age(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Project.open(path) as project:
        for frame in project.frames.all(cohort="one"):
            project.frames.set_calibration(frame.id, Calibration(1.6, 1.6, "table"))
    assert frames(path, "set-age", "20w3d", "--name", "001_HC") == OK
    said = result(capsys)
    assert (said["frames"], said["gestational_age"], said["amendment"]) == (1, "20+3", 1)
    assert frames(path, "measure") == OK
    printed = capsys.readouterr()
    by_name = {entry["name"]: entry for entry in json.loads(printed.out.splitlines()[-1])["frames"]}
    assert set(by_name) == {"001_HC", "001_2HC"}
    assert "1 annotated frame without a calibration" in printed.err
    known, unknown = by_name["001_HC"], by_name["001_2HC"]
    assert known["hc_mm"] == pytest.approx(176.8, abs=0.1)
    assert known["bpd_outer_inner_mm"] < known["bpd_mm"] == pytest.approx(48)
    assert known["gestational_age"] == "20+3"
    assert [size["chart"] for size in known["sizes"]] == [
        "INTERGROWTH-21st 2014", "Hadlock 1984", "WHO 2017"
    ]  # fmt: skip
    assert all(20 < size["centile"] < 70 for size in known["sizes"])
    assert (unknown["gestational_age"], unknown["sizes"]) == (None, [])
    assert "INTERGROWTH-21st 2014" in printed.err


def test_an_age_is_taken_away_and_a_doubtful_one_refused(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames(path, "set-age", "20+3", "--subject", "001")
    assert frames(path, "set-age", "20.3", "--subject", "001") == BAD_INPUT
    assert "such as 20+3" in capsys.readouterr().err
    assert frames(path, "set-age", "20+3") == BAD_INPUT, "no frames were chosen"
    frames(path, "list", "--subject", "001")
    assert [entry["gestational_age"] for entry in result(capsys)["frames"]] == ["20+3"] * 2
    assert frames(path, "set-age", "none", "--name", "001_HC") == OK
    with Project.open(path) as project:
        labels = {frame.name: frame.labels for frame in project.frames.all()}
    assert labels == {"001_HC": {}, "001_2HC": {"gestational_age": "20+3"}, "002_HC": {}}


def test_a_subject_is_set_and_the_setting_undone(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = held(path)
    assert frames(path, "set-subject", "mother 7", "--name", "001*", "--author", "reader") == OK
    said = result(capsys)
    assert said["author"] == "reader"
    with Project.open(path) as project:
        key = project.patients.key("mother 7")
    assert key.startswith("subject-")
    assert {c["after"]["subject"] for c in said["changes"]} == {key}
    assert [subject for _, _, subject in held(path)] == [key, key, "002"]
    assert frames(path, "undo") == OK
    assert result(capsys)["undoes"] == said["amendment"]
    assert held(path) == before
    assert frames(path, "undo") == FAILED
    assert "no amendment to undo" in result(capsys)["error"]


def test_a_subject_that_runs_have_used_is_set_with_a_warning(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Project.open(path) as project:
        used = project.frames.all(cohort="two")[0].id
        project.runs.start("tuned-1", {}, {"test": [used], "pairs": []})
    assert frames(path, "set-subject", "x", "--name", "001*") == OK
    assert "tuned-1" not in capsys.readouterr().err
    assert frames(path, "set-subject", "x", "--name", "002*") == OK
    assert "warning: Runs that used them" in (said := capsys.readouterr().err) and "tuned-1" in said


def test_cohorts_are_renamed_merged_and_set(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert frames(path, "rename-cohort", "one", "two") == BAD_INPUT
    assert "Merge one into it" in result(capsys)["error"]
    assert frames(path, "rename-cohort", "one", "E10") == OK
    assert {cohort for cohort, _, _ in held(path)} == {"E10", "two"}
    assert frames(path, "set-cohort", "three", "--subject", "002") == OK
    assert frames(path, "merge-cohorts", "E10", "three", "--into", "all") == OK
    assert {cohort for cohort, _, _ in held(path)} == {"all"}
    assert frames(path, "log") == OK
    assert [a["description"] for a in result(capsys)["amendments"]] == [
        "merged cohort E10, three into all",
        "moved 1 frame into cohort three",
        "renamed cohort one to E10",
    ]


def test_a_removal_says_what_goes_and_needs_a_yes(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = held(path)
    assert frames(path, "remove", "--subject", "001") == BAD_INPUT
    shown = capsys.readouterr()
    assert "This removes 2 frames: 001_2HC, 001_HC." in shown.err
    assert "It also removes 2 annotation revisions." in shown.err
    assert "--yes" in json.loads(shown.out)["error"]
    assert held(path) == before
    assert frames(path, "remove", "--subject", "001", "--yes") == OK
    assert held(path) == [("two", "002_HC", "002")]
    assert frames(path, "undo") == OK
    assert held(path) == before


def test_a_purge_needs_a_yes_and_is_for_good(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames(path, "remove", "--name", "002_HC", "--yes")
    assert frames(path, "purge") == BAD_INPUT
    assert len(list((path / "frames").rglob("*.png"))) == 3
    assert frames(path, "purge", "--yes") == OK
    assert result(capsys)["purged"] == 1
    assert len(list((path / "frames").rglob("*.png"))) == 2
    assert frames(path, "undo") == FAILED
    assert "deleted for good" in result(capsys)["error"]


def test_nothing_chosen_is_not_everything(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for action in (("remove", "--yes"), ("set-subject", "x"), ("set-cohort", "x")):
        assert frames(path, *action) == BAD_INPUT
        assert "--name '*' chooses all" in result(capsys)["error"]
        assert frames(path, *action, "--name", "nothing like it") == BAD_INPUT
        assert "matches" in result(capsys)["error"]
    assert len(held(path)) == 3


def test_frames_are_grouped_by_their_names_after_a_yes(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Project.open(path) as project:
        for frame in project.frames.all():
            project.amendments.set_subject([frame.id], frame.name, author="me")
    before = held(path)
    every = ("--name", "*")
    assert frames(path, "group-by-name", "{subject}_*", *every) == BAD_INPUT
    printed = capsys.readouterr()
    assert "3 frames become 2 subjects." in printed.err and "--yes" in printed.out
    assert held(path) == before
    assert frames(path, "group-by-name", "{subject}_*", *every, "--yes") == OK
    assert result(capsys)["description"] == "set the subject of 3 frames"
    groups = {name: subject for _, name, subject in held(path)}
    assert groups["001_HC"] == groups["001_2HC"] != groups["002_HC"]
    assert frames(path, "group-by-name", "{subject}_*", *every, "--yes") == BAD_INPUT
    assert "no frame would get another subject" in result(capsys)["error"]
    assert frames(path, "group-by-name", r".*_(\d?HC)", *every, "--regular-expression") == BAD_INPUT
    assert "3 frames become 2 subjects." in capsys.readouterr().err
    assert frames(path, "group-by-name", "*", *every) == BAD_INPUT
    assert frames(path, "undo") == OK
    assert held(path) == before


def test_a_join_of_parts_needs_a_yes(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Project.open(path) as project:
        project.parts.adopt({"001": "test", "002": "train"})
    assert frames(path, "set-subject", "002", "--subject", "001") == BAD_INPUT
    assert "Subjects of different parts would become one" in capsys.readouterr().err
    assert [subject for _, _, subject in held(path)] == ["001", "001", "002"]
    assert frames(path, "set-subject", "002", "--subject", "001", "--yes") == OK
    assert {subject for _, _, subject in held(path)} == {"002"}


def test_labels_and_calibrations_are_set_for_many(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def sizes() -> list[float | None]:
        with Project.open(path) as project:
            every = project.frames.all()
        return [None if f.calibration is None else f.calibration.mm_per_px_x for f in every]

    assert frames(path, "set-label", "quality", "clear", "--subject", "001") == OK
    assert result(capsys)["description"] == "set the label quality of 2 frames"
    assert frames(path, "set-label", "site", "Meier Anna", "--name", "002*") == OK
    assert "may be a person's name" in capsys.readouterr().err
    assert frames(path, "remove-label", "quality", "--name", "*") == OK
    with Project.open(path) as project:
        assert {name for f in project.frames.all() for name in f.labels} == {"site"}
    assert frames(path, "set-calibration", "0.2", "--subject", "001") == OK
    assert frames(path, "set-calibration", "0.3", "--name", "*") == BAD_INPUT
    assert "2 of 3 frames have another calibration (2 by hand)" in capsys.readouterr().out
    assert sorted(map(str, sizes())) == ["0.2", "0.2", "None"]
    assert frames(path, "set-calibration", "0.3", "--name", "*", "--replace") == OK
    assert sizes() == [0.3] * 3
    table = tmp_path / "sizes.csv"
    table.write_text("filename,pixel size(mm)\n001_HC.png,0.4\n")
    assert frames(path, "set-calibration", str(table), "--subject", "001", "--replace") == OK
    assert "no pixel size for 001_2HC" in capsys.readouterr().err
    assert sorted(filter(None, sizes())) == [0.3, 0.3, 0.4]
    assert frames(path, "set-calibration", "none", "--name", "*") == OK
    assert sizes() == [None] * 3
    assert frames(path, "set-calibration", "20", "--name", "*") == BAD_INPUT
    assert frames(path, "set-calibration", "missing.csv", "--name", "*") == BAD_INPUT
    assert frames(path, "undo") == OK
    assert sorted(filter(None, sizes())) == [0.3, 0.3, 0.4]
