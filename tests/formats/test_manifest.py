"""A data set is checked against its manifest, years later and without a project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fetalstudio.cli import main
from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Stopped
from fetalstudio.formats.manifest import (
    MANIFEST,
    SYNTHETIC_FILES,
    Checked,
    check_manifest,
    write_manifest,
)
from fetalstudio.formats.pictures.picture_files import (
    FRAME_NOTE,
    SYNTHETIC_NOTE,
    encode_png,
    read_image,
    write_png,
)
from tests.progress import Watched


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "data set"
    for i, note in enumerate((FRAME_NOTE, SYNTHETIC_NOTE)):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 50), dtype=np.uint8)
        write_png(folder / "images" / f"{i}.png", pixels, note)
    (folder / "table.csv").write_text("name\n")
    write_manifest(folder)
    return folder


def test_what_was_written_is_whole(dataset: Path) -> None:
    assert check_manifest(dataset) == Checked(4, (), (), (), ())
    assert (dataset / SYNTHETIC_FILES).read_text() == "images/1.png\n"
    (dataset / "images" / ".DS_Store").write_bytes(b"x")  # nobody put it there
    assert check_manifest(dataset).whole


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="the system has no sha256sum")
def test_the_systems_own_tool_reads_the_manifest(dataset: Path) -> None:
    command = ["sha256sum", "--check", "--quiet", MANIFEST]
    assert subprocess.run(command, cwd=dataset, check=False).returncode == 0
    (dataset / "table.csv").write_text("other\n")
    assert subprocess.run(command, cwd=dataset, check=False, capture_output=True).returncode == 1


def test_every_difference_is_named(dataset: Path) -> None:
    (dataset / "images" / "0.png").unlink()
    (dataset / "table.csv").write_text("nome\n")
    (dataset / "more.txt").write_text("more")
    picture = dataset / "images" / "1.png"
    picture.write_bytes(encode_png(read_image(picture)))
    found = check_manifest(dataset)
    assert found.missing == ("images/0.png",)
    assert found.changed == ("images/1.png", "table.csv")
    assert found.added == ("more.txt",)
    assert found.unmarked == ("images/1.png",)
    assert not found.whole


def test_a_new_manifest_does_not_hide_a_mark_that_is_gone(dataset: Path) -> None:
    picture = dataset / "images" / "1.png"
    kept = (dataset / SYNTHETIC_FILES).read_bytes()
    picture.write_bytes(encode_png(read_image(picture)))
    write_manifest(dataset)
    (dataset / SYNTHETIC_FILES).write_bytes(kept)
    assert check_manifest(dataset).unmarked == ("images/1.png",)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right on Windows")
def test_a_link_or_a_pipe_is_no_file_of_the_data_set(dataset: Path, tmp_path: Path) -> None:
    table = dataset / "table.csv"
    shutil.move(table, tmp_path / "table.csv")
    table.symlink_to(tmp_path / "table.csv")
    (dataset / "images" / "0.png").unlink()
    os.mkfifo(dataset / "images" / "0.png")
    assert check_manifest(dataset).missing == ("images/0.png", "table.csv")


@pytest.mark.parametrize(
    "line",
    [
        f"{'0' * 64}  ../outside.png",
        f"{'0' * 64}  /etc/passwd",
        f"{'0' * 64}  C:\\x.png",
        f"{'0' * 63}  x.png",
        f"{'0' * 64}x.png",
        "",
    ],
)
def test_a_damaged_manifest_is_refused(dataset: Path, line: str) -> None:
    with (dataset / MANIFEST).open("a") as stream:
        stream.write(f"{line}\n")
    with pytest.raises(InputError, match=rf"{MANIFEST}, line 5"):
        check_manifest(dataset)
    (dataset / MANIFEST).write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is damaged"):
        check_manifest(dataset)


def test_a_folder_that_is_no_data_set(dataset: Path) -> None:
    (dataset / MANIFEST).unlink()
    with pytest.raises(InputError, match=f"has no {MANIFEST}"):
        check_manifest(dataset)
    with pytest.raises(InputError, match="is not a folder"):
        check_manifest(dataset / "nowhere")


def test_it_can_be_stopped(dataset: Path) -> None:
    with pytest.raises(Stopped):
        check_manifest(dataset, Watched(lambda: True))


def test_the_command_says_what_it_found(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(dataset), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 4
    (dataset / "table.csv").write_text("nome\n")
    assert main(["verify", str(dataset), "--json"]) == 1
    out, said = capsys.readouterr()
    assert json.loads(out)["changed"] == ["table.csv"]
    assert "changed: table.csv" in said and "1 changed" in said
    assert main(["verify", str(dataset / "images")]) == 2
