"""Keys by their place on the keyboard, for layouts without Latin letters.

On a Cyrillic, Greek, Hebrew or Arabic layout the key that is marked Q types another letter, or a
punctuation mark. It does here what it does on a Latin layout, where it is known by its letter.
Digits are digits in every script.
"""

from __future__ import annotations

import sys
import unicodedata

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent

_ROWS = {0x02: "1234567890-=", 0x10: "QWERTYUIOP[]", 0x1E: "ASDFGHJKL;'", 0x2C: "ZXCVBNM,./"}
"""The rows of a keyboard by the scan code of their first key, as Windows and Linux count."""
_PLACES = {
    start + i: Qt.Key(ord(character))
    for start, row in _ROWS.items()
    for i, character in enumerate(row)
}
_X11_OFFSET = 8
"""X11 and Wayland add this to Linux's scan codes."""
_MAC_PLACES = {
    code: Qt.Key(ord(character))
    for code, character in enumerate("ASDFHGZXCV\0BQWERYT123465=97-80]OU[IP\0LJ'K;\0,/NM.")
    if character != "\0"
}
"""By the virtual key code of macOS, which is that of a place."""


class _Layout:
    """What the last letter says about the keyboard's layout, which Qt does not say."""

    latin = True


def key_of(event: QKeyEvent) -> Qt.Key:
    """The key of a stroke: on a layout without Latin letters, by its place.

    A key that types punctuation, such as ``;`` on the key of Q in Greek, is known by its place only
    after a letter has been typed.
    """
    key = Qt.Key(event.key())
    if key >= Qt.Key.Key_Escape or key == Qt.Key.Key_Space:
        return key  # neither a letter nor punctuation
    character = chr(key)
    if unicodedata.category(character) == "Nd":
        return Qt.Key(Qt.Key.Key_0 + unicodedata.digit(character))
    if unicodedata.category(character)[0] in "LM":
        _Layout.latin = "LATIN" in unicodedata.name(character, "")
    return key if _Layout.latin else _place(event) or key


def _place(event: QKeyEvent) -> Qt.Key | None:
    if sys.platform == "darwin":
        return _MAC_PLACES.get(event.nativeVirtualKey())
    offset = 0 if sys.platform == "win32" else _X11_OFFSET
    return _PLACES.get(event.nativeScanCode() - offset)
