"""A carrier between hospitals: does a generator that may be shared replace frames that may not?

The segmenters know nothing of fetuses. They learn from N African frames, alone or together with
pairs of a synthesizer that learnt from HC18, or with as many of HC18's own frames, and are tested
on the African frames that are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np

from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.engine.models.loading import (
    ALIGNED,
    BUILT_IN,
    find_model,
    is_aligned,
    load_compact,
    load_segmenter,
)
from fetalstudio.formats.model_card import fingerprint
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies.adapting import adapted
from fetalstudio.studies.pairs.drawing import (
    AFRICA,
    HC18,
    LEFT_OUT,
    hc18_parts,
    of_cohort,
    one_of_each,
)
from fetalstudio.studies.pairs.making import PairSettings, pairs_in
from fetalstudio.studies.pairs.plan import (
    ADAPTED,
    AS_IT_IS,
    CONVENTION,
    MANY_REAL,
    MORE_REAL,
    NO_GRAIN,
    PAIRS,
    PRIMARY,
    PSEUDO,
    REAL,
    SIMULATED,
    SIMULATED_CONVENTION,
    Design,
    Run,
)
from fetalstudio.studies.pairs.results import AUTO, HeldOut, Settings
from fetalstudio.studies.pairs.segmenters import (
    SMALL,
    Recipe,
    convention_of,
    pseudo_labelled,
)
from fetalstudio.studies.pairs.trial import Material, Trial
from fetalstudio.synthesis.synthesizer import Synthesizer

CALIPERS = ("GHA", "UGA")
"""Countries whose frames have the sonographer's calipers burned in, which a model could read."""
LEARNT = "clear"
"""The quality of frames that are learnt from. ``uncertain`` ones are only tested on."""
UNLABELLED = 15
"""Frames of the target whose ellipses are not used, for pseudo-labels."""


class Carrier:
    """The frames of the designs ``carrier`` and ``confirmation``."""

    ways: Sequence[str] = (AUTO,)

    def __init__(
        self,
        frames: Sequence[LabelledFrame],
        recipe: Recipe,
        pairs: PairSettings,
        synthesizer: Path | None = None,
        design: Design = "carrier",
    ) -> None:
        self.recipe, self.pairs = recipe, pairs
        self._synthesizer = synthesizer or find_model("synthesizer", BUILT_IN).folder
        target = of_cohort(frames, AFRICA)
        if len({frame.subject for frame in target}) < len(target):
            raise InputError(f"Each frame of {AFRICA} needs a subject of its own. Correct them.")
        self.test: Sequence[LabelledFrame] = [frame.loaded() for frame in target]
        self._lender = hc18_parts(frames)[0]
        self.settings = Settings(
            design=design,
            primary=PRIMARY[design],
            project={
                "target": AFRICA,
                "target_frames": len(target),
                "left_out": f"quality {LEFT_OUT}",
                "learnt_from": f"quality {LEARNT}",
                "more_real": f"{HC18}, training part, one frame of each subject",
                "unlabelled": UNLABELLED,
            },
            segmenter=recipe.said(SMALL),
            pairs={
                **asdict(pairs),
                "synthesizer_sha256": fingerprint(self._synthesizer),
                ALIGNED: is_aligned(self._synthesizer),
            },
            test=tuple(
                HeldOut(
                    frame.id,
                    frame.name,
                    frame.subject,
                    "calipers" if frame.labels.get("country") in CALIPERS else "no calipers",
                )
                for frame in target
            ),
        )
        self.load = cache(lambda: load_compact(self._synthesizer))

    def real(self, run: Run) -> list[LabelledFrame]:
        """The N frames of a run; those of a smaller N are among those of a larger one."""
        ordered = [f for f in self._order(run.draw) if f.labels.get("quality") == LEARNT]
        return ordered[: run.real]

    def unlabelled(self, run: Run) -> list[LabelledFrame]:
        """Further target frames, whose ellipses the run does not use."""
        real = {frame.id for frame in self.real(run)}
        return [f for f in self._order(run.draw) if f.id not in real][:UNLABELLED]

    def more_real(self, run: Run) -> list[LabelledFrame]:
        """Frames of the lender, each of another subject: N, or as many as there are pairs.

        The first are the same ones in both cases.
        """
        count = self.pairs.count if run.arm == MANY_REAL else run.real
        return one_of_each(self._lender, count, np.random.default_rng([run.draw, 1]))

    def material(self, run: Run, trial: Trial) -> Material | None:
        """See ``trial.Source``."""
        real = self.real(run)
        learnt = tuple(frame.id for frame in real)
        if run.arm in (AS_IT_IS, CONVENTION):
            use = load_segmenter(find_model("segmenter", BUILT_IN))
            convention = convention_of(use, real) if run.arm == CONVENTION else None
            return Material((), learnt, use, convention)
        if run.arm == SIMULATED_CONVENTION:
            use = Segmenter.load(trial.model(Run(SIMULATED, run.real, run.draw, run.base)))
            return Material((), learnt, use, convention_of(use, real))
        if run.arm == REAL:
            return Material((tuple(real),), learnt)
        if run.arm in (MORE_REAL, MANY_REAL):
            more = self.more_real(run)
            return Material((tuple(real), tuple(more)), (*learnt, *(f.id for f in more)))
        pairs = self._pairs(run, real, trial)
        if pairs is None:
            return None
        if run.arm == SIMULATED:
            return Material((tuple(pairs),), learnt)
        if run.arm == PSEUDO:
            unlabelled = self.unlabelled(run)
            teacher = Segmenter.load(trial.model(Run(PAIRS, run.real, run.draw, run.base)))
            taught = tuple(pseudo_labelled(teacher, unlabelled))
            # Half of what is drawn has a person's ellipse, as in the other arms.
            groups = (tuple(real), tuple(real), tuple(pairs), taught)
            return Material(groups, (*learnt, *(f.id for f in unlabelled)))
        return Material((tuple(real), tuple(pairs)), learnt)

    def _pairs(
        self, run: Run, real: Sequence[LabelledFrame], trial: Trial
    ) -> list[LabelledFrame] | None:
        kind = run.arm if run.arm in (ADAPTED, NO_GRAIN, SIMULATED) else PAIRS
        folder = trial.folder / "pairs" / f"{kind}-{run.real}-{run.draw}"

        def load() -> Synthesizer:
            if kind != ADAPTED:
                return self.load()
            return adapted(
                self.load(),
                real,
                folder / "adapting.pt",
                steps=self.pairs.adapt_steps,
                batch=self.pairs.adapt_batch,
                learning_rate=self.pairs.adapt_rate,
                seed=run.draw,
            )

        return pairs_in(
            folder,
            real,
            self.pairs,
            run.draw,
            None if kind == SIMULATED else load,
            grain=kind != NO_GRAIN,
            stopped=trial.stopped,
        )

    def _order(self, draw: int) -> list[LabelledFrame]:
        order = np.random.default_rng([draw, 0]).permutation(len(self.test))
        return [self.test[i] for i in order]
