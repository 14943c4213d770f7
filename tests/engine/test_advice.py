"""What is said about pairs before a training follows the evidence in a file, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.convention import Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.training_settings import RECOMMENDED
from fetalstudio.engine.cohort_conventions import CohortConvention
from fetalstudio.engine.cohort_split import labelled_frames
from fetalstudio.engine.evidence import Finding, Knowledge, read_evidence, write_evidence
from fetalstudio.engine.jobs.train.advice import advise, knowledge, unlike_the_cohort
from fetalstudio.engine.jobs.train.data import select_training_data
from fetalstudio.engine.models.seen import Seen, cohorts_learnt
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Pair

HELPS = Finding(
    question="pairs",
    knows="nothing",
    target="African frames",
    real=5,
    pairs=300,
    gain=0.031,
    low=0.012,
    high=0.05,
    by_repeat=(0.02, 0.042),
    repeats=10,
    planned=10,
    subjects=41,
    margin=0.01,
    answer="yes",
    page="docs/evidence/pairs.md",
)


def test_a_gain_that_may_be_claimed_leads_to_the_pairs() -> None:
    advice = advise(6, 500, "nothing", [HELPS])
    assert (advice.expected, advice.pairs) == ("help", 300)
    assert "likely to help" in advice.headline
    assert "+3.10 points of Dice (+1.20 to +5.00)" in advice.text
    assert "5 real frames" in advice.text and "41 subjects" in advice.text


@pytest.mark.parametrize(("answer", "expected"), [("no", "nothing"), ("harm", "harm")])
def test_pairs_that_were_shown_not_to_help_are_not_recommended(answer: str, expected: str) -> None:
    advice = advise(6, 500, "nothing", [replace(HELPS, answer=answer)])  # type: ignore[arg-type]
    assert (advice.expected, advice.pairs) == (expected, 0)


@pytest.mark.parametrize(
    ("finding", "says"),
    [
        (replace(HELPS, repeats=3, answer=None, low=None, high=None), "Interim, 3 of 10 draws"),
        (replace(HELPS, repeats=3, answer=None), "the trial is not complete"),
        (replace(HELPS, answer="unknown", low=-0.004, high=0.009), "changed about nothing"),
        (
            replace(HELPS, answer="unknown", low=None, high=None, by_repeat=(-0.017, 0.01)),
            "so far, in 10 repeats, they changed the Dice by -1.70 to +1.00 points.",
        ),
        (
            replace(HELPS, answer="unknown", low=-0.004, high=0.03),
            "they changed the Dice by -0.40 to +3.00 points.",
        ),
        (replace(HELPS, answer="too_few"), "Too few subjects"),
        (replace(HELPS, answer="insensitive"), "could not have shown a difference"),
        (replace(HELPS, answer="insensitive"), "so far they have helped, though not"),
        (replace(HELPS, answer="insensitive", beside="Others: +2."), "difference. Others: +2."),
        (replace(HELPS, answer="unknown"), "allow both answers"),
    ],
)
def test_without_a_claim_nothing_is_promised_and_all_pairs_stay(
    finding: Finding, says: str
) -> None:
    advice = advise(5, 40, "nothing", [finding])
    assert (advice.expected, advice.pairs) == ("open", 40)
    assert "not known" in advice.headline and says in advice.text


def test_a_finding_holds_for_as_many_frames_and_as_much_knowledge_alone() -> None:
    more = replace(HELPS, real=10, answer="no")
    assert advise(5, 40, "nothing", [HELPS, more]).expected == "help"
    assert advise(12, 40, "nothing", [HELPS, more]).expected == "nothing"
    many = advise(80, 40, "nothing", [HELPS, more])
    assert many.expected == "open" and "beside 80 real frames" in many.headline
    assert "10 real frames" in many.text  # what is the nearest
    other = advise(5, 40, "cohort", [HELPS, replace(more, knows="heads")])
    assert other.expected == "open" and other.pairs == 40 and "not measured" in other.headline
    assert "heads elsewhere" in other.text  # what is the nearest
    assert advise(5, 40, "nothing", []).expected == "open"


@pytest.mark.parametrize("knows", ["nothing", "heads", "cohort"])
def test_what_small_segmenters_showed_is_not_claimed_of_a_sam(knows: Knowledge) -> None:
    advice = advise(5, 40, knows, [replace(HELPS, knows=knows)], sam=True)
    assert (advice.expected, advice.pairs) == ("open", 40)
    assert "not tried with SAM's own weights" in advice.headline
    assert "likely" not in advice.text and "a small segmenter that had" in advice.text


def test_trials_with_as_many_frames_must_agree() -> None:
    other = replace(HELPS, target="HC18 frames", subjects=127, pairs=100)
    assert advise(5, 400, "nothing", [HELPS, other]).pairs == 100
    disagreed = advise(5, 40, "nothing", [HELPS, replace(other, answer="no")])
    assert (disagreed.expected, disagreed.pairs) == ("open", 40)
    assert "trials disagree" in disagreed.headline
    running = replace(other, repeats=1, answer=None)
    assert advise(5, 400, "nothing", [running, HELPS]).pairs == 300


def test_what_a_handful_buys_without_a_training_is_said() -> None:
    convention = replace(HELPS, question="convention", knows="heads", gain=0.005, low=0.001)
    pairs = replace(HELPS, knows="heads", answer="no")
    assert "follow the cohort" in advise(5, 9, "heads", [pairs, convention]).text
    assert "follow the cohort" not in advise(5, 9, "cohort", [pairs, convention]).text


def test_what_was_written_is_read_and_damage_is_named(tmp_path: Path) -> None:
    assert read_evidence(tmp_path) == []
    write_evidence(tmp_path / "a.json", [HELPS])
    interim = replace(HELPS, low=None, high=None, answer=None)
    write_evidence(tmp_path / "b.json", [interim])
    assert read_evidence(tmp_path) == [HELPS, interim]
    stored = json.loads((tmp_path / "b.json").read_text())
    for broken in ({**stored, "format": 99}, {"format": 1}, {**stored, "findings": [{"real": 1}]}):
        (tmp_path / "b.json").write_text(json.dumps(broken))
        with pytest.raises(InputError, match=r"b\.json is damaged"):
            read_evidence(tmp_path)


def test_the_bundled_evidence_is_whole() -> None:
    findings = read_evidence()
    assert any(f.question == "pairs" and f.knows == "nothing" for f in findings)
    for finding in findings:
        assert finding.answer is None or not finding.interim
        assert (Path(__file__).parents[2] / finding.page).is_file()


def test_the_figures_of_the_few_shot_study_are_those_of_its_page() -> None:
    page = (Path(__file__).parents[2] / "docs/evidence/few-shot.md").read_text(encoding="utf-8")
    findings = [f for f in read_evidence() if f.page.endswith("few-shot.md")]
    assert [f.real for f in findings] == [5, 10, 20, 50, 100, 300]
    for f in findings:
        assert f.low is not None and f.high is not None
        effect = f"{100 * f.gain:+.2f} ({100 * f.low:+.2f} to {100 * f.high:+.2f})"
        assert any(row.startswith(f"| {f.real} ") and effect in row for row in page.splitlines())


def test_a_replaced_file_changes_the_advice_and_the_recommended_pairs(
    sample_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fetalstudio.engine.evidence.evidence_dir", lambda: tmp_path)
    accepted(sample_project, 3)
    known = replace(HELPS, knows="heads", real=8)
    taken = {}
    for answer in ("yes", "no"):
        write_evidence(tmp_path / "trial.json", [replace(known, answer=answer, pairs=2)])
        data = select_training_data(sample_project, None, real=None, synthetic=RECOMMENDED)
        assert data.advice is not None and data.advice.pairs == len(data.pairs)
        taken[answer] = len(data.pairs)
    assert taken == {"yes": 2, "no": 0}
    assert len(select_training_data(sample_project, None, real=None, synthetic=None).pairs) == 3


def test_a_segmenter_knows_a_cohort_by_its_name_or_its_subjects(sample_project: Project) -> None:
    items = [replace(item, cohort="HC18") for item in labelled_frames(sample_project)]
    learnt = cohorts_learnt(sample_project, None)
    assert learnt == {"HC18"}  # the built-in one, as its card says
    assert knowledge(items, Seen(), learnt) == "cohort"
    elsewhere = [replace(item, cohort="mine") for item in items]
    assert knowledge(elsewhere, Seen(), learnt) == "heads"
    assert knowledge([*items, *elsewhere], Seen(), learnt) == "heads"
    assert knowledge(elsewhere, Seen(), frozenset()) == "nothing"
    assert knowledge(elsewhere, Seen().with_subjects_of(elsewhere), learnt) == "cohort"


def test_pairs_that_do_not_show_the_convention_are_warned_about(sample_project: Project) -> None:
    e = Ellipse(300, 200, 150, 110, 10)
    drawn = [(replace(e, a=e.a * 1.04, b=e.b * 1.04), e)] * 5
    convention = Convention.measure("compact", drawn, list("abcde"))
    cohorts = {"mine": CohortConvention("mine", convention)}
    pairs = accepted(sample_project, 2)
    (said,) = unlike_the_cohort(pairs, cohorts)
    assert said.startswith("2 accepted pairs") and "4.0 % outside" in said
    followed = [replace(p, provenance={**p.provenance, "convention": {}}) for p in pairs]
    assert unlike_the_cohort(followed, cohorts) == []
    assert unlike_the_cohort(pairs, {"mine": CohortConvention("mine", None)}) == []
    assert unlike_the_cohort(pairs, {}) == []


def accepted(project: Project, count: int) -> list[Pair]:
    pairs = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 255, (60, 90)).astype(np.uint8)
        pair = project.pairs.add(
            noise,
            name=f"made {number}",
            ellipse=Ellipse(45, 30, 20, 15, 0),
            cohort="synthetic",
            calibration=None,
            quality={},
            provenance={},
        )
        project.pairs.review(pair.id, "accepted", reviewer="me")
        pairs.append(pair)
    return pairs
