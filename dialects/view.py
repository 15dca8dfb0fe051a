"""The view dialect: data movement that imposes nothing. It serves net and feas alike.

Each view is an op, and each of its operands takes one *step* (:mod:`pjc.dialects.steps`) through it. In proj
the steps from a value to the copies that read it form a path.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Self

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    DenseArrayBase,
    FixedBitwidthType,
    IntegerAttr,
    IntegerType,
    StringAttr,
    TensorType,
    i32,
    i64,
)
from xdsl.ir import Attribute, Data, Dialect, SSAValue
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
from pjc.dialects.shapes import Shape, ShapeError
from pjc.dialects.steps import (
    Broadcast,
    Gather,
    Pad,
    Patches,
    Place,
    Reshape,
    Shift,
    Slice,
    Step,
    StepError,
    Transpose,
    step_of,
)

Sizes = DenseArrayBase[IntegerType]
SIZES = DenseArrayBase.constr(i64)


def sizes(values: Sequence[int]) -> Sizes:
    """Return the attribute that holds a list of integers."""
    return DenseArrayBase.from_list(i64, list(values))


def shape_of(value: SSAValue | Attribute) -> Shape:
    """Return the shape of a tensor value or type."""
    kind = value.type if isinstance(value, SSAValue) else value
    if not isinstance(kind, TensorType):
        raise ShapeError(f"expected a tensor, found {kind}")
    return tuple(kind.get_shape())


def _tensor(kind: Attribute) -> TensorType[Attribute]:
    assert isinstance(kind, TensorType)
    return kind


def element_of(value: SSAValue) -> Attribute:
    """Return the element type of a tensor value."""
    return _tensor(value.type).get_element_type()


def element_bytes(type_: Attribute) -> int:
    """Return the bytes of an entry of a tensor of numbers, by the tensor's type."""
    element = _tensor(type_).get_element_type()
    assert isinstance(element, FixedBitwidthType)
    return element.size


def tensor_like(value: SSAValue, shape: Shape) -> TensorType[Attribute]:
    """Return the tensor type with the value's element type and the given shape."""
    return TensorType(element_of(value), list(shape))


def unknown(shape: Shape) -> bool:
    """Whether a size of the shape is still to be inferred (``?`` in the type)."""
    return DYNAMIC_INDEX in shape


class ShapedOp(IRDLOperation, ABC):
    """An op with one result, whose shape follows from its operands and properties."""

    @abstractmethod
    def infer(self) -> Shape:
        """Return the shape of the result, or raise ShapeError if the operands do not fit."""

    def verify_(self) -> None:
        if any(unknown(shape_of(operand)) for operand in self.operands):
            return
        try:
            expected = self.infer()
        except ShapeError as error:
            raise VerifyException(f"'{self.name}': {error}") from error
        found = shape_of(self.results[0])
        if found != expected and not unknown(found):
            raise VerifyException(
                f"'{self.name}' gives a tensor of shape {shapes.show(expected)}, "
                f"but its result type says {shapes.show(found)}"
            )
        self.verify_elements()

    def verify_elements(self) -> None:
        """Raise if the element types of operands and result do not fit."""
        if any(element_of(operand) != element_of(self.results[0]) for operand in self.operands):
            raise VerifyException(f"'{self.name}' must keep the element type of its operands")


@irdl_attr_definition
class StepAttr(Data[Step]):
    """One step of a path: the way of one operand through one view.

    ``#view.step<transpose [1, 0]>``. ``pjc.dialects.steps`` has the kinds.
    """

    name = "view.step"

    @classmethod
    def parse_body(cls, parser: AttrParser) -> Step:
        """Parse a step without the brackets around it: ``transpose [1, 0]``."""
        kind = parser.expect(parser.parse_optional_identifier, "the kind of a step expected")
        label = parser.parse_optional_str_literal()
        lists = []
        while (
            row := parser.parse_optional_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)
        ) is not None:
            lists.append(row)
        try:
            return step_of(kind, lists, label)
        except StepError as error:
            raise VerifyException(str(error)) from error

    def print_body(self, printer: Printer) -> None:
        """Print what :meth:`parse_body` parses."""
        label = self.data.datum()
        printer.print_string(self.data.kind())
        if label is not None:
            printer.print_string(" ")
            printer.print_string_literal(label)
        for row in self.data.lists():
            printer.print_string(" " + shapes.show(row))

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Step:
        with parser.in_angle_brackets():
            return cls.parse_body(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            self.print_body(printer)


class ViewOp(ShapedOp, ABC):
    """A view: its result holds entries of its operands (and zeros), and imposes nothing."""

    STEP: ClassVar[type[Step]]
    """The kind of step that its operands take."""

    @abstractmethod
    def step(self, operand: int) -> Step:
        """Return the step that the entries of one operand take."""

    def changed(self, operands: Sequence[SSAValue], change: Callable[[Step], Step]) -> ViewOp:
        """Return the view of other operands by what a function makes of the steps."""
        raise TypeError(f"'{self.name}' cannot be made from steps")

    def infer(self) -> Shape:
        return self.step(0).result_shape(shape_of(self.operands[0]))


class MoveOp(ViewOp, ABC):
    """A view of one operand. Its properties are the numbers of its step, but for the shape of the result."""

    operand = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue, step: Step) -> None:
        super().__init__(
            operands=[operand],
            properties={name: sizes(getattr(step, name)) for name in self.numbers(step)},
            result_types=[tensor_like(operand, step.result_shape(shape_of(operand)))],
        )

    @staticmethod
    def numbers(step: Step) -> list[str]:
        """Return the names of the properties that a step has: those that its text has, but for a shape."""
        return [name for name in step.number_names()[: len(step.lists())] if name != "shape"]

    @classmethod
    def by(cls, step: Step, operand: SSAValue) -> Self:
        """Return the view of an operand by a step of its kind."""
        made = cls.__new__(cls)
        MoveOp.__init__(made, operand, step)
        return made

    def changed(self, operands: Sequence[SSAValue], change: Callable[[Step], Step]) -> MoveOp:
        (operand,) = operands
        return self.by(change(self.step(0)), operand)

    def step(self, operand: int) -> Step:
        return self.STEP(*(self._number(name) for name in self.STEP.number_names()))

    def _number(self, name: str) -> Shape:
        if name == "shape":
            return tuple(-1 if size == DYNAMIC_INDEX else size for size in shape_of(self.result))
        found = self.properties.get(name, sizes(()))
        assert isinstance(found, DenseArrayBase)
        return found.get_values()


@irdl_op_definition
class ReshapeOp(MoveOp):
    """The same entries in row-major order: ``view.reshape %x : tensor<2x3xf32> -> tensor<6xf32>``."""

    name = "view.reshape"
    STEP: ClassVar = Reshape

    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, shape: Sequence[int]) -> None:
        super().__init__(operand, Reshape(tuple(shape)))


@irdl_op_definition
class TransposeOp(MoveOp):
    """Result axis ``i`` is operand axis ``permutation[i]``: ``view.transpose %x [1, 0] : ...``."""

    name = "view.transpose"
    STEP: ClassVar = Transpose

    permutation = prop_def(SIZES)

    assembly_format = "$operand $permutation attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, permutation: Sequence[int]) -> None:
        super().__init__(operand, Transpose(tuple(permutation)))


@irdl_op_definition
class BroadcastOp(MoveOp):
    """Operand axis ``i`` becomes result axis ``dims[i]``, repeated: ``view.broadcast %b [1] : ...``."""

    name = "view.broadcast"
    STEP: ClassVar = Broadcast

    dims = prop_def(SIZES)

    assembly_format = "$operand $dims attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, shape: Sequence[int], dims: Sequence[int]) -> None:
        super().__init__(operand, Broadcast(tuple(shape), tuple(dims)))


@irdl_op_definition
class SliceOp(MoveOp):
    """A strided range of each axis: ``view.slice %x [0, 1] [4, 3] [1, 1] : ...``."""

    name = "view.slice"
    STEP: ClassVar = Slice

    starts = prop_def(SIZES)
    limits = prop_def(SIZES)
    strides = prop_def(SIZES)

    assembly_format = "$operand $starts $limits $strides attr-dict `:` type($operand) `->` type($result)"

    def __init__(
        self, operand: SSAValue, starts: Sequence[int], limits: Sequence[int], strides: Sequence[int]
    ) -> None:
        super().__init__(operand, Slice(tuple(starts), tuple(limits), tuple(strides)))


@irdl_op_definition
class PadOp(MoveOp):
    """Zeros around the operand: ``view.pad %x [1, 0] [1, 0] : ...``."""

    name = "view.pad"
    STEP: ClassVar = Pad

    low = prop_def(SIZES)
    high = prop_def(SIZES)

    assembly_format = "$operand $low $high attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, low: Sequence[int], high: Sequence[int]) -> None:
        super().__init__(operand, Pad(tuple(low), tuple(high)))


@irdl_op_definition
class PatchesOp(MoveOp):
    """Windows that slide along axes: ``view.patches %x [1, 2] [3, 3] [1, 1] : ...``.

    The axes count positions then, ``(size - reach) // stride + 1`` of them, and the window's own axes follow
    the last of them: ``[B, H, W, C]`` with windows along H and W becomes ``[B, H', W', h, w, C]``, so that
    entries that lie side by side stay so. With ``apart [2, 2]`` behind the strides every second entry is in a
    window, which then reaches over ``2 window - 1``.
    """

    name = "view.patches"
    STEP: ClassVar = Patches

    axes = prop_def(SIZES)
    window = prop_def(SIZES)
    strides = prop_def(SIZES)
    dilation = opt_prop_def(SIZES)

    assembly_format = (
        "$operand $axes $window $strides (`apart` $dilation^)? attr-dict "
        "`:` type($operand) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue,
        axes: Sequence[int],
        window: Sequence[int],
        strides: Sequence[int],
        dilation: Sequence[int] = (),
    ) -> None:
        super().__init__(operand, Patches(tuple(axes), tuple(window), tuple(strides), tuple(dilation)))

    def step(self, operand: int) -> Patches:
        return Patches(*(self._number(name) for name in Patches.number_names()))


@irdl_op_definition
class ConcatOp(ViewOp):
    """The operands one after another along an axis: ``view.concat %a, %b along 1 : ...``."""

    name = "view.concat"
    STEP: ClassVar = Place

    parts = var_operand_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$parts `along` $axis attr-dict `:` type($parts) `->` type($result)"

    def __init__(self, parts: Sequence[SSAValue], axis: int) -> None:
        target = shapes.concat([shape_of(part) for part in parts], axis)
        super().__init__(
            operands=[list(parts)],
            properties={"axis": IntegerAttr(axis % len(target), i64)},
            result_types=[tensor_like(parts[0], target)],
        )

    def step(self, operand: int) -> Place:
        axis = self.axis.value.data
        lengths = [shape_of(part)[axis] for part in self.parts]
        return Place(axis, sum(lengths[:operand]), sum(lengths))

    def changed(self, operands: Sequence[SSAValue], change: Callable[[Step], Step]) -> ConcatOp:
        place = change(self.step(0))
        assert isinstance(place, Place)
        return ConcatOp(operands, place.axis)

    def infer(self) -> Shape:
        return shapes.concat([shape_of(part) for part in self.parts], self.axis.value.data)


@irdl_op_definition
class GatherOp(ViewOp):
    """Rows of a table by number: ``result[i.., j..] = table[indices[i..], j..]``.

    ``view.gather %table at %tokens : tensor<65x8xf32>, tensor<4x16xi32> -> tensor<4x16x8xf32>``. The
    indices are data: which rows are read, and how often, is known only when the program runs.
    """

    name = "view.gather"
    STEP: ClassVar = Gather

    table = operand_def(TensorType)
    indices = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$table `at` $indices attr-dict `:` type($table) `,` type($indices) `->` type($result)"

    def __init__(self, table: SSAValue, indices: SSAValue) -> None:
        target = shapes.gather(shape_of(table), shape_of(indices))
        super().__init__(operands=[table, indices], result_types=[tensor_like(table, target)])

    def step(self, operand: int) -> Gather:
        owner = self.indices.owner
        label = owner.properties.get("label") if isinstance(owner, IRDLOperation) else None
        if operand or not isinstance(label, StringAttr):
            raise VerifyException(
                f"'{self.name}' needs indices that are data as they come; net-canonicalize moves views of "
                "them behind it"
            )
        return Gather(shape_of(self.indices), label.data)

    def infer(self) -> Shape:
        return shapes.gather(shape_of(self.table), shape_of(self.indices))

    def verify_elements(self) -> None:
        if element_of(self.indices) != i32:
            raise VerifyException(f"'{self.name}' takes i32 indices, found {self.indices.type}")
        if element_of(self.table) != element_of(self.result):
            raise VerifyException(f"'{self.name}' must keep the element type of its table")


@irdl_op_definition
class ShiftOp(ViewOp):
    """What the iterations of a loop get from the ones before: ``view.shift %first, %rest : ..``.

    Entry 0 of the first axis is ``first``; entry ``i`` is entry ``i - 1`` of ``rest``, which may be made
    further below: a loop is a cycle in the graph of a problem.
    """

    name = "view.shift"
    STEP: ClassVar = Shift

    first = operand_def(TensorType)
    rest = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$first `,` $rest attr-dict `:` type($first) `,` type($rest) `->` type($result)"

    def __init__(self, first: SSAValue, rest: SSAValue) -> None:
        super().__init__(operands=[first, rest], result_types=[rest.type])

    def step(self, operand: int) -> Place | Shift:
        return Shift(1) if operand else Place(0, 0, shape_of(self.rest)[0])

    def infer(self) -> Shape:
        first, rest = shape_of(self.first), shape_of(self.rest)
        if first != (1, *rest[1:]) or rest[0] < 2:
            raise ShapeError(
                f"a shift of {shapes.show(rest)} takes a first entry of shape {shapes.show((1, *rest[1:]))} "
                f"and at least two entries, found {shapes.show(first)}"
            )
        return rest


def move_by(step: Step, operand: SSAValue) -> MoveOp:
    """Return the view of an operand by a step of a kind that takes but one.

    Raises:
        TypeError: for a step of another kind.
    """
    for cls in (ReshapeOp, TransposeOp, BroadcastOp, SliceOp, PadOp, PatchesOp):
        if cls.STEP is type(step):
            return cls.by(step, operand)
    raise TypeError(f"no view of one operand takes step '{step}'")


VIEW = Dialect(
    "view",
    [ReshapeOp, TransposeOp, BroadcastOp, SliceOp, PadOp, PatchesOp, ConcatOp, GatherOp, ShiftOp],
    [StepAttr],
)
