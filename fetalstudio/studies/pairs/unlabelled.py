"""Frames without ellipses: do they help through the synthesizer, at equal labels?

The synthesizer's unconditional branch learns from all frames of HC18's training part, the
conditional one from N of them. The controls learn from the same frames: N alone, and N with
pseudo-labels on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies.pairs.drawing import HC18, hc18_parts, one_of_each
from fetalstudio.studies.pairs.making import PairSettings, pairs_in
from fetalstudio.studies.pairs.paper import Learning
from fetalstudio.studies.pairs.plan import MORE_REAL, PRIMARY, REAL, SELF_TRAINING, Run
from fetalstudio.studies.pairs.results import AUTO, HeldOut, Settings
from fetalstudio.studies.pairs.segmenters import SMALL, Recipe, pseudo_labelled
from fetalstudio.studies.pairs.trial import Material, Trial


class Unlabelled:
    """The frames of the design ``unlabelled``."""

    ways: Sequence[str] = (AUTO,)

    def __init__(
        self,
        frames: Sequence[LabelledFrame],
        recipe: Recipe,
        pairs: PairSettings,
        learning: Learning,
    ) -> None:
        self.recipe, self.pairs, self.learning = recipe, pairs, learning
        self._pool, test = hc18_parts(frames)
        self.test: Sequence[LabelledFrame] = [frame.loaded() for frame in test]
        self.settings = Settings(
            design="unlabelled",
            primary=PRIMARY["unlabelled"],
            project={"learnt_from": f"{HC18}, training part", "frames": len(self._pool)},
            segmenter=recipe.said(SMALL),
            pairs={**asdict(pairs), "synthesizer": learning.said()},
            test=tuple(HeldOut(f.id, f.name, f.subject, f.cohort) for f in self.test),
        )

    def material(self, run: Run, trial: Trial) -> Material | None:
        """See ``trial.Source``."""
        real = tuple(one_of_each(self._pool, run.real, np.random.default_rng([run.draw, 4])))
        learnt = tuple(frame.id for frame in real)
        if run.arm == REAL:
            return Material((real,), learnt)
        others = tuple(frame for frame in self._pool if frame.id not in learnt)
        seen = (*learnt, *(frame.id for frame in others))
        if run.arm == MORE_REAL:
            return Material(((*real, *others),), seen)
        if run.arm == SELF_TRAINING:
            teacher = Segmenter.load(trial.model(Run(REAL, run.real, run.draw, run.base)))
            return Material((real, tuple(pseudo_labelled(teacher, others))), seen)
        folder = trial.folder / "synthesizers" / str(run.draw)
        bare = [without_ellipse(frame) for frame in others]
        synthesizer = self.learning.made(folder, real, run.draw, trial, bare)
        if synthesizer is None:
            return None
        pairs = pairs_in(
            trial.folder / "pairs" / str(run.draw),
            real,
            self.pairs,
            run.draw,
            lambda: synthesizer,
            stopped=trial.stopped,
        )
        return None if pairs is None else Material((real, tuple(pairs)), seen)


def without_ellipse(frame: LabelledFrame) -> LabelledFrame:
    """The frame with an ellipse in its middle that tells nothing of the head."""
    w, h = frame.size
    return frame.redrawn(frame.image, Ellipse(w / 2, h / 2, h / 4, h / 4, 0.0))
