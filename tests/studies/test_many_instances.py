"""The study of how fast DICOM is imported makes what it says, and measures it."""

from __future__ import annotations

from pathlib import Path

from fetalstudio.formats.sources import read_source
from fetalstudio.studies.many_instances import SIZE, make_instances, measure


def test_instances_are_imported_and_a_cancelled_import_goes_on(tmp_path: Path) -> None:
    make_instances(tmp_path / "source", 10)
    records = read_source(tmp_path / "source").records
    assert len({record.subject for record in records}) == 2
    assert {record.pixels().shape for record in records} == {SIZE[::-1]}
    figures = dict(measure(tmp_path / "source", tmp_path))
    assert figures["import"]["frames"] == 10 and figures["again"]["frames"] == 0
    assert figures["import"].get("peak_mib", 100) > 50  # Windows does not say
    assert figures["cancelled"] == {"frames": 0, "read": 6}
    assert (figures["gone on"]["frames"], figures["gone on"]["resumed"]) == (10, 6)
