"""Thumbnails of frames, made outside the GUI thread and cached up to a memory limit."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QRunnable, QSize, QThreadPool, Signal, Slot
from PySide6.QtGui import QImage

from fetalstudio.core.errors import UserError
from fetalstudio.ui.common.pixmaps import shrunk

log = logging.getLogger(__name__)

_BUDGET = 48 * 2**20
_THREADS = 2

Read = Callable[[], NDArray[np.uint8]]
"""Gives a picture, (H, W) grey or (H, W, 3) RGB. Raises :class:`UserError`. It is called on another
thread."""


class Thumbnails(QObject):
    """A cache by frame id. :meth:`get` returns at once; ``ready`` follows with the frame id."""

    ready = Signal(str)

    def __init__(self, size: QSize, parent: QObject | None = None) -> None:
        """``size``: the largest width and height of a thumbnail in device px."""
        super().__init__(parent)
        self._size = size
        self._images: OrderedDict[str, QImage | None] = OrderedDict()
        self._bytes = 0
        self._asked: set[str] = set()
        self._order = 0
        self._generation = 0
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(_THREADS)

    def get(self, frame_id: str, read: Read) -> QImage | None:
        """The thumbnail of what ``read`` gives; None while it is being made, or if that fails."""
        if frame_id in self._images:
            self._images.move_to_end(frame_id)
            return self._images[frame_id]
        if frame_id not in self._asked:
            self._asked.add(frame_id)
            task = _Task(frame_id, read, self._size, self._generation)
            task.signals.done.connect(self._came)
            # The newest requests come first: they are on screen now.
            self._order += 1
            self._pool.start(task, self._order)
        return None

    def clear(self) -> None:
        """Remove all thumbnails, when another project is open."""
        self._pool.clear()
        self._generation += 1
        self._images.clear()
        self._asked.clear()
        self._bytes = 0

    @Slot(str, int, object)
    def _came(self, frame_id: str, generation: int, image: QImage | None) -> None:
        if generation != self._generation:
            return
        self._asked.discard(frame_id)
        self._images[frame_id] = image
        self._bytes += image.sizeInBytes() if image is not None else 0
        while self._bytes > _BUDGET:
            _, oldest = self._images.popitem(last=False)
            self._bytes -= oldest.sizeInBytes() if oldest is not None else 0
        self.ready.emit(frame_id)


class _Signals(QObject):
    done = Signal(str, int, object)


class _Task(QRunnable):
    def __init__(self, frame_id: str, read: Read, size: QSize, generation: int) -> None:
        super().__init__()
        self.signals = _Signals()
        self._frame_id, self._read, self._size = frame_id, read, size
        self._generation = generation

    def run(self) -> None:
        image: QImage | None = None
        try:
            image = _thumbnail(self._read(), self._size)
        except UserError:
            log.warning("no thumbnail of %s", self._frame_id, exc_info=True)
        self.signals.done.emit(self._frame_id, self._generation, image)


def _thumbnail(pixels: NDArray[np.uint8], size: QSize) -> QImage:
    small = shrunk(pixels, size.width(), size.height())
    h, w = small.shape[:2]
    kind = QImage.Format.Format_Grayscale8 if small.ndim == 2 else QImage.Format.Format_RGB888
    # copy(): the QImage must own its pixels, as the array is freed on return.
    return QImage(small.tobytes(), w, h, w * small[0, 0].size, kind).copy()
