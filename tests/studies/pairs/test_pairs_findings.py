"""What a trial shows: tables and figures from the raw results, and no claim before its time."""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.studies.pairs.__main__ import main
from fetalstudio.studies.pairs.findings import completed, findings
from fetalstudio.studies.pairs.plan import (
    MANY_REAL,
    MORE_REAL,
    PAIRS,
    PRIMARY,
    PSEUDO,
    REAL,
    UNLABELLED,
    Design,
    Run,
    runs_of,
)
from fetalstudio.studies.pairs.report import evidence_of
from fetalstudio.studies.pairs.results import AUTO, BOX, Figure, HeldOut, Result, Results, Settings

FRAMES = 24


def settings(design: Design) -> Settings:
    groups = {
        "carrier": ("calipers", "no calipers"),
        "confirmation": ("calipers", "no calipers"),
        "paper": ("HC18", "Spain", "Africa"),
        "unlabelled": ("HC18",),
    }[design]
    test = [HeldOut(f"f{i}", f"f{i}", f"s{i}", groups[i % len(groups)]) for i in range(FRAMES)]
    return Settings(design, PRIMARY[design], {}, {}, {"count": 300}, tuple(test))


def filled(
    folder: Path,
    design: Design,
    draws: int,
    gain: Callable[[Run], float],
    ways: tuple[str, ...] = (AUTO,),
) -> Path:
    """A trial of this many draws; an arm has the Dice of its frames and this gain."""
    settings(design).keep(folder)
    results = Results(folder)
    level = np.random.default_rng(9).uniform(0.8, 0.93, FRAMES)
    for run in runs_of(design):
        if run.draw >= draws or run.real > 20:
            continue
        chance = np.random.default_rng([run.draw, len(run.arm)]).normal(0, 0.003, FRAMES)
        values = np.clip(level + gain(run) + chance, 0, 1)
        ellipse = Ellipse(10.0, 10.0, 5.0, 4.0, 3.0)
        figures = [
            None if design == "carrier" and i % 8 == run.draw % 8 else Figure(v, 1.5, ellipse)
            for i, v in enumerate(values.tolist())
        ]
        results.add(Result(run, ("a",), 400, 100.0, 90.0, dict.fromkeys(ways, tuple(figures))))
    return folder


def gains(pairs: float, more: float = 0.04) -> Callable[[Run], float]:
    return lambda run: {PAIRS: pairs, UNLABELLED: pairs, MORE_REAL: more}.get(run.arm, 0.0)


@pytest.mark.parametrize(
    ("pairs", "more", "said"),
    [
        (0.03, 0.04, "yes"),
        (-0.03, 0.04, "harm"),
        (0.0, 0.04, "no"),
        (0.03, 0.005, "insensitive"),
    ],
)
def test_the_primary_comparison_is_answered_when_all_its_draws_are_there(
    tmp_path: Path, pairs: float, more: float, said: str
) -> None:
    folder = filled(tmp_path, "carrier", 10, gains(pairs, more))
    found = findings(Settings.read(folder), Results(folder))
    primary = found.primary
    assert primary.answer == said and primary.draws == 10 and primary.pairs is not None
    assert primary.pairs.by_seed == pytest.approx([pairs] * 10, abs=0.003)
    assert primary.pairs.difference.mean == pytest.approx(pairs, abs=0.003)


def test_nothing_is_claimed_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = filled(tmp_path, "carrier", 2, gains(0.05))
    main(["show", str(folder)])
    text = capsys.readouterr().out
    assert "Interim: 2 of 10 draws; nothing is claimed before all are there." in text
    assert PRIMARY["carrier"].claim not in text
    assert (folder / "trial.md").read_text().strip() == text.strip()
    folder = filled(tmp_path / "whole", "unlabelled", 5, gains(0.05))
    main(["show", str(folder)])
    assert f"It may claim: {PRIMARY['unlabelled'].claim}." in capsys.readouterr().out


def test_a_draw_without_all_compared_arms_does_not_count(tmp_path: Path) -> None:
    folder = filled(tmp_path, "carrier", 3, gains(0.05))
    kept = [
        line
        for line in (folder / "results.jsonl").read_text().splitlines()
        if '"arm": "pairs", "real": 5, "draw": 2, "base": "random"' not in line
    ]
    (folder / "results.jsonl").write_text("".join(f"{line}\n" for line in kept))
    assert findings(Settings.read(folder), Results(folder)).primary.draws == 2


def test_frames_that_a_draw_learnt_from_are_filled_in_fairly() -> None:
    rng = np.random.default_rng(2)
    whole = rng.normal(0, 0.1, (6, 1)) + rng.normal(0.8, 0.1, 20)
    missing = whole.copy()
    for draw in range(6):
        missing[draw, rng.permutation(20)[:5]] = np.nan
    assert completed(missing) == pytest.approx(whole, abs=1e-5)
    assert completed(whole) is not whole and (completed(whole) == whole).all()


def test_a_draw_counts_with_the_frames_that_it_tested(tmp_path: Path) -> None:
    """A frame that one draw learnt from and another failed on must not count for the first."""
    settings("carrier").keep(tmp_path)
    results = Results(tmp_path)
    for arm, failed in ((REAL, 0.1), (PAIRS, 0.9), (MORE_REAL, 0.9)):
        for draw in range(2):
            values = [failed if i < 2 else 0.9 for i in range(FRAMES)]
            figures = tuple(
                None if draw and i < 2 else Figure(v, None, None) for i, v in enumerate(values)
            )
            results.add(Result(Run(arm, 5, draw), (), 1, 1.0, 1.0, {AUTO: figures}))
    found = findings(Settings.read(tmp_path), Results(tmp_path)).primary.pairs
    assert found is not None
    assert found.by_seed == pytest.approx((0.8 * 2 / FRAMES, 0.0))
    assert found.failures == (0.0, 1.0)


def test_raw_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    folder = filled(tmp_path, "unlabelled", 1, gains(0.0))
    first = Results(folder).all
    again = [Result.of_row(result.row()) for result in first]
    assert again == first and len(first) == 4
    assert first[0].figures[AUTO][0] == Figure(
        first[0].figures[AUTO][0].dice,  # type: ignore[union-attr]
        1.5,
        Ellipse(10.0, 10.0, 5.0, 4.0, 3.0),
    )


def test_comparisons_that_were_added_later_decide_nothing(tmp_path: Path) -> None:
    def gain(run: Run) -> float:
        return {PAIRS: 0.05, MANY_REAL: 0.04, MORE_REAL: 0.005}.get(run.arm, 0.0)

    folder = filled(tmp_path, "carrier", 10, gain)
    found = findings(Settings.read(folder), Results(folder))
    assert found.primary.answer == "insensitive"
    assert [(one.first, one.second, one.draws) for one in found.secondary] == [
        (MANY_REAL, REAL, 10),
        (PAIRS, MANY_REAL, 10),
    ]
    means = [one.comparison.difference.mean for one in found.secondary]
    assert means == pytest.approx([0.04, 0.01], abs=0.003)
    main(["show", str(folder)])
    assert (folder / "trial.md").read_text().count("Added later: ") == 2
    primary, other = evidence_of(found)
    assert primary.real == 5 and primary.beside.count("Added later: ") == 2
    assert other.real == 10 and not other.beside


def test_the_confirmation_has_other_draws_and_the_stronger_control(tmp_path: Path) -> None:
    def gain(run: Run) -> float:
        return {PAIRS: 0.05, MANY_REAL: 0.04}.get(run.arm, 0.0)

    drawn = {design: {r.draw for r in runs_of(design)} for design in ("carrier", "confirmation")}
    assert not drawn["carrier"] & drawn["confirmation"]
    folder = filled(tmp_path, "confirmation", max(drawn["confirmation"]) + 1, gain)
    found = findings(Settings.read(folder), Results(folder))
    assert found.primary.answer == "yes" and found.primary.draws == 10
    main(["show", str(folder)])
    text = (folder / "trial.md").read_text()
    assert PRIMARY["confirmation"].claim in text
    assert "Secondary comparison: 5 real + pairs, minus 5 real + as many other real" in text
    assert "Added later" not in text


def test_tables_report_calipers_apart_and_every_arm(tmp_path: Path) -> None:
    folder = filled(tmp_path, "carrier", 3, gains(0.02))
    main(["show", str(folder)])
    text = (folder / "trial.md").read_text()
    for title in ("All test frames", "calipers", "no calipers"):
        assert f"### {title}, without a prompt, native resolution" in text
    table = list(csv.DictReader((folder / "trial.csv").read_text().splitlines()))
    arms = {(r.base, r.real, r.arm) for r in runs_of("carrier") if r.draw < 3}
    assert len(table) == 3 * len(arms)
    rows = {(r["base"], r["real"], r["arm"], r["group"]): r for r in table}
    pairs = rows["random", "5", PAIRS, "all"]
    assert float(pairs["minus_real"]) == pytest.approx(0.02, abs=0.004)
    assert rows["random", "5", REAL, "all"]["minus_real"] == ""
    assert float(pairs["low"]) < float(pairs["dice"]) < float(pairs["high"])
    assert int(rows["random", "5", PSEUDO, "calipers"]["frames"]) == FRAMES // 2


def test_two_draws_have_no_interval(tmp_path: Path) -> None:
    folder = filled(tmp_path, "paper", 2, gains(0.02))
    main(["show", str(folder)])
    rows = list(csv.DictReader((folder / "trial.csv").read_text().splitlines()))
    assert rows and {(r["low"], r["high"]) for r in rows} == {("", "")}
    assert " to " not in (folder / "trial.md").read_text().split("###", 1)[1]


@pytest.mark.parametrize("design", ["carrier", "confirmation", "paper", "unlabelled"])
def test_the_figure_is_drawn_from_the_raw_results(tmp_path: Path, design: Design) -> None:
    ways = (AUTO, BOX) if design == "paper" else (AUTO,)
    pictures = []
    first = min(run.draw for run in runs_of(design))
    for draws, pairs in ((first, 0.0), (first + 1, 0.0), (first + 1, 0.05)):
        folder = filled(tmp_path / f"{draws}{pairs}", design, draws, gains(pairs), ways)
        main(["show", str(folder)])
        pictures.append(read_image(folder / "trial.png"))
    for a, b in pairwise(pictures):
        assert a.shape == b.shape and (a != b).any()


def test_a_folder_without_a_trial_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no trial"):
        main(["show", str(tmp_path)])
    with pytest.raises(InputError, match="holds no trial"):
        Settings.read(tmp_path)
