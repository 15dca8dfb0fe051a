"""Recognize convolutions and pools, which are written as products and reductions of patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.ir import SSAValue

from pjc.dialects import ops, view
from pjc.dialects.view import shape_of

Pair = tuple[int, int]


@dataclass(frozen=True)
class Pool:
    """Windows over height and width of ``image``, which has its channels last."""

    image: SSAValue
    window: Pair
    strides: Pair
    dilation: Pair


@dataclass(frozen=True)
class Windows(Pool):
    """Windows of ``image`` with zeros around it; ``shape`` is [batch, *places, *window, channels]."""

    low: Pair
    high: Pair
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Convolution(Windows):
    """A convolution by ``weight``, of [height, width, channels, out]."""

    weight: SSAValue


def as_pool(op: ops.ReductionOp) -> Pool | None:
    """Return the windows that an op reduces, each channel by itself, or None."""
    (first, *more) = op.terms
    if more or list(op.axes.get_values()) != [3, 4]:
        return None
    return _windows(first)


def as_windows(lhs: SSAValue) -> Windows | None:
    """Return the windows that the rows of a product's operand are, or None."""
    rows = lhs.owner
    if not isinstance(rows, view.ReshapeOp):
        return None
    found, cut = _windows(rows.operand), shape_of(rows.operand)
    if found is None or shape_of(rows.result) != (prod(cut[:3]), prod(cut[3:])):
        return None
    image, low, high = found.image, (0, 0), (0, 0)
    if isinstance(image.owner, view.PadOp):
        lows, highs = (list(each.get_values()) for each in (image.owner.low, image.owner.high))
        if lows[0] == lows[3] == highs[0] == highs[3] == 0:
            image, low, high = image.owner.operand, _pair(lows[1:3]), _pair(highs[1:3])
    return Windows(image, found.window, found.strides, found.dilation, low, high, cut)


def as_convolution(lhs: SSAValue, rhs: SSAValue) -> Convolution | None:
    """Return the convolution that a product of windows and a weight is, or None."""
    found, columns = as_windows(lhs), rhs.owner
    if found is None or not isinstance(columns, view.ReshapeOp):
        return None
    weight = shape_of(columns.operand)
    if len(weight) != 4 or weight[:3] != found.shape[3:] or shape_of(rhs) != (prod(weight[:3]), weight[3]):
        return None
    return Convolution(**vars(found), weight=columns.operand)


def _windows(value: SSAValue) -> Pool | None:
    """Return the patches of an image that a value is."""
    owner = value.owner
    if not isinstance(owner, view.PatchesOp) or len(shape_of(owner.operand)) != 4:
        return None
    step = owner.step(0)
    if step.axes != (1, 2):
        return None
    return Pool(owner.operand, _pair(step.window), _pair(step.strides), _pair(step.apart))


def _pair(values: Sequence[int]) -> Pair:
    first, second = values
    return first, second
