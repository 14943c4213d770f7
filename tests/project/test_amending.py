"""Removing frames, correcting subjects and cohorts, and taking that back."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.progress import Progress, Stopped
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.project.exporting.exporters import export_frames
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.project import Project
from fetalstudio.project.removal import removal_effect, subject_effect
from fetalstudio.project.store.backups import all_backups
from fetalstudio.project.store.database import Database
from fetalstudio.project.store.records import BatchItem, Frame, Pair
from tests.progress import Watched
from tests.project.kinds import Picture, PicturesIn


@pytest.fixture
def frames(project: Project, picture: Picture, ellipse: Ellipse) -> list[Frame]:
    """Four annotated frames: ``a`` and ``b`` of cohort ``one``, ``a`` and ``c`` of ``two``."""
    made = []
    for i, (name, cohort) in enumerate([("a", "one"), ("b", "one"), ("a", "two"), ("c", "two")]):
        frame, _ = project.frames.add(picture(i), name=name, cohort=cohort, subject=f"s{i}")
        project.annotations.add(frame.id, ellipse, author="me", state="draft")
        project.annotations.add(frame.id, ellipse, author="me", state="final")
        made.append(frame)
    return made


def pair_from(
    project: Project, source: Frame, pixels: NDArray[np.uint8], ellipse: Ellipse, name: str
) -> Pair:
    return project.pairs.add(
        pixels,
        name=name,
        ellipse=ellipse,
        cohort="synthetic",
        calibration=None,
        quality={"dice": 0.9},
        provenance={"source_frame": source.id},
    )


def held(project: Project) -> list[tuple[str, str, str]]:
    return [(f.cohort, f.name, f.subject) for f in project.frames.all()]


def test_a_subject_is_corrected_and_the_correction_undone(
    project: Project, frames: list[Frame]
) -> None:
    a, b, _, _ = frames
    before = held(project)
    amendment = project.amendments.set_subject([a.id, b.id], "mother 7", author="reader")
    assert project.frames.get(a.id).subject == "mother 7"
    assert held(project)[:2] == [("one", "a", "mother 7"), ("one", "b", "mother 7")]
    assert (amendment.author, amendment.description) == (
        "reader",
        "set the subject of 2 frames",
    )
    assert [(was.subject, now.subject) for was, now in amendment.changes] == [
        ("s0", "mother 7"),
        ("s1", "mother 7"),
    ]
    undone = project.amendments.undo(author="reader")
    assert held(project) == before
    assert undone.undoes == amendment.id
    newest, older = project.amendments.all()
    assert (newest.undone, older.undone) == (False, True)
    with pytest.raises(UserError, match="no amendment to undo"):
        project.amendments.undo(author="reader")


def test_another_subject_names_the_runs_that_used_the_frames(
    project: Project, frames: list[Frame]
) -> None:
    a, b, c, d = frames
    for name, part, frame in (("first", "train", a), ("second", "test", b), ("third", "train", c)):
        project.runs.start(name, {}, {part: [frame.id], "pairs": []})
    assert subject_effect(project, [d.id]) == []
    (said,) = subject_effect(project, [a.id, b.id])
    assert "first, second." in said and "Train again" in said


def test_what_changes_nothing_is_no_amendment(project: Project, frames: list[Frame]) -> None:
    for call in (
        lambda: project.amendments.set_subject([frames[0].id], "s0", author="me"),
        lambda: project.amendments.rename_cohort("one", "one", author="me"),
        lambda: project.amendments.set_subject([], "x", author="me"),
        lambda: project.amendments.set_subject([frames[0].id], "  ", author="me"),
        lambda: project.amendments.rename_cohort("nowhere", "x", author="me"),
        lambda: project.amendments.merge_cohorts(["nowhere"], "one", author="me"),
    ):
        with pytest.raises(InputError):
            call()
    assert project.amendments.all() == []


def test_a_cohort_is_renamed(project: Project, frames: list[Frame], ellipse: Ellipse) -> None:
    project.amendments.rename_cohort("one", "Voluson {E10}", author="me")
    assert project.frames.cohorts() == ["Voluson {E10}", "two"]
    assert set(project.annotations.by_frame("Voluson {E10}")) == {frames[0].id, frames[1].id}
    assert project.annotations.by_frame("one") == {}
    with pytest.raises(InputError, match=r"already is a cohort two\. Merge"):
        project.amendments.rename_cohort("Voluson {E10}", "two", author="me")
    project.amendments.undo(author="me")
    assert project.frames.cohorts() == ["one", "two"]


def test_names_that_meet_in_a_cohort_get_a_number(
    project: Project, frames: list[Frame], picture: Picture
) -> None:
    before = held(project)
    amendment = project.amendments.merge_cohorts(["one", "two"], "two", author="me")
    assert [name for _, name, _ in held(project)] == ["a", "a-2", "b", "c"]
    assert amendment.renamed == (("a", "a-2"),)
    assert amendment.description == "merged cohort one into two"
    project.amendments.undo(author="me")
    assert held(project) == before
    moved = project.amendments.set_cohort([frames[0].id], "two", author="me")
    assert moved.renamed == (("a", "a-2"),)
    # The name in the former cohort is free now.
    new, _ = project.frames.add(picture(9), name="a", cohort="one", subject="s")
    assert new.name == "a"
    project.amendments.undo(author="me")
    assert project.frames.get(frames[0].id).name == "a-2"
    assert project.frames.get(frames[0].id).cohort == "one"


def test_a_removal_names_first_what_goes_with_it(
    project: Project, frames: list[Frame], picture: Picture, ellipse: Ellipse
) -> None:
    a, b, _, c = frames
    mine = pair_from(project, a, picture(20), ellipse, "p")
    pair_from(project, b, picture(21), ellipse, "q")
    project.pairs.review(mine.id, "accepted", reviewer="me")
    data = {"train": [a.id], "validation": [b.id], "test": [c.id], "pairs": [mine.id]}
    run = project.runs.start("first", {"started_from": "compact"}, data)
    project.runs.update(run.id, state="finished")
    project.models.add("first", "segmenter", "models/first", run_id=run.id)
    child = project.runs.start("second", {"started_from": "first"}, {"train": [c.id]})
    project.models.add("second", "segmenter", "models/second", run_id=child.id)
    nested = project.runs.start("drawn", {}, {"drawn": [{"train": [], "pairs": [mine.id]}]})
    items = [BatchItem(i, f"i{i}", ellipse, (96, 80), a.id, None, i, "any") for i in range(3)]
    batch = project.batches.start({}, items)
    project.batches.mark_made(batch.id, 0, mine.id)

    effect = removal_effect(project, [a.id])
    assert effect.frames == ("a",)
    assert effect.annotations == 2
    assert (effect.pairs, effect.accepted, effect.batch_items) == (("p",), 1, 2)
    assert effect.runs == (run.name, nested.name)
    assert effect.models == ("first", "second")
    assert removal_effect(project, [c.id]).models == ("second",)  # "first" only measured on it
    assert project.amendments.all() == []


def test_a_removed_frame_is_nowhere_and_comes_back_as_it_was(
    project: Project, frames: list[Frame], picture: Picture, ellipse: Ellipse, tmp_path: Path
) -> None:
    a, b, _, _ = frames
    mine = pair_from(project, a, picture(20), ellipse, "p")
    other = pair_from(project, b, picture(21), ellipse, "q")
    project.pairs.review(mine.id, "accepted", reviewer="me")
    items = [
        BatchItem(0, "p", ellipse, (96, 80), a.id, None, 5, "any"),
        BatchItem(1, "x", ellipse, (96, 80), a.id, None, 6, "any"),
        BatchItem(2, "y", ellipse, (96, 80), b.id, None, 7, "any"),
    ]
    batch = project.batches.start({}, items)
    project.batches.mark_made(batch.id, 0, mine.id)

    def everything() -> list[object]:
        return [
            project.frames.all(kind=None),
            project.frames.all(annotated=True),
            project.annotations.by_frame(),
            project.annotations.revisions(a.id),
            project.pairs.all(),
            project.counts(),
            project.batches.unfinished(),
            project.batches.items(batch.id),
            project.batches.made(batch.id),
        ]

    before = everything()
    project.amendments.remove([a.id], author="me")
    assert a.id not in {frame.id for frame in project.frames.all(kind=None)}
    assert set(project.annotations.by_frame()) == {frame.id for frame in frames[1:]}
    assert project.frames.find(a.id) is None
    assert project.frames.find_real(a.id[:16]) is None
    assert [pair.id for pair in project.pairs.all()] == [other.id]
    assert project.counts()["final"] == 3
    assert (project.counts()["pending"], project.counts()["accepted"]) == (1, 0)
    (left,) = project.batches.unfinished()
    assert (left.wanted, left.done) == (1, 0)
    assert project.batches.items(batch.id) == [items[2]]
    assert project.batches.made(batch.id) == {}
    for call in (
        lambda: project.annotations.add(a.id, ellipse, author="me", state="final"),
        lambda: project.pairs.get(mine.id),
        lambda: project.amendments.remove([a.id], author="me"),
    ):
        with pytest.raises(UserError):
            call()
    report = export_frames(project, tmp_path / "out")
    assert (report.frames, report.pairs) == (3, 0)
    project.amendments.undo(author="me")
    assert everything() == before


def test_a_removed_cohort_is_gone(project: Project, frames: list[Frame]) -> None:
    project.amendments.remove([frame.id for frame in frames[:2]], author="me")
    assert project.frames.cohorts() == ["two"]


def test_a_synthetic_frame_is_not_amended(
    project: Project, frames: list[Frame], picture: Picture, ellipse: Ellipse
) -> None:
    pair = pair_from(project, frames[0], picture(20), ellipse, "p")
    for call in (
        lambda: project.amendments.remove([pair.frame.id], author="me"),
        lambda: project.amendments.set_subject([pair.frame.id], "x", author="me"),
    ):
        with pytest.raises(UserError, match=r"p is synthetic\. Reject its pair"):
            call()


def test_undo_keeps_its_order(project: Project, frames: list[Frame]) -> None:
    first = project.amendments.set_subject([frames[0].id], "x", author="me")
    second = project.amendments.set_cohort([frames[0].id, frames[1].id], "two", author="me")
    third = project.amendments.set_subject([frames[3].id], "y", author="me")
    with pytest.raises(UserError, match=r"a-2 was amended again later.*frames \S+ log"):
        project.amendments.undo(first.id, author="me")
    project.amendments.undo(second.id, author="me")
    project.amendments.undo(first.id, author="me")
    assert project.frames.get(frames[0].id).subject == "s0"
    with pytest.raises(UserError, match=r"undone already.*frames \S+ log"):
        project.amendments.undo(second.id, author="me")
    with pytest.raises(UserError, match="no amendment 99"):
        project.amendments.undo(99, author="me")
    assert project.amendments.undo(author="me").undoes == third.id


@pytest.mark.parametrize("by", ["purge", "recover"])
def test_a_purge_leaves_nothing_of_a_removed_frame(
    project: Project,
    frames: list[Frame],
    picture: Picture,
    ellipse: Ellipse,
    pictures_in: PicturesIn,
    by: str,
) -> None:
    a, b, _, _ = frames
    project.frames.set_labels(a.id, {"quality": "clear"})
    mine = pair_from(project, a, picture(20), ellipse, "p")
    project.pairs.review(mine.id, "accepted", reviewer="me")
    items = [BatchItem(i, "p", ellipse, (96, 80), a.id, None, 5, "any") for i in range(2)]
    batch = project.batches.start({}, items)
    project.batches.mark_made(batch.id, 0, mine.id)
    cached = project.path / "cache" / "embeddings" / "x.safetensors"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"features of a picture")
    assert project.purge() == 0
    assert cached.exists()
    amendment = project.amendments.remove([a.id], author="me")
    assert f"{a.id}.png" in pictures_in(project.path)
    if by == "purge":
        assert project.purge() == 2
    else:
        assert project.recover() == []
    assert pictures_in(project.path) == {f"{frame.id}.png" for frame in frames[1:]}
    assert not cached.exists()
    with contextlib.closing(Database(project.path / "project.db")) as database:
        for table in ("frames", "frame_revisions", "annotations", "labels"):
            rows = [tuple(row) for row in database.query(f"SELECT * FROM {table}")]
            assert not [row for row in rows if a.id in row]
        for table in ("pairs", "reviews", "batch_items", "batch_pairs", "purge"):
            assert database.query(f"SELECT * FROM {table}") == []
    (entry,) = project.amendments.all()
    assert (entry.id, entry.changes) == (amendment.id, ())
    assert a.name not in entry.description.split()
    with pytest.raises(UserError, match=r"deleted for good.*Import what you miss"):
        project.amendments.undo(author="me")
    # A number is never given twice, as runs know pairs by it.
    assert pair_from(project, b, picture(22), ellipse, "q").id == mine.id + 1


def test_no_file_of_the_project_names_a_purged_frame(
    project: Project, picture: Picture, ellipse: Ellipse
) -> None:
    for i, name in enumerate(("Zorro_1", "kept")):
        frame, _ = project.frames.add(picture(i), name=name, cohort="c", subject=f"mother {name}")
        project.annotations.add(frame.id, ellipse, author="me", state="final")
    project.recover()

    def naming(name: bytes) -> set[str]:
        files = (f for f in project.path.rglob("*") if f.is_file())
        return {f.name for f in files if name in f.read_bytes()}

    project.recover()
    files = {"project.db", *(backup.path.name for backup in all_backups(project.path))}
    assert len(files) == 3
    project.amendments.remove([f.id for f in project.frames.all() if f.name != "kept"], author="me")
    project.purge()
    project.close()
    assert naming(b"kept") == files
    assert naming(b"Zorro") == set()


@pytest.mark.parametrize(("step", "left"), [("_erase", 1), ("rmtree", 0), ("remove", 0)])
def test_a_purge_that_was_killed_is_completed_by_the_next(
    project: Project, frames: list[Frame], pictures_in: PicturesIn, step: str, left: int
) -> None:
    """A process is killed before the rows of backups, the cache or the picture are deleted.

    ``left``: the frames of which the project still has rows.
    """
    project.recover()
    cached = project.path / "cache" / "embeddings" / "x.safetensors"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"features of a picture")
    project.amendments.remove([frames[0].id], author="me")
    kill = f"""
        import os, signal, shutil, sys
        from pathlib import Path
        from fetalstudio.project import purging
        from fetalstudio.project.store.pixels import Pictures
        from fetalstudio.project.project import Project
        project = Project.open(Path(sys.argv[1]))
        owner = dict(_erase=purging, rmtree=shutil, remove=Pictures)[{step!r}]
        setattr(owner, {step!r}, lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
        project.purge()
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(kill), str(project.path)])
    assert killed.returncode != 0
    assert f"{frames[0].id}.png" in pictures_in(project.path)
    assert project.purge() == left
    assert f"{frames[0].id}.png" not in pictures_in(project.path)
    assert not cached.exists()
    (backup,) = all_backups(project.path)
    assert backup.frame_ids() == {frame.id for frame in frames[1:]}


def test_keys_that_look_the_same_are_the_same(
    project: Project, frames: list[Frame], picture: Picture
) -> None:
    a, b, c, d = frames
    project.amendments.set_subject([a.id], " s1\t", author="me")
    project.amendments.set_subject([b.id], "Zoe\u0301", author="me")
    project.amendments.set_subject([c.id], "Zo\u00e9", author="me")
    project.amendments.set_cohort([c.id], "one ", author="me")
    project.amendments.rename_cohort("two", " three ", author="me")
    project.amendments.merge_cohorts(["three"], "one\n", author="me")
    made, _ = project.frames.add(picture(9), name="n", cohort=" one", subject="s1 ")
    assert {f.cohort for f in project.frames.all()} == {"one"}
    subjects = [project.frames.get(frame.id).subject for frame in (a, b, c, d, made)]
    assert subjects == ["s1", "Zo\u00e9", "Zo\u00e9", "s3", "s1"]
    for key in ("s\u200b1", "s\n1", "\x00"):
        with pytest.raises(InputError, match=r"cannot be seen|it is empty"):
            project.amendments.set_subject([a.id], key, author="me")
        with pytest.raises(InputError, match=r"cannot be seen|it is empty"):
            project.amendments.set_cohort([a.id], key, author="me")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows forbids such names itself")
def test_a_file_name_with_any_characters_gives_a_subject_that_can_be_seen(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    for i, name in enumerate((" P1 /x.png", "P\n1/y.png")):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True)
        write_png(path, picture(i))
    assert import_frames(project, tmp_path / "source").frames == 2
    assert import_frames(project, tmp_path / "source").problems == ()
    assert all(frame.subject.isprintable() for frame in project.frames.all())
    assert all(frame.subject == frame.subject.strip() for frame in project.frames.all())


@pytest.mark.parametrize("purged", [False, True])
def test_nothing_is_written_about_what_another_process_removed(
    project: Project, frames: list[Frame], picture: Picture, ellipse: Ellipse, purged: bool
) -> None:
    a, b, _, _ = frames
    pair = pair_from(project, a, picture(20), ellipse, "p")
    with Project.open(project.path) as other:
        other.amendments.remove([a.id], author="other")
        if purged:
            other.purge()
    for write in (
        lambda: project.pairs.review(pair.id, "accepted", reviewer="me"),
        lambda: project.pairs.review(pair.id, "accepted", reviewer="me", ellipse=ellipse),
        lambda: project.annotations.add(a.id, ellipse, author="me", state="final"),
        lambda: project.annotations.add(a.id, None, author="me", state="final"),
        lambda: project.frames.set_calibration(a.id, None),
        lambda: project.frames.set_labels(a.id, {"quality": "clear"}),
        lambda: project.amendments.set_subject([b.id, a.id], "s", author="me"),
        lambda: project.amendments.set_cohort([b.id, a.id], "s", author="me"),
        lambda: project.amendments.remove([b.id, a.id], author="me"),
        lambda: removal_effect(project, [b.id, a.id]),
    ):
        with pytest.raises(UserError, match="holds no"):
            write()
    assert project.frames.get(b.id) == b


def test_only_removed_frames_can_be_purged(project: Project, frames: list[Frame]) -> None:
    with (
        contextlib.closing(Database(project.path / "project.db")) as database,
        pytest.raises(RuntimeError, match="only removed frames can be purged"),
    ):
        database.insert("purge", frame_id=frames[0].id)


def test_a_removed_picture_is_imported_as_a_new_frame(
    project: Project, picture: Picture, ellipse: Ellipse, tmp_path: Path
) -> None:
    source = tmp_path / "clinic"
    write_png(source / "001_HC.png", picture(1))
    import_frames(project, source)
    (frame,) = project.frames.all()
    project.annotations.add(frame.id, ellipse, author="me", state="final")
    project.frames.set_labels(frame.id, {"quality": "cut"})
    removal = project.amendments.remove([frame.id], author="me")
    report = import_frames(project, source, Choices("another"))
    assert (report.frames, report.duplicates) == (1, 0)
    (again,) = project.frames.all()
    assert (again.id, again.cohort, again.labels) == (frame.id, "another", {})
    assert project.annotations.revisions(frame.id) == []
    assert project.frames.pixels(frame.id).tolist() == picture(1).tolist()
    with pytest.raises(UserError, match="imported again"):
        project.amendments.undo(removal.id, author="me")


def test_a_failed_import_of_a_removed_picture_loses_nothing(
    project: Project, picture: Picture, ellipse: Ellipse
) -> None:
    frame, _ = project.frames.add(picture(1), name="x", cohort="c", subject="s")
    project.annotations.add(frame.id, ellipse, author="me", state="final")
    project.amendments.remove([frame.id], author="me")
    with pytest.raises(OSError, match="disk"), project.transaction():
        project.frames.add(picture(1), name="x", cohort="c", subject="s")
        raise OSError("disk")
    project.amendments.undo(author="me")
    assert project.frames.get(frame.id) == frame
    assert project.annotations.by_frame()[frame.id].ellipse == ellipse
    assert project.frames.pixels(frame.id).tolist() == picture(1).tolist()


def test_a_picture_held_under_another_subject_is_reported_with_the_cure(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    write_png(tmp_path / "clinic" / "001_HC.png", picture(1))
    write_png(tmp_path / "clinic" / "002_HC.png", picture(2))
    import_frames(project, tmp_path / "clinic")
    (first, second, other) = (project.patients.key(one) for one in ("001", "002", "077"))
    write_png(tmp_path / "more" / "077_HC.png", picture(1))
    write_png(tmp_path / "more" / "002_HC.png", picture(2))
    report = import_frames(project, tmp_path / "more")
    (problem,) = report.problems
    assert "077_HC.png" in problem
    assert f"subject {first}" in problem
    assert f"subject {other}" in problem
    assert "fetalstudio frames PROJECT set-subject" in problem
    assert [frame.subject for frame in project.frames.all()] == [first, second]


def test_another_process_sees_an_amendment_and_can_undo_it(
    project: Project, frames: list[Frame]
) -> None:
    before = held(project)
    project.amendments.remove([frames[0].id], author="me")
    with Project.open(project.path) as other:
        assert len(other.frames.all()) == 3
        other.amendments.undo(author="someone else")
    assert held(project) == before


def test_many_frames_are_amended_quickly_enough_to_wait_for(
    project: Project, frames: list[Frame], picture: Picture
) -> None:
    """Nothing in an amendment may be quadratic in the number of frames."""
    ids = []
    with project.transaction():
        for i in range(1500):
            pixels = picture(0, (32, 32))
            pixels[0, 0], pixels[0, 1] = i % 256, i // 256
            frame, _ = project.frames.add(pixels, name="n", cohort=f"c{i}", subject="s")
            ids.append(frame.id)
    amendment = project.amendments.set_subject(ids, "t", author="me")
    assert len(amendment.changes) == 1500
    assert {project.frames.get(frame_id).subject for frame_id in ids} == {"t"}


AMENDMENTS: dict[str, Callable[[Project, list[str], Progress], object]] = {
    "subject": lambda p, ids, by: p.amendments.set_subject(ids, "new", author="me", progress=by),
    "cohort": lambda p, ids, by: p.amendments.set_cohort(ids, "new", author="me", progress=by),
    "rename": lambda p, _, by: p.amendments.rename_cohort("one", "new", author="me", progress=by),
    "merge": lambda p, _, by: p.amendments.merge_cohorts(["one"], "two", author="me", progress=by),
    "remove": lambda p, ids, by: p.amendments.remove(ids, author="me", progress=by),
    "label": lambda p, ids, by: p.amendments.set_label(ids, "site", "x", author="me", progress=by),
    "calibration": lambda p, ids, by: p.amendments.set_calibrations(
        dict.fromkeys(ids, Calibration(0.3, 0.3, "manual")), author="me", progress=by
    ),
}


@pytest.mark.parametrize("kind", AMENDMENTS)
def test_an_amendment_that_is_stopped_changes_nothing(
    project: Project, frames: list[Frame], kind: str
) -> None:
    amend, ids = AMENDMENTS[kind], [frame.id for frame in frames]
    before = project.frames.all()
    whole = Watched()
    amend(project, ids, whole)
    after = project.frames.all()
    assert after != before
    number = project.amendments.all()[0].id
    undoing = Watched()
    project.amendments.undo(number, author="me", progress=undoing)
    assert project.frames.all() == before
    logged = len(project.amendments.all())
    for steps in range(len(whole.steps)):
        stopped = Watched(lambda: len(stopped.steps) > steps)  # noqa: B023
        with pytest.raises(Stopped):
            amend(project, ids, stopped)
        assert project.frames.all() == before
    project.amendments.redo(number, author="me")
    for steps in range(len(undoing.steps)):
        stopped = Watched(lambda: len(stopped.steps) > steps)  # noqa: B023
        with pytest.raises(Stopped):
            project.amendments.undo(number, author="me", progress=stopped)
        assert project.frames.all() == after
    assert len(project.amendments.all()) == logged + 1, "only the redo was logged"


def test_a_pair_that_was_kept_is_removed_and_restored(
    project: Project, frames: list[Frame], picture: Picture, ellipse: Ellipse
) -> None:
    kept = [pair_from(project, frames[0], picture(i), ellipse, f"p{i}") for i in (10, 11)]
    project.pairs.review(kept[0].id, "accepted", reviewer="me")
    removal = project.amendments.remove_pair(kept[0].id, author="me")
    assert removal.description == "removed the pair p10, which had been kept"
    assert [pair.id for pair in project.pairs.all()] == [kept[1].id]
    assert [f.name for f in project.frames.all(kind="synthetic")] == ["p11"]
    with pytest.raises(UserError, match="holds no pair"):
        project.amendments.remove_pair(kept[0].id, author="me")
    project.amendments.undo(removal.id, author="me")
    assert [(p.id, p.state) for p in project.pairs.all()] == [
        (kept[0].id, "accepted"),
        (kept[1].id, "pending"),
    ]
