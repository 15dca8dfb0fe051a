"""Slow references for the projections, by general minimizers that know nothing of their algebra.

Each returns, for one site, the least value found of the squared distance (or of the prox's objective).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.optimize import leastsq, minimize, minimize_scalar

Vector = np.ndarray


def dot(a: Vector, b: Vector, z: float) -> float:
    """Least ``|a' - a|^2 + |b' - b|^2 + (a'.b' - z)^2``, by Levenberg-Marquardt from several starts."""
    n = len(a)
    start = np.concatenate([a, b])
    generator = np.random.default_rng(0)
    size = np.sqrt(np.abs(z)) + np.max(np.abs(start)) + 1e-3

    def residuals(x: Vector) -> Vector:
        return np.concatenate([x - start, [x[:n] @ x[n:] - z]])

    def slopes(x: Vector) -> Vector:
        return np.vstack([np.eye(2 * n), np.append(x[n:], x[:n])])

    starts = [start, start + 1e-2 * size * generator.normal(size=2 * n)]
    for sign in (1, -1):
        shared = generator.normal(size=n)
        starts.append(start + size * np.concatenate([shared, sign * shared]))
    room = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
    ends = (
        leastsq(residuals, each, Dfun=slopes, diag=np.ones(2 * n), full_output=True, **room)
        for each in starts
    )
    return min(float(np.sum(end[2]["fvec"] ** 2)) for end in ends)


def sum_relu(x: Vector, z: float, weights: Vector | float = 1.0, offset: float = 0.0) -> float:
    """The nearer of the two sides, each by sequential quadratic programming."""
    point = np.append(x, z)
    level = offset / scale_of(point)
    total, value = np.append(weights * np.ones(len(x)), 0), np.eye(len(point))[-1]
    flat = constrained(point, [("ineq", -total[None], -level), ("eq", value[None], 0)])
    linear = constrained(point, [("ineq", total[None], level), ("eq", (value - total)[None], -level)])
    return min(flat, linear)


def scale_of(point: Vector) -> float:
    """What :func:`constrained` divides a point by."""
    return float(max(np.max(np.abs(point)), 1e-300))


def maximum(x: Vector, z: float) -> float:
    """The least over which entry is the largest, each by sequential quadratic programming."""
    point, n = np.append(x, z), len(x)
    unit = np.eye(n + 1)
    found = []
    for j in range(n):
        below = ("ineq", unit[j] - np.delete(unit[:n], j, axis=0), 0)
        found.append(constrained(point, [below, ("eq", unit[-1:] - unit[j], 0)]))
    return min(found)


def constrained(point: Vector, constraints: list[tuple[str, Vector, float]]) -> float:
    """Least square distance to the point under the constraints ``rows @ p + level``, of a kind each."""
    scale = scale_of(point)
    target = point / scale
    found = minimize(
        lambda p: np.sum((p - target) ** 2),
        target,
        jac=lambda p: 2 * (p - target),
        method="SLSQP",
        constraints=[
            {"type": kind, "fun": lambda p, r=rows, c=level: r @ p + c, "jac": lambda p, r=rows: r}
            for kind, rows, level in constraints
        ],
        options={"ftol": 1e-16, "maxiter": 200},
    )
    return float(found.fun) * scale**2


def affine(point: Vector, normal: Vector, level: float = 0.0) -> Vector:
    """The nearest point with ``normal . point = level``, by the pseudo-inverse."""
    row = normal[None, :]
    return point - np.linalg.pinv(row) @ (row @ point - level)


def pieces(x: float, z: float, edges: Vector, slopes: Vector, offsets: Vector) -> float:
    """Least distance to the closed pieces of a piecewise linear function, each by Brent's bounded search."""
    reach = 10 * (1 + abs(x) + abs(z) + np.max(np.abs(offsets), initial=0) + np.max(np.abs(edges), initial=0))
    ends = [-reach, *edges, reach]
    best = np.inf
    for low, high, slope, offset in zip(ends, ends[1:], slopes, offsets, strict=False):

        def distance(p: float, slope: float = slope, offset: float = offset) -> float:
            return (p - x) ** 2 + (slope * p + offset - z) ** 2

        found = minimize_scalar(distance, bounds=(low, high), method="bounded", options={"xatol": 1e-12})
        best = min(best, found.fun, distance(low), distance(high))
    return float(best)


def rounded(x: float, z: float) -> float:
    """Least distance to the steps of rounding, over all whole numbers between x and z and a few beyond."""
    first, last = np.floor(min(x, z)) - 2, np.ceil(max(x, z)) + 2
    k = np.arange(first, last + 1)
    return float(np.min(np.maximum(np.abs(x - k) - 0.5, 0) ** 2 + (k - z) ** 2))


def convex_set(x: Vector, constraints: list) -> float:
    """Least square distance to a set that functions at least 0 describe, by SLSQP from four starts."""
    starts = [x, np.full_like(x, np.mean(x)), x / 2, x / (1 + np.linalg.norm(x))]
    found = [
        minimize(
            lambda p: np.sum((p - x) ** 2),
            start,
            jac=lambda p: 2 * (p - x),
            method="SLSQP",
            constraints=[{"type": kind, "fun": function} for function, kind in constraints],
            options={"ftol": 1e-13, "maxiter": 500},
        )
        for start in starts
    ]
    room = 1e-7 * (1 + np.max(np.abs(x)))
    inside = [p for p in found if all(np.all(function(p.x) >= -room) for function, _ in constraints)]
    return float(min(each.fun for each in inside))


def quantize(x: float, z: float, levels: tuple[float, ...], edges: tuple[float, ...] | None = None) -> float:
    """Least distance to the closed pieces of the step function, on a fine grid and at the pieces' ends.

    They end midway between the levels if nothing else is said.
    """
    edges = tuple((a + b) / 2 for a, b in pairwise(levels)) if edges is None else edges
    best = np.inf
    for level, low, high in zip(levels, [-np.inf, *edges], [*edges, np.inf], strict=True):
        reach = max(abs(x), 10.0)
        grid = np.linspace(max(low, -reach), min(high, reach), 2001)
        members = np.append(grid, x) if low <= x <= high else grid
        best = min(best, np.min((members - x) ** 2 + (level - z) ** 2))
    return float(best)


def cross_entropy(logits: Vector, target: int, strength: float) -> float:
    """Least ``|l - logits|^2 / 2 + strength (logsumexp(l) - l_target)``, by BFGS from two starts."""

    def objective(p: Vector) -> float:
        return prox_objective(p, logits, target, strength)

    def slope(p: Vector) -> Vector:
        chances = np.exp(p - np.max(p))
        return p - logits + strength * (chances / np.sum(chances) - np.eye(len(p))[target])

    starts = [logits, np.full_like(logits, np.mean(logits))]
    found = [minimize(objective, each, jac=slope, method="BFGS", options={"gtol": 1e-12}) for each in starts]
    return float(min(each.fun for each in found))


def prox_objective(p: Vector, logits: Vector, target: int, strength: float) -> float:
    top = np.max(p)
    loss = top + np.log(np.sum(np.exp(p - top))) - p[target]
    return float(np.sum((p - logits) ** 2) / 2 + strength * loss)
