r"""Measures what synthetic pairs add to a number of real frames, as in the paper's figure.

    python -m fetalstudio.studies.few_shot PROJECT OUT --segmenter MODEL --synthesizer MODEL \
        --real 5 10 20 50 100 300 --seeds 2

MODEL is a folder. For every number of real frames and every seed, the frames are drawn from the
training part of the bundled split. The synthesizer is adapted to these frames alone and makes
pairs, and the segmenter is trained on each mix of the experiment. It is tested on the held-out test
subjects of the split. Neither model should have seen a real frame before: see ``pretrain --frames
0``.

The folder OUT keeps ``results.jsonl`` (a line for each training), the pairs, ``study.png``,
``study.md`` and ``study.csv``. The same command resumes an interrupted study. It may then name more
seeds or numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.core.words import counted
from fetalstudio.engine.cohort_split import bundled_parts, labelled_frames, of_part
from fetalstudio.engine.jobs.experiment.findings import Trained
from fetalstudio.engine.jobs.experiment.mixes import BEFORE, MIXES, steps_in
from fetalstudio.engine.jobs.experiment.training import dice_of, examples_of, train_to_the_end
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.model_card import fingerprint
from fetalstudio.project.project import Project
from fetalstudio.segmentation.embeddings import EmbeddingCache
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies.adapting import adapted
from fetalstudio.studies.few_shot.figure import Point, figure, long_table, markdown, points_of
from fetalstudio.studies.kept import same_study
from fetalstudio.studies.log import say
from fetalstudio.studies.pairs.making import PairSettings, pairs_in
from fetalstudio.synthesis.synthesizer import Synthesizer


@dataclass(frozen=True, slots=True)
class StudySettings:
    """The settings that all trainings of a study have in common."""

    segmenter_sha256: str
    synthesizer_sha256: str
    epochs: int
    batch: int
    learning_rate: float
    lora: int
    """Rank of the low-rank changes of the encoder; 0 tunes the decoder alone."""
    pairs: PairSettings
    test: tuple[str, ...]
    """Ids of the test frames."""


class Results:
    """The trainings in ``results.jsonl``, each with its number of real frames."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[tuple[int, Trained]] = []
        whole = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                row = json.loads(line)
            except ValueError:
                break  # a crash cut this line short; the training is repeated
            whole.append(line)
            self.rows.append((row.pop("real"), Trained.of_row(row)))
        write_bytes(path, "".join(f"{line}\n" for line in whole).encode())

    def has(self, real: int, seed: int, mix: str) -> bool:
        """Whether this training is done."""
        return any((n, t.seed, t.mix) == (real, seed, mix) for n, t in self.rows)

    def add(self, real: int, trained: Trained) -> None:
        """Append a training. It is on the disk when this returns."""
        self.rows.append((real, trained))
        with self.path.open("a") as stream:
            stream.write(json.dumps({"real": real, **asdict(trained)}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())


@dataclass(frozen=True, slots=True)
class Study:
    """A study with everything that its trainings need."""

    out: Path
    settings: StudySettings
    base: Segmenter
    synthesizer: Synthesizer
    pool: list[LabelledFrame]
    """The training part, from which real frames are drawn."""
    test: list[LabelledFrame]
    results: Results
    cache: EmbeddingCache

    def run(self, reals: Sequence[int], seeds: int) -> list[Point]:
        """Run the trainings that are missing, all numbers of one seed before the next seed."""
        if not self.results.has(0, 0, BEFORE):
            scores = dice_of(self.base, self.test, self.cache)
            self.results.add(0, Trained(BEFORE, 0, scores, 0, 0.0))
        for seed in range(seeds):
            for real in reals:
                missing = [mix for mix in MIXES if not self.results.has(real, seed, mix)]
                if missing:
                    self._setting(real, seed, missing)
        subjects = [item.subject for item in self.test]
        return points_of(self.results.rows, subjects, self.settings.pairs.count)

    def _setting(self, real: int, seed: int, mixes: Sequence[str]) -> None:
        # The first frames in one order per seed: a smaller set is part of each larger one.
        order = np.random.default_rng(seed).permutation(len(self.pool))
        frames = [self.pool[i].loaded() for i in order[:real]]
        started = time.monotonic()
        pairs = self._pairs(real, seed, frames)
        seconds = time.monotonic() - started
        say(f"N={real} seed {seed}: {len(pairs)} pairs, {seconds:.0f} s")
        spare = [self.pool[i] for i in order[real : real + len(pairs)]]
        more = [frame.loaded() for frame in spare]
        for mix in mixes:
            self._train(real, seed, mix, examples_of(mix, frames, pairs, more), len(pairs))

    def _pairs(self, real: int, seed: int, frames: Sequence[LabelledFrame]) -> list[LabelledFrame]:
        """The pairs of a synthesizer that is adapted to these frames alone."""
        folder, given = self.out / "pairs" / f"{real}-{seed}", self.settings.pairs

        def load() -> Synthesizer:
            if not given.adapt_steps:
                return self.synthesizer
            return adapted(
                self.synthesizer,
                frames,
                folder / "adapting.pt",
                steps=given.adapt_steps,
                batch=given.adapt_batch,
                learning_rate=given.adapt_rate,
                seed=seed,
            )

        pairs = pairs_in(folder, frames, given, seed, load)
        assert pairs is not None  # nothing stops them
        (folder / "adapting.pt").unlink(missing_ok=True)
        return pairs

    def _train(
        self, real: int, seed: int, mix: str, examples: Sequence[LabelledFrame], pairs: int
    ) -> None:
        started, given = time.monotonic(), self.settings
        settings = TrainingSettings(
            epochs=given.epochs,
            batch=given.batch,
            learning_rate=given.learning_rate,
            lora=given.lora,
            seed=seed,
        )
        tuned = train_to_the_end(self.base, examples, settings, self.cache)
        scores = dice_of(tuned, self.test, self.cache)
        steps = steps_in(mix, real, pairs, epochs=given.epochs, batch=given.batch)
        seconds = time.monotonic() - started
        self.results.add(real, Trained(mix, seed, scores, steps, seconds))
        say(f"N={real} seed {seed} {mix}: Dice {np.mean(scores):.4f}, {seconds:.0f} s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    options = _parser().parse_args(arguments)
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    try:
        with Project.open(options.project) as project:
            study = _open(project, options)
            points = study.run(options.real, options.seeds)
    except UserError as error:
        raise SystemExit(str(error)) from error
    _write(options.out, points, study.settings, study.test)


def _spread(frames: Sequence[LabelledFrame], count: int) -> list[LabelledFrame]:
    """At most ``count`` of the frames, evenly spread over all of them."""
    if len(frames) <= count:
        return [*frames]
    return [frames[i * len(frames) // count] for i in range(count)]


def _open(project: Project, options: argparse.Namespace) -> Study:
    labelled = labelled_frames(project)
    parts = bundled_parts(labelled)
    pool = of_part(labelled, parts, "train")
    if max(options.real) + options.pairs > len(pool):
        raise InputError(
            f"{max(options.real)} real frames were requested, and the control needs "
            f"{options.pairs} more, as many as there are pairs; but the training part of "
            f"{project.path} has {len(pool)}. Request fewer with --real or --pairs."
        )
    chosen = _spread(of_part(labelled, parts, "test"), options.test)
    test = [frame.loaded() for frame in chosen]
    settings = StudySettings(
        fingerprint(options.segmenter),
        fingerprint(options.synthesizer),
        options.epochs,
        options.batch,
        options.learning_rate,
        options.lora,
        PairSettings(options.pairs, adapt_steps=options.adapt_steps, adapt_rate=options.adapt_rate),
        tuple(item.id for item in test),
    )
    same_study(options.out / "settings.json", asdict(settings))
    return Study(
        options.out,
        settings,
        Segmenter.load(options.segmenter),
        # As the published results were made: heads are not moved onto their ellipses.
        Synthesizer.load(options.synthesizer),
        pool,
        test,
        Results(options.out / "results.jsonl"),
        EmbeddingCache(options.out / "embeddings"),
    )


def _write(
    out: Path, points: Sequence[Point], settings: StudySettings, test: Sequence[LabelledFrame]
) -> None:
    subjects = len({item.subject for item in test})
    tested = f"{counted(len(test), 'test frame')} of {counted(subjects, 'held-out subject')}"
    png = cv2.imencode(".png", figure(points, tested)[..., ::-1])[1]
    write_bytes(out / "study.png", png.tobytes())
    write_bytes(out / "study.csv", long_table(points).encode())
    text = markdown(points, tested, settings.epochs)
    write_bytes(out / "study.md", text.encode())
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("project", type=Path, metavar="PROJECT")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--segmenter", type=Path, required=True, help="its folder")
    parser.add_argument("--synthesizer", type=Path, required=True, help="its folder")
    parser.add_argument("--real", type=int, nargs="+", default=[5, 10, 20, 50, 100, 300])
    parser.add_argument("--seeds", type=int, default=2, help="draws of the real frames")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument(
        "--lora", type=int, default=0, help="rank of the low-rank changes of the encoder"
    )
    parser.add_argument(
        "--pairs", type=int, default=80, help="pairs for each number of frames and seed"
    )
    parser.add_argument("--adapt-steps", type=int, default=50)
    parser.add_argument("--adapt-rate", type=float, default=3e-4)
    parser.add_argument("--test", type=int, default=200, help="test frames, at most")
    parser.add_argument("--threads", type=int, help="CPU threads; default all")
    return parser


if __name__ == "__main__":
    main()
