"""Readings, their sessions, agreement, adjudication, exchange and the audit log."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.project.agreements import agreements, group_agreement, write_disagreements
from fetalstudio.project.audit import NOT_RECORDED, write_audit_log
from fetalstudio.project.project import Project
from fetalstudio.project.reading_exchange import export_readings, merge_readings, plan_merge
from fetalstudio.project.readings import reading_order
from fetalstudio.project.removal import removal_effect, sentences
from fetalstudio.project.store.records import Frame, Reading
from tests.project.kinds import Picture

COUNT = 6


@pytest.fixture
def six(project: Project, picture: Picture) -> list[Frame]:
    """Six frames of three subjects."""
    return [
        project.frames.add(
            picture(i),
            name=f"frame-{i:05d}",
            cohort="c",
            subject=f"subject-{i // 2:016x}",
            calibration=Calibration(0.5, 0.5, "table"),
        )[0]
        for i in range(COUNT)
    ]


@pytest.fixture
def elsewhere(project: Project, six: list[Frame], tmp_path: Path) -> Iterator[Project]:
    """The same frames in the project of a colleague."""
    path = tmp_path / "colleague"
    with Project.create(path) as other:
        for frame in six:
            other.frames.add(
                project.frames.pixels(frame.id), name=f"other-{frame.name}", cohort="d", subject="1"
            )
        yield other


def larger(ellipse: Ellipse, by: float) -> Ellipse:
    return Ellipse.of(ellipse.cx, ellipse.cy, by * ellipse.a, by * ellipse.b, ellipse.angle_deg)


def read_all(
    project: Project, frames: list[Frame], observer: str, ellipse: Ellipse, twice: float = 0.0
) -> list[Reading]:
    """A whole session, in which each reading is a little larger than the one before."""
    session = project.readings.start(
        [frame.id for frame in frames], observer=observer, twice=twice, seed=1
    )
    return [
        project.readings.add(session, number, larger(ellipse, 1 + i / 500), seconds=4.5)
        for i, (number, _) in enumerate(session.left)
    ]


# -- sessions ----------------------------------------------------------------------------------


def test_a_session_presents_each_frame_once_and_some_twice_far_apart() -> None:
    frames = [f"{i:064x}" for i in range(100)]
    order = reading_order(frames, twice=0.2, seed=3)
    counts = Counter(order)
    assert set(counts) == set(frames)
    assert Counter(counts.values()) == {1: 80, 2: 20}
    again = [f for f, count in counts.items() if count == 2]
    places = {f: [i for i, one in enumerate(order) if one == f] for f in again}
    assert min(second - first for first, second in places.values()) > 10
    assert order == reading_order(frames[::-1], twice=0.2, seed=3)
    assert order != reading_order(frames, twice=0.2, seed=4)
    with pytest.raises(InputError, match="0 to 1"):
        reading_order(frames, twice=1.5, seed=0)


def test_readings_leave_the_annotation_alone_and_a_session_goes_on_after_a_restart(
    project: Project, six: list[Frame], ellipse: Ellipse
) -> None:
    project.annotations.add(six[0].id, ellipse, author="anna", state="final")
    session = project.readings.start([f.id for f in six], observer="ben", twice=0.5, seed=7)
    assert len(session.left) == 9
    number, frame_id = session.left[0]
    first = project.readings.add(session, number, larger(ellipse, 1.1), seconds=12.25)
    assert (first.frame_id, first.observer, first.round) == (frame_id, "ben", 1)
    assert (first.blinded, first.seconds) == (True, 12.25)
    with pytest.raises(UserError, match="read already"):
        project.readings.add(session, number, ellipse, seconds=1)
    with Project.open(project.path) as again:
        assert again.readings.unfinished("anna") is None
        rest = again.readings.unfinished("ben")
        assert rest is not None
        assert rest.left == session.left[1:]
        for number, _ in rest.left:
            again.readings.add(rest, number, None, seconds=2)
        assert again.readings.unfinished("ben") is None
        rounds = Counter(reading.round for reading in again.readings.all())
        assert rounds == {1: 6, 2: 3}
    newest = project.annotations.newest(six[0].id)
    assert newest is not None
    assert (newest.revision, newest.ellipse, newest.author) == (1, ellipse, "anna")


def test_a_reading_is_taken_back_and_made_again(
    project: Project, six: list[Frame], ellipse: Ellipse
) -> None:
    session = project.readings.start([six[0].id], observer="ben")
    reading = project.readings.add(session, 0, ellipse, seconds=1)
    project.readings.withdraw(reading.id)
    assert project.readings.all() == []
    assert [number for number, _ in project.readings.session(session.id).left] == [0]
    project.readings.withdraw(reading.id, withdrawn=False)
    assert project.readings.all() == [reading]
    project.readings.end(session.id)
    assert project.readings.session(session.id).ended_at is not None


def test_what_cannot_be_read_is_refused(
    project: Project, six: list[Frame], picture: Picture, ellipse: Ellipse
) -> None:
    synthetic, _ = project.frames.add(
        picture(77), name="s", cohort="c", subject="s", kind="synthetic"
    )
    with pytest.raises(UserError, match="Only real frames"):
        project.readings.start([synthetic.id], observer="ben")
    with pytest.raises(InputError, match="No frames"):
        project.readings.start([], observer="ben")
    with pytest.raises(InputError, match="needs a name or initials"):
        project.readings.start([six[0].id], observer=" ")
    session = project.readings.start([six[0].id], observer="ben")
    project.amendments.remove([six[0].id], author="me")
    with pytest.raises(UserError, match="removed"):
        project.readings.add(session, 0, ellipse, seconds=1)


def test_readings_go_with_their_frame(project: Project, six: list[Frame], ellipse: Ellipse) -> None:
    readings = read_all(project, six, "ben", ellipse)
    gone = readings[0].frame_id
    project.readings.adjudicate(gone, ellipse, [readings[0].id], author="me")
    effect = removal_effect(project, [gone])
    assert "It also removes 1 reading." in sentences(effect)
    project.amendments.remove([gone], author="me")
    assert len(project.readings.all()) == 5
    project.amendments.undo(author="me")
    assert len(project.readings.all()) == 6
    project.amendments.remove([gone], author="me")
    assert project.purge() == 1
    assert len(project.readings.all()) == 5
    assert project.readings.adjudicated() == {}
    assert project.check() == []


# -- agreement ---------------------------------------------------------------------------------


def test_observers_agree_with_themselves_and_each_other(
    project: Project, six: list[Frame], ellipse: Ellipse, tmp_path: Path
) -> None:
    for frame in six[:5]:
        project.annotations.add(frame.id, ellipse, author="anna", state="final")
    project.annotations.add(six[5].id, ellipse, author="anna", state="draft")
    read_all(project, six, "ben", larger(ellipse, 1.02), twice=0.5)
    intra, inter = agreements(project)
    assert (intra.title, intra.intra, len(intra.agreement.pairs)) == ("ben, twice", True, 3)
    assert intra.not_blinded == 0
    # The draft is nobody's reading; the final ones were not drawn blind.
    assert (inter.title, len(inter.agreement.pairs), inter.not_blinded) == ("anna and ben", 5, 5)
    assert inter.agreement.sizes["HC"].bias.mean > 0
    assert inter.agreement.subjects == 3
    said = " ".join(inter.sentences())
    assert "Too few to tell: 3 subjects, and 20 are needed." in said
    assert "not drawn blind" in said
    assert [one.title for one in agreements(project, annotations=False)] == ["ben, twice"]
    assert agreements(project, cohort="none") == []
    path = tmp_path / "frames.csv"
    write_disagreements(path, [intra, inter], project)
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 8
    assert {row["frame"] for row in rows} <= {frame.name for frame in six}
    assert float(rows[-1]["hc_second_mm"]) > float(rows[-1]["hc_first_mm"]) > 0


def test_what_one_cannot_read_is_counted_and_three_observers_have_one_correlation(
    project: Project, six: list[Frame], ellipse: Ellipse
) -> None:
    read_all(project, six, "anna", ellipse)
    assert group_agreement(project) is None
    session = project.readings.start([f.id for f in six], observer="ben")
    for i, (number, _) in enumerate(session.left):
        project.readings.add(session, number, ellipse if i else None, seconds=1)
    (pair,) = agreements(project)
    assert (len(pair.agreement.pairs), pair.unread) == (5, 1)
    assert "could not read 1 further frame" in " ".join(pair.sentences())
    read_all(project, six, "eva", larger(ellipse, 1.01))
    group = group_agreement(project)
    assert group is not None
    assert (group.observers, group.frames, group.subjects) == (("anna", "ben", "eva"), 5, 3)
    assert group.technical_error_mm > 0
    assert group.title == "anna, ben and eva together"
    assert group.figures().startswith(f"ICC(A,1) {group.hc.agreement.value:.3f} (")
    assert group.sentences() == ["Too few to tell: 3 subjects, and 20 are needed."]


# -- adjudication ------------------------------------------------------------------------------


def test_an_adjudication_is_a_revision_that_names_its_readings(
    project: Project, six: list[Frame], ellipse: Ellipse
) -> None:
    project.annotations.add(six[0].id, ellipse, author="anna", state="final")
    session = project.readings.start([six[0].id], observer="ben")
    project.readings.add(session, 0, larger(ellipse, 1.1), seconds=1)
    anna, ben = project.readings.with_annotations(six[0].id)
    assert (anna.observer, anna.round, anna.blinded) == ("anna", 0, False)
    decided = larger(ellipse, 1.05)
    made = project.readings.adjudicate(six[0].id, decided, [anna.id, ben.id], author="eva")
    assert (made.revision, made.author, made.state) == (2, "eva", "final")
    assert project.readings.adjudicated() == {(six[0].id, 2): tuple(sorted((anna.id, ben.id)))}
    # The decision is no reading of anybody: what anna drew stays hers.
    assert project.readings.with_annotations(six[0].id) == [anna, ben]
    with pytest.raises(InputError, match="needs the readings"):
        project.readings.adjudicate(six[0].id, decided, [], author="eva")


# -- exchange ----------------------------------------------------------------------------------


def test_a_colleagues_readings_come_without_names_and_pictures(
    project: Project, elsewhere: Project, six: list[Frame], ellipse: Ellipse, tmp_path: Path
) -> None:
    read_all(elsewhere, elsewhere.frames.all(), "Benjamin Example", ellipse)
    path = tmp_path / "ben.readings.json"
    count = export_readings(elsewhere, path, rename={"Benjamin Example": "BE"})
    assert count == COUNT
    content = path.read_text()
    assert "Benjamin" not in content
    assert "other-frame" not in content  # the names of frames stay
    assert json.loads(content)["readings"][0]["subject"] is None  # "1" is no key
    plan = plan_merge(project, path)
    assert (len(plan.new), plan.known, plan.conflicts, plan.unknown) == (COUNT, 0, (), ())
    assert plan.sentences() == ["6 new readings by BE."]
    number = merge_readings(project, plan, author="anna")
    assert {(r.observer, r.round, r.blinded) for r in project.readings.all()} == {("BE", 1, True)}
    assert project.amendments.all()[0].description == "merged 6 readings by BE"
    again = plan_merge(project, path)
    assert (again.new, again.known) == ((), COUNT)
    with pytest.raises(InputError, match="nothing new"):
        merge_readings(project, again, author="anna")
    mine = read_all(project, six[:1], "anna", ellipse)
    for _ in range(2):  # undone and done again
        project.amendments.undo(number, author="anna")
        assert project.readings.all() == mine
        assert len(plan_merge(project, path).new) == COUNT
        project.amendments.redo(number, author="anna")
        assert len(project.readings.all()) == COUNT + 1
    project.amendments.undo(number, author="anna")
    merge_readings(project, plan_merge(project, path), author="anna")
    assert len(project.readings.all()) == COUNT + 1


def test_conflicts_and_unknown_frames_are_named_and_nothing_is_overwritten(
    project: Project,
    elsewhere: Project,
    six: list[Frame],
    picture: Picture,
    ellipse: Ellipse,
    tmp_path: Path,
) -> None:
    mine = read_all(project, six[:2], "AB", ellipse)
    unknown, _ = elsewhere.frames.add(picture(50), name="more", cohort="d", subject="2")
    read_all(elsewhere, elsewhere.frames.all(), "AB", larger(ellipse, 1.1))
    path = tmp_path / "ab.json"
    export_readings(elsewhere, path)
    plan = plan_merge(project, path)
    assert (len(plan.new), len(plan.conflicts), len(plan.unknown)) == (4, 2, 1)
    assert "another reading 1 of AB is here already; their Dice is 0.9" in (
        plan.conflicts[0].sentence()
    )
    said = " ".join(plan.sentences())
    assert unknown.id[:16] in said
    assert "2 readings are in conflict" in said
    other_name = plan_merge(project, path, rename={"AB": "AB2"})
    assert (len(other_name.new), other_name.conflicts) == (6, ())
    merge_readings(project, plan, author="me")
    assert len(project.readings.all()) == 6
    assert [project.readings.get(one.id) for one in mine] == mine
    merge_readings(project, plan, author="me", keep_both=True)
    assert Counter(r.round for r in project.readings.all()) == {1: 6, 2: 2}
    assert [project.readings.get(one.id) for one in mine] == mine


def test_annotations_count_where_asked_for_and_are_known_in_a_copy(
    project: Project, elsewhere: Project, six: list[Frame], ellipse: Ellipse, tmp_path: Path
) -> None:
    project.annotations.add(six[0].id, ellipse, author="anna", state="final")
    path = tmp_path / "anna.json"
    with pytest.raises(InputError, match=r"no readings to export.*by: nobody"):
        export_readings(project, path)
    assert export_readings(project, path, annotations=True) == 1
    merge_readings(elsewhere, plan_merge(elsewhere, path), author="ben")
    (reading,) = elsewhere.readings.all()
    assert (reading.observer, reading.round, reading.blinded) == ("anna", 0, False)
    shutil.copytree(project.path, tmp_path / "copy")
    with Project.open(tmp_path / "copy") as copy:
        assert plan_merge(copy, path).known == 1


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("observer", "EVE", "observer EVE in the file, AB here"),
        ("round", 3, "round 3 in the file, 1 here"),
        ("blinded", False, "blinded no in the file, yes here"),
        ("read_at", "2020-01-02T03:04:05+00:00", "read at 2020-01-02 03:04:05+00:00 in the file"),
        ("seconds", 99.5, "seconds 99.5 in the file, 4.5 here"),
        ("seconds", None, "seconds not known in the file, 4.5 here"),
        ("ellipse", None, "another ellipse"),
        ("frame", 1, "frame frame-00001 in the file, frame-00000 here"),
    ],
)
def test_a_reading_that_was_changed_in_the_file_is_a_conflict(
    project: Project,
    six: list[Frame],
    ellipse: Ellipse,
    tmp_path: Path,
    key: str,
    value: Any,
    said: str,
) -> None:
    mine = read_all(project, six[:1], "AB", ellipse)
    path = tmp_path / "ab.json"
    export_readings(project, path)
    content = json.loads(path.read_text())
    content["readings"][0][key] = six[value].id if key == "frame" else value
    path.write_text(json.dumps(content))
    plan = plan_merge(project, path)
    (conflict,) = plan.conflicts
    assert (conflict.kind, plan.known) == ("changed", 0)
    assert conflict.sentence().startswith(f"{six[1 if key == 'frame' else 0].name}: the reading of")
    assert said in conflict.sentence()
    assert "What is here stays" in " ".join(plan.sentences())
    assert "keep both" not in " ".join(plan.sentences())
    with pytest.raises(InputError, match=r"nothing new.*1 reading is in conflict"):
        merge_readings(project, plan, author="me", keep_both=True)
    assert project.readings.all() == mine


def test_a_reading_that_was_kept_beside_another_is_known_in_its_new_round(
    project: Project, elsewhere: Project, six: list[Frame], ellipse: Ellipse, tmp_path: Path
) -> None:
    read_all(project, six[:1], "AB", ellipse)
    read_all(elsewhere, elsewhere.frames.all()[:1], "AB", larger(ellipse, 1.1))
    path = tmp_path / "ab.json"
    export_readings(elsewhere, path)
    merge_readings(project, plan_merge(project, path), author="me", keep_both=True)
    assert sorted(reading.round for reading in project.readings.all()) == [1, 2]
    again = plan_merge(project, path)
    assert (again.known, again.conflicts) == (1, ())


def test_two_observers_never_become_one(
    project: Project, elsewhere: Project, six: list[Frame], ellipse: Ellipse, tmp_path: Path
) -> None:
    for observer in ("anna", "ben"):
        read_all(elsewhere, elsewhere.frames.all(), observer, ellipse)
    path = tmp_path / "both.json"
    with pytest.raises(InputError, match="the same name"):
        export_readings(elsewhere, path, rename={"anna": "ben"})
    export_readings(elsewhere, path)
    with pytest.raises(InputError, match=r"both\.json has two readings.*different names"):
        plan_merge(project, path, rename={"anna": "ben"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "../../etc"),
        ("frame", 7),
        ("observer", "a\nb"),
        ("observer", "x" * 200),
        ("round", True),
        ("blinded", 1),
        ("subject", ["s"]),
        ("seconds", -1),
        ("read_at", "2026-01-01T00:00:00"),
        ("read_at", "0001-01-01T00:00:00+14:00"),
        ("read_at", "9999-12-31T23:59:59-12:00"),
        ("ellipse", {"cx": 1, "cy": 1, "a": 1e-300, "b": 1e-300, "angle_deg": 0}),
        ("ellipse", {"cx": 1, "cy": 1, "a": 1, "b": 2, "angle_deg": 0}),
        ("ellipse", {"cx": 1e300, "cy": 1, "a": 3, "b": 2, "angle_deg": 0}),
        ("ellipse", {"cx": 1}),
        ("ellipse", "none"),
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_stored(
    project: Project, six: list[Frame], ellipse: Ellipse, tmp_path: Path, key: str, value: Any
) -> None:
    read_all(project, six[:1], "AB", ellipse)
    path = tmp_path / "ab.json"
    export_readings(project, path)
    content = json.loads(path.read_text())
    content["readings"][0][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"ab\.json is not a file of readings"):
        plan_merge(project, path)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": "another"}', "[" * 100_000, '{"readings": 1']
)
def test_another_file_is_no_file_of_readings(
    project: Project, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(InputError, match="not a file of readings"):
        plan_merge(project, path)


# -- the audit log -----------------------------------------------------------------------------


def test_the_log_says_who_did_what_and_when(
    project: Project, six: list[Frame], picture: Picture, ellipse: Ellipse, tmp_path: Path
) -> None:
    start = datetime.now(UTC)
    frame_id = six[0].id
    add = project.annotations.add
    proposer = "segmenter:compact+cohort"
    add(frame_id, ellipse, author=proposer, state="proposed", confidence=0.9)
    add(frame_id, ellipse, author="anna", state="final")
    add(frame_id, larger(ellipse, 1.1), author="ben", state="draft")
    add(frame_id, larger(ellipse, 1.1), author="ben", state="final")
    add(frame_id, ellipse, author="anna", state="final")  # as undo does
    add(frame_id, None, author="ben", state="draft")
    add(six[1].id, ellipse, author="compact", state="proposed", confidence=0.9)
    add(six[1].id, None, author="ben", state="draft")
    add(six[2].id, ellipse, author="ben", state="final")
    (reading,) = read_all(project, six[2:3], "eva", ellipse)
    project.readings.adjudicate(six[2].id, larger(ellipse, 1.2), [reading.id], author="anna")
    project.frames.set_labels(six[3].id, {"quality": "clear"})
    project.amendments.set_cohort([six[3].id], "e", author="anna")
    coarser = Calibration(0.6, 0.6, "manual")
    project.amendments.set_calibrations({six[4].id: coarser}, author="eva")
    pair = project.pairs.add(
        picture(99),
        name="pair_00001",
        ellipse=ellipse,
        cohort="synthetic",
        calibration=None,
        quality={},
        provenance={},
    )
    project.pairs.review(pair.id, "accepted", reviewer="ben")
    project.pairs.review(pair.id, "rejected", reviewer="eva", ellipse=larger(ellipse, 1.3))
    log = project.audit.log(since=start)
    accepted = "accepted the proposal of segmenter compact, as the cohort is drawn"
    assert [(e.author, e.action, e.frame) for e in log] == [
        (proposer, "proposed an ellipse", "frame-00000"),
        ("anna", accepted, "frame-00000"),
        ("ben", "changed the ellipse", "frame-00000"),
        ("ben", "confirmed the ellipse", "frame-00000"),
        ("anna", "went back to an earlier ellipse", "frame-00000"),
        ("ben", "removed the ellipse", "frame-00000"),
        ("compact", "proposed an ellipse", "frame-00001"),
        ("ben", "rejected the proposal", "frame-00001"),
        ("ben", "drew the ellipse as final", "frame-00002"),
        ("eva", "read the frame without seeing (reading 1)", "frame-00002"),
        ("anna", "adjudicated the readings of eva", "frame-00002"),
        (NOT_RECORDED, "set the label quality", "frame-00003"),
        ("anna", "moved 1 frame into cohort e", ""),
        ("anna", "cohort c -> e", "frame-00003"),
        ("eva", "set the calibration of 1 frame", ""),
        ("eva", "calibrated", "frame-00004"),
        ("ben", "accepted the pair", "pair_00001"),
        ("eva", "corrected the ellipse of the pair and rejected the pair", "pair_00001"),
    ]
    assert len(project.audit.log(frame_id=frame_id)) == 7  # its calibration too
    assert {e.author for e in project.audit.log(author="eva")} == {"eva"}
    in_words = "segmenter compact, as the cohort is drawn"
    assert log[0].who == in_words
    assert project.audit.log(author=in_words) == project.audit.log(author=proposer) == log[:1]
    assert project.audit.log(since=datetime.now(UTC) + timedelta(days=1)) == []
    path = tmp_path / "log.csv"
    write_audit_log(path, [*log[:1], replace(log[1], author="=HYPERLINK(1)"), *log[2:]])
    rows = list(csv.DictReader(path.open()))
    assert [row["author"] for row in rows[:2]] == [in_words, "'=HYPERLINK(1)"]
    assert len(rows) == len(log)
    assert rows[-1]["pair"] == f"{pair.id}"
