"""Runs a trial: one training after the other, each tested and kept before the next begins."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from fetalstudio.core.convention import Convention
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.segmentation.compact import CompactConfig
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies.interruptible import InterruptibleTraining
from fetalstudio.studies.log import say
from fetalstudio.studies.pairs.plan import FULL, SHAPES, Run
from fetalstudio.studies.pairs.results import AUTO, Result, Results, Settings
from fetalstudio.studies.pairs.segmenters import SMALL, Recipe, tested, trained
from fetalstudio.studies.pairs.shapes import shapes_base


@dataclass(frozen=True, slots=True)
class Material:
    """What a run learns from."""

    groups: tuple[tuple[LabelledFrame, ...], ...]
    """Frames, each group of which is drawn equally often. Empty if nothing is trained."""
    learnt: tuple[str, ...]
    """Ids of the real frames that the run is given in any way. They are not tested."""
    use: Segmenter | None = None
    """The segmenter to test instead of a new one."""
    convention: Convention | None = None
    """Applied to what the segmenter finds."""


class Source(Protocol):
    """A design's frames: what each run learns from and is tested on."""

    settings: Settings
    test: Sequence[LabelledFrame]
    ways: Sequence[str]
    recipe: Recipe

    def material(self, run: Run, trial: Trial) -> Material | None:
        """The material of a run; None if the trial was stopped while it was made."""


class Trial:
    """A folder with the settings, the results, the pairs and the trained segmenters."""

    def __init__(
        self,
        folder: Path,
        source: Source,
        *,
        small: CompactConfig = SMALL,
        full: CompactConfig | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.folder, self.source, self.stopped = folder, source, stopped
        self.small, self.full = small, full or CompactConfig()
        source.settings.keep(folder)
        self.results = Results(folder)

    def go_on(self, runs: Sequence[Run]) -> None:
        """Make the runs that are missing, in this order. Returns early if it is stopped."""
        for run in runs:
            if not self.results.has(run) and not self._make(run):
                say(f"stopped during {run.key}")
                return

    def model(self, run: Run) -> Path:
        """The folder of the segmenter that a run trained."""
        return self.folder / "models" / run.key

    def _make(self, run: Run) -> bool:
        started, cpu = time.monotonic(), time.process_time()
        material = self.source.material(run, self)
        if material is None:
            return False
        made = time.monotonic()
        if (segmenter := material.use) is None:
            segmenter = self._trained(run, material)
            if segmenter is None:
                return False
        recipe = self.source.recipe
        figures = tested(
            segmenter,
            self.source.test,
            self.source.ways,
            convention=material.convention,
            learnt=material.learnt,
        )
        result = Result(
            run,
            material.learnt,
            0 if material.use else recipe.steps,
            time.monotonic() - made,
            time.process_time() - cpu,
            figures,
        )
        if material.use is None:
            segmenter.save(self.model(run), segmenter.card)
        self.results.add(result)
        shutil.rmtree(self._state(run), ignore_errors=True)
        dice = [figure.dice for figure in figures[AUTO] if figure is not None]
        say(
            f"{run.key}: Dice {np.mean(dice):.4f} on {len(dice)} frames; "
            f"{made - started:.0f} s of material, {result.seconds:.0f} s of training and test"
        )
        return True

    def _trained(self, run: Run, material: Material) -> Segmenter | None:
        config = self.full if run.base == FULL else self.small
        start = None
        if run.base == SHAPES:
            start = shapes_base(self.folder / "bases", config, self.source.recipe, self.stopped)
            if start is None:
                return None
        training = InterruptibleTraining(
            self._state(run) / "state.pt", self.source.recipe.steps, self.stopped
        )
        segmenter = trained(
            material.groups,
            self.source.recipe,
            run.draw,
            training.run,
            config=config,
            start=start,
        )
        return None if training.cut_short() else segmenter

    def _state(self, run: Run) -> Path:
        return self.folder / "states" / run.key
