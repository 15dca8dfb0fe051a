"""Which axis of an input counts channels, told by the windows that slide over its other axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TypeAlias

from xdsl.dialects.builtin import DenseArrayBase
from xdsl.ir import Operation, SSAValue

from pjc.dialects import proj, view
from pjc.dialects.ops import Reading, operation_of
from pjc.dialects.view import shape_of

Axes: TypeAlias = tuple[int | None, ...]
"""For each axis of a value, the axis of the input that it is; None for one that is none of them."""


def channel_axis(datum: SSAValue) -> int | None:
    """Return the axis of an input that counts channels: the one after the samples', or the last.

    None where no convolution or pool reads the input, or they slide along other axes than all the rest.
    """
    rank = len(shape_of(datum))
    slid = _slid(datum)
    for channels in (1, rank - 1):
        if rank > 2 and slid == set(range(1, rank)) - {channels}:
            return channels
    return None


def _slid(datum: SSAValue) -> set[int | None]:
    """Return the axes of an input that windows slide along, wherever its entries keep their places."""
    pending: list[tuple[SSAValue, Axes]] = [(datum, tuple(range(len(shape_of(datum)))))]
    seen, found = set(pending), set[int | None]()
    while pending:
        value, axes = pending.pop()
        for use in value.uses:
            op = use.operation
            found.update(axes[axis] for axis in _windows(op, use.index))
            after = _after(op, value, axes)
            if after is not None and (reached := (op.results[0], after)) not in seen:
                seen.add(reached)
                pending.append(reached)
    return found - {None}


def _windows(op: Operation, operand: int) -> Sequence[int]:
    """Return the axes of an operand that windows slide along."""
    if isinstance(op, view.PatchesOp):
        return op.axes.get_values()
    is_image = isinstance(op, proj.EvaluateOp) and operand == 0 and _reading(op) is Reading.WINDOWS
    return (1, 2) if is_image else ()


def _after(op: Operation, value: SSAValue, axes: Axes) -> Axes | None:
    """Return the axes of an operation's result; None where entries do not keep their places."""
    if isinstance(op, view.PadOp | view.SliceOp):
        return axes
    if isinstance(op, view.TransposeOp):
        return tuple(axes[axis] for axis in op.permutation.get_values())
    if isinstance(op, view.ReshapeOp):
        return _reshaped(axes, shape_of(value), shape_of(op.result))
    if isinstance(op, proj.EvaluateOp) and shape_of(op.result) == shape_of(value):
        along = op.fields.data.get("axes")
        alone = isinstance(along, DenseArrayBase) and len(along) == 0
        return axes if _reading(op) is Reading.ENTRY or (_reading(op) is Reading.AXES and alone) else None
    return None


def _reshaped(axes: Axes, before: Sequence[int], after: Sequence[int]) -> Axes:
    """Return the axes after a reshape: those of the same size with as many entries behind each of theirs."""
    known = {(size, prod(before[place + 1 :])): axes[place] for place, size in enumerate(before) if size > 1}
    return tuple(known.get((size, prod(after[place + 1 :]))) for place, size in enumerate(after))


def _reading(op: proj.EvaluateOp) -> Reading:
    return operation_of(op.operator.data).READING
