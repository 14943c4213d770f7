"""The queue of pairs, each with a thumbnail, its quality and its state."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.screening import PairFilter, Verdict
from fetalstudio.project.store.records import Pair
from fetalstudio.ui import theme
from fetalstudio.ui.common.quality import COLOURS, SIGNS, verdict_level
from fetalstudio.ui.review.thumbnails import ReadPixels, thumbnail

Index = QModelIndex | QPersistentModelIndex

THUMB = QSize(96, 64)
_KEPT = 300
_PAIR_ROLE = Qt.ItemDataRole.UserRole


class PairModel(QAbstractListModel):
    """The pairs, worst first; a thumbnail is made when it is first painted."""

    def __init__(self, pixels: ReadPixels) -> None:
        super().__init__()
        self._pixels = pixels
        self._pairs: list[Pair] = []
        self._verdicts: list[Verdict] = []
        self._thumbs: OrderedDict[tuple[str, Ellipse], QPixmap] = OrderedDict()

    def set_pairs(self, pairs: Sequence[Pair], screen: PairFilter) -> None:
        """Replace the pairs; they are sorted by the verdict of the filter, worst first."""
        judged = [(screen.verdict(pair.quality, pair.copy_threshold), pair) for pair in pairs]
        judged.sort(key=lambda entry: entry[0].order)
        self.beginResetModel()
        self._verdicts = [verdict for verdict, _ in judged]
        self._pairs = [pair for _, pair in judged]
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._pairs)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        pair = self._pairs[index.row()]
        if role == _PAIR_ROLE:
            return pair
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            verdict = self._verdicts[index.row()]
            words = "; ".join(verdict.reasons) or "passes"
            if pair.contains_real_pixels:
                words += "; pixels of a real frame"
            return f"{pair.frame.name}, {dice_text(pair)}, {pair.state}: {words}"
        return None

    def pair(self, row: int) -> Pair:
        """The pair in this row."""
        return self._pairs[row]

    def verdict(self, row: int) -> Verdict:
        """The verdict of the filter on the pair in this row."""
        return self._verdicts[row]

    def row_of(self, pair_id: int | None) -> int | None:
        """The row of a pair, or None."""
        return next((i for i, pair in enumerate(self._pairs) if pair.id == pair_id), None)

    def thumb(self, pair: Pair) -> QPixmap:
        """The thumbnail of a pair with its ellipse."""
        key = (pair.frame.id, pair.ellipse)
        if key not in self._thumbs:
            pixels = self._pixels(pair.frame.id)
            image = pixels if pixels is not None else np.zeros((2, 3), np.uint8)
            ellipse = pair.ellipse if pixels is not None else None
            self._thumbs[key] = thumbnail(image, ellipse, THUMB.width(), THUMB.height())
            if len(self._thumbs) > _KEPT:
                self._thumbs.popitem(last=False)
        self._thumbs.move_to_end(key)
        return self._thumbs[key]


def dice_text(pair: Pair) -> str:
    """``Dice 0.948``, or ``not measured``."""
    dice = pair.quality.get("dice")
    return f"Dice {dice:.3f}" if dice is not None else "not measured"


class _PairDelegate(QStyledItemDelegate):
    def __init__(self, model: PairModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._model = model

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(THUMB.width() + 120, THUMB.height() + theme.SPACE)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        pair = self._model.pair(index.row())
        rect: QRect = option.rect
        state: QStyle.StateFlag = option.state
        if state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(theme.ACCENT_DIM))
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, QColor(theme.PANEL))
        stripe = QRect(rect.left(), rect.top() + 4, 3, rect.height() - 8)
        painter.fillRect(stripe, QColor(theme.STATE_COLOURS[pair.state]))
        painter.drawPixmap(rect.left() + theme.SPACE, rect.top() + 4, self._model.thumb(pair))
        left = rect.left() + 2 * theme.SPACE + THUMB.width() + 2
        verdict = self._model.verdict(index.row())
        level = verdict_level(verdict)
        worst = dice = dice_text(pair)
        if not verdict.passed:
            worst = f"{verdict.worst.name} {verdict.worst.value}"
        other = dice if worst != dice else ""
        corrected = "corrected" if pair.corrected else ""
        lines = (
            (pair.frame.name, theme.TEXT),
            (f"{SIGNS[level]} {worst}", COLOURS[level]),
            (", ".join(part for part in (other, corrected) if part), theme.TEXT_DIM),
        )
        metrics = painter.fontMetrics()
        room = rect.right() - left - 4
        y = rect.top() + theme.SPACE + metrics.ascent()
        for text, colour in lines:
            painter.setPen(QColor(colour))
            painter.drawText(left, y, metrics.elidedText(text, Qt.TextElideMode.ElideRight, room))
            y += metrics.height() + 3
        thumb = QRect(rect.left() + theme.SPACE, rect.top() + 4, THUMB.width(), THUMB.height())
        if verdict.copy:
            _paint_badge(painter, thumb, "COPY", theme.ERROR)
        elif pair.contains_real_pixels:
            _paint_badge(painter, thumb, "REAL", theme.WARNING)


def _paint_badge(painter: QPainter, thumb: QRect, text: str, colour: str) -> None:
    font = painter.font()
    font.setBold(True)
    painter.save()
    painter.setFont(font)
    metrics = painter.fontMetrics()
    badge = QRect(
        thumb.left(), thumb.top(), metrics.horizontalAdvance(text) + 10, metrics.height() + 2
    )
    painter.fillRect(badge, QColor(colour))
    painter.setPen(QColor(theme.CANVAS))
    painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, text)
    painter.restore()


class PairList(QListView):
    """The queue with one current pair."""

    current_changed = Signal(object)
    """The current pair, or None."""

    def __init__(self, pixels: ReadPixels, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pairs = PairModel(pixels)
        self.setModel(self.pairs)
        self.setItemDelegate(_PairDelegate(self.pairs, self))
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Pairs, worst first")
        self.selectionModel().currentChanged.connect(lambda *_: self._announce())

    def show_pairs(
        self,
        pairs: Sequence[Pair],
        screen: PairFilter,
        preferred: Sequence[int | None],
        otherwise: int,
    ) -> None:
        """Show these pairs, worst first.

        The first of the ``preferred`` ids that is among them becomes the current pair, else the
        one in row ``otherwise``, clipped to the list.
        """
        selection = self.selectionModel()
        selection.blockSignals(True)
        self.pairs.set_pairs(pairs, screen)
        if pairs:
            rows = (self.pairs.row_of(pair_id) for pair_id in preferred if pair_id is not None)
            found = next((row for row in rows if row is not None), otherwise)
            row = min(max(found, 0), len(pairs) - 1)
            self.setCurrentIndex(self.pairs.index(row, 0))
        selection.blockSignals(False)
        self._announce()

    def current(self) -> Pair | None:
        """The current pair."""
        index = self.currentIndex()
        return self.pairs.pair(index.row()) if index.isValid() else None

    def step(self, rows: int) -> None:
        """Go down by ``rows`` (up if negative), and stop at the ends."""
        row = self.currentIndex().row() + rows
        if 0 <= row < self.pairs.rowCount():
            self.setCurrentIndex(self.pairs.index(row, 0))

    def _announce(self) -> None:
        self.current_changed.emit(self.current())
