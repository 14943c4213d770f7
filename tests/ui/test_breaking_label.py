"""Text with words that are longer than a line."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from fetalstudio.ui.common.breaking_label import BreakingLabel, breakable

UID = "1.2.840.113619.2.176.3596.3364818.7819.1259708454.105.1.2.3.4.5"


@pytest.mark.parametrize("word", [UID, "b3edf3de" * 8, "a_name_of_a_study_" * 6])
def test_a_long_word_wraps_and_is_copied_as_it_is(qtbot: QtBot, word: str) -> None:
    said = f"{word}.dcm has no frame."
    label = BreakingLabel(said)
    qtbot.addWidget(label)
    assert label.minimumSizeHint().width() < 260
    assert label.text() == said
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSelection(0, len(breakable(said)))
    qtbot.keyClick(label, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text() == said


def test_words_that_fit_are_left_alone() -> None:
    said = "The frames of samples-1 were drawn 0.4 % outside the skull."
    assert breakable(said) == said
