r"""What the built-in models reach, beside what they are meant to reach.

    python -m fetalstudio.studies.goals PROJECT --cache DIR [--times] [--out goals.md]

PROJECT holds the annotated cohorts HC18, Spain and Africa, as for the trial of the pairs. Measured
are the frames that no bundled model learnt from: the test part of HC18, and all of the other
hospitals except those of quality ``cut``. The pictures are those of ``studies.realism``; for what
is told apart, the ones of the validation part count too, as there.

Every part is kept in ``--cache`` by the hash of its model, so a study that is interrupted goes on,
and one of other weights measures only what they change. Times are those of this machine, and only
measured with ``--times``, when nothing else runs on it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import Interval
from fetalstudio.core.statistics import mean_interval, paired_difference, percentile_interval
from fetalstudio.engine.bench.bench import bench
from fetalstudio.engine.cohort_split import bundled_parts, labelled_frames, of_part
from fetalstudio.engine.jobs.evaluate.evaluation import score_frame
from fetalstudio.engine.jobs.evaluate.request import FrameScore
from fetalstudio.engine.models.catalogue import outline_folder
from fetalstudio.engine.models.loading import (
    BUILT_IN,
    find_model,
    judge_model,
    load_compact,
    load_outline,
    load_segmenter,
)
from fetalstudio.engine.quality import agreement
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.model_card import fingerprint
from fetalstudio.project.project import Project
from fetalstudio.segmentation.outline import SecondLook
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies.calibration import Level, at_level, figures_with_error, level_of
from fetalstudio.studies.kept import kept
from fetalstudio.studies.pairs.drawing import AFRICA, HC18, SPAIN, of_cohort
from fetalstudio.studies.realism.measures import measured
from fetalstudio.studies.realism.pictures import Pictures, cache_name, pictures_of
from fetalstudio.studies.realism.two_samples import Kind
from fetalstudio.synthesis.conditions import STYLES

_REPEATS = 7
"""Calls of which the median is a time."""
Figures = Mapping[str, Any]
"""Figures by key, each ``mean``, ``ci95`` (or None), ``n`` and ``subjects`` (or None)."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure, and the bounds within which it is meant to lie, if any."""

    key: str
    words: str
    least: float | None = None
    most: float | None = None
    digits: int = 4

    def met(self, value: float) -> bool:
        """Whether a value lies within the bounds."""
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )

    @property
    def aim(self) -> str:
        """The bounds in words."""
        if self.least is not None and self.most is not None:
            return f"{self._shown(self.least)} to {self._shown(self.most)}"
        bound = self.least if self.most is None else self.most
        if bound is None:
            return ""
        return f"at {'least' if self.most is None else 'most'} {self._shown(bound)}"

    def row(self, figure: Mapping[str, Any] | None) -> str:
        """The row of a table, with a figure or without one."""
        if figure is None:
            return f"| {self.words} | {self.aim} | not measured | | | |"
        value, ends = figure["mean"], figure["ci95"]
        of = f"{figure['n']} ({figure['subjects']})" if figure["subjects"] else f"{figure['n']}"
        cells = [
            self.words,
            self.aim,
            self._shown(value),
            "" if ends is None else f"{self._shown(ends[0])} to {self._shown(ends[1])}",
            of,
            self._verdict(value, ends) if self.aim else "",
        ]
        return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"

    def _verdict(self, value: float, ends: Sequence[float] | None) -> str:
        if self.met(value):
            return "met"
        low = -math.inf if self.least is None else self.least
        high = math.inf if self.most is None else self.most
        if ends is not None and ends[0] <= high and ends[1] >= low:
            return "missed, but the interval reaches it"
        return "missed"

    def _shown(self, value: float) -> str:
        return f"{value:{'+' if self.least is not None and self.least < 0 else ''}.{self.digits}f}"


PROPOSALS = (
    Goal("dice", "HC18, Dice", least=0.982),
    Goal("worst", "HC18, lowest Dice", least=0.94, digits=3),
    Goal("hc_mae_mm", "HC18, HC error, mm", most=1.75, digits=2),
    Goal("hc_bias_mm", "HC18, HC bias, mm", least=-0.3, most=0.3, digits=2),
    Goal("first_hc_mae_mm", "first trimester, HC error, mm", most=1.1, digits=2),
    Goal("second_hc_mae_mm", "second trimester, HC error, mm", most=1.55, digits=2),
    Goal("third_hc_mae_mm", "third trimester, HC error, mm", most=3.6, digits=2),
    Goal(f"{SPAIN}_dice", "Spanish frames, Dice", least=0.972),
    Goal(f"{AFRICA}_dice", "African frames, Dice", least=0.984),
)
FIDELITY = (
    Goal("dice", "drawn ellipse found by the judge, mean Dice", least=0.985),
    Goal("dice_5th_percentile", "the same, 5th percentile", least=0.965, digits=3),
)
TOLD_APART = (
    Goal("patch", "patches of 96 px told from real ones, AUROC", most=0.65, digits=2),
    Goal("head", "whole heads at 96 px told from real ones, AUROC", most=0.85, digits=2),
)
TIMES = (
    Goal("sample_s", "a picture of 800x540 px, s", most=0.4, digits=2),
    Goal("draft_s", "a draft of two steps, s", most=0.19, digits=2),
    Goal("proposal_s", "a proposal, s", most=0.11, digits=2),
    Goal("snap_s", "the second look, s", digits=3),
)
HEADER = (
    "| figure | goal | reached | 95 % | n (subjects) | |",
    "| --- | --- | --- | --- | --- | --- |",
)


def proposals(
    segmenter: Segmenter, outline: SecondLook, labelled: Sequence[LabelledFrame], folder: Path
) -> Mapping[str, Figures]:
    """The figures of :data:`PROPOSALS`, ``plain``, after the second look (``snapped``), and what
    that adds (``gain``).

    Those of HC18 have the error of the segmenter's level in their intervals. No prompt, protocol
    native. What is measured is kept in ``folder``, cohort by cohort.
    """
    hc18 = of_cohort(labelled, HC18)
    test = of_part(hc18, bundled_parts(hc18), "test")
    sets = {HC18: test, **{cohort: of_cohort(labelled, cohort) for cohort in (SPAIN, AFRICA)}}

    def fitted() -> Mapping[str, Any]:
        level = level_of(segmenter, hc18)
        return {"value": level.value, "draws": level.draws.tolist(), "frames": level.frames}

    found = kept(folder / "level.json", fitted)
    level = Level(found["value"], np.array(found["draws"]), found["frames"])
    level = level.moved_to(segmenter.level)

    @cache
    def scores(cohort: str, value: float, snapped: bool) -> Mapping[str, FrameScore]:
        def measured() -> Mapping[str, Any]:
            at = at_level(segmenter, value)
            rows = [score_frame(at, i, outline=outline if snapped else None) for i in sets[cohort]]
            return {s.frame_id: {name: getattr(s, name) for name in _KEPT} for s in rows}

        path = folder / f"{cohort}-{value:+.4f}{'-snapped' if snapped else ''}.json"
        return {name: FrameScore(**row) for name, row in kept(path, measured).items()}

    figures: dict[str, dict[str, Any]] = {"gain": {}}
    for name, snapped in (("plain", False), ("snapped", True)):
        figures[name] = _with_error(partial(_score, scores, snapped), test, level)
    for cohort, items in sets.items():
        before, after = (
            [scores(cohort, level.value, snapped)[item.id] for item in items]
            for snapped in (False, True)
        )
        key = "dice" if cohort == HC18 else f"{cohort}_dice"
        figures["gain"][key] = _gain(lambda s: s.dice, before, after)
        if cohort == HC18:
            figures["gain"]["hc_mae_mm"] = _gain(
                lambda s: None if s.hc_error_mm is None else abs(s.hc_error_mm), before, after
            )
            continue
        subjects = _subjects(items)
        for name, rows in (("plain", before), ("snapped", after)):
            figures[name][key] = _figure(mean_interval([s.dice for s in rows], subjects), subjects)
    return figures


def _score(
    scores: Callable[[str, float, bool], Mapping[str, FrameScore]],
    snapped: bool,
    item: LabelledFrame,
    level: float,
) -> FrameScore:
    return scores(HC18, level, snapped)[item.id]


_KEPT = (
    *("frame_id", "name", "subject", "cohort"),
    *("dice", "iou", "hd95_px", "assd_px", "hc_mm", "hc_error_mm"),
)
"""What is kept of a :class:`FrameScore`."""


def _gain(
    figure: Callable[[FrameScore], float | None],
    before: Sequence[FrameScore],
    after: Sequence[FrameScore],
) -> dict[str, Any]:
    """The paired difference of a figure, over the frames that have it before and after."""
    rows = [
        (s.subject, one, other)
        for s, t in zip(before, after, strict=True)
        if (one := figure(s)) is not None and (other := figure(t)) is not None
    ]
    subjects = [subject for subject, _, _ in rows]
    found = paired_difference([[row[2] for row in rows]], [[row[1] for row in rows]], subjects)
    return _figure(found, subjects)


def _with_error(
    score: Callable[[LabelledFrame, float], FrameScore],
    test: Sequence[LabelledFrame],
    level: Level,
) -> dict[str, Any]:
    """Figures of the test part, in all and by trimester."""
    found: dict[str, Any] = {}
    for style in ("", *STYLES):
        items = [item for item in test if style in ("", item.style)]
        if not items:
            continue
        figures = figures_with_error(score, items, level)
        found |= {
            f"{style}_{name}".strip("_"): _figure(value, _subjects(items))
            for name, value in figures.items()
        }
    lowest = min(score(item, level.value).dice for item in test)
    found["worst"] = {**found["dice"], "mean": lowest, "ci95": None}
    return found


def of_fidelity(pictures: Pictures) -> Figures:
    """The figures of :data:`FIDELITY`: the Dice between the ellipses that were asked for and those
    that the judge finds in the pictures, as in ``studies.fidelity``."""
    judge = load_segmenter(judge_model())
    subjects = _subjects(pictures.items)
    dice = [
        agreement(judge.predict(made).ellipse, made, item.ellipse)["dice"]
        for item, made in zip(pictures.items, pictures.made, strict=True)
    ]
    return {
        "dice": _figure(mean_interval(dice, subjects), subjects),
        "dice_5th_percentile": _figure(percentile_interval(dice, subjects, 5), subjects),
    }


def of_times() -> Figures:
    """The figures of :data:`TIMES`, by ``bench``."""
    found = bench(_REPEATS, with_paper=False)
    return {
        goal.key: {"mean": found[goal.key], "ci95": None, "n": _REPEATS, "subjects": None}
        for goal in TIMES
    }


def table(
    proposed: Mapping[str, Figures], faithful: Figures, apart: Figures, times: Figures
) -> str:
    """The goals and what is reached, as Markdown."""
    gain = proposed["gain"]
    rows = [
        ("Proposals, no prompt", PROPOSALS, proposed["plain"]),
        ("Proposals after the second look", PROPOSALS, proposed["snapped"]),
        ("Synthetic frames", (*FIDELITY, *TOLD_APART), {**faithful, **apart}),
        ("Times", TIMES, times),
    ]
    lines = []
    for title, goals, figures in rows:
        lines += [title, "", *HEADER, *(goal.row(figures.get(goal.key)) for goal in goals), ""]
    lines += [
        "What the second look adds, paired",
        "",
        "| figure | gain | 95 % | n (subjects) |",
        "| --- | --- | --- | --- |",
    ]
    for goal in PROPOSALS:
        if goal.key in gain:
            one = gain[goal.key]
            low, high = one["ci95"]
            lines.append(
                f"| {goal.words} | {one['mean']:+.{goal.digits}f} | {low:+.{goal.digits}f} to "
                f"{high:+.{goal.digits}f} | {one['n']} ({one['subjects']}) |"
            )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("project", type=Path, metavar="PROJECT")
    parser.add_argument(
        "--cache", type=Path, required=True, metavar="DIR", help="may be that of studies.realism"
    )
    parser.add_argument("--synthesizer", type=Path, metavar="MODEL", help="default: the built-in")
    parser.add_argument("--times", action="store_true", help="measure the times too")
    parser.add_argument(
        "--tests",
        nargs="*",
        choices=get_args(Kind),
        default=get_args(Kind),
        help="what is told apart; hours on a busy machine",
    )
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    compact = find_model("segmenter", BUILT_IN)
    model = options.synthesizer or find_model("synthesizer", BUILT_IN).folder
    synthesizer = load_compact(model)
    eyes = "-".join(fingerprint(of)[:12] for of in (compact.folder, outline_folder()))
    drawn = cache_name(synthesizer)
    judged = f"{drawn}-{fingerprint(judge_model().folder)[:12]}"
    with Project.open(options.project) as project:
        labelled = labelled_frames(project)
        proposed = proposals(
            load_segmenter(compact), load_outline(), labelled, options.cache / f"proposals-{eyes}"
        )
        hc18 = of_cohort(labelled, HC18)
        parts = bundled_parts(hc18)
        validation, test = (of_part(hc18, parts, part) for part in ("validation", "test"))
        held, folder = [*validation, *test], options.cache / drawn
        pictures = pictures_of(synthesizer, held, folder)
    tested = Pictures(pictures.items[-len(test) :], pictures.made[-len(test) :])
    faithful = kept(options.cache / f"fidelity-{judged}.json", lambda: of_fidelity(tested))
    told: Mapping[str, Any] = {}
    if options.tests:
        told = measured(pictures, model, folder, tests=options.tests)
    apart = {
        kind: {**told[f"told_apart_{kind}"][kind], **_counts(_subjects(held))}
        for kind in options.tests
    }
    path = options.cache / f"times-{eyes}-{drawn}.json"
    times = kept(path, of_times) if options.times or path.exists() else {}
    text = table(proposed, faithful, apart, times)
    if options.out is not None:
        write_bytes(options.out, text.encode())
    print(text)


def _figure(value: Interval, subjects: Sequence[str]) -> dict[str, Any]:
    return {"mean": value.mean, "ci95": [value.low, value.high], **_counts(subjects)}


def _counts(subjects: Sequence[str]) -> dict[str, int]:
    return {"n": len(subjects), "subjects": len(set(subjects))}


def _subjects(items: Sequence[LabelledFrame]) -> list[str]:
    return [item.subject for item in items]


if __name__ == "__main__":
    main()
