"""Atomic writing: all of the new file, or the old one, and never anything else in the folder."""

from __future__ import annotations

import os
import secrets
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.formats import files
from fetalstudio.formats.files import atomic_folder, atomic_path, write_bytes

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such limits and masks")


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.bin"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_the_temporary_file_is_beside_the_target_and_keeps_its_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "model.safetensors") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".safetensors"
        assert temporary.name.startswith(".part-")
        assert temporary.exists()
        temporary.write_bytes(b"weights")
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("error", [RuntimeError("crash"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")
    with pytest.raises(type(error)), atomic_path(path) as temporary:
        temporary.write_bytes(b"half of the n")
        raise error
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


@posix
def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path: Path) -> None:
    """The limit on a file's size makes the system itself fail in the middle of the write."""
    import resource

    path = tmp_path / "file.bin"
    write_bytes(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(UserError, match=r"file\.bin could not be written.*try again"):
            write_bytes(path, bytes(2 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def test_a_folder_that_cannot_be_made_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="could not be written"):
        write_bytes(tmp_path / "file" / "below.bin", b"data")


@posix
def test_an_unwritable_folder_is_a_user_error(tmp_path: Path) -> None:
    user = os.geteuid()
    tmp_path.chmod(0o500)
    if user == 0:  # The superuser may write anywhere, so nobody tries.
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match="folder is writable"):
            write_bytes(tmp_path / "file.bin", b"data")
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_files_place_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError, match="taken could not be written"):
        write_bytes(tmp_path / "taken", b"data")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_permissions_follow_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "file.bin", b"data")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file.bin").stat().st_mode) == 0o666 & ~umask


def test_readers_see_the_old_or_the_new_file_and_nothing_between(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    contents = [bytes([value]) * 200_000 for value in (1, 2)]
    write_bytes(path, contents[0])

    def write_often(content: bytes) -> None:
        for _ in range(15):
            write_bytes(path, content)

    writers = [threading.Thread(target=write_often, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(path.read_bytes())
    assert seen <= set(contents)
    assert seen
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def test_a_folder_takes_all_of_the_new_files_or_none(tmp_path: Path) -> None:
    model = tmp_path / "model"
    for text in (b"one", b"two"):
        with atomic_folder(model) as temporary:
            write_bytes(temporary / "unet" / "weights", text)
            write_bytes(temporary / "card", text)
            assert temporary.parent == tmp_path and temporary.name.startswith(".part-")
    with pytest.raises(RuntimeError), atomic_folder(model) as temporary:
        write_bytes(temporary / "card", b"three")
        raise RuntimeError
    assert (model / "unet" / "weights").read_bytes() == b"two"
    assert (model / "card").read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert len([p for p in model.rglob("*") if p.is_file()]) == 2


def test_a_folder_in_the_way_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    folder = atomic_folder(tmp_path / "file" / "model")
    with pytest.raises(UserError, match="could not be written"), folder:
        pass


def _dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _left_by(process: int, folder: Path) -> Path:
    """What a process of this number has left half-written in ``folder``."""
    left = folder / f".part-{files._MACHINE}-{process}-{secrets.token_hex(8)}"
    (left / "training_set").mkdir(parents=True)
    (left / "training_set" / "a.png").write_bytes(b"half")
    return left


@pytest.mark.parametrize("inside", [True, False])
def test_what_a_killed_process_left_does_not_block_the_next(inside: bool, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    left = _left_by(_dead(), out if inside else tmp_path)
    with files.new_folder(out) as folder:
        (folder / "a").write_bytes(b"a")
    assert (out / "a").read_bytes() == b"a" and not left.exists()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "out"]


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    left = _left_by(os.getppid(), out)
    with pytest.raises(InputError, match="not empty"), files.new_folder(out):
        pass
    assert left.exists()


def test_a_dead_predecessor_of_the_same_number_is_recognised(tmp_path: Path) -> None:
    left = _left_by(os.getpid(), tmp_path)
    with files.new_folder(tmp_path / "out"), files.new_folder(tmp_path / "other"):
        pass
    assert not left.exists() and {p.name for p in tmp_path.iterdir()} == {"out", "other"}


def test_a_leftover_of_a_killed_write_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f".part-{files._MACHINE}-{_dead()}-{secrets.token_hex(8)}.csv"
    left.write_bytes(b"half")
    files.write_bytes(tmp_path / "scores.csv", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def test_errors_name_no_hidden_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError) as raised, files.new_folder(out) as folder:
        (folder / "a").write_bytes(b"")
        files.write_bytes(folder / "a" / "b.png", b"")
    assert f"{out / 'a' / 'b.png'} could not be written" in str(raised.value)
    assert ".part-" not in str(raised.value)
