"""Piecewise linear functions of one number: how elementwise equations on one tensor become one function."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

MAX_PIECES = 64
SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Edge:
    """Where two pieces meet; ``after`` says that the edge itself belongs to the piece behind it.

    Of two edges at one number that one comes first: between them lies the number alone.
    """

    at: float
    after: bool = False

    def __lt__(self, other: Edge) -> bool:
        return (self.at, not self.after) < (other.at, not other.after)


@dataclass(frozen=True)
class Pieces:
    """``slopes[i] * x + offsets[i]`` in piece i; pieces meet at the edges, which increase."""

    edges: tuple[Edge, ...] = ()
    slopes: tuple[float, ...] = (1.0,)
    offsets: tuple[float, ...] = (0.0,)

    @property
    def is_identity(self) -> bool:
        return self == Pieces()

    def scaled(self, factor: float) -> Pieces:
        """Return the function times a number."""
        return Pieces(
            self.edges, tuple(factor * s for s in self.slopes), tuple(factor * o for o in self.offsets)
        )

    def divided(self, number: float) -> Pieces:
        """Return the function divided by a number."""
        return Pieces(
            self.edges, tuple(s / number for s in self.slopes), tuple(o / number for o in self.offsets)
        )

    def shifted(self, number: float) -> Pieces:
        """Return the function plus a number."""
        return Pieces(self.edges, self.slopes, tuple(o + number for o in self.offsets))

    def ends(self, piece: int) -> tuple[float, float]:
        """Return between which numbers a piece lies."""
        low = self.edges[piece - 1].at if piece else -math.inf
        high = self.edges[piece].at if piece < len(self.edges) else math.inf
        return low, high

    def jumps_at(self, edge: int) -> bool:
        """Return whether the function jumps at an edge."""
        at = self.edges[edge].at
        below = self.slopes[edge] * at + self.offsets[edge]
        above = self.slopes[edge + 1] * at + self.offsets[edge + 1]
        return not math.isclose(below, above, rel_tol=1e-9, abs_tol=1e-12 * max(1.0, abs(at)))

    def simple(self) -> Pieces:
        """Return the same function without edges at which nothing changes."""
        edges: list[Edge] = []
        lines = [(self.slopes[0], self.offsets[0])]
        for edge, line in zip(self.edges, zip(self.slopes[1:], self.offsets[1:], strict=True), strict=True):
            if line != lines[-1]:
                edges.append(edge)
                lines.append(line)
        return Pieces(tuple(edges), tuple(s for s, _ in lines), tuple(o for _, o in lines))

    def written(self) -> tuple[list[float], list[float], list[float]]:
        """Return edges, slopes, offsets as the language has them: each edge belongs to the piece before it.

        An edge of a jump that belongs to the piece behind is the next smaller number of single precision
        instead; below 0 that is the smallest that arithmetic keeps from 0.
        """
        edges: list[float] = []
        lines = [(self.slopes[0], self.offsets[0])]
        for index, edge in enumerate(self.edges):
            at = edge.at
            if edge.after and self.jumps_at(index):
                at = -SMALLEST if at == 0 else float(np.nextafter(np.float32(at), np.float32(-np.inf)))
            if edges and edges[-1] >= at:
                # No number is left between the two.
                edges.pop()
                lines.pop()
            edges.append(at)
            lines.append((self.slopes[index + 1], self.offsets[index + 1]))
        return edges, [s for s, _ in lines], [o for _, o in lines]


Line = tuple[float, float]


def together(
    functions: Sequence[Pieces], choose: Callable[..., Sequence[tuple[Edge | None, Line]]]
) -> Pieces:
    """Return what ``choose`` makes of functions of the same number, piece by piece.

    It is given the edges of a piece and the line of each function there, and returns lines with the edges
    inside the piece that they start at; None for the first.
    """
    edges = sorted({edge for each in functions for edge in each.edges})
    found: list[tuple[Edge | None, Line]] = []
    bounds = [Edge(-math.inf), *edges, Edge(math.inf, after=True)]
    for index, (low, high) in enumerate(itertools.pairwise(bounds)):
        start = edges[index - 1] if index else None
        lines = []
        for each in functions:
            piece = 0 if start is None else bisect.bisect_right(each.edges, start)
            lines.append((each.slopes[piece], each.offsets[piece]))
        (_, first), *rest = choose(low, high, *lines)
        found += [(start, first), *rest]
    if len(found) > MAX_PIECES:
        raise OverflowError
    inner = tuple(edge for edge, _ in found[1:] if edge is not None)
    made = Pieces(inner, tuple(s for _, (s, _) in found), tuple(o for _, (_, o) in found))
    return made.simple()


def added(a: Pieces, b: Pieces, sign: float = 1.0) -> Pieces:
    """Return the sum, or with ``sign`` -1 the difference, of two functions of one number."""
    return together((a, b), lambda _l, _h, p, q: [(None, (p[0] + sign * q[0], p[1] + sign * q[1]))])


def _crossing(low: Edge, high: Edge, p: Line, q: Line) -> float | None:
    """Return where two lines cross between two edges, or at one that belongs to the piece."""
    if p[0] == q[0]:
        return None
    at = (q[1] - p[1]) / (p[0] - q[0]) + 0.0
    return at if low < Edge(at) and Edge(at, after=True) < high else None


def _above(start: Edge, stop: Edge, p: Line, q: Line) -> bool:
    """Return whether a line lies above another somewhere in a piece in which they do not cross."""
    low, high = start.at, stop.at
    if math.isinf(low) and math.isinf(high):
        at = 0.0
    elif math.isinf(low):
        at = high - 1 - abs(high)
    elif math.isinf(high):
        at = low + 1 + abs(low)
    else:
        at = (low + high) / 2
    return p[0] * at + p[1] > q[0] * at + q[1]


def largest(a: Pieces, b: Pieces) -> Pieces:
    """Return the larger of two functions of one number."""

    def choose(low: Edge, high: Edge, p: Line, q: Line) -> list[tuple[Edge | None, Line]]:
        at = _crossing(low, high, p, q)
        if at is None or not low.at < at < high.at:
            return [(None, p if _above(low, high, p, q) else q)]
        first, second = (p, q) if p[0] < q[0] else (q, p)
        return [(None, first), (Edge(at), second)]

    return together((a, b), choose)


def least(a: Pieces, b: Pieces) -> Pieces:
    """Return the smaller of two functions of one number."""
    return largest(a.scaled(-1.0), b.scaled(-1.0)).scaled(-1.0)


ONE, ZERO = (0.0, 1.0), (0.0, 0.0)


def compared(a: Pieces, b: Pieces, relation: str) -> Pieces:
    """Return where two functions of one number stand in a relation, as gt or le; 1 there, else 0."""
    if relation in ("eq", "ne"):
        equal_there = both(compared(a, b, "ge"), compared(a, b, "le"))
        return equal_there if relation == "eq" else opposite(equal_there)
    if relation in ("lt", "le"):
        return compared(b, a, "gt" if relation == "lt" else "ge")
    equal = ONE if relation == "ge" else ZERO

    def choose(low: Edge, high: Edge, p: Line, q: Line) -> list[tuple[Edge | None, Line]]:
        if p == q:
            return [(None, equal)]
        at = _crossing(low, high, p, q)
        if at is None:
            return [(None, ONE if _above(low, high, p, q) else ZERO)]
        before, behind = (ZERO, ONE) if p[0] > q[0] else (ONE, ZERO)
        lines = [(None, before), (Edge(at, after=True), equal), (Edge(at), behind)]
        # At an edge of the piece there is no number before it, or none behind it.
        if not low < Edge(at, after=True):
            lines = [(None, equal), lines[2]]
        return lines if Edge(at) < high else lines[:-1]

    return together((a, b), choose)


def chosen(where: Pieces, no: Pieces, yes: Pieces) -> Pieces:
    """Return one function where a condition holds, and another elsewhere."""
    return together((where, no, yes), lambda _l, _h, c, p, q: [(None, q if c[1] else p)])


def opposite(where: Pieces) -> Pieces:
    """Return where a condition does not hold."""
    return where.scaled(-1.0).shifted(1.0)


def both(a: Pieces, b: Pieces) -> Pieces:
    """Return where two conditions hold."""
    return together((a, b), lambda _l, _h, p, q: [(None, ONE if p[1] and q[1] else ZERO)])
