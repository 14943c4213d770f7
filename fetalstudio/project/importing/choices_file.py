"""The file in which the choices of an import are written down: JSON, to be filled in by a person.

    {"format": "fetalstudio-choices-1", "cohort": "Scanner A",
     "all": {"head": "2"}, "files": {"a/b.png": {"role": null}}, "doubts": [...]}

``null`` leaves a question open. ``doubts`` says what is asked and what the answers can be; it is
for the reader, and not read back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fetalstudio.core.errors import InputError
from fetalstudio.formats.files import read_bounded, write_bytes
from fetalstudio.formats.reading.doubts import Question
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.plan import ImportPlan

_FORMAT = "fetalstudio-choices-1"
_MAX_BYTES = 64 * 2**20


def write_choices(plan: ImportPlan, path: Path) -> None:
    """Write the choices of a plan, and a place for each answer that is missing.

    Raises :class:`~fetalstudio.core.errors.UserError` where the file cannot be written.
    """
    files: dict[str, dict[str, str | None]] = {
        file: {str(question): answer for question, answer in answers.items()}
        for file, answers in plan.choices.by_file.items()
    }
    doubts = []
    for frame in plan.frames:
        for doubt in plan.open_doubts(frame):
            about = frame.clip if doubt.question is Question.FRAMES else None
            files.setdefault(about or frame.key, {})[str(doubt.question)] = None
            doubts.append(
                {
                    "file": about or frame.key,
                    "question": str(doubt.question),
                    "message": doubt.message,
                    "answers": {answer.value: answer.text for answer in doubt.answers},
                }
            )
    record = {
        "format": _FORMAT,
        "cohort": plan.cohort,
        "all": {str(question): answer for question, answer in plan.choices.alike.items()},
        "files": files,
        "doubts": doubts,
    }
    write_bytes(path, json.dumps(record, indent=1).encode())


def read_choices(path: Path) -> Choices:
    """Read the choices that a file holds.

    Raises :class:`InputError`, naming the file and the cure, for one that is missing or damaged.
    """
    try:
        record = json.loads(read_bounded(path, _MAX_BYTES))
        if record["format"] != _FORMAT:
            raise ValueError("it is of another format")
        cohort = record.get("cohort")
        answers = list(_answers(record))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is no file of choices. Write one with the command import and the options "
            "--dry-run and --choices."
        ) from error
    try:
        return Choices.of(answers, cohort=None if cohort is None else str(cohort))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _answers(record: Mapping[str, Any]) -> Iterator[tuple[str, str, Sequence[str]]]:
    for question, answer in record.get("all", {}).items():
        if answer is not None:
            yield question, str(answer), ()
    for file, answers in record.get("files", {}).items():
        for question, answer in answers.items():
            if answer is not None:
                yield question, str(answer), (file,)
