"""Judges that know the synthesizer's frames, beside those that do not: who judges what, and how it
is compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.simulation import simulated_frames
from fetalstudio.studies import judges
from fetalstudio.studies.judges import (
    MADE,
    REAL,
    Judging,
    Results,
    Study,
    halves_of,
    main,
    report,
)
from fetalstudio.studies.pairs.segmenters import Recipe

TINY = Recipe(steps=1, batch=2, learning_rate=1e-3, without_prompt=1.0)


@pytest.fixture(scope="module")
def frames() -> list[LabelledFrame]:
    made = [one.labelled() for one in simulated_frames(16, 3, size=(120, 90))]
    return [replace(one, name=f"f{i}", subject=f"s{i // 2}") for i, one in enumerate(made)]


def test_no_judge_judges_a_subject_that_it_learnt_from(
    frames: list[LabelledFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unseen, known = frames[:10], frames[10:]
    learnt: list[set[str]] = []

    def recorded(groups: Sequence[Sequence[LabelledFrame]], *given: Any, **named: Any) -> Segmenter:
        learnt.append({frame.subject for group in groups for frame in group})
        return original(groups, *given, **named)

    original = judges.trained
    monkeypatch.setattr(judges, "trained", recorded)
    first, second = halves_of(unseen)
    assert first and second and not {f.subject for f in first} & {f.subject for f in second}
    pictures = {frame.name: frame.image for frame in unseen}
    study = Study(tmp_path, (first, second), known, pictures, TINY, Results(tmp_path))
    study.run(seeds=1)
    subject = {frame.name: frame.subject for frame in unseen}
    for row, own in zip(study.results.rows, learnt, strict=True):
        assert not own & {subject[name] for name in row.dice[MADE]}
        # The picture of each head is its real frame here.
        assert row.dice[MADE] == row.dice[REAL]
    by_kind = {(row.learnt, row.half): set(row.dice[REAL]) for row in study.results.rows}
    assert by_kind["unseen", 0] | by_kind["unseen", 1] == by_kind["seen", None] == {*pictures}
    assert learnt[2] <= {frame.subject for frame in known}
    # The study goes on where it stopped.
    Study(tmp_path, (first, second), known, pictures, TINY, Results(tmp_path)).run(seeds=1)
    assert len(learnt) == 3 and not (tmp_path / "states").exists()


def written(out: Path, *, made: float, real: float, subjects: int = 30) -> Path:
    """A study in which judges that know the synthesizer's frames are better on made heads by
    ``made`` and on real frames by ``real``."""
    names = [f"f{i}" for i in range(subjects)]
    (out / "settings.json").write_text(json.dumps({"test": {name: name for name in names}}))
    rng, results = np.random.default_rng(0), Results(out)

    def dice(mean: float, of: Sequence[str]) -> dict[str, float]:
        return {name: mean + float(rng.normal(0, 0.002)) for name in of}

    for seed in range(5):
        for half in (0, 1):
            own = names[half::2]
            row = Judging("unseen", half, seed, {MADE: dice(0.95, own), REAL: dice(0.94, own)})
            results.add(row)
        gained = {MADE: dice(0.95 + made, names), REAL: dice(0.94 + real, names)}
        results.add(Judging("seen", None, seed, gained))
    return out


def test_what_better_judges_gain_on_real_frames_is_not_held_against_the_made_ones(
    tmp_path: Path,
) -> None:
    last = report(written(tmp_path, made=0.03, real=0.01)).splitlines()[-3]
    cells = [float(cell.split()[0]) for cell in last.split("|")[2:5]]
    assert cells == pytest.approx([0.03, 0.01, 0.02], abs=0.001)
    low, high = last.split("|")[4].split("(")[1].rstrip(") ").split(" to ")
    assert 0.018 < float(low) < 0.02 < float(high) < 0.022


def test_a_seed_without_all_its_judges_does_not_count(tmp_path: Path) -> None:
    written(tmp_path, made=0.03, real=0.01)
    results = Results(tmp_path)
    del results.rows[-1]
    results.add(results.rows.pop())
    assert "30 heads of 30 examinations, 4 seeds." in report(tmp_path)
    results.path.write_text("")
    with pytest.raises(InputError, match="no seed with all judges yet"):
        report(tmp_path)
    with pytest.raises(SystemExit, match="holds no study"):
        main(["show", str(tmp_path / "none")])
