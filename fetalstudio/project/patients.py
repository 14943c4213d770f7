"""The keys by which a project knows its patients, and the secret from which they are made.

A subject's key is an HMAC-SHA256 of what the files say of the patient. Without the secret nobody
can find out whom a key stands for, not even by trying all numbers of a hospital, and the keys of
two projects cannot be linked. The secret is a file in the user's settings (mode 0600), not in the
project, which holds a random id of its own and a check value of the secret. An import that would
need a secret that is not on this computer is refused: a second key would split a patient in two.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.names import checked_key, visible_key
from fetalstudio.core.words import quoted
from fetalstudio.formats.files import atomic_path, read_bounded
from fetalstudio.formats.privacy.subjects import subject_key
from fetalstudio.project.store.backups import put_back
from fetalstudio.project.store.rows import optional, text
from fetalstudio.project.store.storage import Storage
from fetalstudio.resources import user_config_dir

_KEY = re.compile(r"subject-[0-9a-f]{16}|[0-9]{3}")
"""A key that was made with a secret, or a number as HC18 gives its patients: public, and too short
to be found in any other list. It stays, so that the parts of a split are the same everywhere."""
PUBLIC_KEYS = frozenset(f"{number:03d}" for number in range(1000))
"""Those of HC18's patients."""
_DIGITS = 16
_FORMAT = "fetalstudio-secret-1"
_BYTES = 32
_MAX_FILE = 4096


@dataclass(frozen=True, slots=True)
class Keys:
    """Makes keys; see :meth:`Patients.keys`."""

    _secret: bytes
    _held: Collection[str]

    def key(self, patient: str) -> str:
        """The key of a patient, by what a person, a table, a file or a folder calls her.

        A subject that the project already has is a key itself: one that was chosen from the list,
        or that came back with an export, or one in an older project, which is to stay the only one.
        """
        plain = visible_key(patient) or "unnamed"
        former = subject_key(plain)
        held = next((one for one in (plain, former) if one in self._held), None)
        return held or self.renewed(former)

    def video(self, subject: str, name: str) -> str:
        """The key of a video, by the key of its subject and what its file is called."""
        said = f"video {subject} {name}".encode(errors="replace")
        return f"video-{hmac.new(self._secret, said, hashlib.sha256).hexdigest()[:_DIGITS]}"

    def renewed(self, subject: str) -> str:
        """The key for a subject, also for one that former versions stored as it was."""
        plain = visible_key(subject)
        return plain if is_key(plain) else keyed(self._secret, subject_key(plain))


@dataclass(frozen=True, slots=True)
class StandIns:
    """Makes what stands for files where their names must not be stored."""

    _secret: bytes

    def of(self, *details: object) -> str:
        """32 hexadecimal digits, the same for the same details."""
        said = repr(("file", *map(str, details))).encode("ascii", "backslashreplace")
        return hmac.new(self._secret, said, hashlib.sha256).hexdigest()[:32]


class Patients:
    """The patients of a project."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @property
    def project_id(self) -> str:
        """The random id (32 hexadecimal digits) that names the project outside of its folder."""
        return self._identity()[0]

    def check_secret(self) -> None:
        """Raise :class:`InputError`, with the cures, where the secret is on another computer."""
        project_id, check = self._identity()
        secret = None if check is None else read_secret(project_id)
        if check is not None and (secret is None or _check(secret) != check):
            raise InputError(self._missing())

    def keys(self) -> Keys:
        """What makes keys. The first call for a project makes its secret.

        Raises :class:`InputError` as :meth:`check_secret`, and :class:`UserError` where a new
        secret cannot be kept.
        """
        with self._storage.transaction():
            self.check_secret()
            project_id, check = self._identity()
            secret = read_secret(project_id) or self._make(project_id)
            if check is None:
                self._set_check(secret)
            return Keys(secret, self._subjects())

    def stand_ins(self) -> StandIns:
        """What makes stand-ins with the secret. Raises as :meth:`keys`."""
        project_id, check = self._identity()
        secret = None if check is None else read_secret(project_id)
        if secret is None or _check(secret) != check:
            return StandIns(self.keys()._secret)
        return StandIns(secret)  # nothing is written, so nobody has to wait

    def key(self, patient: str) -> str:
        """The key of a patient whom a person names. Raises as :meth:`keys`, and
        :class:`InputError` for an empty text."""
        return self.keys().key(checked_key("subject", patient))

    def export_secret(self, path: Path) -> None:
        """Write the secret into a new file, which only its owner can read.

        Raises :class:`InputError` where there is none here or the file exists, and
        :class:`UserError` where it cannot be written.
        """
        self.keys()
        if path.exists():
            raise InputError(f"{path} already exists. Choose a new file.")
        if self._storage.path in path.absolute().parents:
            raise InputError(
                f"{path} is inside the project, which must not hold its secret. Choose a file "
                "outside of it."
            )
        secret = read_secret(self.project_id)
        assert secret is not None
        _write(path, self.project_id, secret)

    def import_secret(self, path: Path) -> None:
        """Keep the secret that :meth:`export_secret` wrote on another computer.

        Raises :class:`InputError` for any other file, and for the secret of another project.
        """
        project_id, secret = _parsed(path)
        with self._storage.transaction():
            own, check = self._identity()
            if project_id != own or check not in (None, _check(secret)):
                raise InputError(
                    f"{path} is the secret of another project. Export that of {self._storage.path}."
                )
            _write(_place(own), own, secret)
            if check is None:
                self._set_check(secret)

    def renew_secret(self) -> None:
        """Begin a new secret where the former one is lost.

        Frames that are imported from now on are of other subjects than those of before, also where
        they show the same patient. Raises :class:`InputError` where the secret is on this computer.
        """
        with self._storage.transaction():
            project_id, check = self._identity()
            former = read_secret(project_id)
            if former is not None and check in (None, _check(former)):
                raise InputError(
                    f"The secret of {self._storage.path} is on this computer. Nothing was changed."
                )
            self._set_check(self._make(project_id))

    def _make(self, project_id: str) -> bytes:
        secret = secrets.token_bytes(_BYTES)
        _write(_place(project_id), project_id, secret)
        return secret

    def _set_check(self, secret: bytes) -> None:
        self._storage.database.execute("UPDATE identity SET secret_check = ?", (_check(secret),))

    def _identity(self) -> tuple[str, str | None]:
        row = self._storage.database.one("SELECT * FROM identity")
        with contextlib.suppress(ValueError):
            if row is not None and re.fullmatch("[0-9a-f]{32}", text(row, "id")):
                return row["id"], optional(text, row, "secret_check")
        raise UserError(
            f"{self._storage.database.path}: the id of the project is damaged. "
            f"{put_back(self._storage.path)}"
        )

    def _subjects(self) -> frozenset[str]:
        rows = self._storage.database.query("SELECT DISTINCT subject FROM frame_revisions")
        return frozenset(self._storage.read("frame_revisions", rows, lambda r: text(r, "subject")))

    def _missing(self) -> str:
        project = quoted(self._storage.path)
        return (
            f"The secret from which {self._storage.path} makes the keys of its patients is not "
            "on this computer, so a patient whom it knows would get a second key. Copy it from the "
            f"computer that has it: run fetalstudio secret {project} export FILE there and "
            f"fetalstudio secret {project} import FILE here. If it is lost, run fetalstudio "
            f"secret {project} renew and keep patients apart by hand."
        )


def is_key(subject: str) -> bool:
    """Whether a subject says nothing about who the patient is."""
    return _KEY.fullmatch(subject) is not None


def keyed(secret: bytes, patient: str) -> str:
    """The key of a patient, by what :func:`subject_key` makes of her name."""
    digest = hmac.new(secret, f"patient {patient}".encode(errors="replace"), hashlib.sha256)
    return f"subject-{digest.hexdigest()[:_DIGITS]}"


def read_secret(project_id: str) -> bytes | None:
    """The secret of a project on this computer, or None.

    Raises :class:`InputError` for a damaged file.
    """
    path = _place(project_id)
    return _parsed(path)[1] if path.exists() else None


def _place(project_id: str) -> Path:
    return user_config_dir() / "secrets" / f"{project_id}.json"


def _check(secret: bytes) -> str:
    """A value by which a project recognises its secret, and which does not reveal it."""
    return hmac.new(secret, b"check value", hashlib.sha256).hexdigest()[:_DIGITS]


def _write(path: Path, project_id: str, secret: bytes) -> None:
    content = {"format": _FORMAT, "project": project_id, "secret": secret.hex()}
    with atomic_path(path) as temporary:
        temporary.chmod(0o600)
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _parsed(path: Path) -> tuple[str, bytes]:
    try:
        found = json.loads(read_bounded(path, _MAX_FILE))
        if found["format"] == _FORMAT:
            secret = bytes.fromhex(found["secret"])
            if len(secret) == _BYTES:
                return str(found["project"]), secret
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise InputError(
        f"{path} is not the secret of a project, or is damaged. Export it again on the computer "
        "that has it: fetalstudio secret PROJECT export FILE."
    )
