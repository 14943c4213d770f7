"""Every number field of the window takes both decimal signs, in every language."""

import pytest
from PySide6.QtCore import QLocale, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractSpinBox, QDoubleSpinBox, QSpinBox
from pytestqt.qtbot import QtBot

from fetalstudio.core.calibration import Calibration
from fetalstudio.ui.common.form import number_field, whole_number
from fetalstudio.ui.session import PLACES, Session
from fetalstudio.ui.settings import Settings
from fetalstudio.ui.synthesise.page import SynthesisePage
from fetalstudio.ui.window.main_window import MainWindow

LOCALES = ("C", "en_US", "de_DE", "de_CH", "fr_FR", "sv_SE", "ru_RU", "he_IL", "ar_EG", "fa_IR")


def typed(field: QAbstractSpinBox, text: str) -> None:
    """Replace what ``field`` holds by ``text``, as a person does."""
    field.selectAll()
    for character in text:
        field.lineEdit().insert(character)  # QTest has no key for U+066B.
    field.interpretText()


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("text", ["12.5", "12,5", "12\u066b5"])
def test_a_decimal_field_takes_every_decimal_sign(qtbot: QtBot, locale: str, text: str) -> None:
    field = number_field((-500, 500), 1, 1)
    qtbot.addWidget(field)
    field.setLocale(QLocale(locale))
    field.setSuffix(" mm")
    typed(field, text)
    assert field.value() == 12.5
    typed(field, f"-{text}")
    assert field.value() == -12.5


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), ("12.4", 12), ("12,6", 13), ("1,000", 1000), ("1.000", 1000)]
)
def test_a_whole_number_never_grows_by_a_decimal_sign(
    qtbot: QtBot, settings: Settings, locale: str, text: str, number: int
) -> None:
    field = whole_number(settings, "test/steps", 10, 1, 2000)
    qtbot.addWidget(field)
    field.setLocale(QLocale(locale))
    typed(field, text)
    assert field.value() == number


def test_a_number_out_of_range_or_unfinished_is_not_taken(qtbot: QtBot, settings: Settings) -> None:
    field = whole_number(settings, "test/steps", 10, 1, 99)
    qtbot.addWidget(field)
    for text in ("1,000", "2.5.5"):
        typed(field, text)
        assert 1 <= field.value() <= 99 and field.text() == str(field.value())


@pytest.mark.parametrize("locale", ["en_US", "de_DE"])
def test_every_number_field_of_the_window_takes_both(
    window: MainWindow, open_session: Session, qtbot: QtBot, locale: str
) -> None:
    for place in PLACES:
        window.show_place(place)
    synthesise = window.page("synthesise")
    assert isinstance(synthesise, SynthesisePage)
    synthesise.batch.heads_button.click()
    dialog = synthesise.batch.dialog
    assert dialog is not None and dialog.isVisible()
    decimals = window.findChildren(QDoubleSpinBox)
    assert len(decimals) > 2
    for field in decimals:
        field.setLocale(QLocale(locale))
        low, high = field.minimum(), field.maximum()
        number = next(n for n in (1.5, 0.5, 12.5, high - 0.5) if low <= n <= high)
        if field.decimals() == 0:
            continue
        for sign in ".,":
            field.setValue(low)
            typed(field, str(number).replace(".", sign))
            assert field.value() == number, (place, field.accessibleName(), sign)
    for whole in window.findChildren(QSpinBox):
        whole.setLocale(QLocale(locale))
        small = whole.minimum() + 1
        for sign in ".,":
            typed(whole, f"{small}{sign}2")
            assert whole.value() == small, (whole.accessibleName(), sign)


def test_the_length_of_the_ruler_in_a_german_window(
    window: MainWindow, open_session: Session, qtbot: QtBot
) -> None:
    window.show_place("annotate")
    page = window.page("annotate")
    panel = page.calibrating._panel  # type: ignore[attr-defined]
    panel.length.setLocale(QLocale("de_DE"))
    panel.ask_length(100.0)
    taken: list[Calibration] = []
    panel.calibrated.connect(taken.append)
    QTest.keyClicks(panel.length, "12.5")
    QTest.keyClick(panel.length, Qt.Key.Key_Return)
    assert taken[0].mm_per_px_x == 0.125
