"""What cannot be known of what a model saw: checkpoints and synthesizers from elsewhere.

It is in the card of the model, and so in the cards of all models that start from it. Imports no
torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fetalstudio.core.words import counted, counted_are, listed
from fetalstudio.engine.models.catalogue import FoundModel
from fetalstudio.formats.model_card import ModelCard

CHECKPOINT = "unknown_checkpoint"
"""In a card's training data: the file that the weights came from."""
MAKERS = "unknown_makers"
"""In a card's training data: how many pairs of which synthesizers it learnt from."""
_NAMED = 3


def not_known(model: FoundModel) -> list[str]:
    """Sentences on what is not known of what a model, and those that it started from, saw.

    Raises :class:`~fetalstudio.core.errors.InputError` for a damaged card.
    """
    checkpoints: list[str] = []
    makers = Counter[str]()
    for data in _with_bases(ModelCard.read(model.folder).training_data):
        if data.get(CHECKPOINT):
            checkpoints.append(str(data[CHECKPOINT]))
        found = data.get(MAKERS)
        if isinstance(found, Mapping):
            makers.update({n: count for n, count in found.items() if isinstance(count, int)})
    said = [unknown_checkpoint(name) for name in dict.fromkeys(checkpoints)]
    if makers:
        said.append(
            f"{model.name} learnt from {counted(makers.total(), 'pair')} by "
            f"{_elsewhere(makers)}. {_TOO_GOOD}"
        )
    return said


def unknown_checkpoint(name: str) -> str:
    """A sentence on a checkpoint of which it is not known what it learnt from."""
    return (
        f"What {name} learnt from is not known. Subjects that it saw count as new, and the figures "
        "on them are too good."
    )


def unknown_pairs(makers: Iterable[str]) -> list[str]:
    """A warning about pairs whose synthesizers are not here, given the synthesizer of each."""
    counts = Counter(makers)
    if not counts:
        return []
    return [
        f"{counted_are(counts.total(), 'pair')} by {_elsewhere(counts)}. {_TOO_GOOD} Make pairs "
        "with a synthesizer of this project instead, or reject these in Review."
    ]


_TOO_GOOD = (
    "Whether it learnt from held-out subjects is not known; if it did, the figures on them are too "
    "good."
)


def _elsewhere(makers: Counter[str]) -> str:
    names = listed(sorted(makers), _NAMED)
    return f"a synthesizer that was not found here ({names})"


def _with_bases(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield data
    base = data.get("base")
    if isinstance(base, Mapping):
        yield from _with_bases(base)
