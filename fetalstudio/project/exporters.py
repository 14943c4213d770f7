"""Writing frames and ellipses in layouts that others read: the whole export, or nothing of it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.images import encode_png
from fetalstudio.formats.layouts import HC18_FOLDER, HC18_TABLE, PROVENANCE, PROVENANCE_FORMAT
from fetalstudio.formats.png_text import with_note
from fetalstudio.formats.tables import HC18_HEADER
from fetalstudio.project.pixels import Pixels
from fetalstudio.project.progress import (
    IsCancelled,
    OnProgress,
    OperationCancelledError,
    never,
    silent,
)
from fetalstudio.project.project import Project
from fetalstudio.project.records import Frame, Pair
from fetalstudio.project.storage import ellipse_columns

_RING_ERROR = 5e-4
"""Of the HC: half of what the way there and back may lose."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote."""

    out: Path
    frames: int
    """Real ones."""
    pairs: int
    copies: int
    """Accepted pairs that were left out because they copy a training frame."""
    problems: tuple[str, ...]
    """What the layout cannot hold and was left out, a message each."""


def export_hc18(
    project: Project,
    out: Path,
    *,
    cohort: str | None = None,
    synthetic: bool = True,
    copies: bool = False,
    on_progress: OnProgress = silent,
    cancelled: IsCancelled = never,
) -> ExportReport:
    """Write the layout of the HC18 challenge into ``out``, a folder that is new or empty.

    All real frames of the cohort (default: of all), with the ring of a draft or final ellipse
    (a proposal is nobody's word yet), and with ``synthetic`` all accepted pairs, whatever their
    cohort, as ``synthetic_<id>.png``; copies of a training frame stay out unless ``copies`` lets
    them in, as they show a patient. A synthetic picture carries a note of how it was made;
    ``provenance.json`` says the same of all of them, and the subject of every real frame. Without
    a calibration, and for pixels that are not square, the table's cells stay empty.

    Raises :class:`InputError` if ``out`` is in use or there is nothing to export,
    :class:`UserError` where it cannot be written, :class:`OperationCancelledError`; ``out`` is
    then as it was.
    """
    out = Path(out).absolute()
    frames = project.frames.all(cohort=cohort)
    accepted = project.pairs.all(state="accepted") if synthetic else []
    pairs = [pair for pair in accepted if copies or not pair.copy]
    if not frames and (cohort is not None or not pairs):
        known = ", ".join(project.frames.cohorts()) or "none"
        what = cohort or project.path
        raise InputError(f"There is nothing to export in {what}. The cohorts are: {known}.")
    annotations = project.annotations.by_frame(cohort)
    items: list[Frame | Pair] = [*frames, *pairs]
    with _new_folder(out) as folder:
        writer = _Writer(folder)
        for done, item in enumerate(items):
            if cancelled():
                raise OperationCancelledError(f"The export was cancelled; {out} is as it was.")
            on_progress(done, len(items))
            if isinstance(item, Pair):
                writer.add_pair(item, project.frames.pixels(item.frame.id))
            else:
                annotation = annotations.get(item.id)
                drawn = annotation is not None and annotation.state != "proposed"
                ellipse = annotation.ellipse if annotation is not None and drawn else None
                writer.add_frame(item, ellipse, project.frames.pixels(item.id))
        on_progress(len(items), len(items))
        writer.finish()
    left_out = len(accepted) - len(pairs)
    return ExportReport(out, len(frames), len(pairs), left_out, tuple(writer.problems))


def ring(ellipse: Ellipse, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The outline, about 2 px wide, as an (H, W) picture of 0 and 255; ``size`` is (w, h).

    ``Ellipse.from_ring`` finds the ellipse in it again, its HC within 0.1 % from 40 px of radius.
    """
    # Pixels are coarse: an upright ellipse may come out a little small or large at one width of
    # the line, and hardly so at another. The first width is good enough for 99 in 100.
    tried: list[tuple[float, NDArray[np.uint8]]] = []
    for half in (1.0, 1.2, 0.8, 1.4, 1.1, 0.9):
        line = _line(ellipse, size, half)
        tried.append((_error(line, ellipse), line))
        if tried[-1][0] < _RING_ERROR:
            break
    return min(tried, key=lambda entry: entry[0])[1] * np.uint8(255)


def _line(ellipse: Ellipse, size: tuple[int, int], half: float) -> NDArray[np.uint8]:
    outer, inner = (
        Ellipse(ellipse.cx, ellipse.cy, ellipse.a + d, ellipse.b + d, ellipse.angle_deg)
        for d in (half, -min(half, ellipse.b / 2))
    )
    return outer.mask(size) - inner.mask(size)


def _error(line: NDArray[np.uint8], ellipse: Ellipse) -> float:
    """Relative difference in HC of the ellipse that is found in the line."""
    try:
        return abs(Ellipse.from_ring(line).perimeter / ellipse.perimeter - 1)
    except ValueError:
        return float("inf")


@dataclass
class _Writer:
    """The files of one export."""

    folder: Path
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    frames: dict[str, Any] = field(default_factory=dict)
    pairs: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def add_frame(self, frame: Frame, ellipse: Ellipse | None, pixels: Pixels) -> None:
        stem = self._stem(frame.name)
        self._write(stem, frame, ellipse, encode_png(pixels))
        self.frames[f"{stem}.png"] = {
            "subject": frame.subject,
            "cohort": frame.cohort,
            "id": frame.id,
            "mm_per_px": _mm_per_px(frame.calibration),
            "labels": dict(frame.labels),
            "ellipse": ellipse and ellipse_columns(ellipse),
        }

    def add_pair(self, pair: Pair, pixels: Pixels) -> None:
        stem = self._stem(f"synthetic_{pair.id}")
        record = {
            "synthetic": True,
            "cohort": pair.frame.cohort,
            "id": pair.frame.id,
            "mm_per_px": _mm_per_px(pair.frame.calibration),
            "ellipse": ellipse_columns(pair.ellipse),
            "requested": ellipse_columns(pair.requested),
            "quality": dict(pair.quality),
            "provenance": dict(pair.provenance),
        }
        self._write(stem, pair.frame, pair.ellipse, with_note(encode_png(pixels), _json(record)))
        self.pairs[f"{stem}.png"] = record

    def finish(self) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([HC18_HEADER, *self.rows])
        write_bytes(self.folder / HC18_TABLE, text.getvalue().encode())
        record = {"format": PROVENANCE_FORMAT, "frames": self.frames, "pairs": self.pairs}
        write_bytes(self.folder / PROVENANCE, _json(record).encode())

    def _write(self, stem: str, frame: Frame, ellipse: Ellipse | None, png: bytes) -> None:
        images = self.folder / HC18_FOLDER
        write_bytes(images / f"{stem}.png", png)
        if ellipse is not None:
            line = ring(ellipse, frame.size)
            if line.any():
                write_bytes(images / f"{stem}_Annotation.png", encode_png(line))
            else:
                self.problems.append(f"{frame.name}: the ellipse lies outside; left out.")
        self.rows.append((f"{stem}.png", *self._cells(frame, ellipse)))

    def _cells(self, frame: Frame, ellipse: Ellipse | None) -> tuple[str, str]:
        calibration = frame.calibration
        if calibration is None:
            return "", ""
        if calibration.mm_per_px_x != calibration.mm_per_px_y:
            self.problems.append(
                f"{frame.name}: its pixels are not square, which the table cannot say; "
                f"its pixel size is in {PROVENANCE} only."
            )
            return "", ""
        hc = "" if ellipse is None else f"{calibration.to_mm(ellipse).perimeter:.2f}"
        return f"{calibration.mm_per_px_x:.13g}", hc

    def _stem(self, name: str) -> str:
        """A file name that every system takes, and that is not taken in this export."""
        plain = re.sub(r"[^\w\-. ]", "_", name).strip(". ") or "frame"
        stem, number = plain, 1
        while stem.lower() in self.taken:
            number += 1
            stem = f"{plain}-{number}"
        self.taken.add(stem.lower())
        return stem


@contextlib.contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``out``, or whose contents do, if all goes well."""
    part = f".part-{secrets.token_hex(4)}"
    temporary = out / part
    try:
        there = out.exists()
        if there and not (out.is_dir() and not any(out.iterdir())):
            raise InputError(f"{out} is already there and not empty. Choose a new folder.")
        # An empty folder may be a mounted disk or a link, which cannot be replaced.
        if not there:
            temporary = out.with_name(f"{part}-{out.name}")
        temporary.mkdir(parents=True)
        yield temporary
        if there:
            for path in sorted(temporary.iterdir()):
                path.replace(out / path.name)
        else:
            temporary.replace(out)
    except OSError as error:
        raise UserError(
            f"{out} could not be written: {error.strerror}. "
            "Check that the folder is writable and the disk has room, then try again."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _mm_per_px(calibration: Calibration | None) -> tuple[float, float] | None:
    if calibration is None:
        return None
    return calibration.mm_per_px_x, calibration.mm_per_px_y


def _json(record: dict[str, Any]) -> str:
    """Strict JSON, which knows neither NaN nor infinity: null in their place."""
    return json.dumps(_strict(record), indent=1, allow_nan=False)


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
