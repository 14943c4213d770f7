"""What influenced a model: its training, the choice of its best epoch, and its calibration.

Another frame of a subject that a model saw is not new to it. Models therefore keep the hashes of
subjects beside the ids of their training frames, which one project knows and another may not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
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
from fetalstudio.formats.pictures.synthetic_notes import SIMULATOR
from fetalstudio.project.models import BUILT_IN
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Pair

_COMPACT = "compact"
"""The type of a synthesizer whose hash is that of its own weights."""
_SAM = "sam"
"""The type of segmenters with the weights of SAM or MedSAM, or that began with them."""
_ADAPTATIONS = ("adapt", "adapt-sd")
"""The jobs that make a synthesizer."""


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


def seen_by(project: Project | None, model: FoundModel) -> Seen:
    """What a model saw, and the models that it started from, as far as their files and the
    project's runs say. The subject of each frame that it saw counts, if the project has the frame.
    Without a project, the model's own files alone say it.

    Raises :class:`~fetalstudio.core.errors.InputError` for damaged files of the model.
    """
    if project is None:
        return _own(model.folder)
    return _with_subjects(project, _recorded(project, model))


def _with_subjects(project: Project, seen: Seen) -> Seen:
    """This, and the subjects of its frames, as far as the project has these."""
    subjects = {f.subject for f in project.frames.all() if f.id[:16] in seen.frames}
    return seen | Seen(subjects=frozenset(map(hashed_subject, subjects)))


def seen_by_named(project: Project, name: str | None) -> Seen:
    """What a segmenter saw; None is the one in use. Nothing for a name that is not there."""
    model = named_segmenter(project, name)
    return Seen() if model is None else seen_by(project, model)


def cohorts_learnt(project: Project, name: str | None) -> frozenset[str]:
    """The names of the cohorts that a segmenter and those before it learnt from, as their cards
    say; none for a checkpoint from elsewhere. None is the segmenter in use.

    Raises :class:`~fetalstudio.core.errors.InputError` for damaged files of the model.
    """
    model = named_segmenter(project, name)
    return frozenset() if model is None else _cohorts(ModelCard.read(model.folder).training_data)


def _cohorts(training_data: Mapping[str, Any]) -> frozenset[str]:
    base = training_data.get("base")
    before = _cohorts(base) if isinstance(base, Mapping) else frozenset()
    named = training_data.get("cohorts", ())
    return before | frozenset(map(str, named))


def is_sam(project: Project, name: str | None) -> bool:
    """Whether a segmenter is a SAM or MedSAM, or was trained from one. None is the one in use.

    Raises :class:`~fetalstudio.core.errors.InputError` for damaged files of the model.
    """
    model = named_segmenter(project, name)
    return model is not None and ModelCard.read(model.folder).architecture.get("type") == _SAM


def seen_by_outline() -> Seen:
    """What the built-in second look saw."""
    return _own(outline_folder())


def seen_by_maker(project: Project, name: str, sha256: str) -> Seen | None:
    """What the synthesizer of a pair saw. None where that is not known: the model is not here.

    A Stable Diffusion is known by its name alone: its hash is that of its base, too. The built-in
    synthesizers of all versions of the program learnt from the same frames, so that the present
    list of subjects is that of all, and no other model can have their name.
    """
    model = _named(project, "synthesizer", name)
    if model is None:
        return None
    own = ModelCard.read(model.folder).architecture.get("type") == _COMPACT
    if own and model.origin != "built-in" and fingerprint(model.folder) != sha256:
        return None
    return seen_by(project, model)


def _seen_by_removed(project: Project, name: str) -> Seen | None:
    """What a synthesizer of the project saw that was removed since, as its run says; None where
    there was none. Its name is not given again."""
    if name not in project.models.removed("synthesizer"):
        return None
    runs = (r for r in project.runs.all() if r.name == name and r.job in _ADAPTATIONS)
    run = next(runs, None)
    if run is None:
        return None
    parts = (part for part in run.data.values() if isinstance(part, list))
    used = frozenset(str(frame_id)[:16] for part in parts for frame_id in part)
    own = _with_subjects(project, Seen(used))
    if run.job == "adapt-sd":  # from a base, which knows no subject
        return own
    parent = str(run.settings.get("started_from")), str(run.settings.get("started_from_sha256"))
    before = seen_by_maker(project, *parent) or _seen_by_removed(project, parent[0])
    return None if before is None else own | before


class MakersSeen:
    """What the synthesizers of pairs saw, each looked up once."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._seen: dict[tuple[str, str, bool], Seen | None] = {}

    def one_of(self, pair: Pair, subjects: Iterable[str]) -> bool:
        """Whether the synthesizer of a pair is known to have seen one of the subjects."""
        seen = self._of(pair)
        return seen is not None and any(map(seen.knows_subject, subjects))

    def unknown(self, pairs: Iterable[Pair]) -> dict[int, str]:
        """The name of its synthesizer for the id of each pair of which it is not known what its
        synthesizer saw."""
        return {pair.id: _maker(pair) for pair in pairs if self._of(pair) is None}

    def _of(self, pair: Pair) -> Seen | None:
        made = pair.provenance
        if made.get("synthesizer") == SIMULATOR and made.get("synthesizer_sha256") is None:
            return Seen()
        imported = made.get("imported") is True
        maker = _maker(pair), str(made.get("synthesizer_sha256")), imported
        if maker not in self._seen:
            seen = seen_by_maker(self._project, *maker[:2])
            if seen is None and not imported:
                seen = _seen_by_removed(self._project, maker[0])
            self._seen[maker] = seen
        return self._seen[maker]


def _maker(pair: Pair) -> str:
    return str(pair.provenance.get("synthesizer") or "no name")


def _own(folder: Path) -> Seen:
    return Seen(training_frames(folder), seen_subjects(folder))


def _recorded(project: Project, model: FoundModel) -> Seen:
    seen = _own(model.folder)
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


def named_segmenter(project: Project, name: str | None) -> FoundModel | None:
    """A segmenter, if it is there; None is the one in use."""
    active = project.models.active("segmenter")
    return _named(project, "segmenter", name or (active.name if active else BUILT_IN))


def _named(project: Project, kind: Kind, name: object) -> FoundModel | None:
    models = reversed(list_models(project))
    return next((m for m in models if (m.kind, m.name) == (kind, name)), None)
