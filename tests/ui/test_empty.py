"""What a place shows where there is nothing to work on."""

from __future__ import annotations

from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from fetalstudio.ui.common.empty import EmptyState


@pytest.mark.parametrize("width", [300, 900])
def test_its_sentence_is_in_the_middle_and_whole(qtbot: QtBot, width: int) -> None:
    empty = EmptyState()
    qtbot.addWidget(empty)
    with qtbot.waitExposed(empty):
        empty.show()
    empty.say("Nothing", "A sentence that is so long that it does not fit in a narrow place.", "Go")
    empty.resize(width, 400)
    qtbot.wait(1)
    text = empty._text
    middle = text.mapTo(empty, text.rect().center()).x()
    assert middle == pytest.approx(width / 2, abs=1)
    assert text.x() >= 0 and text.geometry().right() < width
    assert text.height() >= text.heightForWidth(text.width())


def test_without_a_sentence_it_asks_qt_for_no_negative_size(qtbot: QtBot, qtlog: Any) -> None:
    empty = EmptyState()
    qtbot.addWidget(empty)
    with qtbot.waitExposed(empty):
        empty.resize(400, 300)
        empty.show()
    assert not [record.message for record in qtlog.records if "Negative" in record.message]


def test_a_word_longer_than_a_line_is_broken(qtbot: QtBot) -> None:
    empty = EmptyState()
    qtbot.addWidget(empty)
    empty.resize(400, 300)
    said = f"/data/frames/b3/{'b3edf3de' * 8}.png is missing."
    empty.say("A frame cannot be shown", said)
    assert empty._text.minimumSizeHint().width() <= empty._text.width()
    assert empty.text().endswith(said)
