"""Pictures on their way into a project.

An import may take minutes and must not block the window meanwhile, so it first stages its pictures
in a hidden folder. One short transaction then moves them to their places.

The folder of an import that was stopped or killed is kept for a week, and the next import of the
same source goes on from there. A journal in it says which picture was made of which file. The
folder holds nothing but redacted pixels; of a file, the journal has only an HMAC of its path and
its state, so that neither a name nor a patient's number is stored.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.progress import NO_PROGRESS, Progress, Stopped
from fetalstudio.formats.pictures.picture_files import FRAME_NOTE, encode_png, read_image
from fetalstudio.formats.privacy.redaction import Redactor
from fetalstudio.formats.reading.frame_reading import CleanPicture, FrameContent
from fetalstudio.project.patients import Patients, StandIns
from fetalstudio.project.store.locks import Lock
from fetalstudio.project.store.pixels import Pictures, Pixels, picture_id
from fetalstudio.project.store.storage import Storage
from fetalstudio.version import __version__

_STAGING = ".staging-"
_JOURNAL = "journal"
_KEPT_FOR_S = 7 * 24 * 3600.0
_IN_TWO_FILES = (".mhd", ".nhdr")
"""Headers whose pixels are in another file."""
_MOST_WAITING = 4
"""Pictures that wait to be written, at most: frames may be large."""
_SYNCED_AT_ONCE = 8
"""Pictures, each by a thread: the disk takes in several together."""
_MADE = re.compile(r"([0-9a-f]{32}) ([0-9a-f]{64}) ([01]) ([01]) ([0-9a-f]{16}|-) ([0-9a-f]{16})")
_TOTAL = re.compile(r"of (\d{1,9})")


@dataclass(frozen=True, slots=True)
class UnfinishedImport:
    """An import that was stopped or killed, and can go on."""

    pictures: int
    """How many were read."""
    total: int
    """How many there are in the source."""

    def __str__(self) -> str:
        return f"{self.pictures:,} of {self.total:,} pictures"


@dataclass(frozen=True, slots=True)
class _Made:
    """What the journal says of a file."""

    frame_id: str
    redacted: bool
    text_kept: bool
    layout: str | None
    rules: str
    """As :meth:`Redactor.rules`, when it was made."""


class Staged:
    """What an import that was stopped has left, to be read."""

    def __init__(self, folder: Path, pictures: Pictures, stand_ins: StandIns) -> None:
        self._folder = folder
        self._pictures = pictures
        self._stand_ins = stand_ins
        self._made, self.total = _read_journal(folder)
        self._whole = set[str]()
        """The pictures in the folder that are known to be whole: a power cut may have left others,
        as they are not synced one by one."""

    @property
    def unfinished(self) -> UnfinishedImport:
        """How far the import came."""
        return _unfinished(self._made, self.total)

    def key(self, path: Path, inside: str) -> str | None:
        """What stands for a picture file in its present state, or for what is ``inside`` of it.

        None where that is not seen from one file: it is gone, or its pixels are in another one.
        """
        try:
            file = next((p for p in (path, *path.parents) if p.is_file()), None)
            if file is None or file.suffix.lower() in _IN_TWO_FILES:
                return None
            state = file.stat()
        except OSError:
            return None
        return self._stand_ins.of(
            __version__, path.absolute(), inside, state.st_size, state.st_mtime_ns
        )

    def find(self, key: str, redactor: Redactor) -> CleanPicture | None:
        """The picture that was made of a file, if it is still redacted as it was then.

        A damaged picture is removed, and counts as none; so does one that is not written yet. May
        be called on several threads.
        """
        made = self._made.get(key)
        if made is None or made.rules != redactor.rules(made.layout):
            return None
        if not self._serves(made.layout, redactor):
            return None
        for path in (self._path(made.frame_id), self._pictures.path(made.frame_id)):
            if not path.exists():
                continue
            with contextlib.suppress(InputError):
                pixels = read_image(path)
                if picture_id(pixels) == made.frame_id:
                    if path.parent == self._folder:
                        self._whole.add(made.frame_id)
                    return CleanPicture(pixels, made.redacted, made.layout, made.text_kept)
            if path.parent == self._folder:
                path.unlink(missing_ok=True)
        return None

    def _serves(self, layout: str | None, redactor: Redactor) -> bool:
        # A screen is shown to the person who is to confirm its layout, so it is read again.
        return layout is None or layout in redactor.layouts

    def _path(self, frame_id: str) -> Path:
        return self._folder / f"{frame_id}.png"


class Staging(Staged):
    """The pictures of an import that is running."""

    def __init__(
        self,
        folder: Path,
        storage: Storage,
        stand_ins: StandIns,
        writer: ThreadPoolExecutor,
        named: bool,
    ) -> None:
        """``writer`` has one thread: pictures are written in the order in which they come, while
        the next ones are read. Without a journal no import could go on from here: it is kept where
        the folder is ``named`` after a source, so that one finds it."""
        super().__init__(folder, storage.pictures, stand_ins)
        self._storage, self._writer, self._named = storage, writer, named
        self._waiting = deque[Future[None]]()
        self.resumed = 0
        """Pictures that an import of this source had read before it was stopped."""

    def expect(self, total: int) -> None:
        """Note how many pictures are to be read."""
        if total != self.total:
            self.total = total
            self._append(f"of {total}")

    def note(self, key: str, frame_id: str, content: FrameContent, rules: str) -> None:
        """Note which picture was made of the file that ``key`` stands for."""
        made = _Made(frame_id, content.redacted, content.text_kept, content.layout, rules)
        if self._made.get(key) != made:
            self._made[key] = made
            flags = f"{int(made.redacted)} {int(made.text_kept)}"
            self._append(f"{key} {frame_id} {flags} {made.layout or '-'} {rules}")

    def put(self, pixels: Pixels, note: str = FRAME_NOTE) -> str:
        """Write the picture here unless the project or this folder holds it; returns its id.

        ``note`` says in the file what the picture is. A synthetic picture stays one, though it may
        come a second time without its note.

        A picture whose file in the project is missing or damaged is written too, to replace it. So
        is one that a killed import left in its place: a window that opens may remove it meanwhile.
        """
        frame_id = picture_id(pixels)
        known = self._storage.database.one("SELECT 1 FROM frames WHERE id = ?", (frame_id,))
        if known is None or not self._pictures.holds(frame_id):
            self._waiting.append(self._writer.submit(self._write, frame_id, pixels, note))
            if len(self._waiting) > _MOST_WAITING:
                self._waiting.popleft().result()
        return frame_id

    def settle(self, progress: Progress = NO_PROGRESS) -> None:
        """Let all pictures survive a power cut. Call before the transaction that places them.

        Syncing each one when it is written would take longer than all the rest. Raises
        :class:`UserError` as :meth:`put`, and :class:`Stopped` if asked to.
        """
        self._finish_writing()
        with ThreadPoolExecutor(_SYNCED_AT_ONCE, "syncer") as pool:
            for _ in pool.map(self._sync, sorted(self._whole)):
                progress.check()

    def place(self, frame_id: str) -> None:
        """Move the picture to its place, if it is not there. Call inside a write transaction only.

        Raises :class:`UserError` if it is neither staged nor in its place.
        """
        self._finish_writing()
        target = self._pictures.path(frame_id)
        if target.exists() and not self._path(frame_id).exists():
            return
        try:
            target.parent.mkdir(exist_ok=True)
            self._path(frame_id).replace(target)
        except OSError as error:
            raise self._unwritable(error) from error

    def _finish_writing(self) -> None:
        while self._waiting:
            self._waiting.popleft().result()

    def _write(self, frame_id: str, pixels: Pixels, note: str) -> None:
        if note == FRAME_NOTE and frame_id in self._whole:
            return
        part = self._folder / f"{frame_id}.part"
        try:
            self._folder.mkdir(exist_ok=True)
            part.write_bytes(encode_png(pixels, note))
            part.replace(self._path(frame_id))
        except OSError as error:
            raise self._unwritable(error) from error
        self._whole.add(frame_id)

    def _sync(self, frame_id: str) -> None:
        try:
            with self._path(frame_id).open("rb+") as stream:
                os.fsync(stream.fileno())
        except OSError as error:
            raise self._unwritable(error) from error

    def _append(self, line: str) -> None:
        if not self._named:
            return
        try:
            self._folder.mkdir(exist_ok=True)
            with (self._folder / _JOURNAL).open("a", encoding="ascii") as stream:
                stream.write(f"\n{line}")  # what a kill cut short then ends with the line
        except OSError as error:
            raise self._unwritable(error) from error

    def _serves(self, layout: str | None, redactor: Redactor) -> bool:
        return True

    def _unwritable(self, error: BaseException) -> UserError:
        """Names the folder, as a hidden staging file means nothing to the user."""
        return UserError(
            f"{self._pictures.folder} could not be written: "
            f"{getattr(error, 'strerror', None) or error}. Nothing was imported. "
            "Check that the folder is writable and the disk has room, then try again."
        )


class Imports:
    """The imports of a project that are running, or were stopped and can go on."""

    def __init__(self, storage: Storage, patients: Patients) -> None:
        self._storage, self._patients = storage, patients

    @contextlib.contextmanager
    def staging(self, source: Path | None = None) -> Iterator[Staging]:
        """A place for the pictures of an import.

        It is deleted at the end of the block; but that of a ``source`` is kept where the block is
        stopped (:class:`Stopped`, Ctrl-C), and found again by the next import of this source. The
        result of :class:`Stopped` is then an :class:`UnfinishedImport`.
        """
        stand_ins = self._patients.stand_ins()
        named = source is not None
        folder = self._of(source, stand_ins) if source is not None else self._of_nothing()
        # The lock comes first: a folder whose lock is free was left behind.
        lock = Lock(folder.with_suffix(".lock"))
        if not lock.acquire():  # another import of this source is running
            named, folder = False, self._of_nothing()
            lock = Lock(folder.with_suffix(".lock"))
            if not lock.acquire(wait_s=5.0):
                raise UserError(f"{lock.path} is held by another program. Try again.")
        keep = False
        try:
            with ThreadPoolExecutor(1, "writer") as writer:
                staging = Staging(folder, self._storage, stand_ins, writer, named)
                try:
                    yield staging
                except (Stopped, KeyboardInterrupt) as stop:
                    keep = named and staging.unfinished.pictures > 0
                    if isinstance(stop, Stopped) and keep:
                        raise Stopped(staging.unfinished) from stop
                    raise
        finally:
            if keep:
                lock.release()
            else:
                shutil.rmtree(folder, ignore_errors=True)
                lock.remove()

    def staged(self, source: Path) -> Staged | None:
        """What a stopped import of this source has left, if anything."""
        if not any(self._storage.pictures.folder.glob(f"{_STAGING}*")):
            return None
        stand_ins = self._patients.stand_ins()
        folder = self._of(source, stand_ins)
        return Staged(folder, self._storage.pictures, stand_ins) if folder.is_dir() else None

    def unfinished(self) -> list[UnfinishedImport]:
        """The imports that were stopped or killed and can go on."""
        found = []
        for folder, _ in _abandoned(self._storage.pictures.folder):
            left = _unfinished(*_read_journal(folder))
            if left.pictures:
                found.append(left)
        return found

    def discard(self, source: Path | None = None) -> None:
        """Delete what stopped or killed imports have left, of this source or of all."""
        one = None if source is None else self._of(source, self._patients.stand_ins())
        remove_stagings(self._storage.pictures.folder, one=one)

    def _of(self, source: Path, stand_ins: StandIns) -> Path:
        name = stand_ins.of("source", Path(source).absolute())
        return self._storage.pictures.folder / f"{_STAGING}{name[:16]}"

    def _of_nothing(self) -> Path:
        return self._storage.pictures.folder / f"{_STAGING}{secrets.token_hex(8)}"


def remove_stagings(folder: Path, older_than_s: float = 0.0, one: Path | None = None) -> int:
    """Delete the stagings in the ``folder`` of the pictures that no import uses, or ``one`` of
    them; returns the number of files. With ``older_than_s``, what an import can go on from is kept
    that long."""
    files = 0
    for staging, lock in _abandoned(folder):
        if one not in (None, staging):
            continue
        made, _ = _read_journal(staging)
        if made and time.time() - (staging / _JOURNAL).stat().st_mtime < older_than_s:
            continue
        files += len(list(staging.iterdir())) if staging.is_dir() else 0
        shutil.rmtree(staging, ignore_errors=True)
        lock.remove()
    return files


def remove_old_stagings(folder: Path) -> int:
    """As :func:`remove_stagings`, for those that were left a week ago, and what no import can go on
    from."""
    return remove_stagings(folder, _KEPT_FOR_S)


def _unfinished(made: Mapping[str, _Made], total: int) -> UnfinishedImport:
    return UnfinishedImport(len(made), max(total, len(made)))


def _abandoned(folder: Path) -> Iterator[tuple[Path, Lock]]:
    """The stagings that no import uses, each with its lock, which is held meanwhile."""
    for path in sorted(folder.glob(f"{_STAGING}*.lock")):
        lock = Lock(path)
        if lock.acquire():
            try:
                yield path.with_suffix(""), lock
            finally:
                lock.release()


def _read_journal(folder: Path) -> tuple[dict[str, _Made], int]:
    """What was made of each file, by what stands for it, and the number of pictures in all."""
    made: dict[str, _Made] = {}
    total = 0
    with contextlib.suppress(FileNotFoundError):
        for line in (folder / _JOURNAL).read_text("ascii", "replace").splitlines():
            if found := _MADE.fullmatch(line):
                key, frame_id, redacted, text_kept, layout, rules = found.groups()
                shown = None if layout == "-" else layout
                made[key] = _Made(frame_id, redacted == "1", text_kept == "1", shown, rules)
            elif found := _TOTAL.fullmatch(line):
                total = int(found[1])
    return made, total
