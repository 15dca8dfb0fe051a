"""The net dialect: the network as written. Frontends meet here; nothing after it knows which one."""

from __future__ import annotations

import itertools
import math
from abc import ABC
from collections.abc import Mapping, Sequence
from typing import ClassVar

from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    Float64Type,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
    f64,
    i32,
    i64,
)
from xdsl.ir import Attribute, Dialect, ParametrizedAttribute, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import NoTerminator, Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from pjc.dialects import shapes
from pjc.dialects.loops import AtOp, ForOp, YieldOp
from pjc.dialects.sets import verify_set
from pjc.dialects.shapes import Shape
from pjc.dialects.signature import Signature
from pjc.dialects.view import (
    SIZES,
    ShapedOp,
    element_of,
    shape_of,
    sizes,
    tensor_like,
)

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
    """How a parameter starts: ``#net.init<0.1 * he_normal>``, ``#net.init<1.0 * uniform(-1.0, 1.0)>``."""

    name = "net.init"

    kind: StringAttr
    arguments: DenseArrayBase[Float64Type]
    scale: FloatAttr[Float64Type]

    def __init__(self, kind: str, arguments: Sequence[float] = (), scale: float = 1.0) -> None:
        super().__init__(
            StringAttr(kind), DenseArrayBase.from_list(f64, list(arguments)), FloatAttr(scale, f64)
        )

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


@irdl_op_definition
class NetworkOp(IRDLOperation):
    """A network and its training requirement: ``net.network @mlp dims {batch = 128} { ... }``."""

    name = "net.network"

    sym_name = prop_def(SymbolNameConstraint())
    dims = prop_def(DictionaryAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator(), SymbolOpInterface())

    assembly_format = "$sym_name `dims` $dims attr-dict-with-keyword $body"

    def __init__(self, name: str, dims: dict[str, int], body: Region) -> None:
        values = {key: IntegerAttr(size, i64) for key, size in dims.items()}
        super().__init__(
            properties={"sym_name": StringAttr(name), "dims": DictionaryAttr(values)},
            regions=[body],
        )


class _SourceOp(IRDLOperation):
    """What an input and a target share: a name and named dimensions."""

    def verify_(self) -> None:
        found = len(self.dims.data)  # type: ignore[attr-defined]
        rank = len(shape_of(self.results[0]))
        if found != rank:
            raise VerifyException(f"'{self.name}' names {found} dimensions of a rank {rank} tensor")


@irdl_op_definition
class InputOp(_SourceOp):
    """A datum: ``net.input "x" ["batch", "64"] : tensor<128x64xf32>``.

    Elements of type i32 are numbers of rows, which only ``view.gather`` reads.
    """

    name = "net.input"

    label = prop_def(StringAttr)
    dims = prop_def(ArrayAttr[StringAttr])
    result = result_def(TensorType)

    assembly_format = "$label $dims attr-dict `:` type($result)"

    def __init__(self, label: str, dims: Sequence[str], type: TensorType[Attribute]) -> None:
        super().__init__(
            properties={
                "label": StringAttr(label),
                "dims": ArrayAttr([StringAttr(dim) for dim in dims]),
            },
            result_types=[type],
        )


@irdl_op_definition
class TargetOp(_SourceOp):
    """A training target: ``net.target "y" ["batch"] classes 10 : tensor<128xi32>``.

    Class targets are integers from 0 to ``classes`` - 1; without ``classes`` the target is a tensor
    of numbers.
    """

    name = "net.target"

    label = prop_def(StringAttr)
    dims = prop_def(ArrayAttr[StringAttr])
    classes = opt_prop_def(IntegerAttr.constr(i64))
    result = result_def(TensorType)

    assembly_format = "$label $dims (`classes` $classes^)? attr-dict `:` type($result)"

    def __init__(
        self, label: str, dims: Sequence[str], type: TensorType[Attribute], classes: int | None
    ) -> None:
        super().__init__(
            properties={
                "label": StringAttr(label),
                "dims": ArrayAttr([StringAttr(dim) for dim in dims]),
                "classes": None if classes is None else IntegerAttr(classes, i64),
            },
            result_types=[type],
        )

    def verify_(self) -> None:
        super().verify_()
        if (self.classes is not None) != (element_of(self.result) == i32):
            raise VerifyException("'net.target' needs 'classes' if, and only if, its elements are i32")


@irdl_op_definition
class ParamOp(IRDLOperation):
    """A parameter: ``net.param "dense_0.weight" #net.init<1.0 * he_normal> : tensor<64x128xf32>``.

    With ``family 8`` it is eight parameters along the first axis, each initialized by itself. In a loop,
    ``members`` names the parameters of the iterations, which outside are known by these names.
    """

    name = "net.param"

    label = prop_def(StringAttr)
    init = prop_def(InitAttr)
    family = opt_prop_def(IntegerAttr.constr(i64))
    members = opt_prop_def(ArrayAttr[StringAttr])
    result = result_def(TensorType)

    assembly_format = "$label $init (`family` $family^)? (`members` $members^)? attr-dict `:` type($result)"

    def __init__(
        self, label: str, init: InitAttr, type: TensorType[Attribute], family: int | None = None
    ) -> None:
        super().__init__(
            properties={
                "label": StringAttr(label),
                "init": init,
                "family": None if family is None else IntegerAttr(family, i64),
            },
            result_types=[type],
        )

    def verify_(self) -> None:
        if self.family is not None and shape_of(self.result)[:1] != (self.family.value.data,):
            raise VerifyException(f"a family of {self.family.value.data} needs a first axis of that size")


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A tensor of one number: ``net.constant 0.0 : tensor<128x64xf32>``."""

    name = "net.constant"

    value = prop_def(FloatAttr.constr(f64))
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$value attr-dict `:` type($result)"

    def __init__(self, value: float, type: Attribute) -> None:
        super().__init__(properties={"value": FloatAttr(value, f64)}, result_types=[type])


@irdl_op_definition
class MatmulOp(ShapedOp):
    """``z[.., k, m] = sum_n lhs[.., k, n] rhs[.., n, m]``: ``net.matmul %x, %w : ...``."""

    name = "net.matmul"

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue) -> None:
        shape = shapes.matmul(shape_of(lhs), shape_of(rhs))
        super().__init__(operands=[lhs, rhs], result_types=[tensor_like(lhs, shape)])

    def infer(self) -> Shape:
        return shapes.matmul(shape_of(self.lhs), shape_of(self.rhs))


class ReductionOp(ShapedOp, ABC):
    """What sum, sum_relu and max share: operands of equal shape, reduced together and along axes."""

    terms = var_operand_def(TensorType)
    axes = prop_def(SIZES)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$terms `axes` $axes attr-dict `:` type($terms) `->` type($result)"

    def __init__(self, terms: Sequence[SSAValue], axes: Sequence[int] = ()) -> None:
        found = [shape_of(term) for term in terms]
        shape = shapes.elementwise(found, axes)
        super().__init__(
            operands=[list(terms)],
            properties={"axes": sizes(shapes.axes_of(axes, len(found[0])))},
            result_types=[tensor_like(terms[0], shape)],
        )

    def infer(self) -> Shape:
        return shapes.elementwise([shape_of(t) for t in self.terms], self.axes.get_values())


class WeightedOp(ReductionOp, ABC):
    """What sum and sum_relu share: a weight for each term, all 1 if none are given, and an offset."""

    weights = opt_prop_def(FLOATS)
    offset = opt_prop_def(FloatAttr.constr(f64))

    assembly_format = (
        "$terms `axes` $axes (`weights` $weights^)? (`offset` $offset^)? attr-dict "
        "`:` type($terms) `->` type($result)"
    )

    def __init__(
        self,
        terms: Sequence[SSAValue],
        axes: Sequence[int] = (),
        weights: Sequence[float] = (),
        offset: float = 0.0,
    ) -> None:
        super().__init__(terms, axes)
        self.weights, self.offset = weighting(len(terms), weights, offset)

    def verify_(self) -> None:
        super().verify_()
        verify_weights(self.weights, len(self.terms))


def weighting(
    count: int, weights: Sequence[float], offset: float
) -> tuple[DenseArrayBase[Float64Type] | None, FloatAttr[Float64Type] | None]:
    """Return the properties of a weighted sum of some terms; None where they say nothing."""
    plain = not weights or list(weights) == [1.0] * count
    return (
        None if plain else DenseArrayBase.from_list(f64, list(weights)),
        FloatAttr(offset, f64) if offset else None,
    )


def verify_weights(weights: DenseArrayBase[Float64Type] | None, count: int) -> None:
    """Raise unless there are no weights, or one for each term, and not all zero."""
    if weights is None:
        return
    if len(weights) != count:
        raise VerifyException(f"{count} terms need as many weights, found {len(weights)}")
    if not any(weights.get_values()):
        raise VerifyException("at least one weight must not be zero")


@irdl_op_definition
class SumOp(WeightedOp):
    """``z = offset + sum of weight times term``, and along axes: ``net.sum %a, %b axes [] : ...``.

    ``net.sum %a, %b axes [] weights [1.0, -1.0] offset 0.5 : ...``
    """

    name = "net.sum"


@irdl_op_definition
class SumReluOp(WeightedOp):
    """``z = max(0, weighted sum of terms)``; relu is the case of one: ``net.sum_relu %a axes [] : ...``."""

    name = "net.sum_relu"


@irdl_op_definition
class MaxOp(ReductionOp):
    """``z = the largest of the terms``, and along axes: ``net.max %x axes [1] : ...``."""

    name = "net.max"


@irdl_op_definition
class MinOp(ReductionOp):
    """``z = the least of the terms``, and along axes: ``net.min %x axes [1] : ...``."""

    name = "net.min"


class ElementwiseOp(ShapedOp, ABC):
    """A function of one tensor, entry by entry."""

    def infer(self) -> Shape:
        return shape_of(self.operands[0])


@irdl_op_definition
class IdentityOp(ElementwiseOp):
    """``z = x``, a constraint of its own: ``net.identity %x : ...``."""

    name = "net.identity"

    operand = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue) -> None:
        super().__init__(operands=[operand], result_types=[operand.type])


def verify_levels(levels: Sequence[float]) -> None:
    """Raise if the levels of a quantizer are not strictly increasing."""
    if not levels or any(a >= b for a, b in itertools.pairwise(levels)):
        raise VerifyException(f"levels must be strictly increasing, found {list(levels)}")


@irdl_op_definition
class QuantizeOp(ElementwiseOp):
    """``z = the level nearest to x``: ``net.quantize %x to [-1.0, 1.0] : ...``."""

    name = "net.quantize"

    operand = operand_def(TensorType)
    levels = prop_def(FLOATS)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$operand `to` $levels attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, levels: Sequence[float]) -> None:
        super().__init__(
            operands=[operand],
            properties={"levels": DenseArrayBase.from_list(f64, list(levels))},
            result_types=[operand.type],
        )

    def verify_(self) -> None:
        super().verify_()
        verify_levels(self.levels.get_values())


@irdl_op_definition
class RoundOp(ElementwiseOp):
    """``z = the whole number nearest to x``: ``net.round %x : ...``."""

    name = "net.round"

    operand = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue) -> None:
        super().__init__(operands=[operand], result_types=[operand.type])


@irdl_op_definition
class PiecewiseOp(ElementwiseOp):
    """``z = slopes[i] x + offsets[i]`` for x in piece i, which ends at ``edges[i]``.

    ``net.piecewise %x edges [0.0] slopes [-1.0, 1.0] offsets [0.0, 0.0] : ...``; with ``margin 0.5`` training
    asks for x to keep away from the edges by that much.
    """

    name = "net.piecewise"

    operand = operand_def(TensorType)
    edges = prop_def(FLOATS)
    slopes = prop_def(FLOATS)
    offsets = prop_def(FLOATS)
    margin = opt_prop_def(FloatAttr.constr(f64))
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operand `edges` $edges `slopes` $slopes `offsets` $offsets (`margin` $margin^)? attr-dict "
        "`:` type($operand) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue,
        edges: Sequence[float],
        slopes: Sequence[float],
        offsets: Sequence[float],
        margin: float = 0.0,
    ) -> None:
        lists = {"edges": edges, "slopes": slopes, "offsets": offsets}
        super().__init__(
            operands=[operand],
            properties={
                **{name: DenseArrayBase.from_list(f64, list(each)) for name, each in lists.items()},
                "margin": FloatAttr(margin, f64) if margin else None,
            },
            result_types=[operand.type],
        )

    def verify_(self) -> None:
        super().verify_()
        verify_pieces(self.edges, self.slopes, self.offsets, self.margin)


Floats = DenseArrayBase[Float64Type]


def verify_pieces(
    edge_numbers: Floats, slopes: Floats, offsets: Floats, margin: FloatAttr[Float64Type] | None
) -> None:
    """Raise unless edges increase, with one more slope and offset than edges, and room for the margin."""
    edges = edge_numbers.get_values()
    if not len(edges) + 1 == len(slopes) == len(offsets):
        raise VerifyException(
            f"{len(edges)} edges need {len(edges) + 1} slopes and offsets, found {len(slopes)} and "
            f"{len(offsets)}"
        )
    if any(a >= b for a, b in itertools.pairwise(edges)):
        raise VerifyException(f"edges must be strictly increasing, found {list(edges)}")
    room = min((b - a for a, b in itertools.pairwise(edges)), default=math.inf) / 2
    if margin is not None and not 0 <= margin.value.data <= room:
        raise VerifyException(f"the margin must be from 0 to {room}, found {margin.value.data}")


@irdl_op_definition
class ProductOp(ShapedOp):
    """``z = a b``, entry by entry: ``net.product %a, %b : ...``."""

    name = "net.product"

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue) -> None:
        super().__init__(operands=[lhs, rhs], result_types=[lhs.type])

    def infer(self) -> Shape:
        return shapes.elementwise([shape_of(self.lhs), shape_of(self.rhs)], ())


@irdl_op_definition
class ApplyOp(ShapedOp):
    """An operator of the user's own, by its name and the shapes of one site.

    ``net.apply "winner" "[n] -> [n]" %x : tensor<8x3xf32> -> tensor<8x3xf32>``
    """

    name = "net.apply"

    operator_name = prop_def(StringAttr)
    signature = prop_def(StringAttr)
    inputs = var_operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$operator_name $signature $inputs attr-dict `:` type($inputs) `->` type($result)"

    def __init__(self, operator: str, signature: str, inputs: Sequence[SSAValue]) -> None:
        shape = Signature.parse(signature).result([shape_of(each) for each in inputs])
        super().__init__(
            operands=[list(inputs)],
            properties={"operator_name": StringAttr(operator), "signature": StringAttr(signature)},
            result_types=[tensor_like(inputs[0], shape)],
        )

    def infer(self) -> Shape:
        return Signature.parse(self.signature.data).result([shape_of(each) for each in self.inputs])


class LossOp(IRDLOperation):
    """A training requirement on its first operand, given its second, the target.

    Class targets ``[*sites]`` belong to logits ``[*sites, C]``; numeric ones have the value's own shape.
    """

    NUMERIC: ClassVar[bool] = False

    def verify_(self) -> None:
        value, target = self.operands
        shape = shape_of(value)
        expected = shape if self.NUMERIC else shape[:-1]
        element = element_of(value) if self.NUMERIC else i32
        if shape_of(target) != expected or element_of(target) != element:
            kind = "numeric" if self.NUMERIC else "class"
            raise VerifyException(
                f"'{self.name}' on values of shape {shapes.show(shape)} needs {kind} "
                f"targets of shape {shapes.show(expected)}, found {target.type}"
            )


class _StrengthLossOp(LossOp, ABC):
    """A loss that is a function, times a strength."""

    logits = operand_def(TensorType)
    target = operand_def(TensorType)
    strength = prop_def(FloatAttr.constr(f64))

    assembly_format = "$logits `,` $target `strength` $strength attr-dict `:` type($logits) `,` type($target)"

    def __init__(self, logits: SSAValue, target: SSAValue, strength: float = 1.0) -> None:
        super().__init__(operands=[logits, target], properties={"strength": FloatAttr(strength, f64)})

    def verify_(self) -> None:
        super().verify_()
        if not self.strength.value.data > 0:
            raise VerifyException(f"strength must be positive, found {self.strength.value.data}")


@irdl_op_definition
class CrossEntropyOp(_StrengthLossOp):
    """The prox of ``strength`` times the cross-entropy: ``net.cross_entropy %z, %y strength 1.0 : ...``."""

    name = "net.cross_entropy"


@irdl_op_definition
class HingeOp(_StrengthLossOp):
    """The prox of ``strength`` times the hinge loss of each class against the rest.

    ``net.hinge %z, %y strength 1.0 : ...``
    """

    name = "net.hinge"


@irdl_op_definition
class SquaredErrorOp(_StrengthLossOp):
    """The prox of ``strength / 2`` times the squared error.

    ``net.squared_error %z, %y strength 1.0 : ...``
    """

    name = "net.squared_error"
    NUMERIC: ClassVar[bool] = True


class _BoundsLossOp(LossOp, ABC):
    """A loss that wants logits at least as high as one bound, or at most as high as another."""

    logits = operand_def(TensorType)
    target = operand_def(TensorType)
    bounds = prop_def(FLOATS)

    assembly_format = "$logits `,` $target `in` $bounds attr-dict `:` type($logits) `,` type($target)"

    def __init__(self, logits: SSAValue, target: SSAValue, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__(
            operands=[logits, target],
            properties={"bounds": DenseArrayBase.from_list(f64, [low, high])},
        )

    def verify_(self) -> None:
        super().verify_()
        if len(self.bounds) != 2:
            raise VerifyException(f"a margin takes two bounds, found {len(self.bounds)}")


@irdl_op_definition
class MarginOp(_BoundsLossOp):
    """Right logits at least ``high``, others at most ``low``: ``net.margin %z, %y in [0.0, 1.0] : ...``."""

    name = "net.margin"


@irdl_op_definition
class MultiLabelOp(_BoundsLossOp):
    """Logits of target 1 at least ``high``, of target 0 at most ``low``.

    ``net.multi_label %z, %y in [0.0, 1.0] : ...``
    """

    name = "net.multi_label"
    NUMERIC: ClassVar[bool] = True


@irdl_op_definition
class ClassMarginOp(LossOp):
    """The right logit above every other by a margin: ``net.class_margin %z, %y by 1.0 : ...``."""

    name = "net.class_margin"

    logits = operand_def(TensorType)
    target = operand_def(TensorType)
    margin = prop_def(FloatAttr.constr(f64))

    assembly_format = "$logits `,` $target `by` $margin attr-dict `:` type($logits) `,` type($target)"

    def __init__(self, logits: SSAValue, target: SSAValue, margin: float = 1.0) -> None:
        super().__init__(operands=[logits, target], properties={"margin": FloatAttr(margin, f64)})


@irdl_op_definition
class EqualOp(LossOp):
    """The value equal to the target: ``net.equal %z, %y : ...``."""

    name = "net.equal"
    NUMERIC: ClassVar[bool] = True

    value = operand_def(TensorType)
    target = operand_def(TensorType)

    assembly_format = "$value `,` $target attr-dict `:` type($value) `,` type($target)"

    def __init__(self, value: SSAValue, target: SSAValue) -> None:
        super().__init__(operands=[value, target])


@irdl_op_definition
class SetOp(IRDLOperation):
    """A value required to be in a set: ``net.set %w in "box" {low = -1.0 : f64, high = 1.0 : f64} : ...``.

    The sets and their fields are those of ``dialects/sets.py``.
    """

    name = "net.set"

    value = operand_def(TensorType)
    kind = prop_def(StringAttr)
    fields = prop_def(DictionaryAttr)

    assembly_format = "$value `in` $kind $fields attr-dict `:` type($value)"

    def __init__(self, value: SSAValue, kind: str, fields: Mapping[str, Attribute]) -> None:
        super().__init__(
            operands=[value],
            properties={"kind": StringAttr(kind), "fields": DictionaryAttr(dict(fields))},
        )

    def verify_(self) -> None:
        verify_set(self.kind.data, self.fields.data, shape_of(self.value))


@irdl_op_definition
class OutputOp(IRDLOperation):
    """A value that ``apply`` returns: ``net.output "logits" %z : tensor<128x10xf32>``."""

    name = "net.output"

    label = prop_def(StringAttr)
    value = operand_def(TensorType)

    assembly_format = "$label $value attr-dict `:` type($value)"

    def __init__(self, label: str, value: SSAValue) -> None:
        super().__init__(operands=[value], properties={"label": StringAttr(label)})


NET = Dialect(
    "net",
    [
        NetworkOp,
        InputOp,
        TargetOp,
        ParamOp,
        ConstantOp,
        ForOp,
        YieldOp,
        AtOp,
        MatmulOp,
        SumOp,
        SumReluOp,
        MaxOp,
        MinOp,
        ProductOp,
        IdentityOp,
        PiecewiseOp,
        QuantizeOp,
        RoundOp,
        ApplyOp,
        CrossEntropyOp,
        HingeOp,
        SquaredErrorOp,
        MarginOp,
        MultiLabelOp,
        ClassMarginOp,
        EqualOp,
        SetOp,
        OutputOp,
    ],
    [InitAttr],
)
