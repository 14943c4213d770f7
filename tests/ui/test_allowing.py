"""Buttons that say why they cannot be used."""

from __future__ import annotations

from PySide6.QtGui import QShortcut
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from fetalstudio.ui.common.allowing import allow, usual_tip
from fetalstudio.ui.common.form import keyed


def test_the_reason_goes_when_the_button_can_be_used_whenever_it_got_its_key(qtbot: QtBot) -> None:
    page = QWidget()
    qtbot.addWidget(page)
    for before in (True, False):
        button = QPushButton("Make", page)
        button.setToolTip("Make many pairs")
        if before:
            allow(button, "No frame is annotated yet.")
        keyed(page, button, "Shift+G")
        allow(button, "No frame is annotated yet.")
        assert not button.isEnabled()
        assert "Shift+G" in button.toolTip() and "No frame is annotated yet." in button.toolTip()
        allow(button, "A batch is running.")
        assert "No frame" not in button.toolTip() and "A batch is running." in button.toolTip()
        allow(button)
        assert button.isEnabled() and button.toolTip() == usual_tip(button)
        assert "A batch" not in button.toolTip() and "Make many pairs" in button.toolTip()
    assert {key.whatsThis() for key in page.findChildren(QShortcut)} == {"Make many pairs"}


def test_another_tooltip_replaces_the_former_one(qtbot: QtBot) -> None:
    button = QPushButton("Make")
    qtbot.addWidget(button)
    button.setToolTip("Make many pairs")
    allow(button, "A batch is running.")
    button.setToolTip("Make one pair")
    allow(button)
    assert button.toolTip() == "Make one pair"
