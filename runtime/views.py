"""Paths of views on arrays: what they make of a value, and how the copies are added up again."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from pjc.dialects import steps
from pjc.dialects.shapes import Shape
from pjc.runtime.steps import Before, View

Path = Sequence[View[Any]]
"""The steps from a value to its copies, as :func:`pjc.runtime.steps.bound` returns them."""


def spread(value: Any, path: Path, fill: int = 0) -> Any:
    """Return the copies that a path makes of a value; entries of other owners are zero.

    ``fill`` is what pads hold.
    """
    for view in path:
        value = view.spread(value, fill)
    return value


def write(copies: Array | None, value: Array, path: Path, shape: Shape) -> Array:
    """Return the copies, of the given shape, with those that the path makes of a value written over them.

    Where there are no copies yet, those of other owners are zero.
    """
    if owns_all(path):
        return jnp.asarray(spread(value, path))
    copies = jnp.zeros(shape, value.dtype) if copies is None else copies
    *start, last = path
    inner = shape_after(start, value.shape)
    before = Before(inner, owns_all(start), lambda own: write(own, value, start, inner))
    written = last.write(copies, before)
    if written is not None:
        return written
    mine = spread(jnp.ones_like(value), path, fill=1) > 0
    return jnp.where(mine, spread(value, path), copies)


def collect(copies: Array, path: Path, shape: Shape) -> Array:
    """Return, for each entry of a value of the given shape, the sum of its copies: spread's adjoint."""
    for view, before in zip(reversed(path), shapes_along(path, shape)[-2::-1], strict=True):
        copies = view.collect(copies, before)
    return copies


def counts(path: Path, shape: Shape) -> np.ndarray | int:
    """Return how many copies a path makes of each entry of a value.

    One number where all agree, else an array of the value's rank, with size 1 along axes that do not matter.
    The path must not gather; see :func:`pjc.runtime.gathered.gathered_counts`.
    """
    shapes = shapes_along(path, shape)
    made = np.ones([1] * len(shapes[-1]), np.int64)
    for view, before, after in zip(reversed(path), shapes[-2::-1], reversed(shapes[1:]), strict=True):
        counted = view.counts(made, before, after)
        if counted is None:
            return _counts_by_index(path, shape)
        made = counted
    return int(made.flat[0]) if made.size == 1 else made


def _counts_by_index(path: Path, shape: Shape) -> np.ndarray:
    """Return the counts by sending each entry's number along the path."""
    numbers = steps.numbers_along((view.step for view in path), shape)
    found = np.bincount(numbers.ravel(), minlength=prod(shape) + 1)[1:]
    return found.reshape(shape)


def owns_all(path: Path) -> bool:
    """Whether every copy at the end of the path belongs to the value at its start."""
    return all(view.step.owns_all for view in path)


def shape_after(path: Path, shape: Shape) -> Shape:
    """Return the shape at the end of a path."""
    return shapes_along(path, shape)[-1]


def shapes_along(path: Path, shape: Shape) -> list[Shape]:
    """Return the shape before the path and after each of its steps."""
    return steps.shapes_along((view.step for view in path), shape)
