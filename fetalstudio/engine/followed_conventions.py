"""How pairs follow the convention of a cohort: what is asked for, and how the image is labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fetalstudio.core.convention import NO_OFFSET, Convention, Offset
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.models.loading import JUDGE
from fetalstudio.formats.model_card import ModelCard

if TYPE_CHECKING:
    from fetalstudio.synthesis.interface import Drawn
    from fetalstudio.synthesis.scene import Scene


def own_offset(synthesizer: ModelCard) -> Offset:
    """From the skull that the judge finds in a synthesizer's images to the ellipse that was asked
    for, as its card says; none where it does not.

    An adapted synthesizer has learnt how its cohort is drawn, as far as its training went.
    """
    values = synthesizer.metrics.get("convention")
    return Offset(**values) if isinstance(values, Mapping) else NO_OFFSET


def offset_of_synthesizer(wanted: Sequence[Ellipse], found: Sequence[Ellipse | None]) -> Offset:
    """What :func:`own_offset` says in the card: by the ellipses that were asked for in several
    images, and what the judge found in each."""
    seen = [(one, head) for one, head in zip(wanted, found, strict=True) if head is not None]
    names = [str(number) for number in range(len(seen))]
    convention = Convention.measure(JUDGE, seen, names)
    return NO_OFFSET if convention is None else convention.offset


def has_learnt(synthesizer: ModelCard, cohort: str) -> bool:
    """Whether a synthesizer draws as this cohort's annotators do: it was adapted to the cohort, and
    its card does not say by how much that changed it."""
    adapted = "started_from" in synthesizer.training_data
    learnt = synthesizer.training_data.get("cohorts", ())
    return adapted and cohort in learnt and "convention" not in synthesizer.metrics


def asked_for(drawn: Ellipse, convention: Offset, synthesizer: Offset) -> Ellipse:
    """The ellipse to ask a synthesizer for, so that ``drawn`` is around its skull as a convention
    has it. ``synthesizer`` is its own offset."""
    return drawn if convention == NO_OFFSET else synthesizer.apply(convention.remove(drawn))


def labelled_as(
    made: Drawn, scene: Scene, drawn: Ellipse, convention: Offset
) -> tuple[Drawn, Offset]:
    """An image with the ellipse ``drawn`` as its label, and the convention that it follows.

    An image whose label was found in it instead keeps that, and follows no convention.
    """
    if made.ellipse != scene.ellipse:
        return made, NO_OFFSET
    return replace(made, ellipse=drawn), convention


def followed(conventions: Mapping[str, Convention]) -> str:
    """For a person, which conventions pairs follow; "" for none."""
    return " ".join(
        f"Pairs for {cohort} show the skull where its annotators draw such an ellipse around it; "
        f"its frames are {found.sentence}."
        for cohort, found in conventions.items()
    )
