"""The dialog that asks what to export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from fetalstudio.formats.carries import Carries
from fetalstudio.formats.exports import EXPORTS, ExportFormat
from fetalstudio.ui.window import dialogs


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, ExportFormat]:
    other = ExportFormat("Another one", EXPORTS["hc18"].writer, Carries(("exact",), labels="yes"))
    known = {**EXPORTS, "other": other}
    monkeypatch.setattr(dialogs, "EXPORTS", known)
    return known


def test_the_suggested_folder_follows_the_format(
    qtbot: QtBot, tmp_path: Path, formats: Mapping[str, ExportFormat]
) -> None:
    dialog = dialogs.ExportDialog(tmp_path, ["a"], None)
    qtbot.addWidget(dialog)
    assert dialog.request().out == tmp_path / "exports" / "hc18"

    dialog.format.setCurrentIndex(dialog.format.findData("other"))

    assert dialog.request().format == "other"
    assert dialog.request().out == tmp_path / "exports" / "other"


def test_a_folder_that_a_person_typed_stays(
    qtbot: QtBot, tmp_path: Path, formats: Mapping[str, ExportFormat]
) -> None:
    dialog = dialogs.ExportDialog(tmp_path, ["a"], None)
    qtbot.addWidget(dialog)
    dialog.folder.setText(str(tmp_path / "mine"))

    dialog.format.setCurrentIndex(dialog.format.findData("other"))

    assert dialog.request().out == tmp_path / "mine"


def test_what_a_format_cannot_carry_is_said_before_the_export(
    qtbot: QtBot, tmp_path: Path, formats: Mapping[str, ExportFormat]
) -> None:
    dialog = dialogs.ExportDialog(tmp_path, ["a"], None)
    qtbot.addWidget(dialog)
    assert "HC18 challenge holds an ellipse as a ring." in dialog.lost.text()

    dialog.format.setCurrentIndex(dialog.format.findData("other"))

    assert dialog.lost.text() == "Left out: calibration, subject, part, provenance."
