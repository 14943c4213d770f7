"""Reads the pictures of a plan, a few at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from fetalstudio.core.bright_outline import lies_on_skull, reduced
from fetalstudio.core.errors import InputError
from fetalstudio.core.names import visible_key
from fetalstudio.formats.privacy.redaction import Redactor, UnclearScreenError
from fetalstudio.formats.reading.doubts import FRAME, Answers, InDoubtError, Question
from fetalstudio.formats.reading.frame_reading import FrameContent, read_content
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.project.importing.plan import PlannedFrame
from fetalstudio.project.staging import Staged, Staging
from fetalstudio.project.store.pixels import picture_id

Found = TypeVar("Found")

_MOST_READERS = 4
"""Threads that decode frames; each may hold one of the largest size."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A picture that is to be read."""

    record: FrameRecord
    answers: Answers | None
    """None where it is left out by choice."""
    inside: str
    """Which of the pictures in its file it is; empty where the file has no other."""


@dataclass(frozen=True, slots=True)
class Read:
    """A picture that was read."""

    content: FrameContent
    on_skull: float | None
    """As :attr:`PlannedFrame.on_skull`; None for a proposal."""
    file: str | None
    """What stands for its file, as it was before it was read; see :meth:`Staged.key`."""
    resumed: bool
    """Whether its picture was staged before."""


def read_ahead(
    todo: Mapping[str, Wanted], redactor: Redactor, staged: Staged | None
) -> Iterator[tuple[str, Callable[[], Read]]]:
    """As :func:`found_ahead`, the pictures. What is ``staged`` already is neither decoded nor
    redacted again."""
    return found_ahead(
        {key: partial(_read, wanted, redactor, staged) for key, wanted in todo.items()}
    )


def found_ahead(
    todo: Mapping[str, Callable[[], Found]],
) -> Iterator[tuple[str, Callable[[], Found]]]:
    """By key, what waits for that which is found in files, or raises what looking for it raised.

    A few are read at a time, each in a thread: the decoders let others run meanwhile.
    """
    workers = min(os.cpu_count() or 1, _MOST_READERS)
    with ThreadPoolExecutor(workers, "reader") as pool:
        ahead = deque[tuple[str, Future[Found]]]()
        try:
            for key, find in todo.items():
                ahead.append((key, pool.submit(find)))
                if len(ahead) > workers:
                    done, future = ahead.popleft()
                    yield done, future.result
            while ahead:
                done, future = ahead.popleft()
                yield done, future.result
        finally:
            pool.shutdown(cancel_futures=True)


def _read(wanted: Wanted, redactor: Redactor, staged: Staged | None) -> Read:
    if wanted.answers is None:
        raise InputError("left out by choice")
    file = None if staged is None else staged.key(wanted.record.path, wanted.inside)
    clean = None if staged is None or file is None else staged.find(file, redactor)
    content = read_content(wanted.record, wanted.answers, redactor, clean)
    return Read(content, _on_skull(content), file, clean is not None)


def _on_skull(content: FrameContent) -> float | None:
    if content.ellipse is None or not content.certain or content.synthetic is not None:
        return None
    small, scaled = reduced(content.pixels)
    return lies_on_skull(small, content.ellipse.transformed(scaled))


def planned_frame(
    key: str,
    wanted: Wanted,
    read: Callable[[], Read],
    redactor: Redactor,
    staging: Staging | None,
) -> PlannedFrame:
    """What a picture is planned to be, which is then staged; one without answers is left out by
    choice."""
    record, answers = wanted.record, wanted.answers
    subject = (answers or {}).get(Question.SUBJECT) or subject_of(record)
    planned = PlannedFrame(key=key, record=record, subject=subject, calibration=record.calibration)
    if answers is None:
        return planned
    try:
        done = read()
        content = done.content
        frame_id = _staged(done, answers, redactor, staging)
    except InDoubtError as error:
        return replace(planned, doubts=(error.doubt,))
    except UnclearScreenError as error:
        return replace(planned, unclear=str(error), layout=error.layout)
    except InputError as error:
        return replace(planned, notes=(str(error),))
    return replace(
        planned,
        frame_id=frame_id,
        size=content.size,
        ellipse=content.ellipse,
        certain=content.certain,
        on_skull=done.on_skull,
        calibration=content.calibration,
        doubts=content.doubts,
        notes=content.problems,
        ellipse_notes=content.ellipse_problems,
        mask_values=content.mask_values,
        synthetic=content.synthetic,
        redacted=content.redacted,
        layout=content.layout,
        text_kept=content.text_kept,
    )


def _staged(read: Read, answers: Answers, redactor: Redactor, staging: Staging | None) -> str:
    """Stage the picture, where there is a place for it; returns its id."""
    content = read.content
    if staging is None:
        return picture_id(content.pixels)
    if content.synthetic is not None:
        return staging.put(content.pixels, content.synthetic.text())
    frame_id = staging.put(content.pixels)
    # What is a frame only because a person said so is asked about again.
    if read.file is not None and answers.get(Question.ROLE) != FRAME:
        rules = redactor.rules(content.layout)
        staging.resumed += read.resumed
        staging.note(read.file, frame_id, content, rules)
    return frame_id


def subject_of(record: FrameRecord) -> str:
    """The subject's key; one that a file's name gives may have any characters."""
    return visible_key(record.subject) or visible_key(record.name) or "unnamed"
