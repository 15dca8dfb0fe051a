"""The net dialect: the network as written. Frontends meet here; nothing after it knows which one."""

from __future__ import annotations

import itertools
from abc import ABC
from collections.abc import Sequence

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
from pjc.dialects.shapes import Shape
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


@irdl_op_definition
class SumOp(ReductionOp):
    """``z = sum of the terms``, and along axes: ``net.sum %a, %b axes [] : ...``."""

    name = "net.sum"


@irdl_op_definition
class SumReluOp(ReductionOp):
    """``z = max(0, sum of the terms)``; relu is the case of one term: ``net.sum_relu %a axes [] : ...``."""

    name = "net.sum_relu"


@irdl_op_definition
class MaxOp(ReductionOp):
    """``z = the largest of the terms``, and along axes: ``net.max %x axes [1] : ...``."""

    name = "net.max"


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


class LossOp(IRDLOperation):
    """A training requirement on logits ``[*sites, C]``, given class targets ``[*sites]``."""

    def verify_(self) -> None:
        logits, target = self.operands
        found, expected = shape_of(target), shape_of(logits)[:-1]
        if found != expected or element_of(target) != i32:
            raise VerifyException(
                f"'{self.name}' on logits of shape {shapes.show(shape_of(logits))} needs class "
                f"targets of shape {shapes.show(expected)}, found {target.type}"
            )


@irdl_op_definition
class CrossEntropyOp(LossOp):
    """The prox of ``strength`` times the cross-entropy: ``net.cross_entropy %z, %y strength 1.0 : ...``."""

    name = "net.cross_entropy"

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
class MarginOp(LossOp):
    """Right logits at least ``high``, others at most ``low``: ``net.margin %z, %y in [0.0, 1.0] : ...``."""

    name = "net.margin"

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
        IdentityOp,
        QuantizeOp,
        CrossEntropyOp,
        MarginOp,
        OutputOp,
    ],
    [InitAttr],
)
