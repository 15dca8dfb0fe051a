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
from typing import ClassVar, TypeVar

from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    Float64Type,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    f64,
    i32,
    i64,
)
from xdsl.ir import Attribute, Dialect, ParametrizedAttribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from pjc.dialects import shapes
from pjc.dialects.layout import ShardingAttr
from pjc.dialects.sets import verify_set
from pjc.dialects.shapes import Shape
from pjc.dialects.signature import Signature
from pjc.dialects.steps import Broadcast, Step, Transpose
from pjc.dialects.view import SIZES, ShapedOp, Sizes, element_of, shape_of, sizes, tensor_like

Floats = DenseArrayBase[Float64Type]
FLOATS = DenseArrayBase.constr(f64)

INITIALIZERS = {
    "zeros": 0,
    "ones": 0,
    "constant": 1,
    "normal": 1,
    "uniform": 2,
    "he_normal": 0,
    "glorot_uniform": 0,
}
"""Each initializer and how many numbers it takes: the constant; the standard deviation; the bounds."""


@irdl_attr_definition
class InitAttr(ParametrizedAttribute):
    """How a parameter starts: ``#op.init<0.1 * he_normal>``, ``#op.init<1.0 * uniform(-1.0, 1.0)>``."""

    name = "op.init"

    kind: StringAttr
    arguments: Floats
    scale: FloatAttr[Float64Type]

    def __init__(self, kind: str, arguments: Sequence[float] = (), scale: float = 1.0) -> None:
        super().__init__(StringAttr(kind), floats(arguments), FloatAttr(scale, f64))

    def verify(self) -> None:
        kind = self.kind.data
        if kind not in INITIALIZERS:
            raise VerifyException(f"unknown initializer '{kind}'; known are {', '.join(INITIALIZERS)}")
        if len(self.arguments) != INITIALIZERS[kind]:
            raise VerifyException(
                f"initializer '{kind}' takes {INITIALIZERS[kind]} numbers, found {len(self.arguments)}"
            )

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"{self.scale.value.data!r} * {self.kind.data}")
            if len(self.arguments):
                printer.print_string("(" + ", ".join(map(repr, self.arguments.get_values())) + ")")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            scale = float(parser.parse_number())
            parser.parse_punctuation("*")
            kind = parser.parse_identifier("an initializer")
            numbers = parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parser.parse_number)
        return InitAttr(kind, [float(n) for n in numbers or ()], scale).parameters


def floats(values: Sequence[float]) -> Floats:
    """Return the attribute that holds a list of numbers."""
    return DenseArrayBase.from_list(f64, [float(value) for value in values])


def labelled(label: str | None) -> StringAttr | None:
    """Return the property that holds a label, if there is one."""
    return None if label is None else StringAttr(label)


class Reading(Enum):
    """Which entries of its operands an entry of an operation's result depends on."""

    ENTRY = "the same entry of each operand"
    AXES = "the same entry of each operand, and all along the field 'axes'"
    PRODUCT = "a row of the first operand and a column of the second"
    WINDOWS = "a window of an image and the weights of a channel"
    SITES = "all entries of a site: the last axes of each operand, as its signature says"


class NodeOp(IRDLOperation, ABC):
    """What has a label and, in a problem, a part."""

    label = opt_prop_def(StringAttr)
    part = opt_prop_def(StringAttr)

    @property
    def called(self) -> str:
        """The label: in a problem every node has one, in a network every operation once it is canonical.

        Raises:
            VerifyException: if there is none.
        """
        if self.label is None:
            raise VerifyException(
                f"'{self.name}' has no label; net-canonicalize gives one to every operation"
            )
        return str(self.label.data)

    @property
    def operator(self) -> str:
        """The name in the registry of projections: the op's own, without that of its dialect."""
        return self.name.removeprefix("op.")

    def operand_path(self, operand: int) -> tuple[Step, ...]:
        """Return the steps from an operand's value to the copies of it that the node holds."""
        return ()

    def fields(self) -> dict[str, Attribute]:
        """Return the static attributes of the node's operator, by the name of its field."""
        return {}

    def lifted_properties(self, lift: int) -> dict[str, Attribute]:
        """Return those properties that change where all operands get ``lift`` more first axes."""
        return {}

    def is_common(self, operand: int) -> bool:
        """Return whether all iterations of a loop read the same operand, rather than a share each."""
        return False


class GivenOp(NodeOp, ABC):
    """A node whose value is given: it is written to its readers and never asks them."""


class SourceOp(IRDLOperation, ABC):
    """What a network is given from outside: a tensor with a name, whose dimensions may have names too."""

    label = prop_def(StringAttr)
    dims = opt_prop_def(ArrayAttr[StringAttr])
    result = result_def(TensorType)

    def verify_(self) -> None:
        rank = len(shape_of(self.result))
        if self.dims is not None and len(self.dims) != rank:
            raise VerifyException(f"'{self.name}' names {len(self.dims)} dimensions of a rank {rank} tensor")


def _names(dims: Sequence[str]) -> ArrayAttr[StringAttr] | None:
    return ArrayAttr([StringAttr(dim) for dim in dims]) if dims else None


@irdl_op_definition
class InputOp(SourceOp, GivenOp):
    """A datum, ``{x : x = its value}``: ``op.input "x" ["batch", "64"] : tensor<128x64xf32>``."""

    name = "op.input"

    label = prop_def(StringAttr)

    assembly_format = "$label ($dims^)? (`part` $part^)? attr-dict `:` type($result)"

    def __init__(self, label: str, type: Attribute, dims: Sequence[str] = ()) -> None:
        super().__init__(properties={"label": StringAttr(label), "dims": _names(dims)}, result_types=[type])


@irdl_op_definition
class IndexOp(SourceOp):
    """Numbers of rows, which only gathers read: ``op.index "tokens" ["batch", "16"] : tensor<4x16xi32>``.

    They are given, and no variable of a problem.
    """

    name = "op.index"

    assembly_format = "$label ($dims^)? attr-dict `:` type($result)"

    def __init__(self, label: str, type: Attribute, dims: Sequence[str] = ()) -> None:
        super().__init__(properties={"label": StringAttr(label), "dims": _names(dims)}, result_types=[type])


@irdl_op_definition
class TargetOp(SourceOp):
    """What a loss is given: ``op.target "y" ["batch"] classes 10 : tensor<128xi32>``. No variable of a
    problem.

    Class targets are integers from 0 to ``classes`` - 1; without ``classes`` the target is a tensor of
    numbers. In a problem the target of a loss that compares with an input is one with the input's label.
    """

    name = "op.target"

    classes = opt_prop_def(IntegerAttr.constr(i64))

    assembly_format = "$label ($dims^)? (`classes` $classes^)? attr-dict `:` type($result)"

    def __init__(
        self, label: str, type: Attribute, dims: Sequence[str] = (), classes: int | None = None
    ) -> None:
        super().__init__(
            properties={
                "label": StringAttr(label),
                "dims": _names(dims),
                "classes": None if classes is None else IntegerAttr(classes, i64),
            },
            result_types=[type],
        )

    def verify_(self) -> None:
        super().verify_()
        if (self.classes is not None) != (element_of(self.result) == i32):
            raise VerifyException("'op.target' needs 'classes' if, and only if, its elements are i32")


@irdl_op_definition
class ParameterOp(NodeOp):
    """A free variable that training finds: ``op.parameter "w" <1.0 * he_normal> : tensor<64x128xf32>``.

    In a program it is the value that the parameter has before an update, perhaps split over a mesh.
    With ``family 8`` it is eight parameters along the first axis, each initialized by itself. ``members``
    names the parameters of a loop's iterations, by which they are known outside.
    """

    name = "op.parameter"

    label = prop_def(StringAttr)
    init = prop_def(InitAttr)
    family = opt_prop_def(IntegerAttr.constr(i64))
    members = opt_prop_def(ArrayAttr[StringAttr])
    sharding = opt_prop_def(ShardingAttr)
    result = result_def(TensorType)

    assembly_format = (
        "$label $init (`family` $family^)? (`members` $members^)? (`part` $part^)? (`sharded` $sharding^)? "
        "attr-dict `:` type($result)"
    )

    def sharded_type(self) -> Attribute:
        """Return the type of the tensor that the sharding is of."""
        return self.result.type

    def __init__(
        self,
        label: str,
        init: InitAttr,
        type: Attribute,
        family: int | None = None,
        members: ArrayAttr[StringAttr] | None = None,
    ) -> None:
        super().__init__(
            properties={
                "label": StringAttr(label),
                "init": init,
                "family": None if family is None else IntegerAttr(family, i64),
                "members": members,
            },
            result_types=[type],
        )

    def names(self) -> list[str]:
        """Return the names by which the parameter is known outside: its own, or those of its members."""
        return [self.label.data] if self.members is None else [name.data for name in self.members]

    def verify_(self) -> None:
        if self.family is not None and shape_of(self.result)[:1] != (self.family.value.data,):
            raise VerifyException(f"a family of {self.family.value.data} needs a first axis of that size")


@irdl_op_definition
class ConstantOp(GivenOp):
    """A tensor of one number, ``{x : x = it}``: ``op.constant 0.0 called "zero" : tensor<128x64xf32>``."""

    name = "op.constant"

    value = prop_def(FloatAttr.constr(f64))
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$value (`called` $label^)? (`part` $part^)? attr-dict `:` type($result)"

    def __init__(self, value: float, type: Attribute, label: str | None = None) -> None:
        super().__init__(
            properties={"label": labelled(label), "value": FloatAttr(value, f64)}, result_types=[type]
        )


class OperationOp(NodeOp, ShapedOp, ABC):
    """An operation: in a problem the constraint ``{(x, z) : z = f(x)}`` on its operands and its result."""

    READING: ClassVar[Reading]

    traits = traits_def(Pure())

    @classmethod
    def work(cls, inputs: Sequence[Shape], result: Shape) -> int:
        """Return the floating-point operations of a forward pass, given the shapes of inputs and result."""
        return sum(map(math.prod, inputs))


FORMS = ("exact", "held", "shared", "factored")
"""How the copies of a product may be represented."""

HALFWAY = ("held", "factored")
"""The forms of copies that go from one iteration's to the next's, in Douglas-Rachford at relaxation 1/2."""


class BilinearOp(OperationOp, ABC):
    """What dots and convolutions share: each entry of the result holds its own copies of what it multiplies.

    ``copies`` says how a solver represents them: all of them, in every state of an iteration ("exact") or in
    one ("held"); by what they have in common ("shared"); or as rank-one corrections of that ("factored").
    """

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    copies = opt_prop_def(StringAttr)
    result = result_def(TensorType)

    @property
    def form(self) -> str:
        """How the copies are represented: "exact" unless a pass has chosen otherwise."""
        return "exact" if self.copies is None else self.copies.data

    def verify_(self) -> None:
        super().verify_()
        if self.form not in FORMS:
            raise VerifyException(f"copies are {', '.join(FORMS)}, found '{self.form}'")


@irdl_op_definition
class DotOp(BilinearOp):
    """``{(a, w, z) : z[.., k, m] = sum_n a[.., k, n] w[.., n, m]}``.

    ``%z = op.dot "dense.matmul" %a, %w : ...``. In a problem every (k, m) holds its own copies of the vectors
    ``a[.., k, :]`` and ``w[.., :, m]``, so both operands have copies of shape ``[.., K, M, N]``.
    """

    name = "op.dot"
    READING: ClassVar[Reading] = Reading.PRODUCT

    assembly_format = (
        "($label^)? $lhs `,` $rhs (`part` $part^)? (`copies` $copies^)? attr-dict "
        "`:` type($lhs) `,` type($rhs) `->` type($result)"
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
        "(`part` $part^)? (`copies` $copies^)? attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"
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
        if self.form not in ("shared", "factored"):
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
        return shapes.elementwise([shape_of(t) for t in self.terms], self.axes.get_values())


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

    @classmethod
    def operator_name(cls) -> str:
        """Return the operator's name, which is that of its function."""
        return cls.name.removeprefix("op.")

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
class QuantizeOp(ElementwiseOp):
    """``{(x, z) : z = the level nearest to x}``: ``op.quantize "q" %x to [-1.0, 1.0] : ...``."""

    name = "op.quantize"

    levels = prop_def(FLOATS)

    assembly_format = (
        "($label^)? $operand `to` $levels (`part` $part^)? attr-dict `:` type($operand) `->` type($result)"
    )

    def __init__(self, operand: SSAValue, levels: Sequence[float], label: str | None = None) -> None:
        super().__init__(operand, label, levels=floats(levels))

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


class LossOp(NodeOp, ABC):
    """A training requirement on its first operand, given its second, the target.

    Class targets ``[*sites]`` belong to logits ``[*sites, C]``; numeric ones have the value's own shape.
    """

    NUMERIC: ClassVar[bool] = False

    value = operand_def(TensorType)
    target = operand_def(TensorType)

    def verify_(self) -> None:
        shape = shape_of(self.value)
        expected = shape if self.NUMERIC else shape[:-1]
        element = element_of(self.value) if self.NUMERIC else i32
        if shape_of(self.target) != expected or element_of(self.target) != element:
            kind = "numeric" if self.NUMERIC else "class"
            raise VerifyException(
                f"'{self.name}' on values of shape {shapes.show(shape)} needs {kind} "
                f"targets of shape {shapes.show(expected)}, found {self.target.type}"
            )


class _StrengthLossOp(LossOp, ABC):
    """The prox of a function times a strength."""

    strength = prop_def(FloatAttr.constr(f64))

    assembly_format = (
        "($label^)? $value `,` $target `strength` $strength (`part` $part^)? attr-dict "
        "`:` type($value) `,` type($target)"
    )

    def __init__(
        self, value: SSAValue, target: SSAValue, strength: float = 1.0, label: str | None = None
    ) -> None:
        super().__init__(
            operands=[value, target],
            properties={"label": labelled(label), "strength": FloatAttr(strength, f64)},
        )

    def fields(self) -> dict[str, Attribute]:
        return {"strength": self.strength}

    def verify_(self) -> None:
        super().verify_()
        if not self.strength.value.data > 0:
            raise VerifyException(f"strength must be positive, found {self.strength.value.data}")


@irdl_op_definition
class CrossEntropyOp(_StrengthLossOp):
    """The prox of ``strength`` times the cross-entropy of the logits ``[*sites, C]``.

    ``op.cross_entropy "loss" %z, %y strength 1.0 : ...``
    """

    name = "op.cross_entropy"


@irdl_op_definition
class HingeOp(_StrengthLossOp):
    """The prox of ``strength`` times the hinge loss of each class of the logits ``[*sites, C]`` against the
    rest.

    ``op.hinge "loss" %z, %y strength 1.0 : ...``
    """

    name = "op.hinge"


@irdl_op_definition
class SquaredErrorOp(_StrengthLossOp):
    """The prox of ``strength / 2`` times the squared error.

    ``op.squared_error "loss" %z, %y strength 1.0 : ...``
    """

    name = "op.squared_error"
    NUMERIC: ClassVar[bool] = True


class BoundsLossOp(LossOp, ABC):
    """A loss that wants logits at least as high as one bound, or at most as high as another."""

    bounds = prop_def(FLOATS)

    assembly_format = (
        "($label^)? $value `,` $target `in` $bounds (`part` $part^)? attr-dict "
        "`:` type($value) `,` type($target)"
    )

    def __init__(
        self,
        value: SSAValue,
        target: SSAValue,
        low: float = 0.0,
        high: float = 1.0,
        label: str | None = None,
    ) -> None:
        super().__init__(
            operands=[value, target],
            properties={"label": labelled(label), "bounds": floats([low, high])},
        )

    def fields(self) -> dict[str, Attribute]:
        low, high = self.bounds.get_values()
        return {"low": FloatAttr(low, f64), "high": FloatAttr(high, f64)}

    def verify_(self) -> None:
        super().verify_()
        if len(self.bounds) != 2:
            raise VerifyException(f"a margin takes two bounds, found {len(self.bounds)}")

    @property
    def threshold(self) -> float:
        """What tells values above the one bound from those below the other: the middle between them."""
        low, high = self.bounds.get_values()
        return float((low + high) / 2)


@irdl_op_definition
class MarginOp(BoundsLossOp):
    """``{z : z_right >= high, z_wrong <= low}``: ``op.margin "loss" %z, %y in [0.0, 1.0] : ...``."""

    name = "op.margin"


@irdl_op_definition
class MultiLabelOp(BoundsLossOp):
    """``{z : z >= high where y = 1, z <= low where y = 0}``.

    ``op.multi_label "loss" %z, %y in [0.0, 1.0] : ...``
    """

    name = "op.multi_label"
    NUMERIC: ClassVar[bool] = True


@irdl_op_definition
class ClassMarginOp(LossOp):
    """``{z : z_right >= z_wrong + margin}``: ``op.class_margin "loss" %z, %y by 1.0 : ...``."""

    name = "op.class_margin"

    margin = prop_def(FloatAttr.constr(f64))

    assembly_format = (
        "($label^)? $value `,` $target `by` $margin (`part` $part^)? attr-dict "
        "`:` type($value) `,` type($target)"
    )

    def __init__(
        self, value: SSAValue, target: SSAValue, margin: float = 1.0, label: str | None = None
    ) -> None:
        super().__init__(
            operands=[value, target],
            properties={"label": labelled(label), "margin": FloatAttr(margin, f64)},
        )

    def fields(self) -> dict[str, Attribute]:
        return {"margin": self.margin}


@irdl_op_definition
class EqualOp(LossOp):
    """``{z : z = y}``: ``op.equal "loss" %z, %y : ...``."""

    name = "op.equal"
    NUMERIC: ClassVar[bool] = True

    assembly_format = (
        "($label^)? $value `,` $target (`part` $part^)? attr-dict `:` type($value) `,` type($target)"
    )

    def __init__(self, value: SSAValue, target: SSAValue, label: str | None = None) -> None:
        super().__init__(operands=[value, target], properties={"label": labelled(label)})


@irdl_op_definition
class SetOp(NodeOp):
    """``{x : x in a set}``: ``op.set "w.box" %w in "box" {low = -1.0 : f64, high = 1.0 : f64} : ...``.

    The sets and their fields are those of ``dialects/sets.py``.
    """

    name = "op.set"

    value = operand_def(TensorType)
    kind = prop_def(StringAttr)
    described = prop_def(DictionaryAttr)

    assembly_format = "($label^)? $value `in` $kind $described (`part` $part^)? attr-dict `:` type($value)"

    def __init__(
        self, value: SSAValue, kind: str, described: Mapping[str, Attribute], label: str | None = None
    ) -> None:
        super().__init__(
            operands=[value],
            properties={
                "label": labelled(label),
                "kind": StringAttr(kind),
                "described": DictionaryAttr(dict(described)),
            },
        )

    def fields(self) -> dict[str, Attribute]:
        return dict(self.described.data)

    def lifted_properties(self, lift: int) -> dict[str, Attribute]:
        fields = self.fields()
        axes = fields.get("axes")
        if isinstance(axes, DenseArrayBase):
            fields["axes"] = sizes([axis + lift for axis in axes.get_values()])
        return {"described": DictionaryAttr(fields)}

    def verify_(self) -> None:
        verify_set(self.kind.data, self.described.data, shape_of(self.value))


@irdl_op_definition
class OutputOp(IRDLOperation):
    """A value that ``apply`` returns: ``op.output "logits" %z : tensor<128x10xf32>``."""

    name = "op.output"

    label = prop_def(StringAttr)
    value = operand_def(TensorType)

    assembly_format = "$label $value attr-dict `:` type($value)"

    def __init__(self, label: str, value: SSAValue) -> None:
        super().__init__(operands=[value], properties={"label": StringAttr(label)})


_OpT = TypeVar("_OpT", bound=IRDLOperation)


def _declared(kind: type[_OpT]) -> tuple[type[_OpT], ...]:
    """Return the ops of a kind that this file declares, in its order."""
    found = [each for each in globals().values() if isinstance(each, type) and issubclass(each, kind)]
    return tuple(each for each in found if "name" in vars(each))


OPERATIONS: tuple[type[OperationOp], ...] = _declared(OperationOp)  # type: ignore[type-abstract]
LOSSES: tuple[type[LossOp], ...] = _declared(LossOp)
FUNCTIONS = tuple(each for each in OPERATIONS if issubclass(each, ElementwiseOp) and each.FUNCTION)
"""The operations that the language has a function for without further ado."""

_BY_OPERATOR = {cls.name.removeprefix("op."): cls for cls in OPERATIONS}


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
