"""A project without the names, numbers, dates and paths that may say who its patients are.

Projects of former versions hold the names of files, subjects in the clear, and folders. What is
shared is built from scratch beside the project: a database whose texts are rewritten, the pictures
and the models. Nothing else comes along, so that no byte of a backup, a log or a cache does.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.names import checked_key
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.words import counted
from fetalstudio.formats.files import new_folder, write_bytes
from fetalstudio.formats.model_card import hashed_subject, seen_subjects, write_seen_subjects
from fetalstudio.formats.pictures.picture_files import note_in, write_png
from fetalstudio.formats.privacy.identifiers import looks_like
from fetalstudio.project.importing.deidentifying import (
    doubtful_labels,
    free_cohort,
    is_counted,
    is_public_name,
)
from fetalstudio.project.patients import PUBLIC_KEYS, is_key
from fetalstudio.project.project import DATABASE, Project
from fetalstudio.project.store.locks import Lock
from fetalstudio.project.store.pixels import Pictures

_NEUTRAL = re.compile(r"frame-\d+(-\d+)?")
_PATH = re.compile(r"(?<![\w.:/])(?:[A-Za-z]:[\\/]|/|\\\\)[^\s\"'<>|:;,]+(?:[\\/][^\s\"'<>|:;,]*)+")
_NOWHERE = "(path)"
_WORD = re.compile("[a-z]+")
_NAMING = frozenset({"name", "cohort", "cohorts", "subject", "subjects", "model", "segmenter"})
_ANYWHERE = 4
"""A text of this many characters is also replaced within others."""
_KEPT_SUFFIXES = (".json", ".safetensors", ".npz", ".txt")
"""Of the files in the folder of a model."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """What is changed in a project before it is shared."""

    names: Mapping[str, str]
    """Of real frames by id: the new ones."""
    subjects: Mapping[str, str]
    """New keys by old subject."""
    cohorts: Mapping[str, str]
    """New names by old one, of those that may say who a patient is."""
    labels: tuple[str, ...]
    """Names of labels that are left out."""
    texts: Mapping[str, str]
    """Names of pairs, runs and models that are replaced too."""
    left_out: tuple[str, ...]
    """What lies in the project's folder and does not come along."""

    def sentences(self) -> list[str]:
        """What will change, for a person."""
        said = []
        if self.names:
            said.append(f"Neutral names instead of their own: {counted(len(self.names), 'frame')}.")
        if self.subjects:
            said.append(f"Keys instead of texts: {counted(len(self.subjects), 'subject')}.")
        said += [f"The cohort {old} is renamed to {new}." for old, new in self.cohorts.items()]
        if self.labels:
            said.append(f"Labels left out: {', '.join(self.labels)}.")
        if self.texts:
            said.append(f"Other names for pairs, runs and models: {len(self.texts)}.")
        said.append("Removed frames, paths, and what the log says about amendments are left out.")
        if self.left_out:
            said.append(f"Files and folders left out: {', '.join(self.left_out)}.")
        return said


def plan_sharing(
    project: Project,
    *,
    cohorts: Mapping[str, str] | None = None,
    keep_names: bool = False,
    keep_labels: Collection[str] = (),
) -> Sharing:
    """What sharing the project would change; nothing is changed yet.

    ``cohorts`` are new names by old one; a cohort that may name a patient and is not among them
    becomes ``cohort-1`` and so on. ``keep_names`` and ``keep_labels`` are a person's decisions.

    Raises :class:`InputError` for a cohort that is not there and where the secret of the project is
    on another computer, :class:`UserError` for a damaged project.
    """
    if damage := project.check():
        raise UserError(damage[0])
    keys = project.patients.keys()
    every = project.frames.all(kind=None)
    real = {frame.id for frame in every if frame.kind == "real"}
    revisions = project.frames.revisions()
    synthetic = {frame.id for frame in every if frame.kind == "synthetic"}
    known = {revision.cohort for revision in revisions}
    chosen = dict(cohorts or {})
    if unknown := [name for name in chosen if name not in known]:
        raise InputError(
            f"There is no cohort {unknown[0]}. The cohorts are: {', '.join(sorted(known))}."
        )
    renamed = {old: checked_key("cohort", new) for old, new in chosen.items()}
    for cohort in sorted(known - renamed.keys()):
        if looks_like(cohort):
            renamed[cohort] = free_cohort({*known, *renamed.values()})
    neutral = project.frames.neutral_names()
    names = {
        frame.id: next(neutral)
        for frame in every
        if frame.id in real
        and not (keep_names or is_public_name(frame.name) or _NEUTRAL.fullmatch(frame.name))
    }
    subjects = {
        revision.subject: keys.renewed(revision.subject)
        for revision in revisions
        if revision.frame_id not in synthetic and not is_key(revision.subject)
    }
    doubtful = doubtful_labels(
        {name: text for name, text in frame.labels.items() if name not in keep_labels}
        for frame in every
    )
    return Sharing(
        names,
        subjects,
        {old: new for old, new in renamed.items() if old != new},
        tuple(doubtful),
        _doubtful_names(project, [f.name for f in every if f.id in synthetic]),
        _left_out(project.path, {model.path for model in project.models.all()}),
    )


def write_shareable(
    project: Project, out: Path, sharing: Sharing, progress: Progress = NO_PROGRESS
) -> None:
    """Write the project as it may be shared into ``out``, a folder that is new or empty.

    Raises :class:`InputError` for a folder that is in use, :class:`UserError` where it cannot be
    written and for a picture that is missing, :class:`Stopped` if asked to.
    """
    frames = project.frames.all(kind=None)
    texts = _Texts(project, sharing)
    with new_folder(out.absolute()) as folder:
        for name in ("frames", "models", "exports"):
            (folder / name).mkdir()
        project.copy_database(folder / DATABASE)
        with Project.open(folder) as copy:
            copy.purge()
        _rewrite(folder / DATABASE, sharing, texts)
        pictures = Pictures(folder / "frames")
        for done, frame in enumerate(frames):
            progress.advance(done, len(frames))
            note = note_in(project.frames.path(frame.id))
            note = None if note is None else texts.in_json_or_text(note)
            write_png(pictures.path(frame.id), project.frames.pixels(frame.id), note)
        progress.advance(len(frames), len(frames))
        hashes = _subject_hashes(project, sharing)
        for model in project.models.all():
            target = folder / texts(model.path)
            _copy_model(project.path / model.path, target, texts)
            if seen := seen_subjects(project.path / model.path):
                write_seen_subjects(target, (hashes[one] for one in seen if one in hashes))
        with Project.open(folder):  # that it can be opened is seen before it takes a place
            pass
        for left in (*folder.glob(f"{DATABASE}-*"), *folder.glob(f"{DATABASE}.*")):
            left.unlink()


def make_shareable(path: Path, sharing: Sharing, progress: Progress = NO_PROGRESS) -> None:
    """Put the shareable project in the place of the one in ``path``, which is deleted for good.

    Nobody may have it open. Raises as :func:`write_shareable`, and :class:`UserError` where a
    window, a run or a batch is busy with it; the project is then as it was.
    """
    path = path.absolute()
    otherwise = f"{path} is open in a window. Close that window first."
    beside = path.with_name(f".{path.name}-shareable")
    shutil.rmtree(beside, ignore_errors=True)  # of a process that was killed
    try:
        with Lock(path / ".lock").held(otherwise), Project.open(path) as project:
            project.runs.fail_crashed()
            if busy := [run.name for run in project.runs.all() if run.state == "running"]:
                raise UserError(f"The run {busy[0]} is under way. Let it end first.")
            write_shareable(project, beside, sharing, progress)
        # Without the lock: Windows renames no folder in which a file is open.
        former = path.with_name(f".{path.name}-former")
        shutil.rmtree(former, ignore_errors=True)
        path.rename(former)
        try:
            beside.rename(path)
        except OSError:
            former.rename(path)
            raise
        shutil.rmtree(former)
    except OSError as error:
        raise UserError(
            f"{path} could not be replaced: {error.strerror or error}. Close the programs that "
            "use it and try again."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


class _Texts:
    """Replaces what may say who a patient is in texts and in JSON."""

    def __init__(self, project: Project, sharing: Sharing) -> None:
        former = {
            revision.name: sharing.names.get(revision.frame_id, "(frame)")
            for revision in project.frames.revisions()
            if revision.frame_id in sharing.names or revision.removed
        }
        found = {**former, **sharing.subjects}
        found = {old: new for old, new in found.items() if looks_like(old)}
        self._named = {**sharing.cohorts, **sharing.texts}
        self._exact = {**found, **self._named}
        # A word such as "paper" may be a frame's name and the value of a setting.
        words = [old for old in found if _WORD.fullmatch(old)]
        self._unclear = frozenset(words) - self._named.keys()
        within = [old for old in self._exact.keys() - self._unclear if len(old) >= _ANYWHERE]
        alternatives = "|".join(map(re.escape, sorted(within, key=len, reverse=True)))
        self._within = re.compile(rf"(?<![^\W_])(?:{alternatives})(?![^\W_])") if within else None

    def __call__(self, text: str, key: str = "name") -> str:
        """The text with what stands in it replaced, and without absolute paths.

        ``key`` is that of the JSON object in which the text is a value.
        """
        if text in self._exact and (text not in self._unclear or key in _NAMING):
            return self._exact[text]
        if self._within is not None:
            text = self._within.sub(lambda found: self._exact[found[0]], text)
        whole = PurePosixPath(text).is_absolute() or PureWindowsPath(text).drive
        return _NOWHERE if whole else _PATH.sub(_NOWHERE, text)

    def in_json(self, value: Any, key: str = "") -> Any:
        """A JSON value with all its texts replaced, and cohorts in the keys of its objects."""
        if isinstance(value, str):
            return self(value, key)
        if isinstance(value, list):
            return [self.in_json(item, key) for item in value]
        if isinstance(value, dict):
            return {self._named.get(k, self(k, "")): self.in_json(v, k) for k, v in value.items()}
        return value

    def in_json_or_text(self, text: str) -> str:
        try:
            return json.dumps(self.in_json(json.loads(text)))
        except (ValueError, RecursionError):
            return self(text)


def _doubtful_names(project: Project, pairs: Collection[str]) -> Mapping[str, str]:
    """Names of pairs, runs and models that a person gave and that may name a patient."""
    found = {name: "pair" for name in pairs if not is_counted(name) and looks_like(name)}
    items = [i for batch in project.batches.unfinished() for i in project.batches.items(batch.id)]
    found |= {
        item.name: "pair" for item in items if not is_counted(item.name) and looks_like(item.name)
    }
    found |= {run.name: "run" for run in project.runs.all() if looks_like(run.name)}
    models = {model.name for model in project.models.all()} | project.models.removed()
    found |= {name: "model" for name in sorted(models) if looks_like(name)}
    return {name: f"{what}-{number}" for number, (name, what) in enumerate(found.items(), 1)}


def _left_out(path: Path, models: Collection[str]) -> tuple[str, ...]:
    """What lies in a project's folder and is not written again, as paths inside."""
    kept = {PurePosixPath(model) for model in models}
    found = []
    for entry in sorted(path.iterdir()):
        lock = entry.name.startswith(".") and entry.name.endswith(".lock")
        if lock or entry.name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", "frames"):
            continue
        if entry.name == "models" and entry.is_dir():
            inside = [PurePosixPath("models", p.name) for p in sorted(entry.iterdir())]
            found += [str(p) for p in inside if p not in kept]
        elif not (entry.is_dir() and not any(entry.iterdir())):
            found.append(f"{entry.name}/" if entry.is_dir() else entry.name)
    return tuple(found)


def _subject_hashes(project: Project, sharing: Sharing) -> Mapping[str, str]:
    """For the hashes of subjects that models saw, those of their keys in the shared project.

    A hash that is missing here is of a subject that the project does not know. It may be that of a
    name or a number, and nothing would match it.
    """
    known = {revision.subject for revision in project.frames.revisions()} | PUBLIC_KEYS
    return {hashed_subject(s): hashed_subject(sharing.subjects.get(s, s)) for s in known}


def _copy_model(source: Path, target: Path, texts: _Texts) -> None:
    """The weights and the side files of a model, with the texts in the latter replaced."""
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        if path.suffix not in _KEPT_SUFFIXES or path.name.startswith("."):
            continue
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".json", ".txt"):
            text = path.read_text(encoding="utf-8", errors="replace")
            write_bytes(place, texts.in_json_or_text(text).encode())
        else:
            shutil.copyfile(path, place)


def _rewrite(database: Path, sharing: Sharing, texts: _Texts) -> None:
    """Replace the texts of a database, which nobody else has open, and all traces of them."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        run = connection.execute
        run("PRAGMA secure_delete = ON")
        run("PRAGMA journal_mode = DELETE").fetchone()
        triggers = run("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        run("BEGIN IMMEDIATE")
        for name, _ in triggers:  # they refuse to change rows; they come back below
            run(f"DROP TRIGGER {name}")
        for frame_id, new in sharing.names.items():
            run("UPDATE frame_revisions SET name = ? WHERE frame_id = ?", (new, frame_id))
        for old, key in sharing.subjects.items():
            run("UPDATE frame_revisions SET subject = ? WHERE subject = ?", (key, old))
        _former_subjects(connection)
        _parts(connection, sharing)
        run(
            """DELETE FROM labels WHERE revision < (SELECT max(revision) FROM labels AS newest
            WHERE newest.frame_id = labels.frame_id AND newest.name = labels.name)"""
        )
        for name in sharing.labels:
            run("DELETE FROM labels WHERE name = ?", (name,))
        run("UPDATE amendments SET description = 'an amendment before the project was shared'")
        connection.create_function("plain", 1, texts, deterministic=True)
        connection.create_function("plain_json", 1, texts.in_json_or_text, deterministic=True)
        for table, column in (
            *(("frame_revisions", "cohort"), ("runs", "name"), ("models", "name")),
            *(("models", "path"), ("removed_models", "name"), ("adoptions", "name")),
            ("batch_items", "name"),
        ):
            run(f"UPDATE {table} SET {column} = plain({column}) WHERE {column} IS NOT NULL")
        run(
            """UPDATE frame_revisions SET name = plain(name)
            WHERE frame_id IN (SELECT id FROM frames WHERE kind = 'synthetic')"""
        )
        for table, column in (
            *(("runs", "settings"), ("runs", "data"), ("runs", "verdict")),
            *(("run_history", "figures"), ("models", "metrics"), ("batches", "settings")),
            *(("pairs", "quality"), ("pairs", "provenance")),
        ):
            run(f"UPDATE {table} SET {column} = plain_json({column}) WHERE {column} IS NOT NULL")
        run(
            """UPDATE batches SET settings = json_set(settings, '$.out', json('true'))
            WHERE json_extract(settings, '$.out') IS NOT NULL"""
        )
        for _, sql in triggers:
            run(sql)
        run("COMMIT")
        run("VACUUM")


def _former_subjects(connection: sqlite3.Connection) -> None:
    """Subjects and cohorts that frames had before an amendment become those that they have now."""
    connection.execute(
        """UPDATE frame_revisions AS mine SET (subject, cohort) = (
            SELECT subject, cohort FROM frame_revisions AS newest
            WHERE newest.frame_id = mine.frame_id ORDER BY revision DESC LIMIT 1)"""
    )


def _parts(connection: sqlite3.Connection, sharing: Sharing) -> None:
    """The parts of subjects go over to their keys.

    Of two subjects that become one key, a model may have learned from one. The key is then in the
    training part, or it would test that model.
    """
    rows = connection.execute(
        """SELECT subject, part, created_at FROM parts
        ORDER BY CASE part WHEN 'train' THEN 0 WHEN 'validation' THEN 1 ELSE 2 END"""
    ).fetchall()
    connection.execute("DELETE FROM parts")
    connection.executemany(
        "INSERT OR IGNORE INTO parts (subject, part, created_at) VALUES (?, ?, ?)",
        [(sharing.subjects.get(subject, subject), *rest) for subject, *rest in rows],
    )
    connection.execute(
        "DELETE FROM parts WHERE subject NOT IN (SELECT subject FROM frame_revisions)"
    )
