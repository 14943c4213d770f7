"""Batches that stop, by whatever means, and go on as if they had not."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fetalstudio.cli import main
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.geometry import Affine
from fetalstudio.core.heads import HeadConstraints
from fetalstudio.core.progress import Stopped
from fetalstudio.core.screening import REAL_SHARE
from fetalstudio.core.sector import seen_sector
from fetalstudio.engine.cohort_split import labelled_frames, of_part, split
from fetalstudio.engine.jobs.synthesize import maker, plan
from fetalstudio.engine.jobs.synthesize.like_cohort import batch_sources, ellipses_like
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.engine.process.events import Event, Preview, Progress, Warned
from fetalstudio.engine.process.local import run_job
from fetalstudio.formats.pictures.picture_files import note_in, read_image, write_png
from fetalstudio.formats.tables.ellipse_table import NamedEllipse
from fetalstudio.formats.writing.pair_files import PairFiles
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.project import Project
from fetalstudio.project.store.database import Database
from tests.engine.support import die, killed


def make_and_die(request: SynthesizeRequest, moment: str) -> None:
    seen: list[Event] = []
    commits: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, Preview):
            seen.append(event)
        if moment == "between chunks" and len(seen) == 2:
            die()

    execute = Database.execute

    def counted(self: Database, sql: str, values: Sequence[Any] = ()) -> Any:
        if sql == "COMMIT":
            commits.append(sql)
            # The first stores the subjects' parts, the second the batch, each other one a chunk.
            if moment == "before a commit" and len(commits) == 4:
                die()
        return execute(self, sql, values)

    Database.execute = counted  # type: ignore[method-assign]
    run_job(request, hear)


def pixels(project: Project) -> dict[str, bytes]:
    """Every pair's picture, by name."""
    pairs = project.pairs.all()
    return {p.frame.name: project.frames.pixels(p.frame.id).tobytes() for p in pairs}


def stop_after(project: Project, count: int, **fields: Any) -> int:
    """Cancel a batch of ``count`` after its first chunk; the batch's id."""
    heard: list[Event] = []
    with pytest.raises(Stopped):
        run_job(
            SynthesizeRequest(project.path, count=count, steps=1, **fields),
            heard.append,
            cancelled=lambda: any(isinstance(e, Preview) for e in heard),
        )
    (batch,) = project.batches.unfinished()
    assert (batch.wanted, batch.done) == (count, maker.CHUNK)
    return batch.id


@pytest.fixture
def unbroken(sample_project: Project, tmp_path: Path) -> Project:
    """A copy of the sample project with the whole batch that the child begins."""
    path = tmp_path / "unbroken"
    shutil.copytree(sample_project.path, path)
    out = tmp_path / "unbroken-out"
    run_job(SynthesizeRequest(path, count=6, steps=1, seed=4, out=out))
    return Project.open(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(("moment", "done"), [("between chunks", 4), ("before a commit", 4)])
def test_a_killed_batch_goes_on_to_what_an_unbroken_one_makes(
    sample_project: Project, unbroken: Project, tmp_path: Path, moment: str, done: int, forks: None
) -> None:
    out = tmp_path / "out"
    begun = SynthesizeRequest(sample_project.path, count=6, steps=1, seed=4, out=out)
    killed(make_and_die, begun, moment)
    sample_project.recover()
    (batch,) = sample_project.batches.unfinished()
    assert (batch.wanted, batch.done) == (6, done)
    assert len(sample_project.pairs.all()) == done
    # What is drawn meanwhile changes the cohort, not the batch.
    free = sample_project.frames.all(annotated=False)[0]
    sample_project.annotations.add(
        free.id, Ellipse(300, 200, 90, 80, 0), author="me", state="final"
    )
    heard: list[Event] = []
    request = SynthesizeRequest(sample_project.path, resume=batch.id, out=out)
    result = run_job(request, heard.append)
    assert [e.done for e in heard if isinstance(e, Progress)] == [done, 6]
    assert (len(result.pair_ids), result.before) == (6, done)
    with unbroken:
        assert pixels(sample_project) == pixels(unbroken)
        seeds = [p.provenance["seed"] for p in unbroken.pairs.all()]
        assert sorted(p.provenance["seed"] for p in sample_project.pairs.all()) == sorted(seeds)
    whole = tmp_path / "unbroken-out"
    assert _files(out) == _files(whole)
    assert _table(out) == _table(whole)
    assert sample_project.batches.unfinished() == []
    assert not list(sample_project.path.glob(".batch-*"))


RELATIVE = (
    "speckle_difference",
    "spectrum_db",
    "grey_difference",
    "cohort_frames",
    "cohort_limits",
)
"""What is relative to the cohort, which has grown meanwhile."""


def _files(folder: Path) -> dict[str, tuple[bytes, Any]]:
    """Pixels and notes, without what is relative to the cohort."""
    found = {}
    for path in folder.glob("*.png"):
        note = note_in(path) or ""
        if note.startswith("{"):
            record = json.loads(note)
            for part in ("quality", "provenance"):
                record[part] = {k: v for k, v in record[part].items() if k not in RELATIVE}
            note = record
        found[path.name] = read_image(path).tobytes(), note
    return found


def _table(folder: Path) -> list[dict[str, str]]:
    with (folder / "pairs.csv").open() as stream:
        return [{k: v for k, v in r.items() if k not in RELATIVE} for r in csv.DictReader(stream)]


def test_a_correction_before_the_resumption_reaches_table_and_mask(
    sample_project: Project, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    batch_id = stop_after(sample_project, 6, out=out)
    pair = sample_project.pairs.all()[0]
    e = pair.ellipse
    corrected = Ellipse(e.cx + 9, e.cy, e.a, e.b, e.angle_deg)
    sample_project.pairs.review(pair.id, "accepted", reviewer="me", ellipse=corrected)
    run_job(SynthesizeRequest(sample_project.path, resume=batch_id, out=out))
    (row,) = (r for r in _table(out) if r["name"] == pair.frame.name)
    assert float(row["cx"]) == pytest.approx(corrected.cx)
    mask = read_image(out / f"{pair.frame.name}_mask.png") > 0
    np.testing.assert_array_equal(mask, corrected.mask(pair.frame.size) > 0)


def test_a_resumed_batch_writes_only_where_the_person_says(
    sample_project: Project, tmp_path: Path
) -> None:
    """The project may come from a stranger, and its batch may name any folder."""
    out = tmp_path / "out"
    batch_id = stop_after(sample_project, 6, out=out)
    before = _files(out)
    other = tmp_path / "other"
    other.mkdir()
    table = (out / "pairs.csv").read_text()
    for text in ("name,cx\n", table.replace("synthetic_", "precious_"), "\0"):
        (other / "pairs.csv").write_text(text)
        for folder, said in (
            (None, "Name the folder again"),
            (tmp_path / "elsewhere", "elsewhere is not the folder"),
            (other, "other is not the folder"),
        ):
            request = SynthesizeRequest(sample_project.path, resume=batch_id, out=folder)
            with pytest.raises(InputError, match=said):
                run_job(request)
        assert (other / "pairs.csv").read_text() == text and len(list(other.iterdir())) == 1
    assert _files(out) == before and not (tmp_path / "elsewhere").exists()
    assert str(tmp_path) not in json.dumps(dict(sample_project.batches.get(batch_id).settings))
    out = out.replace(tmp_path / "moved")
    command = ["synthesize", str(sample_project.path), "--resume", "--out", str(out)]
    assert main(command) == 0
    assert len(_files(out)) == 12


def test_a_cancelled_batch_goes_on_and_a_finished_one_makes_nothing(
    sample_project: Project,
) -> None:
    batch_id = stop_after(sample_project, 6)
    request = SynthesizeRequest(sample_project.path, resume=batch_id)
    assert len(run_job(request).pair_ids) == 6
    again = run_job(request)
    assert again.before == 6 and len(sample_project.pairs.all()) == 6
    assert all(p.provenance["batch"] == batch_id for p in sample_project.pairs.all())


def test_the_same_batch_again_says_that_nothing_is_new(
    sample_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["synthesize", str(sample_project.path), "--count", "2", "--steps", "1", "--seed"]
    for seed, again in (("5", 0), ("5", 2), ("6", 0)):
        assert main([*command, seed, "--json"]) == 0
        said = capsys.readouterr()
        assert json.loads(said.out.splitlines()[-1])["again"] == again
        assert ("another --seed" in said.err) == (again > 0)
    assert len(sample_project.pairs.all()) == 4
    assert sample_project.batches.seeds() == {5, 6}


def test_another_model_is_refused_with_the_cure(
    sample_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = stop_after(sample_project, 8)
    load = plan.load_synthesizer

    def other(model: Any) -> Any:
        changed = load(model)
        monkeypatch.setattr(changed, "hash", "0" * 64)
        return changed

    monkeypatch.setattr(plan, "load_synthesizer", other)
    with pytest.raises(InputError, match=r"compact has changed since 4 of 8 .* Make a new batch"):
        run_job(SynthesizeRequest(sample_project.path, resume=batch_id))
    assert len(sample_project.pairs.all()) == 4


def test_a_batch_that_is_being_made_is_neither_offered_nor_made_twice(
    sample_project: Project,
) -> None:
    batch_id = stop_after(sample_project, 8)
    with Project.open(sample_project.path) as other, other.batches.lock(batch_id):
        assert sample_project.batches.unfinished() == []
        with pytest.raises(UserError, match="another FetalStudio"):
            run_job(SynthesizeRequest(sample_project.path, resume=batch_id))
    assert [b.id for b in sample_project.batches.unfinished()] == [batch_id]


@pytest.mark.parametrize("purged", [False, True])
def test_no_pair_is_made_from_a_frame_that_is_removed_meanwhile(
    sample_project: Project, tmp_path: Path, purged: bool
) -> None:
    """Another process removes the frames of a batch under way: of pairs that are being drawn, and
    of pairs that have not been begun."""
    removed: set[str] = set()

    def remove(event: Event) -> None:
        with Project.open(sample_project.path) as other:
            items = other.batches.items(1)
            if removed or not isinstance(event, Progress) or event.done or not items:
                return
            chosen = [*items[:2], items[-1]]
            removed.update(item.source_frame for item in chosen if item.source_frame is not None)
            other.amendments.remove(removed, author="me")
            if purged:
                other.purge()

    draw = maker.draw
    with pytest.MonkeyPatch.context() as patch:

        def drawn(*arguments: Any) -> Any:
            made = draw(*arguments)
            remove(Progress(0, 1))
            return made

        patch.setattr(maker, "draw", drawn)
        heard: list[Event] = []
        out = tmp_path / "out"
        request = SynthesizeRequest(sample_project.path, count=6, steps=1, seed=4, out=out)
        result = run_job(request, heard.append)
    assert removed
    pairs = sample_project.pairs.all()
    assert 0 < len(pairs) < 6
    assert not removed & {pair.provenance["source_frame"] for pair in pairs}
    assert sorted(result.pair_ids) == sorted(pair.id for pair in pairs)
    with (out / "pairs.csv").open() as table:
        assert {row["name"] for row in csv.DictReader(table)} == {p.frame.name for p in pairs}
    assert len(list(out.glob("*_mask.png"))) == len(pairs)
    last = [event for event in heard if isinstance(event, Progress)][-1]
    assert last.done == last.total == len(pairs)
    assert sample_project.batches.unfinished() == []


def test_a_cancel_while_the_heads_are_drawn_leaves_no_batch(sample_project: Project) -> None:
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 50

    request = SynthesizeRequest(sample_project.path, count=100_000)
    with pytest.raises(Stopped):
        run_job(request, cancelled=cancelled)
    assert len(asked) == 51
    assert sample_project.batches.unfinished() == [] and sample_project.pairs.all() == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 500}, "500 steps"),
        ({"guidance": 50.0}, "guidance of 50"),
        ({"style": "fourth"}, "no style 'fourth'"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_what_cannot_be_made_is_not_offered_to_be_gone_on_with(
    sample_project: Project, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run_job(SynthesizeRequest(sample_project.path, count=6, **fields))
    assert sample_project.batches.unfinished() == [] and sample_project.pairs.all() == []


def test_a_table_is_looked_through_before_anything_is_made(sample_project: Project) -> None:
    named = [NamedEllipse(f"n{i}", Ellipse(130, 100, 80, 60, 0), (260, 200)) for i in range(6)]
    for wrong, message in (
        (
            NamedEllipse("away", Ellipse(400, 100, 80, 60, 0), (260, 200)),
            "away lies outside its frame",
        ),
        (NamedEllipse("tiny", Ellipse(10, 10, 8, 6, 0), (20, 20)), "tiny is 20x20"),
    ):
        request = SynthesizeRequest(sample_project.path, ellipses=(*named, wrong), steps=1)
        with pytest.raises(InputError, match=message):
            run_job(request)
    assert sample_project.batches.unfinished() == [] and sample_project.pairs.all() == []


def test_a_dropped_batch_is_offered_no_more_until_that_is_taken_back(
    sample_project: Project,
) -> None:
    batch_id = stop_after(sample_project, 8)
    sample_project.batches.drop(batch_id)
    assert sample_project.batches.unfinished() == []
    sample_project.batches.drop(batch_id, dropped=False)
    assert [b.id for b in sample_project.batches.unfinished()] == [batch_id]


def test_constraints_reach_the_pairs_and_travel_with_the_batch(sample_project: Project) -> None:
    constraints = HeadConstraints(ratio=(0.7, 0.72), balance="trimester")
    run_job(
        SynthesizeRequest(sample_project.path, count=3, steps=1, constraints=constraints),
    )
    pairs = sample_project.pairs.all()
    assert all(0.7 <= p.ellipse.b / p.ellipse.a <= 0.72 for p in pairs)
    assert sorted(p.provenance["style"] for p in pairs) == ["first", "second", "third"]
    settings = sample_project.batches.get(1).settings
    assert settings["like_cohort"]["ratio"] == [0.7, 0.72]
    assert len(settings["synthesizer_sha256"]) == 64
    json.dumps(settings)


def test_a_batch_of_a_table_goes_on_too(sample_project: Project) -> None:
    named = tuple(
        NamedEllipse(f"n{i}", Ellipse(130, 100, 80, 60, 10 * i), (260, 200)) for i in range(5)
    )
    heard: list[Event] = []
    with pytest.raises(Stopped):
        run_job(
            SynthesizeRequest(sample_project.path, ellipses=named, steps=1),
            heard.append,
            cancelled=lambda: any(isinstance(e, Preview) for e in heard),
        )
    run_job(SynthesizeRequest(sample_project.path, resume=1))
    assert sorted(p.frame.name for p in sample_project.pairs.all()) == [f"n{i}" for i in range(5)]
    with pytest.raises(InputError, match="already has its ellipses"):
        run_job(SynthesizeRequest(sample_project.path, resume=1, count=3))


def test_surroundings_kept_from_a_frame_stay_those_of_when_the_batch_began(
    sample_project: Project,
) -> None:
    before = {k: a.ellipse for k, a in sample_project.annotations.by_frame().items()}
    batch_id = stop_after(sample_project, 5, background="frame")
    for frame_id in before:
        moved = Ellipse(300, 200, 90, 80, 0)
        sample_project.annotations.add(frame_id, moved, author="me", state="final")
    items = sample_project.batches.items(batch_id)
    assert all(item.replaces == before[str(item.source_frame)] for item in items)
    run_job(SynthesizeRequest(sample_project.path, resume=batch_id))
    pairs = sample_project.pairs.all()
    assert {p.provenance["background"] for p in pairs} == {"frame"}
    # Also by the comparison of the whole frame, whatever the batch was asked for.
    assert all(p.quality["real_share"] > REAL_SHARE for p in pairs)


def test_tissue_that_was_made_is_not_the_lenders(sample_project: Project, tmp_path: Path) -> None:
    run_job(SynthesizeRequest(sample_project.path, count=2, steps=2, out=tmp_path / "made"))
    pairs = sample_project.pairs.all()
    assert all(p.quality["real_share"] < REAL_SHARE / 2 for p in pairs)
    assert {p.contains_real_pixels for p in pairs} == {False}
    kept = SynthesizeRequest(
        sample_project.path, count=2, steps=2, background="frame", out=tmp_path / "kept"
    )
    run_job(kept)
    column = [
        row["contains_real_pixels"] for name in ("made", "kept") for row in _table(tmp_path / name)
    ]
    assert column == ["0", "0", "1", "1"]
    # A folder whose pictures lost their notes still says it.
    for path in (tmp_path / "kept").glob("*.png"):
        if not path.name.endswith("_mask.png"):
            write_png(path, read_image(path))
    with Project.create(tmp_path / "other") as other:
        import_frames(other, tmp_path / "kept")
        assert {p.contains_real_pixels for p in other.pairs.all()} == {True}


def test_batches_draw_from_training_subjects_only_and_vary(sample_project: Project) -> None:
    labelled = labelled_frames(sample_project)
    parts = split(sample_project, labelled)
    by_id = {item.id: item for item in labelled}
    drawn = ellipses_like(sample_project, 40, seed=3)
    assert len({item.name for item in drawn}) == 40
    sources = [by_id[str(item.source_frame)] for item in drawn]
    assert {s.id for s in sources} == {s.id for s in of_part(labelled, parts, "train")}
    assert all(
        0.4 < item.ellipse.overlap(source.ellipse) < 1 and item.size == source.size
        for item, source in zip(drawn, sources, strict=True)
    )
    assert drawn[:10] == ellipses_like(sample_project, 10, seed=3)
    assert drawn != ellipses_like(sample_project, 40, seed=4)
    assert np.ptp([item.ellipse.b / item.ellipse.a for item in drawn]) > 0.1


def test_two_batches_do_not_write_into_one_folder(
    sample_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one looks into the folder before the first one has written a pair."""
    out = tmp_path / "out"
    ask = SynthesizeRequest(sample_project.path, count=2, steps=1, out=out)
    with monkeypatch.context() as patch:
        patch.setattr(PairFiles, "check_room", lambda *_: None)
        first = run_job(replace(ask, seed=1))
        with pytest.raises(InputError, match="Another batch is being written into"):
            run_job(replace(ask, seed=2))
    assert len(_table(out)) == len(first.pair_ids) == 2
    assert not sample_project.batches.unfinished()


def test_pairs_of_a_table_lie_on_the_sector_of_the_frame_with_the_nearest_head(
    sample_project: Project,
) -> None:
    sources = batch_sources(sample_project)
    wanted = tuple(
        NamedEllipse(f"n{i}", s.ellipse.transformed(Affine.translation(3, -2)), s.size)
        for i, s in enumerate(sources[:3])
    )
    other = NamedEllipse("other", Ellipse(130, 100, 80, 60, 0), (260, 200))
    heard: list[Event] = []
    request = SynthesizeRequest(sample_project.path, ellipses=(*wanted, other), steps=1)
    run_job(request, heard.append)
    pairs = {p.frame.name: p for p in sample_project.pairs.all()}
    for one, source in zip(wanted, sources, strict=False):
        pair = pairs[one.name]
        assert pair.provenance["source_frame"] == source.id
        calibration, own = pair.frame.calibration, source.calibration
        assert calibration is not None and own is not None
        assert calibration.mm_per_px == pytest.approx(own.mm_per_px)
        sector = seen_sector(source.image)
        assert sector is not None
        assert not sample_project.frames.pixels(pair.frame.id)[sector == 0].any()
    assert pairs["other"].provenance["source_frame"] is None
    (warning,) = (event.message for event in heard if isinstance(event, Warned))
    assert warning.startswith("For 1 of 4 ellipses, such as other on 260x200 px, the project has")


def test_the_sector_of_a_table_may_be_left_to_the_synthesizer(sample_project: Project) -> None:
    source = batch_sources(sample_project)[0]
    wanted = (NamedEllipse("one", source.ellipse, source.size),)
    heard: list[Event] = []
    run_job(
        SynthesizeRequest(sample_project.path, ellipses=wanted, sector="made", steps=1),
        heard.append,
    )
    (pair,) = sample_project.pairs.all()
    assert pair.provenance["source_frame"] is None and pair.frame.calibration is None
    assert not any(isinstance(event, Warned) for event in heard)
