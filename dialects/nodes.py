"""The nodes of a network that are given or free: inputs, targets, parameters, constants; and its outputs."""

from __future__ import annotations

import re
from abc import ABC
from collections.abc import Mapping, Sequence
from math import prod
from typing import TypeVar

from xdsl.dialects.builtin import (
    ArrayAttr,
    BytesAttr,
    DenseArrayBase,
    Float64Type,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    f64,
    i32,
    i64,
)
from xdsl.ir import Attribute, Operation, ParametrizedAttribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.irdl.declarative_assembly_format import (
    AttributeVariable,
    CustomDirective,
    ParsingState,
    PrintingState,
    irdl_custom_directive,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from pjc.dialects.layout import ShardingAttr
from pjc.dialects.steps import Step
from pjc.dialects.view import element_of, shape_of

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
            kind = parser.expect(parser.parse_optional_identifier, "an initializer expected")
            numbers = parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parser.parse_number)
        return InitAttr(kind, [float(n) for n in numbers or ()], scale).parameters


def floats(values: Sequence[float]) -> Floats:
    """Return the attribute that holds a list of numbers."""
    return DenseArrayBase.from_list(f64, [float(value) for value in values])


def operator_of(cls: type[Operation]) -> str:
    """Return what the language and the projections call an operation: its name in the dialect."""
    return cls.name.removeprefix("op.")


def labelled(label: str | None) -> StringAttr | None:
    """Return the property that holds a label, if there is one."""
    return None if label is None else StringAttr(label)


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
        """The name in the registry of projections; see :func:`operator_of`."""
        return operator_of(type(self))

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
        if self.classes is not None and self.classes.value.data < 1:
            raise VerifyException(f"'op.target' has classes from 1, found {self.classes.value.data}")


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


MAX_ENTRIES = 2**16
"""The most numbers of a constant tensor that is not one number everywhere."""
MAX_SHOWN = 64
"""Constant tensors of more numbers are printed as their bytes, which are read and written much faster."""


@irdl_custom_directive
class Numbers(CustomDirective):
    """One number, the numbers ``[1.0, 2.0]`` of a tensor, or their bytes in hexadecimal digits."""

    value: AttributeVariable

    def parse(self, parser: Parser, state: ParsingState) -> None:
        digits = parser.parse_optional_str_literal()
        if digits is not None:
            self.value.set(state, _of_bytes(digits, parser))
            return
        numbers = parser.parse_optional_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_float)
        if numbers is None:
            self.value.set(state, FloatAttr(parser.parse_float(), f64))
        else:
            self.value.set(state, floats(numbers))

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        state.print_whitespace(printer)
        value = self.value.get(op)
        if isinstance(value, FloatAttr):
            value.print_without_type(printer)
        elif isinstance(value, DenseArrayBase) and len(value) > MAX_SHOWN:
            printer.print_string_literal(f"0x{value.data.data.hex()}")
        elif isinstance(value, DenseArrayBase):
            with printer.in_square_brackets():
                printer.print_list(value.iter_values(), lambda each: printer.print_float(float(each), f64))


def _of_bytes(digits: str, parser: Parser) -> Floats:
    """Return the numbers of which a text holds the bytes: ``0x000000000000F03F`` is 1.0."""
    if not re.fullmatch(r"0x([0-9A-Fa-f]{16})+", digits):
        parser.raise_error("expected 0x and 16 hexadecimal digits for each number, little endian")
    return DenseArrayBase(f64, BytesAttr(bytes.fromhex(digits[2:])))


@irdl_op_definition
class ConstantOp(GivenOp):
    """A tensor of one number, or of many, ``{x : x = them}``.

    ``op.constant 0.0 called "zero" : tensor<128x64xf32>``, ``op.constant [1.0, 0.0, 0.0, 1.0] called "mask" :
    tensor<2x2xf32>``: the entries row by row.
    """

    name = "op.constant"

    value = prop_def(FloatAttr.constr(f64) | FLOATS)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    custom_directives = (Numbers,)
    assembly_format = (
        "custom<Numbers>($value) (`called` $label^)? (`part` $part^)? attr-dict `:` type($result)"
    )

    def __init__(self, value: float | Sequence[float], type: Attribute, label: str | None = None) -> None:
        held = floats(value) if isinstance(value, Sequence) else FloatAttr(value, f64)
        super().__init__(properties={"label": labelled(label), "value": held}, result_types=[type])

    @property
    def number(self) -> float | None:
        """The one number that every entry is; None if there is one for each."""
        return float(self.value.value.data) if isinstance(self.value, FloatAttr) else None

    @property
    def entries(self) -> tuple[float, ...]:
        """The number of each entry, row by row; of a tensor of one number that number alone."""
        if isinstance(self.value, FloatAttr):
            return (float(self.value.value.data),)
        return self.value.get_values()

    def verify_(self) -> None:
        if isinstance(self.value, FloatAttr):
            return
        size = prod(shape_of(self.result))
        if len(self.value) > MAX_ENTRIES:
            raise VerifyException(too_many(len(self.value)))
        if len(self.value) != size:
            raise VerifyException(f"a tensor of {size:,} entries needs as many, found {len(self.value):,}")


def too_many(count: int) -> str:
    """Return what is wrong with a constant tensor of more entries than :data:`MAX_ENTRIES`."""
    return f"a constant tensor holds at most {MAX_ENTRIES:,} numbers, found {count:,}; a parameter holds any"


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


def declared(kind: type[_OpT], members: Mapping[str, object]) -> tuple[type[_OpT], ...]:
    """Return the ops of a kind among the members of a module, in their order."""
    found = [each for each in members.values() if isinstance(each, type) and issubclass(each, kind)]
    return tuple(each for each in found if "name" in vars(each))
