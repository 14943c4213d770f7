"""Going on with an import by commands, and discarding what it had read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fetalstudio.cli import main
from fetalstudio.core.progress import Stopped
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.project import Project
from tests.doubtful import texture
from tests.progress import Watched


@pytest.fixture
def stopped(tmp_path: Path) -> tuple[str, str]:
    """A project, and the source of an import that was stopped after three of five pictures."""
    for number in range(5):
        write_png(tmp_path / "scans" / f"{number}.png", texture(number))
    answers = iter([False] * 3)
    with Project.create(tmp_path / "project") as project, pytest.raises(Stopped):
        import_frames(project, tmp_path / "scans", progress=Watched(lambda: next(answers, True)))
    return f"{tmp_path / 'project'}", f"{tmp_path / 'scans'}"


def test_an_import_goes_on(stopped: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    project, source = stopped
    assert main(["import", project, source, "--json"]) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["frames"], json.loads(out)["resumed"]) == (5, 3)
    assert "3 pictures had been read before" in err


def test_what_was_read_is_discarded(
    stopped: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    project, source = stopped
    assert main(["import", project, source, "--discard"]) == 2
    assert "--discard takes no SOURCE" in capsys.readouterr().err
    assert main(["import", project, "--discard", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"discarded": [{"pictures": 3, "total": 5}]}
    assert main(["import", project, source, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["resumed"] == 0


def test_a_source_is_needed(stopped: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", stopped[0]]) == 2
    assert "SOURCE is missing" in capsys.readouterr().err
