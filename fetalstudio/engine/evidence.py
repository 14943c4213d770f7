"""What the trials have shown so far about pairs and conventions, as the advice in Train needs it.

``resources/evidence`` has a JSON file for each trial, which the studies write. Replacing a file
changes the advice: no figure is in the code. Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from fetalstudio.core.errors import InputError
from fetalstudio.formats.files import write_bytes
from fetalstudio.resources import evidence_dir

Knowledge = Literal["nothing", "heads", "cohort"]
"""What a segmenter had learnt before: no fetal heads, heads of other cohorts or simulated ones, or
this cohort."""
KNOWS: dict[Knowledge, str] = {
    "nothing": "a small segmenter that had learnt no heads",
    "heads": "a small segmenter that had learnt heads elsewhere",
    "cohort": "a small segmenter that had learnt this cohort",
}
Question = Literal["pairs", "convention"]
"""``pairs``: real frames and pairs, minus real frames alone. ``convention``: proposals that follow
the convention of the real frames without a training, minus those that do not."""
Answer = Literal["yes", "no", "harm", "unknown", "too_few", "insensitive"]
"""``no``: equivalent within the margin of the trial. ``too_few``: too few subjects or repeats to
tell. ``insensitive``: the trial could not have shown a difference."""
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One comparison of a trial. Gains are shares of 1, not points."""

    question: Question
    knows: Knowledge
    target: str
    """The frames that were learnt from and tested on, in words."""
    real: int
    """Annotated real frames that were learnt from."""
    pairs: int
    gain: float
    """Of the mean Dice."""
    low: float | None
    high: float | None
    """The 95 % interval; None where too few repeats or subjects allow none."""
    by_repeat: tuple[float, ...]
    """The gain of each draw of the real frames; empty where the draws share no test frames."""
    repeats: int
    planned: int
    """Draws that are done, and that were decided on; the finding is interim until they agree."""
    subjects: int
    """Of the test frames."""
    margin: float
    """A difference below this does not matter."""
    answer: Answer | None
    """What may be claimed; None while the finding is interim."""
    page: str
    """The page of the documentation with the protocol."""
    beside: str = ""
    """What was measured beside it, in sentences, where that bears on the claim."""

    @property
    def interim(self) -> bool:
        """Whether draws that were decided on are still missing."""
        return self.repeats < self.planned


def read_evidence(folder: Path | None = None) -> list[Finding]:
    """The findings of all trials; by default the bundled ones.

    Raises :class:`InputError` that names a damaged file.
    """
    findings = []
    for path in sorted((folder or evidence_dir()).glob("*.json")):
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["format"] != FORMAT:
                raise ValueError(f"its format is {stored['format']!r}")
            for values in stored["findings"]:
                by_repeat = tuple(map(float, values["by_repeat"]))
                findings.append(Finding(**{**values, "by_repeat": by_repeat}))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is damaged: {error}. Install FetalStudio again, or put back the file."
            ) from error
    return findings


def write_evidence(path: Path, findings: Sequence[Finding]) -> None:
    """Write the findings of a trial, in place of its former ones."""
    stored = {"format": FORMAT, "findings": [asdict(finding) for finding in findings]}
    write_bytes(path, (json.dumps(stored, indent=1) + "\n").encode())


def in_points(share: float) -> str:
    """A share of 1 in points of Dice, with its sign: ``+0.39``."""
    return f"{100 * share:+.2f}"


def measured(finding: Finding) -> str:
    """The gain with its interval, or else by draw: ``+0.39 points of Dice (+0.16 to +0.63)``."""
    if finding.low is not None and finding.high is not None:
        interval = f"{in_points(finding.low)} to {in_points(finding.high)}"
        return f"{in_points(finding.gain)} points of Dice ({interval})"
    if finding.by_repeat:
        return f"{', '.join(map(in_points, finding.by_repeat))} points of Dice by draw"
    return f"{in_points(finding.gain)} points of Dice"
