"""The commands as a script uses them: exit status, the JSON line, messages."""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fetalstudio.cli import main
from fetalstudio.cli.console import Console, plain
from fetalstudio.cli.demo import _make_room
from fetalstudio.cli.main import _parser
from fetalstudio.core.biometry import measure
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.words import quoted
from fetalstudio.engine.models.loading import find_model
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.pairs import Pairs
from fetalstudio.project.project import Project
from fetalstudio.resources import user_data_dir
from fetalstudio.studies.campaigns import damaged_database

HEADER = "name,cx,cy,a,b,angle_deg,width,height\n"


def help_pages(parser: argparse.ArgumentParser) -> dict[str, str]:
    """The help of a parser and of those below it, by the command."""
    pages = {parser.prog: parser.format_help()}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in set(action.choices.values()):
                pages |= help_pages(below)
    return pages


def test_every_command_has_a_help_page() -> None:
    """A percent sign in a help text breaks the page."""
    pages = help_pages(_parser())
    assert "how far outside or inside the skull" in " ".join(pages["fetalstudio frames"].split())
    assert len(pages) > 40
    assert all("%%" not in page for page in pages.values())


@pytest.fixture
def last_json(capsys: pytest.CaptureFixture[str]) -> Any:
    def read() -> Any:
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return read


@pytest.mark.slow
def test_the_loop_by_commands(
    tmp_path: Path, samples: Path, last_json: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    project, out = str(tmp_path / "p"), tmp_path / "out"
    assert main(["new", project, "--json"]) == 0
    assert main(["import", project, str(samples), "--cohort", "HC18", "--json"]) == 0
    imported = last_json()
    assert (imported["frames"], imported["annotated"]) == (24, 16)
    (problem,) = imported["problems"]  # three frames show the scanner's counter
    assert "209_HC.png and 2 more: Text or marks of a scanner seem to be burned into" in problem
    assert main(["propose", project, "--json"]) == 0
    assert len(last_json()["proposals"]) >= 6
    command = ["synthesize", project, "--count", "2", "--steps", "2", "--out", str(out), "--json"]
    assert main(command) == 0
    assert len(last_json()["pair_ids"]) == 2
    assert len(list(out.glob("*_mask.png"))) == 2
    assert main(["review", project, "--accept-above", "0", "--json"]) == 0
    assert last_json() == {"accepted": 2, "rejected": 0, "copies": 0}
    train = ["train", project, "--real", "2", "--synthetic", "2", "--epochs", "1", "--json"]
    assert main([*train, "--name", "mine"]) == 0
    told = capsys.readouterr()
    assert "epoch 0/1  loss -  validation loss 0." in told.err
    trained = json.loads(told.out.splitlines()[-1])
    assert trained["synthetic"] == 2 and 0 < trained["dice_before"] <= 1
    table = tmp_path / "scores.csv"
    evaluate = ["evaluate", project, "--segmenter", "compact", "--prompt", "box", "--json"]
    page = tmp_path / "report.html"
    assert main([*evaluate, "--csv", str(table), "--report", str(page)]) == 0
    evaluated = last_json()
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == evaluated["n"] and 0.9 < float(rows[0]["dice"]) <= 1
    assert "Bland-Altman" in page.read_text()
    assert "too few to tell how the segmenter does on others" in page.read_text()
    wanted = {"n", "dice", "iou", "hd95_px", "hc_mae_mm", "hc_bias_mm", "failures"}
    assert wanted <= set(evaluated) and set(evaluated["dice"]) == {"mean", "ci95", "median", "min"}
    export = ["export", project, str(tmp_path / "exported"), "--format", "hc18", "--json"]
    assert main(export) == 0
    assert last_json()["pairs"] == 2
    assert main(["models", "list", "--project", project, "--json"]) == 0
    models = {(m["kind"], m["name"]) for m in last_json()["models"]}
    assert {("segmenter", "compact"), ("synthesizer", "compact")} <= models


FIGURES = {"dice": 0.97, "hc_difference": 0.01, "edge": 0.9, "similarity": 0.5}


def test_review_leaves_what_was_corrected_by_hand(
    sample_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = sample_project.frames.all()[0]
    pair = sample_project.pairs.add(
        sample_project.frames.pixels(frame.id) // 2,
        name="corrected",
        ellipse=Ellipse(300, 200, 100, 80, 10),
        cohort="synthetic",
        calibration=None,
        quality={**FIGURES, "dice": 0.5},
        provenance={},
    )
    moved = Ellipse(320, 200, 100, 80, 10)
    sample_project.pairs.review(pair.id, "pending", reviewer="me", ellipse=moved)
    assert main(["review", str(sample_project.path), "--json"]) == 0
    assert "1 corrected by hand" in capsys.readouterr().err
    after = sample_project.pairs.get(pair.id)
    assert (after.state, after.ellipse) == ("pending", moved)


@pytest.mark.parametrize(
    ("options", "accepted"),
    [
        ([], {"good"}),
        (["--accept-above", "0.9"], {"good", "fair", "no_edge", "large"}),
        (["--hc-within", "0.05", "--edge-above", "0.5"], {"good", "fair"}),
        (["--similarity-below", "0.4"], {"fair"}),
    ],
)
def test_review_by_thresholds_and_no_copy_ever(
    sample_project: Project,
    capsys: pytest.CaptureFixture[str],
    last_json: Any,
    options: list[str],
    accepted: set[str],
) -> None:
    changes: dict[str, dict[str, float]] = {
        "good": {},
        "fair": {"dice": 0.93, "similarity": 0.3},
        "no_edge": {"edge": 0.2},
        "large": {"hc_difference": 0.2},
        "copy": {"similarity": 0.8},
    }
    for i, (name, change) in enumerate(changes.items()):
        sample_project.pairs.add(
            np.full((64, 64), i, np.uint8),
            name=name,
            ellipse=Ellipse(30, 30, 20, 15, 0),
            cohort="synthetic",
            calibration=None,
            quality={**FIGURES, **change},
            provenance={"copy_threshold": 0.75, "nearest_frame": "0" * 16},
        )
    project = str(sample_project.path)
    assert main(["review", project, *options, "--json"]) == 0
    assert last_json() == {"accepted": len(accepted), "rejected": 5 - len(accepted), "copies": 1}
    assert {p.frame.name for p in sample_project.pairs.all(state="accepted")} == accepted
    copy = next(p for p in sample_project.pairs.all() if p.frame.name == "copy")
    sample_project.pairs.review(copy.id, "accepted", reviewer="a person")
    out = Path(project) / "exports"
    assert main(["export", project, str(out / "a"), "--format", "hc18", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[-1])["copies_left_out"] == 1
    assert "--include-copies" in said.err
    everything = ["export", project, str(out / "b"), "--format", "hc18", "--include-copies"]
    assert main([*everything, "--json"]) == 0
    assert last_json()["pairs"] == len(accepted) + 1


def test_pixels_of_a_real_frame_are_exported_when_asked_for(
    sample_project: Project, last_json: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = sample_project.pairs.add(
        np.full((64, 64), 7, np.uint8),
        name="kept",
        ellipse=Ellipse(30, 30, 20, 15, 0),
        cohort="synthetic",
        calibration=None,
        quality=FIGURES,
        provenance={"background": "frame"},
    )
    sample_project.pairs.review(pair.id, "accepted", reviewer="a person")
    out = sample_project.path / "exports"
    arguments = ["export", str(sample_project.path), "--format", "hc18", "--json"]
    assert main([*arguments, str(out / "a")]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out.splitlines()[-1])
    assert (told["pairs"], told["real_pixels_left_out"]) == (0, 1)
    assert "--with-real-pixels" in said.err
    assert main([*arguments, str(out / "b"), "--with-real-pixels"]) == 0
    assert last_json()["pairs"] == 1


def test_a_threshold_that_is_no_share_is_bad_input(sample_project: Project, last_json: Any) -> None:
    assert main(["review", str(sample_project.path), "--hc-within", "5", "--json"]) == 2
    assert "from 0 to 1" in last_json()["error"]


def test_bad_input_is_status_2_with_the_message_in_the_json(tmp_path: Path, last_json: Any) -> None:
    nowhere = str(tmp_path / "nowhere")
    assert main(["evaluate", nowhere, "--json"]) == 2
    assert nowhere in last_json()["error"]
    with Project.create(tmp_path / "p"):
        pass
    (tmp_path / "empty").mkdir()
    assert main(["import", str(tmp_path / "p"), str(tmp_path / "empty"), "--json"]) == 2
    assert str(tmp_path / "empty") in last_json()["error"]
    assert main(["train", str(tmp_path / "p"), "--json"]) == 2
    assert "no annotated frame" in last_json()["error"]


def test_heads_as_wanted_and_a_batch_that_goes_on(
    sample_project: Project, last_json: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = str(sample_project.path)
    base = ["synthesize", project, "--json"]
    table = str(sample_project.path / "e.csv")
    Path(table).write_text(HEADER + "x,50,40,10,20,0,100,80\n")
    assert main([*base, "--resume"]) == 2
    assert "no unfinished batch" in last_json()["error"]
    for wrong, message in (
        (["--count", "2", "--hc-mm", "150", "100"], "empty range"),
        (["--hc-px", "500", "900"], "in mm"),
        (["--ellipses", table, "--ratio", "0.7", "0.8"], "Leave out the options for heads"),
        (
            ["--ellipses", table, "--background", "frame", "--sector", "made"],
            "Leave out --sector made or --background frame",
        ),
        (["--count", "2", "--sector", "made"], "Leave out --sector, or give a table"),
        (["--resume", "--seed", "0", "--ratio", "0.7", "0.8"], "Leave out --seed, --ratio"),
    ):
        assert main([*base, *wrong]) == 2
        assert message in last_json()["error"]
    add = Pairs.add

    def full(*_: Any, **__: Any) -> None:
        raise UserError("The disk is full.")

    monkeypatch.setattr(Pairs, "add", full)
    command = [*base, "--count", "2", "--steps", "1", "--hc-mm", "170", "180", "--angle", "-5", "5"]
    assert main(command) == 1
    monkeypatch.setattr(Pairs, "add", add)
    assert main([*base, "--resume"]) == 0
    assert len(last_json()["pair_ids"]) == 2
    for pair in sample_project.pairs.all():
        assert pair.frame.calibration is not None
        assert 170 <= measure(pair.ellipse, pair.frame.calibration).hc_mm <= 180
        assert pair.ellipse.angle_deg <= 5 or pair.ellipse.angle_deg >= 175


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import"], "required: PROJECT"),
        (["synthesize", "p", "--count", "many"], "invalid int value: 'many'"),
        (["synthesize", "p", "--no-such-option"], "--no-such-option"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        ([], "required: COMMAND"),
    ],
)
def test_wrong_options_are_status_2_with_the_message_in_the_json(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--json"]) == 2
    said = capsys.readouterr()
    assert message in json.loads(said.out)["error"] and "--help" in said.err
    if arguments:
        assert main(arguments) == 2
        assert capsys.readouterr().out == ""


def test_a_path_in_place_of_a_command_names_the_command_that_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my heads").mkdir()
    path = str(tmp_path / "my heads")
    monkeypatch.chdir(tmp_path)
    for word in (path, "my heads"):
        assert main([word]) == 2
        said = capsys.readouterr().err
        assert f"fetalstudio open {quoted(word)}" in said and "choose from" not in said


def test_an_error_of_ours_has_its_json_line_and_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a wheel came off")

    monkeypatch.setattr(Project, "create", broken)
    assert main(["new", str(tmp_path / "p"), "--json"]) == 1
    said = capsys.readouterr()
    assert "a wheel came off" in json.loads(said.out)["error"] and "in broken" in said.err


def test_json_has_no_nan_and_no_infinity() -> None:
    assert plain({"a": float("nan"), "b": [float("inf"), 1.0], "c": Path("x")}) == {
        "a": None,
        "b": [None, 1.0],
        "c": "x",
    }


def test_a_batch_writes_over_nothing(
    sample_project: Project, tmp_path: Path, last_json: Any
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    table = tmp_path / "table.csv"
    table.write_text(f"{HEADER}scan,200,150,80,60,10,400,300\n")
    command = ["synthesize", str(sample_project.path), "--steps", "1", "--json"]
    (mine / "scan.png").write_bytes(b"a real frame")
    assert main([*command, "--ellipses", str(table), "--out", str(mine)]) == 2
    assert "already holds scan.png" in last_json()["error"]
    assert (mine / "scan.png").read_bytes() == b"a real frame"
    assert main([*command, "--ellipses", str(table), "--out", str(mine / "scan.png")]) == 2
    assert "is a file" in last_json()["error"]
    table.write_text(f"{HEADER}a,200,150,80,60,10,400,300\na_mask,200,150,70,60,10,400,300\n")
    assert main([*command, "--ellipses", str(table), "--out", str(tmp_path / "new")]) == 2
    assert "Two of the pairs would be written as a_mask.png" in last_json()["error"]
    assert sample_project.batches.unfinished() == [] and not sample_project.pairs.all()


def test_odd_rows_of_a_table_are_named_and_the_others_made(
    sample_project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"{HEADER}good,200,150,80,60,10,400,300\nthin,200,150,0.001,0.001,0,400,300\n")
    command = ["synthesize", str(sample_project.path), "--steps", "1", "--ellipses", str(table)]
    assert main(command) == 0
    assert f"{table}, line 3: a semi-axis of 0.001 px is shorter" in " ".join(
        capsys.readouterr().err.split()
    )
    assert len(sample_project.pairs.all()) == 1


def test_a_demo_that_somebody_worked_in_stays(tmp_path: Path, samples: Path) -> None:
    out = tmp_path / "demo"
    out.mkdir()
    folder = out / "project"
    (out / ".fetalstudio-demo").touch()
    with Project.create(folder) as project:
        import_frames(project, samples)
    _make_room(out, folder)
    assert not folder.exists(), "nobody's work: made anew"
    with Project.create(folder) as project:
        import_frames(project, samples)
        project.annotations.add(
            project.frames.all()[0].id, Ellipse(300, 200, 90, 70, 0), author="me", state="draft"
        )
    with pytest.raises(UserError, match="somebody has drawn"):
        _make_room(out, folder)
    assert (folder / "project.db").is_file()


def test_a_damaged_model_takes_no_other_away(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    last_json: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FETALSTUDIO_HOME", str(tmp_path))
    broken = user_data_dir() / "models" / "broken"
    broken.mkdir(parents=True)
    (broken / "model.json").write_text("{")
    assert main(["models", "list", "--json"]) == 0
    told = capsys.readouterr()
    assert str(broken) in told.err
    assert {m["name"] for m in json.loads(told.out)["models"]} == {"compact", "judge"}
    assert main(["models", "verify", "--json"]) == 1
    told = last_json()
    (problem,) = told["problems"]
    assert (problem["kind"], problem["name"]) == (None, None), "its card cannot be read"
    assert str(broken) in problem["problem"] and problem["problem"] in told["error"]


def test_verify_names_each_damaged_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_json: Any
) -> None:
    """Also where a synthesizer and a segmenter have one name."""
    monkeypatch.setenv("FETALSTUDIO_HOME", str(tmp_path))
    assert main(["models", "verify", "--json"]) == 0
    assert last_json() == {"problems": []}
    for kind in ("synthesizer", "segmenter"):
        folder = user_data_dir() / "models" / kind
        shutil.copytree(find_model(kind, "compact").folder, folder)
        card = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps({**card, "name": "mine"}))
        weights = next(folder.rglob("*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:1000])
    assert main(["models", "verify", "--json"]) == 1
    problems = last_json()["problems"]
    assert {(p["kind"], p["name"]) for p in problems} == {
        ("synthesizer", "mine"),
        ("segmenter", "mine"),
    }
    assert all("damaged" in p["problem"] for p in problems)


def test_commands_do_what_was_asked_or_say_so(sample_project: Project, last_json: Any) -> None:
    project = str(sample_project.path)
    assert main(["propose", project, "--cohort", "HC81", "--json"]) == 2
    assert "Choose one of these: samples" in last_json()["error"]
    assert main(["train", project, "--resume", "--epochs", "3", "--name", "x", "--json"]) == 2
    assert "Leave out --epochs, --name" in last_json()["error"]
    evaluate = ["evaluate", project, "--segmenter", "compact", "--json"]
    assert main([*evaluate, "--csv", str(sample_project.path)]) == 2
    assert "is a folder" in last_json()["error"]


def test_what_an_export_cannot_hold_is_told(
    sample_project: Project, tmp_path: Path, last_json: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = sample_project.frames.all()[0]
    sample_project.frames.set_calibration(frame.id, Calibration(0.1, 0.2, "manual"))
    command = ["export", str(sample_project.path), str(tmp_path / "out"), "--format", "hc18"]
    assert main([*command, "--json"]) == 0
    told = capsys.readouterr()
    (problem,) = json.loads(told.out)["problems"]
    assert frame.name in problem and problem in told.err.replace("\n", " ")


def test_a_report_that_cannot_be_written_costs_no_figures(
    sample_project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    command = ["evaluate", str(sample_project.path), "--segmenter", "compact", "--json"]
    assert main([*command, "--report", str(tmp_path / "file" / "report.html")]) == 1
    said = capsys.readouterr()
    assert "mean" not in said.err and "Dice 0." in said.err
    line = json.loads(said.out.splitlines()[-1])
    assert "could not be written" in line["error"] and line["n"] == 16


def test_a_rank_of_zero_is_said_to_mean_no_lora(
    sample_project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: Any) -> None:
        raise UserError("no training in this test")

    monkeypatch.setattr(Console, "run", refused)
    assert main(["train", str(sample_project.path), "--lora", "0"]) == 1
    assert "--lora 0: the encoder stays as it is" in capsys.readouterr().err


def test_a_backup_is_listed_and_put_back(tmp_path: Path, last_json: Any) -> None:
    path = tmp_path / "p"
    assert main(["restore", str(path), "--json"]) == 2
    assert "has no backups" in last_json()["error"]
    damaged_database.make_project(path)
    (path / "project.db").write_bytes(b"nothing")
    assert main(["restore", str(path), "--json"]) == 0
    (backup,) = last_json()["backups"]
    assert backup["number"] == 1
    assert main(["restore", str(path), "--backup", "2", "--json"]) == 2
    assert "has no backup 2" in last_json()["error"]
    assert main(["restore", str(path), "--backup", "1", "--json"]) == 0
    assert Path(last_json()["replaced"]).read_bytes() == b"nothing"
    with Project.open(path) as project:
        assert len(project.frames.all()) == 5


def test_formats_says_what_each_can_carry(
    last_json: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["formats"]) == 0
    assert "HC18 challenge" in capsys.readouterr().err
    assert main(["formats", "--json"]) == 0
    formats = last_json()["formats"]
    assert formats["folder"]["export"] is None and formats["nifti"]["import"] is None
    assert formats["hc18"]["export"]["ellipse"] == ["ring"]
    assert formats["hc18"]["import"]["subject"] == "beside"


def test_what_a_format_cannot_carry_is_said_before_an_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = str(tmp_path / "p")
    assert main(["new", project]) == 0
    assert main(["export", project, str(tmp_path / "out"), "--format", "hc18"]) == 2
    said = capsys.readouterr().err
    assert said.index("HC18 challenge stores each ellipse") < said.index("nothing to export")
    assert said.rstrip().endswith("Import frames first.")
