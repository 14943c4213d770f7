"""The layout of ACOUSLIC-AI: sweeps in ``images/stacked_fetal_ultrasound/*.mha``, whose masks show
the abdomen. So no frame gets an ellipse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.formats.folders.picture_records import cohort_of, records_of
from fetalstudio.formats.pictures.picture_files import pictures_in, stem_of
from fetalstudio.formats.privacy.subjects import subject_key
from fetalstudio.formats.reading.frame_records import FrameSource
from fetalstudio.formats.tables.frame_tables import NOT_USED
from fetalstudio.formats.tables.names import key_of
from fetalstudio.formats.tables.table_files import is_missing, read_table

_SWEEPS = Path("images", "stacked_fetal_ultrasound")
_MASKS = Path("masks", "stacked_fetal_abdomen")
_TABLE = Path("circumferences", "fetal_abdominal_circumferences_per_sweep.csv")
_COLUMNS = {"sweep": ("uuid",), "subject": ("subjectid", "patientid")}


def recognise(source: Path) -> bool:
    """Whether the folder of sweeps is there."""
    return (source / _SWEEPS).is_dir()


def read(source: Path) -> FrameSource:
    """Find the frames; no pixels are read.

    Raises ``OSError`` for a folder that cannot be listed.
    """
    sweeps = pictures_in(source / _SWEEPS)
    records, problems = records_of(sweeps, {}, {})
    masks = source / _MASKS
    if masks.is_dir():
        problems += (
            f"{masks} was not used: its masks show the abdomen and not the head. Draw the heads, "
            "or have them proposed.",
        )
    subjects: dict[str, str] = {}
    if (source / _TABLE).is_file():
        try:
            subjects = _subjects(source / _TABLE)
        except InputError as error:
            problems += (f"{error}{NOT_USED}",)
    return FrameSource(
        cohort_of(source),
        tuple(
            replace(record, subject=subjects.get(key_of(stem_of(record.path)), record.subject))
            for record in records
        ),
        problems,
        frozenset(sweeps) | frozenset(pictures_in(masks) if masks.is_dir() else ()),
    )


def _subjects(path: Path) -> dict[str, str]:
    """Who was scanned, by the name of the sweep."""
    table = read_table(path)
    where = table.columns(_COLUMNS)
    if len(where) < len(_COLUMNS):
        raise InputError(f"{path} lacks the column 'uuid' or 'subject_id'. Copy it again.")
    cells = [(row.cells[where["sweep"]], row.cells[where["subject"]]) for row in table.rows]
    return {key_of(sweep): subject_key(who) for sweep, who in cells if not is_missing(who)}
