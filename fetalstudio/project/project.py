"""A project: the folder in which a person's frames, ellipses, pairs, runs and models live.

    project.db            SQLite: everything but pixels and weights
    backups/*.db          copies of it, made when a window opens the project
    frames/<2 hex>/*.png  the pictures, each named by its content
    models/<run>/         model folders
    exports/              the default folder of exports
    cache/                what can be computed again, such as embeddings; may be deleted

All paths inside are relative: the folder can be moved, zipped and opened elsewhere. Any number of
processes may open it; each instance is used from one thread.
"""

from __future__ import annotations

import contextlib
import gc
import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.words import counted
from fetalstudio.formats.files import new_folder
from fetalstudio.project.amendments import Amendments
from fetalstudio.project.annotations import DOUBTFUL_ANNOTATIONS, Annotations
from fetalstudio.project.audit import Audit
from fetalstudio.project.batches import Batches
from fetalstudio.project.frames import DOUBTFUL_REVISIONS, Frames
from fetalstudio.project.models import Models
from fetalstudio.project.pairs import Pairs
from fetalstudio.project.parts import Parts
from fetalstudio.project.patients import Patients
from fetalstudio.project.purging import forget, purge, removed_frames, unheld_pictures
from fetalstudio.project.readings import Readings
from fetalstudio.project.runs import Runs
from fetalstudio.project.staging import Imports, remove_old_stagings
from fetalstudio.project.store.backups import DATABASE, put_back, write_backup
from fetalstudio.project.store.database import Database
from fetalstudio.project.store.locks import Lock
from fetalstudio.project.store.pixels import Pictures
from fetalstudio.project.store.schema import CURRENT_PAIRS
from fetalstudio.project.store.storage import Storage, Version, without_collections

_FOLDERS = ("frames", "models", "exports")
_ABANDONED_AFTER_S = 3600.0
_DOUBTFUL = (
    DOUBTFUL_REVISIONS,
    DOUBTFUL_ANNOTATIONS,
    "PRAGMA foreign_key_check",
    "SELECT 1 FROM frames WHERE id NOT IN (SELECT frame_id FROM frame_revisions)",
)
"""Select the revisions that may be damaged, and the rows that lost what they belong to."""


class Project:
    """An open project. Every error that it raises for a person is a :class:`UserError`."""

    def __init__(self, path: Path, database: Database) -> None:
        """Use :meth:`create` or :meth:`open`."""
        self._storage = Storage(path, database)
        self.parts = Parts(self._storage)
        self.frames = Frames(self._storage)
        self.annotations = Annotations(self._storage, self.frames)
        self.readings = Readings(self._storage, self.frames, self.annotations)
        self.pairs = Pairs(self._storage, self.frames)
        self.amendments = Amendments(self._storage, self.parts, self.frames, self.pairs)
        self.audit = Audit(self._storage, self.amendments, self.readings)
        self.batches = Batches(self._storage)
        self.runs = Runs(self._storage)
        self.models = Models(self._storage)
        self.patients = Patients(self._storage)
        self.imports = Imports(self._storage, self.patients)

    @property
    def path(self) -> Path:
        """The project's folder, absolute."""
        return self._storage.path

    @classmethod
    def create(cls, path: str | Path) -> Project:
        """Make an empty project in a folder that is new or empty.

        Raises :class:`InputError` for any other folder, :class:`UserError` where it cannot be
        written.
        """
        path = Path(path).absolute()
        try:
            if (path / DATABASE).exists():
                raise InputError(f"{path} already is a project. Open it, or choose another folder.")
            if path.exists() and any(path.iterdir()):
                raise InputError(f"{path} is not empty. Choose a new or an empty folder.")
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_made(path, error.strerror) from error
        try:
            for folder in _FOLDERS:
                (path / folder).mkdir()
            (path / DATABASE).touch()
            return cls(path, Database(path / DATABASE))
        except BaseException as error:
            # The folder was empty: whatever is in it now is ours.
            for made in path.iterdir():
                made.rmdir() if made.is_dir() else made.unlink()
            if isinstance(error, OSError):
                raise _not_made(path, error.strerror) from error
            raise

    @classmethod
    def open(cls, path: str | Path) -> Project:
        """Open a project, bringing an older one up to date after a backup of its database.

        Raises :class:`InputError` for a folder that is no project, :class:`UserError` for one that
        is damaged, newer than this program or not writable.
        """
        path = Path(path).absolute()
        database = path / DATABASE
        try:
            missing = not database.is_file()
            emptied = not missing and database.stat().st_size == 0
        except OSError as error:
            raise InputError(
                f"{path} cannot be read: {error.strerror}. Check the path, and who may enter it."
            ) from error
        if missing:
            raise InputError(
                f"{path} is not a project: it has no {DATABASE}. Choose another folder, or make a "
                "project there first (File, New project; or fetalstudio new)."
            )
        if emptied and any((path / "frames").glob("??/*.png")):
            raise UserError(f"{database} is empty although there are frames. {put_back(path)}")
        return cls(path, Database(database))

    def close(self) -> None:
        """Close the files; a run that has not ended counts as crashed. May be called twice."""
        self.runs.close()
        self._storage.database.close()
        gc.unfreeze()  # the records may go

    def __enter__(self) -> Project:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def transaction(self) -> AbstractContextManager[None]:
        """All of the block's changes, or none of them; see :meth:`Storage.transaction`."""
        return self._storage.transaction()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """The lock of the one window that shows the project; jobs and commands do not take it.

        Raises :class:`UserError` if another window holds it.
        """
        otherwise = f"{self.path} is open in another window. Use that one, or close it first."
        with Lock(self.path / ".lock").held(otherwise):
            yield

    def counts(self) -> Mapping[str, int]:
        """Real frames by annotation state (``none``, ``proposed``, ``draft``, ``final``) and pairs
        by review state (``pending``, ``accepted``, ``rejected``)."""
        counts = dict.fromkeys(("none", "proposed", "draft", "final"), 0)
        counts |= dict.fromkeys(("pending", "accepted", "rejected"), 0)
        counts |= self.annotations.states()
        counts["none"] = len(self.frames.all()) - sum(counts.values())
        rows = self._storage.database.query(
            f"""SELECT coalesce(r.state, 'pending') AS state, count(*) AS total
            FROM {CURRENT_PAIRS}
            LEFT JOIN newest_reviews AS r ON r.pair_id = pairs.id GROUP BY 1"""
        )
        return counts | {row["state"]: row["total"] for row in rows if row["state"] in counts}

    @property
    def damage(self) -> list[str]:
        """A sentence for each damaged row that was met so far."""
        return list(self._storage.damage.values())

    def check(self) -> list[str]:
        """Read every row; returns a sentence for each that is damaged, and so left out."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            # SQLite finds these rows, mostly none, on another core while Python reads the others.
            found = pool.submit(self._storage.query_apart, _DOUBTFUL)
            self.frames.all(kind=None)
            self.amendments.all()
            self.annotations.by_frame()
            self.readings.check()
            self.pairs.all()
            self.batches.check()
            self.runs.all()
            self.models.all()
            self.parts.stored()
        revisions, ellipses, homeless, unnamed = found.result()
        self.frames.check(revisions)
        self.annotations.check(ellipses)
        orphans = Counter(row["table"] for row in homeless)
        orphans["frames"] = len(unnamed)
        for table, rows in (+orphans).items():
            self._storage.note_damage(
                (table,),
                f"{self._storage.database.path}: {counted(rows, 'row')} of the table {table} lost "
                f"what they belong to, and are left out. {put_back(self.path)}",
            )
        return self.damage

    @property
    def displaced(self) -> bool:
        """Whether the folder was removed, moved or replaced while the project was open.

        What was saved until then can still be read and copied; nothing more can be saved.
        """
        return self._storage.database.displaced

    @property
    def changes(self) -> int:
        """A number that is another one once anybody else has written into the project."""
        return self._storage.database.changes

    def version(self) -> Version:
        """A value that is another one once anybody has written into the project."""
        return self._storage.version()

    def read_ahead(self) -> None:
        """Read all frames and annotations, for :meth:`take_over`."""
        self.frames.all()
        self.annotations.states()

    def take_over(self, other: Project, version: Version) -> None:
        """Hold what ``other``, the same project opened on another thread, has read ahead since this
        one was at ``version``; nothing if anybody has written since."""
        if self._storage.take_over(other._storage, version):
            self.frames.take_over(other.frames)
            self.annotations.take_over(other.annotations)

    def purge(self) -> int:
        """Delete for good what was removed; see :func:`fetalstudio.project.purging.purge`."""
        return purge(self._storage)

    def forget(self, subjects: Collection[str], progress: Progress = NO_PROGRESS) -> bool:
        """Delete every trace of removed frames and of these subjects; see
        :func:`fetalstudio.project.purging.forget`."""
        return forget(self._storage, subjects, progress)

    def scrub(self) -> bool:
        """Write the database again without what deleted rows leave in it; see
        :meth:`fetalstudio.project.store.database.Database.scrub`."""
        return self._storage.database.scrub()

    def copy_database(self, target: Path) -> None:
        """Write a consistent copy of the database alone, atomically."""
        self._storage.database.backup(target)

    def save_copy(self, path: Path) -> int:
        """Write a copy of the project into a folder that is new or empty.

        Returns the number of pictures that could not be copied, because the project's folder no
        longer has them. Raises :class:`InputError` for a folder that is in use and
        :class:`UserError` where it cannot be written.
        """
        missing = 0
        with new_folder(Path(path).absolute()) as folder:
            self._storage.database.backup(folder / DATABASE)
            for name in _FOLDERS:
                (folder / name).mkdir()
            copied = Pictures(folder / "frames")
            for frame in self.frames.all(kind=None):
                target = copied.path(frame.id)
                target.parent.mkdir(exist_ok=True)
                try:
                    shutil.copyfile(self.frames.path(frame.id), target)
                except FileNotFoundError:
                    missing += 1
            models = self.path / "models"
            # Another project in the same place has models of its own under the same numbers.
            if models.is_dir() and not (self.displaced and (self.path / DATABASE).exists()):
                shutil.copytree(models, folder / "models", dirs_exist_ok=True)
        return missing

    def recover(self) -> list[str]:
        """Tidy up after a crash, delete removed frames for good and back the database up; called by
        the window when it opens.

        Safe while other processes work on the project: what they are busy with is left alone.
        Returns a sentence for each thing that was done about a crash. All rows are read before: a
        project with :attr:`damage` is left as it is, so that nothing is deleted that a backup still
        needs, and its backups stay those of before.
        """
        with without_collections():
            return self._recover()

    def _recover(self) -> list[str]:
        notes = [
            f"The run {run.name} was interrupted and is marked as failed."
            for run in self.runs.fail_crashed()
        ]
        if self.check():
            return notes
        with self.transaction():
            unfinished = len(unheld_pictures(self._storage))
        if unfinished or removed_frames(self._storage):
            self.purge()  # deletes both
        removed = unfinished + self._remove_abandoned()
        if removed:
            notes.append(f"Removed {removed} unfinished files of an interrupted job.")
        write_backup(self.path, self._storage.database.backup)
        return notes

    def _remove_abandoned(self) -> int:
        with self.transaction():
            removed = self._storage.pictures.remove_abandoned()
            removed += remove_old_stagings(self._storage.pictures.folder)
        for folder in ("models", "exports"):
            for path in sorted((self.path / folder).rglob(".part-*")):
                # A job of another process may be writing it; after an hour it no longer is.
                if path.exists() and time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S:
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                    removed += 1
        return removed


def _not_made(path: Path, reason: str | None) -> UserError:
    return UserError(
        f"{path} cannot be made a project: {reason}. "
        "Choose a folder where you may write, on a disk with room."
    )
