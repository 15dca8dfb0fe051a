"""Responses, demands and what sets keep: against slow minimizers, at every weight, for demands of every size.

What a response minimizes is evaluated from the definition of the function alone, in numpy's longest floats,
and so is the search for a better displacement. Inputs are those of tests/test_projections.py, degenerate ones
included; demands range from far below to far above the inputs.
"""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from quick import some_quick
from set_examples import example_of
from test_projections import (
    ABS,
    COUNT,
    HAT,
    LEVELS,
    OFFSET,
    WEIGHTS,
    pairs,
    precision,
    singles,
    terms,
    vectors,
    weighted_terms,
)

from pjc.runtime.projections import LOSSES, OPERATORS, SETS, loss, operator
from pjc.runtime.projections.bilinear import MATRIX, Bilinear, Convolution
from pjc.runtime.projections.bilinear_response import (
    Multipliers,
    lhs_response,
    multipliers,
    norms,
    rhs_response,
)
from pjc.runtime.projections.dot import Dot
from pjc.runtime.projections.max import Max
from pjc.runtime.projections.min import Min
from pjc.runtime.projections.operator import Operator
from pjc.runtime.projections.piecewise import Piecewise
from pjc.runtime.projections.quantize import Quantize
from pjc.runtime.projections.quantize_linear import QuantizeLinear
from pjc.runtime.projections.sets import Pieces
from pjc.runtime.projections.sum import Sum
from pjc.runtime.projections.sum_relu import SumRelu
from pjc.runtime.projections.sums import in_blocks

Long = np.longdouble
Rows = np.ndarray
Function = Callable[[Rows], Rows]
Draw = Callable[[np.random.Generator, int], tuple[list[np.ndarray], np.ndarray]]
VALUE_WEIGHTS = (10.0, 1.0, 1e-2, 1e-4)
TRIED = [pytest.param(u, marks=() if u == 1e-2 else pytest.mark.slow) for u in VALUE_WEIGHTS]
STAIRS = Piecewise((0.0, 0.3), (0.0, 0.0, 0.5), (0.0, 1.0, 0.0))
"""Two jumps whose ramps overlap."""
STEP = Piecewise((0.0,), (0.0, 0.0), (0.0, 1.0), margin=0.1)


@dataclass(frozen=True)
class Case:
    """An operator, its sites, its function on rows of one site's numbers, and where that has kinks in x."""

    operator: Operator
    draw: Draw
    function: Function
    kinks: tuple[float, ...] = ()


def of_sites(
    product: Bilinear, a: Array, w: Array, value: Array, demand: Array, weight: float
) -> Multipliers:
    return multipliers(norms(product, a, w, jnp.mean), value, demand, weight)


@jax.jit
def multipliers_of_matrices(a: Array, w: Array, demand: Array) -> Multipliers:
    return of_sites(MATRIX, a, w, a @ w, demand, 0.1)


def jumping(one: Piecewise) -> Function:
    """The bridge by its definition: the function, with ramps for its jumps."""
    edges, slopes, offsets = (np.array(each, Long) for each in (one.edges, one.slopes, one.offsets))
    heights = (slopes[1:] - slopes[:-1]) * edges + offsets[1:] - offsets[:-1]

    def bridged(rows: Rows) -> Rows:
        x = rows[..., 0]
        piece = np.sum(x[..., None] > edges, axis=-1)
        value = slopes[piece] * x + offsets[piece]
        for edge, height in zip(edges, heights, strict=True):
            if height:
                ramp = np.clip((x - edge) / abs(height) + Long(0.5), 0, 1)
                value = value + height * (ramp - (x > edge))
        return value

    return bridged


def kinks(one: Piecewise) -> tuple[float, ...]:
    found = set(one.edges)
    for i, edge in enumerate(one.edges):
        ends = [one.slopes[j] * edge + one.offsets[j] for j in (i, i + 1)]
        found |= {edge - abs(ends[1] - ends[0]) / 2, edge + abs(ends[1] - ends[0]) / 2}
    return tuple(sorted(found))


def dotted(rows: Rows) -> Rows:
    n = rows.shape[-1] // 2
    return np.sum(rows[..., :n] * rows[..., n:], axis=-1)


def weighted(rows: Rows) -> Rows:
    return np.sum(WEIGHTS.astype(Long) * rows, axis=-1) + Long(OFFSET)


CASES = {
    "sum": Case(Sum((1,)), terms, lambda rows: np.sum(rows, axis=-1)),
    "weighted sum": Case(Sum((), tuple(WEIGHTS), OFFSET), weighted_terms, weighted),
    "sum_relu": Case(SumRelu((1,)), terms, lambda rows: np.maximum(np.sum(rows, axis=-1), 0)),
    "weighted sum_relu": Case(
        SumRelu((), tuple(WEIGHTS), OFFSET), weighted_terms, lambda rows: np.maximum(weighted(rows), 0)
    ),
    "max": Case(Max((1,)), terms, lambda rows: np.max(rows, axis=-1)),
    "min": Case(Min((1,)), terms, lambda rows: np.min(rows, axis=-1)),
    "identity": Case(operator("identity"), singles, lambda rows: rows[..., 0]),
    "abs": Case(ABS, singles, lambda rows: np.abs(rows[..., 0]), (0.0,)),
    "piecewise": Case(HAT, singles, jumping(HAT), kinks(HAT)),
    "stairs": Case(STAIRS, singles, jumping(STAIRS), kinks(STAIRS)),
    "step": Case(STEP, singles, lambda rows: np.clip(rows[..., 0] + Long(0.5), 0, 1), (-0.5, 0.5)),
    "quantize": Case(
        Quantize(LEVELS),
        singles,
        lambda rows: np.clip(rows[..., 0], LEVELS[0], LEVELS[-1]),
        (LEVELS[0], LEVELS[-1]),
    ),
    "one level": Case(Quantize((0.5,)), singles, lambda rows: np.full(rows.shape[:-1], Long(0.5))),
    "quantize_linear": Case(
        QuantizeLinear(0.5, -1, 2),
        singles,
        lambda rows: np.clip(rows[..., 0] / Long(0.5), -1, 2),
        (-0.5, 1.0),
    ),
    "round": Case(operator("round"), singles, lambda rows: rows[..., 0]),
    "dot": Case(Dot(), vectors, dotted),
    "dot of one entry": Case(Dot(), functools.partial(vectors, n=1), dotted),
    "product": Case(operator("product"), pairs, dotted),
}


def test_the_table_covers_the_registry() -> None:
    assert {case.operator.name for case in CASES.values()} == set(OPERATORS)
    assert all(case.operator.precise for case in CASES.values())


# --- the nearest displacement --------------------------------------------------------------------------


def drawn(case: Case) -> tuple[list[np.ndarray], np.ndarray]:
    """Inputs and demands, the same numbers in float32 and float64."""
    inputs, demand = case.draw(np.random.default_rng(0), COUNT)
    size = np.max(np.abs(flat(inputs)), axis=1)
    kind = np.arange(COUNT) % 6
    demand[kind == 3] = (1e-3 * size * np.sign(demand))[kind == 3]
    demand[kind == 4] *= 30
    demand[::17] = 0
    return [x.astype(np.float32) for x in inputs], demand.astype(np.float32)


def flat(inputs: Sequence[object]) -> Rows:
    """All inputs of a site in one row, in the longest floats."""
    arrays = [np.asarray(x, np.float64) for x in inputs]
    return np.concatenate([x.reshape(len(x), -1) for x in arrays], axis=1).astype(Long)


def objective(case: Case, x: Rows, demand: Rows, weight: float) -> Callable[[Rows], Rows]:
    rest = case.function(x)
    return lambda d: np.sum(d * d, axis=-1) + Long(weight) * (case.function(x + d) - rest - demand) ** 2


def least(case: Case, x: Rows, demand: Rows, weight: float) -> tuple[Rows, Rows]:
    """The lowest objective found at each site, and where."""
    match case.operator.name:
        case "dot" | "product":
            return bilinear_least(x, demand, weight)
        case "sum" | "sum_relu":
            c = (
                WEIGHTS
                if case.operator.name and getattr(case.operator, "weights", ())
                else np.ones(x.shape[1])
            )
            total = np.sum(c * x, axis=1) + (OFFSET if getattr(case.operator, "weights", ()) else 0)
            lines = np.broadcast_to(c.astype(Long), x.shape)
            stop = -total / np.sum(c * c)
            ends = np.stack([stop, np.zeros_like(stop)], axis=1)
            return along(lambda t: lines * t[:, None], objective(case, x, demand, weight), ends, demand)
        case "max" | "min":
            flip = -1 if case.operator.name == "min" else 1
            return level_least(case, x, demand, weight, flip)
    ends = np.concatenate([np.array(case.kinks, Long) - x, np.zeros_like(x)], axis=1)
    return along(lambda t: t[:, None], objective(case, x, demand, weight), ends, demand)


def along(
    path: Callable[[Rows], Rows], value: Callable[[Rows], Rows], ends: Rows, demand: Rows
) -> tuple[Rows, Rows]:
    """The lowest value on a path, by ternary search between the places where its slope may jump."""
    reach = 8 * np.abs(demand)[:, None] + 1e-30
    ends = np.sort(np.concatenate([-reach, np.clip(ends, -reach, reach), reach], axis=1), axis=1)
    best = path(np.zeros(len(demand), Long))
    lowest = value(best)
    for low, high in zip(ends.T[:-1], ends.T[1:], strict=True):
        low, high = low.copy(), high.copy()
        for _ in range(100):
            one, other = low + (high - low) / 3, high - (high - low) / 3
            left = value(path(one)) <= value(path(other))
            low, high = np.where(left, low, one), np.where(left, other, high)
        for t in (low, (low + high) / 2, high):
            found = value(path(t))
            best = np.where((found < lowest)[:, None], path(t), best)
            lowest = np.minimum(found, lowest)
    return lowest, best


def level_least(case: Case, x: Rows, demand: Rows, weight: float, flip: int) -> tuple[Rows, Rows]:
    """The best height of the largest term: those above come down to it, or the first largest rises."""
    terms = flip * x
    top = np.max(terms, axis=1, keepdims=True)
    first = np.arange(x.shape[1]) == np.argmax(terms, axis=1)[:, None]

    def path(height: Rows) -> Rows:
        rise = np.where(first & (height[:, None] > 0), height[:, None], 0)
        return flip * (np.minimum(height[:, None] - (terms - top), 0) + rise)

    return along(path, objective(case, x, demand, weight), terms - top, demand)


def bilinear_least(x: Rows, demand: Rows, weight: float) -> tuple[Rows, Rows]:
    """Levenberg and Marquardt's method from several starts, with Newton's matrix, in units of the site."""
    n, generator, u = x.shape[1] // 2, np.random.default_rng(0), Long(weight)
    size = np.max(np.abs(x), axis=1) + np.sqrt(np.abs(demand)) + Long(1e-9)
    rest = dotted(x)

    def value(d: Rows) -> Rows:
        return np.sum(d * d, axis=1) + u * (dotted(x + d) - rest - demand) ** 2

    def turned(p: Rows) -> Rows:
        return np.concatenate([p[:, n:], p[:, :n]], axis=1)

    starts = [np.zeros_like(x), 1e-3 * size[:, None] * generator.normal(size=x.shape)]
    for sign in (1, -1):  # near where both are equal or opposite, as they are where a demand is far
        shared = x[:, :n] + sign * x[:, n:] + 1e-3 * size[:, None] * generator.normal(size=(len(x), n))
        shared = (
            shared
            / np.sqrt(np.sum(shared * shared, axis=1, keepdims=True))
            * np.sqrt(np.abs(demand))[:, None]
        )
        starts.append(np.concatenate([shared, sign * shared], axis=1) - x)
    eye, swap = np.eye(2 * n), turned(np.eye(2 * n))
    best, lowest = np.zeros_like(x), value(np.zeros_like(x))
    for start in starts:
        d, damping = start.astype(Long), np.full(len(x), 1e-3)
        for _ in range(120):
            slope = turned(x + d)
            off = u * (dotted(x + d) - rest - demand)
            gradient = d + off[:, None] * slope
            matrix = eye + np.asarray(
                u * slope[:, :, None] * slope[:, None, :] + off[:, None, None] * swap, np.float64
            )
            # Newton's matrix where that is positive: with its least eigenvalue taken away elsewhere.
            lowest_curve, highest = np.linalg.eigvalsh(matrix)[:, [0, -1]].T
            lift = np.maximum(-lowest_curve, 0) * 1.1 + damping + 1e-12 * highest
            step = np.linalg.solve(
                matrix + lift[:, None, None] * eye, np.asarray(gradient, np.float64)[..., None]
            )[..., 0]
            better = value(d - step) < value(d)
            d = np.where(better[:, None], d - step, d)
            damping = np.where(better, damping / 5, np.minimum(damping * 4, 1e12))
        found = value(d)
        best = np.where((found < lowest)[:, None], d, best)
        lowest = np.minimum(found, lowest)
    return lowest, best


@functools.cache
def references(name: str, weight: float) -> tuple[Rows, Rows]:
    """What the slow search finds for a case: once for both types."""
    inputs, demand = drawn(CASES[name])
    return least(CASES[name], flat(inputs), demand.astype(Long), weight)


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "float64"])
@pytest.mark.parametrize("weight", TRIED)
@pytest.mark.parametrize("name", CASES)
def test_nothing_found_is_nearer_than_a_response(name: str, weight: float, dtype: str) -> None:
    case, (inputs, demand) = CASES[name], drawn(CASES[name])
    with precision(dtype):
        given = tuple(jnp.asarray(x, dtype) for x in inputs)
        moves = jax.jit(case.operator.respond)(given, jnp.asarray(demand, dtype), weight)
        assert all(
            move.dtype == dtype and move.shape == x.shape for move, x in zip(moves, inputs, strict=True)
        )
    x, d, mine = flat(inputs), demand.astype(Long), flat(moves)
    value = objective(case, x, d, weight)
    lowest, best = references(name, weight)
    still = np.maximum(value(np.zeros_like(mine)), np.finfo(np.float64).tiny)
    # In float32 a place is known to rounding of the inputs, and the value to that of their squares.
    room = {"float32": 3e-6, "float64": 1e-11}[dtype]
    size = np.max(np.abs(x), axis=1) + np.abs(d)
    if case.operator.name in ("dot", "product"):
        size = np.max(np.abs(x), axis=1) + np.sqrt(np.abs(d))
    elif case.kinks or getattr(case.operator, "offset", 0):
        size = np.maximum(size, 1)  # that of the function's own numbers
    # The values of both are themselves rounded, relative to the inputs.
    blurred = np.sqrt(still) * size * {"float32": 3e-5, "float64": 1e-14}[dtype]
    wrong = ~(value(mine) <= lowest + room * still + blurred)
    assert not wrong.any(), describe(wrong, x, d, mine, best, value)
    if dtype == "float64":
        missed = ~(lowest <= value(mine) * (1 + 1e-6) + 1e-13 * still + blurred)
        assert np.mean(missed) <= 0.01, describe(
            missed, x, d, mine, best, value
        )  # the search is worth its name
        room = 1e-5 * np.max(np.abs(best), axis=1) + np.sqrt(1e-16 * still + 1e-4 * blurred)
        wrong = ~(np.max(np.abs(mine - best), axis=1) <= room) & ~missed & ~tied(case, x)
        assert not wrong.any(), describe(wrong, x, d, mine, best, value)


def tied(case: Case, x: Rows) -> Rows:
    """Where two displacements may be as good: on a kink, and where a site is its own mirror image."""
    if case.operator.name in ("dot", "product"):
        n = x.shape[1] // 2
        size = np.max(np.abs(x), axis=1)
        return (
            np.min([np.max(np.abs(x[:, :n] + s * x[:, n:]), axis=1) for s in (1, -1)], axis=0) <= 1e-3 * size
        )
    return np.any(x == np.array(case.kinks), axis=1) if case.kinks else np.zeros(len(x), bool)


def describe(
    wrong: Rows, x: Rows, demand: Rows, mine: Rows, best: Rows, value: Callable[[Rows], Rows]
) -> str:
    """The first site that is wrong, in words."""
    i = int(np.argmax(wrong))
    return (
        f"{wrong.sum()} sites, first {i}: {x[i].tolist()} asked for {demand[i]} moves by {mine[i].tolist()} "
        f"at {value(mine)[i]}, found {best[i].tolist()} at {value(best)[i]}"
    )


def test_named_situations() -> None:
    relu, top = SumRelu(), Max((0,))
    for x, d, move in [
        (1.0, 0.2, 0.1),  # on the linear side, half of it at weight 1
        (1.0, -9.0, -1.0),  # down to the corner
        (0.0, 0.2, 0.1),  # at the corner, up
        (0.0, -0.2, 0.0),  # and not down
        (-1.0, 2.0, 0.0),  # the flat side is nearer,
        (-1.0, 2.5, 1.75),  # and from d = 1 + sqrt 2 on the linear side
    ]:
        (found,) = jax.jit(relu.respond)((jnp.array([x]),), jnp.array([d]), 1.0)
        assert found.tolist() == pytest.approx([move], abs=1e-6)
    for xs, d, moves in [
        ([1.0, 1.0, 0.0], 2.0, [1.0, 0.0, 0.0]),  # of a tie the first rises
        ([3.0, 3.0, 0.0], -3.0, [-1.0, -1.0, 0.0]),  # a tie comes down together
        ([3.0, 1.0, 0.0], -2.0, [-1.0, 0.0, 0.0]),
        ([3.0, 3.0, 0.0], 0.0, [0.0, 0.0, 0.0]),
    ]:
        (found,) = jax.jit(top.respond)((jnp.array(xs),), jnp.array(d), 1.0)
        assert found.tolist() == pytest.approx(moves, abs=1e-6)
    assert ABS.respond((jnp.zeros(2),), jnp.array([1.0, -1.0]), 1.0)[0].tolist() == [-0.5, 0]
    zero = jnp.zeros((1, 2))
    a, b = jax.jit(Dot().respond)((zero, zero), jnp.array([-5.0]), 1.0)
    assert (a.tolist(), b.tolist()) == ([[2, 0]], [[-2, 0]])


def test_jumps_are_bridged() -> None:
    assert Piecewise((0.0,), (0.0, 0.0), (-1.0, 1.0)).bridged() == Piecewise(
        (-1.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 1.0)
    )
    assert ABS.bridged() is ABS
    assert operator("round").bridged() == operator("identity")
    x = np.linspace(-5, 5, 1001)
    for one in (HAT, STAIRS, STEP, Quantize(LEVELS), ABS):
        name = next(name for name, case in CASES.items() if case.operator == one)
        with precision("float64"):
            found = one.bridged().forward(jnp.asarray(x))
        np.testing.assert_allclose(found, CASES[name].function(x[:, None].astype(Long)), atol=1e-12)
        assert one.bridged().bridged() == one.bridged()


def test_gains_are_what_linear_sites_need() -> None:
    x, u = jnp.array([-2.0, 0.5]), 1e-2
    weights = float(np.sum(WEIGHTS**2))
    assert Sum((1,)).gain((jnp.ones((2, 4)),), u) == pytest.approx((1 + 4 * u) / u)
    assert SumRelu((), tuple(WEIGHTS), OFFSET).gain((x, x, x), u) == pytest.approx((1 + weights * u) / u)
    for one in (Max((0,)), Min((0,)), operator("identity"), operator("round")):
        assert one.gain((x,), u) == pytest.approx((1 + u) / u)
    leaky = Piecewise((0.0,), (0.1, 1.0), (0.0, 0.0))
    assert leaky.gain((x,), u).tolist() == pytest.approx([(1 + 0.01 * u) / u, (1 + u) / u])
    assert STEP.gain((x,), u).tolist() == pytest.approx([1, 1 / u + 1])  # on the bridge
    a, b = jnp.array([[1.0, 2.0], [0.0, 3.0]]), jnp.array([[1.0, 0.0], [1.0, 1.0]])
    assert Dot().gain((a, b), u) == pytest.approx((1 + u * (6 + 11) / 2) / u)
    assert operator("product").gain((a, b), u) == pytest.approx((1 + u * (14 + 3) / 4) / u)


@pytest.mark.parametrize("name", CASES)
def test_weights_may_differ_from_site_to_site(name: str) -> None:
    case, (inputs, demand) = CASES[name], drawn(CASES[name])
    weights = np.where(np.arange(COUNT) % 2, 1e-2, 3.0)
    with precision("float64"):
        given = tuple(jnp.asarray(x, "float64") for x in inputs)
        d = jnp.asarray(demand, "float64")
        mixed = case.operator.respond(given, d, jnp.asarray(weights))
        for weight in (1e-2, 3.0):
            alone = case.operator.respond(given, d, weight)
            for one, other in zip(mixed, alone, strict=True):
                np.testing.assert_allclose(
                    one[weights == weight], other[weights == weight], rtol=1e-9, atol=1e-15
                )
        scaled = case.operator.scaled_response(given, d, jnp.asarray(weights))
        assert [each.shape for each in scaled] == [x.shape for x in inputs]


# --- small demands, extremes ---------------------------------------------------------------------------


@pytest.mark.parametrize("part", [pytest.param(1e-7, marks=pytest.mark.slow), 1e-30])
@pytest.mark.parametrize("name", CASES)
def test_small_demands_get_through_in_float32(name: str, part: float) -> None:
    case = CASES[name]
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    inputs, _ = case.draw(generator, COUNT)
    inputs = [(2 + generator.normal(size=x.shape)).astype(np.float32) for x in inputs]
    demand = (part * generator.choice([-3.0, 0.5, 2.0], COUNT)).astype(np.float32)
    found = {}
    for dtype in ("float32", "float64"):
        with precision(dtype):
            given = tuple(jnp.asarray(x, dtype) for x in inputs)
            made = jax.jit(case.operator.respond)(given, jnp.asarray(demand, dtype), 1e-2)
            found[dtype] = np.asarray(flat(made), np.float64)
    assert np.any(found["float64"] != 0) or name == "one level"
    # What cancels in an entry is rounded relative to the largest of its site.
    room = 2e-6 * np.max(np.abs(found["float64"]), axis=1, keepdims=True) * np.ones_like(found["float64"])
    assert np.all(np.abs(found["float32"] - found["float64"]) <= room)


def extremes(dtype: str) -> np.ndarray:
    info = np.finfo(dtype)
    return np.array([0, 1, -1, info.tiny, -info.tiny, info.max / 8, -info.max / 8, 1e-30, 1e15], dtype)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_no_extreme_gives_a_nan(name: str, dtype: str) -> None:
    case, generator = CASES[name], np.random.default_rng(0)
    shapes = [x.shape[1:] for x in case.draw(generator, 2)[0]]
    with precision(dtype):
        inputs = tuple(jnp.asarray(generator.choice(extremes(dtype), (3000, *shape))) for shape in shapes)
        demand = jnp.asarray(generator.choice(extremes(dtype), 3000))
        respond = jax.jit(case.operator.respond)
        for weight in VALUE_WEIGHTS:
            for move in respond(inputs, demand, weight):
                assert not np.any(np.isnan(move)), np.flatnonzero(np.isnan(np.asarray(move)))[:3]


STRENGTHS = {name: ("strength" in loss(name).__dataclass_fields__) for name in LOSSES}


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", LOSSES)
def test_demands_of_losses_are_how_far_the_projection_moves(name: str, dtype: str) -> None:
    generator = np.random.default_rng(2)
    for spread in (1e-3, 30.0):
        value = (spread * generator.normal(size=(200, 5))).astype(dtype)
        target = generator.integers(0, 5, 200)
        if name in ("squared_error", "equal", "multi_label"):
            target = (generator.normal(size=value.shape) > 0).astype(dtype)
        for one in [loss(name), *([loss(name, strength=0.3)] if STRENGTHS[name] else [])]:
            with precision(dtype):
                (found,) = jax.jit(one.demand)((jnp.asarray(value),), target)
                (new,) = one.project((jnp.asarray(value),), target)
            assert found.dtype == dtype
            room = {"float32": 1e-6, "float64": 1e-14}[dtype] * (1 + 10 * spread)
            np.testing.assert_allclose(found, np.asarray(new) - value, rtol=0, atol=room)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", LOSSES)
def test_demands_of_losses_are_numbers(name: str, dtype: str) -> None:
    generator = np.random.default_rng(0)
    value = generator.choice(extremes(dtype), (2000, 4))
    numbers = name in ("squared_error", "equal", "multi_label")
    target = generator.choice(extremes(dtype), value.shape) if numbers else generator.integers(0, 4, 2000)
    with precision(dtype):
        (found,) = jax.jit(loss(name).demand)((jnp.asarray(value),), jnp.asarray(target))
    assert not np.any(np.isnan(found))


def test_a_demand_keeps_its_digits_where_softmax_is_nearly_right() -> None:
    logits = np.array([[40.0, 0.0, 3.0], [60.0, 1.0, 0.0], [90.0, 89.0, 5.0]], np.float32)
    (found,) = loss("cross_entropy").demand((jnp.asarray(logits),), np.array([0, 0, 0]))
    rest = logits[:2].astype(Long)
    chances = np.exp(rest - np.max(rest, axis=1, keepdims=True))  # which the moved logits barely change
    chances /= np.sum(chances, axis=1, keepdims=True)
    np.testing.assert_allclose(found[:2, 1:], -chances[:, 1:].astype(float), rtol=2e-5)
    np.testing.assert_allclose(found[:2, 0], np.sum(chances[:, 1:], axis=1).astype(float), rtol=2e-5)
    np.testing.assert_allclose(np.sum(found, axis=1), 0, atol=1e-7)


@pytest.mark.parametrize("name", some_quick(SETS, 4))
def test_sets_demand_their_projection_and_keep_what_may_add_up(name: str) -> None:
    one = example_of(name)
    x = jnp.asarray(3 * np.random.default_rng(0).normal(size=(4, 4)), jnp.float32)
    np.testing.assert_array_equal(one.demand(x), one.project(x) - x)
    kept = one.keep(x)
    if name in ("levels", "powers_of_two"):
        outer = {"levels": 1.5, "powers_of_two": 1.25}[name]
        np.testing.assert_array_equal(kept, np.clip(x, -outer, outer))
    elif isinstance(one, Pieces):
        np.testing.assert_array_equal(kept, x)
    else:
        np.testing.assert_array_equal(kept, one.project(x))
    largest = np.resize(extremes("float32"), (4, 4))
    assert name == "rank" or not np.any(np.isnan(one.demand(largest)))


# --- without the copies --------------------------------------------------------------------------------


@functools.cache
def convolution() -> Convolution:
    return Convolution((5, 6), (2, 3), (1, 2), (1, 1), (1, 0), (0, 1))


MAPS: dict[str, tuple[Bilinear, tuple[int, ...], tuple[int, ...]]] = {
    "matrices": (MATRIX, (5, 7), (7, 3)),
    "one row": (MATRIX, (1, 4), (4, 6)),
    "in a loop": (MATRIX, (3, 5, 7), (3, 7, 2)),
    "shared by a batch": (MATRIX, (4, 5, 7), (7, 3)),
    "broadcast": (MATRIX, (2, 1, 5, 3), (4, 3, 2)),
    "a matrix on the left": (MATRIX, (5, 3), (4, 3, 2)),
    "convolution": (convolution(), (2, 5, 6, 3), (2, 3, 3, 2)),
}


def copies(product: Bilinear, a: jax.Array, w: jax.Array) -> tuple[Callable, ...]:
    """What makes the copies of a and of w at every site, ``[sites, N]``: both are linear."""
    if isinstance(product, Convolution):

        def patches(x: jax.Array) -> jax.Array:
            n, window = x.shape[3], product.window
            eye = jnp.eye(window[0] * window[1] * n, dtype=x.dtype).reshape(*window, n, -1)
            cut = product.forward(x, eye)
            return jnp.broadcast_to(cut[..., None, :], (*cut.shape[:3], w.shape[3], cut.shape[3]))

        def kernels(x: jax.Array) -> jax.Array:
            columns = x.reshape(-1, x.shape[3]).T
            sites = product.forward(a, w).shape[:3]
            return jnp.broadcast_to(columns, (*sites, *columns.shape))

        # Where a window reaches over the edge a is 0, and w takes no part.
        inside = patches(jnp.ones_like(a))
        return patches, lambda x: kernels(x) * inside
    shape = (*product.forward(a, w).shape, a.shape[-1])
    return (
        lambda x: jnp.broadcast_to(x[..., :, None, :], shape),
        lambda x: jnp.broadcast_to(jnp.swapaxes(x, -1, -2)[..., None, :, :], shape),
    )


@pytest.mark.parametrize(
    "size", [pytest.param(1e-6, marks=pytest.mark.slow), 1.0, pytest.param(1e9, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", some_quick(MAPS, 4))
def test_compressed_responses_are_sums_over_all_copies(name: str, size: float) -> None:
    product, one, other = MAPS[name]
    generator, c = np.random.default_rng(3), 0.1
    with precision("float64"):
        a, w = (jnp.asarray(generator.normal(size=shape)) for shape in (one, other))
        z = product.forward(a, w)
        d = jnp.asarray(size * generator.normal(size=z.shape))
        of_a, of_w = copies(product, a, w)
        whole_w = isinstance(product, Convolution)
        rows, columns = of_a(a), of_w(w)
        np.testing.assert_allclose(jnp.sum(rows * columns, axis=-1), z, atol=1e-12)
        # At the edge of an image a site has all of w, though it multiplies zeros.
        full = jnp.broadcast_to(product.rhs_inner(w, w), z.shape) if whole_w else jnp.sum(columns**2, axis=-1)
        u = c / (jnp.mean(jnp.sqrt(jnp.sum(rows**2, axis=-1))) ** 2 + jnp.mean(jnp.sqrt(full)) ** 2)
        if whole_w:  # the part of w that meets zeros lengthens the site, and moves by t^2 R w
            beyond = full - jnp.sum(columns**2, axis=-1)
            rows = jnp.concatenate([rows, 0 * beyond[..., None]], axis=-1)
            columns = jnp.concatenate([columns, jnp.sqrt(beyond)[..., None]], axis=-1)
        moves = [each * (1 + c) / u for each in Dot().respond((rows, columns), d, u)]
        m = jax.jit(lambda a, w, z, d: of_sites(product, a, w, z, d, c))(a, w, z, d)
        _, back = jax.vjp(of_a, a)
        (expected,) = back(moves[0][..., : of_a(a).shape[-1]])
        np.testing.assert_allclose(
            lhs_response(product, m, a, w),
            expected,
            rtol=1e-9,
            atol=1e-10 * float(jnp.max(jnp.abs(expected))),
        )
        if not whole_w:
            (expected,) = jax.vjp(of_w, w)[1](moves[1])
            np.testing.assert_allclose(
                rhs_response(product, m, a, w),
                expected,
                rtol=1e-9,
                atol=1e-10 * float(jnp.max(jnp.abs(expected))),
            )


@pytest.mark.parametrize("size", [1e-15, 1e-10, 1e15, 1e25, 1e36])
@pytest.mark.parametrize("part", [30.0, 1e-3, 1e-7])
def test_the_scale_of_the_data_does_not_matter(size: float, part: float) -> None:
    """Float32 against float64, in which squares of such entries neither overflow nor vanish."""
    generator = np.random.default_rng(0)
    a, w = (np.float32(size) * generator.normal(size=s).astype(np.float32) for s in ((6, 5), (5, 4)))
    d = (part * min(size**2, 1e35) * generator.normal(size=(6, 4))).astype(np.float32)

    @jax.jit
    def found(a: jax.Array, w: jax.Array, d: jax.Array) -> tuple[jax.Array, jax.Array]:
        m = of_sites(MATRIX, a, w, MATRIX.forward(a, w), d, 0.1)
        return m.sigma, m.rho

    made = []
    for dtype in ("float32", "float64"):
        with precision(dtype):
            made.append(found(*(jnp.asarray(each, dtype) for each in (a, w, d))))
    (sigma, rho), exact = made
    least = 2 * float(np.finfo(np.float32).tiny)
    np.testing.assert_allclose(sigma, exact[0], rtol=3e-5, atol=least)
    # Both go with entries of one size, so that rho counts beside sigma alone.
    room = 1e-9 * float(np.max(np.abs(exact[0]))) + least
    np.testing.assert_allclose(rho, exact[1], rtol=3e-5, atol=room)


@pytest.mark.parametrize("share", [0.03, 0.06, 0.2, 0.3, 5.0, 1e4])
def test_series_steps_and_digits_agree_in_single_precision(share: float) -> None:
    """Float32 against float64, where the largest demand times u is on either side of every limit."""
    generator = np.random.default_rng(2)
    a, w, d = (generator.normal(size=s).astype(np.float32) for s in ((7, 5), (5, 6), (7, 6)))
    n = np.hypot(np.linalg.norm(a, axis=1).mean(), np.linalg.norm(w, axis=0).mean())
    d *= np.float32(share * n**2 / 0.1 / np.max(np.abs(d)))
    made = []
    for dtype in ("float32", "float64"):
        with precision(dtype):
            one, other, asked = (jnp.asarray(each, dtype) for each in (a, w, d))
            made.append(multipliers_of_matrices(one, other, asked))
    for found, exact in zip(*made, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6 * float(np.max(np.abs(exact))))


@pytest.mark.parametrize("shape", [(64, 48), (40, 7), (3, 200)])
def test_a_search_keeps_nothing_beside_what_it_looks_for(shape: tuple[int, int]) -> None:
    """What it makes at every turn XLA would make beforehand, and keep, if it knew that it is the same."""
    a, w, z = jnp.ones((shape[0], 5)), jnp.ones((5, shape[1])), jnp.ones(shape)
    found = jax.jit(lambda a, w, z, d: of_sites(MATRIX, a, w, z, d, 0.1))
    (loop,) = re.findall(r"= \((.*)\) while\(", found.lower(a, w, z, z).compile().as_text())
    kept = re.findall(rf"[a-z]+[0-9]*\[{shape[0]},{shape[1]}\]", loop)
    assert len(kept) == 3  # the multipliers, values and demands


@pytest.mark.parametrize("part", [1.0, 1e-7, 1e-30])
def test_small_demands_get_through_without_copies(part: float) -> None:
    generator = np.random.default_rng(1)
    a, w = generator.normal(size=(20, 8)).astype(np.float32), generator.normal(size=(8, 9)).astype(np.float32)
    d = (part * generator.normal(size=(20, 9))).astype(np.float32)
    made = []
    for dtype in ("float32", "float64"):
        with precision(dtype):
            one, other, asked = (jnp.asarray(each, dtype) for each in (a, w, d))
            m = multipliers_of_matrices(one, other, asked)
            made.append((m.sigma, lhs_response(MATRIX, m, one, other), rhs_response(MATRIX, m, one, other)))
    for one, other in zip(*made, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-6 * float(np.max(np.abs(other))))


def test_extreme_operands_give_numbers() -> None:
    generator = np.random.default_rng(0)

    @jax.jit
    def answered(a: jax.Array, w: jax.Array, d: jax.Array) -> list[jax.Array]:
        m = of_sites(MATRIX, a, w, MATRIX.forward(a, w), d, 0.1)
        return [*m, lhs_response(MATRIX, m, a, w), rhs_response(MATRIX, m, a, w)]

    for size in (0, 1e-38, 1e-20, 1.0, 1e18, 3e37):
        for demand in (0, 1e-38, 1e-7, 1e10, 1e30):
            a, w = size * generator.choice([-1, 0, 1], (4, 3)), size * generator.choice([-1, 0, 1], (3, 2))
            d = demand * generator.choice([-1, 0, 1], (4, 2))
            made = answered(*(jnp.asarray(each, jnp.float32) for each in (a, w, d)))
            # Beyond the largest float sums of both signs are no numbers, as in any product.
            shown = made if size * demand < 1e37 else made[:2]
            assert not any(np.any(np.isnan(each)) for each in shown), (size, demand)
            if size == 0:
                assert not np.any(made[2]) and not np.any(made[3])


# --- the limit of small weights ------------------------------------------------------------------------

SMOOTH = {name: CASES[name] for name in ("sum", "weighted sum", "dot", "product", "identity")}


@pytest.mark.parametrize("name", SMOOTH)
def test_small_weights_lead_to_the_derivative(name: str) -> None:
    case, generator = SMOOTH[name], np.random.default_rng(5)
    with precision("float64"):
        inputs = tuple(jnp.asarray(generator.normal(size=x.shape)) for x in case.draw(generator, 24)[0])
        value, back = jax.vjp(case.operator.forward, *inputs)
        demand = jnp.asarray(generator.normal(size=value.shape))
        expected = flat(back(demand))
        away = []
        for weight in (1e-4, 5e-5):
            found = flat(case.operator.scaled_response(inputs, demand, weight))
            away.append(float(np.max(np.abs(found - expected))))
    if name in ("dot", "product"):
        assert away[0] < 1e-2 and away[0] / away[1] == pytest.approx(2, rel=0.05)
    else:
        assert max(away) < 1e-11


@pytest.mark.parametrize("shape", [(1,), (32,), (67,), (256,), (2560,), (5000,), (3, 96), (2, 1, 77)])
def test_reductions_in_blocks_are_reductions(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(-99, 99, shape).astype(np.float32)
    np.testing.assert_array_equal(in_blocks(jnp.sum, jnp.asarray(x)), x.sum(-1))
    np.testing.assert_array_equal(in_blocks(jnp.max, jnp.asarray(x)), x.max(-1))
