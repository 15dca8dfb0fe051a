"""What the arguments of functions and losses may be: each converter checks one kind of argument."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pjc.builder.values import Tensor
from pjc.frontends.values import Given, Mistake, Padding, Value, describe

Array = NDArray[Any]


def fail(given: Given, expected: str, found: str | None = None) -> Mistake:
    """Return the complaint that an argument is not what was expected."""
    what = f"'{given.name}' must be" if given.name else "expected"
    return Mistake(f"{what} {expected}, found {found or describe(given.value)}", span=given.span)


def tensor(given: Given) -> Tensor:
    """A tensor."""
    if not isinstance(given.value, Tensor):
        hint = None
        if isinstance(given.value, tuple) and given.value:
            hint = "functions of several tensors (concat, sum, maximum, ..) take a tuple of tensors"
        elif isinstance(given.value, int | float):
            hint = "full(shape, number) makes one of a number"
        raise Mistake(str(fail(given, "a tensor")), hint, given.span)
    return given.value


def operands(rest: Sequence[Given]) -> list[Tensor]:
    """Tensors, or one tuple of tensors."""
    if len(rest) == 1 and isinstance(rest[0].value, tuple):
        rest = [Given(None, item, rest[0].span) for item in rest[0].value]
    return [tensor(each) for each in rest]


def integer(given: Given) -> int:
    """An integer."""
    return _integer(given, given.value)


def integers(given: Given) -> list[int]:
    """An integer or a tuple of integers."""
    value = given.value
    return [_integer(given, item) for item in (value if isinstance(value, tuple) else (value,))]


def number(given: Given) -> float:
    """A number."""
    if not isinstance(given.value, int | float):
        raise fail(given, "a number")
    return float(given.value)


def positive(given: Given) -> float:
    """A number above 0."""
    value = number(given)
    if not value > 0:
        raise fail(given, "positive", str(given.value))
    return value


def numbers(given: Given) -> list[float]:
    """A number or a tuple of numbers."""
    items = given.value if isinstance(given.value, tuple) else (given.value,)
    return [number(Given(given.name, item, given.span)) for item in items]


def levels(given: Given) -> list[float]:
    """Strictly increasing numbers."""
    items = given.value if isinstance(given.value, tuple) else (given.value,)
    found = numbers(given)
    if not found or any(a >= b for a, b in itertools.pairwise(found)):
        shown = "(" + ", ".join(map(str, items)) + ")"
        raise fail(given, "strictly increasing numbers", shown)
    return found


def entries(given: Given) -> tuple[list[float], list[int]]:
    """A number, or nested tuples of numbers, all of one shape; its entries and its shape."""
    shape: list[int] = []
    rows: list[Value] = [given.value]
    while rows and isinstance(rows[0], tuple):
        size = len(rows[0])
        if any(not isinstance(row, tuple) or len(row) != size for row in rows):
            raise fail(given, "nested tuples of equal lengths", "tuples of different ones")
        shape.append(size)
        rows = [item for row in rows if isinstance(row, tuple) for item in row]
    for row in rows:
        if not isinstance(row, int | float):
            raise fail(given, "a number or nested tuples of numbers", describe(row))
    return [float(row) for row in rows if isinstance(row, int | float)], shape


def array(given: Given) -> Array:
    """A number, or nested tuples of numbers, as an array."""
    numbers, shape = entries(given)
    return np.reshape(np.array(numbers), shape)


def pair(given: Given) -> tuple[int, int]:
    """Two integers of at least 1, or one for both."""
    found = integers(given)
    both = found * 2 if len(found) == 1 else found
    if len(both) != 2 or min(both) < 1:
        raise fail(given, "one or two positive integers", None if len(both) != 2 else str(tuple(both)))
    return both[0], both[1]


def padding(given: Given) -> str | list[tuple[int, int]]:
    """SAME, VALID, or a pair (before, after) for height and for width."""
    if isinstance(given.value, Padding):
        return given.value.name
    found = widths(given)
    if len(found) != 2 or min(min(pair) for pair in found) < 0:
        raise fail(given, "SAME, VALID or ((top, bottom), (left, right))")
    return found


def widths(given: Given) -> list[tuple[int, int]]:
    """A pair of integers for each axis."""
    found = []
    pairs: tuple[Value, ...] = given.value if isinstance(given.value, tuple) else (given.value,)
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise Mistake(
                f"pad takes a pair (before, after) for each axis, found {describe(pair)}",
                "write ((0, 0), (1, 1))",
                given.span,
            )
        found.append((_integer(given, pair[0]), _integer(given, pair[1])))
    return found


def _integer(given: Given, value: Value) -> int:
    if not isinstance(value, int):
        raise fail(given, "an integer", describe(value))
    return value
