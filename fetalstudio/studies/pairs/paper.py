"""The paper's situation with its missing control, on frames of HC18, Spain and Africa.

A synthesizer learns from 60 HC18 frames (its simulated start saw no real frame; the simulator's
priors are set by hand with HC18 in view), a segmenter from N others: alone, together with pairs,
or together with the 60 frames themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.formats.model_card import CARD, ModelCard, fingerprint
from fetalstudio.studies.interruptible import InterruptibleTraining
from fetalstudio.studies.pairs.drawing import (
    AFRICA,
    HC18,
    LEFT_OUT,
    SPAIN,
    hc18_parts,
    of_cohort,
    one_of_each,
)
from fetalstudio.studies.pairs.making import PairSettings, pairs_in
from fetalstudio.studies.pairs.plan import MORE_REAL, PRIMARY, REAL, Run
from fetalstudio.studies.pairs.results import WAYS, HeldOut, Settings
from fetalstudio.studies.pairs.segmenters import CPU, SMALL, Recipe
from fetalstudio.studies.pairs.trial import Material, Trial
from fetalstudio.synthesis.guidance import PLAIN
from fetalstudio.synthesis.synthesizer import Synthesizer
from fetalstudio.synthesis.training import TrainSettings, fit_lift, train

SYNTHESIZER_FRAMES = 60


@dataclass(frozen=True, slots=True)
class Learning:
    """How a synthesizer of the trial learns, from the one that saw simulated frames only."""

    start: Path
    steps: int
    batch: int = 8
    learning_rate: float = 3e-4

    def settings(self, seed: int) -> TrainSettings:
        """Sampled with guidance, which costs less than learning it."""
        return TrainSettings(
            steps=self.steps,
            batch=self.batch,
            learning_rate=self.learning_rate,
            ema=min(0.998, 1 - 10 / max(self.steps, 20)),
            seed=seed,
            guidance=PLAIN,
        )

    def said(self) -> dict[str, Any]:
        """For the settings of a trial."""
        return {"start_sha256": fingerprint(self.start), "training": asdict(self.settings(0))}

    def made(
        self,
        folder: Path,
        frames: Sequence[LabelledFrame],
        seed: int,
        trial: Trial,
        unlabelled: Sequence[LabelledFrame] = (),
    ) -> Synthesizer | None:
        """The synthesizer in ``folder``, trained first if there is none; None if stopped."""
        if (folder / CARD).exists():
            return Synthesizer.load(folder, CPU)
        parent = Synthesizer.load(self.start, CPU)
        examples = [frame.loaded() for frame in frames]
        settings = replace(self.settings(seed), widths=tuple(parent.card.architecture["widths"]))
        training = InterruptibleTraining(folder / "state.pt", self.steps, trial.stopped)
        pipeline = train(
            examples,
            settings,
            training.run,
            start=parent.pipeline,
            unlabelled=[frame.loaded() for frame in unlabelled],
        )
        if training.cut_short():
            return None
        card = ModelCard(
            name="trial",
            kind="synthesizer",
            architecture=parent.card.architecture,
            preprocessing=parent.card.preprocessing,
            licence=parent.card.licence,
            training_data={"frames": [frame.name for frame in frames]},
        )
        Synthesizer(pipeline, card, finish=fit_lift(pipeline, examples)).save(folder)
        (folder / "state.pt").unlink(missing_ok=True)
        return Synthesizer.load(folder, CPU)


class Paper:
    """The frames of the design ``paper``."""

    ways: Sequence[str] = WAYS

    def __init__(
        self,
        frames: Sequence[LabelledFrame],
        recipe: Recipe,
        pairs: PairSettings,
        learning: Learning,
    ) -> None:
        self.recipe, self.pairs, self.learning = recipe, pairs, learning
        pool, test = hc18_parts(frames)
        self.sixty = one_of_each(pool, SYNTHESIZER_FRAMES, np.random.default_rng([0, 2]))
        taken = {frame.subject for frame in self.sixty}
        self._pool = [frame for frame in pool if frame.subject not in taken]
        others = [*of_cohort(frames, SPAIN), *of_cohort(frames, AFRICA)]
        self.test: Sequence[LabelledFrame] = [frame.loaded() for frame in (*test, *others)]
        self.settings = Settings(
            design="paper",
            primary=PRIMARY["paper"],
            project={
                "learnt_from": f"{HC18}, training part, one frame of each subject",
                "synthesizer": [frame.name for frame in self.sixty],
                "left_out": f"quality {LEFT_OUT}",
            },
            segmenter=recipe.said(SMALL),
            pairs={**asdict(pairs), "synthesizer": learning.said()},
            test=tuple(HeldOut(f.id, f.name, f.subject, f.cohort) for f in self.test),
        )

    def real(self, run: Run) -> list[LabelledFrame]:
        """The N frames of a run; those of a smaller N are among those of a larger one."""
        return one_of_each(self._pool, run.real, np.random.default_rng([run.draw, 3]))

    def material(self, run: Run, trial: Trial) -> Material | None:
        """See ``trial.Source``."""
        real = tuple(self.real(run))
        learnt = tuple(frame.id for frame in real)
        if run.arm == REAL:
            return Material((real,), learnt)
        if run.arm == MORE_REAL:
            more = tuple(self.sixty)
            return Material(((*real, *more),), (*learnt, *(frame.id for frame in more)))
        synthesizer = self.learning.made(trial.folder / "synthesizer", self.sixty, 0, trial)
        if synthesizer is None:
            return None
        pairs = pairs_in(
            trial.folder / "pairs",
            self.sixty,
            self.pairs,
            0,
            lambda: synthesizer,
            stopped=trial.stopped,
        )
        return None if pairs is None else Material((real, tuple(pairs)), learnt)
