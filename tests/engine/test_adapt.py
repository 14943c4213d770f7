"""Job ``adapt``: what it learns from, what it keeps, and that it goes on after a crash."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fetalstudio.cli import main
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.cohort_split import labelled_frames, split, usable_pairs
from fetalstudio.engine.jobs.adapt import choice as adapt_choice
from fetalstudio.engine.jobs.adapt import held_out
from fetalstudio.engine.jobs.adapt import job as adapt
from fetalstudio.engine.jobs.adapt.choice import (
    AdaptingCountdown,
    Choice,
    HeldOutFigures,
    Measurement,
    pace_of,
)
from fetalstudio.engine.jobs.adapt.data import MAX_FRAMES, choose_adapt_data
from fetalstudio.engine.jobs.adapt.request import AdaptRequest
from fetalstudio.engine.jobs.sample.request import SampleRequest
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.engine.models.loading import find_model
from fetalstudio.engine.models.seen import Seen
from fetalstudio.engine.process.events import Adapting, Event, Preview, Progress
from fetalstudio.engine.process.local import run_job
from fetalstudio.formats.model_card import ModelCard, training_frames, write_training_frames
from fetalstudio.formats.neighbours import FILE, read_neighbours, write_neighbours
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Run
from fetalstudio.synthesis.lift import Lift
from fetalstudio.synthesis.synthesizer import Synthesizer
from tests.engine.support import die, killed
from tests.synthesis.tiny_synthesizer import tiny_synthesizer

RATE = 2e-2
"""High: in a few steps the tiny model must get visibly nearer to the frames."""


@pytest.fixture
def tiny(sample_project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """A synthesizer of the project that knows nothing: too bright, and without any head.

    What the segmenter finds in its noise is chance, so the fidelity decides nothing here.
    """
    monkeypatch.setattr(held_out, "SAMPLES", 2)
    monkeypatch.setattr(adapt, "LIFT_FRAMES", 2)
    monkeypatch.setattr(adapt_choice, "TOLERANCE", 1.0)
    lift = Lift.read(find_model("synthesizer", "compact").folder)
    tiny_synthesizer(finish=lift, guidance=2.5).save(sample_project.path / "models" / "tiny")
    write_training_frames(sample_project.path / "models" / "tiny", ["0" * 16])
    known = read_neighbours(find_model("synthesizer", "compact").folder)
    assert known is not None
    write_neighbours(known, sample_project.path / "models" / "tiny")
    sample_project.models.add("tiny", "synthesizer", "models/tiny")
    return "tiny"


def request_for(project: Project, **fields: Any) -> AdaptRequest:
    small = {"steps": 16, "measure_every": 8, "learning_rate": RATE, "synthesizer": "tiny"}
    return AdaptRequest(project.path, **{**small, **fields})


def test_it_makes_a_model_that_is_nearer_and_can_be_used_by_name(
    sample_project: Project, tiny: str
) -> None:
    heard: list[Event] = []
    result = run_job(request_for(sample_project, name="mine"), heard.append)
    said = [e for e in heard if isinstance(e, Adapting)]
    assert [e.step for e in said] == [0, 8, 16]
    assert result.model == "mine" and result.parent == "tiny" and result.best_step in (8, 16)
    assert result.after["grey"] + result.after["spectrum"] < (
        result.before["grey"] + result.before["spectrum"]
    )
    best = next(e for e in said if e.step == result.best_step)
    assert best.best and best.grey == result.after["grey"]
    steps = [e for e in heard if isinstance(e, Progress)]
    assert steps[-1].done == 16 and any(e.eta_s for e in steps)
    sheets = [e.image for e in heard if isinstance(e, Preview)]
    assert len(sheets) == 3 and all(sheet.ndim == 3 for sheet in sheets)

    record = sample_project.models.get("synthesizer", "mine")
    folder = sample_project.path / record.path
    card = ModelCard.read(folder)
    assert card.training_data["started_from"] == "tiny"
    assert len(card.training_data["started_from_sha256"]) == 64
    assert sum(card.training_data["cohorts"].values()) == result.frames > 0
    assert card.metrics["after"] == result.after and "held out" in card.metrics["protocol"]
    run = sample_project.runs.get(result.run_id)
    assert run.state == "finished" and run.job == "adapt" and len(run.history) == 3
    neighbours = read_neighbours(folder)
    assert neighbours is not None and training_frames(folder) == set(neighbours.ids)
    assert {i[:16] for i in run.data["train"]} < set(neighbours.ids)
    assert not list((sample_project.path / "models").glob(".*"))

    asked = SampleRequest(
        Ellipse(400, 270, 200, 150, 10), (800, 540), project=sample_project.path, steps=1
    )
    adapted = run_job(replace(asked, synthesizer="mine", measure=False))
    assert adapted.provenance["synthesizer"] == "mine"
    sample_project.models.adopt("synthesizer", "mine")
    run_job(SynthesizeRequest(sample_project.path, count=1, steps=1))
    assert sample_project.pairs.all()[0].provenance["synthesizer"] == "mine"
    sample_project.models.roll_back("synthesizer")
    assert sample_project.models.active("synthesizer") is None


def test_no_subject_that_is_held_out_from_training_is_learnt_from_or_watched(
    sample_project: Project,
) -> None:
    parts = split(sample_project, labelled_frames(sample_project))
    data = choose_adapt_data(sample_project, None, 0)
    assert {parts[i.subject] for i in (*data.train, *data.held_out)} == {"train"}
    watched = {i.subject for i in data.held_out}
    assert watched and not watched & {i.subject for i in data.train}
    assert len(watched) <= 0.15 * len(watched | {i.subject for i in data.train}) + 0.5
    assert data.notes == ()


def test_a_segmenter_may_learn_from_the_pairs_of_an_adapted_synthesizer(
    sample_project: Project, tiny: str
) -> None:
    run_job(request_for(sample_project, name="mine"))
    run_job(SynthesizeRequest(sample_project.path, synthesizer="mine", count=2, steps=1))
    made = sample_project.pairs.all()
    for pair in made:
        sample_project.pairs.review(pair.id, "accepted", reviewer="test")
    parts = split(sample_project, labelled_frames(sample_project))
    usable = usable_pairs(sample_project, parts, Seen())
    assert {p.id for p in usable} == {p.id for p in made if not p.copy} != set()


def test_a_cancel_keeps_the_best_so_far(sample_project: Project, tiny: str) -> None:
    heard: list[Event] = []

    def improved() -> bool:
        return any(isinstance(e, Adapting) and e.best for e in heard)

    with pytest.raises(Stopped) as stopped:
        run_job(request_for(sample_project, steps=4000), heard.append, cancelled=improved)
    result = stopped.value.result
    run = sample_project.runs.get(result.run_id)
    assert run.state == "cancelled" and result.steps_run < 4000
    assert result.model == run.name == sample_project.models.all("synthesizer")[0].name
    loaded = Synthesizer.load(sample_project.path / sample_project.models.all()[0].path)
    assert loaded.card.metrics["best_step"] == result.best_step
    # Moving its heads would undo what it has learnt of how they are drawn.
    assert loaded.card.preprocessing == {"canvas": [384, 256]}


def test_a_cancel_before_anything_was_measured_leaves_nothing(
    sample_project: Project, tiny: str
) -> None:
    heard: list[Event] = []
    with pytest.raises(Stopped) as stopped:
        run_job(
            request_for(sample_project),
            heard.append,
            cancelled=lambda: any(isinstance(e, Progress) and e.done == 3 for e in heard),
        )
    assert stopped.value.result is None
    assert [m.name for m in sample_project.models.all()] == ["tiny"]
    assert [p.name for p in (sample_project.path / "models").iterdir()] == ["tiny"]
    assert max(e.done for e in heard if isinstance(e, Progress)) == 3


def adapt_and_die(request: AdaptRequest) -> None:
    held_out.SAMPLES, adapt.LIFT_FRAMES, adapt_choice.TOLERANCE = 2, 2, 1.0

    def hear(event: Event) -> None:
        if isinstance(event, Adapting) and event.step == 2:
            threading.Timer(0.1, die).start()

    run_job(request, hear)


@pytest.mark.slow
def test_a_killed_adapting_goes_on_and_ends_as_an_unbroken_one(
    sample_project: Project, tiny: str, forks: None
) -> None:
    killed(adapt_and_die, request_for(sample_project, steps=4, measure_every=2))
    (run,) = sample_project.runs.all()
    assert run.state == "running" and [row["step"] for row in run.history] == [0, 2]

    heard: list[Event] = []
    result = run_job(request_for(sample_project, steps=4, measure_every=2), heard.append)
    assert result.run_id == run.id
    assert min(e.done for e in heard if isinstance(e, Progress)) == 2
    assert [e.step for e in heard if isinstance(e, Adapting)] == [4]
    assert len(sample_project.runs.all()) == 1
    resumed = sample_project.runs.get(run.id)
    assert resumed.state == "finished" and [r["step"] for r in resumed.history] == [0, 2, 4]
    seconds = [row["seconds"] for row in resumed.history]
    assert seconds == sorted(seconds)
    again = run_job(request_for(sample_project, steps=4, measure_every=2))
    assert again.run_id != run.id
    whole = sample_project.runs.get(again.run_id)
    for a, b in zip(resumed.history, whole.history, strict=True):
        assert a["grey"] == pytest.approx(b["grey"], abs=0.05)


def short(project: Project, **fields: Any) -> AdaptRequest:
    return request_for(project, steps=4, measure_every=2, **fields)


def broken_after_two_steps(request: AdaptRequest) -> Run:
    """The run of a :func:`short` request whose power failed."""

    def power_fails(event: Event) -> None:
        if isinstance(event, Adapting) and event.step == 2:
            raise RuntimeError("the power failed")

    with pytest.raises(RuntimeError, match="the power failed"):
        run_job(request, power_fails)
    with Project.open(request.project) as project:
        (run,) = project.runs.all()
    return run


def test_an_adapting_is_resumed_after_its_cohort_was_renamed(
    sample_project: Project, tiny: str
) -> None:
    (cohort,) = sample_project.frames.cohorts()
    interrupted = broken_after_two_steps(short(sample_project, cohort=cohort))
    sample_project.amendments.rename_cohort(cohort, "Scanner A", author="me")
    resumed = run_job(short(sample_project, cohort="Scanner A"))
    assert (resumed.run_id, resumed.steps_run) == (interrupted.id, 4)


def test_another_adapting_does_not_take_up_an_interrupted_one(
    sample_project: Project, tiny: str
) -> None:
    interrupted = broken_after_two_steps(short(sample_project)).id
    assert sample_project.runs.all()[0].state == "failed"
    result = run_job(request_for(sample_project, seed=1, steps=1, measure_every=1))
    assert result.run_id != interrupted
    # Taken up and cancelled before it measures anew, it still has what it had measured.
    with pytest.raises(Stopped) as stopped:
        run_job(short(sample_project), cancelled=lambda: True)
    assert (stopped.value.result.run_id, stopped.value.result.steps_run) == (interrupted, 2)
    assert sample_project.runs.get(interrupted).state == "cancelled"


def test_what_helps_nothing_leaves_no_model(
    sample_project: Project, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_small(*_: object) -> Lift:
        raise ValueError

    monkeypatch.setattr(Lift, "fit", too_small)  # so that the parent's grain stays too
    heard: list[Event] = []
    request = request_for(sample_project, steps=6, measure_every=1, learning_rate=1e-9, patience=2)
    result = run_job(request, heard.append)
    assert result.model is None and result.best_step == 0 and result.steps_run == 2
    assert "Keep tiny" in result.verdict and result.after == result.before
    assert len(sample_project.models.all()) == 1


FIGURES = HeldOutFigures(0.98, 10.0, 4.0, 0.5, 0)


@pytest.mark.parametrize(
    ("change", "better"),
    [
        ({"grey": 5.0}, True),
        ({"grey": 9.9}, False),
        ({"grey": 5.0, "fidelity": 0.972}, True),
        ({"grey": 5.0, "fidelity": 0.96}, False),
        ({"grey": 5.0, "copies": 1}, False),
        ({"grey": 5.0, "spectrum": 7.0}, False),
    ],
)
def test_only_what_is_faithful_original_and_nearer_is_better(
    change: dict[str, Any], better: bool
) -> None:
    choice = Choice([Measurement(0, FIGURES, False)])
    assert choice.better(replace(FIGURES, **change), 0.99) is better


def test_heads_need_not_be_found_better_than_in_real_frames() -> None:
    choice = Choice([Measurement(0, FIGURES, False)])
    nearer = replace(FIGURES, grey=5.0, fidelity=0.92)
    assert choice.better(nearer, 0.92) and not choice.better(nearer, 0.95)


def test_the_time_left_goes_on_from_the_pace_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run has its own pace from its first step on, and until then that from before."""
    now = [1000.0]
    monkeypatch.setattr(adapt_choice.time, "monotonic", lambda: now[0])
    history = [{"step": 0, "seconds": 10.0}, {"step": 50, "seconds": 110.0}]
    assert pace_of(history) == 2.0 and pace_of(history[:1]) is None
    resumed = AdaptingCountdown(150, 50, pace_of(history))
    assert resumed.left(50) == pytest.approx(200)
    now[0] += 3
    resumed.stepped()
    assert resumed.left(51) == pytest.approx(99 * 3)
    assert AdaptingCountdown(150, 50).left(0) is None


def bare(path: Path, subjects: list[str]) -> Project:
    project = Project.create(path)
    rng = np.random.default_rng(0)
    for i, subject in enumerate(subjects):
        pixels = rng.integers(0, 255, (40, 40), dtype=np.uint8)
        frame, _ = project.frames.add(pixels, name=f"f{i}", cohort="ward", subject=subject)
        project.annotations.add(frame.id, Ellipse(20, 20, 9, 8, 0), author="t", state="final")
    return project


@pytest.mark.parametrize(
    ("subjects", "message"),
    [
        ([], "no annotated frame"),
        (["a", "b", "c", "d"], "at least 5 annotated frames; the project has 4"),
        (["a"] * 9, "at least four subjects"),
        (["a", "b", "c"] * 3, "at least four subjects"),
    ],
)
def test_too_little_is_refused_with_the_cure(
    tmp_path: Path, subjects: list[str], message: str
) -> None:
    with bare(tmp_path / "p", subjects) as project:
        with pytest.raises(InputError, match=message):
            run_job(AdaptRequest(project.path))
        assert project.runs.all() == []


def test_a_proposal_is_no_annotation(sample_project: Project) -> None:
    before = choose_adapt_data(sample_project, None, 0)
    for frame in sample_project.frames.all(annotated=False):
        ellipse = Ellipse(300, 200, 100, 80, 0)
        sample_project.annotations.add(frame.id, ellipse, author="compact", state="proposed")
    assert choose_adapt_data(sample_project, None, 0) == before


def test_of_too_many_frames_a_seeded_choice_of_subjects_is_taken(tmp_path: Path) -> None:
    with bare(tmp_path / "p", [f"s{i // 3}" for i in range(3 * 130)]) as project:
        data = choose_adapt_data(project, None, 0)
        assert MAX_FRAMES - 3 < len(data.train) <= MAX_FRAMES
        assert f"learns from {len(data.train)} of" in data.notes[0]
        assert "Choose a cohort" in data.notes[0]
        frames: dict[str, int] = {}
        for item in data.train:
            frames[item.subject] = frames.get(item.subject, 0) + 1
        assert set(frames.values()) == {3}
        assert choose_adapt_data(project, None, 0) == data != choose_adapt_data(project, None, 1)


def test_a_parent_that_does_not_know_its_frames_is_refused(
    sample_project: Project, tiny: str
) -> None:
    (sample_project.path / "models" / "tiny" / FILE).unlink()
    with pytest.raises(InputError, match="does not say which frames it was trained on"):
        run_job(request_for(sample_project))
    assert sample_project.runs.all() == []


def test_another_kind_of_synthesizer_is_refused(sample_project: Project, tiny: str) -> None:
    folder = sample_project.path / "models" / "tiny"
    other = ModelCard.read(folder)
    replace(other, architecture={"type": "stable-diffusion"}).write(folder)
    with pytest.raises(InputError, match="tiny is not a compact synthesizer"):
        run_job(request_for(sample_project))
    assert sample_project.runs.all() == []


def test_the_command_adapts_and_adopts(
    sample_project: Project, tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(sample_project.path)
    options = ["--steps", "2", "--synthesizer", "tiny", "--name", "mine", "--cohort"]
    assert main(["adapt", path, *options, "nowhere", "--json"]) == 2
    assert "Choose one of these" in json.loads(capsys.readouterr().out)["error"]
    assert (
        main(["adapt", path, *options, sample_project.frames.cohorts()[0], "--adopt", "--json"])
        == 0
    )
    out = capsys.readouterr()
    result = json.loads(out.out.splitlines()[-1])
    assert "step 0/2" in out.err and result["verdict"] in out.err.replace("\n", " ")
    active = sample_project.models.active("synthesizer")
    assert (result["model"] == "mine") == (active is not None and active.name == "mine")


def test_settings_that_make_no_sense_are_refused(sample_project: Project) -> None:
    path = sample_project.path
    for request, message in (
        (AdaptRequest(path, steps=0), "steps is 0"),
        (AdaptRequest(path, seed=-1), "seed is -1"),
        (AdaptRequest(path, name="compact"), "taken"),
        (AdaptRequest(path, cohort="nowhere"), "no cohort 'nowhere'. Choose one of these"),
        (AdaptRequest(path, synthesizer="gone"), "Choose one of these: compact"),
        (AdaptRequest(path, learning_rate=0), "learning_rate is 0"),
    ):
        with pytest.raises(InputError, match=message):
            run_job(request)
    assert sample_project.runs.all() == []
