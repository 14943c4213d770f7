"""The command ``import``: what it says about subjects, and the value of the head in masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from fetalstudio.cli.main import main
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.formats.pictures.picture_files import read_image, write_png
from fetalstudio.formats.sources import FORMATS
from fetalstudio.project.project import Project
from tests.skulls import skull


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three frames; the mask of one shows a head (2) and something else (1)."""
    folder = tmp_path / "clinic"
    for i in range(3):
        picture = np.random.default_rng(i).integers(0, 256, (80, 96), dtype=np.uint8)
        write_png(folder / f"{i}_x.png", picture)
    labels = Ellipse(48.0, 68.0, 20.0, 9.0, 0.0).mask((96, 80))
    labels[Ellipse(48.0, 36.0, 30.0, 22.0, 20.0).mask((96, 80)) > 0] = 2
    write_png(folder / "0_x_mask.png", labels)
    return folder


def test_the_number_of_subjects_is_said(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = str(tmp_path / "p")
    assert main(["new", project]) == 0
    assert main(["import", project, str(source), "--json"]) == 0
    said = capsys.readouterr()
    assert "3 frames of 3 subjects. Each frame counts as a patient of its own." in said.err
    assert "set-subject" in said.err
    assert json.loads(said.out.splitlines()[-1])["subjects"] == 3
    (source / "t.csv").write_text("filename,pid\n0_x.png,1\n1_x.png,1\n2_x.png,2\n")
    second = str(tmp_path / "q")
    assert main(["new", second]) == 0
    assert main(["import", second, str(source)]) == 0
    said = capsys.readouterr()
    assert "3 frames of 2 subjects." in said.err
    assert "patient of its own" not in said.err


def test_the_value_of_the_head_is_stated(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = str(tmp_path / "p")
    assert main(["new", project]) == 0
    assert main(["import", project, str(source), "--json"]) == 0
    said = capsys.readouterr()
    assert "0_x_mask.png shows several structures, with the values 1, 2" in said.err
    assert json.loads(said.out.splitlines()[-1])["annotated"] == 0
    assert main(["import", project, str(source), "--mask-value", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["annotated"] == 1
    assert main(["import", project, str(source), "--mask-value", "two", "--json"]) == 2
    assert "'two' is no value of a mask" in capsys.readouterr().err


def test_a_dry_run_lists_what_would_come_and_writes_the_questions_down(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, file = str(tmp_path / "p"), tmp_path / "choices.json"
    (source / "scan.webp").write_bytes(b"x")
    assert main(["new", project]) == 0
    run = ["import", project, str(source), "--choices", str(file), "--json"]
    assert main([*run, "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "Nothing was imported. Cohort clinic: 3 frames of 3 subjects, 0 with" in said.err
    for words in (
        ("0_x.png", "frame", "head"),
        ("scan.webp", "not read"),
        ("0_x_mask.png", "annot"),
    ):
        assert any(all(w in line for w in words) for line in said.err.splitlines()), said.err
    plan = json.loads(said.out.splitlines()[-1])
    assert plan["counts"]["in_doubt"] == 1 and plan["frames"][0]["doubts"][0]["question"] == "head"
    choices = json.loads(file.read_text())
    assert "--answer head ANSWER 0_x.png. none: Take no ellipse; 1: The head has" in said.err
    assert choices["files"] == {"0_x.png": {"head": None}}
    assert list(choices["doubts"][0]["answers"]) == ["none", "1", "2"]
    assert main(run) == 0  # nothing was answered yet
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["frames"], result["annotated"], result["in_doubt"]) == (3, 0, 1)
    choices["files"]["0_x.png"]["head"] = "2"
    file.write_text(json.dumps(choices))
    assert main(run) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["annotated"], result["in_doubt"]) == (1, 0)


def test_a_dry_run_asks_once_about_a_table_and_says_which_names_are_taken(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = str(tmp_path / "p")
    (source / "0_x_mask.png").unlink()
    assert main(["new", project]) == 0
    assert main(["import", project, str(source), "--keep-names"]) == 0
    picture = np.random.default_rng(7).integers(0, 256, (80, 96), dtype=np.uint8)
    write_png(source / "1_x.png", picture)
    rows = "".join(f"{i}_x.png,48,36,30,22,20\n" for i in range(3))
    (source / "ellipses.csv").write_text(f"name,cx,cy,a,b,angle_deg\n{rows}")
    capsys.readouterr()
    run = ["import", project, str(source), "--dry-run", "--json"]
    assert main([*run, "--keep-names"]) == 0
    said = capsys.readouterr()
    assert said.err.count("are semi-axes or diameters") == 1
    assert "--answer axes ANSWER. proposal: Take the ellipse as a proposal" in said.err
    taken = "has 1 frame of the same name with other pixels, so what comes gets a number: 1_x."
    assert taken in said.err
    assert any(taken in problem for problem in json.loads(said.out.splitlines()[-1])["problems"])
    assert main(run) == 0
    assert taken not in capsys.readouterr().err


def test_a_dry_run_says_for_which_frames_an_answer_about_one_of_several_tables_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("0_x.png", "a [1]/1_x.png", "a [1]/2_x.png", "b/3_x.png"):
        grey = np.random.default_rng(sum(map(ord, place))).integers(0, 256, (80, 96))
        write_png(tmp_path / "scans" / place, grey.astype(np.uint8))
    header = "name,cx,cy,a,b,angle_deg\n"
    for place, rows in {".": (0,), "a [1]": (1, 2), "b": (3,)}.items():
        table = header + "".join(f"{i}_x.png,48,36,30,22,20\n" for i in rows)
        (tmp_path / "scans" / place / "ellipses.csv").write_text(table)
    project = str(tmp_path / "p")
    assert main(["new", project]) == 0
    run = ["import", project, str(tmp_path / "scans"), "--dry-run", "--json"]
    capsys.readouterr()
    assert main(run) == 0
    said = capsys.readouterr().err
    for files in ("0_x.png", "'a [[]1]/*'", "'b/*'"):
        assert f"--answer axes ANSWER {files}. proposal:" in said
    assert main([*run, "--answer", "axes", "as-read", "a [[]1]/*"]) == 0
    frames = json.loads(capsys.readouterr().out.splitlines()[-1])["frames"]
    assert {f["file"] for f in frames if f["certain"]} == {"a [1]/1_x.png", "a [1]/2_x.png"}


def test_answers_are_options(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = str(tmp_path / "p")
    assert main(["new", project]) == 0
    run = ["import", project, str(source), "--json"]
    answers = ["--answer", "head", "2", "--answer", "role", "leave-out", "1_x.png", "2*"]
    assert main([*run, *answers]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["frames"], result["annotated"]) == (1, 1)
    for wrong, message in (
        (["--answer", "head"], "--answer head lacks the answer"),
        (["--answer", "role", "frame", "9.png"], "has no picture 9.png"),
        (["--choices", str(tmp_path / "none.json")], "none.json"),
        (["--choices", str(source / "0_x.png")], "is no file of choices"),
    ):
        assert main([*run, *wrong]) == 2
        assert message in capsys.readouterr().err


def test_an_import_is_taken_back_and_done_again(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = str(tmp_path / "p")
    assert main(["new", project]) == 0
    assert main(["import", project, str(source), "--json"]) == 0
    said = capsys.readouterr()
    assert f"To take the import back: fetalstudio frames {project} undo 1" in said.err
    assert json.loads(said.out.splitlines()[-1])["amendment"] == 1
    assert main(["frames", project, "log"]) == 0
    assert "command line: imported 3 frames" in capsys.readouterr().err
    for action, frames in (("undo", 0), ("redo", 3), ("undo", 0)):
        assert main(["frames", project, action, "1"]) == 0
        capsys.readouterr()
        assert main(["frames", project, "list", "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["frames"]) == frames
    assert main(["frames", project, "log"]) == 0
    said = capsys.readouterr()
    for words in ("undid: imported 3 frames", "did again: imported 3 frames", "(undone)"):
        assert words in said.err
    assert "-00001: imported into cohort clinic" in said.err and "-00001: restored" in said.err


def test_the_label_of_the_head_is_stated(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "0_x_mask.png").unlink()
    heads = {
        label: Ellipse(48.0, 40.0, a, 12.0, 0.0) for label, a in (("caput", 30), ("Bauch", 20))
    }
    shapes = [
        {"label": label, "points": (head.contour(40) + 0.5).tolist(), "shape_type": "polygon"}
        for label, head in heads.items()
    ]
    found = {"shapes": shapes, "imagePath": "1_x.png", "imageHeight": 80, "imageWidth": 96}
    (source / "1_x.json").write_text(json.dumps(found))
    project = str(tmp_path / "p")
    assert main(["new", project]) == 0
    assert main(["import", project, str(source), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[-1])["annotated"] == 0
    assert "'Bauch', 'caput'" in said.err and "--head-label" in said.err
    assert main(["import", project, str(source), "--head-label", "caput", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["annotated"] == 1
    with Project.open(Path(project)) as opened:
        ellipses = (opened.annotations.newest(frame.id) for frame in opened.frames.all())
        (annotation,) = (e for e in ellipses if e is not None)
    assert annotation.ellipse is not None and abs(annotation.ellipse.a - 30) < 0.1


@pytest.mark.slow
def test_every_format_is_exported_and_imported_again(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = str(tmp_path / "p")
    assert main(["new", project]) == 0
    assert main(["import", project, str(source), "--mask-value", "2"]) == 0
    for format in EXPORTS:
        out = tmp_path / format
        assert main(["export", project, str(out), "--format", format]) == 0
        said = " ".join(capsys.readouterr().err.split())
        assert EXPORTS[format].lost in said[: said.index("Wrote 3 frames")]
        assert main(["verify", str(out)]) == 0
        for stated in ("auto", *({format} & FORMATS.keys())):
            back = str(tmp_path / f"back-{format}-{stated}")
            assert main(["new", back]) == 0
            capsys.readouterr()
            assert main(["import", back, str(out), "--format", stated, "--json"]) == 0
            told = json.loads(capsys.readouterr().out.splitlines()[-1])
            # A submission needs a pixel size, which these frames lack.
            assert (told["frames"], told["annotated"]) == (3, int(format != "hc18-submission"))


def test_the_frames_of_a_video_are_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "sweep" / "P7.tif"
    video.parent.mkdir()
    rng = np.random.default_rng(0)
    pages = [Image.fromarray(rng.integers(0, 250, (48, 64)).astype(np.uint8)) for _ in range(7)]
    pages[0].save(video, save_all=True, append_images=pages[1:])
    for i, (choice, names) in enumerate(
        {
            ("--frames", "first"): ["P7_0001"],
            ("--frames", "middle"): ["P7_0004"],
            ("--frames", "last"): ["P7_0007"],
            ("--every", "3"): ["P7_0001", "P7_0004", "P7_0007"],
            ("--frames", "all"): [f"P7_{n:04}" for n in range(1, 8)],
            (): [f"P7_{n:04}" for n in range(1, 8)],
        }.items()
    ):
        project = str(tmp_path / f"p{i}")
        assert main(["new", project]) == 0
        assert main(["import", project, str(video.parent), "--keep-names", *choice]) == 0
        with Project.open(Path(project)) as opened:
            frames = opened.frames.all()
            assert [frame.name for frame in frames] == names
            assert {frame.subject for frame in frames} == {opened.patients.key("P7")}
    capsys.readouterr()
    assert main(["import", project, str(video.parent), "--every", "0", "--json"]) == 2
    assert "'every 0' is no answer to frames" in capsys.readouterr().err


def test_a_dry_run_asks_once_where_all_ellipses_belong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, source, size = str(tmp_path / "p"), tmp_path / "clinic", (160, 120)
    for i in range(4):
        head = Ellipse(60.0 + 4 * i, 66.0 - 3 * i, 30.0, 21.0, 20.0 + 8 * i)
        write_png(source / f"{i}_x.png", skull(head, i, size))
        write_png(source / f"{i}_x_mask.png", head.mask(size)[:, ::-1] * np.uint8(255))
    assert main(["new", project]) == 0
    assert main(["import", project, str(source), "--dry-run"]) == 0
    said = "".join(capsys.readouterr().err.split())
    assert said.count("Answerwith") == said.count("Answerwith--answerplaceANSWER.proposal:") == 1


def test_a_dry_run_asks_once_about_what_several_frames_share(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, slices = str(tmp_path / "p"), tmp_path / "volume"
    slices.mkdir()
    labels = np.stack([read_image(source / "0_x_mask.png")] * 2)
    pictures = np.stack([read_image(source / f"{i}_x.png") for i in range(2)])
    for name, stack in (("scan.nrrd", pictures), ("scan_mask.nrrd", labels)):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(stack), str(slices / name))
    assert main(["new", project]) == 0
    assert main(["import", project, str(slices), "--dry-run"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    keys = "'scan.nrrd#scan_0001' 'scan.nrrd#scan_0002'"
    assert said.count("Answer with") == 1 and f"--answer head ANSWER {keys}. none" in said
