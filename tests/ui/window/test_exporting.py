"""The dialog that asks what to export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from fetalstudio.formats.exports import EXPORTS, ExportFormat
from fetalstudio.formats.writing.carries import Carries
from fetalstudio.ui.session import Session
from fetalstudio.ui.settings import Settings
from fetalstudio.ui.window import exporting
from fetalstudio.ui.window.main_window import MainWindow
from tests.ui.loop import use_fakes


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, ExportFormat]:
    other = ExportFormat("Another one", EXPORTS["hc18"].writer, Carries(("exact",), labels="yes"))
    known = {**EXPORTS, "other": other}
    monkeypatch.setattr(exporting, "EXPORTS", known)
    return known


def test_the_suggested_folder_follows_the_format(
    qtbot: QtBot, settings: Settings, tmp_path: Path, formats: Mapping[str, ExportFormat]
) -> None:
    dialog = exporting.ExportDialog(tmp_path, ["a"], settings, None)
    qtbot.addWidget(dialog)
    assert dialog.request().out == tmp_path / "exports" / "hc18"

    dialog.format.setCurrentIndex(dialog.format.findData("other"))

    assert dialog.request().format == "other"
    assert dialog.request().out == tmp_path / "exports" / "other"


def test_the_format_of_the_last_export_is_offered_again(
    qtbot: QtBot, settings: Settings, tmp_path: Path, formats: Mapping[str, ExportFormat]
) -> None:
    def offered() -> exporting.ExportDialog:
        dialog = exporting.ExportDialog(tmp_path, ["a"], settings, None)
        qtbot.addWidget(dialog)
        return dialog

    for end, kept in (("rejected", "hc18"), ("accepted", "other")):
        dialog = offered()
        dialog.format.setCurrentIndex(dialog.format.findData("other"))
        getattr(dialog, end).emit()
        after = offered().request()
        assert (after.format, after.out) == (kept, tmp_path / "exports" / kept)


def test_a_folder_that_a_person_typed_stays(
    qtbot: QtBot, settings: Settings, tmp_path: Path, formats: Mapping[str, ExportFormat]
) -> None:
    dialog = exporting.ExportDialog(tmp_path, ["a"], settings, None)
    qtbot.addWidget(dialog)
    dialog.folder.setText(str(tmp_path / "mine"))

    dialog.format.setCurrentIndex(dialog.format.findData("other"))

    assert dialog.request().out == tmp_path / "mine"


def test_pairs_with_pixels_of_a_real_frame_are_exported_only_if_ticked(
    qtbot: QtBot, settings: Settings, tmp_path: Path
) -> None:
    dialog = exporting.ExportDialog(tmp_path, ["a"], settings, None)
    qtbot.addWidget(dialog)
    assert dialog.request().synthetic and not dialog.request().real_pixels
    dialog.real_pixels.setChecked(True)
    assert dialog.request().real_pixels
    dialog.synthetic.setChecked(False)
    assert not dialog.real_pixels.isEnabled()


def test_what_a_format_cannot_carry_is_said_before_the_export(
    qtbot: QtBot, settings: Settings, tmp_path: Path, formats: Mapping[str, ExportFormat]
) -> None:
    dialog = exporting.ExportDialog(tmp_path, ["a"], settings, None)
    qtbot.addWidget(dialog)
    assert "HC18 challenge stores each ellipse as a ring." in dialog.lost.text()

    dialog.format.setCurrentIndex(dialog.format.findData("other"))

    assert dialog.lost.text() == "Left out: calibration, subject, part, provenance."


def test_the_dialog_offers_all_formats_and_no_pairs_where_a_format_takes_none(
    qtbot: QtBot, settings: Settings, tmp_path: Path
) -> None:
    dialog = exporting.ExportDialog(tmp_path, ["a"], settings, None)
    qtbot.addWidget(dialog)
    offered = {dialog.format.itemData(i): i for i in range(dialog.format.count())}
    assert offered.keys() == EXPORTS.keys()
    for name, format in EXPORTS.items():
        dialog.format.setCurrentIndex(offered[name])
        assert dialog.lost.text() == format.lost
        assert dialog.synthetic.isEnabled() == format.pairs
    dialog.format.setCurrentIndex(offered["hc18-submission"])
    assert "Synthetic frames are left out." in dialog.lost.text()


def test_cohorts_that_differ_are_named_while_all_are_exported(
    qtbot: QtBot, settings: Settings, tmp_path: Path
) -> None:
    said = ["a and b are drawn differently."]
    dialog = exporting.ExportDialog(tmp_path, ["a", "b"], settings, None, differing=said)
    qtbot.addWidget(dialog)
    assert dialog.differing.text() == said[0] and dialog.differing.isVisibleTo(dialog)
    dialog.cohort.setCurrentIndex(dialog.cohort.findData("a"))
    assert not dialog.differing.isVisibleTo(dialog)


def test_a_cancelled_export_says_that_nothing_was_written(
    open_session: Session, window: MainWindow, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    made = use_fakes(monkeypatch, open_session)
    window.exporting.ask()
    (dialog,) = window.findChildren(exporting.ExportDialog)
    dialog.accept()
    (_, handle) = made[-1]
    with qtbot.waitSignal(open_session.message) as said:
        handle.cancelled.emit(None)
    assert said.args == ["The export was cancelled. Nothing was written.", "info"]
