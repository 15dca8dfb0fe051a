"""Operations that are constraints: products, sums, and functions of every entry."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import inf, prod
from typing import Protocol

from xdsl.dialects.builtin import FloatAttr, f64

from pjc.builder.place import Axes, several
from pjc.builder.values import Names, Tensor
from pjc.builder.views import Views, at_least
from pjc.dialects import ops, shapes
from pjc.dialects.shapes import ShapeError
from pjc.dialects.signature import Signature


def whole_range(bits: int, signed: bool | int) -> tuple[int, int]:
    """Return the least and the largest whole number of 2 to 16 bits; raises ShapeError for other bits."""
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 16:
        raise ShapeError(f"quantize takes 2 to 16 bits, found {bits}", "sign and step are of one bit")
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


class Own(Protocol):
    """An operator of the user's own, as ``pjc.operator`` returns it."""

    @property
    def name(self) -> str: ...
    @property
    def signature(self) -> Signature: ...


class Arithmetic(Views):
    """Builds arithmetic; operands are broadcast to one shape where that is NumPy's rule."""

    # Products

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """Return ``a @ b`` with NumPy's rules for vectors and for leading dimensions."""
        if not a.rank or not b.rank:
            raise ShapeError(f"'@' takes tensors of rank 1 or more, found {a} and {b}")
        inner = b.shape[max(0, b.rank - 2)]
        if a.shape[-1] != inner:
            which = "second to last dimension" if b.rank > 1 else "dimension"
            turned = b.rank > 1 and a.shape[-1] == b.shape[-1]
            raise ShapeError(
                f"'@' needs the last dimension of {a} to equal the {which} of {b}, "
                f"found {a.shape[-1]} and {inner}",
                "transpose the second?" if turned else None,
            )
        rows = a if a.rank > 1 else self.reshape(a, (1, *a.shape))
        columns = b if b.rank > 1 else self.reshape(b, (*b.shape, 1))
        product = self._batched(rows, columns)
        shape, names = list(product.shape), list(product.names)
        if a.rank == 1:
            del shape[-2], names[-2]
        if b.rank == 1:
            del shape[-1], names[-1]
        return Tensor(self.reshape(product, shape).ssa, tuple(names))

    def _batched(self, lhs: Tensor, rhs: Tensor) -> Tensor:
        if rhs.rank == 2:
            rows = self.reshape(lhs, (-1, lhs.shape[-1]))
            product = self.op(ops.DotOp(rows.ssa, rhs.ssa), (rows.names[0], rhs.names[-1]), "matmul")
            back = self.reshape(product, (*lhs.shape[:-1], rhs.shape[-1]))
            return Tensor(back.ssa, (*lhs.names[:-1], rhs.names[-1]))
        lead = shapes.broadcast_together([lhs.shape[:-2], rhs.shape[:-2]])
        left = self.broadcast(lhs, (*lead, *lhs.shape[-2:]))
        right = self.broadcast(rhs, (*lead, *rhs.shape[-2:]))
        both = zip(left.names[:-2], right.names[:-2], strict=True)
        names: Names = (*(a or b for a, b in both), left.names[-2], right.names[-1])
        return self.op(ops.DotOp(left.ssa, right.ssa), names, "matmul")

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """Return ``a * b``, entry by entry."""
        one, other = self.together(a, b)
        return self.op(ops.ProductOp(one.ssa, other.ssa), one.names)

    # Sums

    def add(self, *inputs: Tensor) -> Tensor:
        """Return the sum of tensors."""
        at_least("add", inputs, 2)
        return self._reduce(ops.SumOp, inputs)

    def weighted(
        self, terms: Sequence[Tensor], weights: Sequence[float], offset: float = 0.0, axis: Axes = ()
    ) -> Tensor:
        """Return a number plus weighted tensors, added up also along axes: ``a - b`` has weights 1, -1."""
        if not any(weights):
            raise ShapeError("a tensor times 0 is no constraint on it", "full(shape, 0) makes zeros")
        equal = self.together(*terms)
        gone = shapes.axes_of(several(axis), equal[0].rank)
        names = tuple(name for i, name in enumerate(equal[0].names) if i not in gone)
        return self.op(ops.SumOp([term.ssa for term in equal], gone, weights, offset), names)

    def sum(self, *inputs: Tensor, axis: Axes = ()) -> Tensor:
        """Return the sum of tensors, and along axes; of one tensor an axis is needed."""
        at_least("sum", inputs, 1)
        if len(inputs) == 1 and not several(axis):
            raise ShapeError("sum of one tensor needs an axis", "write sum(x, axis = 0)")
        return self._reduce(ops.SumOp, inputs, axis)

    def relu(self, x: Tensor) -> Tensor:
        """Return ``max(0, x)``."""
        return self._reduce(ops.SumReluOp, [x])

    def sum_relu(self, *inputs: Tensor, axis: Axes = ()) -> Tensor:
        """Return ``max(0, sum)`` as one operation, the sum also along axes."""
        at_least("sum_relu", inputs, 1)
        return self._reduce(ops.SumReluOp, inputs, axis)

    def mean(self, x: Tensor, axis: Axes | None = None) -> Tensor:
        """Return the mean along axes, by default along all."""
        gone = shapes.axes_of(range(x.rank) if axis is None else several(axis), x.rank)
        if not gone:
            raise ShapeError("mean needs an axis of its tensor, found none", "write mean(x, axis = 0)")
        return self.weighted([x], [1 / prod(x.shape[i] for i in gone)], axis=gone)

    # The largest and the least

    def max(self, x: Tensor, axis: Axes = ()) -> Tensor:
        """Return the largest entries along axes."""
        if not several(axis):
            raise ShapeError(
                "max of one tensor needs an axis",
                "write max(x, axis = 0); maximum(a, b) compares tensors entry by entry",
            )
        return self._reduce(ops.MaxOp, [x], axis)

    def maximum(self, *inputs: Tensor) -> Tensor:
        """Return the largest of tensors, entry by entry."""
        at_least("maximum", inputs, 2, "max(x, axis = 0) is the largest along an axis")
        return self._reduce(ops.MaxOp, inputs)

    def min(self, x: Tensor, axis: Axes = ()) -> Tensor:
        """Return the least entries along axes."""
        if not several(axis):
            raise ShapeError(
                "min of one tensor needs an axis",
                "write min(x, axis = 0); minimum(a, b) compares tensors entry by entry",
            )
        return self._reduce(ops.MinOp, [x], axis)

    def minimum(self, *inputs: Tensor) -> Tensor:
        """Return the least of tensors, entry by entry."""
        at_least("minimum", inputs, 2, "min(x, axis = 0) is the least along an axis")
        return self._reduce(ops.MinOp, inputs)

    # Functions of every entry

    def identity(self, x: Tensor) -> Tensor:
        """Return x, by a constraint of its own."""
        return self.elementwise(ops.IdentityOp, x)

    def round(self, x: Tensor) -> Tensor:
        """Return the nearest whole numbers."""
        return self.elementwise(ops.RoundOp, x)

    def elementwise(self, kind: type[ops.ElementwiseOp], x: Tensor, **numbers: float) -> Tensor:
        """Return a function of :data:`pjc.dialects.ops.FUNCTIONS` of every entry; ``numbers`` are its own."""
        given = {**kind.NUMBERS, **numbers}
        for name, value in given.items():
            if name not in kind.NUMBERS:
                raise ShapeError(f"{ops.operator_of(kind)} takes no number '{name}'")
            if value is None:
                raise ShapeError(f"{ops.operator_of(kind)} needs the number '{name}'")
        attributes = {name: FloatAttr(float(value or 0.0), f64) for name, value in given.items()}
        return self.op(kind(x.ssa, None, **attributes), x.names)

    def quantize(
        self,
        x: Tensor,
        levels: Sequence[float] | None = None,
        bits: int | None = None,
        scale: float | None = None,
        signed: int = 1,
    ) -> Tensor:
        """Return the nearest of some levels, which increase; -1 and 1 by default.

        With ``bits``, the nearest multiple of ``scale`` (1 by default) that whole numbers of so many bits
        give, from ``-2^(bits - 1)``, or from 0 for ``signed = 0``: what ONNX's QuantizeLinear and
        DequantizeLinear do.
        """
        if bits is None:
            if scale is not None or not signed:
                raise ShapeError("quantize takes a scale and a sign with bits", "as in bits = 4")
            return self.op(ops.QuantizeOp(x.ssa, (-1.0, 1.0) if levels is None else levels), x.names)
        if levels is not None:
            raise ShapeError("quantize takes levels or bits, found both")
        step = 1.0 if scale is None else scale
        least, largest = whole_range(bits, signed)
        if not 0 < step < inf:
            raise ShapeError(f"quantize needs a scale above 0, found {step:g}")
        whole = self.elementwise(ops.QuantizeLinearOp, x, scale=step, low=least, high=largest)
        return self.weighted([whole], [step]) if step != 1 else whole

    def abs(self, x: Tensor) -> Tensor:
        """Return ``|x|``."""
        return self._pieces("abs", x, (0.0,), (-1.0, 1.0), (0.0, 0.0))

    def leaky_relu(self, x: Tensor, slope: float = 0.01) -> Tensor:
        """Return x above 0, and ``slope`` times x below."""
        return self._pieces("leaky_relu", x, (0.0,), (slope, 1.0), (0.0, 0.0))

    def clip(self, x: Tensor, low: float, high: float) -> Tensor:
        """Return x, but not below ``low`` nor above ``high``."""
        if low >= high:
            raise ShapeError(f"clip needs low < high, found low = {low:g} and high = {high:g}")
        return self._pieces("clip", x, (low, high), (0.0, 1.0, 0.0), (low, 0.0, high))

    def sign(self, x: Tensor, margin: float = 0.0) -> Tensor:
        """Return -1 or 1; training keeps x away from 0 by ``margin``."""
        return self._pieces("sign", x, (0.0,), (0.0, 0.0), (-1.0, 1.0), margin)

    def step(self, x: Tensor, threshold: float = 0.0, margin: float = 0.0) -> Tensor:
        """Return 0 below the threshold and 1 above; training keeps x away from it by ``margin``."""
        return self._pieces("step", x, (threshold,), (0.0, 0.0), (0.0, 1.0), margin)

    def piecewise(
        self,
        x: Tensor,
        edges: Sequence[float],
        slopes: Sequence[float],
        offsets: Sequence[float],
        margin: float = 0.0,
    ) -> Tensor:
        """Return ``slopes[i] x + offsets[i]`` for x in piece i, which ends at ``edges[i]``.

        Training keeps x away from the edges by ``margin``.
        """
        if not len(edges) + 1 == len(slopes) == len(offsets):
            raise ShapeError(
                f"piecewise needs a slope and an offset for each of the {len(edges) + 1} pieces between "
                f"{len(edges)} edges, found {len(slopes)} slopes and {len(offsets)} offsets"
            )
        return self._pieces("piecewise", x, edges, slopes, offsets, margin)

    def _pieces(
        self,
        written: str,
        x: Tensor,
        edges: Sequence[float],
        slopes: Sequence[float],
        offsets: Sequence[float],
        margin: float = 0.0,
    ) -> Tensor:
        room = min((b - a for a, b in itertools.pairwise(edges)), default=inf) / 2
        if not 0 <= margin <= room:
            wanted = "at least 0" if room == inf else f"from 0 to {room:g}, half of the shortest piece"
            raise ShapeError(f"the margin must be {wanted}, found {margin:g}")
        return self.op(ops.PiecewiseOp(x.ssa, edges, slopes, offsets, margin), x.names, written)

    def apply(self, operator: Own, *inputs: Tensor) -> Tensor:
        """Return what an operator of the user's own makes of tensors; see docs/operators.md."""
        name, signature = operator.name, operator.signature
        given = list(inputs)
        if len(given) != len(signature.inputs):
            wanted = len(signature.inputs)
            raise ShapeError(f"{name} takes {wanted} inputs, {signature}, found {len(given)}")
        if not any(signature.inputs):  # of single numbers, which broadcast as in a sum
            given = self.together(*given)
        op = ops.ApplyOp(name, str(signature), [each.ssa for each in given])
        kept = given[0].names[: len(op.result.type.get_shape()) - len(signature.output)]
        return self.op(op, (*kept, *[None] * len(signature.output)), name)

    # Shared

    def together(self, *terms: Tensor) -> list[Tensor]:
        """Return tensors broadcast to their common shape."""
        shape = shapes.broadcast_together([term.shape for term in terms])
        names: list[str | None] = [None] * len(shape)
        for term in terms:
            for axis in range(-term.rank, 0):
                if term.shape[axis] == shape[axis]:
                    names[axis] = names[axis] or term.names[axis]
        return [self.broadcast(term, shape, tuple(names)) for term in terms]

    def _reduce(self, kind: type[ops.ReductionOp], terms: Sequence[Tensor], axis: Axes = ()) -> Tensor:
        """Reduce the terms, broadcast to one shape, together and along the axes."""
        equal = self.together(*terms)
        gone = shapes.axes_of(several(axis), equal[0].rank)
        names = tuple(name for i, name in enumerate(equal[0].names) if i not in gone)
        return self.op(kind([term.ssa for term in equal], gone), names)
