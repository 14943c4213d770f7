"""Does a judge find synthetic heads better because it learnt from the synthesizer's own frames?

    python -m fetalstudio.studies.judges PROJECT OUT
    python -m fetalstudio.studies.judges show OUT

PROJECT holds the cohort HC18. The examinations that the built-in synthesizer never saw are divided
into halves. Small segmenters are trained as judges: on one half, to judge the other one, and on as
many frames that the synthesizer learnt from, to judge both. One picture is made of each unseen
head. A judge that knows the synthesizer's frames might find made heads too well, because it
expects what the synthesizer repeats. It would then be better than a judge that saw none of them by
more on made frames than on real ones; the primary comparison is the difference of these two
differences. OUT keeps the settings and
``results.jsonl`` with the Dice of every frame. The same command resumes an interrupted study.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import Interval
from fetalstudio.core.splits import is_among
from fetalstudio.core.statistics import over_repeats, paired_difference
from fetalstudio.engine.cohort_split import bundled_parts, labelled_frames, of_part
from fetalstudio.engine.models.loading import (
    ALIGNED,
    BUILT_IN,
    find_model,
    is_aligned,
    load_compact,
)
from fetalstudio.engine.quality import pair_quality
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.model_card import fingerprint
from fetalstudio.learning import until_stopped
from fetalstudio.project.project import Project
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies.interruptible import InterruptibleTraining
from fetalstudio.studies.kept import same_study
from fetalstudio.studies.log import say
from fetalstudio.studies.pairs.drawing import HC18, of_cohort
from fetalstudio.studies.pairs.segmenters import SMALL, Recipe, trained
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.synthesizer import Synthesizer

Learnt = Literal["unseen", "seen"]
"""Whether a judge learnt from frames that the synthesizer never saw, or from its own."""
RECIPE = Recipe(steps=800, batch=8, learning_rate=1.5e-3, without_prompt=1.0)
SEEDS = 5
_HALF_SEED = 2
MADE, REAL = "made", "real"


@dataclass(frozen=True, slots=True)
class Judging:
    """What one judge found on the heads that it was to judge."""

    learnt: Learnt
    half: int | None
    """The half that it learnt from, 0 or 1; None for the synthesizer's own frames."""
    seed: int
    dice: Mapping[str, Mapping[str, float]]
    """Of the :data:`MADE` and the :data:`REAL` frame of each head, by the frame's name."""


class Results:
    """The lines of ``results.jsonl``, each of which is on the disk before the next judge is
    trained."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "results.jsonl"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.rows = [Judging(**json.loads(line)) for line in lines]

    def has(self, learnt: Learnt, half: int | None, seed: int) -> bool:
        """Whether this judge is done."""
        return any((r.learnt, r.half, r.seed) == (learnt, half, seed) for r in self.rows)

    def add(self, row: Judging) -> None:
        """Keep a row."""
        self.rows.append(row)
        lines = (json.dumps(asdict(one)) + "\n" for one in self.rows)
        write_bytes(self.path, "".join(lines).encode())

    def values(self, learnt: Learnt, of: str, names: Sequence[str]) -> NDArray[np.float64]:
        """(seeds, heads) of Dice, for the seeds with which each head was judged."""
        by_seed: dict[int, dict[str, float]] = {}
        for row in self.rows:
            if row.learnt == learnt:
                by_seed.setdefault(row.seed, {}).update(row.dice[of])
        whole = [found for _, found in sorted(by_seed.items()) if len(found) == len(names)]
        return np.array([[found[name] for name in names] for found in whole])


def halves_of(
    frames: Sequence[LabelledFrame],
) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """The frames in two halves by subject; a hash of its key decides."""
    first = {f.subject for f in frames if is_among(f.subject, 0.5, seed=_HALF_SEED)}
    return (
        [frame for frame in frames if frame.subject in first],
        [frame for frame in frames if frame.subject not in first],
    )


@dataclass(frozen=True, slots=True)
class Study:
    """The frames, the pictures and the settings of all judges."""

    out: Path
    halves: tuple[Sequence[LabelledFrame], Sequence[LabelledFrame]]
    learnt_by_synthesizer: Sequence[LabelledFrame]
    pictures: Mapping[str, NDArray[np.uint8]]
    """The synthetic frame, (H, W), of each unseen head, by the real frame's name."""
    recipe: Recipe
    results: Results

    def run(self, seeds: int) -> None:
        """Train and use the judges that are missing, all of a seed before those of the next one."""
        first, second = self.halves
        to_do: Sequence[tuple[Learnt, int | None, Sequence[LabelledFrame], Sequence[LabelledFrame]]]
        to_do = (
            ("unseen", 0, first, second),
            ("unseen", 1, second, first),
            ("seen", None, self.learnt_by_synthesizer, (*first, *second)),
        )
        with until_stopped() as stopped:
            for seed in range(seeds):
                for learnt, half, learn, judged in to_do:
                    if self.results.has(learnt, half, seed):
                        continue
                    judge = self._judge(f"{learnt}-{half}-{seed}", learn, seed, stopped)
                    if judge is None:
                        say("stopped")
                        return
                    row = Judging(learnt, half, seed, self._judged(judge, judged))
                    self.results.add(row)
                    means = {
                        of: round(float(np.mean([*d.values()])), 4) for of, d in row.dice.items()
                    }
                    say(f"seed {seed}, {learnt}, half {half}: Dice {means}")

    def _judge(
        self, name: str, learn: Sequence[LabelledFrame], seed: int, stopped: Sequence[bool]
    ) -> Segmenter | None:
        count = min(map(len, self.halves))
        order = np.random.default_rng([seed, 1]).permutation(len(learn))
        state = self.out / "states" / f"{name}.pt"
        training = InterruptibleTraining(state, self.recipe.steps, lambda: stopped[0])
        learnt = [learn[i] for i in order[:count]]
        judge = trained((learnt,), self.recipe, seed, training.run)
        if training.cut_short():
            return None
        shutil.rmtree(state.parent)
        return judge

    def _judged(
        self, judge: Segmenter, frames: Sequence[LabelledFrame]
    ) -> Mapping[str, Mapping[str, float]]:
        return {
            MADE: {
                f.name: pair_quality(judge, self.pictures[f.name], f.ellipse)["dice"]
                for f in frames
            },
            REAL: {f.name: pair_quality(judge, f.image, f.ellipse)["dice"] for f in frames},
        }


def pictures_of(
    synthesizer: Synthesizer, frames: Sequence[LabelledFrame]
) -> Mapping[str, NDArray[np.uint8]]:
    """One picture of each frame's head, on the frame's own sector, seeded with its position."""
    made = {}
    for seed, frame in enumerate(frames):
        scene = Scene(frame.ellipse, frame.size, frame.style, frame.image)
        made[frame.name] = synthesizer.generate([scene], [seed])[0]
    return made


def report(out: Path) -> str:
    """The table of a study. Raises :class:`InputError` if ``out`` holds none that can be shown."""
    path = out / "settings.json"
    if not path.exists():
        raise InputError(f"{out} holds no study. Name the folder in which one was run.")
    subjects = json.loads(path.read_text())["test"]
    names = list(subjects)
    results = Results(out)
    dice = {
        (learnt, of): results.values(learnt, of, names)
        for learnt in ("unseen", "seen")
        for of in (MADE, REAL)
    }
    seeds = min(map(len, dice.values()))
    if not seeds:
        raise InputError(f"{out} holds no seed with all judges yet. Go on with the study.")
    dice = {key: values[:seeds] for key, values in dice.items()}
    owners = [subjects[name] for name in names]
    gap = {learnt: dice[learnt, MADE] - dice[learnt, REAL] for learnt in ("unseen", "seen")}
    lines = [
        "| judge learnt from | made heads | real frames | made minus real |",
        "| --- | --- | --- | --- |",
    ]
    for learnt, words in (
        ("unseen", "frames that the synthesizer never saw"),
        ("seen", "as many frames that it learnt from"),
    ):
        means = [over_repeats(dice[learnt, of], owners) for of in (MADE, REAL)]
        cells = [f"{m.mean:.4f} ({m.low:.4f} to {m.high:.4f})" for m in means]
        lines.append(
            f"| {words} | {' | '.join(cells)} | {_signed(over_repeats(gap[learnt], owners))} |"
        )
    difference = [
        _signed(paired_difference(first, second, owners))
        for first, second in (
            (dice["seen", MADE], dice["unseen", MADE]),
            (dice["seen", REAL], dice["unseen", REAL]),
            (gap["seen"], gap["unseen"]),
        )
    ]
    lines.append(f"| the second minus the first | {' | '.join(difference)} |")
    lines.append("")
    lines.append(f"{len(names)} heads of {len(set(owners))} examinations, {seeds} seeds.")
    return "\n".join(lines)


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("project", type=Path, metavar="PROJECT", help="or the word show")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="judges of each kind")
    parser.add_argument("--steps", type=int, default=RECIPE.steps, help="of each training")
    parser.add_argument("--threads", type=int, help="CPU threads; default all")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        if options.project != Path("show"):
            with Project.open(options.project) as project:
                frames = of_cohort(labelled_frames(project), HC18)
            _run(frames, options.out, replace(RECIPE, steps=options.steps), options.seeds)
        print(report(options.out))
    except UserError as error:
        raise SystemExit(str(error)) from error


def _run(frames: Sequence[LabelledFrame], out: Path, recipe: Recipe, seeds: int) -> None:
    parts = bundled_parts(frames)
    unseen = [
        frame.loaded() for part in ("validation", "test") for frame in of_part(frames, parts, part)
    ]
    model = find_model("synthesizer", BUILT_IN)
    settings = {
        "synthesizer": fingerprint(model.folder),
        ALIGNED: is_aligned(model.folder),
        "judge": recipe.said(SMALL),
        "test": {frame.name: frame.subject for frame in unseen},
    }
    same_study(out / "settings.json", settings)
    say(f"{len(unseen)} pictures")
    study = Study(
        out,
        halves_of(unseen),
        of_part(frames, parts, "train"),
        pictures_of(load_compact(model.folder), unseen),
        recipe,
        Results(out),
    )
    study.run(seeds)


if __name__ == "__main__":
    main()
