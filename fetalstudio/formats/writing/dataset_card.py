"""``DATA_CARD.md``: what a data set holds, where it is from and what it cannot show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from fetalstudio.core.biometry import measure, trimester
from fetalstudio.core.words import counted
from fetalstudio.formats.writing.exported_frames import ExportedFrame, ExportedPair
from fetalstudio.version import __version__

DATA_CARD = "DATA_CARD.md"
UNKNOWN = "not known"
_TRIMESTERS = ("first", "second", "third", UNKNOWN)
_PARTS: Mapping[str, str] = {
    "train": "Training",
    "validation": "Validation",
    "test": "Test",
    "none": "Not divided",
}
"""The columns of the parts."""
_FIGURES: Mapping[str, str] = {
    "dice": "Dice against the judge's ellipse",
    "hc_difference": "HC, relative difference",
    "edge": "Edge",
    "similarity": "Similarity to the nearest training frame",
    "hd95_px": "HD95 (px)",
}

LIMITS = (
    "For research and training only. Nothing here is a diagnosis, and no figure may guide care.",
    "A trimester is estimated from the head's circumference in mm. It does not date a pregnancy.",
    "A subject is the key of a patient by which the frames were divided into parts. Frames whose "
    "patient was not known count as one subject each, so one patient may have several keys.",
    "Synthetic frames resemble what their model learned. They show no pathology that it did not "
    "see, and must not be used to test or to validate a model.",
    "The copy check finds pictures that are close to a training frame of the model. It cannot show "
    "that a model remembers nothing.",
    "Ellipses describe the outer edge of the skull. A head that is no ellipse is described in part "
    "only.",
)


@dataclass(slots=True)
class _Cohort:
    frames: int = 0
    annotated: int = 0
    calibrated: int = 0
    subjects: set[str] = field(default_factory=set)
    trimesters: Counter[str] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known beside the frames and pairs themselves."""

    format: str
    """The title of the format."""
    created: str
    """The date, YYYY-MM-DD."""
    reviews: Mapping[str, int]
    """How many pairs of the project were accepted, rejected or are pending."""
    copies_left_out: int
    real_pixels_left_out: int
    licences: Mapping[str, str]
    """Of the models that made pairs, by name, where known."""


class DatasetCard:
    """Counts what is exported, item by item, and describes the whole."""

    def __init__(self) -> None:
        self._cohorts: dict[str, _Cohort] = defaultdict(_Cohort)
        self._models: Counter[tuple[str, str]] = Counter()
        self._figures: dict[str, list[float]] = defaultdict(list)
        self._pairs: Counter[str] = Counter()
        self._pair_trimesters: Counter[str] = Counter()

    def add(self, item: ExportedFrame | ExportedPair) -> None:
        """Count a frame or a pair that was written."""
        if isinstance(item, ExportedPair):
            self._add_pair(item)
        else:
            self._add_frame(item)

    @property
    def frames(self) -> int:
        """The number of real frames."""
        return sum(cohort.frames for cohort in self._cohorts.values())

    @property
    def subjects(self) -> int:
        """The number of subjects with a real frame."""
        return len({key for cohort in self._cohorts.values() for key in cohort.subjects})

    @property
    def pairs(self) -> int:
        """The number of pairs."""
        return self._pairs["all"]

    def summary(self) -> str:
        """One sentence on what the data set holds."""
        return (
            f"{self.frames} ultrasound frames of fetal heads of {self.subjects} subjects, and "
            f"{self.pairs} synthetic frames, with the ellipse of the head's outline."
        )

    def markdown(self, origin: Origin, problems: Sequence[str]) -> str:
        """The text of ``DATA_CARD.md``; ``problems`` is what the format could not hold."""
        sections = [
            "# Data card",
            f"{self.summary()}\n\nWritten by FetalStudio {__version__} on {origin.created}, format "
            f"{origin.format}.",
            "## Real frames",
            self._real(),
            "## Synthetic frames",
            self._synthetic(origin),
            "## Licences",
            self._licences(origin),
            "## Known limits",
            _list(LIMITS),
        ]
        if problems:
            sections += ["## What the format could not hold", _list(sorted(set(problems)))]
        sections += [
            "## Integrity",
            "`manifest-sha256.txt` has the SHA-256 of every file, `synthetic-files.txt` the list "
            "of the pictures that say in their file that they are synthetic. Check them with "
            "`fetalstudio verify FOLDER`, or the hashes alone with `sha256sum --check "
            "manifest-sha256.txt`.",
        ]
        return "\n\n".join(sections) + "\n"

    def _add_frame(self, frame: ExportedFrame) -> None:
        cohort = self._cohorts[frame.cohort]
        cohort.frames += 1
        cohort.subjects.add(frame.subject)
        cohort.annotated += frame.ellipse is not None
        cohort.calibrated += frame.calibration is not None
        cohort.trimesters[_trimester(frame)] += 1
        cohort.parts[frame.part or "none"] += 1

    def _add_pair(self, pair: ExportedPair) -> None:
        note = pair.note
        made = note.provenance
        name, digest = made.get("synthesizer"), made.get("synthesizer_sha256")
        self._models[str(name or UNKNOWN), str(digest or UNKNOWN)] += 1
        self._pair_trimesters[_trimester(pair)] += 1
        self._pairs["all"] += 1
        self._pairs["corrected"] += note.corrected
        self._pairs["calibrated"] += note.calibration is not None
        self._pairs["copies"] += note.copy
        self._pairs["unchecked"] += not note.copy_checked
        self._pairs["convention"] += made.get("convention") is not None
        self._pairs["imported"] += made.get("imported") is True
        real = {True: "real pixels", False: "no real pixels", None: "not known"}
        self._pairs[real[note.contains_real_pixels]] += 1
        for figure in _FIGURES:
            value = note.quality.get(figure)
            if value is not None:
                self._figures[figure].append(value)

    def _real(self) -> str:
        if not self.frames:
            return "None."
        header = ["Cohort", "Frames", "Subjects", "With an ellipse", "Calibrated"]
        header += [f"Trimester {name}" for name in _TRIMESTERS]
        header += _PARTS.values()
        rows = [
            [
                name,
                *(cohort.frames, len(cohort.subjects), cohort.annotated, cohort.calibrated),
                *(cohort.trimesters[key] for key in _TRIMESTERS),
                *(cohort.parts[key] for key in _PARTS),
            ]
            for name, cohort in sorted(self._cohorts.items())
        ]
        return _table(header, rows)

    def _synthetic(self, origin: Origin) -> str:
        reviews = ", ".join(f"{count} {state}" for state, count in sorted(origin.reviews.items()))
        n = self._pairs
        said = [
            f"Reviews of all pairs of the project: {reviews}. Accepted pairs alone are exported."
            if reviews
            else "",
            "Left out as copies of training frames: "
            f"{counted(origin.copies_left_out, 'accepted pair')}."
            if origin.copies_left_out
            else "",
            "Left out because they show a part of a real frame: "
            f"{counted(origin.real_pixels_left_out, 'accepted pair')}."
            if origin.real_pixels_left_out
            else "",
        ]
        before = _list([one for one in said if one])
        if not self.pairs:
            return f"None.\n\n{before}".rstrip()
        facts = [
            f"{n['corrected']} have an ellipse that a person corrected; the figures below describe "
            "the ellipse before.",
            f"{n['calibrated']} are calibrated.",
            f"Copy check: {n['copies']} are copies of a training frame; for {n['unchecked']} the "
            "training frames of the model are not known, so a copy would not be noticed.",
            f"Pixels of real frames: {n['real pixels']} contain some, {n['no real pixels']} none; "
            f"for {n['not known']} it is not known.",
            f"{n['convention']} show the skull where the annotators of their cohort draw such an "
            "ellipse around it, outside or inside; the others show it on the ellipse.",
            f"{n['imported']} came from another project.",
            "By trimester: "
            + ", ".join(f"{self._pair_trimesters[key]} {key}" for key in _TRIMESTERS)
            + ". All of them are for training alone.",
        ]
        models = _table(
            ["Model", "SHA-256", "Frames"],
            [[name, digest, count] for (name, digest), count in sorted(self._models.items())],
        )
        figures = _table(
            ["Figure", "Frames", "Median", "Least", "Greatest"],
            [
                [title, len(v), *(f"{value:.4g}" for value in (median(v), min(v), max(v)))]
                for figure, title in _FIGURES.items()
                if (v := self._figures.get(figure))
            ],
        )
        return "\n\n".join(part for part in (before, _list(facts), models, figures) if part)

    def _licences(self, origin: Origin) -> str:
        said = [
            "Real frames: not recorded. Whoever publishes the data set states the licence, and "
            "that the subjects or their hospital permit it."
        ]
        for name, _ in sorted(self._models):
            licence = origin.licences.get(name, UNKNOWN)
            said.append(f"Model {name}, which made synthetic frames: {licence}.")
        return _list(dict.fromkeys(said))


def _trimester(item: ExportedFrame | ExportedPair) -> str:
    if item.ellipse is None or item.calibration is None:
        return UNKNOWN
    return trimester(measure(item.ellipse, item.calibration).hc_mm)


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
