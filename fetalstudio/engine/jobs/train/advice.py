"""Whether pairs are likely to help a training, by what the trials have shown, and how many to use.

Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fetalstudio.core.convention import FEWEST
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.words import counted
from fetalstudio.engine.cohort_conventions import CohortConvention
from fetalstudio.engine.evidence import KNOWS, Finding, Knowledge, Question, measured
from fetalstudio.engine.jobs.experiment.request import Answer
from fetalstudio.engine.models.seen import Seen
from fetalstudio.project.records import Pair

Expected = Literal["help", "nothing", "harm", "open"]
_HOLDS = 2
"""A finding with N real frames is taken to hold from half as many to twice as many."""

_CLAIMS: dict[Answer, str] = {
    "yes": "Better",
    "no": "As well, to within the margin",
    "harm": "Worse",
    "unknown": "The figures allow both answers",
    "too_few": "Too few subjects or repeats for a claim",
    "insensitive": "This trial could not have shown a difference",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """What to expect of pairs in a training."""

    expected: Expected
    """``open``: the evidence is interim, missing, or allows no claim."""
    headline: str
    """A sentence."""
    reasons: tuple[str, ...]
    """Further sentences: what it rests on, and what is known beside it."""
    pairs: int
    """How many of the accepted pairs are recommended."""

    @property
    def text(self) -> str:
        """All sentences."""
        return " ".join((self.headline, *self.reasons))


def knowledge(items: Sequence[LabelledFrame], seen: Seen, cohorts: frozenset[str]) -> Knowledge:
    """What a segmenter knows of the cohorts of these frames, by the subjects that it has seen and
    by the names of the ``cohorts`` that it learnt from."""
    by_cohort: dict[str, list[LabelledFrame]] = {}
    for item in items:
        by_cohort.setdefault(item.cohort, []).append(item)
    known = [name in cohorts or seen.knows_cohort(own) for name, own in by_cohort.items()]
    if known and all(known):
        return "cohort"
    return "heads" if cohorts else "nothing"


def advise(real: int, usable: int, knows: Knowledge, findings: Sequence[Finding]) -> Advice:
    """What to expect of ``usable`` pairs beside ``real`` annotated frames."""
    finding = _nearest("pairs", real, knows, findings)
    holds = finding is not None and real / _HOLDS <= finding.real <= real * _HOLDS
    expected: Expected = "open"
    pairs = usable
    if finding is None:
        headline = f"It is not known whether pairs help here: not measured with {KNOWS[knows]}."
        like = _nearest("pairs", real, "heads", findings) if knows == "cohort" else None
        reasons = () if like is None else (_rests_on(like),)
        return Advice(expected, headline, (*reasons, *_convention(knows, findings)), pairs)
    if holds and finding.answer == "yes":
        expected, pairs = "help", min(usable, finding.pairs)
        headline = "Pairs are likely to help here."
    elif holds and finding.answer == "harm":
        expected, pairs = "harm", 0
        headline = "Pairs are likely to harm here; none are recommended."
    elif holds and finding.answer == "no":
        expected, pairs = "nothing", 0
        headline = "Pairs are unlikely to change anything here; none are recommended."
    elif not holds:
        headline = f"It is not known whether pairs help beside {counted(real, 'real frame')}."
    else:
        headline = f"It is not known whether pairs help here; so far they {_so_far(finding)}."
    reasons = (_rests_on(finding), *_convention(knows, findings))
    return Advice(expected, headline, reasons, pairs)


def unlike_the_cohort(pairs: Sequence[Pair], drawn: Mapping[str, CohortConvention]) -> list[str]:
    """A warning if pairs show the skull on their ellipse although the cohorts are drawn elsewhere.

    ``drawn`` is how the cohorts of the real frames are drawn, as far as that was measured.
    """
    apart = [c for c in drawn.values() if c.convention and c.convention.differs_from_none]
    plain = sum("convention" not in pair.provenance for pair in pairs)
    if not apart or not plain:
        return []
    return [
        f"{counted(plain, 'accepted pair')} made before it was known how the frames are drawn "
        f"({apart[0].sentence.rstrip('.')}). The segmenter would unlearn it: make and accept new "
        "pairs, or train on real frames alone."
    ]


def claim_of(finding: Finding) -> str:
    """What a finding allows to claim, in words."""
    if finding.interim:
        return f"Interim, {finding.repeats} of {finding.planned} draws: nothing is claimed"
    return "Not measured for a claim" if finding.answer is None else _CLAIMS[finding.answer]


def _nearest(
    question: Question, real: int, knows: Knowledge, findings: Sequence[Finding]
) -> Finding | None:
    """The finding with the nearest number of real frames; at equal distance, the one with more
    test subjects."""
    fitting = [f for f in findings if (f.question, f.knows) == (question, knows)]
    away = [abs(math.log(f.real / max(real, 1))) for f in fitting]
    ranked = sorted(range(len(fitting)), key=lambda i: (away[i], -fitting[i].subjects))
    return fitting[ranked[0]] if ranked else None


def _so_far(finding: Finding) -> str:
    if abs(finding.gain) <= finding.margin:
        return "have changed about nothing"
    return "have helped" if finding.gain > 0 else "have harmed"


def _rests_on(finding: Finding) -> str:
    said = (
        f"Measured with {KNOWS[finding.knows]}: {counted(finding.pairs, 'pair')} beside "
        f"{counted(finding.real, 'real frame')}, {measured(finding)} on {finding.target} of "
        f"{counted(finding.subjects, 'subject')}."
    )
    return f"{said} {claim_of(finding)}."


def _convention(knows: Knowledge, findings: Sequence[Finding]) -> tuple[str, ...]:
    """What a handful of annotated frames is worth without a training, where that was measured."""
    known = [f for f in findings if (f.question, f.knows) == ("convention", knows)]
    if not known:
        return ()
    best = max(known, key=lambda finding: finding.subjects)
    return (
        f"What the first {FEWEST} to {best.real} annotated frames change is how proposals are "
        "drawn: they follow the cohort without a training, "
        f"{measured(best)} on {best.target} of {counted(best.subjects, 'subject')}.",
    )
