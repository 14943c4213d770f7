"""The sheet of all keys, collected from actions, buttons and shortcuts."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractButton,
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.ui import theme


def keys_of(root: QObject, without: tuple[QObject, ...] = ()) -> list[tuple[str, str]]:
    """The (keys, description) of everything under ``root`` that has keys, in order of creation.

    A shortcut is described by its ``whatsThis``, a button by its tooltip, an action by its tooltip
    or text; without a description it is left out. ``without``: parts of the tree to leave out.
    """
    found: dict[str, str] = {}
    for child in _tree(root, without):
        keys, text = "", ""
        if isinstance(child, QAction):
            sequences = [
                s.toString(QKeySequence.SequenceFormat.NativeText) for s in child.shortcuts()
            ]
            keys, text = " or ".join(sequences), child.toolTip() or child.text()
        elif isinstance(child, QShortcut):
            keys, text = (
                child.key().toString(QKeySequence.SequenceFormat.NativeText),
                child.whatsThis(),
            )
        elif isinstance(child, QAbstractButton):
            keys = child.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            text = child.toolTip() or child.text()
        if keys and text:
            found.setdefault(keys, _plain(text))
    # Widgets that handle keys themselves, such as the canvas, list them in KEYS.
    for child in (root, *_tree(root, without)):
        for keys, text in getattr(child, "KEYS", ()):
            found.setdefault(keys, text)
    return list(found.items())


def _tree(root: QObject, without: tuple[QObject, ...]) -> Iterator[QObject]:
    for child in root.children():
        # The keys of a dialog work only in that dialog.
        if child not in without and not isinstance(child, QDialog):
            yield child
            yield from _tree(child, without)


def _plain(text: str) -> str:
    """A tooltip or menu text without markup, mnemonic and trailing keys."""
    text = re.sub(r"<[^>]+>", "", html.unescape(text)).split("\n")[0]
    text = re.sub(r"\s*\([^()]*\)\s*$", "", text).replace("...", "")
    return text.replace("&", "").strip()


class ShortcutSheet(QDialog):
    """The keys by place, in two columns if the window is wide enough, else in one."""

    def __init__(self, groups: dict[str, list[tuple[str, str]]], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        inner = _columns(groups, 2)
        if inner.sizeHint().width() > parent.width():
            inner = _columns(groups, 1)
        scroll = QScrollArea()
        scroll.setWidget(inner)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        wanted = inner.sizeHint()
        self.setMinimumWidth(wanted.width() + 16)
        self.resize(wanted.width() + 16, min(wanted.height() + 8, parent.height() - 80))


def _columns(groups: dict[str, list[tuple[str, str]]], number: int) -> QWidget:
    inner = QWidget()
    columns = QHBoxLayout(inner)
    columns.setSpacing(5 * theme.SPACE)
    columns.setContentsMargins(*[3 * theme.SPACE] * 4)
    heights = [0] * number
    stacks = [QVBoxLayout() for _ in heights]
    for title, keys in groups.items():
        shortest = heights.index(min(heights))
        stacks[shortest].addWidget(_group(title, keys))
        heights[shortest] += len(keys) + 2
    for stack in stacks:
        stack.setSpacing(3 * theme.SPACE)
        stack.addStretch()
        columns.addLayout(stack)
    return inner


def _group(title: str, keys: list[tuple[str, str]]) -> QWidget:
    group = QWidget()
    grid = QGridLayout(group)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(2 * theme.SPACE)
    grid.setVerticalSpacing(theme.SPACE - 2)
    grid.addWidget(theme.style(QLabel(title), "heading"), 0, 0, 1, 2)
    for row, (key, text) in enumerate(keys, 1):
        cap = QLabel(key)
        cap.setStyleSheet(
            f"background: {theme.RAISED}; color: {theme.TEXT_BRIGHT}; border-radius: 3px;"
            " padding: 2px 7px;"
        )
        grid.addWidget(cap, row, 0, Qt.AlignmentFlag.AlignLeft)
        grid.addWidget(QLabel(text), row, 1)
    grid.setColumnStretch(1, 1)
    return group
