"""What an import stores of names, numbers and dates: only what a person asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fetalstudio.cli.main import main
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.formats.privacy.identifiers import looks_like
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.project import Project
from tests.project.kinds import Picture


@pytest.mark.parametrize(
    ("text", "likeness"),
    [
        *(
            (t, "a person's name")
            for t in ("Meier Anna", "meier_anna", "MeierAnna", "M\u00fcller", "Ben")
        ),
        *((t, "a person's name") for t in ("\u738b\u82b3", "Dr Smith's clinic", "site Meier")),
        *(
            (t, "a number")
            for t in ("90817263", "P001", "12", "908-172", "\u0661\u0662\u0663\u0664")
        ),
        *((t, "a date") for t in ("1985-12-31", "31.12.85", "19851231", "12 Mar 1985")),
        *((t, None) for t in ("clinic", "Scanner A", "HC18", "siteB", "EGY", "Voluson E8")),
        *(
            (t, None)
            for t in ("Trans-thalamic", "Fetal brain", "Maternal cervix", "Aloka", "Other")
        ),
        *(
            (t, "a person's name")
            for t in ("L\u00ea V\u00f5", "\u0110\u1ed7", "B\u00f6", "\u738b", "Strong", "Ok")
        ),
        *((t, None) for t in ("uncertain", "cut", "partially cropped", "faint", "Doubtful")),
        *((t, None) for t in ("n\u00edtido", "coup\u00e9", "unvollst\u00e4ndig", "mauvaise")),
        *((t, None) for t in ("test_set", "hospital-2", "clinic 2023", "clear", "Egypt", "PSFHS")),
        *((t, None) for t in ("HC18 wide", "src1", "preprocessed_rgb")),
    ],
)
def test_what_a_text_looks_like(text: str, likeness: str | None) -> None:
    assert looks_like(text) == likeness


def names(project: Project) -> list[str]:
    return [frame.name for frame in project.frames.all()]


def test_names_are_neutral_unless_they_are_kept(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    for i, name in enumerate(("Meier Anna 1985-12-31 5", "Doe", "0007_HC", "007_2HC")):
        write_png(tmp_path / "clinic" / f"{name}.png", picture(i))
    import_frames(project, tmp_path / "clinic")
    # Names as in HC18 are those of a public data set, and too short to be anybody's number.
    assert names(project) == ["007_2HC", "frame-00001", "frame-00002", "frame-00003"]
    first = [frame.id for frame in project.frames.all() if frame.name == "frame-00001"]
    project.amendments.remove(first, author="me")
    write_png(tmp_path / "scanner" / "Roe.png", picture(8))
    write_png(tmp_path / "scanner" / "Doe.png", picture(1))  # is there already
    write_png(tmp_path / "scanner" / "Zoe.png", picture(9))
    import_frames(project, tmp_path / "scanner")
    assert names(project)[-2:] == ["frame-00004", "frame-00005"]
    write_png(tmp_path / "probe" / "Roe.png", picture(10))
    import_frames(project, tmp_path / "probe", options=ImportOptions(keep_names=True))
    assert "Roe" in names(project)


def test_a_folder_that_may_name_a_patient_is_not_a_cohort(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    source = tmp_path / "Meier Anna"
    write_png(source / "a.png", picture(1))
    report = import_frames(project, source)
    (problem,) = report.problems
    assert (
        "looks like a person's name" in problem and "--cohort" in problem and "Meier" not in problem
    )
    assert report.cohort == "cohort-1" and project.frames.cohorts() == ["cohort-1"]
    write_png(source / "b.png", picture(2))
    assert import_frames(project, source).cohort == "cohort-1"  # with the frame that is there
    write_png(tmp_path / "Doe" / "c.png", picture(3))
    assert import_frames(project, tmp_path / "Doe").cohort == "cohort-2"
    write_png(tmp_path / "Doe" / "d.png", picture(4))
    assert import_frames(project, tmp_path / "Doe", cohort="Doe").problems == ()
    assert import_frames(project, tmp_path / "Doe").problems == ()  # a person chose it before
    assert project.frames.cohorts() == ["Doe", "cohort-1", "cohort-2"]


def test_labels_that_may_name_a_patient_are_left_out_unless_they_are_kept(
    project: Project,
    picture: Picture,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / "clinic"
    for i in range(2):
        write_png(source / f"{i}.png", picture(i))
    (source / "t.csv").write_text(
        "filename,site,quality,Patient name,MRN,birth date\n"
        "0.png,Barcelona,clear,Meier Anna,90817263,1985-12-31\n1.png,Site A,3,Doe,9,1990-01-01\n"
    )
    path = str(project.path)
    assert main(["import", path, str(source), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[-1])["doubtful_labels"] == {"site": "a person's name"}
    assert "--keep-labels site" in said.err and "Barcelona" not in said.err
    labels = [dict(frame.labels) for frame in project.frames.all()]
    assert labels == [{"quality": "clear"}, {"quality": "3"}]
    assert main(["import", path, str(source), "--keep-labels", "site"]) == 0
    assert {frame.labels["site"] for frame in project.frames.all()} == {"Barcelona", "Site A"}
    assert main(["import", path, str(source), "--keep-labels", "MRN"]) == 0
    assert "The source has no labels 'MRN' that could be kept. It has: quality, site." in (
        capsys.readouterr().err
    )
    assert all(set(frame.labels) <= {"quality", "site"} for frame in project.frames.all())
