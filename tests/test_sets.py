"""Hard constraints: each set's projection against brute force, and what training makes of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq, isotonic_regression, linear_sum_assignment
from set_examples import example_of

import pjc
from pjc.diagnostics import DiagnosticError
from pjc.dialects.sets import SETS as KINDS
from pjc.runtime.data.dataset import Dataset
from pjc.runtime.evaluate import evaluate, metric
from pjc.runtime.history import Checkpoint, read_checkpoint, read_parameters, write_checkpoint
from pjc.runtime.projections import SETS, constraint_set
from pjc.runtime.projections.sets import ConstraintSet, Entries, Pieces
from pjc.runtime.train import Run, train

Vector = np.ndarray
N = 4
COUNT = 70


@dataclass(frozen=True)
class Case:
    """A set of N entries: whether they are in it, and the least square distance by brute force.

    ``shape`` is theirs, where the set is one of matrices.
    """

    fields: dict[str, object]
    holds: Callable[[Vector], bool]
    least: Callable[[Vector], float]
    shape: tuple[int, ...] = (N,)

    def projected(self, one: ConstraintSet, x: Vector) -> Vector:
        """The projection of each row of x, as a tensor of the shape that the set is one of."""
        alone = jax.jit(jax.vmap(lambda own: one.project(own[None])[0]))
        return alone(x.reshape(-1, *self.shape)).reshape(x.shape)


def near(value: float, wanted: float) -> bool:
    return abs(value - wanted) <= 1e-6 * (1 + abs(wanted))


def ball_least(x: Vector) -> float:
    return brute_force.convex_set(x, [(lambda p: 4.0 - np.sum(p**2), "ineq")])


def sphere_least(x: Vector) -> float:
    """The least over points of the sphere drawn all around, and around the nearest of them again."""
    generator = np.random.default_rng(0)
    best, centre, size = np.inf, np.zeros(N), 1.0
    for _ in range(40):
        points = centre + size * generator.normal(size=(400, N))
        points *= 2.0 / np.linalg.norm(points, axis=1, keepdims=True)
        distances = np.sum((points - x) ** 2, axis=1)
        if np.min(distances) < best:
            best, centre = float(np.min(distances)), points[np.argmin(distances)]
        size *= 0.7
    return best


def simplex_least(x: Vector) -> float:
    """The least over which entries are positive: on each face the projection onto a hyperplane."""
    best = np.inf
    for face in itertools.product([False, True], repeat=N):
        on = np.array(face)
        if on.any():
            p = np.where(on, x + (1.5 - np.sum(x[on])) / on.sum(), 0)
            if np.all(p >= -1e-9):
                best = min(best, float(np.sum((p - x) ** 2)))
    return best


def sparse_least(x: Vector) -> float:
    chosen = itertools.combinations(range(N), 2)
    return min(float(np.sum(np.delete(x, list(kept)) ** 2)) for kept in chosen)


def levels_least(x: Vector) -> float:
    return float(np.sum(np.min((x[:, None] - np.array([-1.0, 0.0, 1.0])) ** 2, axis=1)))


def clipped_least(low: float, high: float) -> Callable[[Vector], float]:
    inside = [(lambda p: p - low, "ineq"), (lambda p: high - p, "ineq")]
    return lambda x: brute_force.convex_set(x, inside)


def inside(
    *functions: Callable[[Vector], object], equal: Sequence[Callable[[Vector], object]] = ()
) -> Callable:
    """The least by a general minimizer: functions at least 0, and those that are 0."""
    every = [*((each, "ineq") for each in functions), *((each, "eq") for each in equal)]
    return lambda x: brute_force.convex_set(x, every)


def best_of(choices: Iterable[Sequence[int]]) -> Callable[[Vector], float]:
    """The least over which entries may stay: all others become 0."""
    kept = [list(each) for each in choices]
    return lambda x: min(float(np.sum(np.delete(x, each) ** 2)) for each in kept)


def scaled_least(levels: Sequence[float]) -> Callable[[Vector], float]:
    """The least over all vectors of levels, each with its best scale."""
    every = np.array(list(itertools.product(levels, repeat=N)))
    sizes = np.maximum(np.sum(every**2, axis=1), 1e-30)
    return lambda x: float(np.sum(x**2) - np.max(np.maximum(every @ x, 0) ** 2 / sizes))


def turned_least(x: Vector) -> float:
    """The least over rotations and reflections of the plane, at 20,000 angles."""
    angle = np.linspace(0, 2 * np.pi, 20000)
    c, s = np.cos(angle), np.sin(angle)
    both = [np.stack(each, axis=1) for each in ((c, -s, s, c), (c, s, s, -c))]
    return min(float(np.min(np.sum((each - x) ** 2, axis=1))) for each in both)


def stretched_least(x: Vector) -> float:
    """The least over ``R diag(s, t) R'`` with two turns at 200 angles each, and s and t of at most 1.5."""
    angle = np.linspace(0, np.pi, 200)
    c, s = np.cos(angle), np.sin(angle)
    turn = np.stack([c, -s, s, c], axis=1).reshape(-1, 2, 2)
    seen = np.einsum("aij,jk,bkl->abil", turn, x.reshape(MATRIX), turn)
    return float(np.min(np.sum((seen - EYE * np.clip(seen, -1.5, 1.5)) ** 2, axis=(2, 3))))


def rays_least(x: Vector) -> float:
    """The least over ``a v v^T + b w w^T`` with orthogonal v and w at 4,000 angles, a and b at least 0."""
    angle = np.linspace(0, np.pi, 4000)
    c, s = np.cos(angle), np.sin(angle)
    one, other = np.stack([c * c, c * s, c * s, s * s], 1), np.stack([s * s, -c * s, -c * s, c * c], 1)
    gain = np.maximum(one @ x, 0) ** 2 + np.maximum(other @ x, 0) ** 2
    return float(np.sum(x**2) - np.max(gain))


ALL = {"axes": (1,)}
MATRIX, EYE = (2, 2), np.eye(2)
SIGNS = np.array(list(itertools.product([-1.0, 1.0], repeat=N)))
POWERS = [-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]
CROSSED = np.linspace(0, 1, 4001)[:, None] * [1, -1, -1, 1] + [0, 1, 1, 0]
PLANES = np.array([[1.0, 1, 0, 0], [0, 1, -1, 2]])
CASES = {
    "box": Case(
        {"low": -0.5, "high": 1.0}, lambda p: bool(np.all((p >= -0.5) & (p <= 1))), clipped_least(-0.5, 1)
    ),
    "nonneg": Case({}, lambda p: bool(np.all(p >= 0)), clipped_least(0, 1e6)),
    "ball": Case({"radius": 2.0, **ALL}, lambda p: np.linalg.norm(p) <= 2 + 1e-6, ball_least),
    "sphere": Case({"radius": 2.0, **ALL}, lambda p: near(float(np.linalg.norm(p)), 2), sphere_least),
    "simplex": Case(
        {"total": 1.5, **ALL}, lambda p: bool(np.all(p >= 0)) and near(float(np.sum(p)), 1.5), simplex_least
    ),
    "sparse": Case({"k": 2, **ALL}, lambda p: np.count_nonzero(p) <= 2, sparse_least),
    "levels": Case(
        {"levels": (-1.0, 0.0, 1.0)}, lambda p: bool(np.all(np.isin(p, [-1, 0, 1]))), levels_least
    ),
    "mask": Case(
        {"entries": (1.0, 0.0, 0.0, 1.0), "shape": (N,)},
        lambda p: p[1] == p[2] == 0,
        lambda x: float(x[1] ** 2 + x[2] ** 2),
    ),
    "l1_ball": Case(
        {"radius": 1.5, **ALL},
        lambda p: np.sum(np.abs(p)) <= 1.5 + 1e-6,
        inside(lambda p: 1.5 - SIGNS @ p),
    ),
    "fixed_sum": Case(
        {"total": 1.5, **ALL},
        lambda p: near(float(np.sum(p)), 1.5) or abs(np.sum(p) - 1.5) <= 1e-6 * np.max(np.abs(p)),
        inside(equal=[lambda p: np.sum(p) - 1.5]),
    ),
    "halfspace": Case(
        {"normal": (1.0, -2.0, 0.0, 1.0), "normal_shape": (N,), "bound": 0.5, **ALL},
        lambda p: p @ [1, -2, 0, 1] <= 0.5 + 1e-5 * (1 + np.max(np.abs(p))),
        inside(lambda p: 0.5 - p @ [1, -2, 0, 1]),
    ),
    "affine": Case(
        {
            "matrix": tuple(map(float, PLANES.ravel())),
            "matrix_shape": (2, N),
            "value": (1.0, 0.5),
            "value_shape": (2,),
            **ALL,
        },
        lambda p: bool(np.all(np.abs(PLANES @ p - [1, 0.5]) <= 1e-5 * (1 + np.max(np.abs(p))))),
        inside(equal=[lambda p: PLANES @ p - [1, 0.5]]),
    ),
    "monotone": Case(ALL, lambda p: bool(np.all(np.diff(p) >= 0)), inside(np.diff)),
    "group_sparse": Case(
        {"k": 1, "group": 2, **ALL},
        lambda p: not p[:2].any() or not p[2:].any(),
        best_of([(0, 1), (2, 3)]),
    ),
    "nm_sparse": Case(
        {"n": 1, "m": 2, **ALL},
        lambda p: p[0] * p[1] == p[2] * p[3] == 0,
        best_of(itertools.product([0, 1], [2, 3])),
    ),
    "powers_of_two": Case(
        {"low": -2, "high": 0},
        lambda p: bool(np.all(np.isin(p, POWERS))),
        lambda x: float(np.sum(np.min((x[:, None] - POWERS) ** 2, axis=1))),
    ),
    "scaled_levels": Case(
        {"levels": (-1.0, 0.0, 1.0), **ALL},
        lambda p: len({*np.abs(p[p != 0]).tolist()}) <= 1,
        scaled_least([-1, 0, 1]),
    ),
    "tied": Case(
        {"entries": (1.0, 2.0, 2.0, 7.0), "shape": (N,)},
        lambda p: p[1] == p[2],
        inside(equal=[lambda p: p[1] - p[2]]),
    ),
    "circulant": Case(
        {},
        lambda p: p[0] == p[3] and p[1] == p[2],
        inside(equal=[lambda p: p[0] - p[3], lambda p: p[1] - p[2]]),
        MATRIX,
    ),
    "spectral_ball": Case(
        {"radius": 1.5},
        lambda p: np.linalg.norm(p.reshape(MATRIX), 2) <= 1.5 + 1e-5,
        stretched_least,
        MATRIX,
    ),
    "orthonormal": Case(
        {},
        lambda p: np.allclose(p.reshape(MATRIX).T @ p.reshape(MATRIX), EYE, atol=1e-5),
        turned_least,
        MATRIX,
    ),
    "psd": Case(
        {},
        lambda p: (
            p[1] == p[2] and np.min(np.linalg.eigvalsh(p.reshape(MATRIX))) >= -1e-5 * (1 + np.max(np.abs(p)))
        ),
        rays_least,
        MATRIX,
    ),
    "birkhoff": Case(
        {},
        lambda p: bool(np.all(p >= 0)) and np.allclose([p[0] + p[1], p[0] + p[2], p[1] + p[3]], 1, atol=1e-5),
        lambda x: float(np.min(np.sum((CROSSED - x) ** 2, axis=1))),
        MATRIX,
    ),
    "intersection": Case(
        {
            "sets": (
                constraint_set("box", low=-0.5, high=1.0),
                constraint_set("fixed_sum", total=1.5, axes=(1,)),
            )
        },
        lambda p: bool(np.all((p >= -0.5 - 1e-5) & (p <= 1 + 1e-5))) and near(float(np.sum(p)), 1.5),
        inside(lambda p: p + 0.5, lambda p: 1 - p, equal=[lambda p: np.sum(p) - 1.5]),
    ),
    "equal": Case(
        {"entries": (1.0, 2.0, 3.0, 4.0), "shape": (N,)},
        lambda p: p.tolist() == [1, 2, 3, 4],
        lambda x: float(np.sum((x - [1, 2, 3, 4]) ** 2)),
    ),
}


def points(dtype: str) -> np.ndarray:
    generator = np.random.default_rng(5)
    x = generator.normal(size=(COUNT, N)) * 10.0 ** generator.choice([-1, 0, 0, 1], COUNT)[:, None]
    x[::7] = 0
    x[1::7] = x[1::7, :1]
    x[2::7] = np.round(x[2::7])
    x[3::7, 1] = -x[3::7, 0]
    return x.astype(dtype)


def test_the_table_covers_the_registry() -> None:
    assert {*CASES, "rank"} == set(SETS)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_the_projection_is_in_the_set_and_nothing_found_is_nearer(name: str, dtype: str) -> None:
    case, x = CASES[name], points(dtype)
    with jax.enable_x64(dtype == "float64"):
        one = constraint_set(name, **case.fields)
        new = case.projected(one, x)
        again = case.projected(one, new)
    assert new.dtype.name == dtype and np.all(np.isfinite(new))
    tolerance = 1e-5 if dtype == "float32" else 1e-7
    np.testing.assert_allclose(again, new, rtol=tolerance, atol=tolerance)
    for before, after in zip(x.astype(float), np.asarray(new, float), strict=True):
        assert case.holds(after), (before, after)
        least, mine = case.least(before), float(np.sum((after - before) ** 2))
        assert mine <= least + 10 * tolerance * (1 + np.sum(before**2)), (before, after, mine, least)


@pytest.mark.parametrize("rank", [1, 2])
def test_no_matrix_of_low_rank_is_nearer(rank: int) -> None:
    """Against alternating least squares, which finds the best factors of small matrices from a few starts."""
    generator = np.random.default_rng(7)
    for _ in range(10):
        x = generator.normal(size=(5, 4))
        with jax.enable_x64(True):
            new = np.asarray(constraint_set("rank", rank=rank).project(x))
        assert np.linalg.matrix_rank(new, 1e-8) <= rank
        best = np.inf
        for _ in range(5):
            right = generator.normal(size=(rank, 4))
            for _ in range(300):
                left = x @ np.linalg.pinv(right)
                right = np.linalg.pinv(left) @ x
            best = min(best, float(np.sum((left @ right - x) ** 2)))
        assert np.sum((new - x) ** 2) <= best + 1e-9


@pytest.mark.parametrize("name", CASES)
def test_extreme_vectors_stay_finite(name: str) -> None:
    sizes = (0.0, 1e30, -1e30, 3.4e38, 1e-40)
    rows = [row for v in sizes for row in ([v, 0, 0, 0], [v] * 4, [v, -v, 1, 0])]
    found = CASES[name].projected(constraint_set(name, **CASES[name].fields), np.array(rows, np.float32))
    assert np.all(np.isfinite(found))


JOINED = [name for name in CASES if not KINDS[name].entrywise and not isinstance(example_of(name), Pieces)]
SMOOTH = ["sphere", "orthonormal"]
QUICK = ["ball", "sphere", "simplex", "halfspace", "spectral_ball"]
OF_JOINED = [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in JOINED]


def boundary(name: str, dtype: str) -> tuple[ConstraintSet, np.ndarray, np.ndarray]:
    """A set, points of it most of which are at its edge, and a move for each."""
    generator = np.random.default_rng(3)
    one, shape = constraint_set(name, **CASES[name].fields), CASES[name].shape
    drawn, moves = 2 * generator.normal(size=(2, 24, *shape)).astype(dtype)
    at = jax.jit(jax.vmap(lambda each: one.project(each[None])[0]))(drawn)
    return one, np.asarray(at), moves / 2


@pytest.mark.parametrize("name", OF_JOINED)
def test_a_move_within_a_set_is_the_nearest_of_the_directions_that_stay_in_it(name: str) -> None:
    """By what tells that direction (Moreau): what is left out is normal to it, and to all that stays in."""
    with jax.enable_x64(True):
        one, at, moves = boundary(name, "float64")
        near = at[:, None] + 0.01 * np.random.default_rng(4).normal(size=(len(at), 20, *at.shape[1:]))
        project = jax.vmap(lambda x: one.project(x[None])[0])
        found = jax.jit(jax.vmap(lambda at, move: one.within(at[None], move[None])[0]))(at, moves)
        ahead = at + 1e-4 * np.asarray(found)
        away, beside = jax.jit(lambda ahead, near: (project(ahead) - ahead, jax.vmap(project)(near)))(
            ahead, near
        )
    flat = len(at), -1
    moves, found, away = (np.asarray(each).reshape(flat) for each in (moves, found, away))
    length, left = np.linalg.norm(moves, axis=1), moves - found
    assert np.all(np.abs(np.sum(left * found, axis=1)) <= 0.03 * length**2)
    assert np.all(np.linalg.norm(away, axis=1) <= 0.03 * 1e-4 * length)
    along = (np.asarray(beside) - at[:, None]).reshape(len(at), 20, -1)
    blocked = np.einsum("ai,aji->aj", left, along) / length[:, None]
    blocked /= np.maximum(np.linalg.norm(along, axis=2), 1e-9)
    assert np.all((np.abs(blocked) if name in SMOOTH else blocked) <= 0.03)


@pytest.mark.parametrize("name", OF_JOINED)
def test_a_smaller_move_within_a_set_is_as_much_smaller(name: str) -> None:
    one, at, moves = boundary(name, "float32")
    within = jax.jit(jax.vmap(lambda at, move: one.within(at[None], move[None])[0]))
    whole = np.asarray(within(at, moves))
    np.testing.assert_array_equal(within(at, moves * np.float32(2**-30)), whole * np.float32(2**-30))
    np.testing.assert_array_equal(within(at, np.zeros_like(at)), np.zeros_like(at))
    assert np.all(np.isfinite(within(np.zeros_like(at), moves)))
    for size in (1e30, 3.4e38):
        assert np.all(np.isfinite(within(at, np.float32(size) * np.sign(moves))))


@pytest.mark.parametrize("name", ["ball", "sphere", "simplex", "spectral_ball", "orthonormal", "psd"])
def test_a_vector_moves_by_what_is_asked_of_it_whatever_is_asked_of_others(name: str) -> None:
    one, at, moves = boundary(name, "float32")
    within = jax.jit(one.within)
    alone = np.stack([within(at[i][None], moves[i][None])[0] for i in range(len(at))])
    sizes = np.float32(2.0) ** np.arange(0, -len(at), -1, dtype=np.float32)
    sizes[3] = 0
    factors = sizes.reshape(-1, *[1] * (at.ndim - 1))
    joined = np.asarray(within(at, moves * factors))
    asked = sizes > 0
    np.testing.assert_allclose(joined[asked] / factors[asked], alone[asked], rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(joined[3], 0)


def test_a_move_is_small_beside_its_point_in_all_directions_at_once() -> None:
    at = np.zeros((1, 4096))
    at[0, 7] = 2
    with jax.enable_x64(True):
        found = constraint_set("sphere", radius=2.0, axes=(1,)).within(at, np.ones((1, 4096)))
    np.testing.assert_allclose(found, 1 - at / 2, atol=0.01 * 64)  # of the norm of the move


def test_what_a_second_set_took_back_is_no_move_within_the_first() -> None:
    """The weight is within a ball, but not at its edge, where it is to be: a second set holds it at less."""
    text = """
        input x: f32[batch, 4]
        target y: f32[batch, 1]
        param w: f32[4, 1] = normal(1)
        require w in sphere(1)
        require w in box(-0.1, 0.1)
        output z = x @ w
        require squared_error(z, y)
    """
    x = np.random.default_rng(2).normal(size=(32, 4)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [3.0], [0.5]], np.float32)
    program = pjc.compile(text, batch=32, outer="none", weight=1e-6, demand="plain")
    free = pjc.compile(
        text.replace("require w in sphere(1)", ""), batch=32, outer="none", weight=1e-6, demand="plain"
    )
    at = {"w": np.array([[0.1], [0.1], [-0.1], [0.1]], np.float32)}
    asked, found = (each.displacement(at, x, y)[0]["w"].ravel() for each in (free, program))
    along = np.sign(at["w"]).ravel() / 2
    np.testing.assert_allclose(found, (asked - along * (along @ asked)) * 5, rtol=0.05)


def test_a_move_that_stays_inside_is_returned_as_it_is() -> None:
    generator = np.random.default_rng(0)
    at = 0.01 * generator.normal(size=(1, 4, 4)).astype(np.float32)
    move = generator.normal(size=(1, 4, 4)).astype(np.float32)
    move[0, 1] *= 1e-8
    for one in (
        constraint_set("ball", radius=2.0, axes=(1, 2)),
        constraint_set("l1_ball", radius=2.0, axes=(1, 2)),
        constraint_set("spectral_ball", radius=2.0),
        constraint_set("halfspace", normal=(1.0,) * 4, normal_shape=(4,), bound=1.0, axes=(2,)),
    ):
        np.testing.assert_array_equal(jax.jit(one.within)(at, move), move)


def test_training_comes_to_rest_where_nothing_within_a_set_is_asked() -> None:
    """Least squares in a ball, by Adam, beside the ridge whose weight makes the norm that of the ball."""
    generator = np.random.default_rng(1)
    x = generator.normal(size=(64, 6)) * [4, 2, 1, 1, 0.5, 0.25]
    y = x @ generator.normal(size=(6, 1)) * 3
    square, linear = x.T @ x / len(x), x.T @ y / len(x)

    def ridge(weight: float) -> np.ndarray:
        return np.linalg.solve(square + weight * np.eye(6), linear)

    best = ridge(brentq(lambda weight: np.linalg.norm(ridge(weight)) - 1, 1e-6, 1e4))
    text = """
        input x: f32[batch, 6]
        target y: f32[batch, 1]
        param w: f32[6, 1] = 0.1 * he_normal
        require w in ball(1)
        output z = x @ w
        require squared_error(z, y)
    """
    program = pjc.compile(text, batch=64, rate=1e-2, weight=1e-4, demand="plain")
    state = program.start(jax.random.key(0), steps=600)
    for _ in range(600):
        state, _ = program.step(state, x.astype(np.float32), y.astype(np.float32))
    np.testing.assert_allclose(program.finish(state.params)["w"], best, atol=5e-3)


@pytest.mark.parametrize("name", ["ball", "sphere", "simplex", "sparse"])
def test_vectors_are_along_the_axes(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32)
    fields = {key: value for key, value in CASES[name].fields.items() if key != "axes"}
    new = constraint_set(name, **fields, axes=(0, 2)).project(x)
    rows = constraint_set(name, **fields, axes=(1,)).project(x.transpose(1, 0, 2).reshape(2, 12))
    np.testing.assert_allclose(new.transpose(1, 0, 2).reshape(2, 12), rows, rtol=1e-6)


NETWORK = """
input x: f32[batch, 6]
target y: class[batch, 3]
def layer(x, n) {
  param weight: f32[x.shape[-1], n] = normal(1)
  require weight in sparse(3, axis = 0)
  return relu(x @ weight)
}
h = layer(x, 5)
require h in box(0, 2)
param out: f32[5, 3] = uniform(-1, 1)
require out in levels(-1, 0, 1)
output logits = h @ out
require margin(logits, y)
"""


def batch() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.normal(size=(8, 6)).astype(np.float32), generator.integers(0, 3, 8)


@pytest.mark.parametrize("solver", ["ap", "ar", "dr", "rrr", "dm", "cp", "cdr"])
def test_updates_hand_back_parameters_that_are_in_their_sets(solver: str) -> None:
    program = pjc.compile(NETWORK, batch=8, solver=solver)
    after, info = program.update(program.init(0), *batch(), iterations=10)
    assert np.isin(after["out"], [-1, 0, 1]).all()
    assert np.count_nonzero(after["layer_0.weight"], axis=0).max() <= 3
    assert set(info["violation"]) == {"out.levels", "layer_0.weight.sparse"}
    assert all(np.isfinite(each) for each in info["violation"].values())


@pytest.mark.parametrize("solver", ["ap", "dr"])
def test_exact_forms_change_nothing_with_sets(solver: str) -> None:
    with jax.enable_x64(True):
        results = []
        for level in (0, 1):
            program = pjc.compile(NETWORK, batch=8, solver=solver, level=level, dtype="f64")
            x, y = batch()
            results.append(program.update(program.init(0), x, y, iterations=20, finish=False)[0])
    for name, value in results[0].items():
        np.testing.assert_allclose(results[1][name], value, atol=1e-10)


def test_small_moves_add_up_until_another_level_is_nearer() -> None:
    one = constraint_set("levels", levels=(-1.0, 0.0, 1.0), rate=10.0)
    latent = np.float32(0.0)
    for expected in (0.2, 0.4, 0.6):
        latent = one.resume(latent, one.project(latent), one.project(latent) + np.float32(0.02))
        assert float(latent) == pytest.approx(expected)
    assert float(one.project(latent)) == 1
    assert float(one.resume(np.float32(1.2), np.float32(1), np.float32(9))) == 1.5


def test_a_set_on_a_view_leaves_the_rest_of_the_parameter() -> None:
    text = NETWORK.replace("require out in levels(-1, 0, 1)", "require transpose(out)[1] in equal(7)")
    program = pjc.compile(text, batch=8)
    after = program.finish(program.init(0))
    assert after["out"][:, 1].tolist() == [7] * 5
    np.testing.assert_array_equal(after["out"][:, [0, 2]], program.init(0)["out"][:, [0, 2]])


TOGETHER = {
    "concat(a, b) in fixed_sum(0.5, axis = 1)": lambda a, b: np.append(a, b, 1).sum(1) - 0.5,
    "stack(a, b) in sphere(2)": lambda a, b: np.sqrt(np.sum(a**2) + np.sum(b**2)) - 2,
    "concat(a[:, 0:1], a[:, 2:3]) in fixed_sum(0.5, axis = 1)": lambda a, b: a[:, 0] + a[:, 2] - 0.5,
    "concat(a[:, 2:], b[:, 1:], a[:, :2]) in fixed_sum(1, axis = 1)": (
        lambda a, b: a.sum(1) + b[:, 1:].sum(1) - 1
    ),
}
"""Sets of what several views make together, and how far parameters are from them."""


@pytest.mark.parametrize("solver", ["sweep", "dr"])
@pytest.mark.parametrize("required", TOGETHER)
def test_a_set_of_several_parameters_together_holds_for_all_of_them(required: str, solver: str) -> None:
    text = f"""
input x: f32[batch, 2]
target y: f32[batch, 3]
param a: f32[2, 3] = normal(1)
param b: f32[2, 3] = normal(1)
require {required}
output z = x @ a + x @ b
require squared_error(z, y)
"""
    program = pjc.compile(text, batch=2, solver=solver)
    params = program.init(0)
    after = program.finish(params)
    far = TOGETHER[required]
    assert np.abs(far(**params)).max() > 0.1
    assert np.abs(far(**after)).max() < 1e-5
    if required.startswith("concat(a[:, 0:1], a[:, 2:3])"):  # what it does not show stays
        np.testing.assert_array_equal(after["a"][:, 1], params["a"][:, 1])
        np.testing.assert_array_equal(after["b"], params["b"])
    x, y = np.ones((2, 2), np.float32), np.ones((2, 3), np.float32)
    if solver == "sweep":
        state, info = program.step(program.start(params), x, y)
        after, violation = program.finish(state.params), info["violation"]
    else:
        after, info = program.update(params, x, y, iterations=3)
        violation = info["violation"]
    assert np.abs(far(**after)).max() < 1e-5
    assert len(violation) == 1


IN_BOTH_PARTS = {
    "layers": "output z = (x @ a) @ b",
    "a weight and its bias": "output z = relu(x @ a + b)",
    "in a loop": "h = x\nfor t in 0..3 { h = relu(h @ a) + h @ b }\noutput z = h",
}


@pytest.mark.parametrize("solver", ["sweep", "dr", "ap"])
@pytest.mark.parametrize("name", IN_BOTH_PARTS)
def test_so_it_does_where_a_split_into_parts_takes_them_apart(name: str, solver: str) -> None:
    rows = 1 if "bias" in name else 3
    text = f"""
input x: f32[batch, 3]
target y: f32[batch, 3]
param a: f32[3, 3] = normal(1)
param b: f32[{rows}, 3] = normal(1)
require concat(a, b, axis = 0) in ball(1)
{IN_BOTH_PARTS[name]}
require squared_error(z, y)
"""
    program = pjc.compile(text, batch=2, solver=solver)
    after = program.finish(program.init(0))
    assert np.sqrt(np.sum(after["a"] ** 2) + np.sum(after["b"] ** 2)) == pytest.approx(1, abs=1e-5)


def test_a_set_of_what_repeats_all_entries_alike_moves_them_alike() -> None:
    text = LOOP.replace(
        "param out", "param c: f32[3] = normal(1)\nrequire broadcast(c, (2, 3)) in ball(1)\nparam out"
    )
    program = pjc.compile(text.replace("h @ out", "h @ out + c"), batch=8)
    assert np.sum(program.finish(program.init(0))["c"] ** 2) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("solver", ["sweep", "dr"])
@pytest.mark.parametrize(
    ("value", "times"),
    [
        ("concat(a, a[0:1], axis = 0)", (2, 1, 1)),
        ("concat(a, reshape(broadcast(a[1:3], (2, 2)), (4,)), axis = 0)", (1, 3, 3)),
    ],
)
def test_copies_that_a_set_moves_alike_are_moved_so(value: str, times: Sequence[int], solver: str) -> None:
    """What is nearest in the value's own distance, where an entry weighs as often as it stands there."""
    text = f"""
input x: f32[batch, 3]
target y: f32[batch, 3]
param a: f32[3] = normal(1)
require {value} in fixed_sum(1)
output z = x * a
require squared_error(z, y)
"""
    program = pjc.compile(text, batch=2, solver=solver)
    start = program.init(0)
    weighs, a = np.asarray(times), np.asarray(start["a"], np.float64)
    expected = a + (1 - weighs @ a) / weighs.sum()
    np.testing.assert_allclose(program.finish(start)["a"], expected, atol=1e-6)


@pytest.mark.parametrize("solver", ["sweep", "dr"])
@pytest.mark.parametrize(
    ("required", "found"),
    [
        ("pad(a, ((1, 0),)) in fixed_sum(1)", "zeros beside 'a'"),
        ("concat(a, a[0:1], axis = 0) in halfspace((1, 2, 3, 4), 1)", "an entry of 'a' several times"),
        ("reshape(broadcast(reshape(a, (3, 1)), (3, 2)), (2, 3)) in ball(1, 1)", "an entry of 'a' several"),
        ("stack(a[0:2], a[1:3]) in simplex(1, 1)", "an entry of 'a' several times"),
        ("broadcast(a, (2, 3)) in sparse(1)", "an entry of 'a' several times"),
        ("concat(a[::2], transpose(reshape(a, (1, 3)))[0], axis = 0) in sparse(1)", "'a' several times"),
    ],
)
def test_a_set_of_zeros_or_of_one_entry_several_times_is_refused(
    required: str, found: str, solver: str
) -> None:
    text = """
input x: f32[batch, 3]
target y: f32[batch, 3]
param a: f32[3] = normal(1)
param w: f32[3, 3] = normal(1)
SET
h = x
for t in 0..4 { h = relu(h @ w) }
output z = h + a
require squared_error(z, y)
"""
    with pytest.raises(DiagnosticError, match=f"holds .*{found}.*; require the set of the parameter itself"):
        pjc.compile(text.replace("SET", f"require {required}"), batch=2, solver=solver)
    entries = "require pad(a, ((1, 0),)) in box(-0.1, 0.1)\nrequire concat(a, a, axis = 0) in nonneg"
    kept = text.replace("SET", entries)
    program = pjc.compile(kept, batch=2, solver=solver)
    after = program.finish({**program.init(0), "a": np.array([-1, 0.05, 3], np.float32)})["a"]
    np.testing.assert_allclose(after, [0, 0.05, 0.1])


def test_what_is_asked_of_parameters_that_are_in_a_set_together_stays_within_it() -> None:
    text = """
input x: f32[batch, 2]
target y: f32[batch, 1]
param a: f32[2, 1] = normal(1)
param b: f32[2, 1] = normal(1)
require concat(a, b, axis = 0) in fixed_sum(0.5, axis = 0)
output z = x @ a + 2 * (x @ b)
require squared_error(z, y)
"""
    program = pjc.compile(text, batch=4)
    params = program.finish(program.init(0))
    x, y = np.random.default_rng(0).normal(size=(2, 4, 2)).astype(np.float32)
    moves = program.displacement(params, x, y[:, :1])[0]
    assert np.abs(moves["a"]).max() > 1e-3
    assert abs(np.sum(moves["a"]) + np.sum(moves["b"])) < 1e-5


LOOP = """
input x: f32[batch, 5]
target y: class[batch, 3]
h = x
for t in 0..3 {
  param w: f32[5, 5] = normal(0.5)
  require w in sparse(2, axis = 0)
  h = relu(h @ w)
}
param out: f32[5, 3] = normal(1)
output logits = h @ out
require margin(logits, y)
"""


def test_a_set_in_a_loop_holds_in_every_iteration() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(8, 5)).astype(np.float32), generator.integers(0, 3, 8)
    program = pjc.compile(LOOP, batch=8, solver="dr")
    after, _ = program.update(program.init(0), x, y, iterations=5)
    assert after["w"].shape == (3, 5, 5)
    assert np.count_nonzero(after["w"], axis=1).max() <= 2


@pytest.mark.slow
@pytest.mark.parametrize("set_", ["group_sparse(2, 5)", "intersection(box(-1, 1), fixed_sum(0.5, axis = 0))"])
def test_sets_of_whole_matrices_hold_in_every_iteration(set_: str) -> None:
    program = pjc.compile(LOOP.replace("sparse(2, axis = 0)", set_), batch=8)
    after = np.asarray(program.finish(program.init(0))["w"])
    assert after.shape == (3, 5, 5)
    if "group" in set_:
        assert np.count_nonzero(after.any(axis=2), axis=1).tolist() == [2, 2, 2]
    else:
        np.testing.assert_allclose(after.sum(axis=1), 0.5, atol=1e-5)


def test_a_network_may_have_sets_and_no_loss() -> None:
    text = (
        "input x: f32[batch, 4]\nparam w: f32[4, 2] = normal(1)\noutput z = x @ w\nrequire z in box(-1, 1)\n"
    )
    program = pjc.compile(text, batch=8, solver="ap")
    x = 3 * np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    params = program.init(0)
    for _ in range(30):
        params, _ = program.update(params, x, iterations=20)
    assert np.max(np.abs(program.apply(params, x))) <= 1.05


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("require x in cone(1)", "unknown set 'cone'"),
        ("require x in 3", "'in' takes a set"),
        ("require 3 in nonneg", "a set holds tensors, found the number 3"),
        ("require x in box(1, -1)", "box needs low <= high"),
        ("require x in sparse(9)", "sparse needs a k from 1 to 8"),
        ("require x in rank(3)", "rank needs a number from 1 to 2"),
        ("require x in levels(1, 1)", "strictly increasing numbers"),
        ("require x in mask((1, 0, 1))", "the mask has the shape [3], which is not the end of that of"),
        ("require x in mask(((1, 0), 1))", "nested tuples of equal lengths"),
        ("require x in ball(-1)", "expected positive, found -1"),
        ("require x in sphere(1, axis = 2)", "axis 2 is out of range"),
        ("require x in simplex(2, total = 3)", "'total'"),
        ("require cross_entropy in nonneg", "a set holds tensors"),
        ("require x in intersection(box(0, 1), levels(0, 1))", "takes convex sets, and levels is not"),
        ("require x in intersection(nonneg)", "intersection takes two sets or more"),
        ("require x in intersection(nonneg, 3)", "'in' takes a set"),
        ("require x in affine(((1, 1, 0, 0), (1, 1, 0, 0)), (1, 2), axis = 1)", "that have a solution"),
        ("require x in affine((1, 1), 1, axis = 1)", "the matrix has the shape [2], and a vector of [2, 4]"),
        ("require x in halfspace((0, 0, 0, 0), 1, axis = 1)", "a normal that is one vector, and not 0"),
        ("require x in nm_sparse(2, 3, axis = 1)", "needs a multiple of 3 entries, found 4"),
        ("require x in group_sparse(3, 4)", "needs a k from 1 to 2, the groups"),
        ("require x in monotone(axis = 1, order = 2)", "an order of 1, rising, or -1, falling"),
        ("require x in powers_of_two(1, 0)", "exponents low <= high"),
        ("require x in psd", "a set of square matrices, and the tensor's shape is [2, 4]"),
        ("require x in orthonormal", "at least as many rows, and the tensor's shape is [2, 4]"),
        ("z = quantize(x, bits = 1)", "quantize takes 2 to 16 bits, found 1"),
        ("z = quantize(x, (0, 1), bits = 4)", "quantize takes levels or bits, found both"),
        ("z = quantize(x, scale = 0.5)", "quantize takes a scale and a sign with bits"),
    ],
)
def test_mistakes_are_named_with_their_place(line: str, message: str) -> None:
    with pytest.raises(pjc.DiagnosticError) as caught:
        pjc.compile(f"input x: f32[2, 4]\n{line}\noutput z = relu(x)\n")
    assert message in str(caught.value) and "<string>:2:" in str(caught.value)


def samples() -> Dataset:
    generator = np.random.default_rng(3)
    x = generator.normal(size=(64, 6)).astype(np.float32)
    return Dataset(x, np.argmax(x[:, :3], axis=1), 3, "samples")


@pytest.mark.slow
def test_a_resumed_run_goes_on_from_the_latent_parameters(tmp_path: Path) -> None:
    program = pjc.compile(NETWORK, batch=8, solver="ap", iterations=10)
    whole = train(program, samples(), Run(epochs=4))
    half = train(program, samples(), Run(epochs=2))
    assert half.latent and not np.array_equal(half.latent["out"], half.params["out"])
    write_checkpoint(tmp_path / "a.safetensors", Checkpoint(half), {})
    written = read_parameters(tmp_path / "a.safetensors")
    assert set(written) == {"out", "layer_0.weight"} and np.isin(written["out"], [-1, 0, 1]).all()
    resumed = train(
        program, samples(), Run(epochs=4, start=read_checkpoint(tmp_path / "a.safetensors").result)
    )
    for name, value in whole.params.items():
        np.testing.assert_array_equal(resumed.params[name], value)
        np.testing.assert_array_equal(resumed.latent[name], whole.latent[name])
    assert [row.violation for row in resumed.history] == [row.violation for row in whole.history]
    assert all(row.violation is not None and row.violation > 0 for row in whole.history)


def test_an_input_can_be_its_own_target() -> None:
    text = """
input x: f32[batch, 6]
param w: f32[6, 2] = normal(0.3)
param v: f32[2, 6] = normal(0.3)
output z = x @ w @ v
require squared_error(z, x, strength = 3)
"""
    program = pjc.compile(text, batch=16, solver="dr", iterations=20)
    data = samples()
    before = evaluate(program, program.init(0), data)
    result = train(program, data, Run(epochs=10))
    assert metric(program) == "rms error"
    assert evaluate(program, result.params, data) < 0.95 * before


def test_several_labels_are_scored_by_how_many_are_right() -> None:
    text = """
input x: f32[batch, 6]
target y: f32[batch, 2]
param w: f32[6, 2] = normal(0.1)
output z = x @ w
require multi_label(z, y, -1, 1)
"""
    x = samples().x
    data = Dataset(x, (x[:, :2] > 0).astype(np.float32), None, "labels")
    program = pjc.compile(text, batch=16, solver="dr", iterations=20)
    assert metric(program) == "accuracy" and program.targets[0].threshold == 0
    assert evaluate(program, train(program, data, Run(epochs=20)).params, data) > 0.9


def test_entries_have_to_do_with_others_as_the_dialect_says() -> None:
    alone = {name for name, kind in SETS.items() if kind.joined is Entries.joined}
    assert alone == {name for name, kind in KINDS.items() if kind.entrywise} | {"mask", "equal"}


@pytest.mark.parametrize("size", [1e3, 1e6, 1e30])
def test_vectors_of_an_intersection_have_nothing_to_do_with_each_other(size: float) -> None:
    """The nearest in one column, found by bisection, whatever stands in others."""
    one = np.array([2, 0.7, -1])
    shift = brentq(lambda t: np.clip(one - t, 0, 1).sum() - 1.5, -3, 3)
    sets = tuple(constraint_set(name, **own) for name, own in (
        ("box", {"low": 0.0, "high": 1.0}), ("fixed_sum", {"total": 1.5, "axes": (0,)})
    ))  # fmt: skip
    made = constraint_set("intersection", sets=sets)
    alone = made.project(jnp.asarray(one[:, None], jnp.float32))
    both = made.project(jnp.asarray(np.stack([one, [size, -size, 0]], axis=1), jnp.float32))
    np.testing.assert_array_equal(both[:, 0], alone[:, 0])
    np.testing.assert_allclose(alone[:, 0], np.clip(one - shift, 0, 1), atol=1e-6)


def test_an_intersection_says_how_far_it_is_from_its_sets() -> None:
    one = CASES["intersection"].fields["sets"]
    both = constraint_set("intersection", sets=one)
    assert float(both.residual(both.project(points("float32")))) < 1e-5
    apart = constraint_set("intersection", sets=(one[0], constraint_set("fixed_sum", total=9.0, axes=(1,))))
    assert float(apart.residual(apart.project(points("float32")[:3]))) > 1


@pytest.mark.parametrize("size", [3, 4])
def test_no_permutation_lies_further_along_than_the_nearest_doubly_stochastic_matrix(size: int) -> None:
    """Of a convex set p is the nearest to x exactly if no corner c has ``(x - p) . (c - p) > 0``."""
    random, sizes = np.random.default_rng(size), np.array([0.1, 1, 1, 3, 3, 10, 30, 1e3, 1e6])[:, None, None]
    x = np.concatenate([random.normal(size=(9, size, size)), random.integers(-1, 2, (9, size, size))])
    x, sizes = x * np.concatenate([sizes, sizes]), 1 + np.concatenate([sizes, sizes])[:, 0]
    with jax.enable_x64(True):
        p = np.asarray(constraint_set("birkhoff").project(x))
    corners = np.array([np.eye(size)[list(order)] for order in itertools.permutations(range(size))])
    np.testing.assert_allclose([p.sum(axis=1), p.sum(axis=2)], 1, atol=1e-9)
    along = np.einsum("kij,kcij->kc", x - p, corners[None] - p[:, None])
    assert p.min() >= 0 and np.max(along / sizes) <= 1e-6


def test_far_from_doubly_stochastic_matrices_the_nearest_is_the_best_assignment() -> None:
    """Where the best permutation is better than any other by far more than a distance within the set."""
    x = (1e4 * np.random.default_rng(0).normal(size=(6, 12, 12))).astype(np.float32)
    p = np.asarray(constraint_set("birkhoff").project(x))
    for before, after in zip(x, p, strict=True):
        rows, columns = linear_sum_assignment(before, maximize=True)
        np.testing.assert_allclose(after[rows, columns], 1, atol=0.02)


@pytest.mark.parametrize(
    "levels", [(-1, 1), (-1, 0, 1), (-3, -1, 1, 3), (-2, -1, 0, 1), (0, 1, 3), tuple(range(-8, 8))]
)
def test_no_scale_is_better_than_the_fitted_one(levels: tuple[int, ...]) -> None:
    """Against 4,000 scales, each with the levels nearest to it; many levels are searched, not sorted."""
    x = np.random.default_rng(3).normal(size=(6, 30))
    with jax.enable_x64(True):
        one = constraint_set("scaled_levels", levels=tuple(map(float, levels)), axes=(1,))
        new = np.asarray(jax.jit(one.project)(x))
    for before, after in zip(x, new, strict=True):
        scales = np.linspace(1e-3, 4, 4000)[:, None, None]
        least = np.min(np.sum(np.min((before[:, None] - scales * levels) ** 2, axis=2), axis=1))
        room = 1e-9 if len(levels) < 10 else 0.01 * least
        assert np.sum((after - before) ** 2) <= least + room
    np.testing.assert_array_equal(
        constraint_set("scaled_levels", levels=(1.0, 2.0), axes=(1,)).project(-(x**2)), 0
    )


@pytest.mark.parametrize("name", CASES)
def test_single_precision_stays_single_where_there_is_double_too(name: str) -> None:
    case = CASES[name]
    with jax.enable_x64(True):
        one = constraint_set(name, **case.fields)
        assert case.projected(one, points("float32")[:2]).dtype == np.float32


@pytest.mark.parametrize("order", [1.0, -1.0])
@pytest.mark.parametrize("n", [1, 7, 90])
def test_monotone_vectors_are_those_of_isotonic_regression(order: float, n: int) -> None:
    x = np.round(np.random.default_rng(n).normal(size=(5, n)) * 3, 1)
    with jax.enable_x64(True):
        new = np.asarray(jax.jit(constraint_set("monotone", axes=(1,), order=order).project)(x))
    for before, after in zip(x, new, strict=True):
        wanted = isotonic_regression(before, increasing=order > 0).x
        np.testing.assert_allclose(after, wanted, atol=1e-12)


LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("name", [*CASES, "rank"])
def test_nan_stays_nan_in_every_set(name: str) -> None:
    case = CASES.get(name) or Case({"rank": 1}, bool, float, (2, 2))
    where = np.array([[True] * 4, [False, True, False, False], [True, False, False, True], [False] * 4])
    x = np.where(where, np.nan, 0.25).astype(np.float32)
    new = np.asarray(case.projected(constraint_set(name, **case.fields), x))
    assert np.isnan(new)[where].all() and np.isfinite(new[3]).all()


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e38, LARGEST])
@pytest.mark.parametrize(
    "name, fields",
    [
        ("ball", {"radius": 1.0, "axes": (1,)}),
        ("ball", {"radius": 3e38, "axes": (1,)}),
        ("sphere", {"radius": 1.0, "axes": (1,)}),
        ("sphere", {"radius": 3e38, "axes": (1,)}),
        ("simplex", {"total": 1.0, "axes": (1,)}),
        ("simplex", {"total": 3e38, "axes": (1,)}),
        ("sparse", {"k": 2, "axes": (1,)}),
        ("box", {"low": -1.0, "high": 3e38}),
        ("levels", {"levels": (-3e38, 0.0, 3e38)}),
    ],
)
def test_the_largest_numbers_are_projected_as_in_higher_precision(
    name: str, fields: dict, size: float
) -> None:
    """At 3e38 norms and differences of float32 overflow, and those of float64 do not."""
    shapes = [[1, 1, 1], [1, -1, 0.5], [-1, 1e-3, 1], [1, 0, 0], [-1, -1, -0.25]]
    x = (size * np.array(shapes)).astype(np.float32)
    new = np.asarray(jax.jit(constraint_set(name, **fields).project)(x), float)
    with jax.enable_x64(True):
        exact = np.asarray(constraint_set(name, **fields).project(x.astype(float)))
    largest = np.maximum(np.abs(exact).max(axis=1, keepdims=True), 1e-30)
    np.testing.assert_allclose(new / largest, exact / largest, atol=2e-6)


@pytest.mark.parametrize(
    "x", [[[3e38, 3e38], [3e38, 3e38]], [[LARGEST, 0], [0, 1]], [[3e38, 1e38], [-1e38, 2e38]]]
)
def test_low_rank_of_the_largest_numbers(x: list) -> None:
    new = np.asarray(jax.jit(constraint_set("rank", rank=1).project)(np.array(x, np.float32)), float)
    left, values, right = np.linalg.svd(np.array(x))
    np.testing.assert_allclose(new, values[0] * np.outer(left[:, 0], right[0]), atol=1e-6 * LARGEST)
