"""A trial of the pairs: what its runs learn from, what a crash costs, and what cannot change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.engine.models.loading import ALIGNED
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.segmentation.compact import CompactConfig
from fetalstudio.segmentation.pretraining import VARIED
from fetalstudio.simulation import simulated_frames
from fetalstudio.studies.pairs import carrier, trial
from fetalstudio.studies.pairs.carrier import Carrier
from fetalstudio.studies.pairs.drawing import one_of_each
from fetalstudio.studies.pairs.making import PairSettings, pairs_in
from fetalstudio.studies.pairs.paper import Learning, Paper
from fetalstudio.studies.pairs.plan import (
    ADAPTED,
    ARMS,
    MANY_REAL,
    MORE_REAL,
    NO_GRAIN,
    PAIRS,
    PRIMARY,
    PSEUDO,
    REAL,
    SELF_TRAINING,
    SHAPES,
    SIMULATED,
    SIMULATED_CONVENTION,
    UNLABELLED,
    Run,
    runs_of,
)
from fetalstudio.studies.pairs.results import WAYS, Results, Settings
from fetalstudio.studies.pairs.segmenters import Recipe, balanced
from fetalstudio.studies.pairs.shapes import shape_frame
from fetalstudio.studies.pairs.trial import Material, Trial
from fetalstudio.studies.pairs.unlabelled import Unlabelled
from fetalstudio.synthesis.synthesizer import Synthesizer
from tests.synthesis.tiny_synthesizer import tiny_synthesizer

TINY = CompactConfig(
    image_size=32, widths=(8, 8, 8, 32), blocks=(1, 1, 1), attention=1, decoder_mlp=8
)
RECIPE = Recipe(steps=2, batch=2, learning_rate=1e-3, without_prompt=0.5)
FEW = PairSettings(count=2, tries=2, adapt_steps=1)


@pytest.fixture(scope="module")
def frames() -> list[LabelledFrame]:
    """12 African frames, one of them cut and two uncertain; 100 of HC18 and a Spanish one.

    They share the pixels of six.
    """
    made = [f.labelled() for f in simulated_frames(6, 1, size=(96, 64))]
    result = []
    for i in range(12):
        quality = "cut" if i == 11 else "uncertain" if i > 8 else "clear"
        labels = {"quality": quality, "country": "GHA" if i % 2 else "EGY"}
        frame = replace(made[i % 6], id=f"a{i}", name=f"a{i}", subject=f"a{i}", labels=labels)
        result.append(replace(frame, cohort="Africa", calibration=None))
    for i in range(100):
        one = replace(made[i % 6], id=f"h{i}", name=f"h{i}", subject=f"h{i // 2}", cohort="HC18")
        result.append(replace(one, calibration=Calibration(0.1, 0.1, "table")))
    spanish = replace(made[0], id="s", name="s", subject="s", cohort="Spain", calibration=None)
    result.append(spanish)
    return result


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A synthesizer that can draw nothing yet."""
    synthesizer = tiny_synthesizer()
    synthesizer.pipeline.register_to_config(default_steps=1)
    synthesizer.save(tmp_path / "tiny")
    return tmp_path / "tiny"


def carried(frames: Sequence[LabelledFrame], tiny: Path) -> Carrier:
    return Carrier(frames, RECIPE, FEW, tiny)


@pytest.fixture
def no_lift(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames are too small to show more detail than a synthesizer draws."""
    monkeypatch.setattr("fetalstudio.studies.pairs.paper.fit_lift", lambda *_: None)


@pytest.fixture
def all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of an untrained synthesizer have no skull."""
    monkeypatch.setattr("fetalstudio.studies.pairs.making.edge_score", lambda *_: 1.0)


def test_no_test_frame_is_learnt_from_and_all_arms_of_a_draw_share_the_real_ones(
    frames: list[LabelledFrame], tiny: Path, tmp_path: Path, all_kept: None
) -> None:
    source = carried(frames, tiny)
    made = Trial(tmp_path / "out", source, small=TINY)
    assert {f.id for f in source.test} == {f"a{i}" for i in range(11)}
    small, large = Run(REAL, 3, 0), Run(REAL, 5, 0)
    assert source.real(large)[:3] == source.real(small)
    assert {f.labels["quality"] for f in source.real(large)} == {"clear"}
    made.go_on([Run(PAIRS, 3, 0), Run(SIMULATED, 3, 0)])
    for arm in (REAL, PAIRS, MORE_REAL, MANY_REAL, ADAPTED, NO_GRAIN, SIMULATED, PSEUDO):
        material = source.material(Run(arm, 3, 0), made)
        assert material is not None
        ids = {f.id for group in material.groups for f in group} - {""}
        real = {f.id for f in source.real(small)}
        assert ids <= set(material.learnt) and real <= set(material.learnt)
        assert (real <= ids) == (arm != SIMULATED)
        assert all(i.startswith("h") for i in ids - real) or arm == PSEUDO
        drawn = balanced(material.groups)
        share = np.mean([any(f is r for r in source.real(small)) for f in drawn])
        assert share == {REAL: 1.0, SIMULATED: 0.0}.get(arm, pytest.approx(0.5, abs=0.1))
    three, as_pairs = (source.more_real(Run(arm, 3, 0)) for arm in (MORE_REAL, MANY_REAL))
    assert (len(three), len(as_pairs)) == (3, FEW.count) and as_pairs == three[: FEW.count]
    used = source.material(Run(SIMULATED_CONVENTION, 3, 0), made)
    assert used is not None and used.use is not None and not used.groups
    results = {r.run.arm: r for r in made.results.all}
    for result in results.values():
        tested = result.figures["auto native"]
        untested = {f.id for f, figure in zip(source.test, tested, strict=True) if figure is None}
        assert untested == {f.id for f in source.real(small)}
        assert result.steps == RECIPE.steps


def test_a_trial_goes_on_where_it_was_cut_short(
    frames: list[LabelledFrame],
    tiny: Path,
    tmp_path: Path,
    all_kept: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [Run(REAL, 3, 0), Run(PAIRS, 3, 0), Run(REAL, 3, 0, SHAPES)]
    whole = Trial(tmp_path / "whole", carried(frames, tiny), small=TINY)
    whole.go_on(runs)

    # Stopped after the first step of a training, which is then resumed from its checkpoint.
    checks: Iterator[bool] = iter([False, True])
    out = tmp_path / "cut"
    stopping = Trial(out, carried(frames, tiny), small=TINY, stopped=lambda: next(checks, True))
    stopping.go_on(runs)
    assert not stopping.results.all
    assert torch.load(out / "states" / runs[0].key / "state.pt")["step"] == 1
    Trial(out, carried(frames, tiny), small=TINY).go_on(runs[:2])
    stamp = (out / "pairs" / "pairs-3-0" / "made.jsonl").stat().st_mtime_ns

    # Killed in the middle of a line.
    lines = (out / "results.jsonl").read_text()
    (out / "results.jsonl").write_text(lines[:-40])
    Trial(out, carried(frames, tiny), small=TINY).go_on(runs)
    assert (out / "pairs" / "pairs-3-0" / "made.jsonl").stat().st_mtime_ns == stamp
    again = Results(out).all
    assert [r.run for r in again] == runs
    assert [r.figures for r in again] == [r.figures for r in Results(tmp_path / "whole").all]
    assert not list(out.glob("states/*"))

    def trained(*_: object, **__: object) -> None:
        raise AssertionError("nothing is left to train")

    monkeypatch.setattr(trial, "trained", trained)
    Trial(out, carried(frames, tiny), small=TINY).go_on(runs)


def test_pairs_that_were_cut_short_are_completed(
    frames: list[LabelledFrame], tmp_path: Path, all_kept: None
) -> None:
    lenders, settings = frames[:3], PairSettings(count=6)
    whole = pairs_in(tmp_path / "whole", lenders, settings, 1, None)
    checks = iter([False])
    folder = tmp_path / "cut"
    stopped = pairs_in(folder, lenders, settings, 1, None, stopped=lambda: next(checks, True))
    assert stopped is None and len(list(folder.glob("*.png"))) == 4
    again = pairs_in(folder, lenders, settings, 1, None)
    assert whole is not None and again is not None and len(again) == 6
    for a, b in zip(whole, again, strict=True):
        assert a.ellipse == b.ellipse and np.array_equal(a.image, b.image)

    def load() -> Synthesizer:
        raise AssertionError("nothing is left to make")

    kept = pairs_in(folder, lenders, settings, 1, load)
    assert kept is not None and [k.ellipse for k in kept] == [a.ellipse for a in again]


def test_what_was_decided_before_the_first_run_cannot_change(
    frames: list[LabelledFrame], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trial(tmp_path, carried(frames, tiny), small=TINY)
    kept = Settings.read(tmp_path)
    assert (kept.primary, kept.test) == (PRIMARY["carrier"], carried(frames, tiny).settings.test)
    other = {**PRIMARY, "carrier": replace(PRIMARY["carrier"], margin=0.02)}
    monkeypatch.setattr(carrier, "PRIMARY", other)
    with pytest.raises(InputError, match=r"holds a study with other settings \(primary\)"):
        Trial(tmp_path, carried(frames, tiny), small=TINY)
    with pytest.raises(InputError, match="holds no trial"):
        Settings.read(tmp_path / "elsewhere")


def test_pairs_with_and_without_moved_heads_do_not_mix(
    frames: list[LabelledFrame], tiny: Path, tmp_path: Path
) -> None:
    Trial(tmp_path, carried(frames, tiny), small=TINY)
    card = ModelCard.read(tiny)
    replace(card, preprocessing={**card.preprocessing, ALIGNED: False}).write(tiny)
    with pytest.raises(InputError, match=r"holds a study with other settings \(pairs\)"):
        Trial(tmp_path, carried(frames, tiny), small=TINY)


@pytest.mark.parametrize("design", ["carrier", "confirmation", "paper", "unlabelled"])
def test_wherever_a_design_stops_the_compared_arms_have_as_many_draws(design: str) -> None:
    runs = runs_of(design)  # type: ignore[arg-type]
    primary = PRIMARY[design]  # type: ignore[index]
    compared = (primary.first, primary.second, primary.control)
    assert len(set(runs)) == len(runs) and {r.arm for r in runs} <= set(ARMS)
    first = [r for r in runs if r.arm in compared and r.real == primary.real]
    for stop in range(len(first)):
        counts = [sum(r.arm == arm for r in first[:stop]) for arm in compared]
        assert max(counts) - min(counts) <= 1
    start = min(r.draw for r in runs)
    for arm in compared:
        done = [r.draw for r in runs if (r.arm, r.real, r.base) == (arm, primary.real, "random")]
        assert done == list(range(start, start + primary.draws))


def test_the_sixty_frames_of_the_synthesizer_are_no_others_of_the_segmenter(
    frames: list[LabelledFrame],
    tiny: Path,
    tmp_path: Path,
    all_kept: None,
    no_lift: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fetalstudio.studies.pairs.paper.SYNTHESIZER_FRAMES", 6)
    source = Paper(frames, RECIPE, FEW, Learning(tiny, steps=1, batch=1))
    made = Trial(tmp_path / "out", source, small=TINY)
    sixty = {f.subject for f in source.sixty}
    assert len(sixty) == 6
    tested = {f.subject for f in source.test}
    for draw in range(5):
        real = {f.subject for f in source.real(Run(REAL, 20, draw))}
        assert len(real) == 20 and not real & sixty and not (real | sixty) & tested
    source.test = [*source.test[:2], *source.test[-2:]]  # each is tested in four ways
    assert {f.cohort for f in source.test} == {"HC18", "Africa"}
    made.go_on([Run(PAIRS, 3, 0), Run(MORE_REAL, 3, 0)])
    pairs, more = made.results.all
    assert set(more.learnt) == set(pairs.learnt) | {f.id for f in source.sixty}
    assert set(pairs.figures) == set(WAYS)
    calibrated = [f.cohort == "HC18" for f in source.test]
    errors = [figure is not None and figure.hc_error_mm for figure in pairs.figures[WAYS[0]]]
    found = [figure is not None and figure.found for figure in pairs.figures[WAYS[0]]]
    known = [c and f is not None for c, f in zip(calibrated, found, strict=True)]
    assert [e is not None for e in errors] == known
    card = json.loads((tmp_path / "out" / "synthesizer" / "model.json").read_text())
    assert set(card["training_data"]["frames"]) == {f.name for f in source.sixty}


def test_frames_without_ellipses_teach_the_synthesizer_no_ellipse(
    frames: list[LabelledFrame],
    tiny: Path,
    tmp_path: Path,
    all_kept: None,
    no_lift: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Unlabelled(frames, RECIPE, FEW, Learning(tiny, steps=1, batch=2))
    source.test = source.test[:2]
    made = Trial(tmp_path / "out", source, small=TINY)
    given = {}
    make = Learning.made

    def noted(self: Learning, *arguments: object) -> Synthesizer | None:
        given["labelled"], given["bare"] = arguments[1], arguments[4]
        return make(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Learning, "made", noted)
    made.go_on([Run(arm, 3, 0) for arm in (REAL, SELF_TRAINING, UNLABELLED, MORE_REAL)])
    assert [r.steps for r in made.results.all] == [RECIPE.steps] * 4
    labelled, bare = given["labelled"], given["bare"]
    assert isinstance(labelled, tuple) and isinstance(bare, list)
    assert not {f.id for f in labelled} & {f.id for f in bare}
    assert len({(f.ellipse, f.size) for f in bare}) == len({f.size for f in bare})
    assert set(made.results.all[2].learnt) == {f.id for f in (*labelled, *bare)}


def test_one_frame_of_each_subject_is_drawn(frames: list[LabelledFrame]) -> None:
    own = [f for f in frames if f.cohort == "HC18"]
    few, many = (one_of_each(own, n, np.random.default_rng(3)) for n in (5, 50))
    assert few == many[:5] and len({f.subject for f in many}) == 50
    assert {f.id for f in many} != {f"h{2 * i}" for i in range(50)}
    with pytest.raises(InputError, match="51 frames of different subjects"):
        one_of_each(own, 51, np.random.default_rng(3))


def test_groups_are_drawn_equally_often(frames: list[LabelledFrame]) -> None:
    material = Material((tuple(frames[:2]), tuple(frames[2:9])), ())
    drawn = balanced(material.groups)
    assert len(drawn) == 14 and sum(f.id in ("a0", "a1") for f in drawn) == 7


def test_every_training_is_varied_as_strongly_as_the_built_in_one() -> None:
    assert RECIPE.settings(1).augmentation == VARIED


def test_shapes_are_no_ellipses() -> None:
    from fetalstudio.core.ellipse import Ellipse
    from fetalstudio.core.metrics import dice

    rng = np.random.default_rng(0)
    overlaps = []
    for _ in range(40):
        image, mask = shape_frame(rng, 64)
        assert image.shape == mask.shape == (64, 64) and 20 < mask.sum() < 0.7 * mask.size
        overlaps.append(dice(Ellipse.from_mask(mask).mask((64, 64)), mask))
    assert np.mean(overlaps) < 0.93
