"""The op dialect: operations, losses and sets, each declared once.

In a network (``net.network``) an operation computes; in a problem (``feas.problem``) it is the constraint
``{(x, z) : z = f(x)}`` on its operands and its result, and carries the *part* that it is projected in.
Inputs, parameters and constants are the *nodes* whose values are given or free, losses and sets those that
require something. Views (:mod:`pjc.dialects.view`) stand between, and impose nothing.

What passes must know of an operation stands on its class: how it reads its operands (:class:`Reading`), how
much work it is, whether it is bilinear, which operands the iterations of a loop read together, the function
that the language has for it, and its name in ONNX.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import ClassVar

from xdsl.dialects.builtin import (
    FloatAttr,
    StringAttr,
    TensorType,
    f64,
)
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from pjc.dialects import shapes
from pjc.dialects.forms import FORMS, WITHOUT_WINDOWS
from pjc.dialects.nodes import (
    FLOATS,
    INITIALIZERS,
    MAX_ENTRIES,
    ConstantOp,
    Floats,
    GivenOp,
    IndexOp,
    InitAttr,
    InputOp,
    NodeOp,
    OutputOp,
    ParameterOp,
    SourceOp,
    TargetOp,
    declared,
    floats,
    labelled,
    operator_of,
    too_many,
)
from pjc.dialects.requirements import (
    LOSSES,
    BoundsLossOp,
    ClassMarginOp,
    CrossEntropyOp,
    EqualOp,
    HingeOp,
    LossOp,
    MarginOp,
    MultiLabelOp,
    SetOp,
    SquaredErrorOp,
)
from pjc.dialects.shapes import Shape
from pjc.dialects.signature import Signature
from pjc.dialects.steps import Broadcast, Step, Transpose
from pjc.dialects.view import SIZES, ShapedOp, Sizes, shape_of, sizes, tensor_like


class Reading(Enum):
    """Which entries of its operands an entry of an operation's result depends on."""

    ENTRY = "the same entry of each operand"
    AXES = "the same entry of each operand, and all along the field 'axes'"
    PRODUCT = "a row of the first operand and a column of the second"
    WINDOWS = "a window of an image and the weights of a channel"
    SITES = "all entries of a site: the last axes of each operand, as its signature says"


class OperationOp(NodeOp, ShapedOp, ABC):
    """An operation: in a problem the constraint ``{(x, z) : z = f(x)}`` on its operands and its result."""

    READING: ClassVar[Reading]

    traits = traits_def(Pure())

    @property
    def jumps(self) -> bool:
        """Whether the function jumps somewhere: a small change of an input may be none of the value."""
        return False

    @classmethod
    def work(cls, inputs: Sequence[Shape], result: Shape) -> int:
        """Return the floating-point operations of a forward pass, given the shapes of inputs and result."""
        return sum(map(math.prod, inputs))


class BilinearOp(OperationOp, ABC):
    """What dots and convolutions share: each entry of the result holds its own copies of what it multiplies.

    ``copies`` says how a solver represents them: all of them, in every state of an iteration ("exact") or in
    one ("held"); by what they have in common ("shared"); or as rank-one corrections of that ("factored").

    ``units``: the entries of the two operands are whole multiples of these numbers, and a network that is
    applied adds up the whole numbers, which is exact, and multiplies once (runtime/projections/multiples.py).
    With ``levels`` each column of the second is those levels times a number of its own.
    """

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    copies = opt_prop_def(StringAttr)
    units = opt_prop_def(FLOATS)
    levels = opt_prop_def(FLOATS)
    result = result_def(TensorType)

    @property
    def form(self) -> str:
        """How the copies are represented: "exact" unless a pass has chosen otherwise."""
        return "exact" if self.copies is None else self.copies.data

    def multiples(self) -> dict[str, Attribute]:
        """Return what is known of the operands as multiples, by name."""
        given = {"units": self.units, "levels": self.levels}
        return {name: value for name, value in given.items() if value is not None}

    def verify_(self) -> None:
        super().verify_()
        if self.form not in FORMS:
            raise VerifyException(f"copies are {', '.join(FORMS)}, found '{self.form}'")
        if self.units is not None and (len(self.units) != 2 or min(self.units.get_values()) <= 0):
            raise VerifyException("units are two numbers above 0")
        if self.levels is not None and (self.units is None or not any(self.levels.get_values())):
            raise VerifyException("levels need units, and one that is not 0")


@irdl_op_definition
class DotOp(BilinearOp):
    """``{(a, w, z) : z[.., k, m] = sum_n a[.., k, n] w[.., n, m]}``.

    ``%z = op.dot "dense.matmul" %a, %w : ...``. In a problem every (k, m) holds its own copies of the vectors
    ``a[.., k, :]`` and ``w[.., :, m]``, so both operands have copies of shape ``[.., K, M, N]``.
    """

    name = "op.dot"
    READING: ClassVar[Reading] = Reading.PRODUCT

    assembly_format = (
        "($label^)? $lhs `,` $rhs (`part` $part^)? (`copies` $copies^)? (`units` $units^)? "
        "(`levels` $levels^)? attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"
    )

    def __init__(self, lhs: SSAValue, rhs: SSAValue, label: str | None = None) -> None:
        shape = shapes.matmul(shape_of(lhs), shape_of(rhs))
        super().__init__(
            operands=[lhs, rhs],
            properties={"label": labelled(label)},
            result_types=[tensor_like(lhs, shape)],
        )

    def copies_shape(self) -> Shape:
        """Return ``[.., K, M, N]``, the shape of the copies of either operand."""
        return (*shape_of(self.result), shape_of(self.lhs)[-1])

    def operand_path(self, operand: int) -> tuple[Step, ...]:
        target = self.copies_shape()
        batch = range(len(target) - 3)
        last = len(target) - 1
        if operand == 0:
            return (Broadcast(target, (*batch, last - 2, last)),)
        swap = (*batch, last - 1, last - 2)
        return (
            Transpose(swap),
            Broadcast(target, (*batch, last - 1, last)),
        )

    def is_common(self, operand: int) -> bool:
        return operand == 1 and len(shape_of(self.rhs)) == 2

    def infer(self) -> Shape:
        return shapes.matmul(shape_of(self.lhs), shape_of(self.rhs))

    @classmethod
    def work(cls, inputs: Sequence[Shape], result: Shape) -> int:
        return 2 * math.prod(result) * inputs[0][-1]


@irdl_op_definition
class ConvolutionOp(BilinearOp):
    """``{(a, w, z) : z[b, p, q, m] = sum_ijn a[b, p s + i d - low, q s' + j d' - low', n] w[i, j, n, m]}``.

    ``%z = op.convolution "conv" %a, %w strides [1, 1] dilation [1, 1] low [1, 1] high [1, 1] copies
    "shared" : ...``, with a ``[batch, height, width, N]`` and w ``[window height, window width, N, M]``.
    Strides are s and s', dilations d and d'; around a there are zeros. It is a dot over the windows of a in a
    form that never makes them, shared or factored; in the other forms it is that dot.
    """

    name = "op.convolution"
    READING: ClassVar[Reading] = Reading.WINDOWS

    strides = prop_def(SIZES)
    dilation = prop_def(SIZES)
    low = prop_def(SIZES)
    high = prop_def(SIZES)

    assembly_format = (
        "($label^)? $lhs `,` $rhs `strides` $strides `dilation` $dilation `low` $low `high` $high "
        "(`part` $part^)? (`copies` $copies^)? (`units` $units^)? (`levels` $levels^)? attr-dict "
        "`:` type($lhs) `,` type($rhs) `->` type($result)"
    )

    def __init__(
        self,
        lhs: SSAValue,
        rhs: SSAValue,
        *,
        strides: Sequence[int],
        dilation: Sequence[int],
        low: Sequence[int],
        high: Sequence[int],
        copies: str,
        label: str | None = None,
    ) -> None:
        numbers = {"strides": strides, "dilation": dilation, "low": low, "high": high}
        shape = shapes.convolution(shape_of(lhs), shape_of(rhs), **numbers)
        super().__init__(
            operands=[lhs, rhs],
            properties={
                "label": labelled(label),
                "copies": StringAttr(copies),
                **{name: sizes(each) for name, each in numbers.items()},
            },
            result_types=[tensor_like(lhs, shape)],
        )

    def numbers(self) -> dict[str, Sizes]:
        """Return strides, dilation, low and high by name."""
        return {"strides": self.strides, "dilation": self.dilation, "low": self.low, "high": self.high}

    def fields(self) -> dict[str, Attribute]:
        return dict(self.numbers())

    def verify_(self) -> None:
        super().verify_()
        if self.form not in WITHOUT_WINDOWS:
            raise VerifyException(
                f"a convolution's copies are shared or factored, found '{self.form}'; "
                "its other forms are those of a dot over patches"
            )

    def infer(self) -> Shape:
        numbers = {name: each.get_values() for name, each in self.numbers().items()}
        return shapes.convolution(shape_of(self.lhs), shape_of(self.rhs), **numbers)

    @classmethod
    def work(cls, inputs: Sequence[Shape], result: Shape) -> int:
        return 2 * math.prod(result) * math.prod(inputs[1][:3])


class ReductionOp(OperationOp, ABC):
    """What sum, sum_relu, max and min share: operands of equal shape, reduced together and along axes."""

    READING: ClassVar[Reading] = Reading.AXES

    terms = var_operand_def(TensorType)
    axes = prop_def(SIZES)
    result = result_def(TensorType)

    assembly_format = (
        "($label^)? $terms `axes` $axes (`part` $part^)? attr-dict `:` type($terms) `->` type($result)"
    )

    def __init__(self, terms: Sequence[SSAValue], axes: Sequence[int] = (), label: str | None = None) -> None:
        found = [shape_of(term) for term in terms]
        shape = shapes.elementwise(found, axes)
        super().__init__(
            operands=[list(terms)],
            properties={"label": labelled(label), "axes": sizes(shapes.axes_of(axes, len(found[0])))},
            result_types=[tensor_like(terms[0], shape)],
        )

    def fields(self) -> dict[str, Attribute]:
        return {"axes": self.axes}

    def lifted_properties(self, lift: int) -> dict[str, Attribute]:
        return {"axes": sizes([axis + lift for axis in self.axes.get_values()])}

    def infer(self) -> Shape:
        found, axes = [shape_of(term) for term in self.terms], self.axes.get_values()
        if found:
            shapes.require_counted(axes, len(found[0]))
        return shapes.elementwise(found, axes)


class WeightedOp(ReductionOp, ABC):
    """What sum and sum_relu share: a weight for each term, all 1 if none are given, and an offset."""

    weights = opt_prop_def(FLOATS)
    offset = opt_prop_def(FloatAttr.constr(f64))

    assembly_format = (
        "($label^)? $terms `axes` $axes (`weights` $weights^)? (`offset` $offset^)? (`part` $part^)? "
        "attr-dict `:` type($terms) `->` type($result)"
    )

    def __init__(
        self,
        terms: Sequence[SSAValue],
        axes: Sequence[int] = (),
        weights: Sequence[float] = (),
        offset: float = 0.0,
        label: str | None = None,
    ) -> None:
        super().__init__(terms, axes, label)
        plain = not weights or list(weights) == [1.0] * len(terms)
        self.weights = None if plain else floats(weights)
        self.offset = FloatAttr(offset, f64) if offset else None

    def each_weight(self) -> list[float]:
        """Return the weight of each term."""
        return [1.0] * len(self.terms) if self.weights is None else list(self.weights.get_values())

    def number(self) -> float:
        """Return the offset."""
        return 0.0 if self.offset is None else float(self.offset.value.data)

    def fields(self) -> dict[str, Attribute]:
        given = {"axes": self.axes, "weights": self.weights, "offset": self.offset}
        return {name: value for name, value in given.items() if value is not None}

    def verify_(self) -> None:
        super().verify_()
        if self.weights is None:
            return
        if len(self.weights) != len(self.terms):
            raise VerifyException(f"{len(self.terms)} terms need as many weights, found {len(self.weights)}")
        if not any(self.weights.get_values()):
            raise VerifyException("at least one weight must not be zero")


@irdl_op_definition
class SumOp(WeightedOp):
    """``{(x, z) : z = offset + sum of weight times term}``, and along axes: ``op.sum %a, %b axes [] : ...``.

    ``op.sum "s" %a, %b axes [] weights [1.0, -1.0] offset 0.5 : ...``
    """

    name = "op.sum"


@irdl_op_definition
class SumReluOp(WeightedOp):
    """``{(x, z) : z = max(0, weighted sum of terms)}``; relu is the case of one.

    ``op.sum_relu %a axes [] : ...``
    """

    name = "op.sum_relu"


@irdl_op_definition
class MaxOp(ReductionOp):
    """``{(x, z) : z = the largest of the terms}``, and along axes: ``op.max %x axes [1] : ...``."""

    name = "op.max"


@irdl_op_definition
class MinOp(ReductionOp):
    """``{(x, z) : z = the least of the terms}``, and along axes: ``op.min %x axes [1] : ...``."""

    name = "op.min"


@irdl_op_definition
class ProductOp(OperationOp):
    """``{(a, b, z) : z = a b}``, entry by entry: ``op.product "p" %a, %b : ...``."""

    name = "op.product"
    READING: ClassVar[Reading] = Reading.ENTRY

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = (
        "($label^)? $lhs `,` $rhs (`part` $part^)? attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"
    )

    def __init__(self, lhs: SSAValue, rhs: SSAValue, label: str | None = None) -> None:
        super().__init__(operands=[lhs, rhs], properties={"label": labelled(label)}, result_types=[lhs.type])

    def infer(self) -> Shape:
        return shapes.elementwise([shape_of(self.lhs), shape_of(self.rhs)], ())


class ElementwiseOp(OperationOp, ABC):
    """A function of one tensor, entry by entry; its fields are its numbers, as properties."""

    READING: ClassVar[Reading] = Reading.ENTRY
    FUNCTION: ClassVar[bool] = False
    """Whether the language has a function of the operator's name, of a tensor and then the numbers."""
    NUMBERS: ClassVar[Mapping[str, float | None]] = {}
    """The numbers that such a function takes, each a property of a FloatAttr, and their defaults, if any."""
    ONNX: ClassVar[str | None] = None
    """The ONNX operator that is the same function, for one without numbers."""

    operand = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "($label^)? $operand (`part` $part^)? attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, label: str | None = None, **numbers: Attribute | None) -> None:
        super().__init__(
            operands=[operand],
            properties={"label": labelled(label), **numbers},
            result_types=[operand.type],
        )

    def fields(self) -> dict[str, Attribute]:
        return {name: value for name, value in self.properties.items() if name not in ("label", "part")}

    def infer(self) -> Shape:
        return shape_of(self.operand)


@irdl_op_definition
class IdentityOp(ElementwiseOp):
    """``{(x, z) : z = x}``, a constraint of its own: ``op.identity "h.copy" %x : ...``."""

    name = "op.identity"
    FUNCTION: ClassVar[bool] = True


@irdl_op_definition
class RoundOp(ElementwiseOp):
    """``{(x, z) : z = the whole number nearest to x}``: ``op.round "r" %x : ...``."""

    name = "op.round"
    FUNCTION: ClassVar[bool] = True
    ONNX: ClassVar[str | None] = "Round"


@irdl_op_definition
class QuantizeLinearOp(ElementwiseOp):
    """``{(x, z) : z = clip(the whole number nearest to x / scale, low, high)}``.

    ``op.quantize_linear "q" %x by 0.1 from -8.0 to 7.0 : ...``, as ONNX's operator of that name, for a zero
    point of 0.
    """

    name = "op.quantize_linear"
    FUNCTION: ClassVar[bool] = True
    NUMBERS: ClassVar[Mapping[str, float | None]] = {"scale": 1.0, "low": None, "high": None}

    scale = prop_def(FloatAttr.constr(f64))
    low = prop_def(FloatAttr.constr(f64))
    high = prop_def(FloatAttr.constr(f64))

    assembly_format = (
        "($label^)? $operand `by` $scale `from` $low `to` $high (`part` $part^)? attr-dict "
        "`:` type($operand) `->` type($result)"
    )

    @property
    def jumps(self) -> bool:
        return True

    def numbers(self) -> tuple[float, float, float]:
        """Return the scale, and the least and the largest whole number."""
        return self.scale.value.data, self.low.value.data, self.high.value.data

    def verify_(self) -> None:
        super().verify_()
        scale, low, high = self.numbers()
        if not 0 < scale < math.inf:
            raise VerifyException(f"the scale must be above 0, found {scale:g}")
        if not low < high or low % 1 or high % 1 or max(-low, high) > 2**16:
            raise VerifyException(f"low < high must be whole numbers of 16 bits, found {low:g} and {high:g}")


@irdl_op_definition
class QuantizeOp(ElementwiseOp):
    """``{(x, z) : z = the level nearest to x}``: ``op.quantize "q" %x to [-1.0, 1.0] : ...``."""

    name = "op.quantize"

    levels = prop_def(FLOATS)

    assembly_format = (
        "($label^)? $operand `to` $levels (`part` $part^)? attr-dict `:` type($operand) `->` type($result)"
    )

    def __init__(self, operand: SSAValue, levels: Sequence[float], label: str | None = None) -> None:
        super().__init__(operand, label, levels=floats(levels))

    @property
    def jumps(self) -> bool:
        return len(self.levels) > 1

    def even_ups(self) -> frozenset[int]:
        """Return which midpoints go to the upper level, as the projection's file says of ties."""
        levels = self.levels.get_values()
        if len(levels) < 2 or 0 not in levels:
            return frozenset()
        spacing, zero = (levels[-1] / 2 - levels[0] / 2) / (len(levels) - 1) * 2, levels.index(0)
        if any(abs(each - spacing * (i - zero)) > 1e-9 * spacing for i, each in enumerate(levels)):
            return frozenset()
        return frozenset(i for i in range(len(levels) - 1) if (i + 1 - zero) % 2 == 0)

    def verify_(self) -> None:
        super().verify_()
        levels = self.levels.get_values()
        if not levels or any(a >= b for a, b in itertools.pairwise(levels)):
            raise VerifyException(f"levels must be strictly increasing, found {list(levels)}")


@irdl_op_definition
class PiecewiseOp(ElementwiseOp):
    """``{(x, z) : z = slopes[i] x + offsets[i]}`` for x in piece i, which ends at ``edges[i]``.

    ``op.piecewise "abs" %x edges [0.0] slopes [-1.0, 1.0] offsets [0.0, 0.0] : ...``; with ``margin 0.5``
    training asks for x to keep away from the edges by that much.
    """

    name = "op.piecewise"

    edges = prop_def(FLOATS)
    slopes = prop_def(FLOATS)
    offsets = prop_def(FLOATS)
    margin = opt_prop_def(FloatAttr.constr(f64))

    assembly_format = (
        "($label^)? $operand `edges` $edges `slopes` $slopes `offsets` $offsets (`margin` $margin^)? "
        "(`part` $part^)? attr-dict `:` type($operand) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue,
        edges: Sequence[float],
        slopes: Sequence[float],
        offsets: Sequence[float],
        margin: float = 0.0,
        label: str | None = None,
    ) -> None:
        super().__init__(
            operand,
            label,
            edges=floats(edges),
            slopes=floats(slopes),
            offsets=floats(offsets),
            margin=FloatAttr(margin, f64) if margin else None,
        )

    @property
    def jumps(self) -> bool:
        slopes, offsets = self.slopes.get_values(), self.offsets.get_values()
        ends = [
            (slopes[i] * edge + offsets[i], slopes[i + 1] * edge + offsets[i + 1])
            for i, edge in enumerate(self.edges.get_values())
        ]
        return not all(math.isclose(below, above, abs_tol=1e-12) for below, above in ends)

    def verify_(self) -> None:
        """Check that edges increase, with one more slope and offset than edges, and room for the margin."""
        super().verify_()
        edges = self.edges.get_values()
        if not len(edges) + 1 == len(self.slopes) == len(self.offsets):
            raise VerifyException(
                f"{len(edges)} edges need {len(edges) + 1} slopes and offsets, found {len(self.slopes)} and "
                f"{len(self.offsets)}"
            )
        if any(a >= b for a, b in itertools.pairwise(edges)):
            raise VerifyException(f"edges must be strictly increasing, found {list(edges)}")
        room = min((b - a for a, b in itertools.pairwise(edges)), default=math.inf) / 2
        if self.margin is not None and not 0 <= self.margin.value.data <= room:
            raise VerifyException(f"the margin must be from 0 to {room}, found {self.margin.value.data}")


@irdl_op_definition
class ApplyOp(OperationOp):
    """An operator of the user's own, by its name and the shapes of one site.

    ``op.apply "h" by "winner" "[n] -> [n]" %x : tensor<8x3xf32> -> tensor<8x3xf32>``
    """

    name = "op.apply"
    READING: ClassVar[Reading] = Reading.SITES

    operator_name = prop_def(StringAttr)
    signature = prop_def(StringAttr)
    inputs = var_operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = (
        "($label^)? `by` $operator_name $signature $inputs (`part` $part^)? attr-dict "
        "`:` type($inputs) `->` type($result)"
    )

    def __init__(
        self, operator: str, signature: str, inputs: Sequence[SSAValue], label: str | None = None
    ) -> None:
        shape = Signature.parse(signature).result([shape_of(each) for each in inputs])
        super().__init__(
            operands=[list(inputs)],
            properties={
                "label": labelled(label),
                "operator_name": StringAttr(operator),
                "signature": StringAttr(signature),
            },
            result_types=[tensor_like(inputs[0], shape)],
        )

    @property
    def operator(self) -> str:
        return self.operator_name.data

    def infer(self) -> Shape:
        return Signature.parse(self.signature.data).result([shape_of(each) for each in self.inputs])


OPERATIONS: tuple[type[OperationOp], ...] = declared(OperationOp, globals())  # type: ignore[type-abstract]
FUNCTIONS = tuple(each for each in OPERATIONS if issubclass(each, ElementwiseOp) and each.FUNCTION)
"""The operations that the language has a function for without further ado."""

_BY_OPERATOR = {operator_of(cls): cls for cls in OPERATIONS}


def operation_of(operator: str) -> type[OperationOp]:
    """Return the class of an operator's operation, by its name; that of the user's own is one for all."""
    return _BY_OPERATOR.get(operator, ApplyOp)


OP = Dialect(
    "op",
    [
        InputOp,
        IndexOp,
        TargetOp,
        ParameterOp,
        ConstantOp,
        *OPERATIONS,
        *LOSSES,
        SetOp,
        OutputOp,
    ],
    [InitAttr],
)

__all__ = [
    "FLOATS",
    "INITIALIZERS",
    "LOSSES",
    "MAX_ENTRIES",
    "BoundsLossOp",
    "ClassMarginOp",
    "ConstantOp",
    "CrossEntropyOp",
    "EqualOp",
    "Floats",
    "GivenOp",
    "HingeOp",
    "IndexOp",
    "InitAttr",
    "InputOp",
    "LossOp",
    "MarginOp",
    "MultiLabelOp",
    "NodeOp",
    "OutputOp",
    "ParameterOp",
    "SetOp",
    "SourceOp",
    "SquaredErrorOp",
    "TargetOp",
    "operator_of",
    "too_many",
]
"""What is known under this name too, though it is declared elsewhere; the rest is what stands above."""
