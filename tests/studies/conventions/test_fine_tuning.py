"""What a fine-tuning gains by pairs that follow a convention: folds, pairs, tables and evidence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.convention import Offset
from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.engine.evidence import read_evidence
from fetalstudio.simulation import simulated_frames
from fetalstudio.studies.conventions import fine_tuning
from fetalstudio.studies.conventions.fine_tuning import (
    ARMS,
    AS_IT_IS,
    CONVENTION,
    FOLLOWED,
    PLAIN,
    REAL,
    Figure,
    Results,
    Row,
    folds_of,
    report,
)
from fetalstudio.studies.pairs import making
from fetalstudio.studies.pairs.making import PairSettings, pairs_in

GAIN = {AS_IT_IS: 0.0, CONVENTION: 0.02, REAL: 0.015, PLAIN: 0.005, FOLLOWED: 0.014}


@pytest.fixture(scope="module")
def frames() -> list[LabelledFrame]:
    made = [one.labelled() for one in simulated_frames(9, 3, size=(120, 90))]
    return [replace(one, name=f"f{i}", subject=f"s{i // 2}") for i, one in enumerate(made)]


def test_every_subject_is_left_out_once_and_never_learnt_from_then(
    frames: list[LabelledFrame],
) -> None:
    folds = folds_of(frames, 3, 4)
    left_out = [item.name for _, tested in folds for item in tested]
    assert sorted(left_out) == [item.name for item in frames]
    for learn, tested in folds:
        assert len(learn) == 4
        assert not {item.subject for item in learn} & {item.subject for item in tested}
    with pytest.raises(InputError, match="7 frames to learn from were requested"):
        folds_of(frames, 3, 7)


def test_a_pair_keeps_its_label_and_shows_the_skull_elsewhere(
    frames: list[LabelledFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "edge_score", lambda image, ellipse: 1.0)
    offset, few = Offset(long=0.2, short=0.2), PairSettings(count=2)
    plain = pairs_in(tmp_path / "plain", frames[:3], few, 1, None)
    followed = pairs_in(tmp_path / "followed", frames[:3], few, 1, None, skull=offset.remove)
    assert plain is not None and followed is not None
    for a, b in zip(plain, followed, strict=True):
        assert a.ellipse == b.ellipse and (a.image != b.image).mean() > 0.2


def written(out: Path, folds: int = 3, subjects: int = 24) -> Path:
    """A study with ``folds`` complete folds of three, in which the arms gain :data:`GAIN`."""
    names = [f"f{i}" for i in range(subjects)]
    settings = {"cohort": "Madrid", "grown": 0.0, "folds": 3, "learn": 10, "pairs": 40}
    out.mkdir(parents=True)
    test = {"test": {name: f"subject of {name}" for name in names}}
    (out / "settings.json").write_text(json.dumps({**settings, **test}))
    results, rng = Results(out), np.random.default_rng(0)
    level = dict(zip(names, rng.uniform(0.94, 0.97, subjects), strict=True))
    for fold in range(folds):
        for arm in ARMS:
            chance = rng.normal(0, 0.001, subjects)
            figures = {
                name: Figure(level[name] + GAIN[arm] + chance[i], 0.02 - GAIN[arm])
                for i, name in enumerate(names)
                if i % 3 == fold
            }
            results.add(Row(arm, fold, figures, 1.0))
    return out


def test_the_report_compares_on_the_left_out_frames(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = written(tmp_path / "whole")
    file = tmp_path / "evidence" / "tuning.json"
    fine_tuning.main(["show", str(out), "--evidence", str(file)])
    text = capsys.readouterr().out
    assert "24 frames of 24 subjects, 3 of 3 folds" in text
    primary = next(row for row in text.splitlines() if row.startswith(f"| {ARMS[FOLLOWED]}, minus"))
    assert f"minus {ARMS[REAL]}" in primary and "-0.1" in primary
    pairs, convention = read_evidence(file.parent)
    assert (pairs.question, pairs.knows, pairs.real, pairs.pairs) == ("pairs", "heads", 10, 40)
    assert pairs.gain == pytest.approx(-0.001, abs=0.0006)
    assert pairs.answer == "too_few"  # each frame is tested after one training
    assert convention.answer == "yes" and convention.gain == pytest.approx(0.02, abs=0.0006)


def test_what_is_not_complete_is_interim_and_what_is_small_claims_nothing(tmp_path: Path) -> None:
    started = written(tmp_path / "started", folds=2)
    with (started / "results.jsonl").open("a") as stream:
        row = {"arm": AS_IT_IS, "fold": 2, "figures": {"f2": [0.5, None]}, "seconds": 1.0}
        stream.write(json.dumps(row) + "\n")
    settings = json.loads((started / "settings.json").read_text())
    text = report(Results(started), settings)
    assert "16 frames of 16 subjects, 2 of 3 folds" in text and "too few" in text
    found = fine_tuning.evidence_of(Results(started), settings)
    assert all(finding.interim and finding.answer is None for finding in found)
    small = written(tmp_path / "small", subjects=15)
    settings = json.loads((small / "settings.json").read_text())
    found = fine_tuning.evidence_of(Results(small), settings)
    assert {finding.answer for finding in found} == {"too_few"}
    assert report(Results(tmp_path), settings) == "No fold is complete yet.\n"


def test_finished_arms_are_read_back(tmp_path: Path) -> None:
    out = written(tmp_path / "whole", folds=1)
    again = Results(out)
    assert again.has(FOLLOWED, 0) and not again.has(FOLLOWED, 1)
    again.add(Row(REAL, 1, {"f1": Figure(0.0, None)}, 2.0))
    assert Results(out).rows[-1] == Row(REAL, 1, {"f1": Figure(0.0, None)}, 2.0)
