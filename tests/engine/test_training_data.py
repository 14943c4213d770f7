"""What forbids a training is said before it starts, once for the job and for the window."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.engine.cohort_split import labelled, labelled_frames, of_part, some_of, split
from fetalstudio.engine.jobs.train.data import select_training_data
from fetalstudio.engine.jobs.train.job import choose_data
from fetalstudio.engine.jobs.train.request import TrainRequest
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.formats.pictures.synthetic_notes import SyntheticNote
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.project import Project


def test_one_picture_under_two_subjects_is_refused(sample_project: Project) -> None:
    request = TrainRequest(sample_project.path)
    choose_data(sample_project, request)
    labelled = labelled_frames(sample_project)
    subjects = [item.subject for item in labelled]
    parts = sample_project.parts.plan([*subjects, "copied"])
    source = next(i for i in labelled if parts[i.subject] != parts["copied"])
    pixels = source.image
    again = cv2.imdecode(cv2.imencode(".jpg", pixels)[1], cv2.IMREAD_GRAYSCALE)
    frame, _ = sample_project.frames.add(
        np.asarray(again, np.uint8), name="again", cohort="other", subject="copied"
    )
    sample_project.annotations.add(frame.id, source.ellipse, author="me", state="final")
    with pytest.raises(InputError, match="are the same image") as refused:
        choose_data(sample_project, request)
    assert "again" in str(refused.value) and source.name in str(refused.value)
    for cure, name in (
        (
            lambda amendments: amendments.set_subject([frame.id], source.subject, author="me"),
            "set-subject",
        ),
        (lambda amendments: amendments.remove([frame.id], author="me"), "remove"),
    ):
        assert f"fetalstudio frames PROJECT {name}" in str(refused.value)
        cure(sample_project.amendments)
        choose_data(sample_project, request)
        sample_project.amendments.undo(author="me")


def test_an_ellipse_off_its_frame_is_refused(sample_project: Project) -> None:
    item = labelled_frames(sample_project)[0]
    off = Ellipse(5000, 200, 100, 80, 0)
    sample_project.annotations.add(item.id, off, author="me", state="final")
    data = select_training_data(sample_project, None, real=None, synthetic=None)
    assert any(item.name in said and "no mask" in said for said in data.problems)


def test_a_pair_that_came_back_as_a_real_frame_is_refused(sample_project: Project) -> None:
    pair = sample_project.pairs.add(
        np.random.default_rng(0).integers(0, 255, (40, 60)).astype(np.uint8).repeat(9, 0),
        name="made",
        ellipse=Ellipse(30, 150, 12, 10, 0),
        cohort="synthetic",
        calibration=None,
        quality={},
        provenance={},
    )
    sample_project.pairs.review(pair.id, "accepted", reviewer="me")
    pixels = sample_project.frames.pixels(pair.frame.id)
    labelled = [i.subject for i in labelled_frames(sample_project)]
    parts = {
        name: sample_project.parts.plan([*labelled, name])[name] for name in map(str, range(50))
    }
    subject = next(name for name, part in parts.items() if part == "test")
    frame, _ = sample_project.frames.add(
        pixels // 2, name="imported", cohort="other", subject=subject
    )
    sample_project.annotations.add(frame.id, pair.ellipse, author="me", state="final")
    with pytest.raises(InputError, match=r"made \(synthetic\) and imported.*Reject.*remove"):
        choose_data(sample_project, TrainRequest(sample_project.path))
    sample_project.amendments.remove([frame.id], author="me")
    choose_data(sample_project, TrainRequest(sample_project.path))
    sample_project.amendments.undo(author="me")
    sample_project.pairs.review(pair.id, "rejected", reviewer="me")
    choose_data(sample_project, TrainRequest(sample_project.path))


def test_few_frames_are_warned_of(sample_project: Project) -> None:
    data = select_training_data(sample_project, None, real=None, synthetic=None)
    assert not data.problems and any("in the test part" in said for said in data.warnings)


def test_a_moved_ellipse_is_other_data(sample_project: Project) -> None:
    before = select_training_data(sample_project, None, real=None, synthetic=None).summary()
    again = select_training_data(sample_project, None, real=None, synthetic=None).summary()
    assert again == before
    moved = labelled_frames(sample_project)[0]
    sample_project.annotations.add(
        moved.id, Ellipse(300, 200, 100, 80, 0), author="me", state="final"
    )
    after = select_training_data(sample_project, None, real=None, synthetic=None).summary()
    assert after != before


def test_a_part_of_the_frames_is_not_the_first_ones() -> None:
    """Cohorts are sorted by name, and names often by what they show."""
    items = [f"{kind}_{i}" for kind in ("first", "second", "third") for i in range(40)]
    chosen = some_of(items, 30, np.random.default_rng(0))
    assert len(set(chosen)) == 30 and list(chosen) == sorted(chosen, key=items.index)
    kinds = [sum(name.startswith(kind) for name in chosen) for kind in ("first", "second", "third")]
    assert min(kinds) > 0
    assert list(chosen) == list(some_of(items, 30, np.random.default_rng(0)))
    assert list(chosen) != list(some_of(items, 30, np.random.default_rng(1)))
    assert list(some_of(items, None, np.random.default_rng(0))) == items
    assert list(some_of(items, 500, np.random.default_rng(0))) == items


def test_a_cohort_that_is_not_there_is_said_to_be_so(sample_project: Project) -> None:
    known = ", ".join(sample_project.frames.cohorts())
    with pytest.raises(InputError, match=rf"no cohort 'nowhere'\. Choose one of these: {known}\."):
        labelled_frames(sample_project, "nowhere")


def test_too_few_subjects_can_be_corrected(sample_project: Project) -> None:
    frames = [frame.id for frame in sample_project.frames.all()]
    sample_project.amendments.set_subject(frames, "everybody", author="import")
    data = select_training_data(sample_project, None, real=None, synthetic=None)
    (problem,) = data.problems
    assert "are of 1 subject." in problem
    assert "fetalstudio frames PROJECT set-subject" in problem
    for i, frame_id in enumerate(frames):
        sample_project.amendments.set_subject([frame_id], f"s{i}", author="me")
    data = select_training_data(sample_project, None, real=None, synthetic=None)
    assert data.problems == ()


def test_no_synthetic_frame_is_validated_or_tested_on(
    sample_project: Project, tmp_path: Path
) -> None:
    """Not even one that came back by an import. A pair of a held-out subject's frame is no help."""
    parts = split(sample_project, labelled_frames(sample_project))
    ellipse = Ellipse(100, 80, 50, 40, 0)
    for part in ("train", "test"):
        lender = next(i for i in labelled_frames(sample_project) if parts[i.subject] == part)
        made = {"synthesizer": "compact", "source_frame": lender.id}
        pixels = np.random.default_rng(len(part)).integers(0, 255, (160, 200)).astype(np.uint8)
        note = SyntheticNote(ellipse, ellipse, False, None, {"dice": 0.99}, made)
        write_png(tmp_path / "pairs" / f"{part}.png", pixels, note.text())
    assert import_frames(sample_project, tmp_path / "pairs").pairs == 2
    for pair in sample_project.pairs.all():
        sample_project.pairs.review(pair.id, "accepted", reviewer="me")
    data = select_training_data(sample_project, None, real=None, synthetic=None)
    assert [pair.frame.name for pair in data.pairs] == ["train"]
    assert not any(i.synthetic for i in (*data.train, *data.validation, *data.test))
    assert not any(item.synthetic for item in labelled_frames(sample_project))

    made_frame = labelled(sample_project, data.pairs[0].frame, ellipse)
    assert made_frame.synthetic
    with pytest.raises(ValueError, match="cannot be validated or tested on"):
        replace(data, validation=[made_frame])
    with pytest.raises(ValueError, match="cannot be validated or tested on"):
        replace(data, test=[made_frame])
    with pytest.raises(ValueError, match="cannot be validated or tested on"):
        of_part([made_frame], {made_frame.subject: "test"}, "test")
    assert of_part([made_frame], {made_frame.subject: "train"}, "train") == [made_frame]
