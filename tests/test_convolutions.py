"""Convolutions in the compressed forms: against the sums written out, and against dots over patches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import jax
import numpy as np
import pytest
from numpy.typing import NDArray
from quick import some_quick

from pjc.dialects import projecting
from pjc.driver import Compilation, compile_text
from pjc.options import Options
from pjc.passes.analysis.cost import MACHINES, CostModel
from pjc.passes.form_convolutions import FormConvolutionsPass
from pjc.runtime.projections.bilinear import Convolution

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Geometry:
    """A convolution's numbers; the windows reach from the first row and column to the last."""

    image: tuple[int, int]
    window: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    low: tuple[int, int] = (0, 0)
    high: tuple[int, int] = (0, 0)

    def places(self) -> tuple[int, int]:
        """Return the number of sites along each axis."""
        numbers = zip(*vars(self).values(), strict=True)
        first, second = ((n + lo + hi - (w - 1) * d - 1) // s + 1 for n, w, s, d, lo, hi in numbers)
        return first, second


GEOMETRIES = {
    "same": Geometry((5, 4), (3, 3), low=(1, 1), high=(1, 1)),
    "valid": Geometry((5, 4), (3, 2)),
    "strides": Geometry((7, 6), (3, 2), strides=(2, 1)),
    "dilation": Geometry((6, 7), (2, 3), dilation=(2, 2), low=(1, 2), high=(1, 2)),
    "uneven": Geometry((5, 6), (4, 3), strides=(2, 3), low=(2, 0), high=(1, 0)),
    "beyond": Geometry((2, 2), (3, 3), low=(3, 2), high=(2, 3)),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_sums_are_those_of_the_definition(name: str) -> None:
    g = GEOMETRIES[name]
    rng = np.random.default_rng(0)
    height, width = g.places()
    a, other = rng.normal(size=(2, 2, *g.image, 3))
    w, twin = rng.normal(size=(2, *g.window, 3, 2))
    s = rng.normal(size=(2, height, width, 2))
    z, inner = np.zeros_like(s), np.zeros_like(s)
    by_a: dict[tuple[int, ...], list[tuple[float, Numbers]]] = {}
    for b, p, q, i, j in product(range(2), range(height), range(width), *map(range, g.window)):
        x = p * g.strides[0] + i * g.dilation[0] - g.low[0]
        y = q * g.strides[1] + j * g.dilation[1] - g.low[1]
        if 0 <= x < g.image[0] and 0 <= y < g.image[1]:
            z[b, p, q] += a[b, x, y] @ w[i, j]
            inner[b, p, q] += a[b, x, y] @ other[b, x, y]
            found = by_a.setdefault((b, x, y), [])
            found += [(s[b, p, q, m], s[b, p, q, m] * w[i, j, :, m]) for m in range(2)]
    with jax.enable_x64(True):
        made = Convolution(**vars(g))
        close = {"rtol": 1e-12, "atol": 1e-12}
        np.testing.assert_allclose(made.forward(a, w), z, **close)
        np.testing.assert_allclose(np.broadcast_to(made.lhs_inner(a, other), z.shape), inner, **close)
        np.testing.assert_allclose(made.rhs_inner(w, twin), np.sum(w * twin, (0, 1, 2)), **close)
        means = np.broadcast_to(made.lhs_mean(s, a), a.shape)
        weighted = made.lhs_weighted(s, w, a)
        for place, copies in by_a.items():
            np.testing.assert_allclose(means[place], np.mean([r for r, _ in copies]), **close)
            np.testing.assert_allclose(weighted[place], np.mean([v for _, v in copies], axis=0), **close)
        assert len(by_a) == 2 * g.image[0] * g.image[1]
        np.testing.assert_allclose(made.rhs_mean(s, w), np.mean(s, (0, 1, 2)), **close)
        np.testing.assert_allclose(made.rhs_weighted(s, a, w), by_weight(g, a, s), **close)


def by_weight(g: Geometry, a: Numbers, s: Numbers) -> Numbers:
    """Return the mean over all sites of s times the entry of the image that a weight meets there."""
    wide = np.pad(a, ((0, 0), (g.low[0], g.high[0]), (g.low[1], g.high[1]), (0, 0)))
    height, width = g.places()
    found = np.zeros((*g.window, a.shape[3], s.shape[3]))
    for i, j in product(*map(range, g.window)):
        rows = slice(i * g.dilation[0], i * g.dilation[0] + (height - 1) * g.strides[0] + 1, g.strides[0])
        columns = slice(j * g.dilation[1], j * g.dilation[1] + (width - 1) * g.strides[1] + 1, g.strides[1])
        found[i, j] = np.einsum("bpqn,bpqm->nm", wide[:, rows, columns], s) / s[..., 0].size
    return found


NETWORKS = {
    "padded": ("conv2d(x, a)", "conv2d(h, full((3, 3, 4, 3)), padding = ((2, 1), (0, 1)))", 2),
    "strided": ("conv2d(x, a, strides = 2)", "conv2d(h, b, strides = (1, 2), padding = VALID)", 2),
    "dilated": ("conv2d(x, a, dilation = 2)", "conv2d(h, b, dilation = (1, 2), padding = VALID)", 2),
    "unread": ("conv2d(x, a, strides = 2, padding = VALID)", "conv2d(h, b, padding = VALID)", 2),
    "twice": ("conv2d(x, a)", "conv2d(h, b) + conv2d(h, c) + h", 3),
    "apart": ("conv2d(x, a, strides = 3, padding = VALID)", "conv2d(concat(h, h, axis = 1), b)", 0),
    "gaps": ("conv2d(x, a)", "conv2d(h, d, strides = 2, padding = VALID)", 1),
    "groups": ("conv2d(x, a)", "conv2d(h, g, groups = 2)", 1),
}
"""Two layers, and how many of their products are taken as convolutions."""

TEXT = """
input x: f32[batch, 9, 8, 2]
target y: class[batch, 3]
param a: f32[3, 3, 2, 4] = he_normal
param b: f32[3, 2, 4, 4] = he_normal
param c: f32[2, 2, 4, 4] = he_normal
param d: f32[1, 1, 4, 4] = he_normal
param g: f32[3, 3, 2, 4] = he_normal
h = relu({first})
h = relu({second})
def linear(x, width) {{
  param weight: f32[x.shape[-1], width] = he_normal
  return x @ weight
}}
output logits = linear(flatten(h), 3)
require cross_entropy(logits, y)
"""


def updated(compilation: Compilation, data: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters after an update of ten iterations."""
    program = compilation.program()
    after, _ = program.update(program.init(0), data["x"], data["y"], iterations=10)
    return {label: np.asarray(value) for label, value in after.items()}


@pytest.mark.parametrize(
    ("solver", "form"), [("ap", "shared"), pytest.param("dr", "factored", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", some_quick(NETWORKS, 4, first=1))
def test_networks_are_trained_as_dots_over_patches_are(
    name: str, solver: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, count = NETWORKS[name]
    text = TEXT.format(first=first, second=second)
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(4, 9, 8, 2)), "y": rng.integers(0, 3, 4).astype(np.int32)}
    with jax.enable_x64(True):
        convolved, oracle = (
            compile_text(text, Options(solver=solver, batch=4, dtype="f64", level=2, copies=(form,)))
            for _ in range(2)
        )
        found = [op for op in convolved.at("proj").walk() if isinstance(op, projecting.CompressedOp)]
        assert sum(op.operator.data == "convolution" for op in found) == count
        after = updated(convolved, data)
        monkeypatch.setattr(FormConvolutionsPass, "apply", lambda self, context, module: None)
        expected = updated(oracle, data)
        assert '"convolution"' not in str(oracle.at("proj"))
    for label, value in expected.items():
        np.testing.assert_allclose(after[label], value, rtol=0, atol=1e-10 * max(1, np.max(abs(value))))


def test_a_convolution_costs_as_much_forward_as_the_dot_over_patches_that_it_was() -> None:
    text = (
        "input x: f32[batch, 8, 8, 2]\ntarget y: class[batch, 5]\nparam w: f32[3, 3, 2, 5] = he_normal\n"
        "h = conv2d(x, w)\noutput z = sum(h, axis = (1, 2))\nrequire margin(z, y)\n"
    )
    costs = {}
    for copies in ("exact", "factored"):
        placement = compile_text(text, Options(batch=4, solver="dr", copies=copies, level=2)).mesh_plan
        program = placement.placed({"sample": 1, "feature": 1, "stack": 1})
        costs[copies] = CostModel(program, {}, MACHINES["cpu"]).forward()
        assert ("convolution" in str(program)) == (copies == "factored")
    product = 2 * 4 * 8 * 8 * 5 * 3 * 3 * 2
    assert costs["exact"] >= product and costs["exact"] == pytest.approx(costs["factored"], rel=0.01)
