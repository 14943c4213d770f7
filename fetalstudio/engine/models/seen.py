"""What influenced a model: its training, the choice of its best epoch, and its calibration.

Another frame of a subject that a model saw is not new to it. Models therefore keep the hashes of
subjects beside the ids of their training frames, which one project knows and another may not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fetalstudio.core.convention import FEWEST
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.engine.models.catalogue import FoundModel, list_models, outline_folder
from fetalstudio.formats.model_card import (
    Kind,
    ModelCard,
    fingerprint,
    hashed_subject,
    seen_subjects,
    training_frames,
)
from fetalstudio.project.models import BUILT_IN
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Pair

_COMPACT = "compact"
"""The type of a synthesizer whose hash is that of its own weights."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The frames and subjects that influenced a model."""

    frames: frozenset[str] = frozenset()
    """The first 16 digits of the frames' ids."""
    subjects: frozenset[str] = frozenset()
    """As :func:`~fetalstudio.formats.model_card.hashed_subject` makes them."""

    def knows_subject(self, subject: str) -> bool:
        """Whether a frame of this subject influenced the model."""
        return hashed_subject(subject) in self.subjects

    def known(self, items: Iterable[LabelledFrame]) -> list[LabelledFrame]:
        """Those of the frames that are not new to the model."""
        return [i for i in items if i.id[:16] in self.frames or self.knows_subject(i.subject)]

    def knows_cohort(self, items: Iterable[LabelledFrame]) -> bool:
        """Whether so many subjects of a cohort influenced the model that it draws like it."""
        return len({item.subject for item in self.known(items)}) >= FEWEST

    def with_subjects_of(self, items: Iterable[LabelledFrame]) -> Seen:
        """This, and the subjects of these frames."""
        return self | Seen(subjects=frozenset(hashed_subject(i.subject) for i in items))

    def __or__(self, other: Seen) -> Seen:
        return Seen(self.frames | other.frames, self.subjects | other.subjects)


def seen_by(project: Project, model: FoundModel) -> Seen:
    """What a model saw, and the models that it started from, as far as their files and the
    project's runs say. The subject of each frame that it saw counts, if the project has the frame.

    Raises :class:`~fetalstudio.core.errors.InputError` for damaged files of the model.
    """
    seen = _recorded(project, model)
    subjects = {f.subject for f in project.frames.all() if f.id[:16] in seen.frames}
    return seen | Seen(subjects=frozenset(map(hashed_subject, subjects)))


def seen_by_named(project: Project, name: str | None) -> Seen:
    """What a segmenter saw; None is the one in use. Nothing for a name that is not there."""
    model = _segmenter(project, name)
    return Seen() if model is None else seen_by(project, model)


def cohorts_learnt(project: Project, name: str | None) -> frozenset[str]:
    """The names of the cohorts that a segmenter and those before it learnt from, as their cards
    say; none for a checkpoint from elsewhere. None is the segmenter in use.

    Raises :class:`~fetalstudio.core.errors.InputError` for damaged files of the model.
    """
    model = _segmenter(project, name)
    return frozenset() if model is None else _cohorts(ModelCard.read(model.folder).training_data)


def _cohorts(training_data: Mapping[str, Any]) -> frozenset[str]:
    base = training_data.get("base")
    before = _cohorts(base) if isinstance(base, Mapping) else frozenset()
    named = training_data.get("cohorts", ())
    return before | frozenset(map(str, named))


def seen_by_outline() -> Seen:
    """What the built-in second look saw."""
    folder = outline_folder()
    return Seen(training_frames(folder), seen_subjects(folder))


def seen_by_maker(project: Project, name: str, sha256: str) -> Seen:
    """What the synthesizer of a pair saw. Nothing where the project does not have that model.

    A Stable Diffusion is known by its name alone: its hash is that of its base, too.
    """
    model = _named(project, "synthesizer", name)
    if model is None:
        return Seen()
    own = ModelCard.read(model.folder).architecture.get("type") == _COMPACT
    if own and fingerprint(model.folder) != sha256:
        return Seen()
    return seen_by(project, model)


class MakersSeen:
    """What the synthesizers of pairs saw, each looked up once."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._seen: dict[tuple[str, str], Seen] = {}

    def one_of(self, pair: Pair, subjects: Iterable[str]) -> bool:
        """Whether the synthesizer of a pair saw one of the subjects."""
        made = pair.provenance
        maker = str(made.get("synthesizer")), str(made.get("synthesizer_sha256"))
        if maker not in self._seen:
            self._seen[maker] = seen_by_maker(self._project, *maker)
        return any(map(self._seen[maker].knows_subject, subjects))


def _recorded(project: Project, model: FoundModel) -> Seen:
    seen = Seen(training_frames(model.folder), seen_subjects(model.folder))
    records = project.models.all()
    named = (model.kind, model.name)
    record = next((m for m in records if (m.kind, m.name) == named), None)
    if record is None or record.run_id is None:
        return seen
    run = project.runs.get(record.run_id)
    used = (i[:16] for part in ("train", "validation") for i in run.data.get(part, ()))
    seen |= Seen(frozenset(used))
    parent = _named(project, model.kind, run.settings.get("started_from"))
    if parent is None or parent.name == model.name:
        return seen
    return seen | _recorded(project, parent)


def _segmenter(project: Project, name: str | None) -> FoundModel | None:
    active = project.models.active("segmenter")
    return _named(project, "segmenter", name or (active.name if active else BUILT_IN))


def _named(project: Project, kind: Kind, name: object) -> FoundModel | None:
    models = reversed(list_models(project))
    return next((m for m in models if (m.kind, m.name) == (kind, name)), None)
