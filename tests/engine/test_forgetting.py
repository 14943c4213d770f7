"""Forgetting a patient leaves no byte of her frames, and says before what it takes with it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.cli.main import BAD_INPUT, OK, main
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.forgetting import forget, plan_forgetting
from fetalstudio.engine.models.catalogue import FoundModel
from fetalstudio.formats.manifest import remove_listed
from fetalstudio.formats.model_card import Kind, hashed_subject, write_seen_subjects
from fetalstudio.project.exporting.places import export_places
from fetalstudio.project.project import Project
from fetalstudio.project.store.database import Database
from fetalstudio.project.store.pixels import picture_id
from fetalstudio.project.store.records import Frame
from tests.progress import Watched

ELLIPSE = Ellipse(48, 32, 20, 15, 10)
NAME, LABEL, AUTHOR = "Quaresma_1", "Meier-scan", "reader Nakamura"
"""What is said of the patient's frames alone."""


def picture(seed: int) -> NDArray[np.uint8]:
    """Noise: no two rows of two pictures are the same."""
    return np.random.default_rng(seed).integers(0, 256, (64, 96), dtype=np.uint8)


def traces(folder: Path, texts: list[str], pictures: list[NDArray[np.uint8]]) -> list[str]:
    """Which files below a folder hold one of the texts, or a row of one of the pictures."""
    rows = [bytes(row) for one in pictures for row in (one[0], one[20], one[-1])]
    needles = [text.encode() for text in texts] + rows
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        contents = [str(path.relative_to(folder)).encode(), path.read_bytes()]
        if path.suffix == ".png":
            decoded = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert decoded is not None
            contents.append(decoded.tobytes())
        if any(needle in content for needle in needles for content in contents):
            found.append(str(path.relative_to(folder)))
    return found


def filled(path: Path) -> tuple[Project, list[Frame]]:
    """A project with two frames of the patient, one of another, and all that can be made of it."""
    project = Project.create(path)
    frames = []
    for number, (name, subject) in enumerate(
        [(NAME, "subject-aaaaaaaaaaaaaaaa"), ("second", "subject-aaaaaaaaaaaaaaaa"), ("c", "s2")]
    ):
        calibration = Calibration(0.123456 if number < 2 else 0.2, 0.2, "table")
        frame, _ = project.frames.add(
            picture(number), name=name, cohort="c", subject=subject, calibration=calibration
        )
        frames.append(frame)
        if number < 2:
            project.frames.set_labels(frame.id, {"scanner": LABEL})
            project.annotations.add(frame.id, ELLIPSE, author=AUTHOR, state="final")
    # A frame of another patient that was taken for one of hers, and was corrected.
    project.amendments.set_subject([frames[2].id], frames[0].subject, author="me")
    project.recover()
    project.amendments.set_subject([frames[2].id], "s3", author="me")
    pair = project.pairs.add(
        picture(7),
        name="made of Quaresma",
        ellipse=ELLIPSE,
        cohort="synthetic",
        calibration=None,
        quality={"dice": 0.9},
        provenance={"source_frame": frames[0].id},
    )
    project.pairs.review(pair.id, "accepted", reviewer="me")
    project.parts.divide(frame.subject for frame in project.frames.all())
    project.recover()
    return project, frames


def with_models(project: Project, frames: list[Frame]) -> None:
    """One that learned from the patient, one that started from it, and one that did neither."""
    run = project.runs.start("first", {"job": "train"}, {"train": [frames[0].id]})
    project.runs.update(run.id, state="finished")
    later = project.runs.start("later", {"job": "train", "started_from": "first"}, {"train": []})
    project.runs.update(later.id, state="finished")
    unrelated = project.runs.start("unrelated", {"job": "train"}, {"train": [frames[2].id]})
    project.runs.update(unrelated.id, state="finished")
    for name, record in (("first", run), ("later", later), ("unrelated", unrelated)):
        folder = project.path / "models" / str(record.id)
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(json.dumps({"name": name}))
        project.models.add(name, "segmenter", f"models/{record.id}", run_id=record.id)
    # One from elsewhere, of which only the hashes of its subjects are known.
    folder = project.path / "models" / "9"
    folder.mkdir()
    write_seen_subjects(folder, [hashed_subject(frames[0].subject)])
    project.models.add("given", "segmenter", "models/9")
    project.models.adopt("segmenter", "first")


def test_no_byte_of_a_forgotten_patient_is_left(tmp_path: Path) -> None:
    project, frames = filled(tmp_path / "p")
    path = project.path
    project.close()
    project = Project.open(path)
    export = path / "exports" / "all"
    assert main(["export", str(path), str(export), "--format", "coco"]) == OK
    cached = path / "cache" / "embeddings" / f"{frames[0].id}.safetensors"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(picture(0).tobytes())
    shutil.copy(path / "project.db", path / "project.db.version-3")
    backup = next((path / "backups").glob("*.db"))
    shutil.copy(backup, f"{backup}.version-3")
    # One that was removed before and could still be restored.
    project.amendments.remove([frames[1].id], author="me")
    texts = [frames[0].id, frames[1].id, frames[0].subject, NAME, LABEL, AUTHOR, "made of Quaresma"]
    pictures = [picture(0), picture(1), picture(7)]
    before = traces(path, texts, pictures)
    assert {Path(name).parts[0] for name in before} >= {
        *("backups", "cache", "exports", "frames", "project.db", "project.db.version-3"),
    }
    plan = plan_forgetting(project, [frames[0].subject])
    assert plan.exports == (export,)
    assert traces(path, texts, pictures) == before, "a plan changes nothing"
    assert forget(project, plan, author="me", remove_models=False) == []
    # Also while the window still has the project open: the log beside the database is empty.
    assert traces(path, texts, pictures) == []
    (kept,) = project.frames.all(kind=None)
    assert (kept.id, kept.subject) == (frames[2].id, "s3")
    assert np.array_equal(project.frames.pixels(kept.id), picture(2))
    assert project.check() == [] and set(project.parts.stored()) == {"s3"}
    project.close()
    with Project.open(path) as again:
        again.recover()
        assert again.frames.all() == [kept]
    assert traces(path, texts, pictures) == []


def test_the_models_that_learned_are_named_and_removed_or_kept(tmp_path: Path) -> None:
    project, frames = filled(tmp_path / "p")
    with_models(project, frames)
    plan = plan_forgetting(project, [frames[0].subject])
    assert {model.name for model in plan.learned} == {"first", "later", "given"}
    said = " ".join(plan.sentences())
    assert "2 frames of 1 subject" in said and "1 synthetic pair" in said
    assert all(name in said for name in ("first", "later", "given")) and "unrelated" not in said
    forget(project, plan, author="me", remove_models=True)
    assert [model.name for model in project.models.all()] == ["unrelated"]
    assert project.models.active("segmenter") is None
    assert {path.name for path in (project.path / "models").iterdir() if path.is_dir()} == {"3"}
    with pytest.raises(InputError, match="There already is"):
        project.models.add("first", "segmenter", "models/x")
    assert project.check() == []


def test_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    project, frames = filled(tmp_path / "p")
    plan = plan_forgetting(project, [frames[0].subject])
    kinds: tuple[Kind, ...] = ("segmenter", "synthesizer")
    models = tuple(FoundModel("compact", kind, tmp_path, "built-in") for kind in kinds)
    said = " ".join(replace(plan, elsewhere=models).sentences())
    assert "and stay: compact (segmenter), compact (synthesizer)." in said


def test_a_model_that_is_kept_still_knows_her(tmp_path: Path) -> None:
    project, frames = filled(tmp_path / "p")
    with_models(project, frames)
    plan = plan_forgetting(project, [frames[0].subject])
    forget(project, plan, author="me", remove_models=False)
    assert len(project.models.all()) == 4
    again, _ = project.frames.add(
        picture(8), name="new", cohort="c", subject="subject-aaaaaaaaaaaaaaaa"
    )
    learned = plan_forgetting(project, [again.subject]).learned
    assert "given" in {model.name for model in learned}


def test_nobody_is_forgotten_while_a_training_runs(tmp_path: Path) -> None:
    project, frames = filled(tmp_path / "p")
    plan = plan_forgetting(project, [frames[0].subject])
    project.runs.start("busy", {"job": "train"}, {"train": [frames[0].id]})
    with pytest.raises(UserError, match="busy is under way"):
        forget(project, plan, author="me", remove_models=False)
    assert len(project.frames.all()) == 3


def test_exports_elsewhere_are_named_and_deleted_if_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, frames = filled(tmp_path / "p")
    path = project.path
    hers, others, moved = (tmp_path / "out" / name for name in ("hers", "others", "moved"))
    for out in (hers, moved):
        assert main(["export", str(path), str(out), "--format", "coco"]) == OK
    project.amendments.set_cohort([frames[2].id], "d", author="me")
    only_other = ["--cohort", "d", "--real-only"]
    project.annotations.add(frames[2].id, ELLIPSE, author="me", state="final")
    assert main(["export", str(path), str(others), "--format", "coco", *only_other]) == OK
    moved.rename(tmp_path / "elsewhere")
    (hers / "notes.txt").write_text("mine")
    held = [file for file in path.rglob("*") if file.is_file()]
    assert not any(str(tmp_path).encode() in file.read_bytes() for file in held)

    plan = plan_forgetting(project, [frames[0].subject])
    assert (plan.outside, plan.moved) == ((hers,), (moved,))
    said = " ".join(plan.sentences())
    assert f"deleted only if you say so: {hers}." in said
    assert f"not found. If they were moved, look into them yourself: {moved}." in said
    project.close()
    command = ["frames", str(path), "forget", "--name", "second", "--json"]
    assert main([*command, "--dry-run"]) == OK
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["outside"], result["moved"]) == ([str(hers)], [str(moved)])
    assert main([*command, "--yes", "--remove-exports"]) == OK
    said = " ".join(capsys.readouterr().err.split())
    assert "the export did not write, or that were changed since: notes.txt" in said
    assert [file.name for file in hers.rglob("*")] == ["notes.txt"]
    assert (others / "provenance.json").exists()
    with Project.open(path) as again:
        assert set(export_places(again)) == {others, moved}


def test_exports_elsewhere_stay_unless_asked_for_and_are_named_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, _ = filled(tmp_path / "p")
    out = tmp_path / "out"
    assert main(["export", str(project.path), str(out), "--format", "hc18"]) == OK
    project.close()
    assert main(["frames", str(project.path), "forget", "--name", "second", "--yes"]) == OK
    said = " ".join(capsys.readouterr().err.split())
    assert f"The frames are still in {out}. Delete these folders yourself" in said
    assert (out / "provenance.json").exists()


def test_another_export_at_the_same_place_and_changed_files_stay(tmp_path: Path) -> None:
    project, frames = filled(tmp_path / "p")
    changed, replaced = tmp_path / "changed", tmp_path / "replaced"
    for out in (changed, replaced):
        assert main(["export", str(project.path), str(out), "--format", "hc18"]) == OK
    picture_path = next(changed.rglob("*_Annotation.png"))
    picture_path.write_bytes(b"corrected by hand")
    shutil.rmtree(replaced)
    other, _ = filled(tmp_path / "other")
    assert main(["export", str(other.path), str(replaced), "--format", "coco"]) == OK
    of_the_other = sorted(path for path in replaced.rglob("*") if path.is_file())
    plan = plan_forgetting(project, [frames[0].subject])
    left = forget(project, plan, author="me", remove_models=False, remove_outside=True)
    assert [path for path in changed.rglob("*") if path.is_file()] == [picture_path]
    assert sorted(path for path in replaced.rglob("*") if path.is_file()) == of_the_other
    assert any(str(replaced) in said and "another export" in said for said in left)
    assert any(str(picture_path.relative_to(changed)) in said for said in left)


def test_a_link_in_an_export_leads_to_nothing_else(tmp_path: Path) -> None:
    project, _ = filled(tmp_path / "p")
    out, mine = tmp_path / "out", tmp_path / "mine"
    assert main(["export", str(project.path), str(out), "--format", "yolo"]) == OK
    folder = next(path.parent for path in out.rglob("*.png"))
    folder.rename(mine)
    folder.symlink_to(mine, target_is_directory=True)
    before = sorted(path.name for path in mine.iterdir())
    remove_listed(out)
    assert sorted(path.name for path in mine.iterdir()) == before


def test_a_forgetting_that_is_stopped_says_what_is_left_and_goes_on(tmp_path: Path) -> None:
    project, frames = filled(tmp_path / "p")
    with_models(project, frames)
    export = project.path / "exports" / "all"
    assert main(["export", str(project.path), str(export), "--format", "coco"]) == OK
    plan = plan_forgetting(project, [frames[0].subject])
    for steps, gone, models in (
        (0, "Nothing was deleted. ", 4),
        (1, "Deleted already: all. ", 4),
        (2, "Deleted already: ", 2),
    ):
        stopped = Watched(lambda: len(stopped.steps) > steps)  # noqa: B023
        with pytest.raises(Stopped) as left:
            forget(project, plan, author="me", remove_models=True, progress=stopped)
        assert left.value.result.startswith(gone)
        assert "The frames are still in the project: forget the patient again" in left.value.result
        assert (len(project.frames.all()), len(project.models.all())) == (3, models)
        plan = plan_forgetting(project, [frames[0].subject])
    assert not export.exists()
    assert forget(project, plan, author="me", remove_models=True) == []
    assert [frame.id for frame in project.frames.all()] == [frames[2].id]


def test_a_forgetting_that_fails_leaves_the_frames_to_be_forgotten_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, frames = filled(tmp_path / "p")
    plan = plan_forgetting(project, [frames[0].subject])

    def full(*_: object) -> bool:
        raise UserError("The disk is full. Make room.")

    with monkeypatch.context() as patched:
        patched.setattr(Project, "forget", full)
        with pytest.raises(UserError, match=r"The disk is full.*forget the patient again"):
            forget(project, plan, author="me", remove_models=False)
    assert len(project.frames.all()) == 3
    again = plan_forgetting(project, [frames[0].subject])
    assert forget(project, again, author="me", remove_models=False) == []
    assert traces(project.path, [frames[0].id, NAME], [picture(0), picture(1)]) == []


def test_what_deleted_rows_leave_goes_with_a_purge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, frames = filled(tmp_path / "p")
    plan = plan_forgetting(project, [frames[0].subject])

    def full(_: object) -> bool:
        raise UserError("The disk is full. Make room.")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "scrub", full)
        with pytest.raises(UserError, match=r"traces of them may be left.*purge --yes"):
            forget(project, plan, author="me", remove_models=False)
    project.close()
    assert main(["frames", str(project.path), "purge", "--yes"]) == OK
    assert traces(project.path, [frames[0].id, NAME], [picture(0), picture(1)]) == []


def test_the_command_says_first_what_goes_and_asks_about_models(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, frames = filled(tmp_path / "p")
    with_models(project, frames)
    path = str(project.path)
    project.close()

    def command(*options: str) -> int:
        return main(["frames", path, "forget", "--name", "second", *options, "--json"])

    assert command("--dry-run") == OK
    printed = capsys.readouterr()
    said = json.loads(printed.out.splitlines()[-1])
    assert (said["forgotten"], said["frames"], said["pairs"]) == (False, 2, 1)
    assert "cannot be undone" in printed.err and NAME in printed.err
    assert command() == BAD_INPUT
    assert command("--yes") == BAD_INPUT
    assert "--remove-models or --keep-models" in capsys.readouterr().out
    with Project.open(path) as held:
        assert len(held.frames.all()) == 3
    assert command("--yes", "--remove-models") == OK
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["forgotten"]
    with Project.open(path) as held:
        assert [frame.name for frame in held.frames.all()] == ["c"]
        assert [model.name for model in held.models.all()] == ["unrelated"]
        assert picture_id(held.frames.pixels(held.frames.all()[0].id)) == frames[2].id
    assert command("--dry-run") == BAD_INPUT
