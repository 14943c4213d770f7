"""Measures an adapted synthesizer on ellipses of subjects that it does not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.progress import Progress
from fetalstudio.core.similarity import Neighbours
from fetalstudio.core.style import Style
from fetalstudio.engine.followed_conventions import offset_of_synthesizer
from fetalstudio.engine.jobs.adapt.choice import HeldOutFigures
from fetalstudio.engine.pictures import montage, stack
from fetalstudio.engine.quality import agreement, pair_quality
from fetalstudio.synthesis.scene import Scene

if TYPE_CHECKING:
    from fetalstudio.segmentation.segmenter import Segmenter
    from fetalstudio.synthesis.synthesizer import Synthesizer

SAMPLES = 6
"""At least this many images are measured. If there are fewer ellipses, each has several seeds."""
_SHOWN = 4


class HeldOut:
    """The held-out frames, and the measurements on them."""

    def __init__(
        self,
        held_out: Sequence[LabelledFrame],
        neighbours: Neighbours,
        judge: Segmenter,
    ) -> None:
        self.judge = judge
        self.real = [item.image for item in held_out]
        repeats = -(-SAMPLES // len(held_out))
        self.scenes = [
            Scene(item.ellipse, item.size, item.style, image)
            for item, image in zip(held_out, self.real, strict=True)
        ] * repeats
        self.style = Style.of(self.real)
        dices = [
            pair_quality(judge, image, item.ellipse)["dice"]
            for image, item in zip(self.real, held_out, strict=True)
        ]
        self.fidelity_of_real = float(np.mean(dices))
        """The same Dice on the real frames. An image need not be easier than they are."""
        self._neighbours = neighbours
        likeness = [
            neighbours.nearest(image, item.ellipse).similarity
            for image, item in zip(self.real, held_out, strict=True)
            if item.id[:16] not in neighbours.ids
        ]
        self.similarity_of_real = float(np.mean(likeness)) if likeness else None
        """Mean similarity of the held-out frames that the parent was not trained on either."""

    def measure(
        self, synthesizer: Synthesizer, progress: Progress
    ) -> tuple[HeldOutFigures, Sequence[NDArray[np.uint8]]]:
        """The figures and the images. ``progress`` is checked at every step."""
        pictures: list[NDArray[np.uint8]] = []
        for seed, scene in enumerate(self.scenes):
            pictures += synthesizer.generate([scene], [seed], on_step=lambda *_: progress.check())
        found = [self.judge.predict(picture).ellipse for picture in pictures]
        dices = [
            agreement(head, picture, scene.ellipse)["dice"]
            for head, picture, scene in zip(found, pictures, self.scenes, strict=True)
        ]
        distance = Style.of(pictures).distance(self.style)
        nearest = [
            self._neighbours.nearest(picture, scene.ellipse).similarity
            for picture, scene in zip(pictures, self.scenes, strict=True)
        ]
        figures = HeldOutFigures(
            float(np.mean(dices)),
            distance.grey,
            distance.spectrum,
            float(np.mean(nearest)),
            sum(value > self._neighbours.threshold for value in nearest),
            offset_of_synthesizer([scene.ellipse for scene in self.scenes], found),
        )
        return figures, pictures

    def sheet(self, rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]]) -> NDArray[np.uint8]:
        """The real frames and, below each, the images of its ellipse, as RGB."""
        real = [scene.reference for scene in self.scenes if scene.reference is not None]
        shown = [("Real frames, held out", real), *rows]
        return stack(
            [
                (title, montage(images[:_SHOWN], columns=_SHOWN, cell=(288, 192)))
                for title, images in shown
            ]
        )
