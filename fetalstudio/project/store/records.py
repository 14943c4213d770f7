"""What a project holds, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.pictures.synthetic_notes import contains_real_pixels, is_marked_copy

AnnotationState = Literal["proposed", "draft", "final"]
ReviewState = Literal["pending", "accepted", "rejected"]
RunState = Literal["running", "finished", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of a project."""

    id: str
    """SHA-256 (hex) over the size and the 8-bit grey pixels: the same picture is one frame."""
    name: str
    """Unique in its cohort: a neutral one (``frame-00001``), or where it was kept the file's name
    without folder and ending (``392_2HC``)."""
    width: int
    height: int
    kind: Literal["real", "synthetic"]
    cohort: str
    subject: str
    """The patient key by which splits are made (see :mod:`fetalstudio.project.patients`); for a
    synthetic frame ``synthetic:<pair id>``."""
    calibration: Calibration | None
    added_at: datetime
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Values that a table gave, by column (``country``, ``quality``); results are split by them."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px."""
        return self.width, self.height


@dataclass(frozen=True, slots=True)
class FrameRevision:
    """What can be amended about a frame, as it was from one amendment to the next."""

    frame_id: str
    name: str
    cohort: str
    subject: str
    removed: bool


@dataclass(frozen=True, slots=True)
class Amendment:
    """One change that a person made to the frames: an entry of the revision log."""

    id: int
    author: str
    description: str
    """What was done, without names of frames: ``removed 3 frames``."""
    changes: tuple[tuple[FrameRevision, FrameRevision], ...]
    """Each frame (and each synthetic frame that was removed with its source) before and after.
    Frames that were purged since are missing."""
    undoes: int | None
    """The amendment that this one took back."""
    undone: bool
    """Whether a later amendment took this one back."""
    created_at: datetime

    @property
    def adds_frames(self) -> bool:
        """Whether it is an import, or did one again that was undone."""
        return any(before.removed and not after.removed for before, after in self.changes)

    @property
    def renamed(self) -> tuple[tuple[str, str], ...]:
        """Old and new names of the frames whose name was taken in the new cohort."""
        return tuple((a.name, b.name) for a, b in self.changes if a.name != b.name)


@dataclass(frozen=True, slots=True)
class RemovalEffect:
    """What a removal of frames takes with it, and what was made from them and stays."""

    frames: tuple[str, ...]
    """Names of the frames."""
    annotations: int
    """Revisions of their ellipses, which go too."""
    readings: int
    """Independent readings of them, which go too."""
    pairs: tuple[str, ...]
    """Names of the synthetic pairs that took their sector or tissue from them, which go too."""
    accepted: int
    """Those of the pairs that were accepted."""
    batch_items: int
    """Pairs that unfinished batches will not make any more."""
    runs: tuple[str, ...]
    """Names of the runs that used them or those pairs; their records stay."""
    models: tuple[str, ...]
    """Names of the project's models that were trained on them or those pairs, or started from such
    a model. The models stay, and with them what they learned."""


PROPOSED_BY = "segmenter:"
"""What the author of a proposal begins with; the name of the segmenter follows."""
FOLLOWING = "+cohort"
"""What the author of a proposal that follows the convention of its cohort ends in."""


def short_author(author: str) -> str:
    """An author by the name alone, also of a segmenter: ``compact``."""
    if not author.startswith(PROPOSED_BY):
        return author
    return author.removeprefix(PROPOSED_BY).removesuffix(FOLLOWING)


def author_in_words(author: str) -> str:
    """An author as a person reads it: ``segmenter compact, as the cohort is drawn``."""
    if not author.startswith(PROPOSED_BY):
        return author
    how = ", as the cohort is drawn" if author.endswith(FOLLOWING) else ""
    return f"segmenter {short_author(author)}{how}"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One revision of the ellipse on a frame; the newest revision counts."""

    frame_id: str
    revision: int
    """1, 2, ... on this frame."""
    ellipse: Ellipse | None
    """``None`` records that the ellipse was removed."""
    author: str
    state: AnnotationState
    confidence: float | None
    """Of a proposal, 0 to 1."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """One observer's independent ellipse of a frame; it never is the frame's annotation."""

    id: str
    """32 hexadecimal digits, by which it is recognised in every project that it is merged into."""
    frame_id: str
    observer: str
    round: int
    """Which of the observer's readings of the frame: 1, 2, ...; 0 for an annotation of the usual
    work that counts as a reading."""
    ellipse: Ellipse | None
    """``None`` records that the observer could not read the frame."""
    blinded: bool
    """Whether no ellipse, proposal or name was shown meanwhile."""
    seconds: float | None
    """How long it took, where that is known."""
    read_at: datetime
    session_id: int | None = None
    """The session in this project in which it was made."""
    number: int | None = None
    """Its place in that session."""


@dataclass(frozen=True, slots=True)
class ReadingSession:
    """Frames that one observer reads without seeing, in a random order."""

    id: int
    observer: str
    seed: int
    frame_ids: tuple[str, ...]
    """In the order of their presentation; some may be there twice. Frames that were removed since
    are missing."""
    numbers: tuple[int, ...]
    """The place of each in the session."""
    done: frozenset[int]
    """The places that were read."""
    started_at: datetime
    ended_at: datetime | None
    """When the observer ended it, or read the last frame."""

    @property
    def left(self) -> tuple[tuple[int, str], ...]:
        """Place and frame id of what is left to read, in order."""
        items = zip(self.numbers, self.frame_ids, strict=True)
        return tuple((number, frame_id) for number, frame_id in items if number not in self.done)


SYNTHESIZER = "synthesizer"
"""The reviewer of a pair whose ellipse its own synthesizer found in the picture."""
SYNTHETIC_COHORT = "synthetic"
"""The cohort of all synthetic frames of a project."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A synthetic frame with the ellipse that it was asked to show."""

    id: int
    frame: Frame
    ellipse: Ellipse
    """As requested, as the synthesizer found it in its picture, or as the reviewer corrected it:
    the training label."""
    requested: Ellipse
    state: ReviewState
    quality: Mapping[str, float]
    """``dice``, ``hc_difference`` (relative), ``hd95_px`` of the segmenter's ellipse against the
    one that the pair began with; ``edge`` 0 to 1; ``similarity`` to the nearest training frame,
    -1 to 1; ``real_share`` of the whole frame that is the lender's, 0 to 1; ``speckle_snr``, and
    ``speckle_difference`` (relative), ``spectrum_db``, ``grey_difference`` (grey levels) against
    the cohort's real frames; ``outline_*`` where the synthesizer drew the outline too."""
    provenance: Mapping[str, Any]
    """Synthesizer name and hash, seed, steps, guidance, style, source frame, app version;
    ``found`` (cx, cy, a, b, angle_deg of the judge's ellipse, None where it found no head);
    ``nearest_frame`` (16 digits of its id) and ``copy_threshold``, both None where the
    synthesizer's training frames are not known; ``cohort_frames`` and ``cohort_limits``."""
    reviewer: str | None
    reviewed_at: datetime | None
    created_at: datetime

    @property
    def copy_threshold(self) -> float | None:
        """The similarity above which the synthesizer's pictures count as copies, if known."""
        value = self.provenance.get("copy_threshold")
        return None if value is None else float(value)

    @property
    def found(self) -> Ellipse | None:
        """Where the segmenter that judged the picture saw the head, if known."""
        values = self.provenance.get("found")
        return None if values is None else Ellipse(*values)

    @property
    def corrected(self) -> bool:
        """Whether a person moved the ellipse. The quality figures describe the ellipse before."""
        return self.ellipse != self.requested and self.reviewer not in (None, SYNTHESIZER)

    @property
    def copy(self) -> bool:
        """Whether the picture is too similar to a training frame, and so neither trained on nor
        exported."""
        return is_marked_copy(self.quality, self.provenance)

    @property
    def contains_real_pixels(self) -> bool | None:
        """Whether a part of the picture is from a real frame, and so not exported unless asked
        for; None where that is not known."""
        return contains_real_pixels(self.quality, self.provenance)


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One pair that a batch is to make."""

    number: int
    """0, 1, ... in the batch."""
    name: str
    ellipse: Ellipse
    size: tuple[int, int]
    """(width, height) of the picture in px."""
    source_frame: str | None
    """Id of the frame whose sector the picture takes over."""
    calibration: Calibration | None
    seed: int
    style: str
    replaces: Ellipse | None = None
    """The source frame's own head, where the tissue around it is kept."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs that were asked for together."""

    id: int
    settings: Mapping[str, Any]
    """The synthesizer's name and SHA-256, steps, guidance, seed and the heads' constraints."""
    wanted: int
    done: int
    started_at: datetime
    dropped_at: datetime | None
    """When a person decided to leave it unfinished."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training."""

    id: int
    name: str
    state: RunState
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    """Frame ids by part (train, validation, test) and pair ids."""
    history: tuple[Mapping[str, Any], ...]
    """One entry an epoch: epoch, train_loss, validation_loss, validation_dice, seconds; of an
    adaptation, one entry a measurement; of an experiment, one entry a training."""
    verdict: Mapping[str, Any] | None
    """Dice before and after on the test part, with intervals, and the sentence that says so."""
    started_at: datetime
    ended_at: datetime | None

    @property
    def job(self) -> str:
        """What ran: ``train`` (a segmenter), ``adapt`` or ``adapt-sd`` (a synthesizer), or
        ``experiment``."""
        return str(self.settings.get("job", "train"))


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model folder that the project can load by name."""

    name: str
    kind: Literal["synthesizer", "segmenter"]
    path: str
    """Relative to the project's folder."""
    run_id: int | None
    active: bool
    """The adopted model of its kind; where none is, the built-in ``compact`` is used."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
