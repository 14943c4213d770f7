"""``model.json``: what a model is, what it was trained on and what it was measured to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from fetalstudio.core.errors import InputError
from fetalstudio.formats.files import write_bytes

Kind = Literal["synthesizer", "segmenter", "outline"]
FORMAT = 1
CARD = "model.json"
TRAINING_FRAMES = "training_frames.txt"
SEEN_SUBJECTS = "seen_subjects.txt"
SOURCE = "source.json"
INTACT_COPY = "Put an intact copy of the model's folder there, or add or train the model again."
"""The cure for a damaged model."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The contents of ``model.json``."""

    name: str
    kind: Kind
    architecture: Mapping[str, Any]
    """``type`` and what rebuilds it."""
    preprocessing: Mapping[str, Any]
    licence: str
    training_data: Mapping[str, Any]
    """Cohorts with their numbers of frames and subjects, and who is to be credited."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Figures with their protocol."""
    format: int = FORMAT

    @classmethod
    def read(cls, folder: Path) -> ModelCard:
        """Read the card in a model's folder.

        Raises :class:`InputError` if it is missing, damaged or of a newer FetalStudio.
        """
        path = folder / CARD
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"{folder} holds no model: {path.name} cannot be read ({error.strerror}). Put an "
                "intact copy of the folder there, or choose another model: fetalstudio models list."
            ) from error
        except (ValueError, RecursionError) as error:  # JSON nested too deeply for the parser
            raise _damaged(path, error) from error
        return cls.of(values, path)

    @classmethod
    def of(cls, values: object, path: Path) -> ModelCard:
        """The card that was read from a file.

        Raises :class:`InputError`, which names the ``path``, if it is damaged or of a newer
        FetalStudio.
        """
        if not isinstance(values, dict):
            raise _damaged(path, "it holds no model card")
        # Before anything else: a newer card may have other fields, and kinds that are new.
        format = values.get("format", FORMAT)
        if not isinstance(format, int) or isinstance(format, bool):
            raise _damaged(path, f"its format is {format!r}")
        if format > FORMAT:
            raise InputError(f"{path.parent} was saved by a newer FetalStudio. Update FetalStudio.")
        try:
            card = cls(**values)
        except TypeError as error:
            raise _damaged(path, error) from error
        if card.kind not in get_args(Kind):
            raise _damaged(path, f"its kind is {card.kind!r}")
        for name in ("name", "licence"):
            if not isinstance(getattr(card, name), str):
                raise _damaged(path, f"its {name} is not text")
        for name in ("architecture", "preprocessing", "training_data", "metrics"):
            if not isinstance(getattr(card, name), Mapping):
                raise _damaged(path, f"its {name} is not a table of names and values")
        if not isinstance(card.architecture.get("type", ""), str):
            raise _damaged(path, "the type of its architecture is not text")
        return card

    def write(self, folder: Path) -> None:
        """Write the card into a model's folder, atomically."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
        write_bytes(folder / CARD, text.encode())


@dataclass(frozen=True, slots=True)
class Source:
    """``source.json``: the file that an added model's weights came from.

    Without weights of its own beside it, the model is read from that file, which must stay.
    """

    path: str
    """Absolute where the model is read from it, and otherwise its last part."""
    bytes: int
    sha256: str

    @classmethod
    def read(cls, folder: Path) -> Source | None:
        """Read it in a model's folder; None for a model that was not added from a file.

        Raises :class:`InputError` for a damaged file.
        """
        path = folder / SOURCE
        try:
            source = cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{path} is damaged: {error}. Add the model again.") from error
        if [*map(type, (source.path, source.bytes, source.sha256))] != [str, int, str]:
            raise InputError(f"{path} is damaged: values of wrong types. Add the model again.")
        return source

    def write(self, folder: Path) -> None:
        """Write it into a model's folder, atomically."""
        write_bytes(folder / SOURCE, json.dumps(asdict(self), indent=2).encode())

    def check(self) -> Path:
        """Return the file. Raises :class:`InputError` where it is gone or has another size."""
        path = Path(self.path)
        if not path.is_file() or path.stat().st_size != self.bytes:
            raise InputError(
                f"{path} is no longer there or was changed since it was added as a model. Put the "
                "former file back, or add what is there now under another name: fetalstudio models "
                f"add {path} --name NAME."
            )
        return path


def _damaged(path: Path, cause: object) -> InputError:
    return InputError(f"{path} is damaged: {cause}. {INTACT_COPY}")


def write_training_frames(folder: Path, frame_ids: list[str]) -> None:
    """Record which frames a model was trained on, by their ids shortened to 16 digits."""
    lines = sorted({frame_id[:16] for frame_id in frame_ids})
    write_bytes(folder / TRAINING_FRAMES, ("\n".join(lines) + "\n").encode())


def training_frames(folder: Path) -> frozenset[str]:
    """The shortened ids of a model's training frames; empty where none are recorded.

    Raises :class:`InputError` for a file that cannot be read.
    """
    return _words(folder / TRAINING_FRAMES)


def write_seen_subjects(folder: Path, hashes: Iterable[str]) -> None:
    """Record the subjects that influenced a model, by :func:`hashed_subject`: in training, in the
    choice of its best epoch or in its calibration."""
    write_bytes(folder / SEEN_SUBJECTS, ("\n".join(sorted(set(hashes))) + "\n").encode())


def seen_subjects(folder: Path) -> frozenset[str]:
    """The hashes of the subjects that influenced a model; empty where none are recorded.

    Raises :class:`InputError` for a file that cannot be read.
    """
    return _words(folder / SEEN_SUBJECTS)


def hashed_subject(key: str) -> str:
    """16 hexadecimal digits that stand for a subject's key in the files of a model."""
    return hashlib.sha256(f"subject {key}".encode()).hexdigest()[:16]


def _words(path: Path) -> frozenset[str]:
    try:
        return frozenset(path.read_text(encoding="utf-8").split()) if path.exists() else frozenset()
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def fingerprint(folder: Path) -> str:
    """SHA-256 (hex) over the model's weights, whatever its folder is called.

    For an added model without weights of its own it is the hash of the file that it is read from.
    """
    paths = sorted(folder.rglob("*.safetensors"))
    source = None if paths else Source.read(folder)
    if source is not None:
        return source.sha256
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
