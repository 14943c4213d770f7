"""An evaluation as one self-contained HTML file, made from the template ``page.html``."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import cv2
import jinja2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import UserError
from fetalstudio.core.metrics import FAILURE
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.evaluate.request import EvaluateResult, FrameScore
from fetalstudio.engine.jobs.evaluate.scorecard import cautions, cells, conventions, worst
from fetalstudio.engine.jobs.report.figures import BOX, bland_altman, dice_figure
from fetalstudio.engine.pictures import FOUND, REFERENCE, overlay
from fetalstudio.version import __version__

_PICTURE_WIDTH = 480
PixelsOf = Callable[[str], NDArray[np.uint8]]

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("fetalstudio.engine.jobs.report", "."),
    autoescape=True,  # names and labels are a person's own text
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def report_html(result: EvaluateResult, pixels_of: PixelsOf, when: datetime) -> str:
    """Return the page.

    ``pixels_of`` gives a frame's picture (H, W) uint8 by its id. Where it raises
    :class:`UserError` the gallery shows the message in place of the picture.
    """
    both = [result, *([] if result.paper is None else [result.paper])]
    figures = [bland_altman(result), dice_figure(result)]
    return _TEMPLATES.get_template("page.html").render(
        result=result,
        when=when,
        version=__version__,
        counted=counted,
        failure=FAILURE,
        cautions=cautions(result),
        conventions=conventions(result),
        tables=[_table(one) for one in both],
        figures=[figure for figure in figures if figure is not None],
        box=BOX,
        gallery=[_shown(score, pixels_of) for score in worst(result.frames)],
        found_colour=FOUND,
        reference_colour=REFERENCE,
    )


@dataclass(frozen=True, slots=True)
class _Table:
    protocol: str
    headings: Sequence[str]
    rows: Mapping[str, Mapping[str, tuple[str, str]]]
    """By name of the group: a figure and its interval for each heading."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A frame of the gallery: a picture (JPEG, base64) or the reason why there is none."""

    name: str
    caption: str
    picture: str = ""
    problem: str = ""


def _table(result: EvaluateResult) -> _Table:
    rows = {"all": cells(result), **{name: cells(g) for name, g in result.groups.items()}}
    # A figure that no row has (mm without a calibration) gets no column.
    headings = [head for head in rows["all"] if any(row[head][0] for row in rows.values())]
    return _Table(result.protocol, headings, rows)


def _shown(score: FrameScore, pixels_of: PixelsOf) -> _Shown:
    caption = _caption(score)
    try:
        pixels = pixels_of(score.frame_id)
    except UserError as error:
        return _Shown(score.name, caption, problem=str(error))
    picture = _jpeg(overlay(pixels, score.found, score.reference))
    return _Shown(score.name, caption, base64.b64encode(picture).decode())


def _caption(score: FrameScore) -> str:
    parts = [f"{score.name} ({score.cohort})", f"Dice {score.dice:.3f}"]
    if np.isfinite(score.hd95_px):
        parts.append(f"HD95 {score.hd95_px:.1f} px")
    if score.hc_error_mm is not None:
        parts.append(f"HC {score.hc_error_mm:+.1f} mm")
    parts += [f"{name} {value}" for name, value in score.labels.items()]
    return " · ".join(parts)


def _jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """The picture (H, W, 3) as JPEG, at most as wide as the gallery shows it."""
    scale = min(1.0, _PICTURE_WIDTH / rgb.shape[1])
    size = (round(rgb.shape[1] * scale), max(1, round(rgb.shape[0] * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    return data.tobytes()
