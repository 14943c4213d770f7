"""What following a cohort's convention does to proposals, for docs/evidence/convention.md.

fetalstudio evaluate PROJECT --cohort NAME --csv scores.csv
fetalstudio evaluate PROJECT --cohort NAME --snap --csv snapped.csv
python -m fetalstudio.studies.conventions.proposals scores.csv [--snapped snapped.csv]
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from fetalstudio.core.convention import Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.metrics import Interval
from fetalstudio.core.statistics import FEW_SUBJECTS, mean_interval
from fetalstudio.engine.evidence import Answer, Finding, write_evidence
from fetalstudio.engine.jobs.experiment.answer import MARGIN

_SUBJECTS = (3, 5, 10, 30)
_HANDFUL = 5
_FACTORS = (1.0, 1.02, 1.04)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A frame's ellipse by a person and by a segmenter."""

    frame: str
    subject: str
    person: Ellipse
    found: Ellipse

    def grown(self, factor: float) -> Drawn:
        """The same with the person's axes multiplied by ``factor``."""
        e = self.person
        return replace(self, person=replace(e, a=e.a * factor, b=e.b * factor))


def read_drawn(path: Path) -> list[Drawn]:
    """The frames of a table of ``evaluate --csv`` in which the segmenter found a head."""
    with path.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["found_a"]]
    return [
        Drawn(r["frame_id"], r["subject"], _ellipse(r, "reference"), _ellipse(r, "found"))
        for r in rows
    ]


def plain(drawn: Sequence[Drawn]) -> list[float]:
    """The Dice of the segmenter's ellipses."""
    return [d.person.overlap(d.found) for d in drawn]


def following(drawn: Sequence[Drawn], subjects: int, draws: int) -> list[float]:
    """The Dice of ellipses that follow the convention, by frame.

    For each frame, the convention is measured on ``subjects`` drawn among the others, ``draws``
    times.
    """
    rng = np.random.default_rng(0)
    followed = []
    for one in drawn:
        others = [d for d in drawn if d.subject != one.subject]
        made = [_measured(_draw(others, subjects, rng)).apply(one.found) for _ in range(draws)]
        followed.append(float(np.mean([one.person.overlap(e) for e in made])))
    return followed


def gain(drawn: Sequence[Drawn], values: Sequence[float], over: Sequence[float]) -> Interval:
    """What the ``values`` of the frames gain ``over`` others, with the interval over subjects."""
    gains = np.subtract(values, over).tolist()
    return mean_interval(gains, [d.subject for d in drawn])


def recovered(drawn: Sequence[Drawn], factor: float, subjects: int, draws: int) -> list[float]:
    """How far the measured size is from ``factor`` - 1, by which the ellipses were grown."""
    rng = np.random.default_rng(1)
    grown = [d.grown(factor) for d in drawn]
    measured = [_measured(_draw(grown, subjects, rng)) for _ in range(draws)]
    return [m.size.mean - (factor - 1) for m in measured]


def evidence_of(drawn: Sequence[Drawn], target: str, draws: int) -> Finding:
    """What proposals gain by the convention of :data:`_HANDFUL` subjects."""
    after = following(drawn, _HANDFUL, draws)
    gained = gain(drawn, after, plain(drawn))
    subjects = len({d.subject for d in drawn})
    answer: Answer = "yes" if gained.low > 0 else "harm" if gained.high < 0 else "unknown"
    return Finding(
        question="convention",
        knows="heads",
        target=target,
        real=_HANDFUL,
        pairs=0,
        gain=round(gained.mean, 5),
        low=round(gained.low, 5),
        high=round(gained.high, 5),
        by_repeat=(),
        repeats=draws,
        planned=draws,
        subjects=subjects,
        margin=MARGIN,
        answer="too_few" if subjects < FEW_SUBJECTS else answer,
        page="docs/evidence/convention.md",
    )


def main() -> None:
    """Print both tables for a file of scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores", type=Path)
    parser.add_argument(
        "--snapped", type=Path, help="the scores of the same frames after the second look"
    )
    parser.add_argument("--draws", type=int, default=5, help="draws of subjects to measure on")
    parser.add_argument(
        "--evidence",
        type=Path,
        metavar="FILE",
        help="also write what a convention of five subjects gains, for the program's advice, such "
        "as to resources/evidence/convention.json",
    )
    parser.add_argument("--target", default="", help="the frames in words, for --evidence")
    options = parser.parse_args()
    drawn = read_drawn(options.scores)
    if options.snapped is not None:
        _compare_snapped(drawn, read_drawn(options.snapped), options.draws)
        return
    if options.evidence is not None:
        write_evidence(options.evidence, [evidence_of(drawn, options.target, options.draws)])
    most = len({d.subject for d in drawn}) - 1
    for factor in _FACTORS:
        grown = [d.grown(factor) for d in drawn]
        before = plain(grown)
        dice = np.mean(before)
        print(f"grown by {factor - 1:.0%}: {_measured(grown).sentence}; plain Dice {dice:.4f}")
        for subjects in sorted({min(n, most) for n in _SUBJECTS}):
            after = following(grown, subjects, options.draws)
            more = gain(grown, after, before)
            errors = np.array(recovered(drawn, factor, subjects, 100))
            print(
                f"  {subjects} subjects: Dice {np.mean(after):.4f}, gain {more.mean:+.4f} "
                f"({more.low:+.4f} to {more.high:+.4f}), n = {more.n}; size off by "
                f"{np.sqrt((errors**2).mean()):.2%} RMS, {(abs(errors) <= 0.005).mean():.0%} of "
                "draws within 0.5 %",
                flush=True,
            )


def _compare_snapped(drawn: Sequence[Drawn], snapped: Sequence[Drawn], draws: int) -> None:
    """Print the Dice with and without second look and convention, and the gains of both."""
    by_frame = {d.frame: d for d in snapped}
    drawn = [d for d in drawn if d.frame in by_frame]
    snapped = [by_frame[d.frame] for d in drawn]
    before, looked = plain(drawn), plain(snapped)
    print(f"n = {len(drawn)}; {_measured(drawn).sentence}; snapped, {_measured(snapped).sentence}")
    print(f"no convention: Dice {np.mean(before):.4f}, snapped {np.mean(looked):.4f}")
    most = len({d.subject for d in drawn}) - 1
    for subjects in sorted({min(n, most) for n in _SUBJECTS}):
        followed = following(drawn, subjects, draws)
        both = following(snapped, subjects, draws)
        gains = {
            "over the convention alone": gain(drawn, both, followed),
            "over nothing": gain(drawn, both, before),
        }
        print(
            f"  {subjects} subjects: convention {np.mean(followed):.4f}, snapped and convention "
            f"{np.mean(both):.4f}; gain of both "
            + ", ".join(
                f"{name} {g.mean:+.4f} ({g.low:+.4f} to {g.high:+.4f})" for name, g in gains.items()
            ),
            flush=True,
        )


def _draw(drawn: Sequence[Drawn], subjects: int, rng: np.random.Generator) -> Sequence[Drawn]:
    """All frames of this many subjects, drawn at random."""
    names = sorted({d.subject for d in drawn})
    chosen = set(rng.choice(names, subjects, replace=False))
    return [d for d in drawn if d.subject in chosen]


def _measured(drawn: Sequence[Drawn]) -> Convention:
    pairs, subjects = [(d.person, d.found) for d in drawn], [d.subject for d in drawn]
    convention = Convention.measure("the segmenter", pairs, subjects)
    assert convention is not None, "the segmenter failed on too many of these frames"
    return convention


def _ellipse(row: dict[str, str], prefix: str) -> Ellipse:
    return Ellipse(*(float(row[f"{prefix}_{field.name}"]) for field in fields(Ellipse)))


if __name__ == "__main__":
    main()
