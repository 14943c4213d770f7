"""Names, checkpoints and time of the runs that can be resumed."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

import pytest

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.process.events import Event, Progress, RunKey, Warned
from fetalstudio.engine.resumable import (
    ResumableRun,
    can_resume,
    cohort_now,
    names_in_use,
    newest_resumable,
    resumable_run,
    state_file,
)
from fetalstudio.project.models import ModelKind
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Run


def start(
    project: Project,
    job: str = "train",
    name: str | None = None,
    resume: Run | None = None,
    heard: list[Event] | None = None,
) -> AbstractContextManager[ResumableRun]:
    return resumable_run(
        project,
        job,
        report=(heard if heard is not None else []).append,
        cancelled=lambda: False,
        name=name,
        stem="tuned",
        settings={},
        data={},
        resume=resume,
    )


def test_its_events_name_the_run(sample_project: Project) -> None:
    heard: list[Event] = []
    with start(sample_project, heard=heard) as held:
        held.report(Warned("careful"))
        held.steps(2, "embedding").advance()
    assert [type(event) for event in heard] == [Warned, Progress, Progress]
    assert {event.run for event in heard} == {RunKey(sample_project.path, held.id)}


@pytest.mark.parametrize(
    ("job", "kind"), [("train", "segmenter"), ("adapt", "synthesizer"), ("adapt-sd", "synthesizer")]
)
def test_its_model_is_added_once(sample_project: Project, job: str, kind: ModelKind) -> None:
    with pytest.raises(OSError), start(sample_project, job, "mine") as held:
        assert not held.has_model
        held.add_model({"epoch": 1})
        held.add_model({"epoch": 2})
        held.state_file.write_bytes(b"state")
        raise OSError
    model = sample_project.models.get(kind, "mine")
    assert (model.path, model.run_id) == (f"models/{held.id}", held.id)
    assert model.metrics == {"epoch": 1}
    with start(sample_project, job, resume=sample_project.runs.get(held.id)) as again:
        assert again.has_model


def interrupted(project: Project, job: str, name: str | None = None) -> Run:
    """A run that failed and left a checkpoint."""
    held: ResumableRun
    with pytest.raises(OSError), start(project, job, name) as held:
        held.state_file.write_bytes(b"state")
        held.record({"step": 1, "seconds": 100.0})
        raise OSError
    return project.runs.get(held.id)


def test_two_at_once_without_a_name_get_different_ones(sample_project: Project) -> None:
    with (
        Project.open(sample_project.path) as other,
        start(sample_project) as first,
        start(other) as second,
    ):
        assert (first.name, second.name) == ("tuned-1", "tuned-2")
        for name in ("tuned-1", "TUNED-2 "):
            with pytest.raises(InputError, match="is taken"):
                start(other, name=name).__enter__()
        # A synthesizer may be called as a segmenter is.
        with start(other, "adapt", "tuned-1") as third:
            assert third.name == "tuned-1"
            with pytest.raises(InputError, match="is taken"):
                start(sample_project, "adapt-sd", "tuned-1").__enter__()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../x", "cannot be a model's name"),
        ("", "cannot be a model's name"),
        ("x" * 300, "cannot be a model's name"),
        ("a\x07b", "cannot be a model's name"),
        ("CON", "Windows reserves"),
        ("compact", "is taken"),
        ("judge", "is taken"),
        ("there ", "is taken"),
        ("unfinished", "is taken"),
    ],
)
def test_a_bad_name_is_refused_before_anything_is_written(
    sample_project: Project, name: str, message: str
) -> None:
    sample_project.models.add("there", "segmenter", "models/there")
    interrupted(sample_project, "train", "unfinished")
    before = sample_project.runs.all()
    with pytest.raises(InputError, match=message):
        start(sample_project, name=name).__enter__()
    assert sample_project.runs.all() == before


def test_a_name_is_stripped(sample_project: Project) -> None:
    with start(sample_project, name="mine ") as held:
        assert held.name == "mine" == sample_project.runs.get(held.id).name
        held.finish({})
    assert "mine" not in names_in_use(sample_project, "segmenter")


@pytest.mark.parametrize("job", ["train", "adapt", "adapt-sd", "experiment"])
def test_an_interrupted_run_keeps_its_name_and_its_time(sample_project: Project, job: str) -> None:
    run = interrupted(sample_project, job)
    assert run.state == "failed" and can_resume(sample_project, run) and run.name == "tuned-1"
    with start(sample_project, job) as other:
        assert other.name == "tuned-2"
    found = newest_resumable(sample_project, job, lambda r: r.id == run.id)
    assert found == run
    with start(sample_project, job, resume=run) as held:
        assert (held.id, held.name, held.history) == (run.id, "tuned-1", run.history)
        assert 100 <= held.elapsed_s < 130
        time.sleep(0.02)
        held.record({"step": 2})
        assert held.state_file.read_bytes() == b"state"
        busy = pytest.raises(UserError, match="Another process is working on tuned-1")
        with Project.open(sample_project.path) as elsewhere, busy:
            start(elsewhere, job, resume=run).__enter__()
        held.finish({"sentence": "done"})
    done = sample_project.runs.get(run.id)
    assert done.state == "finished" and done.history[-1]["seconds"] > 100
    assert not can_resume(sample_project, done) and not held.state_file.exists()
    # Another process that had still seen it unfinished.
    with pytest.raises(UserError, match="has just finished it"):
        start(sample_project, job, resume=run).__enter__()
    assert sample_project.runs.get(run.id) == done


def test_the_cohort_of_a_run_is_found_by_its_frames(sample_project: Project) -> None:
    amendments, (cohort,) = sample_project.amendments, sample_project.frames.cohorts()
    ids = [frame.id for frame in sample_project.frames.all()]
    run = sample_project.runs.start(
        "mine", {"cohort": cohort}, {"train": ids[:4], "test": ids[4:8]}
    )
    whole = sample_project.runs.start("whole", {"cohort": None}, {"train": ids})
    assert cohort_now(sample_project, run) == cohort and cohort_now(sample_project, whole) is None
    amendments.rename_cohort(cohort, "new", author="me")
    assert cohort_now(sample_project, run) == "new"
    # Another cohort that is called as this one was is not the run's.
    amendments.set_cohort(ids[8:], cohort, author="me")
    assert cohort_now(sample_project, run) == "new"
    amendments.set_cohort(ids[:1], "other", author="me")
    assert cohort_now(sample_project, run) == cohort


@pytest.mark.parametrize("ended_by", [Stopped, KeyboardInterrupt])  # one Ctrl-C, and two
def test_a_cancelled_run_is_marked_so(
    ended_by: type[BaseException], sample_project: Project
) -> None:
    with pytest.raises(ended_by), start(sample_project) as held:
        raise ended_by
    assert sample_project.runs.get(held.id).state == "cancelled"
    assert not can_resume(sample_project, sample_project.runs.get(held.id))


def test_where_another_run_has_the_name_a_resumed_one_gets_a_new_one(
    sample_project: Project,
) -> None:
    """Earlier versions gave an unfinished run's name to the next run."""
    run = interrupted(sample_project, "train")
    sample_project.models.add(run.name, "segmenter", "models/other")
    with start(sample_project, resume=run) as held:
        assert held.name == "tuned-1-1" == sample_project.runs.get(run.id).name


@pytest.mark.parametrize("place", ["{id}/state.pt", ".adapt-{id}.pt"])
def test_checkpoints_of_earlier_versions_are_found(sample_project: Project, place: str) -> None:
    run = sample_project.runs.start("mine", {}, {})
    sample_project.runs.update(run.id, state="failed")
    assert newest_resumable(sample_project, "train") is None
    file = sample_project.path / "models" / place.format(id=run.id)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"")
    assert state_file(sample_project, run.id) == file
    found = newest_resumable(sample_project, "train")
    assert found is not None and found.id == run.id
