"""Reads the pictures of a plan, a few at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from fetalstudio.core.errors import InputError
from fetalstudio.core.names import visible_key
from fetalstudio.formats.doubts import Answers, InDoubtError, Question
from fetalstudio.formats.frame_reading import FrameContent, read_content
from fetalstudio.formats.frame_records import FrameRecord
from fetalstudio.formats.pictures import FRAME_NOTE
from fetalstudio.formats.redaction import Redactor, UnclearScreenError
from fetalstudio.project.import_plan import PlannedFrame
from fetalstudio.project.pixels import Pixels

_MOST_READERS = 4
"""Threads that decode frames; each may hold one of the largest size."""
Keep = Callable[[Pixels, str], str]


def read_ahead(
    todo: Mapping[str, tuple[Answers | None, FrameRecord]], redactor: Redactor
) -> Iterator[tuple[str, Callable[[], FrameContent]]]:
    """By key, what waits for the content of a picture, or raises what reading it raised.

    A few are read at a time, each in a thread: the decoders let others run meanwhile.
    """
    workers = min(os.cpu_count() or 1, _MOST_READERS)
    with ThreadPoolExecutor(workers, "reader") as pool:
        ahead = deque[tuple[str, Future[FrameContent]]]()
        try:
            for key, (answers, record) in todo.items():
                ahead.append((key, pool.submit(_content, record, answers, redactor)))
                if len(ahead) > workers:
                    done, future = ahead.popleft()
                    yield done, future.result
            while ahead:
                done, future = ahead.popleft()
                yield done, future.result
        finally:
            pool.shutdown(cancel_futures=True)


def _content(record: FrameRecord, answers: Answers | None, redactor: Redactor) -> FrameContent:
    if answers is None:
        raise InputError("left out by choice")
    return read_content(record, answers, redactor)


def planned_frame(
    record: FrameRecord,
    key: str,
    answers: Answers | None,
    read: Callable[[], FrameContent],
    keep: Keep,
) -> PlannedFrame:
    """What a picture is planned to be; one without answers is left out by choice."""
    subject = (answers or {}).get(Question.SUBJECT) or subject_of(record)
    planned = PlannedFrame(key=key, record=record, subject=subject, calibration=record.calibration)
    if answers is None:
        return planned
    try:
        content = read()
        made = content.synthetic
        frame_id = keep(content.pixels, FRAME_NOTE if made is None else made.text())
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
        calibration=content.calibration,
        doubts=content.doubts,
        notes=content.problems,
        mask_values=content.mask_values,
        synthetic=content.synthetic,
        redacted=content.redacted,
        layout=content.layout,
    )


def subject_of(record: FrameRecord) -> str:
    """The subject's key; one that a file's name gives may have any characters."""
    return visible_key(record.subject) or visible_key(record.name) or "unnamed"
