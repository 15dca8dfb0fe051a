"""Every projection: in the set, no farther than brute force, idempotent, finite, the same every time.

Inputs are drawn for one site at a time and stacked, with degenerate cases by construction: zeros, equal and
opposite vectors, ties, huge and tiny values, negative targets. Tolerances are relative to the size of a site:
a float32 result carries a few units of 6e-8, a squared distance twice that; a minimizer stops at about 1e-9.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pjc.dialects import ops
from pjc.runtime.projections import LOSSES, OPERATORS, constraint_set, loss, operator
from pjc.runtime.projections.cross_entropy import CrossEntropy
from pjc.runtime.projections.dot import Dot, solved, steps_to_root
from pjc.runtime.projections.max import Max
from pjc.runtime.projections.min import Min
from pjc.runtime.projections.operator import Loss, Operator
from pjc.runtime.projections.piecewise import Piecewise
from pjc.runtime.projections.quantize import Quantize
from pjc.runtime.projections.quantize_linear import QuantizeLinear
from pjc.runtime.projections.sum import Sum
from pjc.runtime.projections.sum_relu import SumRelu

COUNT = 504
DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 2e-5, "float64": 1e-8}
LEVELS = (-1.0, 0.5, 2.0)
NUMERIC = ("squared_error", "equal", "multi_label")


@contextmanager
def precision(dtype: str) -> Iterator[None]:
    with jax.enable_x64(dtype == "float64"):
        yield


@dataclass(frozen=True)
class Case:
    """An operator, and the sites to try it on: inputs ``[sites, n]`` in a list, and values ``[sites]``."""

    operator: Operator
    draw: Callable[[np.random.Generator, int], tuple[list[np.ndarray], np.ndarray]]
    least: Callable[[list[np.ndarray], float], float]


def spread_sizes(generator: np.random.Generator, count: int) -> np.ndarray:
    """Scales from tiny to huge, most of them near 1."""
    return 10.0 ** generator.choice([0, 0, 0, 0.5, -0.5, 1, -1, 3, -3, -6], count)


def vectors(generator: np.random.Generator, count: int, n: int = 3) -> tuple[list[np.ndarray], np.ndarray]:
    """Pairs of vectors and a value, in the degenerate relations that a dot product has."""
    size = spread_sizes(generator, count)[:, None]
    a, b = generator.normal(size=(2, count, n)) * size
    z = generator.normal(size=count) * generator.choice([0.1, 1, 10, 100], count)
    kind = np.arange(count) % 8
    b[kind == 1] = a[kind == 1]
    b[kind == 2] = -a[kind == 2]
    a[kind == 3] = b[kind == 3] = 0
    b[kind == 4] = 0
    z[kind == 5] = np.sum(a * b, axis=1)[kind == 5]
    b[kind == 6] = -a[kind == 6] + 1e-5 * b[kind == 6]
    return [a, b], z


def terms(generator: np.random.Generator, count: int, n: int = 4) -> tuple[list[np.ndarray], np.ndarray]:
    """Terms and a value, with zeros, ties and negative targets."""
    size = spread_sizes(generator, count)
    x = generator.normal(size=(count, n)) * size[:, None]
    z = generator.normal(size=count) * size * generator.choice([0.1, 1, 10], count)
    kind = np.arange(count) % 7
    x[kind == 1] = x[kind == 1, :1]
    x[kind == 2] = 0
    x[kind == 3, -1] = x[kind == 3, 0]
    z[kind == 4] = 0
    z[kind == 5] = -np.abs(z[kind == 5])
    x[kind == 6] = np.round(x[kind == 6])
    return [x], z


def singles(generator: np.random.Generator, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Numbers and values around the levels, on edges and levels too."""
    x, z = generator.normal(size=(2, count)) * 3
    edges = [(a + b) / 2 for a, b in pairwise(LEVELS)]
    kind = np.arange(count) % 5
    x[kind == 1] = generator.choice(edges, count)[kind == 1]
    z[kind == 2] = generator.choice(LEVELS, count)[kind == 2]
    x[kind == 3] = z[kind == 3] = 0
    return [x], z


def affine_least(inputs: list[np.ndarray], z: float) -> float:
    point = np.append(np.ravel(inputs[0]), z)
    nearest = brute_force.affine(point, np.append(np.ones(len(point) - 1), -1.0))
    return float(np.sum((nearest - point) ** 2))


WEIGHTS, OFFSET = np.array([2.0, -0.5, 1.0]), 0.75
ABS = Piecewise((0.0,), (-1.0, 1.0), (0.0, 0.0))
HAT = Piecewise((-1.0, 0.5, 2.0), (0.0, 1.5, -2.0, 0.25), (-1.0, 0.5, 2.0, 0.0))
"""A function with a constant piece, jumps, and falling and rising lines."""


def weighted_terms(generator: np.random.Generator, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Terms as three inputs, and a value."""
    (x,), z = terms(generator, count, 3)
    return list(x.T), z


def pairs(generator: np.random.Generator, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Pairs of numbers and a value, in the relations of :func:`vectors`."""
    (a, b), z = vectors(generator, count, 1)
    return [a[:, 0], b[:, 0]], z


def weighted_least(inputs: list[np.ndarray], z: float) -> float:
    point = np.append(np.ravel(inputs), z)
    nearest = brute_force.affine(point, np.append(WEIGHTS, -1.0), -OFFSET)
    return float(np.sum((nearest - point) ** 2))


def weighted_relu_least(inputs: list[np.ndarray], z: float) -> float:
    return brute_force.sum_relu(np.ravel(inputs), z, WEIGHTS, OFFSET)


def pieces_least(function: Piecewise) -> Callable[[list[np.ndarray], float], float]:
    parts = function.edges, function.slopes, function.offsets
    return lambda x, z: brute_force.pieces(float(x[0]), z, *map(np.array, parts))


CASES = {
    "dot": Case(Dot(), vectors, lambda x, z: brute_force.dot(*x, z)),
    "dot of one entry": Case(Dot(), lambda g, c: vectors(g, c, 1), lambda x, z: brute_force.dot(*x, z)),
    "sum": Case(Sum((1,)), terms, affine_least),
    "sum_relu": Case(SumRelu((1,)), terms, lambda x, z: brute_force.sum_relu(x[0], z)),
    "sum_relu of one": Case(
        SumRelu((1,)), lambda g, c: terms(g, c, 1), lambda x, z: brute_force.sum_relu(x[0], z)
    ),
    "max": Case(Max((1,)), terms, lambda x, z: brute_force.maximum(x[0], z)),
    "max of one": Case(Max((1,)), lambda g, c: terms(g, c, 1), affine_least),
    "weighted sum": Case(Sum((), tuple(WEIGHTS), OFFSET), weighted_terms, weighted_least),
    "weighted sum_relu": Case(SumRelu((), tuple(WEIGHTS), OFFSET), weighted_terms, weighted_relu_least),
    "min": Case(Min((1,)), terms, lambda x, z: brute_force.maximum(-x[0], -z)),
    "product": Case(
        operator("product"), pairs, lambda x, z: brute_force.dot(np.ravel(x[0]), np.ravel(x[1]), z)
    ),
    "abs": Case(ABS, singles, pieces_least(ABS)),
    "piecewise": Case(HAT, singles, pieces_least(HAT)),
    "round": Case(operator("round"), singles, lambda x, z: brute_force.rounded(float(x[0]), z)),
    "identity": Case(operator("identity"), singles, affine_least),
    "quantize_linear": Case(
        QuantizeLinear(0.3, -2, 3),
        singles,
        lambda x, z: brute_force.quantize(
            float(x[0]), z, range(-2, 4), [0.3 * (k - 0.5) for k in range(-1, 4)]
        ),
    ),
    "quantize_linear of a large step": Case(
        QuantizeLinear(7.0, 0, 3),
        singles,
        lambda x, z: brute_force.quantize(float(x[0]), z, range(4), [3.5, 10.5, 17.5]),
    ),
    "quantize": Case(Quantize(LEVELS), singles, lambda x, z: brute_force.quantize(float(x[0]), z, LEVELS)),
}


def test_the_table_covers_the_registry_and_the_dialect() -> None:
    assert {case.operator.name for case in CASES.values()} == set(OPERATORS)
    found = [op for op in ops.OP.operations if issubclass(op, ops.OperationOp | ops.LossOp)]
    found.remove(ops.ApplyOp)  # which stands for operators of the user's own
    found.remove(ops.ConvolutionOp)  # a dot over patches: tests/test_convolutions.py
    assert {ops.operator_of(op) for op in found} == {*OPERATORS, *LOSSES}


def sites(case: Case, dtype: str) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return the same points in both types: those of float32."""
    inputs, z = case.draw(np.random.default_rng(0), COUNT)
    return tuple(x.astype(np.float32).astype(dtype) for x in inputs), z.astype(np.float32).astype(dtype)


@functools.cache
def least_distances(name: str) -> list[float]:
    """Return what brute force finds for each site of a case; it takes minutes, so once for both types."""
    inputs, z = sites(CASES[name], "float64")
    return [CASES[name].least([x[site] for x in inputs], float(z[site])) for site in range(COUNT)]


def flat(inputs: tuple[np.ndarray, ...], z: np.ndarray) -> np.ndarray:
    """All numbers of a site in one row, in float64."""
    rows = [np.asarray(x, np.float64).reshape(len(z), -1) for x in inputs]
    return np.concatenate([*rows, np.asarray(z, np.float64)[:, None]], axis=1)


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "float64"])
@pytest.mark.parametrize("name", CASES)
def test_the_projection_is_in_the_set_and_nothing_found_is_nearer(name: str, dtype: str) -> None:
    case = CASES[name]
    inputs, z = sites(case, dtype)
    with precision(dtype):
        new, value = jax.jit(case.operator.project)(inputs, z)
        forward = case.operator.forward(*new)
        again, same = case.operator.project(new, value)
        assert {x.dtype.name for x in (*new, value, forward)} == {dtype}
    before, after, twice = flat(inputs, z), flat(new, value), flat(again, same)
    size = 1 + np.max(np.abs(np.concatenate([before, after], axis=1)), axis=1)
    # A dot's value is a product of entries, so that its rounding is relative to their square.
    room = TOLERANCE[dtype] * (size**2 if case.operator.name in ("dot", "product") else size)
    assert np.all(np.isfinite(after))
    at_jump = on_edge(case.operator, after[:, 0])  # there the value is the limit along one piece
    assert np.all((np.abs(forward - value) <= room) | at_jump)
    assert np.all(np.max(np.abs(twice - after), axis=1) <= room)
    if case.operator.name == "quantize":  # at an edge the infimum belongs to the closed upper piece
        after[:, -1] = nearest_piece(after[:, 0], before[:, 1])
    distance = np.sum((after - before) ** 2, axis=1)
    for site, least in enumerate(least_distances(name)):
        slack = TOLERANCE[dtype] * (least + size[site] ** 2)
        assert distance[site] <= least + slack, (site, distance[site], least)


def on_edge(one: Operator, x: np.ndarray) -> np.ndarray:
    """Where x rests on an edge between two pieces."""
    match one:
        case Piecewise(edges=edges):
            return np.any(x[:, None] == np.array(edges), axis=1)
        case Operator(name="round"):
            return np.abs(x - np.round(x)) == 0.5
        case QuantizeLinear(scale=scale):
            return np.abs(np.abs(x / scale - np.round(x / scale)) - 0.5) < 1e-5
    return np.zeros(x.shape, bool)


def nearest_piece(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The level nearest to z among those whose closed cells hold x."""
    edges = [-np.inf, *((a + b) / 2 for a, b in pairwise(LEVELS)), np.inf]
    best = np.full(x.shape, np.inf)
    for level, low, high in zip(LEVELS, edges, edges[1:], strict=False):
        fits = (x >= low) & (x <= high) & (np.abs(level - z) < np.abs(best - z))
        best = np.where(fits, level, best)
    return best


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_members_stay_and_results_repeat(name: str, dtype: str) -> None:
    case = CASES[name]
    inputs, z = sites(case, dtype)
    with precision(dtype):
        member = case.operator.forward(*inputs)
        stay, value = case.operator.project(inputs, member)
        one, other = case.operator.project(inputs, z), case.operator.project(inputs, z)
    size = 1 + np.max(np.abs(flat(inputs, member)), axis=1)
    moved = np.max(np.abs(flat(stay, value) - flat(inputs, member)), axis=1)
    assert np.all(moved <= 1e-2 * TOLERANCE[dtype] * size**2)
    assert all(
        np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


def any_float(dtype: str) -> st.SearchStrategy[float]:
    width = 32 if dtype == "float32" else 64
    return st.floats(allow_nan=False, allow_infinity=False, width=width)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_no_finite_input_gives_a_nan(name: str, dtype: str) -> None:
    case = CASES[name]
    shapes = [x.shape[1:] for x in case.draw(np.random.default_rng(0), 2)[0]]
    numbers = 1 + sum(int(np.prod(shape)) for shape in shapes)
    project = jax.jit(case.operator.project)

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(st.lists(any_float(dtype), min_size=numbers, max_size=numbers))
    def check(drawn: list[float]) -> None:
        rest = np.array(drawn, dtype)
        inputs = []
        for shape in shapes:
            count = int(np.prod(shape))
            inputs.append(rest[:count].reshape(1, *shape))
            rest = rest[count:]
        new, value = project(tuple(inputs), rest)
        assert not any(np.any(np.isnan(x)) for x in (*new, value))

    with precision(dtype):
        check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_extreme_combination_gives_a_nan(dtype: str) -> None:
    info = np.finfo(dtype)
    extremes = np.array([0, info.tiny, -info.tiny, 1, -1, info.max, -info.max, info.max**0.5, 1e-30], dtype)
    grid = np.stack(np.meshgrid(*[extremes] * 5), axis=-1).reshape(-1, 5)
    with precision(dtype):
        (a, b), value = jax.jit(Dot().project)((grid[:, :2], grid[:, 2:4]), grid[:, 4])
        assert not any(np.any(np.isnan(x)) for x in (a, b, value))
        for case in (Sum((1,)), SumRelu((1,)), Max((1,))):
            (x,), value = jax.jit(case.project)((grid[:, :4],), grid[:, 4])
            assert not np.any(np.isnan(x)) and not np.any(np.isnan(value))


def test_no_root_of_a_dot_goes_in_circles() -> None:
    """In float32 one site in hundreds has no float to come to rest at: two take turns."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 100_000, 8)).astype("f")
    z = random.normal(size=100_000).astype("f") * 10.0 ** random.uniform(-6, 1, 100_000).astype("f")
    site = solved(jnp.asarray(a), jnp.asarray(b), jnp.asarray(z))
    big = jnp.sum((site.a + site.b) ** 2, axis=-1) / 4
    steps, w = jax.jit(steps_to_root)(big, site.small, site.unit, site.r)
    assert steps < 10
    found, big, small, unit, right = (np.float64(x) for x in (w, big, site.small, site.unit, site.r))
    left = found * (big * (2 + found) + small * (2 + 3 * found) / (1 + 2 * found) ** 2 + unit / (1 + found))
    np.testing.assert_allclose(left, right, rtol=5e-7)


def test_named_situations_of_dot() -> None:
    project = jax.jit(Dot().project)
    with precision("float64"):
        zero = jnp.zeros((1, 2))
        (a, b), value = project((zero, zero), jnp.array([5.0]))
        assert (a.tolist(), b.tolist(), value.tolist()) == ([[2, 0]], [[2, 0]], [4])
        (a, b), value = project((zero, zero), jnp.array([-5.0]))
        assert (a.tolist(), b.tolist(), value.tolist()) == ([[2, 0]], [[-2, 0]], [-4])
        (a, b), value = project((zero, zero), jnp.array([0.5]))
        assert (a.tolist(), b.tolist(), value.tolist()) == ([[0, 0]], [[0, 0]], [0])


def test_named_situations_of_sum_relu_and_max() -> None:
    relu, top = SumRelu(), Max((0,))
    for x, z, new, value in [
        (1.0, 1.0, 1.0, 1.0),  # on the graph
        (1.0, 3.0, 2.0, 2.0),  # the linear side
        (-3.0, -1.0, -3.0, 0.0),  # a negative target, the flat side
        (1.0, -1.0, 0.0, 0.0),  # the corner
        (-1.0, 2.0, -1.0, 0.0),  # the flat side is nearer,
        (-1.0, 3.0, 1.0, 1.0),  # and from z = 1 + sqrt 2 on the linear side
    ]:
        (moved,), got = jax.jit(relu.project)((jnp.array([x]),), jnp.array([z]))
        assert (*moved, *got) == pytest.approx((new, value), abs=1e-6)
    for x, z, new, value in [
        ([1.0, 1.0, 0.0], 3.0, [2.0, 1.0, 0.0], 2.0),  # of a tie the first is raised
        ([3.0, 1.0, 0.0], 1.0, [2.0, 1.0, 0.0], 2.0),  # one comes down
        ([3.0, 3.0, 0.0], 0.0, [2.0, 2.0, 0.0], 2.0),  # a tie comes down together
        ([1.0, 0.0, -5.0], 1.0, [1.0, 0.0, -5.0], 1.0),  # on the graph
    ]:
        (moved,), got = jax.jit(top.project)((jnp.array(x),), jnp.array(z))
        assert (*moved, got) == pytest.approx((*new, value), abs=1e-6)


@pytest.mark.parametrize("off", [0, 1, -1, 3])
@pytest.mark.parametrize("operator", [Max(), Min()], ids=lambda each: each.name)
def test_copies_of_one_value_are_equal_however_they_are_rounded(operator: Operator, off: int) -> None:
    sign = np.float32(1 if isinstance(operator, Max) else -1)
    second = jnp.asarray(sign * np.float32(0.75))
    first = second * (1 + off * jnp.finfo(jnp.float32).eps)
    (raised, left), z = operator.project((first, second), second + sign * np.float32(0.25))
    assert raised == z == pytest.approx(float(second) + sign * 0.125, abs=1e-6)
    assert left == second


def test_named_situations_of_quantize() -> None:
    step = Quantize((-1.0, 1.0))
    for x, z, new, value in [
        (0.5, 1.0, 0.5, 1.0),  # on the graph
        (0.5, -1.0, 0.0, -1.0),  # into the lower cell
        (-0.5, 1.0, 0.0, -1.0),  # to the edge of the upper cell, where q is the lower level
        (1.0, -0.25, 0.0, -1.0),  # a tie: the lower level
    ]:
        (moved,), got = step.project((jnp.array([x]),), jnp.array([z]))
        assert (moved.tolist(), got.tolist()) == ([new], [value])
    assert step.forward(jnp.array([0.0, 1e-9])).tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("levels", "x", "wanted"),
    [
        ((-1.0, 0.0, 1.0), [-0.5, 0.5], [0, 0]),
        ((-2.0, -1.0, 0.0, 1.0), [-1.5, -0.5, 0.5], [-2, 0, 0]),
        ((-0.5, -0.25, 0.0, 0.25, 0.5), [-0.375, -0.125, 0.125, 0.375], [-0.5, 0, 0, 0.5]),
        ((0.0, 1.0, 2.0, 3.0), [0.5, 1.5, 2.5], [0, 2, 2]),
        ((-3e38, 0.0, 3e38), [-1.5e38, 1.5e38], [0, 0]),
        ((-1.0, 1.0), [0.0], [-1]),  # without 0: the lower level
        ((-1.0, 0.0, 2.0), [-0.5, 1.0], [-1, 0]),  # not evenly spaced
        ((0.5, 1.5, 2.5), [1.0, 2.0], [0.5, 1.5]),
    ],
)
def test_halfway_between_levels_is_as_documented(levels: tuple, x: list, wanted: list) -> None:
    found = np.asarray(Quantize(levels).forward(jnp.array(x, jnp.float32)))
    np.testing.assert_array_equal(found, np.array(wanted, np.float32))
    beside = np.array(x, np.float32) + np.float32(1e-3 * (levels[1] - levels[0]))
    near = np.array(levels, np.float32)
    above = [near[near > each][0] for each in np.array(x, np.float32)]
    np.testing.assert_array_equal(Quantize(levels).forward(jnp.asarray(beside)), above)


@pytest.mark.parametrize("case", [Sum((0, 2)), SumRelu((0, 2)), Max((0, 2))], ids=lambda c: c.name)
def test_several_inputs_and_axes_are_one_reduction(case: Operator) -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 2, 5, 3)).astype(np.float32)
    z = generator.normal(size=5).astype(np.float32)
    (new_x, new_y), value = case.project((x, y), z)
    joined = np.stack([x, y], axis=-1).transpose(1, 0, 2, 3).reshape(5, -1)
    (new,), expected = type(case)((1,)).project((joined,), z)
    found = np.stack([new_x, new_y], axis=-1).transpose(1, 0, 2, 3).reshape(5, -1)
    np.testing.assert_allclose(found, new, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(case.forward(new_x, new_y), value, rtol=1e-5, atol=1e-5)


def logit_sites(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the same points in both types, as :func:`sites` does."""
    generator = np.random.default_rng(1)
    logits = generator.normal(size=(COUNT, 4)) * 10.0 ** generator.choice([-3, 0, 0, 1, 2], COUNT)[:, None]
    logits[::7] = 0
    logits[1::7] = logits[1::7, :1]
    return logits.astype(np.float32).astype(dtype), generator.integers(0, 4, COUNT)


@functools.cache
def least_objectives(strength: float) -> list[float]:
    """Return what brute force finds for each site of logits, once for both types."""
    logits, target = logit_sites("float64")
    return [
        brute_force.cross_entropy(start, int(label), strength)
        for start, label in zip(logits, target, strict=True)
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("strength", [0.01, 1.0, 5.0, 1000.0])
def test_no_logits_have_a_lower_prox_objective(strength: float, dtype: str) -> None:
    logits, target = logit_sites(dtype)
    with precision(dtype):
        (new,) = jax.jit(CrossEntropy(strength).project)((logits,), target)
    assert new.dtype.name == dtype and np.all(np.isfinite(new))
    found, start = np.asarray(new, np.float64), logits.astype(np.float64)
    for site, least in enumerate(least_objectives(strength)):
        mine = brute_force.prox_objective(found[site], start[site], int(target[site]), strength)
        assert mine <= least + TOLERANCE[dtype] * (1 + abs(least)), (site, mine, least)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_prox_of_extreme_logits_is_finite(dtype: str) -> None:
    info = np.finfo(dtype)
    extremes = np.array([0, info.tiny, 1, -1, info.max / 4, -info.max / 4, 1e4], dtype)
    grid = np.stack(np.meshgrid(*[extremes] * 3), axis=-1).reshape(-1, 3)
    with precision(dtype):
        for strength in (1e-6, 1.0, 1e6):
            (new,) = CrossEntropy(strength).project((grid,), np.zeros(len(grid), np.int32))
            assert not np.any(np.isnan(new))


@pytest.mark.parametrize("dtype", DTYPES)
def test_margins_satisfy_the_variational_inequality(dtype: str) -> None:
    """p is the projection onto a convex set if p is in it and (x - p).(y - p) <= 0 for all members y."""
    logits, target = logit_sites(dtype)
    right = np.arange(4) == target[:, None]
    with precision(dtype):
        (new,) = loss("margin", low=-0.5, high=2.0).project((logits,), target)
    p, x = np.asarray(new, np.float64), logits.astype(np.float64)
    assert np.all(p[right] >= 2.0) and np.all(p[~right] <= -0.5)
    away = np.abs(np.random.default_rng(2).normal(size=(50, *x.shape))) * 10
    members = np.where(right, 2.0 + away, -0.5 - away)
    assert np.all(np.sum((x - p) * (members - p), axis=-1) <= 1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "strength"), [("hinge", 2.0), ("squared_error", 3.0)])
def test_no_point_around_has_a_lower_objective_than_a_prox(name: str, strength: float, dtype: str) -> None:
    """The objectives are strongly convex, so that a point that none around it beats is the minimum."""
    value, target = logit_sites(dtype)
    generator = np.random.default_rng(3)
    if name == "squared_error":
        target = generator.normal(size=value.shape).astype(dtype)
    with precision(dtype):
        (new,) = loss(name, strength=strength).project((value,), target)
    p, x = np.asarray(new, np.float64), value.astype(np.float64)
    sign = np.where(np.arange(4) == target[:, None], 1, -1) if name == "hinge" else None

    def function(q: np.ndarray) -> np.ndarray:
        if sign is None:
            return strength / 2 * np.sum((q - target) ** 2, axis=-1)
        return strength * np.sum(np.maximum(1 - sign * q, 0), axis=-1)

    least = np.sum((p - x) ** 2, axis=-1) / 2 + function(p)
    for size in (1e-3, 0.1, 1.0, 10.0):
        for _ in range(50):
            q = p + size * generator.normal(size=p.shape)
            around = np.sum((q - x) ** 2, axis=-1) / 2 + function(q)
            assert np.all(least <= around + TOLERANCE[dtype] * (1 + least))


@pytest.mark.parametrize("dtype", DTYPES)
def test_class_margins_are_projected_as_quadratic_programming_does(dtype: str) -> None:
    logits, target = logit_sites(dtype)
    with precision(dtype):
        (new,) = jax.jit(loss("class_margin", margin=0.5).project)((logits,), target)
    p, x = np.asarray(new, np.float64), logits.astype(np.float64)
    own = np.take_along_axis(p, target[:, None], axis=1)
    others = np.where(np.arange(4) == target[:, None], -np.inf, p)
    size = 1 + np.max(np.abs(x), axis=1)
    assert np.all(own[:, 0] - np.max(others, axis=1) >= 0.5 - TOLERANCE[dtype] * size)
    for site in range(0, COUNT, 5):
        right = int(target[site])
        above = [(lambda q, j=j, r=right: q[r] - q[j] - 0.5, "ineq") for j in range(4) if j != right]
        least = brute_force.convex_set(x[site], above)
        mine = float(np.sum((p[site] - x[site]) ** 2))
        assert mine <= least + 10 * TOLERANCE[dtype] * (least + size[site] ** 2), (site, mine, least)


def test_losses_with_targets_of_numbers() -> None:
    value, target = jnp.array([0.2, 0.9, -1.0, 3.0]), jnp.array([1.0, 1.0, 0.0, 0.0])
    (equal,) = loss("equal").project((value,), target)
    assert equal.tolist() == target.tolist()
    (several,) = loss("multi_label", low=-0.5, high=0.5).project((value,), target)
    assert several.tolist() == pytest.approx([0.5, 0.9, -1.0, -0.5])


@pytest.mark.parametrize("name", [*OPERATORS, *LOSSES])
def test_lowers_for_every_platform_and_maps_over_sites(name: str) -> None:
    inputs: tuple[np.ndarray, ...]
    if name in LOSSES:
        target = np.zeros((5, 3), np.float32) if name in NUMERIC else np.zeros(5, np.int32)
        inputs, last = (np.ones((5, 3), np.float32),), target
        one: Operator | Loss = loss(name)
    else:
        one = operator(name)
        width = (5, 3) if name == "dot" else (5,)
        two = name in ("dot", "product")
        inputs, last = (np.ones(width, np.float32),) * (2 if two else 1), np.ones(5, np.float32)
    exported = jax.export.export(jax.jit(one.project), platforms=("cpu", "cuda", "tpu"))(inputs, last)
    assert set(exported.platforms) == {"cpu", "cuda", "tpu"}
    mapped, whole = jax.vmap(one.project)(inputs, last), one.project(inputs, last)
    for a, b in zip(jax.tree.leaves(mapped), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: operator("softmax"), "no operator called 'softmax'; known are .*sum_relu"),
        (lambda: loss("huber"), "no loss called 'huber'; known are .*cross_entropy"),
        (lambda: constraint_set("cone"), "no set called 'cone'; known are .*nonneg"),
        (lambda: Sum((), (1.0, 2.0)).forward(jnp.ones(2)), "2 weights do not fit 1 inputs"),
        (lambda: Piecewise((0.0,), (1.0,), (0.0,)), "1 edges need one more slope and offset"),
        (lambda: Piecewise((1.0, 0.0), (1.0,) * 3, (0.0,) * 3), "edges must be strictly increasing"),
        (lambda: loss("hinge", strength=-1.0), "strength must be positive and finite"),
        (lambda: loss("class_margin", margin=0.0), "margin must be positive and finite"),
        (lambda: Quantize(()), "levels must be finite numbers, at least one"),
        (lambda: Quantize((1.0, 1.0)), "levels must be strictly increasing"),
        (lambda: Quantize((0.0, float("inf"))), "levels must be finite"),
        (lambda: CrossEntropy(0.0), "strength must be positive and finite"),
    ],
)
def test_mistakes_are_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


FLOAT32_MAX = float(np.finfo(np.float32).max)
LARGE_POINTS = [
    ([FLOAT32_MAX, -FLOAT32_MAX, 1.0], -FLOAT32_MAX),
    ([3e38, 3e38, -3e38], 1e38),
    ([-3e38, -FLOAT32_MAX, -1.0], FLOAT32_MAX),
    ([1e38, 0.0, FLOAT32_MAX], -3e38),
]


@pytest.mark.parametrize("x, z", LARGE_POINTS)
@pytest.mark.parametrize("name", ["max", "min"])
def test_extrema_of_the_largest_floats(name: str, x: list, z: float) -> None:
    """What float32 makes of them is what float64 does, where nothing overflows and no reciprocal is lost."""
    one = operator(name, axes=(0,))
    point = np.array(x, np.float32), np.float32(z)
    new, value = jax.jit(lambda a, b: one.project((a,), b))(*point)
    moved = jax.jit(lambda a, b: one.respond((a,), b, 1.0))(*point)
    with jax.enable_x64(True):
        wide = tuple(np.asarray(each, float) for each in point)
        exact, level = jax.jit(one.project)((wide[0],), wide[1])
        asked = jax.jit(one.respond)((wide[0],), wide[1], 1.0)
    for found, wanted in ((new[0], exact[0]), (value, level), (moved[0], asked[0])):
        np.testing.assert_allclose(np.asarray(found, float), wanted, atol=2e-6 * FLOAT32_MAX)


@pytest.mark.parametrize("x, _", LARGE_POINTS)
@pytest.mark.parametrize("strength", [1.0, 10.0, 1e6])
def test_cross_entropy_of_the_largest_floats(x: list, _: float, strength: float) -> None:
    """Entries that lie 1e38 apart make softmax a step: the right class and the largest share the strength."""
    logits = np.array(x, np.float32)
    for right in range(3):
        one = loss("cross_entropy", strength=strength)
        new = jax.jit(one.project)((logits,), np.int32(right))[0]
        (asked,) = jax.jit(one.demand)((logits,), np.int32(right))
        assert np.all(np.isfinite(new))
        with jax.enable_x64(True):
            (exact,) = jax.jit(one.demand)((logits.astype(float),), np.int32(right))
        np.testing.assert_allclose(np.asarray(asked, float), exact, atol=1e-5 * strength)


@pytest.mark.parametrize("x, right", [(FLOAT32_MAX, 0), (3e38, 1), (1e38, 2)])
def test_class_margins_of_the_largest_floats(x: float, right: int) -> None:
    logits = np.array([x, -x, x / 2], np.float32)
    one = loss("class_margin", margin=1.0)
    new = jax.jit(one.project)((logits,), np.int32(right))[0]
    with jax.enable_x64(True):
        (exact,) = one.project((logits.astype(float),), np.int32(right))
    np.testing.assert_allclose(np.asarray(new, float), exact, atol=2e-6 * FLOAT32_MAX)


@pytest.mark.parametrize(
    "name, fields",
    [
        ("quantize", {"levels": (-1.0, 0.0, 1.0)}),
        ("round", {}),
        ("piecewise", {"edges": (-1.0, 1.0), "slopes": (0.0, 1.0, 0.0), "offsets": (-1.0, 0.0, 1.0)}),
        ("sum_relu", {"axes": ()}),
    ],
)
def test_nan_stays_nan_in_functions_of_an_entry(name: str, fields: dict) -> None:
    x = np.array([np.nan, 0.75, np.nan], np.float32)
    found = np.asarray(operator(name, **fields).forward(x))
    assert np.isnan(found).tolist() == [True, False, True]
