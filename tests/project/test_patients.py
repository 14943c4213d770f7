"""The keys of patients, and the secret that they are made from."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fetalstudio.cli.main import main
from fetalstudio.core.errors import InputError
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.formats.privacy.subjects import subject_key
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.patients import keyed
from fetalstudio.project.project import Project
from fetalstudio.resources import user_config_dir
from tests.project.kinds import Contents, Picture


@pytest.fixture
def source(tmp_path: Path, picture: Picture) -> Path:
    """A frame of the patient with the number 9081726, in a folder of hers."""
    write_png(tmp_path / "clinic" / "9081726" / "a.png", picture(1))
    return tmp_path / "clinic"


@pytest.fixture
def to_other_computer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """From its call on the user's settings are those of another computer."""
    return lambda: monkeypatch.setenv("FETALSTUDIO_HOME", str(tmp_path / "other-home"))


def test_a_number_is_not_found_by_trying_all(project: Project, source: Path) -> None:
    """Trying is as good as with any other secret: the key depends on all of it."""
    import_frames(project, source)
    (subject,) = {frame.subject for frame in project.frames.all()}
    assert subject == project.patients.key("9081726")
    secrets = [b"", bytes(32), project.patients.project_id.encode(), os.urandom(32)]
    near = map(str, range(9_081_000, 9_082_000))
    tried = {keyed(secret, subject_key(number)) for number in near for secret in secrets}
    assert subject not in tried
    stored = project.path.rglob("*")
    secret = next((user_config_dir() / "secrets").iterdir()).read_text()
    held = b"".join(path.read_bytes() for path in stored if path.is_file())
    words = [word for word in secret.split('"') if len(word) == 64]
    assert len(words) == 1
    assert words[0].encode() not in held and bytes.fromhex(words[0]) not in held


def test_two_projects_give_a_patient_different_keys(project: Project, tmp_path: Path) -> None:
    with Project.create(tmp_path / "second") as second:
        assert second.patients.project_id != project.patients.project_id
        assert second.patients.key("Meier") != project.patients.key("Meier")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_its_owner_can_read_the_secret(project: Project, tmp_path: Path) -> None:
    project.patients.keys()
    project.patients.export_secret(tmp_path / "copy.json")
    for path in (next((user_config_dir() / "secrets").iterdir()), tmp_path / "copy.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_name_has_one_key_in_a_file_and_in_a_table(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    write_png(tmp_path / "s" / "Doe Jane.png", picture(1))
    write_png(tmp_path / "s" / "b.png", picture(2))
    (tmp_path / "s" / "t.csv").write_text("filename,patient name\nb.png, Doe Jane\n")
    assert import_frames(project, tmp_path / "s").subjects == 1
    assert {f.subject for f in project.frames.all()} == {project.patients.key("Doe Jane ")}


def test_an_older_project_keeps_the_keys_of_the_patients_whom_it_knows(
    project: Project, picture: Picture, source: Path
) -> None:
    """Otherwise the new frames of a patient would be of another subject than the old ones."""
    clear = project.frames.add(picture(5), name="1", cohort="c", subject="Patient00392")[0]
    hashed = subject_key("9081726")
    project.frames.add(picture(6), name="2", cohort="c", subject=hashed)
    write_png(source / "Patient00392_Plane3.png", picture(7))
    import_frames(project, source)
    assert {f.subject for f in project.frames.all()} == {clear.subject, hashed}


def test_without_the_secret_an_import_is_refused_until_it_is_copied(
    project: Project,
    source: Path,
    picture: Picture,
    to_other_computer: Callable[[], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import_frames(project, source)
    path, file = str(project.path), str(tmp_path / "secret.json")
    key = project.patients.key("9081726")
    assert main(["secret", path, "export", file]) == 0
    assert main(["secret", path, "export", file]) == 2
    inside = str(project.path / "secret.json")
    assert main(["secret", path, "export", inside]) == 2
    to_other_computer()
    write_png(source / "9081726" / "b.png", picture(2))
    capsys.readouterr()
    assert main(["import", path, str(source)]) == 2
    said = capsys.readouterr().err
    for part in ("not on this computer", "a second key", "export FILE", "import FILE", "renew"):
        assert part in said
    assert main(["frames", path, "set-subject", "9081726", "--name", "*"]) == 2
    assert len(project.frames.all()) == 1
    assert main(["secret", path, "export", str(tmp_path / "no.json")]) == 2
    assert main(["secret", path, "import", file]) == 0
    assert main(["import", path, str(source)]) == 0
    assert {frame.subject for frame in project.frames.all()} == {key}
    assert len(project.frames.all()) == 2


def test_a_lost_secret_is_renewed_on_request_only(
    project: Project, to_other_computer: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    path, before = str(project.path), project.patients.key("Meier")
    assert main(["secret", path, "renew", "--yes"]) == 2
    assert "is on this computer" in capsys.readouterr().err
    to_other_computer()
    assert main(["secret", path, "renew"]) == 2
    assert "other keys" in capsys.readouterr().err
    with pytest.raises(InputError, match="not on this computer"):
        project.patients.keys()
    assert main(["secret", path, "renew", "--yes"]) == 0
    assert project.patients.key("Meier") != before


def test_the_secret_of_another_project_and_damaged_files_are_refused(
    project: Project, tmp_path: Path, contents: Contents
) -> None:
    project.patients.keys()
    with Project.create(tmp_path / "second") as second:
        second.patients.keys()
        second.patients.export_secret(tmp_path / "second.json")
    good = (tmp_path / "second.json").read_text()
    before = contents(user_config_dir())
    for text in (good, good[:-9], "[]", "\0", '{"format": "fetalstudio-secret-1"}', good * 99):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InputError, match=r"bad\.json"):
            project.patients.import_secret(tmp_path / "bad.json")
    assert contents(user_config_dir()) == before


def test_a_copy_of_the_project_knows_the_same_patients(project: Project, tmp_path: Path) -> None:
    key = project.patients.key("Meier")
    project.save_copy(tmp_path / "copy")
    shutil.copytree(project.path, tmp_path / "copied")
    for name in ("copy", "copied"):
        with Project.open(tmp_path / name) as copy:
            assert copy.patients.key("Meier") == key


def test_an_import_of_nothing_makes_no_secret(project: Project, source: Path) -> None:
    shutil.rmtree(source / "9081726")
    with pytest.raises(InputError):
        import_frames(project, source)
    assert not (user_config_dir() / "secrets").exists()


def test_the_numbers_of_hc18_stay_so_that_splits_are_the_same_everywhere(
    project: Project, samples: Path, tmp_path: Path
) -> None:
    import_frames(project, samples)
    with Project.create(tmp_path / "second") as second:
        import_frames(second, samples)
        subjects = [frame.subject for frame in second.frames.all()]
    assert subjects == [frame.subject for frame in project.frames.all()]
    assert all(len(s) == 3 and s.isdecimal() for s in subjects)
    # Longer numbers, which may be a hospital's, do not.
    assert [project.patients.key(n) for n in ("7", "1234", "90817")] != ["7", "1234", "90817"]
    assert project.patients.key("1234").startswith("subject-")
