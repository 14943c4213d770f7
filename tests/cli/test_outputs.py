"""What options that name a file or a person refuse, before anything is written."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from fetalstudio.cli.main import main
from fetalstudio.cli.outputs import author, output_file
from fetalstudio.project.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "project") as made:
        yield made


@pytest.mark.parametrize(
    "inside", ["project.db", "PROJECT.DB", "project.db-wal", "frames/ab/cd.png", "models/x.json"]
)
def test_no_table_replaces_what_the_project_keeps(
    project: Project, inside: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (project.path / "project.db").read_bytes()
    for command in (
        ["readings", project.path, "export", project.path / inside],
        ["readings", project.path, "agreement", "--csv", project.path / inside],
        ["log", project.path, "--csv", project.path / inside],
        ["evaluate", project.path, "--csv", project.path / inside],
        ["evaluate", project.path, "--report", project.path / inside],
    ):
        assert main([str(part) for part in command]) != 0
        assert "belongs to the project" in capsys.readouterr().err
    assert (project.path / "project.db").read_bytes() == before


def test_a_table_may_lie_among_the_exports_or_elsewhere(project: Project, tmp_path: Path) -> None:
    for path in (project.path / "exports" / "a.csv", tmp_path / "frames" / "a.csv"):
        assert output_file(str(path)) == path


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x1b[31m", "a\u200b"])
def test_an_author_cannot_forge_a_line_of_the_log(name: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        author(name)
    assert author(" Béa ") == "Béa"
