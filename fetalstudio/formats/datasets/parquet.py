"""Parquet files for Hugging Face's ``datasets``.

A file has the pictures and masks themselves in its rows, beside the columns of
:mod:`~fetalstudio.formats.datasets.huggingface_columns`.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.splits import Part
from fetalstudio.formats.datasets.huggingface_columns import (
    MM,
    NAME,
    PARTS,
    columns_of,
    entries_of,
    mask_of,
    record_of,
    table_of,
)
from fetalstudio.formats.files import check_regular
from fetalstudio.formats.folders.picture_records import cohort_of
from fetalstudio.formats.pictures.picture_files import (
    ANNOTATION_NOTE,
    MAX_DECODED,
    Samples,
    decode_image,
    decode_samples,
    encode_png,
    note_of,
    stem_of,
)
from fetalstudio.formats.pictures.recent_files import RECENT
from fetalstudio.formats.reading.frame_records import FrameRecord, FrameSource
from fetalstudio.formats.tables.frame_columns import ELLIPSE
from fetalstudio.formats.tables.table_files import MAX_ROWS
from fetalstudio.formats.writing.export_folders import PictureFolderWriter, Written

if TYPE_CHECKING:
    import pyarrow

_MASK = re.compile(r"(?:.*_)?(?:mask|label_?map|annotation|segmentation|seg|gt)s?", re.IGNORECASE)
_MAX_COLUMN = 16 * 2**20
"""Bytes of a column of texts or numbers in a Parquet file."""
_ROWS_A_GROUP = 50
"""Pictures that are held in memory before they are written."""
_OURS = b"fetalstudio"


def recognise(source: Path) -> bool:
    """Whether there is a Parquet file with pictures in the folder, or in its ``data``."""
    return any(_pictures_of(_schema(path)) for path in _files_of(source))


def read(source: Path) -> FrameSource:
    """Find the frames in the Parquet files of a folder; no picture is read.

    Files that cannot be used are among the problems. Raises ``OSError`` for a folder that cannot be
    listed.
    """
    records: list[FrameRecord] = []
    problems: tuple[str, ...] = ()
    files = list(_files_of(source))
    for path in files:
        try:
            found, notes = _in_file(path)
        except InputError as error:
            problems += (f"{error} It was left out.",)
            continue
        records += found
        problems += notes
    return FrameSource(cohort_of(source), tuple(records), problems, frozenset(files))


def _files_of(source: Path) -> Iterator[Path]:
    for folder in (source, source / "data"):
        if folder.is_dir():
            yield from sorted(p for p in folder.glob("*.parquet") if p.is_file())


def _schema(path: Path) -> pyarrow.Schema | None:
    import pyarrow
    import pyarrow.parquet

    try:
        check_regular(path)
        return pyarrow.parquet.read_schema(path)
    except (pyarrow.ArrowException, InputError, OSError):
        return None


def _pictures_of(schema: pyarrow.Schema | None) -> tuple[str, str | None] | None:
    """The columns of the pictures and of the masks; None where there are no pictures."""
    import pyarrow

    names = [
        field.name
        for field in schema or ()
        if pyarrow.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    pictures = [name for name in names if not _MASK.fullmatch(name)]
    masks = [name for name in names if name not in pictures]
    if not pictures:
        return None
    usual = [name for name in pictures if name.lower() in ("image", "img", "frame", "picture")]
    return (usual or pictures)[0], masks[0] if len(masks) == 1 else None


def _in_file(path: Path) -> tuple[list[FrameRecord], tuple[str, ...]]:
    import pyarrow
    import pyarrow.parquet

    columns = _pictures_of(_schema(path))
    if columns is None:
        raise InputError(
            f"{path} holds no pictures, or is damaged. Copy it again, or leave it out."
        )
    picture, mask = columns
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            counts = [group.num_rows for group in groups]
            if sum(counts) > MAX_ROWS:
                raise InputError(f"{path} has more than {MAX_ROWS:,} rows. Export fewer.")
            names = _small_columns(file, groups)
            inner = file.schema_arrow.field(picture).type
            called = [f"{picture}.path"] if inner.get_field_index("path") >= 0 else []
            found = file.read(columns=[*names, *called]).to_pylist() if names or called else []
            ours = _OURS in (file.schema_arrow.metadata or {})
    except (pyarrow.ArrowException, OSError, OverflowError) as error:
        raise InputError(f"{path} is damaged. Copy it again.") from error
    found = found or [{} for _ in range(sum(counts))]
    objects = [
        {**{name: values[name] for name in names}, NAME: _name_in(values.get(picture), path, n)}
        for n, values in enumerate(found, 1)
    ]
    entries, notes = entries_of(table_of(path, objects))
    part = PARTS.get(re.split(r"[-_.]", path.stem)[0].lower())
    places = [(group, row) for group, count in enumerate(counts) for row in range(count)]
    records = []
    for entry in entries:
        record = record_of(path, entry.name, entry.row, part, path if mask else None)
        place = places[entry.line - 1]
        # In a file of ours, it is the key already, and no name that is yet to be made one.
        key = objects[entry.line - 1].get("subject") if ours else None
        records.append(
            replace(
                record,
                subject=str(key) if key else record.subject,
                file_name=_file_in(found[entry.line - 1].get(picture)),
                decode=partial(_decode, path, *place, picture),
                note=partial(_note, path, *place, picture),
                mask=None if mask is None else partial(_decode_mask, path, *place, mask),
            )
        )
    return records, notes


def _name_in(picture: Mapping[str, Any] | None, path: Path, number: int) -> str:
    """What the picture was called before it came into the file, or the number of its row."""
    called = _file_in(picture)
    return f"{path.stem}_{number:05d}" if called is None else stem_of(Path(called))


def _file_in(picture: Mapping[str, Any] | None) -> str | None:
    return PurePosixPath(str((picture or {}).get("path") or "")).name or None


def _small_columns(
    file: pyarrow.parquet.ParquetFile, groups: Sequence[pyarrow.parquet.RowGroupMetaData]
) -> list[str]:
    """Columns of texts and numbers that are not too large to be read at once."""
    import pyarrow

    sizes: dict[str, int] = {}
    for group in groups:
        for i in range(group.num_columns):
            column = group.column(i)
            size = sizes.get(column.path_in_schema, 0) + column.total_uncompressed_size
            sizes[column.path_in_schema] = size
    kinds = pyarrow.types
    plain = (kinds.is_string, kinds.is_large_string, kinds.is_integer, kinds.is_floating)
    return [
        field.name
        for field in file.schema_arrow
        if any(is_kind(field.type) for is_kind in plain) and sizes.get(field.name, 0) <= _MAX_COLUMN
    ]


def _decode(path: Path, group: int, row: int, column: str) -> NDArray[np.uint8]:
    data = _cell(path, group, row, column)
    if data is None:
        raise InputError(f"{path}, row {row + 1} of group {group + 1}, has no picture in it.")
    return decode_image(data, path)


def _note(path: Path, group: int, row: int, column: str) -> str | None:
    data = _cell(path, group, row, column)
    return None if data is None else note_of(io.BytesIO(data))


def _decode_mask(path: Path, group: int, row: int, column: str) -> Samples | None:
    data = _cell(path, group, row, column)
    if data is None:
        return None
    samples, alpha = decode_samples(data, path)
    return (samples, alpha) if samples.any() else None


def _cell(path: Path, group: int, row: int, column: str) -> bytes | None:
    """The file of a picture, from its row in a group of rows."""
    values = RECENT.get(path, lambda: _group(path, group), group)
    found: bytes | None = values[column][row]
    return found


def _group(path: Path, group: int) -> Mapping[str, Sequence[bytes | None]]:
    """The pictures of a group of rows, by column."""
    import pyarrow
    import pyarrow.parquet

    names = [name for name in _pictures_of(_schema(path)) or () if name]
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            said = file.metadata.row_group(group)
            size = sum(said.column(i).total_uncompressed_size for i in range(said.num_columns))
            if size > MAX_DECODED:
                raise InputError(
                    f"{path} has {size >> 20} MiB in one group of rows, more than "
                    f"{MAX_DECODED >> 20} MiB. Write it with smaller groups (row_group_size)."
                )
            table = file.read_row_group(group, columns=[f"{name}.bytes" for name in names])
            return {
                name: [None if v is None else v["bytes"] for v in table[name].to_pylist()]
                for name in names
            }
    except (pyarrow.ArrowException, OSError, OverflowError) as error:
        raise InputError(f"{path} is damaged. Copy it again.") from error


class ParquetWriter(PictureFolderWriter):
    """Writes ``data/train-00000-of-00001.parquet`` and the same for the other parts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._png = b""
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._files: dict[str, pyarrow.parquet.ParquetWriter] = {}

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """Where it would be: the picture itself goes into the file of its part."""
        return Path("data", part or "train", f"{stem}.png")

    def write(self, picture: Written, pixels: NDArray[np.uint8], note: str) -> None:
        """Encode the picture; :meth:`describe` follows."""
        self._png = encode_png(pixels, note)

    def describe(self, picture: Written) -> None:
        """Add the row."""
        name = picture.path.name
        mask = None
        if picture.ellipse is not None:
            mask = {"bytes": encode_png(mask_of(picture), ANNOTATION_NOTE), "path": name}
        part = picture.path.parent.name
        rows = self._rows.setdefault(part, [])
        rows.append(
            {"image": {"bytes": self._png, "path": name}, "mask": mask, **columns_of(picture)}
        )
        if len(rows) == _ROWS_A_GROUP:
            self._flush(part)

    def complete(self) -> None:
        """Write what is left and close the files."""
        for part in self._rows:
            self._flush(part)
        for file in self._files.values():
            file.close()

    def _flush(self, part: str) -> None:
        import pyarrow
        import pyarrow.parquet

        path = self.folder / "data" / f"{part}-00000-of-00001.parquet"
        try:
            if part not in self._files:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._files[part] = pyarrow.parquet.ParquetWriter(path, _written_schema())
            table = pyarrow.Table.from_pylist(self._rows[part], schema=_written_schema())
            self._files[part].write_table(table)
        except OSError as error:
            raise UserError(
                f"{path} could not be written: {error.strerror or error}. Check that the folder is "
                "writable and the disk has room, then try again."
            ) from error
        self._rows[part] = []


def _written_schema() -> pyarrow.Schema:
    """Of the columns, with what ``datasets`` reads of it: which of them are pictures."""
    import pyarrow

    picture = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    kinds = {
        **dict.fromkeys((*ELLIPSE, *MM), "float64"),
        **dict.fromkeys(("width", "height"), "int32"),
        **dict.fromkeys(("subject", "cohort"), "string"),
        "synthetic": "bool",
    }
    order = (*ELLIPSE, "width", "height", *MM, "subject", "cohort", "synthetic")
    features = {
        **{name: {"_type": "Image"} for name in ("image", "mask")},
        **{name: {"dtype": kinds[name], "_type": "Value"} for name in order},
    }
    fields = [("image", picture), ("mask", picture)]
    types = {
        "float64": pyarrow.float64(),
        "int32": pyarrow.int32(),
        "string": pyarrow.string(),
        "bool": pyarrow.bool_(),
    }
    return pyarrow.schema(
        [*fields, *((name, types[kinds[name]]) for name in order)],
        metadata={
            b"huggingface": json.dumps({"info": {"features": features}}).encode(),
            _OURS: b"1",
        },
    )
