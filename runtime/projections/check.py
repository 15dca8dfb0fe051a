"""Check that an operator's projection is what it says: feasible, nearest, idempotent and finite.

So is its response, if it has one: nearest in the metrics of several weights, finite, and as good for small
demands.

Nearest is checked against points of the graph that a search finds: drawn around the given point, around the
projection and all over, and around the best of them again, closer and closer. That finds a nearer point where
one is far away or near; it proves nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np
from numpy.typing import NDArray

from pjc.runtime.projections.operator import Operator

Point = NDArray[np.float64]
ROUNDS, DRAWN = 24, 400
VALUE_WEIGHTS = (10.0, 1.0, 1e-2, 1e-4)
"""In which the responses are tried."""
SMALL = (1e-3, 1e-5, 1e-7)
"""Demands, as parts of the inputs, of which a response is to be the same part."""


@dataclass(frozen=True)
class Finding:
    """What a check found: how many samples failed, and the first that did, in words."""

    check: str
    failed: int
    samples: int
    example: str = ""


@dataclass(frozen=True)
class Subject:
    """An operator with the shapes of one site, computing in ``dtype``."""

    operator: Operator
    inputs: Sequence[tuple[int, ...]]
    output: tuple[int, ...]
    dtype: str

    @property
    def tolerance(self) -> float:
        return 1e-4 if self.dtype == "float32" else 1e-8

    def split(
        self, rows: NDArray[np.floating]
    ) -> tuple[tuple[NDArray[np.floating], ...], NDArray[np.floating]]:
        """Return the inputs and the value of each row."""
        parts, at = [], 0
        for shape in (*self.inputs, self.output):
            size = int(np.prod(shape))
            parts.append(rows[:, at : at + size].reshape(len(rows), *shape).astype(self.dtype))
            at += size
        return tuple(parts[:-1]), parts[-1]

    def joined(self, inputs: Sequence[object], value: object) -> Point:
        """Return inputs and values of many sites as rows, in float64."""
        arrays = [np.asarray(each, np.float64) for each in (*inputs, value)]
        return np.concatenate([each.reshape(len(each), -1) for each in arrays], axis=1)

    @property
    def width(self) -> int:
        return sum(int(np.prod(shape)) for shape in (*self.inputs, self.output))

    @property
    def free(self) -> int:
        """How many of a row's numbers are inputs."""
        return self.width - int(np.prod(self.output))

    def projected(self, rows: Point) -> Point:
        """Return the projections of rows."""
        inputs, value = self.split(rows)
        return self.joined(*self._project(inputs, value))

    def responses(self, inputs: Point, demands: Point, weight: float) -> Point:
        """Return how the inputs of rows move."""
        given, demand = self.split(np.concatenate([inputs, demands], axis=1))
        moves = self._respond(given, demand, weight)
        return np.concatenate(
            [np.asarray(move, np.float64).reshape(len(inputs), -1) for move in moves], axis=1
        )

    def bridged_values(self, inputs: Point) -> Point:
        """Return the values, at the inputs of rows, of what a sweep takes the operator for."""
        given, _ = self.split(
            np.concatenate([inputs, np.zeros((len(inputs), self.width - self.free))], axis=1)
        )
        return np.asarray(self._bridge(*given), np.float64).reshape(len(inputs), -1)

    def on_graph(self, rows: Point) -> Point:
        """Return the rows with their values replaced by those of the function."""
        inputs, _ = self.split(rows)
        return self.joined(inputs, self._forward(*inputs))

    # Kept, since JAX finds what it has compiled by the function object, and a method is a new one each time.
    @functools.cached_property
    def _forward(self) -> Callable[..., object]:
        return jax.jit(self.operator.forward)

    @functools.cached_property
    def _bridge(self) -> Callable[..., object]:
        return jax.jit(self.operator.bridged().forward)

    @functools.cached_property
    def _respond(self) -> Callable[..., Sequence[object]]:
        return jax.jit(self.operator.respond)

    @functools.cached_property
    def _project(self) -> Callable[..., tuple[Sequence[object], object]]:
        return jax.jit(self.operator.project)


def check(subject: Subject, samples: int, seed: int = 0) -> list[Finding]:
    """Return what each check found, over points drawn from the seed, some of them degenerate."""
    with jax.enable_x64(subject.dtype == "float64"):
        rows = _drawn(subject, samples, np.random.default_rng(seed))
        after = subject.projected(rows)
        found = [
            _finite(subject, seed),
            _feasible(subject, rows, after, seed),
            _idempotent(subject, rows, after),
            _members(subject, rows),
            _nearest(subject, rows, after, seed),
        ]
        if subject.operator.precise:
            found += [
                _finite_responses(subject, seed),
                _nearest_responses(subject, rows, seed),
                _small_demands(subject, rows),
            ]
        return found


def _drawn(subject: Subject, samples: int, generator: np.random.Generator) -> Point:
    """Points of sizes from tiny to huge, with zeros, ties and whole numbers among them."""
    sizes = 10.0 ** generator.choice([-1, 0, 0, 0, 1], (samples, 1))
    rows = generator.normal(size=(samples, subject.width)) * sizes
    kind = np.arange(samples) % 8
    rows[kind == 1] = 0
    rows[kind == 2, : subject.free] = rows[kind == 2, :1]
    rows[kind == 3, : subject.free] = 0
    rows[kind == 4, subject.free :] = 0
    rows[kind == 5] = np.round(rows[kind == 5])
    return rows.astype(subject.dtype).astype(np.float64)


def _size(*rows: Point) -> Point:
    size: Point = 1 + np.max(np.abs(np.concatenate(rows, axis=1)), axis=1)
    return size


def _found(name: str, failing: object, describe: Callable[[int], str]) -> Finding:
    wrong = np.asarray(failing, bool)
    example = describe(int(np.argmax(wrong))) if wrong.any() else ""
    return Finding(name, int(wrong.sum()), len(wrong), example)


def _show(row: Point) -> str:
    return "(" + ", ".join(f"{number:.6g}" for number in row) + ")"


def _finite(subject: Subject, seed: int) -> Finding:
    """Whether large, tiny and mixed numbers give a NaN."""
    info = np.finfo(subject.dtype)
    extremes = np.array([0, 1, -1, info.tiny, -info.tiny, info.max / 8, -info.max / 8, 1e-30, 1e15])
    rows = np.random.default_rng(seed).choice(extremes, (200, subject.width))
    wrong = np.isnan(subject.projected(rows)).any(axis=1)
    return _found("finite", wrong, lambda i: f"the projection of {_show(rows[i])} has a NaN")


def _feasible(subject: Subject, rows: Point, after: Point, seed: int) -> Finding:
    """Whether the new value is the function's, or its limit from somewhere near where it jumps."""
    size, generator = _size(rows, after), np.random.default_rng(seed)
    least = np.full(len(rows), np.inf)
    for step in (0.0, *[10 * subject.tolerance] * 60):
        near = after.copy()
        near[:, : subject.free] += step * size[:, None] * generator.normal(size=(len(rows), subject.free))
        values = subject.on_graph(near)[:, subject.free :]
        away = np.max(np.abs(values - after[:, subject.free :]), axis=1, initial=0)
        room = subject.tolerance * size**2 + (0 if step == 0 else 100 * step * size)
        least = np.minimum(least, away / room)
    wrong = ~(least <= 1)
    return _found("feasible", wrong, lambda i: f"{_show(rows[i])} goes to {_show(after[i])}, off the graph")


def _idempotent(subject: Subject, rows: Point, after: Point) -> Finding:
    """Whether a projection stays where it is."""
    again = subject.projected(after)
    wrong = ~(np.max(np.abs(again - after), axis=1) <= 10 * subject.tolerance * _size(rows, after) ** 2)
    return _found(
        "idempotent",
        wrong,
        lambda i: f"{_show(rows[i])} goes to {_show(after[i])}, that to {_show(again[i])}",
    )


def _members(subject: Subject, rows: Point) -> Finding:
    """Whether points of the graph stay."""
    members = subject.on_graph(rows)
    after = subject.projected(members)
    wrong = ~(np.max(np.abs(after - members), axis=1) <= 10 * subject.tolerance * _size(members) ** 2)
    return _found(
        "members stay", wrong, lambda i: f"{_show(members[i])} is on the graph and goes to {_show(after[i])}"
    )


def _nearest(subject: Subject, rows: Point, after: Point, seed: int) -> Finding:
    """Whether the search finds a point of the graph that is nearer."""
    generator = np.random.default_rng(seed)
    size = _size(rows, after)
    mine = np.sum((after - rows) ** 2, axis=1)
    best, least = after.copy(), np.full(len(rows), np.inf)
    for number in range(ROUNDS):
        reach = 2.0 * 0.6**number
        for centre in (rows, after, best) if number < 6 else (best,):
            drawn = np.repeat(centre, DRAWN, axis=0)
            noise = generator.normal(size=(len(drawn), subject.free))
            drawn[:, : subject.free] += reach * np.repeat(size, DRAWN)[:, None] * noise
            points = subject.on_graph(drawn)
            distances = np.sum((points - np.repeat(rows, DRAWN, axis=0)) ** 2, axis=1).reshape(
                len(rows), DRAWN
            )
            chosen = np.nanargmin(np.where(np.isnan(distances), np.inf, distances), axis=1)
            found = distances[np.arange(len(rows)), chosen]
            nearer = found < least
            best[nearer] = points.reshape(len(rows), DRAWN, -1)[np.arange(len(rows)), chosen][nearer]
            least = np.minimum(least, found)
    wrong = ~(mine <= least + 10 * subject.tolerance * (mine + size**2))
    return _found(
        "nearest",
        wrong,
        lambda i: (
            f"{_show(rows[i])} goes to {_show(after[i])} at the square distance {mine[i]:.6g}, but "
            f"{_show(best[i])} is on the graph at {least[i]:.6g}"
        ),
    )


def _asked(subject: Subject, row: Point) -> str:
    return f"{_show(row[: subject.free])} asked for {_show(row[subject.free :])}"


def _finite_responses(subject: Subject, seed: int) -> Finding:
    """Whether large, tiny and mixed inputs and demands give a NaN."""
    info = np.finfo(subject.dtype)
    extremes = np.array([0, 1, -1, info.tiny, -info.tiny, info.max / 8, -info.max / 8, 1e-30, 1e15])
    rows = np.random.default_rng(seed).choice(extremes, (200, subject.width))
    inputs, demands = rows[:, : subject.free], rows[:, subject.free :]
    wrong = np.zeros(len(rows), bool)
    for weight in VALUE_WEIGHTS:
        wrong |= np.isnan(subject.responses(inputs, demands, weight)).any(axis=1)
    return _found(
        "finite responses", wrong, lambda i: f"the response of {_asked(subject, rows[i])} has a NaN"
    )


def _nearest_responses(subject: Subject, rows: Point, seed: int) -> Finding:
    """Whether the search finds a displacement of less weighted distance."""
    inputs, demands = rows[:, : subject.free], rows[:, subject.free :]
    rest = subject.bridged_values(inputs)
    said: dict[int, str] = {}
    wrong = np.zeros(len(rows), bool)
    for weight in VALUE_WEIGHTS:
        mine = subject.responses(inputs, demands, weight)
        best, least = _searched(subject, inputs, rest + demands, weight, mine, seed)
        own = _weighted(subject, inputs, inputs + mine, rest + demands, weight)
        size = 1 + np.max(np.abs(np.concatenate([rows, rest], axis=1)), axis=1)
        worse = ~(own <= least + 10 * subject.tolerance * (own + np.minimum(weight, 1) * size**2))
        said |= {
            int(i): f"{_asked(subject, rows[i])} with the weight {weight:g} moves by {_show(mine[i])} at the "
            f"square distance {own[i]:.6g}, but {_show(best[i] - inputs[i])} is at {least[i]:.6g}"
            for i in np.flatnonzero(worse & ~wrong)
        }
        wrong |= worse
    return _found("nearest responses", wrong, lambda i: said[i])


def _searched(
    subject: Subject, inputs: Point, targets: Point, weight: float, mine: Point, seed: int
) -> tuple[Point, Point]:
    """Return the best inputs that a search finds, around the given ones and where they moved, and how far."""
    generator = np.random.default_rng(seed)
    best, least = inputs.copy(), _weighted(subject, inputs, inputs, targets, weight)
    reach = np.sqrt(least)[:, None]  # what moves farther is farther
    for number in range(ROUNDS):
        for centre in (inputs, inputs + mine, best) if number < 6 else (best,):
            wide = np.repeat(reach, DRAWN, axis=0) * 0.6**number
            noise = generator.normal(size=(len(inputs) * DRAWN, subject.free))
            points = np.repeat(centre, DRAWN, axis=0) + wide * noise
            one, other = (np.repeat(each, DRAWN, axis=0) for each in (inputs, targets))
            distances = _weighted(subject, one, points, other, weight).reshape(len(inputs), DRAWN)
            distances = np.where(np.isnan(distances), np.inf, distances)
            chosen = np.argmin(distances, axis=1)
            found = distances[np.arange(len(inputs)), chosen]
            nearer = found < least
            best[nearer] = points.reshape(len(inputs), DRAWN, -1)[np.arange(len(inputs)), chosen][nearer]
            least = np.minimum(least, found)
    return best, least


def _weighted(subject: Subject, inputs: Point, points: Point, targets: Point, weight: float) -> Point:
    """Return how far points of the graph are from inputs and targets, squared, values weighing so much."""
    away = subject.bridged_values(points) - targets
    total: Point = np.sum((points - inputs) ** 2, axis=1) + weight * np.sum(away**2, axis=1)
    return total


def _small_demands(subject: Subject, rows: Point) -> Finding:
    """Whether the response to a small demand is the same part of it, however small, at smooth points."""
    inputs = rows[:, : subject.free]
    size = np.max(np.abs(inputs), axis=1, keepdims=True)
    demands = np.where(rows[:, subject.free :] < 0, -1.0, 1.0) * size
    exact = replace(subject, dtype="float64")
    with jax.enable_x64(True):
        wide = [exact.responses(inputs, part * demands, 1e-2) / part for part in SMALL]
    least = subject.responses(inputs, SMALL[-1] * demands, 1e-2) / SMALL[-1]
    scale = np.max(np.abs(wide[0]), axis=1)
    bent = np.max([np.max(np.abs(one - wide[0]), axis=1) for one in wide], axis=0)
    smooth = (bent <= 0.02 * scale) & (size[:, 0] > 0)
    lost = ~(np.max(np.abs(least - wide[0]), axis=1) <= 0.05 * scale)
    return _found(
        "small demands",
        smooth & lost,
        lambda i: (
            f"{_asked(subject, np.concatenate([inputs[i], SMALL[-1] * demands[i]]))} moves by "
            f"{_show(SMALL[-1] * least[i])}, {SMALL[0] / SMALL[-1]:g} times as much "
            f"by {_show(SMALL[0] * wide[0][i])}"
        ),
    )
