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
from fetalstudio.core.words import counted, counted_are
from fetalstudio.engine.cohort_conventions import CohortConvention
from fetalstudio.engine.evidence import KNOWS, Answer, Finding, Knowledge, in_points, measured
from fetalstudio.engine.models.seen import Seen
from fetalstudio.project.store.records import Pair

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


def advise(
    real: int, usable: int, knows: Knowledge, findings: Sequence[Finding], *, sam: bool = False
) -> Advice:
    """What to expect of ``usable`` pairs beside ``real`` annotated frames. The findings are of
    small segmenters, which says nothing of a ``sam``: a SAM or MedSAM, or one trained from it."""
    nearest = _nearest(real, knows, findings)
    if sam:
        headline = (
            "It is not known whether pairs help here: this was not tried with SAM's own weights."
        )
        return Advice("open", headline, tuple(map(_rests_on, nearest)), usable)
    if not nearest:
        headline = f"It is not known whether pairs help here: not measured with {KNOWS[knows]}."
        nearest = _nearest(real, "heads", findings) if knows == "cohort" else []
        reasons = (*map(_rests_on, nearest), *_convention(knows, findings))
        return Advice("open", headline, reasons, usable)
    reasons = (*map(_rests_on, nearest), *_convention(knows, findings))
    if not real / _HOLDS <= nearest[0].real <= real * _HOLDS:
        headline = f"It is not known whether pairs help beside {counted(real, 'real frame')}."
        return Advice("open", headline, reasons, usable)
    claims = {finding.answer for finding in nearest} & {"yes", "no", "harm"}
    if claims == {"yes"}:
        pairs = min(usable, *(f.pairs for f in nearest if f.answer == "yes"))
        return Advice("help", "Pairs are likely to help here.", reasons, pairs)
    if claims == {"harm"}:
        headline = "Pairs are likely to harm here; none are recommended."
        return Advice("harm", headline, reasons, 0)
    if claims == {"no"}:
        headline = "Pairs are unlikely to change anything here; none are recommended."
        return Advice("nothing", headline, reasons, 0)
    headline = f"It is not known whether pairs help here{_so_far(nearest)}."
    return Advice("open", headline, reasons, usable)


def unlike_the_cohort(pairs: Sequence[Pair], drawn: Mapping[str, CohortConvention]) -> list[str]:
    """A warning if pairs show the skull on their ellipse although the cohorts are drawn elsewhere.

    ``drawn`` is how the cohorts of the real frames are drawn, as far as that was measured.
    """
    apart = [c for c in drawn.values() if c.convention and c.convention.differs_from_none]
    plain = sum("convention" not in pair.provenance for pair in pairs)
    if not apart or not plain:
        return []
    return [
        f"{counted_are(plain, 'accepted pair')} drawn with the skull on the ellipse, but the "
        f"frames are not ({apart[0].sentence.rstrip('.')}). The segmenter would unlearn how the "
        "frames are drawn: make and accept new pairs, or train on real frames alone."
    ]


def claim_of(finding: Finding) -> str:
    """What a finding allows to claim, in words."""
    if finding.interim:
        return f"Interim, {finding.repeats} of {finding.planned} draws: nothing is claimed"
    return "Not measured for a claim" if finding.answer is None else _CLAIMS[finding.answer]


def _nearest(real: int, knows: Knowledge, findings: Sequence[Finding]) -> list[Finding]:
    """The findings on pairs with the nearest number of real frames, those that are complete and
    have the most test subjects first."""
    fitting = [f for f in findings if (f.question, f.knows) == ("pairs", knows)]
    if not fitting:
        return []
    number = min(
        (f.real for f in fitting), key=lambda measured: abs(math.log(measured / max(real, 1)))
    )
    same = [f for f in fitting if f.real == number]
    return sorted(same, key=lambda f: (f.interim, -f.subjects))


def _so_far(nearest: Sequence[Finding]) -> str:
    """What is added to "not known": why, or what is seen without being a claim."""
    if len({f.answer for f in nearest} & {"yes", "no", "harm"}) > 1:
        return ": trials disagree"
    if nearest[0].interim:
        return " yet: the trial is not complete"
    complete = [f for f in nearest if not f.interim]
    spans = [_span(f) for f in complete]
    if all(max(-low, high) <= f.margin for f, (low, high) in zip(complete, spans, strict=True)):
        return "; so far they have changed about nothing"
    if all(f.low is not None and f.low > 0 for f in complete):
        return "; so far they have helped, though not by a trial that allows a claim"
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    if low == high:
        return ""
    tried = sum(f.repeats for f in complete)
    change = f"{in_points(low)} to {in_points(high)} points"
    return f"; so far, in {counted(tried, 'repeat')}, they changed the Dice by {change}"


def _span(finding: Finding) -> tuple[float, float]:
    """Between which values the gain lies: its interval, or else those of the draws."""
    if finding.low is not None and finding.high is not None:
        return finding.low, finding.high
    gains = finding.by_repeat or (finding.gain,)
    return min(gains), max(gains)


def _rests_on(finding: Finding) -> str:
    said = (
        f"Measured with {KNOWS[finding.knows]}: {counted(finding.pairs, 'pair')} beside "
        f"{counted(finding.real, 'real frame')}, {measured(finding)} on {finding.target} of "
        f"{counted(finding.subjects, 'subject')}."
    )
    return " ".join((f"{said} {claim_of(finding)}.", *filter(None, [finding.beside])))


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
