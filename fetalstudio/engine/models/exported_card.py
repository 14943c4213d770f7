"""The card beside an exported checkpoint, and what its model saw, which comes back with it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.core.words import counted
from fetalstudio.engine.models.seen import Seen
from fetalstudio.formats.files import read_bounded, sha256_of, write_bytes
from fetalstudio.formats.model_card import ModelCard, hashed_subject
from fetalstudio.project.patients import PUBLIC_KEYS, is_key
from fetalstudio.project.project import Project

_SEEN = "seen"
_MAX_BYTES = 64_000_000
_DIGITS = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class ExportedCard:
    """What the file beside a checkpoint says."""

    card: ModelCard
    seen: Seen
    complete: bool
    """Whether this is all that the model saw."""
    sha256: str
    """Of the checkpoint."""


def card_beside(checkpoint: Path) -> Path:
    """Where the card of an exported checkpoint is."""
    return checkpoint.with_name(f"{checkpoint.name}.json")


def write_card_beside(
    checkpoint: Path, card: ModelCard, seen: Seen, project: Project | None
) -> list[str]:
    """Write a model's card beside its checkpoint, with hashes of what it saw, atomically.

    A project of a former version may hold names or numbers of patients, which could be found from
    their hashes. What its models saw is then written as far as it is known to be of keys. Returns
    a sentence if anything is left out.
    """
    subjects = seen.subjects if project is None else _keys_among(seen.subjects, project)
    stored = {
        "subjects": sorted(subjects),
        "frames": sorted(seen.frames),
        "complete": subjects == seen.subjects,
        "sha256": sha256_of(checkpoint),
    }
    text = json.dumps({**asdict(card), _SEEN: stored}, indent=2, ensure_ascii=False) + "\n"
    write_bytes(card_beside(checkpoint), text.encode())
    left_out = len(seen.subjects) - len(subjects)
    if not left_out or project is None:
        return []
    return [
        f"{counted(left_out, 'subject')} that {card.name} saw cannot be told by its card: "
        f"{project.path} holds names or numbers of patients instead of keys. To tell them, make "
        "the project shareable (fetalstudio shareable), and export the model again."
    ]


def read_card_beside(checkpoint: Path) -> ExportedCard | None:
    """The card that was exported with a checkpoint; None where there is no file of its name.

    Raises :class:`InputError` for a file that is no such card, or one of a former version.
    """
    path = card_beside(checkpoint)
    if not path.exists():
        return None
    try:
        values = json.loads(read_bounded(path, _MAX_BYTES))
        stored = values.pop(_SEEN)
        subjects, frames = stored["subjects"], stored["frames"]
        complete, sha256 = stored["complete"], stored["sha256"]
        if not all(_DIGITS.fullmatch(one) for one in (*subjects, *frames)):
            raise ValueError("what the model saw is not written as hashes")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} does not say what the model saw.") from error
    card = ModelCard.of(values, path)
    seen = Seen(frozenset(frames), frozenset(subjects))
    return ExportedCard(card, seen, complete is True, str(sha256))


def _keys_among(hashes: frozenset[str], project: Project) -> frozenset[str]:
    """All of the hashes where the project holds keys alone, and otherwise those of its keys."""
    synthetic = {frame.id for frame in project.frames.all(kind="synthetic")}
    revisions = (r for r in project.frames.revisions() if r.frame_id not in synthetic)
    subjects = {revision.subject for revision in revisions}
    if all(map(is_key, subjects)):
        return hashes
    return hashes & {hashed_subject(s) for s in {*subjects, *PUBLIC_KEYS} if is_key(s)}
