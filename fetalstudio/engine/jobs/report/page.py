"""An evaluation as one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import UserError
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.evaluate.evaluation import FAILURE
from fetalstudio.engine.jobs.evaluate.request import EvaluateResult, FrameScore
from fetalstudio.engine.jobs.evaluate.scorecard import cells, worst
from fetalstudio.engine.jobs.report.figures import bland_altman, dice_figure
from fetalstudio.engine.pictures import FOUND, REFERENCE, overlay
from fetalstudio.version import __version__

_PICTURE_WIDTH = 480
PixelsOf = Callable[[str], NDArray[np.uint8]]

PROTOCOLS = {
    "native": "At the frames' own size: the segmenter's ellipse against the person's, both as "
    "filled masks. A box prompt is the tight box of the person's ellipse.",
    "paper": "As the code of arXiv 2506.23664 measures: frames squashed to 256 x 256 px, the "
    "reference eroded by its resampling, the mask compared, not its ellipse; a box prompt is moved "
    "outwards by up to 19 px a side, five times, and each frame's five figures are averaged.",
}
DEFINITIONS = (
    f"Failure: a Dice below {FAILURE}, no outline included. HD95: the larger of both directions' "
    "95th percentile of the distances between the outlines; ASSD: their symmetric mean; both over "
    "the frames with an outline. HC errors: the segmenter's ellipse less the person's, on "
    "calibrated frames. Intervals are 95 %: by bootstrap over subjects (2000 draws), of failures "
    "by Wilson. Limits of agreement: bias -/+ 1.96 standard deviations (Bland and Altman)."
)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1080px; margin: 2em auto;
  padding: 0 1em }
h1 { font-size: 1.5em; margin-bottom: 0 } h2 { font-size: 1.15em; margin-top: 2em }
.dim { color: #666 } .warning { color: #9a5b00 }
table { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto }
th, td { text-align: right; padding: 3px 10px; white-space: nowrap; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left } td small { color: #666; display: block }
.figures, .gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(460px, 1fr));
  gap: 1em } .gallery { grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)) }
figure { margin: 0 } figcaption { font-size: 13px; color: #444 }
svg { width: 100%; font: 12px system-ui, sans-serif } img { width: 100%; background: #000 }
"""


def report_html(result: EvaluateResult, pixels_of: PixelsOf, when: datetime) -> str:
    """The page. ``pixels_of`` gives a frame's picture (H, W) uint8 by its id; where it raises
    :class:`UserError` the gallery says so in place of the picture."""
    both = [result, *([] if result.paper is None else [result.paper])]
    prompt = "box" if result.prompt == "box" else "none"
    parts = [
        f"<h1>{escape(result.segmenter)}: evaluation</h1>",
        f'<p class="dim">{when:%d %B %Y, %H:%M} · FetalStudio {__version__} · weights SHA-256 '
        f"{escape(result.model_sha256[:16])}… · prompt: {prompt} · "
        f"{counted(result.n, 'frame')} of {counted(result.subjects, 'subject')}</p>",
        "<p>For research. These figures describe pictures and diagnose nothing.</p>",
        _seen(result),
        "<h2>Figures</h2>",
        *(_table(r) for r in both),
        f'<p class="dim">{DEFINITIONS}</p>',
        '<div class="figures">',
        *(f"<figure>{svg}</figure>" for svg in (bland_altman(result), dice_figure(result)) if svg),
        "</div>",
        "<h2>Worst frames</h2>",
        f"<p>{_swatch(REFERENCE)} the person's ellipse, {_swatch(FOUND)} the segmenter's.</p>",
        '<div class="gallery">',
        *(_figure(score, pixels_of) for score in worst(result.frames)),
        "</div>",
    ]
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>'
        f"{escape(result.segmenter)}: evaluation</title><style>{_STYLE}</style></head><body>"
        f"{''.join(parts)}</body></html>"
    )


def _table(result: EvaluateResult) -> str:
    rows = {"all": cells(result), **{name: cells(g) for name, g in result.groups.items()}}
    # What no row knows (mm without a calibration) has no column.
    known = [head for head in rows["all"] if any(row[head][0] for row in rows.values())]
    header = "".join(f"<th>{escape(head)}</th>" for head in known)
    body = ""
    for name, row in rows.items():
        figures = "".join(f"<td>{row[h][0]}<small>{row[h][1]}</small></td>" for h in known)
        body += f"<tr><td>{escape(name)}</td>{figures}</tr>"
    return (
        f"<h3>Protocol {result.protocol}</h3><p>{PROTOCOLS[result.protocol]}</p>"
        f"<table><tr><th></th>{header}</tr>{body}</table>"
    )


def _seen(result: EvaluateResult) -> str:
    if result.trained_on:
        return (
            f'<p class="warning">{result.trained_on} of the {result.n} frames were used to train '
            "this model: the figures are better than they would be on new frames.</p>"
        )
    if result.held_out:
        return "<p>Only subjects that the training, as far as it is recorded, never saw.</p>"
    return "<p>No frame is recorded as one that the training saw.</p>"


def _figure(score: FrameScore, pixels_of: PixelsOf) -> str:
    lines = [f"{score.name} ({score.cohort})", f"Dice {score.dice:.3f}"]
    if np.isfinite(score.hd95_px):
        lines.append(f"HD95 {score.hd95_px:.1f} px")
    if score.hc_error_mm is not None:
        lines.append(f"HC {score.hc_error_mm:+.1f} mm")
    lines += [f"{name} {value}" for name, value in score.labels.items()]
    try:
        shown = _picture(overlay(pixels_of(score.frame_id), score.found, score.reference))
        picture = f'<img alt="{escape(score.name)}" src="data:image/jpeg;base64,{shown}">'
    except UserError as error:
        picture = f'<p class="warning">{escape(str(error))}</p>'
    return f"<figure>{picture}<figcaption>{escape(' · '.join(lines))}</figcaption></figure>"


def _picture(rgb: NDArray[np.uint8]) -> str:
    scale = min(1.0, _PICTURE_WIDTH / rgb.shape[1])
    size = (round(rgb.shape[1] * scale), max(1, round(rgb.shape[0] * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    return base64.b64encode(data.tobytes()).decode()


def _swatch(rgb: tuple[int, int, int]) -> str:
    return f'<b style="color: rgb{rgb}">■</b>'
