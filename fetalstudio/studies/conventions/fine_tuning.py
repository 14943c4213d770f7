r"""What a fine-tuning loses or gains by pairs that follow a cohort's convention, and by pairs that
do not, for docs/evidence/convention.md.

    python -m fetalstudio.studies.conventions.fine_tuning PROJECT OUT --cohort Spain
    python -m fetalstudio.studies.conventions.fine_tuning PROJECT OUT --cohort HC18 --part test \
        --frames 45 --grown 4
    python -m fetalstudio.studies.conventions.fine_tuning show OUT

The frames are divided into folds by subject. For each fold, the built-in segmenter is fine-tuned on
``--learn`` frames of other subjects: on these alone, varied for as many steps as the others take,
with pairs whose skull is on their ellipse, and with pairs that follow the convention of these
frames. The left-out frames are tested after the last epoch. OUT keeps the settings, written before
the first training, and ``results.jsonl`` with the figures of every frame. The same command resumes
an interrupted study; a training that was cut short is repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fetalstudio.core.convention import NO_OFFSET, Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import Interval
from fetalstudio.core.statistics import FEW_SUBJECTS, mean_interval
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.engine.cohort_split import (
    bundled_parts,
    check_cohort,
    labelled_frames,
    of_part,
    some_of,
)
from fetalstudio.engine.evidence import Answer, Finding, Question, write_evidence
from fetalstudio.engine.followed_conventions import own_offset
from fetalstudio.engine.jobs.experiment.answer import MARGIN
from fetalstudio.engine.jobs.experiment.mixes import CONTROL, SYNTHETIC
from fetalstudio.engine.jobs.experiment.training import examples_of, train_to_the_end
from fetalstudio.engine.models.loading import (
    ALIGNED,
    BUILT_IN,
    find_model,
    is_aligned,
    judge_model,
    load_compact,
    load_segmenter,
)
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.model_card import fingerprint
from fetalstudio.project.project import Project
from fetalstudio.segmentation.embeddings import EmbeddingCache
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies.conventions.pairs import grown
from fetalstudio.studies.kept import same_study
from fetalstudio.studies.log import say
from fetalstudio.studies.pairs.drawing import one_of_each
from fetalstudio.studies.pairs.making import PairSettings, pairs_in
from fetalstudio.synthesis.synthesizer import Synthesizer

AS_IT_IS, CONVENTION, REAL, PLAIN, FOLLOWED = "as-it-is", "convention", "real", "plain", "followed"
ARMS: Mapping[str, str] = {
    AS_IT_IS: "no training",
    CONVENTION: "no training, convention of the frames to learn from",
    REAL: "real frames, varied",
    PLAIN: "real frames and pairs, skull on the ellipse",
    FOLLOWED: "real frames and pairs that follow the convention",
}
PRIMARY = FOLLOWED, REAL
"""The comparison that was decided on before the first training: the Dice of the first minus that of
the second."""
_COMPARED = (PRIMARY, (PLAIN, REAL), (FOLLOWED, PLAIN), (REAL, AS_IT_IS), (CONVENTION, AS_IT_IS))


@dataclass(frozen=True, slots=True)
class Figure:
    """A left-out frame after one arm."""

    dice: float
    size: float | None
    """How much larger the person's ellipse is than the one found, as a share of it: the mean of
    both axes. None if nothing was found."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one arm achieved on the frames of one fold."""

    arm: str
    fold: int
    figures: Mapping[str, Figure]
    """By the name of the frame."""
    seconds: float


class Results:
    """The lines of ``results.jsonl``."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "results.jsonl"
        self.rows: list[Row] = []
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            row = json.loads(line)
            figures = {name: Figure(*values) for name, values in row["figures"].items()}
            self.rows.append(Row(row["arm"], row["fold"], figures, row["seconds"]))

    def has(self, arm: str, fold: int) -> bool:
        """Whether this arm is done for this fold."""
        return any((row.arm, row.fold) == (arm, fold) for row in self.rows)

    def add(self, row: Row) -> None:
        """Keep a row. It is on the disk when this returns."""
        self.rows.append(row)
        lines = []
        for one in self.rows:
            figures = {
                name: [round(f.dice, 5), None if f.size is None else round(f.size, 5)]
                for name, f in one.figures.items()
            }
            lines.append(json.dumps({**asdict(one), "figures": figures}) + "\n")
        write_bytes(self.path, "".join(lines).encode())


def folds_of(
    items: Sequence[LabelledFrame], folds: int, learn: int
) -> list[tuple[list[LabelledFrame], list[LabelledFrame]]]:
    """For each fold, ``learn`` frames to learn from and the left-out ones.

    Each subject is left out once. Raises :class:`InputError` if a fold has too few frames to learn
    from.
    """
    subjects = sorted({item.subject for item in items})
    order = np.random.default_rng(0).permutation(len(subjects))
    divided = []
    for fold in range(folds):
        left_out = {subjects[i] for i in order[fold::folds]}
        others = [item for item in items if item.subject not in left_out]
        if len(others) < learn:
            raise InputError(
                f"{learn} frames to learn from were requested, but one of the {folds} folds has "
                f"{len(others)}. Request fewer with --learn, or more folds."
            )
        chosen = some_of(others, learn, np.random.default_rng([fold, 1]))
        divided.append(([*chosen], [item for item in items if item.subject in left_out]))
    return divided


@dataclass(frozen=True, slots=True)
class Study:
    """The frames, models and settings of all trainings."""

    out: Path
    folds: Sequence[tuple[Sequence[LabelledFrame], Sequence[LabelledFrame]]]
    base: Segmenter
    judge: Segmenter
    synthesizer: Synthesizer
    pairs: int
    epochs: int
    results: Results
    cache: EmbeddingCache

    def run(self) -> None:
        """Run what is missing, all arms of a fold before the next fold."""
        for fold, (learn, left_out) in enumerate(self.folds):
            learnt = [item.loaded() for item in learn]
            for arm in ARMS:
                if not self.results.has(arm, fold):
                    started = time.monotonic()
                    figures = self._figures(arm, fold, learnt, left_out)
                    self.results.add(Row(arm, fold, figures, time.monotonic() - started))
                    mean = np.mean([figure.dice for figure in figures.values()])
                    seconds = time.monotonic() - started
                    text = f"fold {fold}, {ARMS[arm]}: Dice {mean:.4f}, {seconds:.0f} s"
                    say(text)

    def _figures(
        self,
        arm: str,
        fold: int,
        learnt: Sequence[LabelledFrame],
        left_out: Sequence[LabelledFrame],
    ) -> dict[str, Figure]:
        offset, segmenter = NO_OFFSET, self.base
        if arm == CONVENTION:
            known = convention_of(self.base, learnt)
            offset = NO_OFFSET if known is None else known.offset
        elif arm != AS_IT_IS:
            segmenter = self._tuned(arm, fold, learnt)
        figures = {}
        for item in left_out:
            found = segmenter.predict(item.image).ellipse
            figures[item.name] = _figure(item.ellipse, found and offset.apply(found))
        return figures

    def _tuned(self, arm: str, fold: int, learnt: Sequence[LabelledFrame]) -> Segmenter:
        pairs = self._pairs(PLAIN if arm == REAL else arm, fold, learnt)
        # The real frames alone are varied again until an epoch has as many as with the pairs.
        examples = examples_of(CONTROL if arm == REAL else SYNTHETIC, learnt, pairs)
        settings = TrainingSettings(epochs=self.epochs, seed=fold)
        return train_to_the_end(self.base, examples, settings, self.cache)

    def _pairs(
        self, kind: str, fold: int, learnt: Sequence[LabelledFrame]
    ) -> Sequence[LabelledFrame]:
        known = convention_of(self.judge, learnt) if kind == FOLLOWED else None
        own = own_offset(self.synthesizer.card)

        def skull(drawn: Ellipse) -> Ellipse:
            return drawn if known is None else own.apply(known.offset.remove(drawn))

        folder = self.out / "pairs" / f"{kind}-{fold}"
        settings = PairSettings(count=self.pairs)
        pairs = pairs_in(folder, learnt, settings, fold, lambda: self.synthesizer, skull=skull)
        assert pairs is not None  # nothing stops them
        return pairs


def convention_of(segmenter: Segmenter, items: Sequence[LabelledFrame]) -> Convention | None:
    """The convention of these frames by this segmenter, as proposals and pairs follow it."""
    found = [(item, segmenter.predict(item.image).ellipse) for item in items]
    known = [(item.ellipse, head) for item, head in found if head is not None]
    subjects = [item.subject for item, head in found if head is not None]
    return Convention.measure(segmenter.card.name, known, subjects)


def report(results: Results, settings: Mapping[str, Any]) -> str:
    """Tables of the arms and of the comparisons, in Markdown, over the folds that have all arms."""
    folds = _complete(results)
    if not folds:
        return "No fold is complete yet.\n"
    figures = _by_arm(results, folds)
    names = list(figures[REAL])
    subjects = [settings["test"][name] for name in names]
    few = len(set(subjects)) < FEW_SUBJECTS
    lines = [
        f"{settings['cohort']}, grown by {settings['grown']:g} %; {len(names)} frames of "
        f"{len(set(subjects))} subjects, {len(folds)} of {settings['folds']} folds; "
        f"{settings['learn']} frames to learn from, {settings['pairs']} pairs"
        + ("; too few subjects to tell" if few else ""),
        "",
        "| learnt from | Dice | ellipses drawn outside of those found (95 %) |",
        "| --- | --- | --- |",
    ]
    for arm in ARMS:
        dice = mean_interval([figures[arm][n].dice for n in names], subjects, within=(0, 1))
        sizes = [
            (f.size, s) for n, s in zip(names, subjects, strict=True) if (f := figures[arm][n])
        ]
        known = [(size, subject) for size, subject in sizes if size is not None]
        size = mean_interval([v for v, _ in known], [s for _, s in known])
        lines.append(f"| {ARMS[arm]} | {dice.mean:.4f} | {_percent(size)} |")
    lines += ["", "| comparison | points of Dice (95 %) |", "| --- | --- |"]
    for first, second in _COMPARED:
        differences = [figures[first][n].dice - figures[second][n].dice for n in names]
        found = mean_interval(differences, subjects)
        lines.append(f"| {ARMS[first]}, minus {ARMS[second]} | {_percent(found, '')} |")
    return "\n".join(lines) + "\n"


def evidence_of(results: Results, settings: Mapping[str, Any]) -> list[Finding]:
    """What pairs that follow the convention add to real frames, and what the convention alone is
    worth, for the program's advice.

    The cohort should be new to the segmenter, which counts as one that learnt heads elsewhere. Each
    frame is tested once, which is too few for a claim about trainings.
    """
    folds = _complete(results)
    if not folds:
        return []
    found = _by_arm(results, folds)
    subjects = [settings["test"][name] for name in found[REAL]]
    target = f"{settings['cohort']} frames"
    if settings["grown"]:
        target += f", drawn {settings['grown']:g} % larger,"
    findings = []
    questions: list[tuple[Question, tuple[str, str], int]]
    questions = [("pairs", PRIMARY, settings["pairs"]), ("convention", (CONVENTION, AS_IT_IS), 0)]
    for question, (first, second), pairs in questions:
        differences = [found[first][n].dice - found[second][n].dice for n in found[REAL]]
        gain = mean_interval(differences, subjects)
        few = question == "pairs" or len(set(subjects)) < FEW_SUBJECTS
        done = len(folds) == settings["folds"]
        findings.append(
            Finding(
                question=question,
                knows="heads",
                target=target,
                real=settings["learn"],
                pairs=pairs,
                gain=round(gain.mean, 5),
                low=round(gain.low, 5),
                high=round(gain.high, 5),
                by_repeat=(),
                repeats=len(folds),
                planned=settings["folds"],
                subjects=len(set(subjects)),
                margin=MARGIN,
                answer=("too_few" if few else _answer(gain)) if done else None,
                page="docs/evidence/convention.md",
            )
        )
    return findings


def _answer(gain: Interval) -> Answer:
    if gain.low > 0:
        return "yes"
    return "harm" if gain.high < 0 else "unknown"


def _complete(results: Results) -> list[int]:
    """The folds that have all arms."""
    done = [{row.fold for row in results.rows if row.arm == arm} for arm in ARMS]
    return sorted(set.intersection(*done))


def _by_arm(results: Results, folds: Sequence[int]) -> dict[str, dict[str, Figure]]:
    """The figures of these folds by arm and frame."""
    found: dict[str, dict[str, Figure]] = {arm: {} for arm in ARMS}
    for row in results.rows:
        if row.fold in folds:
            found[row.arm].update(row.figures)
    return found


def _percent(value: Interval, unit: str = " %") -> str:
    mean, low, high = (100 * v for v in (value.mean, value.low, value.high))
    return f"{mean:+.2f}{unit} ({low:+.2f} to {high:+.2f})"


def _figure(drawn: Ellipse, found: Ellipse | None) -> Figure:
    if found is None:
        return Figure(0.0, None)
    size = (drawn.a / found.a + drawn.b / found.b) / 2 - 1
    return Figure(drawn.overlap(found), size)


def _settings(options: argparse.Namespace, tested: Sequence[LabelledFrame]) -> dict[str, Any]:
    segmenter = find_model("segmenter", BUILT_IN)
    synthesizer = find_model("synthesizer", BUILT_IN)
    return {
        "primary": [ARMS[arm] for arm in PRIMARY],
        "cohort": options.cohort,
        "part": options.part,
        "grown": options.grown,
        "folds": options.folds,
        "learn": options.learn,
        "pairs": options.pairs,
        "epochs": options.epochs,
        "segmenter_sha256": fingerprint(segmenter.folder),
        "synthesizer_sha256": fingerprint(synthesizer.folder),
        ALIGNED: is_aligned(synthesizer.folder),
        "test": {item.name: item.subject for item in tested},
    }


def _run(project: Project, options: argparse.Namespace) -> None:
    check_cohort(project, options.cohort)
    items = labelled_frames(project, options.cohort)
    if options.part != "all":
        items = of_part(items, bundled_parts(items), options.part)
    if options.frames is not None:
        items = one_of_each(items, options.frames, np.random.default_rng(0))
    items = [grown(item, 1 + options.grown / 100) for item in items]
    same_study(options.out / "settings.json", _settings(options, items))
    study = Study(
        options.out,
        folds_of(items, options.folds, options.learn),
        load_segmenter(find_model("segmenter", BUILT_IN)),
        load_segmenter(judge_model()),
        load_compact(find_model("synthesizer", BUILT_IN).folder),
        options.pairs,
        options.epochs,
        Results(options.out),
        EmbeddingCache(options.out / "embeddings"),
    )
    study.run()


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("project", type=Path, metavar="PROJECT", help="or the word show")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--cohort", metavar="NAME")
    parser.add_argument("--part", choices=["validation", "test", "all"], default="all")
    parser.add_argument("--frames", type=int, metavar="N", help="of N subjects, drawn at random")
    parser.add_argument("--grown", type=float, default=0.0, metavar="PERCENT")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--learn", type=int, default=10, help="frames of a fold to learn from")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument(
        "--evidence",
        type=Path,
        metavar="FILE",
        help="also write what the program's advice on pairs rests on, such as to "
        "resources/evidence/tuning-spain.json",
    )
    options = parser.parse_args(arguments)
    try:
        if options.project != Path("show"):
            with Project.open(options.project) as project:
                _run(project, options)
        settings = json.loads((options.out / "settings.json").read_text())
        print(report(Results(options.out), settings))
        if options.evidence is not None:
            write_evidence(options.evidence, evidence_of(Results(options.out), settings))
    except UserError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
