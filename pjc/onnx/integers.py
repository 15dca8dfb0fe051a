"""Whole numbers in an exported model: weights as integers, quantizers, and products that add up exactly.

A product that is marked (passes/find_multiples.py) is written as one of whole numbers: its operands come from
DequantizeLinear with a scale of 1, a Round behind it changes nothing but keeps runtimes from folding what
multiplies the sum into what is added up, and a Mul has the scales.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from xdsl.ir import SSAValue

from pjc.dialects import ops, view
from pjc.dialects.view import element_of, shape_of
from pjc.passes.analysis.multiples import EXACT, Found

Array = NDArray[Any]
Fitted = Callable[[Array, tuple[float, ...], tuple[int, ...]], tuple[Array, Array]]
"""Returns the whole numbers of vectors of levels along axes, and what they are times, as ``apply`` does."""

NEAR = 2.0**-20
"""How far a multiple may be from a whole number, relative to it."""
KINDS = {
    18: ((TensorProto.INT8, -128, 127), (TensorProto.UINT8, 0, 255)),
    21: (
        (TensorProto.INT4, -8, 7),
        (TensorProto.UINT4, 0, 15),
        (TensorProto.INT8, -128, 127),
        (TensorProto.UINT8, 0, 255),
        (TensorProto.INT16, -32768, 32767),
        (TensorProto.UINT16, 0, 65535),
    ),
}
"""The integers that quantizers know, by the opset from which on, the smallest first, and what they hold."""
KINDS[25] = ((TensorProto.INT2, -2, 1), (TensorProto.UINT2, 0, 3), *KINDS[21])
BYTES = (TensorProto.INT8, TensorProto.UINT8)
SMALL = tuple(kind for kind, *_ in KINDS[25][:4])


class Writing(Protocol):
    """What the exporter lends."""

    params: Any
    names: dict[SSAValue, str]
    initializers: dict[str, onnx.TensorProto]
    hint: str

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str: ...
    def array(self, values: Any, like: SSAValue | None = None) -> str: ...
    def fresh(self, hint: str) -> str: ...
    def value(self, op: Any) -> str: ...


@dataclass
class Integers:
    """The whole numbers of one model.

    Attributes:
        out: where nodes are written.
        found: what the network's values are multiples of.
        opset: says which integers there are.
        fitted: takes scales out of columns.
        wholes: the names of values as whole numbers, by value and unit.
        quantized: the names of quantized values as integers, and their types.
        why: what keeps a product from being exact, by its op.
        arrays: the whole numbers of parameters, by value and unit.
        fits: what :meth:`columns` has found, by parameter, levels and axes.
        outside: parameters that are not the multiples which their sets have, or larger ones.
        constants: the names of single numbers, by type and number.
    """

    out: Writing
    found: Found
    opset: int
    fitted: Fitted
    wholes: dict[tuple[SSAValue, float], str] = field(default_factory=dict)
    quantized: dict[SSAValue, tuple[str, int]] = field(default_factory=dict)
    why: dict[ops.DotOp, str] = field(default_factory=dict)
    arrays: dict[tuple[SSAValue, float], Array] = field(default_factory=dict)
    fits: dict[tuple[SSAValue, tuple[float, ...], tuple[int, ...]], tuple[float, Array] | None] = field(
        default_factory=dict
    )
    outside: set[SSAValue] = field(default_factory=set)
    constants: dict[tuple[int, float], str] = field(default_factory=dict)

    def kind(self, low: float, high: float) -> int | None:
        """Return the smallest type that holds whole numbers from low to high; None if there is none."""
        kinds = KINDS[max(opset for opset in KINDS if opset <= self.opset)]
        return next((kind for kind, least, most in kinds if least <= low and high <= most), None)

    # Parameters

    def parameter(self, op: ops.ParameterOp, name: str, array: Array) -> str | None:
        """Write a parameter of levels as integers; return the name of its numbers, or None if it is none."""
        known = self.found.get(op.result)
        if known is None or known.levels or not known.unit or array.dtype != np.float32:
            return None
        times = array.astype(np.float64) / known.unit
        whole = np.rint(times)
        if not np.all((np.abs(times - whole) <= NEAR * np.abs(whole)) & (np.abs(whole) <= known.bound)):
            self.outside.add(op.result)
            return None
        kind = self.kind(whole.min(), whole.max())
        if kind is None:
            return None
        self.arrays[op.result, known.unit] = whole
        self.wholes[op.result, known.unit] = self._written(name, name, kind, whole)
        if known.unit == 1:
            return self.wholes[op.result, known.unit]
        self.out.hint = f"{name}_value"
        return self.dequantized(name, kind, known.unit)

    def columns(
        self, value: SSAValue, levels: tuple[float, ...], axes: set[int]
    ) -> tuple[float, Array] | None:
        """Return the unit that a weight is whole numbers of, and what these are times, in the weight's shape.

        None unless it is a view of a parameter whose vectors along the axes are levels times a number.
        """
        traced = _traced(value, axes)
        if traced is None:
            return None
        source, along = traced[0], tuple(sorted(traced[1]))
        if (source.result, levels, along) not in self.fits:
            self.fits[source.result, levels, along] = self._fit(source, levels, along)
        found = self.fits[source.result, levels, along]
        return None if found is None else (found[0], _viewed(value, found[1]))

    def _fit(
        self, source: ops.ParameterOp, levels: tuple[float, ...], axes: tuple[int, ...]
    ) -> tuple[float, Array] | None:
        """Write the levels of a parameter's vectors as integers; return their unit, and their scales."""
        array = np.asarray(self.out.params[source.label.data], np.float32)
        whole, scale = self.fitted(array, levels, axes)
        kind = self.kind(whole.min(), whole.max())
        if kind is None or np.any(whole % 1):
            return None
        unit = -float(len(self.fits) + 1)
        self.arrays[source.result, unit] = whole
        name = self.out.fresh(f"{source.label.data}_levels")
        self.wholes[source.result, unit] = self._written(name, source.label.data, kind, whole)
        return unit, np.broadcast_to(scale, array.shape)

    def _written(self, name: str, label: str, kind: int, whole: Array) -> str:
        """Write integers; return the name of the numbers that they are."""
        flat = whole.astype(np.int64).reshape(-1).tolist()
        self.out.initializers[name] = helper.make_tensor(name, kind, whole.shape, flat)
        self.out.hint = f"{label}_whole"
        return self.dequantized(name, kind, 1.0)

    # Values

    def quantizer(self, op: ops.QuantizeLinearOp) -> str:
        """Write a quantizer; return the name of its whole numbers."""
        step, low, high = op.numbers()
        x, out = self.out.names[op.operand], self.out
        kind = self._quantized_kind(low, high) if str(element_of(op.operand)) == "f32" else None
        if kind is None:
            rounded = out.node("Round", [out.node("Div", [x, out.array(step, op.operand)])])
            return out.node("Clip", [rounded, out.array(low, op.operand), out.array(high, op.operand)])
        made = out.node("QuantizeLinear", [x, self._scale(step), self._integer(kind, 0)])
        fits = (kind, low, high) in KINDS[25]
        if not fits and kind in BYTES:  # as Brevitas writes fewer bits
            made = out.node("Clip", [made, self._integer(kind, low), self._integer(kind, high)])
        if fits or kind in BYTES:
            self.quantized[op.result] = made, kind
            return self.dequantized(made, kind, 1.0)
        whole = self.dequantized(made, kind, 1.0)
        return out.node("Clip", [whole, out.array(low, op.operand), out.array(high, op.operand)])

    def _quantized_kind(self, low: float, high: float) -> int | None:
        """Return the type to quantize to: one of just that range, or one that Clip knows too."""
        kinds = KINDS[max(opset for opset in KINDS if opset <= self.opset)]
        exact = next((kind for kind, *ends in kinds if ends == [low, high]), None)
        held = (kind for kind, least, most in kinds if kind not in SMALL and least <= low and high <= most)
        return exact if exact is not None else next(held, None)

    def clipped(self, op: ops.PiecewiseOp) -> str | None:
        """Return the name of a quantized value between two numbers, if that is what an op is."""
        made, kind = self.quantized.get(op.operand, ("", TensorProto.UNDEFINED))
        ends, slopes, offsets = (list(each.get_values()) for each in (op.edges, op.slopes, op.offsets))
        if kind not in BYTES or slopes != [0, 1, 0] or offsets != [ends[0], 0, ends[1]]:
            return None
        held = next(range_ for range_ in KINDS[21] if range_[0] == kind)
        if any(each % 1 or not held[1] <= each <= held[2] for each in ends):
            return None
        made = self.out.node("Clip", [made, *(self._integer(kind, each) for each in ends)])
        self.quantized[op.result] = made, kind
        return self.dequantized(made, kind, 1.0)

    def scaled(self, op: ops.SumOp) -> str | None:
        """Return the name of a quantized value times a number, if that is what an op is."""
        (first, *more), weight = op.terms, op.each_weight()[0]
        if more or len(op.axes) or op.number() or first not in self.quantized or weight <= 0:
            return None
        return self.dequantized(*self.quantized[first], weight)

    def dequantized(self, name: str, kind: int, scale: float) -> str:
        """Write what integers of a type are times a number.

        onnxruntime 1.2x moves quantizers about; below opset 21 it takes the zero point for what says the
        type, from there on it fails where one is written.
        """
        zero = [] if self.opset >= 21 else [self._integer(kind, 0)]
        return self.out.node("DequantizeLinear", [name, self._scale(scale), *zero])

    def whole(self, value: SSAValue, unit: float) -> str:
        """Return the name of a value as whole numbers: how many times the unit it is.

        Units below 0 are those of :meth:`columns`.
        """
        if (value, unit) not in self.wholes:
            self.wholes[value, unit] = self._whole(value, unit)
        return self.wholes[value, unit]

    def _whole(self, value: SSAValue, unit: float) -> str:
        op, out = value.owner, self.out
        if isinstance(op, view.ViewOp) and not isinstance(op, view.GatherOp):
            inner = {each: self.whole(each, unit) for each in op.operands}
            kept = {each: out.names[each] for each in inner}
            out.names.update(inner)
            out.hint = f"{value.name_hint or 'view'}_whole"
            try:
                return out.value(op)
            finally:
                out.names.update(kept)
        if unit == 1:
            return out.names[value]
        if isinstance(op, ops.SumOp) and op.terms[0] in self.quantized and op.each_weight() == [unit]:
            return out.names[op.terms[0]]
        times = out.node("Mul", [out.names[value], out.array(1 / unit, value)])
        return out.node("Round", [times])

    # Products

    def factors(self, op: ops.DotOp, lhs: SSAValue, rhs: SSAValue) -> tuple[str, str, Array] | None:
        """Return the names of the two factors of a product as whole numbers, and what the product is times.

        lhs and rhs are what is multiplied, an image and a kernel where that is a convolution. None if the
        product is not marked as one of whole numbers, or is none for these parameters.
        """
        if op.units is None or str(element_of(op.result)) != "f32":
            self.why[op] = _NOT_MARKED if op.units is None else "whole numbers are exported for float32 only"
            return None
        outside = self.outside_of(lhs) or self.outside_of(rhs)
        if outside:
            self.why[op] = outside
            return None
        one, other = op.units.get_values()
        is_image = lhs is not op.lhs
        factor: Any = one * other
        if op.levels is not None:
            axes = {0, 1, 2} if is_image else {len(shape_of(rhs)) - 2}
            columns = self.columns(rhs, tuple(op.levels.get_values()), axes)
            if columns is None:
                self.why[op] = "its weights are no levels times a number for each column"
                return None
            other, scale = columns
            scale = scale[0, 0, 0] if is_image else scale[..., :1, :] if scale.ndim > 2 else scale[0]
            factor = np.float32(scale) * np.float32(one)
        first, second = self.whole(lhs, one), self.whole(rhs, other)
        reached = self._reached(op, rhs, other)
        if reached > EXACT:
            self.why[op] = f"its sums may reach {reached:,.0f}, and float32 counts to {EXACT:,}"
        return first, second, np.asarray(factor, np.float32)

    def outside_of(self, value: SSAValue) -> str:
        """Say of which parameter outside of its set a value is made, so that it may be no multiple; or ""."""
        left, seen = [value], {value}
        while left:
            each = left.pop()
            if each in self.outside:
                assert isinstance(each.owner, ops.ParameterOp)
                return f"parameter '{each.owner.label.data}' is not in the set that is required of it"
            if isinstance(each.owner, _PASSING):
                left.extend(other for other in each.owner.operands if other not in seen)
                seen.update(each.owner.operands)
        return ""

    def _reached(self, op: ops.DotOp, rhs: SSAValue, unit: float) -> float:
        """Return what sums of whole numbers may add up to, of the parameters at hand."""
        lhs, weight = self.found.get(op.lhs), self.found.get(op.rhs)
        if lhs is None:
            return np.inf
        source = _traced(rhs, set())
        if source is None or (source[0].result, unit) not in self.arrays:
            return lhs.bound * (weight.bound if weight is not None else np.inf) * shape_of(op.lhs)[-1]
        whole = np.abs(_viewed(rhs, self.arrays[source[0].result, unit]))
        return lhs.bound * float(
            np.max(np.sum(whole, axis=(0, 1, 2) if rhs is not op.rhs and whole.ndim == 4 else -2))
        )

    # Constants

    def _scale(self, number: float) -> str:
        return self._constant(TensorProto.FLOAT, float(np.float32(number)))

    def _integer(self, kind: int, number: float) -> str:
        return self._constant(kind, int(number))

    def _constant(self, kind: int, number: float) -> str:
        if (kind, number) not in self.constants:
            word = TensorProto.DataType.Name(kind).lower()
            name = self.out.fresh(
                f"{'scale' if kind == TensorProto.FLOAT else word}_{number:g}".replace("-", "m")
            )
            self.out.initializers[name] = helper.make_tensor(name, kind, [], [number])
            self.constants[kind, number] = name
        return self.constants[kind, number]


_PASSING = (
    view.ViewOp,
    ops.IdentityOp,
    ops.DotOp,
    ops.ProductOp,
    ops.SumOp,
    ops.SumReluOp,
    ops.MaxOp,
    ops.MinOp,
    ops.PiecewiseOp,
)
"""What gives multiples of what it takes; all else, as a quantizer, gives them of whatever it takes."""
_NOT_MARKED = "it adds up products of numbers that are not multiples of one number"


def _traced(value: SSAValue, axes: set[int]) -> tuple[ops.ParameterOp, set[int]] | None:
    """Return the parameter that a value is a view of, and which of its axes are these of the value.

    A slice of one entry of an axis stands for all its slices: the axis does not count.
    """
    op = value.owner
    match op:
        case ops.ParameterOp():
            return op, axes
        case view.TransposeOp():
            order = op.permutation.get_values()
            return _traced(op.operand, {order[axis] for axis in axes})
        case view.SliceOp():
            old, new = shape_of(op.operand), shape_of(op.result)
            if any(old[axis] != new[axis] for axis in axes if new[axis] != 1):
                return None
            return _traced(op.operand, {axis for axis in axes if new[axis] == old[axis]})
        case view.ReshapeOp():
            old, new = shape_of(op.operand), shape_of(op.result)
            merged = len(old) - len(new)
            if merged < 0 or (prod(old[: merged + 1]), *old[merged + 1 :]) != new:
                return None
            front = set(range(merged + 1)) if 0 in axes else set()
            return _traced(op.operand, front | {axis + merged for axis in axes if axis})
    return None


def _viewed(value: SSAValue, array: Array) -> Array:
    """Return what a value is where the parameter that it is a view of is an array."""
    op = value.owner
    match op:
        case view.TransposeOp():
            return _viewed(op.operand, array).transpose(op.permutation.get_values())
        case view.SliceOp():
            ends = zip(*(each.get_values() for each in (op.starts, op.limits, op.strides)), strict=True)
            return _viewed(op.operand, array)[tuple(slice(*each) for each in ends)]
        case view.ReshapeOp():
            return _viewed(op.operand, array).reshape(shape_of(op.result))
    return array
