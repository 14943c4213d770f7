"""Bland-Altman plot of the head circumference; clicking a point opens its frame."""

from __future__ import annotations

from fetalstudio.engine.jobs.evaluate.request import EvaluateResult
from fetalstudio.engine.jobs.evaluate.scorecard import agreement_points
from fetalstudio.ui.common.bland_altman import BlandAltmanPlot, DifferencePoint, Level


class AgreementPlot(BlandAltmanPlot):
    """HC of the segmenter minus that of the person over their mean, with limits of agreement."""

    def __init__(self) -> None:
        super().__init__(
            "Mean of both HC in mm",
            "Difference in mm",
            "HC of the segmenter minus that of the person. Each point is a frame; click to open it",
        )

    def show_result(self, result: EvaluateResult) -> bool:
        """Draw the result. False, and an empty plot, if no frame has both HC in mm."""
        points = [
            DifferencePoint(score.frame_id, score.name, x, y)
            for score, x, y in agreement_points(result.frames)
        ]
        levels = [] if result.hc_bias_mm is None else [Level("bias", result.hc_bias_mm)]
        if result.hc_limits_mm is not None:
            levels += [Level("limit", y) for y in result.hc_limits_mm]
        self.show_points(points, levels)
        return bool(points)
