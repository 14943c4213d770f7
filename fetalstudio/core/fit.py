"""Fitting an ellipse to points: a direct solution, refined by least squares of the distances."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(n, 2) x and y."""
Parameters = tuple[float, float, float, float, float]
"""An ellipse: cx, cy, one semi-axis, the other, and the angle of the first in degrees."""


def fit_ellipse(points: Points) -> Parameters:
    """Fit an ellipse to all of the points, in their unit.

    Fitzgibbon's direct fit always finds an ellipse, but a too small one if only part of the outline
    is given. Minimising the distances to the points from there removes most of this bias.
    Raises ``ValueError`` for fewer than five points, or points that lie on a line.
    """
    # The first points of a line are different ones; all of them are sorted only if they are not.
    if len(np.unique(points[:100], axis=0)) < 5 and len(np.unique(points, axis=0)) < 5:
        raise ValueError("an ellipse needs at least five different points")
    # Centring and scaling keep both solvers well conditioned.
    mean = points.mean(axis=0)
    spread = float(np.abs(points - mean).max())
    unit = (points - mean) / spread
    if np.linalg.svd(unit, compute_uv=False)[1] < 1e-3:
        raise ValueError("the points lie on a line and describe no ellipse")
    (x, y), (d1, d2), degrees = cv2.fitEllipseDirect(unit.astype(np.float32))
    start = np.array([x, y, d1 / 2, d2 / 2, math.radians(degrees)])
    if not (np.isfinite(start).all() and _is_ellipse(start)):
        raise ValueError("the points do not describe an ellipse")
    x, y, a, b, angle = _minimise_distances(start, unit).tolist()
    return x * spread + mean[0], y * spread + mean[1], a * spread, b * spread, math.degrees(angle)


def robust_fit(points: Points, tolerance: float) -> tuple[Parameters, NDArray[np.bool_]]:
    """:func:`fit_ellipse` to the points that agree on one, and which these are, (n,) bool.

    RANSAC (Fischler and Bolles 1981): of 200 ellipses through six points each, drawn by the same
    seed every time, the one with the most points within ``tolerance`` (in the unit of the points);
    then the fit to those, twice. Raises ``ValueError`` where no ellipse is found, and for fewer
    than six points.
    """
    if len(points) < 6:
        raise ValueError("an ellipse needs at least six points to choose from")
    rng = np.random.default_rng(0)
    # A thousand points are as good as all pixels of a line, in a fraction of the time.
    sample = points[rng.permutation(len(points))[:1000]]
    near, most = None, 5
    for _ in range(200):
        six = sample[rng.choice(len(sample), 6, replace=False)]
        (x, y), (d1, d2), degrees = cv2.fitEllipseDirect(six.astype(np.float32))
        trial = np.array([x, y, d1 / 2, d2 / 2, math.radians(degrees)])
        if not np.isfinite(trial).all() or trial[2:4].min() <= tolerance:
            continue
        agree = np.abs(_distances(trial, sample)[0]) < tolerance
        if agree.sum() > most:
            near, most = agree, int(agree.sum())
    if near is None:
        raise ValueError("the points do not agree on an ellipse")
    for _ in range(2):
        found = fit_ellipse(sample[near])
        params = np.array([*found[:4], math.radians(found[4])])
        near = np.abs(_distances(params, sample)[0]) < tolerance
        if near.sum() < 5:
            raise ValueError("the points do not agree on an ellipse")
    return found, np.abs(_distances(params, points)[0]) < tolerance


def settle(start: Parameters, points: Points, scale: float) -> Parameters:
    """The ellipse near ``start`` with the least Huber loss.

    Points farther than ``scale`` count linearly instead of squared (Huber 1964), so that a notch or
    a bulge moves the ellipse less. Returns ``start`` if the fit does not converge.
    """
    params = np.array([*start[:4], math.radians(start[4])])
    size = float(params[2:4].max())
    for _ in range(15):
        away, jacobian = _distances(params, points)
        weights = np.minimum(1.0, scale / np.maximum(np.abs(away), 1e-9))[:, None]
        hessian = (jacobian * weights).T @ jacobian + 1e-6 * len(points) * np.eye(5)
        params = params - np.linalg.solve(hessian, (jacobian * weights).T @ away)
        if not 0.2 * size < params[2:4].min() <= params[2:4].max() < 2 * size:
            return start
    return (*params[:4].tolist(), math.degrees(params[4]))


def distances(params: Parameters, points: Points) -> NDArray[np.float64]:
    """Signed distances of points to an ellipse, (n,), negative inside."""
    return _distances(np.array([*params[:4], math.radians(params[4])]), points)[0]


def _is_ellipse(params: NDArray[np.float64]) -> bool:
    return bool(params[2:4].min() > 5e-5 and params[2:4].max() < 500)


def _minimise_distances(start: NDArray[np.float64], points: Points) -> NDArray[np.float64]:
    """Levenberg-Marquardt from ``start`` (cx, cy, a, b, angle in rad); never a worse fit."""
    params, damping = start, 1e-3
    distances, jacobian = _distances(params, points)
    cost = distances @ distances
    for _ in range(30):
        hessian = jacobian.T @ jacobian + damping * len(points) * np.eye(5)
        trial = params - np.linalg.solve(hessian, jacobian.T @ distances)
        if _is_ellipse(trial):
            trial_distances, trial_jacobian = _distances(trial, points)
            trial_cost = trial_distances @ trial_distances
            if trial_cost < cost:
                settled = cost - trial_cost <= 1e-6 * cost
                params, distances, jacobian = trial, trial_distances, trial_jacobian
                cost, damping = trial_cost, damping / 10
                if settled:
                    break
                continue
        damping *= 10
        if damping > 1e3:
            break
    return params


def _distances(
    params: NDArray[np.float64], points: Points
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signed distances to the outline to first order (Sampson), (n,), and their slopes, (n, 5)."""
    cx, cy, a, b, angle = params
    cos, sin = math.cos(angle), math.sin(angle)
    dx, dy = points[:, 0] - cx, points[:, 1] - cy
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    slope_u, slope_v = 2 * u / a**2, 2 * v / b**2
    slope = np.maximum(np.hypot(slope_u, slope_v), 1e-9)
    # Each parameter moves the outline; only its motion along the normal changes a distance.
    nu, nv = slope_u / slope, slope_v / slope
    jacobian = -np.column_stack(
        [nu * cos - nv * sin, nu * sin + nv * cos, nu * u / a, nv * v / b, nv * u - nu * v]
    )
    return ((u / a) ** 2 + (v / b) ** 2 - 1) / slope, jacobian
