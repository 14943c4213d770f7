"""The layout of the HC18 challenge and submissions to it, read and written.

``training_set_pixel_size_and_HC.csv`` lies beside ``training_set/``, which holds ``NNN_HC.png`` and
the ring ``NNN_HC_Annotation.png``; the pictures may also lie beside the table. The test set has
``test_set_pixel_size.csv`` and ``test_set/`` without rings, and a submission is a table of its
ellipses in mm.
"""

from __future__ import annotations

import math
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.core.splits import Part
from fetalstudio.formats.folders.annotation_names import IMAGE_FOLDERS, names_of
from fetalstudio.formats.folders.picture_records import cohort_of, records_of, unsure_records
from fetalstudio.formats.folders.picture_roles import chosen_annotations, orphans, split
from fetalstudio.formats.pictures.picture_files import ANNOTATION_NOTE, pictures_in, write_png
from fetalstudio.formats.reading.frame_records import FrameSource
from fetalstudio.formats.reading.outline_pictures import ring
from fetalstudio.formats.tables.frame_columns import FILENAME, PIXEL_SIZE, SUBMISSION
from fetalstudio.formats.tables.frame_rows import Row, some
from fetalstudio.formats.tables.frame_tables import (
    HC18_HEADER,
    HC18_TABLE,
    NOT_USED,
    joined,
    read_frame_table,
    submitted,
    unmatched,
)
from fetalstudio.formats.tables.names import key_of
from fetalstudio.formats.tables.table_files import write_table
from fetalstudio.formats.writing.export_folders import (
    PROVENANCE,
    PictureFolderWriter,
    Written,
    ellipse_outside,
)
from fetalstudio.formats.writing.exported_frames import ExportedPair

_FOLDER = "training_set"
_TEST_TABLE, _TEST_FOLDER = "test_set_pixel_size.csv", "test_set"


# -- reading ---------------------------------------------------------------------------------


def recognise(source: Path) -> bool:
    """Whether the table is in the source, or beside it where the source is ``training_set``."""
    return _table_of(source) is not None


def read(source: Path) -> FrameSource:
    """Find the frames of the layout; no picture is opened.

    Raises :class:`InputError` for a table that is missing, ``OSError`` for a folder that cannot be
    listed.
    """
    table = _table_of(source)
    if table is None:
        raise InputError(
            f"{source} is not in the HC18 layout: {HC18_TABLE} is missing. "
            "Put it there, or import as a folder of images."
        )
    official = table.name == HC18_TABLE
    rows: dict[str, Row] = {}
    try:
        rows, problems = read_frame_table(
            table, HC18_HEADER if official else (FILENAME, PIXEL_SIZE)
        )
    except InputError as error:
        problems = (f"{error}{NOT_USED}",)
    of_submissions, notes, submissions = submitted(table.parent)
    inner = source / (_FOLDER if official else _TEST_FOLDER)
    folder = inner if inner.is_dir() else source
    found = split(pictures_in(folder))
    all_rows = rows | {
        name: joined(rows.get(name, Row()), row) for name, row in of_submissions.items()
    }
    annotated, doubts = chosen_annotations(found.frames, found.annotations)
    records, more = records_of(found.frames, annotated, {folder: all_rows}, doubts)
    listed = {key_of(record.path.name) for record in records}
    absent = sorted(rows[name].name or name for name in rows.keys() - listed)
    unlisted = sorted(listed - rows.keys())
    problems += notes + more + unmatched(table.parent, of_submissions, found.frames)
    unsure = found.unsure | orphans(names_of(found.frames), found.annotations)
    if absent:
        verb = "is" if len(absent) == 1 else "are"
        problems += (f"{table} names {some(absent)}, which {verb} not in {folder}.",)
    if unlisted and rows:
        problems += (f"{table} lacks {some(unlisted)}: imported without a pixel size.",)
    return FrameSource(
        cohort_of(source),
        records,
        problems,
        files=submissions | {table},
        unsure=unsure_records(unsure),
    )


def _table_of(source: Path) -> Path | None:
    folders = [source, source.parent] if source.name.lower() in IMAGE_FOLDERS else [source]
    for folder in folders:
        for name in (HC18_TABLE, _TEST_TABLE):
            if (folder / name).is_file():
                return folder / name
    return None


# -- writing ---------------------------------------------------------------------------------


class Hc18Writer(PictureFolderWriter):
    """Writes frames and pairs into a folder in this layout."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._rows: list[dict[str, str]] = []

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """All in one folder."""
        return Path(_FOLDER, f"{stem}.png")

    def describe(self, picture: Written) -> None:
        """Write the ring, and remember the row of the table."""
        ellipse = picture.ellipse
        if ellipse is not None:
            line = ring(ellipse, picture.size)
            if line.any():
                ring_path = picture.path.with_name(f"{picture.stem}_Annotation.png")
                write_png(ring_path, line, ANNOTATION_NOTE)
            else:
                self.problems.append(ellipse_outside(picture.name))
        cells = (picture.path.name, *self._cells(picture))
        self._rows.append(dict(zip(HC18_HEADER, cells, strict=True)))

    def complete(self) -> None:
        """Write the table."""
        write_table(self.folder / HC18_TABLE, HC18_HEADER, self._rows)

    def _cells(self, picture: Written) -> tuple[str, str]:
        """Pixel size and HC, in mm; empty where they are not known."""
        calibration = picture.calibration
        if calibration is None:
            return "", ""
        if calibration.mm_per_px_x != calibration.mm_per_px_y:
            self.problems.append(
                f"{picture.name}: its pixels are not square, which the table cannot say; "
                f"its pixel size is in {PROVENANCE} only."
            )
            return "", ""
        ellipse = picture.ellipse
        hc = "" if ellipse is None else f"{calibration.to_mm(ellipse).perimeter:.2f}"
        return f"{calibration.mm_per_px_x:.13g}", hc


class Hc18SubmissionWriter(PictureFolderWriter):
    """Writes the pictures as the test set, and the ellipses as a submission to the challenge."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._sizes: list[dict[str, str]] = []
        self._rows: list[dict[str, str]] = []

    def add_pair(self, pair: ExportedPair) -> None:
        """Raises ``ValueError``: a test set holds nothing synthetic."""
        raise ValueError(f"{pair.name} is synthetic, and cannot be submitted")

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """All in one folder."""
        return Path(_TEST_FOLDER, f"{stem}.png")

    def describe(self, picture: Written) -> None:
        """Remember the pixel size and the ellipse in mm. Both need square pixels."""
        calibration, ellipse = picture.calibration, picture.ellipse
        square = calibration is not None and calibration.mm_per_px_x == calibration.mm_per_px_y
        if calibration is None or not square:
            self._sizes.append({FILENAME: picture.path.name, PIXEL_SIZE: ""})
            if ellipse is not None:
                self.problems.append(
                    f"{picture.name}: its ellipse is not in the submission, because its pixel "
                    f"size is {'not known' if calibration is None else 'not the same both ways'}."
                )
            return
        size = f"{calibration.mm_per_px_x:.13g}"
        self._sizes.append({FILENAME: picture.path.name, PIXEL_SIZE: size})
        if ellipse is not None:
            e = calibration.to_mm(ellipse)
            values = (e.cx, e.cy, e.a, e.b, math.radians(e.angle_deg))
            cells = (f"{value:.9g}" for value in values)
            self._rows.append(
                {FILENAME: picture.path.name, **dict(zip(SUBMISSION, cells, strict=True))}
            )

    def complete(self) -> None:
        """Write both tables."""
        write_table(self.folder / _TEST_TABLE, (FILENAME, PIXEL_SIZE), self._sizes)
        write_table(self.folder / "submission.csv", (FILENAME, *SUBMISSION), self._rows)
