"""Tables and sentences of a trial, from its settings and raw results alone.

Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2

from fetalstudio.core.metrics import Interval
from fetalstudio.core.words import counted
from fetalstudio.engine.evidence import Answer, Finding, write_evidence
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.tables.table_files import table_text
from fetalstudio.studies.pairs.figures import figure
from fetalstudio.studies.pairs.findings import Answered, Cell, Findings, Secondary, findings
from fetalstudio.studies.pairs.plan import ADDED_LATER, ARMS, BASES, PAIRS, TARGETS
from fetalstudio.studies.pairs.results import Results, Settings

SAID: dict[Answer, str] = {
    "yes": "Yes",
    "no": "No: as well without them, to within the margin",
    "harm": "No: it is worse with them",
    "unknown": "It is not known",
    "too_few": "Too few subjects or draws to tell",
    "insensitive": "This trial could not have shown a difference",
}


def show(folder: Path, evidence: Path | None = None) -> str:
    """Write ``trial.md``, ``trial.csv`` and ``trial.png``, and return the text of the first.

    ``evidence`` is where to write what the program's advice on pairs rests on.

    Raises ``InputError`` if the folder holds no trial.
    """
    settings, results = Settings.read(folder), Results(folder)
    found = findings(settings, results)
    text = markdown(found)
    write_bytes(folder / "trial.md", text.encode())
    write_bytes(folder / "trial.csv", long_table(found.cells).encode())
    png = cv2.imencode(".png", figure(found)[..., ::-1])[1]
    write_bytes(folder / "trial.png", png.tobytes())
    if evidence is not None:
        write_evidence(evidence, evidence_of(found))
    return text


def evidence_of(found: Findings) -> list[Finding]:
    """The comparisons of pairs with real frames alone, by number of real frames.

    None for a design whose primary comparison is of a synthesizer that the program does not make.
    """
    settings = found.settings
    if settings.primary.first != PAIRS:
        return []
    beside = " ".join(_in_words(one, settings) for one in found.secondary)
    return [
        _finding(
            settings,
            one,
            one.pairs.difference,
            one.pairs.by_seed,
            beside if one is found.primary else "",
        )
        for one in found.answered
        if one.pairs is not None
    ]


def _finding(
    settings: Settings, answered: Answered, gain: Interval, by_draw: Sequence[float], beside: str
) -> Finding:
    known = not math.isnan(gain.low)
    return Finding(
        question="pairs",
        knows="nothing",
        target=TARGETS[settings.design],
        real=answered.real,
        pairs=int(settings.pairs["count"]),
        gain=round(gain.mean, 5),
        low=round(gain.low, 5) if known else None,
        high=round(gain.high, 5) if known else None,
        by_repeat=tuple(round(value, 5) for value in by_draw),
        repeats=answered.draws,
        planned=answered.planned,
        subjects=answered.subjects,
        margin=settings.primary.margin,
        answer=answered.answer,
        page="docs/evidence/pairs.md",
        beside=beside,
    )


def markdown(found: Findings) -> str:
    """The primary comparison in a sentence, and a table for each way and group."""
    lines = [verdict(found), ""]
    for one in found.secondary:
        lines += [_in_words(one, found.settings), ""]
    for way in dict.fromkeys(cell.way for cell in found.cells):
        for group in dict.fromkeys(cell.group for cell in found.cells):
            cells = [c for c in found.cells if (c.way, c.group) == (way, group)]
            lines += [f"### {group or 'All test frames'}, {_WAY_WORDS[way]}", ""]
            lines += [*_table(cells), ""]
    hours = found.seconds / 3600
    lines.append(
        f"{found.done} of {found.planned} runs are done; they took {hours:.1f} hours of one core."
    )
    return "\n".join(lines) + "\n"


_WAY_WORDS = {
    "auto native": "without a prompt, native resolution",
    "box native": "box, native resolution",
    "auto paper": "without a prompt, the paper's protocol",
    "box paper": "box, the paper's protocol",
}


def verdict(found: Findings) -> str:
    """The primary comparison in words. Nothing is claimed before all its draws are there."""
    primary = found.settings.primary
    about = (
        f"Primary comparison: {ARMS[primary.first]}, minus {ARMS[primary.second]}, at N = "
        f"{primary.real}"
    )
    answered = found.primary
    if answered.pairs is None or answered.control is None:
        return f"{about}. No draw of it is complete yet."
    numbers = (
        f"{_points(answered.pairs.difference)} points of Dice; {answered.pairs.failures[0]:.1f} "
        f"failures a draw against {answered.pairs.failures[1]:.1f}. Positive control, "
        f"{ARMS[primary.control]}: {_points(answered.control.difference)} points"
    )
    by_draw = ", ".join(f"{100 * value:+.2f}" for value in answered.pairs.by_seed)
    numbers += f". By draw, on the frames that it tested: {by_draw}"
    if answered.answer is None:
        return (
            f"{about}. Interim: {answered.draws} of {answered.planned} draws; nothing is claimed "
            f"before all are there. So far {numbers}."
        )
    claim = f" It may claim: {primary.claim}." if answered.answer == "yes" else ""
    draws = counted(answered.draws, "draw")
    return f"{about}. {SAID[answered.answer]} ({draws}): {numbers}.{claim}"


def _in_words(one: Secondary, settings: Settings) -> str:
    said = "Added later" if settings.design in ADDED_LATER else "Secondary comparison"
    first, second = (
        ARMS[arm].replace("N real", f"{settings.primary.real} real")
        for arm in (one.first, one.second)
    )
    return (
        f"{said}: {first}, minus {second} "
        f"({counted(one.draws, 'draw')}): {_points(one.comparison.difference)} points of Dice; "
        "{:.1f} failures a draw against {:.1f}.".format(*one.comparison.failures)
    )


def _table(cells: Sequence[Cell]) -> list[str]:
    hc = any(cell.hc_mae_mm is not None for cell in cells)
    head = ["base", "N", "arm", "draws", "frames", "Dice (95 %)", "failures"]
    head += [*(["HC error mm"] if hc else []), "minus N real, points"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for c in cells:
        row = [BASES[c.base], str(c.real), ARMS[c.arm], str(len(c.draws)), str(c.frames)]
        row += [_interval(c.dice), f"{100 * c.failures:.0f} %"]
        if hc:
            row.append("" if c.hc_mae_mm is None else f"{c.hc_mae_mm:.2f}")
        row.append("" if c.against_real is None else _points(c.against_real.difference))
        lines.append(f"| {' | '.join(row)} |")
    return lines


def long_table(cells: Sequence[Cell]) -> str:
    """CSV with a row for each cell."""
    rows = [
        {
            "base": c.base,
            "real": c.real,
            "arm": c.arm,
            "prompt_and_protocol": c.way,
            "group": c.group or "all",
            "draws": len(c.draws),
            "frames": c.frames,
            "subjects": c.subjects,
            "dice": f"{c.dice.mean:.6f}",
            "low": "" if math.isnan(c.dice.low) else f"{c.dice.low:.6f}",
            "high": "" if math.isnan(c.dice.high) else f"{c.dice.high:.6f}",
            "failures": f"{c.failures:.4f}",
            "hc_mae_mm": "" if c.hc_mae_mm is None else f"{c.hc_mae_mm:.3f}",
            "minus_real": c.against_real and round(c.against_real.difference.mean, 6),
        }
        for c in cells
    ]
    names = tuple(rows[0]) if rows else ("base",)
    return table_text(names, rows)


def _interval(value: Interval) -> str:
    if math.isnan(value.low):
        return f"{value.mean:.4f}"
    return f"{value.mean:.4f} ({value.low:.4f} to {value.high:.4f})"


def _points(value: Interval) -> str:
    """In points of Dice; without an interval where there are too few draws or subjects."""
    text = f"{100 * value.mean:+.2f}"
    if math.isnan(value.low):
        return f"{text} (too few for an interval)"
    return f"{text} ({100 * value.low:+.2f} to {100 * value.high:+.2f})"
