"""Which format a source is in, and how a format joins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.errors import InputError
from fetalstudio.formats import sources
from fetalstudio.formats.datasets.hc18 import HC18_TABLE
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.formats.reading.frame_reading import read_content
from fetalstudio.formats.reading.frame_records import FrameRecord, FrameSource
from fetalstudio.formats.sources import FORMATS, SourceFormat, read_source, recognise
from fetalstudio.formats.writing.carries import Carries


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one frame."""
    made = tmp_path / "clinic"
    write_png(made / "training_set" / "001_HC.png", np.zeros((40, 50), np.uint8))
    return made


def test_the_most_particular_format_is_recognised(folder: Path) -> None:
    assert recognise(folder) == "folder"
    (folder / HC18_TABLE).write_text(
        "filename,pixel size(mm),head circumference (mm)\n001_HC.png,0.2,\n"
    )
    assert recognise(folder) == recognise(folder / "training_set") == "hc18"
    (record,) = read_source(folder).records
    assert (record.name, record.subject) == ("001_HC", "001")
    assert record.calibration is not None and record.calibration.mm_per_px == 0.2


def test_a_format_joins_by_one_entry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(source: Path) -> FrameSource:
        return FrameSource("scans", (FrameRecord(source / "x.scan", "x", "s"),), ())

    new = SourceFormat("scan", lambda source: (source / "x.scan").is_file(), read, Carries())
    monkeypatch.setattr(sources, "FORMATS", {"scan": new, **FORMATS})
    assert read_source(folder).cohort == "clinic"
    (folder / "x.scan").touch()
    assert read_source(folder) == read_source(folder, "scan") == read(folder)


def test_a_format_that_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no format 'wrong'.*auto, hc18, .*coco"):
        read_source(folder, "wrong")


def test_no_picture_is_opened(folder: Path) -> None:
    (folder / "training_set" / "001_HC.png").write_text("no picture")
    (record,) = read_source(folder).records
    with pytest.raises(InputError, match="is not a PNG"):
        read_content(record)
