"""The view dialect: data movement that imposes nothing. It serves net and feas alike.

Each view is an op, and each of its operands takes one *step* (:class:`StepAttr`) through it. In proj
the steps from a value to the copies that read it form a path.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DenseArrayBase,
    FixedBitwidthType,
    IntegerAttr,
    IntegerType,
    StringAttr,
    TensorType,
    i32,
    i64,
)
from xdsl.ir import Attribute, Dialect, ParametrizedAttribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

from pjc.dialects import shapes
from pjc.dialects.shapes import Shape, ShapeError

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


def element_of(value: SSAValue) -> Attribute:
    """Return the element type of a tensor value."""
    assert isa(value.type, TensorType[Attribute])
    return value.type.get_element_type()


def element_bytes(type_: Attribute) -> int:
    """Return the bytes of an entry of a tensor of numbers, by the tensor's type."""
    assert isa(type_, TensorType[Attribute])
    element = type_.get_element_type()
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
class StepAttr(ParametrizedAttribute):
    """One step of a path: the way of one operand through one view.

    ``#view.step<transpose [1, 0]>``. The kinds and their lists of integers:

    - ``reshape [shape]``
    - ``transpose [permutation]``
    - ``broadcast [shape] [dims]``: axis ``i`` becomes ``dims[i]``
    - ``slice [starts] [limits] [strides]``
    - ``pad [low] [high]``: with zeros, which belong to the operand
    - ``place [axis, offset, size]``: a range of a longer axis; other operands fill the rest
    - ``gather "tokens" [shape]``: rows by number; the numbers, of that shape, are a datum
    - ``patches [axes] [window] [strides]``: windows that slide along axes; the window's own axes come last
    - ``shift [by]``: entry ``i`` of the first axis goes to ``i + by``; other operands fill the rest
    """

    name = "view.step"

    kind: StringAttr
    numbers: ArrayAttr[Sizes]
    indices: StringAttr
    """The label of the datum that holds the numbers of a gather's rows; empty for other kinds."""

    LISTS: ClassVar[dict[str, int]] = {
        "reshape": 1,
        "transpose": 1,
        "broadcast": 2,
        "slice": 3,
        "pad": 2,
        "place": 1,
        "gather": 1,
        "shift": 1,
        "patches": 3,
    }

    def __init__(self, kind: str, *numbers: Sequence[int], indices: str = "") -> None:
        super().__init__(StringAttr(kind), ArrayAttr([sizes(row) for row in numbers]), StringAttr(indices))

    def lists(self) -> tuple[Shape, ...]:
        """Return the step's lists of integers."""
        return tuple(tuple(row.get_values()) for row in self.numbers)

    def result_shape(self, shape: Shape) -> Shape:
        """Return the shape after the step, for an operand of the given shape."""
        match self.kind.data, self.lists():
            case "reshape", (target,):
                return shapes.reshape(shape, target)
            case "transpose", (permutation,):
                return shapes.transpose(shape, permutation)
            case "broadcast", (target, dims):
                return shapes.broadcast(shape, target, dims)
            case "slice", (starts, limits, strides):
                return shapes.slice_(shape, starts, limits, strides)
            case "pad", (low, high):
                return shapes.pad(shape, low, high)
            case "place", ((axis, offset, size),) if 0 <= axis < len(shape):
                if 0 <= offset <= size - shape[axis]:
                    return (*shape[:axis], size, *shape[axis + 1 :])
            case "gather", (indices,):
                return shapes.gather(shape, indices)
            case "patches", (axes, window, strides):
                return shapes.patches(shape, axes, window, strides)
            case "shift", ((by,),) if shape and 0 < by < shape[0]:
                return shape
        raise ShapeError(f"step '{self}' does not fit a tensor of shape {shapes.show(shape)}")

    def verify(self) -> None:
        kind = self.kind.data
        if kind not in self.LISTS:
            raise VerifyException(f"unknown step '{kind}'; known are {', '.join(self.LISTS)}")
        if len(self.lists()) != self.LISTS[kind]:
            raise VerifyException(f"step '{kind}' takes {self.LISTS[kind]} lists, found {len(self.lists())}")
        if bool(self.indices.data) != (kind == "gather"):
            raise VerifyException("a step names the datum of its indices if, and only if, it is a gather")

    def print_body(self, printer: Printer) -> None:
        """Print the step without the brackets around it: ``transpose [1, 0]``."""
        printer.print_string(self.kind.data)
        if self.indices.data:
            printer.print_string(" ")
            printer.print_string_literal(self.indices.data)
        for row in self.lists():
            printer.print_string(" " + shapes.show(row))

    @classmethod
    def parse_body(cls, parser: AttrParser) -> StepAttr:
        """Parse what :meth:`print_body` prints."""
        kind = parser.parse_identifier("the kind of a step")
        indices = parser.parse_optional_str_literal()
        rows = []
        while (
            row := parser.parse_optional_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)
        ) is not None:
            rows.append(row)
        return StepAttr(kind, *rows, indices=indices or "")

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            self.print_body(printer)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            return cls.parse_body(parser).parameters


class ViewOp(ShapedOp, ABC):
    """A view: its result holds entries of its operands (and zeros), and imposes nothing."""

    @abstractmethod
    def step(self, operand: int) -> StepAttr:
        """Return the step that the entries of one operand take."""

    def infer(self) -> Shape:
        return self.step(0).result_shape(shape_of(self.operands[0]))


@irdl_op_definition
class ReshapeOp(ViewOp):
    """The same entries in row-major order: ``view.reshape %x : tensor<2x3xf32> -> tensor<6xf32>``."""

    name = "view.reshape"

    operand = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, shape: Sequence[int]) -> None:
        target = shapes.reshape(shape_of(operand), tuple(shape))
        super().__init__(operands=[operand], result_types=[tensor_like(operand, target)])

    def step(self, operand: int) -> StepAttr:
        target = shape_of(self.result)
        return StepAttr("reshape", [-1 if size == DYNAMIC_INDEX else size for size in target])


@irdl_op_definition
class TransposeOp(ViewOp):
    """Result axis ``i`` is operand axis ``permutation[i]``: ``view.transpose %x [1, 0] : ...``."""

    name = "view.transpose"

    operand = operand_def(TensorType)
    permutation = prop_def(SIZES)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$operand $permutation attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, permutation: Sequence[int]) -> None:
        target = shapes.transpose(shape_of(operand), permutation)
        super().__init__(
            operands=[operand],
            properties={"permutation": sizes(permutation)},
            result_types=[tensor_like(operand, target)],
        )

    def step(self, operand: int) -> StepAttr:
        return StepAttr("transpose", self.permutation.get_values())


@irdl_op_definition
class BroadcastOp(ViewOp):
    """Operand axis ``i`` becomes result axis ``dims[i]``, repeated: ``view.broadcast %b [1] : ...``."""

    name = "view.broadcast"

    operand = operand_def(TensorType)
    dims = prop_def(SIZES)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$operand $dims attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, shape: Sequence[int], dims: Sequence[int]) -> None:
        target = shapes.broadcast(shape_of(operand), tuple(shape), dims)
        super().__init__(
            operands=[operand],
            properties={"dims": sizes(dims)},
            result_types=[tensor_like(operand, target)],
        )

    def step(self, operand: int) -> StepAttr:
        return StepAttr("broadcast", shape_of(self.result), self.dims.get_values())


@irdl_op_definition
class SliceOp(ViewOp):
    """A strided range of each axis: ``view.slice %x [0, 1] [4, 3] [1, 1] : ...``."""

    name = "view.slice"

    operand = operand_def(TensorType)
    starts = prop_def(SIZES)
    limits = prop_def(SIZES)
    strides = prop_def(SIZES)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$operand $starts $limits $strides attr-dict `:` type($operand) `->` type($result)"

    def __init__(
        self,
        operand: SSAValue,
        starts: Sequence[int],
        limits: Sequence[int],
        strides: Sequence[int],
    ) -> None:
        target = shapes.slice_(shape_of(operand), starts, limits, strides)
        super().__init__(
            operands=[operand],
            properties={
                "starts": sizes(starts),
                "limits": sizes(limits),
                "strides": sizes(strides),
            },
            result_types=[tensor_like(operand, target)],
        )

    def step(self, operand: int) -> StepAttr:
        rows = (self.starts, self.limits, self.strides)
        return StepAttr("slice", *(row.get_values() for row in rows))


@irdl_op_definition
class PadOp(ViewOp):
    """Zeros around the operand: ``view.pad %x [1, 0] [1, 0] : ...``."""

    name = "view.pad"

    operand = operand_def(TensorType)
    low = prop_def(SIZES)
    high = prop_def(SIZES)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$operand $low $high attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue, low: Sequence[int], high: Sequence[int]) -> None:
        target = shapes.pad(shape_of(operand), low, high)
        super().__init__(
            operands=[operand],
            properties={"low": sizes(low), "high": sizes(high)},
            result_types=[tensor_like(operand, target)],
        )

    def step(self, operand: int) -> StepAttr:
        return StepAttr("pad", self.low.get_values(), self.high.get_values())


@irdl_op_definition
class PatchesOp(ViewOp):
    """Windows that slide along axes: ``view.patches %x [1, 2] [3, 3] [1, 1] : ...``.

    The axes count positions then, ``(size - window) // stride + 1`` of them, and the window's own axes follow
    the last of them: ``[B, H, W, C]`` with windows along H and W becomes ``[B, H', W', h, w, C]``, so that
    entries that lie side by side stay so.
    """

    name = "view.patches"

    operand = operand_def(TensorType)
    axes = prop_def(SIZES)
    window = prop_def(SIZES)
    strides = prop_def(SIZES)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$operand $axes $window $strides attr-dict `:` type($operand) `->` type($result)"

    def __init__(
        self, operand: SSAValue, axes: Sequence[int], window: Sequence[int], strides: Sequence[int]
    ) -> None:
        target = shapes.patches(shape_of(operand), axes, window, strides)
        super().__init__(
            operands=[operand],
            properties={"axes": sizes(axes), "window": sizes(window), "strides": sizes(strides)},
            result_types=[tensor_like(operand, target)],
        )

    def step(self, operand: int) -> StepAttr:
        rows = (self.axes, self.window, self.strides)
        return StepAttr("patches", *(row.get_values() for row in rows))


@irdl_op_definition
class ConcatOp(ViewOp):
    """The operands one after another along an axis: ``view.concat %a, %b along 1 : ...``."""

    name = "view.concat"

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

    def step(self, operand: int) -> StepAttr:
        axis = self.axis.value.data
        lengths = [shape_of(part)[axis] for part in self.parts]
        return StepAttr("place", (axis, sum(lengths[:operand]), sum(lengths)))

    def infer(self) -> Shape:
        return shapes.concat([shape_of(part) for part in self.parts], self.axis.value.data)


@irdl_op_definition
class GatherOp(ViewOp):
    """Rows of a table by number: ``result[i.., j..] = table[indices[i..], j..]``.

    ``view.gather %table at %tokens : tensor<65x8xf32>, tensor<4x16xi32> -> tensor<4x16x8xf32>``. The
    indices are data: which rows are read, and how often, is known only when the program runs.
    """

    name = "view.gather"

    table = operand_def(TensorType)
    indices = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$table `at` $indices attr-dict `:` type($table) `,` type($indices) `->` type($result)"

    def __init__(self, table: SSAValue, indices: SSAValue) -> None:
        target = shapes.gather(shape_of(table), shape_of(indices))
        super().__init__(operands=[table, indices], result_types=[tensor_like(table, target)])

    def step(self, operand: int) -> StepAttr:
        owner = self.indices.owner
        label = owner.properties.get("label") if isinstance(owner, IRDLOperation) else None
        if operand or not isinstance(label, StringAttr):
            raise VerifyException(
                f"'{self.name}' needs indices that are data as they come; net-canonicalize moves views of "
                "them behind it"
            )
        return StepAttr("gather", shape_of(self.indices), indices=label.data)

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

    first = operand_def(TensorType)
    rest = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$first `,` $rest attr-dict `:` type($first) `,` type($rest) `->` type($result)"

    def __init__(self, first: SSAValue, rest: SSAValue) -> None:
        super().__init__(operands=[first, rest], result_types=[rest.type])

    def step(self, operand: int) -> StepAttr:
        if operand == 0:
            return StepAttr("place", (0, 0, shape_of(self.rest)[0]))
        return StepAttr("shift", (1,))

    def infer(self) -> Shape:
        first, rest = shape_of(self.first), shape_of(self.rest)
        if first != (1, *rest[1:]) or rest[0] < 2:
            raise ShapeError(
                f"a shift of {shapes.show(rest)} takes a first entry of shape {shapes.show((1, *rest[1:]))} "
                f"and at least two entries, found {shapes.show(first)}"
            )
        return rest


VIEW = Dialect(
    "view",
    [ReshapeOp, TransposeOp, BroadcastOp, SliceOp, PadOp, PatchesOp, ConcatOp, GatherOp, ShiftOp],
    [StepAttr],
)
