"""Slow references for the projections, by general minimizers that know nothing of their algebra.

Each returns, for one site, the least value found of the squared distance (or of the prox's objective).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.optimize import least_squares, minimize

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
    return min(
        2 * least_squares(residuals, each, slopes, method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15).cost
        for each in starts
    )


def sum_relu(x: Vector, z: float) -> float:
    """The nearer of the two sides, each by sequential quadratic programming."""
    flat = constrained(np.append(x, z), [(lambda p: -np.sum(p[:-1]), "ineq"), (lambda p: p[-1], "eq")])
    linear = constrained(
        np.append(x, z),
        [(lambda p: np.sum(p[:-1]), "ineq"), (lambda p: p[-1] - np.sum(p[:-1]), "eq")],
    )
    return min(flat, linear)


def maximum(x: Vector, z: float) -> float:
    """The least over which entry is the largest, each by sequential quadratic programming."""
    found = []
    for j in range(len(x)):
        below = [(lambda p, i=i, j=j: p[j] - p[i], "ineq") for i in range(len(x)) if i != j]
        found.append(constrained(np.append(x, z), [*below, (lambda p, j=j: p[-1] - p[j], "eq")]))
    return min(found)


def constrained(point: Vector, constraints: list) -> float:
    """Least square distance to the point under the constraints."""
    scale = max(np.max(np.abs(point)), 1e-300)
    target = point / scale
    found = minimize(
        lambda p: np.sum((p - target) ** 2),
        target,
        jac=lambda p: 2 * (p - target),
        method="SLSQP",
        constraints=[{"type": kind, "fun": function} for function, kind in constraints],
        options={"ftol": 1e-16, "maxiter": 200},
    )
    return float(found.fun) * scale**2


def affine(point: Vector, normal: Vector) -> Vector:
    """The nearest point with ``normal . point = 0``, by the pseudo-inverse."""
    row = normal[None, :]
    return point - np.linalg.pinv(row) @ (row @ point)


def quantize(x: float, z: float, levels: tuple[float, ...]) -> float:
    """Least distance to the closed pieces of the step function, on a fine grid and at the pieces' ends."""
    edges = [(a + b) / 2 for a, b in pairwise(levels)]
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
