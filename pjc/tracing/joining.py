"""Values one after another: what concatenation, reversal and masks all come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pjc.tracing.refusal import Refused
from pjc.tracing.text import size_text
from pjc.tracing.values import Function, Tensor, Test, Value
from pjc.tracing.views import transposed
from pjc.tracing.walk import Walk

MAX_PARTS = 1024
"""The most slices that one equation becomes."""


def numbers_of(value: Value) -> Value:
    """Return a condition as the function that is 1 where it holds, and 0 elsewhere."""
    return Function(value.of, value.pieces, value.shape) if isinstance(value, Test) else value


def moved(walk: Walk, value: Value) -> Tensor:
    """Return what a view is of; numbers of rows may be moved too."""
    return walk.tensor(numbers_of(value))


def slice_text(start: Any, stop: Any, step: int, size: Any) -> str:
    """Return a slice as the language has it."""
    if step == 1 and is_size(start, 0) and is_size(stop, size):
        return ":"
    text = f"{'' if is_size(start, 0) else size_text(start)}:{'' if is_size(stop, size) else size_text(stop)}"
    return text if step == 1 else f"{text}:{step}"


def is_size(size: Any, other: Any) -> bool:
    return bool(size == other)


def joined(walk: Walk, given: Sequence[Value], axis: int) -> Tensor:
    """Return values one after another along an axis."""
    found, order = walk.aligned([numbers_of(each) for each in given])
    parts = [moved(walk, each) for each in found]
    if len(parts) == 1:
        return parts[0] if order is None else transposed(parts[0], order)
    check_parts(parts)
    own = axis if order is None else order[axis]
    size = sum((part.shape[own] for part in parts[1:]), start=parts[0].shape[own])
    shape = (*parts[0].shape[:own], size, *parts[0].shape[own + 1 :])
    text = f"concat({', '.join(part.text for part in parts)}, axis = {own})"
    fed = any(part.fed for part in parts)
    made = walk.text.bind("concat", text, shape, fed=fed, whole=parts[0].whole)
    return made if order is None else transposed(made, order)


def check_parts(parts: Sequence[Tensor]) -> None:
    if len(parts) > MAX_PARTS:
        raise Refused(f"it joins {len(parts):,} parts, more than {MAX_PARTS:,}")
    if len({part.whole for part in parts}) > 1:
        raise Refused("it joins numbers of rows with numbers")
