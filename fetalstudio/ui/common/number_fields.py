"""Number fields that take both decimal signs, whatever the language of the system."""

from __future__ import annotations

import re

from PySide6.QtGui import QValidator
from PySide6.QtWidgets import QDoubleSpinBox, QSpinBox

_SIGNS = ".,\u066b"
"""Decimal signs: those of Latin digits, and that of Arabic ones."""
_DECIMALS = re.compile(rf"(?<=\d)[{_SIGNS}]\d*")
_THOUSANDS = re.compile(rf"[1-9]\d{{0,2}}(?:[{_SIGNS}]\d{{3}})+")

_Validated = tuple[QValidator.State, str, int]


class DecimalField(QDoubleSpinBox):
    """A decimal field in which ``12.5`` and ``12,5`` are the same number.

    Qt takes the sign that is not the locale's for a separator of thousands, and drops it: the
    number would be ten times too large.
    """

    def validate(self, text: str, position: int) -> _Validated:
        """Check what was typed, with the locale's decimal sign."""
        validated: _Validated = super().validate(self._with_own_sign(text), position)
        return validated

    def valueFromText(self, text: str) -> float:
        """The number in ``text``."""
        return super().valueFromText(self._with_own_sign(text))

    def _with_own_sign(self, text: str) -> str:
        """``text`` with the locale's decimal sign in its number, but not in its unit."""
        number = text.removesuffix(self.suffix())
        unit = text[len(number) :]
        return re.sub(f"[{_SIGNS}]", self.locale().decimalPoint(), number) + unit


class WholeField(QSpinBox):
    """A field for whole numbers, in which ``1.5`` is not 15.

    ``1,000`` and ``1.000`` are a thousand; any other decimal is rounded.
    """

    def validate(self, text: str, position: int) -> _Validated:
        """Check what was typed; decimals may stand until the field is left."""
        whole = _DECIMALS.sub("", text)
        validated: _Validated = super().validate(whole, position)
        if whole == text:
            return validated
        number = self._rounded(text)
        fits = number is not None and self.minimum() <= number <= self.maximum()
        state = QValidator.State.Acceptable if fits else QValidator.State.Intermediate
        return state, text, position

    def valueFromText(self, text: str) -> int:
        """The number in ``text``."""
        number = self._rounded(text)
        return super().valueFromText(text) if number is None else number

    def _rounded(self, text: str) -> int | None:
        """The number in a text with a decimal sign; None without such a number."""
        number = text.removesuffix(self.suffix()).strip()
        if not _DECIMALS.search(number):
            return None
        if _THOUSANDS.fullmatch(number):
            return int(re.sub(f"[{_SIGNS}]", "", number))
        try:
            return round(float(re.sub(f"[{_SIGNS}]", ".", number)))
        except ValueError:
            return None
