"""The proj dialect: a solver as a program over tensors.

A program declares what it takes, and holds *variables* (copies and slots, together the state ``x`` of
docs/design.md#meaning), the forward pass, one region for each part that projects onto all its constraints at
once, and the solver's iteration in terms of those. Within a part every read is of the state before
the part and the writes do not overlap, so the order of its operations cannot matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
    UnitAttr,
    f64,
    i32,
    i64,
)
from xdsl.ir import (
    Attribute,
    Dialect,
    ParametrizedAttribute,
    Region,
    SSAValue,
    TypeAttribute,
)
from xdsl.irdl import (
    AttrSizedOperandSegments,
    AttrSizedResultSegments,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import IsTerminator, NoTerminator, Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from pjc.dialects import shapes
from pjc.dialects.layout import MeshAttr, ShardingAttr, verify_sharding
from pjc.dialects.ops import FLOATS, ParameterOp
from pjc.dialects.sets import verify_set
from pjc.dialects.shapes import Shape, ShapeError
from pjc.dialects.steps import Step, shape_after
from pjc.dialects.view import SIZES, StepAttr, element_bytes, shape_of, sizes


@irdl_attr_definition
class StateType(ParametrizedAttribute, TypeAttribute):
    """All copies and slots at once: ``!proj.state``."""

    name = "proj.state"


@irdl_attr_definition
class PathAttr(ParametrizedAttribute):
    """The way from a node's value to a variable that holds copies of it.

    ``#proj.path<@dense.matmul.rhs via transpose [1, 0] then broadcast [4, 3, 5] [1, 2]>``. The node that
    holds the variable may be a family: with ``for 16`` each entry at the start of the path is read by
    sixteen of its nodes, and ``group 1`` tells paths apart by which entries are read by one and the same.
    With ``for 16 apart`` sixteen nodes, which share the first axis of the copies evenly, each read rows of
    their own choice, by number.
    """

    name = "proj.path"

    variable: StringAttr
    steps: ArrayAttr[StepAttr]
    nodes: IntAttr
    group: IntAttr
    apart: IntAttr

    def __init__(
        self,
        variable: str,
        steps: Sequence[Step] = (),
        nodes: int = 1,
        group: int = 0,
        apart: bool = False,
    ) -> None:
        numbers = (IntAttr(nodes), IntAttr(group), IntAttr(int(apart)))
        super().__init__(StringAttr(variable), ArrayAttr(map(StepAttr, steps)), *numbers)

    def way(self) -> tuple[Step, ...]:
        """Return the steps."""
        return tuple(step.data for step in self.steps)

    def by_number(self) -> bool:
        """Whether only a batch tells which entries are read."""
        return any(step.datum() is not None for step in self.way())

    def result_shape(self, shape: Shape) -> Shape:
        """Return the shape at the end of the path, for a value of the given shape."""
        return shape_after(self.way(), shape)

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_symbol_name(self.variable.data)
            for index, step in enumerate(self.steps):
                printer.print_string(" then " if index else " via ")
                step.print_body(printer)
            if self.nodes.data != 1:
                printer.print_string(f" for {self.nodes.data}")
            if self.apart.data:
                printer.print_string(" apart")
            if self.group.data != 0:
                printer.print_string(f" group {self.group.data}")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            variable = parser.parse_symbol_name()
            steps = []
            separator = "via"
            while parser.parse_optional_keyword(separator):
                steps.append(StepAttr(StepAttr.parse_body(parser)))
                separator = "then"
            nodes = parser.parse_integer() if parser.parse_optional_keyword("for") else 1
            apart = parser.parse_optional_keyword("apart") is not None
            group = parser.parse_integer() if parser.parse_optional_keyword("group") else 0
        return [variable, ArrayAttr(steps), IntAttr(nodes), IntAttr(group), IntAttr(int(apart))]


PATHS = ArrayAttr[PathAttr]


@irdl_op_definition
class ProgramOp(IRDLOperation):
    """A solver for one problem: ``proj.program @mlp parts ["A", "B"] dims {batch = 128} { ... }``.

    With ``mesh <..>`` its tensors say how they are split over devices: ``sharded <..>``. With ``assigned
    {"dense.matmul" = 1}`` one device along the stack axis projects each constraint, for the others too.
    """

    name = "proj.program"

    sym_name = prop_def(SymbolNameConstraint())
    parts = prop_def(ArrayAttr[StringAttr])
    dims = prop_def(DictionaryAttr)
    mesh = opt_prop_def(MeshAttr)
    assigned = opt_prop_def(DictionaryAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator(), SymbolOpInterface())

    assembly_format = (
        "$sym_name `parts` $parts `dims` $dims (`mesh` $mesh^)? (`assigned` $assigned^)? "
        "attr-dict-with-keyword $body"
    )

    def __init__(self, name: str, parts: Sequence[str], dims: DictionaryAttr, body: Region) -> None:
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "parts": ArrayAttr([StringAttr(part) for part in parts]),
                "dims": dims,
            },
            regions=[body],
        )

    def _verify_assigned(self) -> None:
        """Raise unless every constraint is assigned to a device of the stack axis."""
        if self.assigned is None:
            return
        count = 1 if self.mesh is None else self.mesh.sizes()["stack"]
        for name, device in self.assigned.data.items():
            if not (isinstance(device, IntegerAttr) and 0 <= device.value.data < count):
                raise VerifyException(f"'{name}' is assigned to {device}; the stack axis has {count} devices")

    def variables(self) -> dict[str, VariableOp]:
        """Return the variables by name, in the order of the text."""
        return {op.sym_name.data: op for op in self.body.block.ops if isinstance(op, VariableOp)}

    def held(self) -> dict[Place, VariableOp]:
        """Return the variables by node, role and operand."""
        return {variable.place: variable for variable in self.variables().values()}

    def device_of(self) -> dict[str, int]:
        """Return which device along the stack axis projects each constraint; empty if all project all."""
        if self.assigned is None:
            return {}
        found = {}
        for name, device in self.assigned.data.items():
            assert isinstance(device, IntegerAttr)
            found[name] = device.value.data
        return found

    def state_bytes(self) -> int:
        """Return the size of a state, with all that is held beside the copies."""
        types = [variable.type for variable in self.variables().values()]
        return sum(prod(shape_of(each)) * element_bytes(each) for each in types)

    def has_loops(self) -> bool:
        """Return whether the forward pass has a loop: then there are families of constraints."""
        return any(isinstance(op, ForOp) for op in self.walk())

    def part_ops(self) -> dict[str, PartOp]:
        """Return the parts' regions by name."""
        return {op.part.data: op for op in self.body.block.ops if isinstance(op, PartOp)}

    def forward_op(self) -> ForwardOp:
        """Return the forward pass."""
        return next(op for op in self.body.block.ops if isinstance(op, ForwardOp))

    def iterate_op(self) -> IterateOp | None:
        """Return the solver's iteration; None where there is nothing to train."""
        return next((op for op in self.body.block.ops if isinstance(op, IterateOp)), None)

    def verify_(self) -> None:
        names = [op.sym_name.data for op in self.body.block.ops if isinstance(op, VariableOp)]
        for name in names:
            if names.count(name) > 1:
                raise VerifyException(f"variable '@{name}' is declared twice")
        places: set[Place] = set()
        for variable in self.variables().values():
            if variable.place in places:
                raise VerifyException(
                    f"'{variable.node.data}' holds two variables of role '{variable.role.data}'"
                )
            places.add(variable.place)
        forwards = [op for op in self.body.block.ops if isinstance(op, ForwardOp)]
        if len(forwards) != 1:
            raise VerifyException(f"a program has one proj.forward, found {len(forwards)}")
        found = list(self.part_ops())
        expected = [part.data for part in self.parts]
        if sorted(found) != sorted(expected):
            raise VerifyException(f"the program's parts are {expected}, but it holds {found}")
        self._verify_assigned()
        variables = self.variables()
        data = {op.label.data: op for op in forwards[0].body.block.ops if isinstance(op, DatumOp)}
        for op in self.walk():
            if isinstance(op, ReadOp | GatherOp | WriteOp | ConstrainOp):
                op.verify_variables(variables)
            if isinstance(op, GatherOp | WriteOp):
                _verify_indices(op.paths, data)
            if isinstance(op, SHARDED) and op.sharding is not None:
                verify_sharding(op.sharding, shape_of(op.sharded_type()), self.mesh)


class Place(NamedTuple):
    """Where a variable belongs: its node, its role, and the operand if its role is of one."""

    node: str
    role: str
    operand: int | None = None


@dataclass(frozen=True)
class Role:
    """What a variable of one role is.

    Attributes:
        of_operand: whether it is of one operand of its node, rather than of them together.
        factor: whether it tells how copies differ from their mean: then states that are combined keep that of
            the first, and no gap is measured over it.
        copied: whether it has an entry for each copy, ``[.., K, M, N]`` for those of a dot.
    """

    of_operand: bool = False
    factor: bool = False
    copied: bool = False


ROLES: dict[str, Role] = {
    "slot": Role(),
    "copies": Role(of_operand=True, copied=True),
    "mean": Role(of_operand=True),
    "c": Role(of_operand=True, factor=True),
    "f": Role(of_operand=True, factor=True),
    "d": Role(of_operand=True, factor=True),
    "e": Role(of_operand=True, factor=True),
    "sigma": Role(factor=True, copied=True),
    "delta": Role(factor=True, copied=True),
    "alpha": Role(factor=True),
    "beta": Role(factor=True),
    "product": Role(factor=True),
}
"""What variables are for. A ``slot`` records a parameter; ``copies`` are a node's copies of an operand, of
which a compressed node holds the ``mean`` instead, and the factors of runtime/projections/dot_halfway.py."""


@irdl_op_definition
class InputOp(IRDLOperation):
    """What a program takes: ``proj.input "x" : tensor<128x64xf32>``.

    Numbers of rows say of how many: ``proj.input "tokens" rows 65 : tensor<4x16xi32>``.
    """

    name = "proj.input"

    label = prop_def(StringAttr)
    rows = opt_prop_def(IntegerAttr.constr(i64))
    type = prop_def(TensorType)

    assembly_format = "$label (`rows` $rows^)? `:` $type attr-dict"

    def __init__(self, label: str, rows: int | None, type: Attribute) -> None:
        counted = None if rows is None else IntegerAttr(rows, i64)
        super().__init__(properties={"label": StringAttr(label), "rows": counted, "type": type})


@irdl_op_definition
class TargetOp(IRDLOperation):
    """What a program is trained towards: ``proj.target "y" classes 10 : tensor<128xi32>``.

    Without ``classes`` it holds numbers; with ``threshold 0.5`` ones and zeros, for which the outputs should
    be above it and below it.
    """

    name = "proj.target"

    label = prop_def(StringAttr)
    classes = opt_prop_def(IntegerAttr.constr(i64))
    threshold = opt_prop_def(FloatAttr.constr(f64))
    type = prop_def(TensorType)

    assembly_format = "$label (`classes` $classes^)? (`threshold` $threshold^)? `:` $type attr-dict"

    def __init__(
        self, label: str, classes: IntegerAttr | None, threshold: float | None, type: Attribute
    ) -> None:
        super().__init__(
            properties={
                "label": StringAttr(label),
                "classes": classes,
                "threshold": None if threshold is None else FloatAttr(threshold, f64),
                "type": type,
            }
        )


@irdl_op_definition
class VariableOp(IRDLOperation):
    """A tensor of the state: the node that holds it, and what it is for (:data:`ROLES`).

    ``proj.variable @dense.matmul.0 "copies" operand 0 of "dense.matmul" : tensor<4x3x5xf32>`` holds a node's
    copies of its first operand. The name says nothing: passes look variables up by node, role and operand.
    """

    name = "proj.variable"

    sym_name = prop_def(SymbolNameConstraint())
    role = prop_def(StringAttr)
    operand_index = opt_prop_def(IntegerAttr.constr(i64))
    node = prop_def(StringAttr)
    type = prop_def(TensorType)
    sharding = opt_prop_def(ShardingAttr)

    assembly_format = (
        "$sym_name $role (`operand` $operand_index^)? `of` $node (`sharded` $sharding^)? `:` $type attr-dict"
    )

    def sharded_type(self) -> Attribute:
        """Return the type of the tensor that the sharding is of."""
        return self.type

    def __init__(self, name: str, place: Place, type: Attribute) -> None:
        index = None if place.operand is None else IntegerAttr(place.operand, i64)
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "role": StringAttr(place.role),
                "operand_index": index,
                "node": StringAttr(place.node),
                "type": type,
            }
        )

    @property
    def place(self) -> Place:
        """The node, the role and the operand, by which the variable is found."""
        operand = None if self.operand_index is None else self.operand_index.value.data
        return Place(self.node.data, self.role.data, operand)

    @property
    def is_for(self) -> Role:
        """What a variable of its role is."""
        return ROLES[self.role.data]

    def verify_(self) -> None:
        role = self.role.data
        if role not in ROLES:
            raise VerifyException(f"the role of a variable is one of {', '.join(ROLES)}, found '{role}'")
        if self.is_for.of_operand != (self.operand_index is not None):
            needs = "names its operand" if self.is_for.of_operand else "is of no operand"
            raise VerifyException(f"a variable of role '{role}' {needs}")


@irdl_op_definition
class ForwardOp(IRDLOperation):
    """The forward pass, which makes all copies agree: ``proj.forward { ... }``."""

    name = "proj.forward"

    body = region_def("single_block")

    traits = traits_def(NoTerminator())

    assembly_format = "attr-dict-with-keyword $body"

    def __init__(self, body: Region) -> None:
        super().__init__(regions=[body])


@irdl_op_definition
class PartOp(IRDLOperation):
    """The projection onto all constraints of a part at once: ``proj.part "A" { ... }``."""

    name = "proj.part"

    part = prop_def(StringAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator())

    assembly_format = "$part attr-dict-with-keyword $body"

    def __init__(self, part: str, body: Region) -> None:
        super().__init__(properties={"part": StringAttr(part)}, regions=[body])


@irdl_op_definition
class DatumOp(IRDLOperation):
    """The value of an input or target: ``%x = proj.datum "x" : tensor<128x64xf32>``."""

    name = "proj.datum"

    label = prop_def(StringAttr)
    sharding = opt_prop_def(ShardingAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$label (`sharded` $sharding^)? attr-dict `:` type($result)"

    def sharded_type(self) -> Attribute:
        """Return the type of the tensor that the sharding is of."""
        return self.result.type

    def __init__(self, label: str, type: Attribute) -> None:
        super().__init__(properties={"label": StringAttr(label)}, result_types=[type])


@irdl_op_definition
class ForOp(IRDLOperation):
    """The iterations of a loop in the forward pass, one after another.

    ``%zs = proj.for "t" 16 carries (%h0) over (%xs) : .. { ^body(%h: .., %x: ..): .. }``. The block gets
    what it carries and a slice of each value that it runs over, ``1/16`` of the first axis; results are the
    values that it collects, laid one after another along their first axis.
    """

    name = "proj.for"

    label = prop_def(StringAttr)
    count = prop_def(IntegerAttr.constr(i64))
    inits = var_operand_def(TensorType)
    scanned = var_operand_def(TensorType)
    collected = var_result_def(TensorType)
    body = region_def("single_block")

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    assembly_format = (
        "$label $count `carries` `(` $inits `)` `over` `(` $scanned `)` `:` `(` type($inits) `)` `over` "
        "`(` type($scanned) `)` `->` `(` type($collected) `)` attr-dict-with-keyword $body"
    )

    def __init__(
        self,
        label: str,
        count: int,
        inits: Sequence[SSAValue],
        scanned: Sequence[SSAValue],
        types: Sequence[Attribute],
        body: Region,
    ) -> None:
        super().__init__(
            operands=[list(inits), list(scanned)],
            properties={"label": StringAttr(label), "count": IntegerAttr(count, i64)},
            result_types=[list(types)],
            regions=[body],
        )

    def verify_(self) -> None:
        end = self.body.block.last_op
        if not isinstance(end, NextOp):
            raise VerifyException("the body of 'proj.for' ends in 'proj.next'")
        count = self.count.value.data
        whole = [*self.scanned, *self.collected]
        carried = len(self.inits)
        parts = [*self.body.block.args[carried:], *end.collected]
        if any(value.type != each.type for value, each in zip(self.inits, end.carried, strict=True)):
            raise VerifyException("'proj.for' must keep the types of what it carries")
        for value, part in zip(whole, parts, strict=True):
            size, *rest = shape_of(part)
            if shape_of(value) != (size * count, *rest):
                raise VerifyException(f"'proj.for' cuts {value.type} into {count} of {part.type}")


@irdl_op_definition
class NextOp(IRDLOperation):
    """What the next iteration gets, and what is collected: ``proj.next (%h) collect (%z) : ..``."""

    name = "proj.next"

    carried = var_operand_def(TensorType)
    collected = var_operand_def(TensorType)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    traits = traits_def(IsTerminator())

    assembly_format = (
        "`(` $carried `)` `collect` `(` $collected `)` attr-dict "
        "`:` `(` type($carried) `)` `collect` `(` type($collected) `)`"
    )

    def __init__(self, carried: Sequence[SSAValue], collected: Sequence[SSAValue]) -> None:
        super().__init__(operands=[list(carried), list(collected)])


@irdl_op_definition
class EvaluateOp(IRDLOperation):
    """The value of an operation in the forward pass: ``%z = proj.evaluate "dot" {} %x, %w of "z" : ...``.

    For an operator of the user's own with the shapes of one site: ``at "[n] -> [n]"``.
    """

    name = "proj.evaluate"

    operator = prop_def(StringAttr)
    node = prop_def(StringAttr)
    fields = prop_def(DictionaryAttr)
    signature = opt_prop_def(StringAttr)
    inputs = var_operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields $inputs (`at` $signature^)? `of` $node attr-dict "
        "`:` type($inputs) `->` type($result)"
    )

    def __init__(
        self,
        operator: str,
        fields: dict[str, Attribute],
        node: str,
        inputs: Sequence[SSAValue],
        type: Attribute,
        signature: StringAttr | None = None,
    ) -> None:
        super().__init__(
            operands=[list(inputs)],
            properties={
                "operator": StringAttr(operator),
                "fields": DictionaryAttr(fields),
                "node": StringAttr(node),
                "signature": signature,
            },
            result_types=[type],
        )


@irdl_op_definition
class ReadOp(IRDLOperation):
    """A variable's value before the part: ``%c = proj.read @dense.lhs : tensor<4x3x5xf32>``.

    With ``of given`` its value in the second state that the projection is given.
    """

    name = "proj.read"

    variable = prop_def(SymbolNameConstraint())
    given = opt_prop_def(UnitAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$variable (`of` `given` $given^)? attr-dict `:` type($result)"

    def __init__(self, variable: str, type: Attribute, *, given: bool = False) -> None:
        super().__init__(
            properties={"variable": StringAttr(variable), "given": UnitAttr() if given else None},
            result_types=[type],
        )

    def verify_variables(self, variables: dict[str, VariableOp]) -> None:
        """Raise if the variable is not declared with this type."""
        declared = _declared(self.variable.data, variables)
        if declared.type != self.result.type:
            raise VerifyException(
                f"'@{self.variable.data}' has type {declared.type}, read as {self.result.type}"
            )


@irdl_op_definition
class GatherOp(IRDLOperation):
    """What the readers of a node agree on for its value, entry by entry.

    The mean, over the nodes that read an entry, of each node's mean over its own copies of it; an entry
    that nobody reads keeps its forward value.
    ``%z = proj.gather "h" from [#proj.path<@out.lhs via ...>] : tensor<4x3xf32>``
    """

    name = "proj.gather"

    node = prop_def(StringAttr)
    paths = prop_def(PATHS)
    sharding = opt_prop_def(ShardingAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$node `from` $paths (`sharded` $sharding^)? attr-dict `:` type($result)"

    def sharded_type(self) -> Attribute:
        """Return the type of the tensor that the sharding is of."""
        return self.result.type

    def __init__(self, node: str, paths: Sequence[PathAttr], type: Attribute) -> None:
        super().__init__(
            properties={"node": StringAttr(node), "paths": ArrayAttr(list(paths))},
            result_types=[type],
        )

    def verify_variables(self, variables: dict[str, VariableOp]) -> None:
        """Raise if a path does not lead from the result's shape to its variable's."""
        for path in self.paths:
            _verify_path(path, shape_of(self.result), variables)


@irdl_op_definition
class ProjectOp(IRDLOperation):
    """The projection of copies and a value onto a constraint.

    ``%new:2, %f = proj.project "dot" {} (%a, %w) to %z of "dense" : ...``: results are the new copies
    and the new value.
    """

    name = "proj.project"

    operator = prop_def(StringAttr)
    node = prop_def(StringAttr)
    fields = prop_def(DictionaryAttr)
    copies = var_operand_def(TensorType)
    value = operand_def(TensorType)
    new_copies = var_result_def(TensorType)
    new_value = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields `(` $copies `)` `to` $value `of` $node attr-dict "
        "`:` type($copies) `to` type($value) `->` type($new_copies) `to` type($new_value)"
    )

    def __init__(
        self,
        operator: str,
        fields: dict[str, Attribute],
        node: str,
        copies: Sequence[SSAValue],
        value: SSAValue,
    ) -> None:
        super().__init__(
            operands=[list(copies), value],
            properties={
                "operator": StringAttr(operator),
                "fields": DictionaryAttr(fields),
                "node": StringAttr(node),
            },
            result_types=[[copy.type for copy in copies], value.type],
        )

    def verify_(self) -> None:
        _verify_same_types(self, self.copies, self.new_copies)
        _verify_same_types(self, [self.value], [self.new_value])


class CompressedOp(IRDLOperation):
    """What the compressed projections share: operator, node, and the operands whose means are asked for."""

    def verify_(self) -> None:
        wanted = self.wanted.get_values()  # type: ignore[attr-defined]
        if list(wanted) != sorted(set(wanted)) or not all(0 <= index < 2 for index in wanted):
            raise VerifyException(f"wanted operands are 0 and 1 in order, found {list(wanted)}")
        if len(self.new_means) != len(wanted):  # type: ignore[attr-defined]
            raise VerifyException(f"{len(wanted)} means are wanted, but there are other results")


@irdl_op_definition
class ProjectSharedOp(CompressedOp):
    """The projection of a dot or a convolution whose copies of an input are equal before it, and never made.

    ``%a, %w, %f = proj.project_shared "dot" {} (%x, %y) to %z of "dense" wanted [0, 1] : ...``: results are
    the means of the new copies, for the wanted operands, and the new value.
    """

    name = "proj.project_shared"

    operator = prop_def(StringAttr)
    fields = prop_def(DictionaryAttr)
    node = prop_def(StringAttr)
    wanted = prop_def(SIZES)
    inputs = var_operand_def(TensorType)
    value = operand_def(TensorType)
    new_means = var_result_def(TensorType)
    new_value = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields `(` $inputs `)` `to` $value `of` $node `wanted` $wanted attr-dict "
        "`:` type($inputs) `to` type($value) `->` type($new_means) `to` type($new_value)"
    )

    def __init__(
        self,
        operator: str,
        fields: dict[str, Attribute],
        node: str,
        inputs: Sequence[SSAValue],
        value: SSAValue,
        wanted: Sequence[int],
    ) -> None:
        super().__init__(
            operands=[list(inputs), value],
            properties={
                "operator": StringAttr(operator),
                "fields": DictionaryAttr(fields),
                "node": StringAttr(node),
                "wanted": sizes(wanted),
            },
            result_types=[[inputs[index].type for index in wanted], value.type],
        )


@irdl_op_definition
class ProjectHalfwayOp(CompressedOp):
    """The projection of a dot or a convolution in Douglas-Rachford at relaxation 1/2.

    It goes from this iteration's copies to the next's:
    ``%a, %w, .., %f = proj.project_halfway "dot" {} "factored" (%x, %y) factors ["c", ..] (%c, ..) to %z of
    "dense" wanted [0, 1] : ...``: ``form`` says what the factors are, all copies ("held") or rank-one
    corrections ("factored"); ``inputs`` are what the nodes that it reads have just written; the
    results are the means of the next iteration's copies of the wanted operands, the next factors, and the new
    value. A part's projection has instead what these means are beyond what was agreed on (:class:`WriteOp`).
    """

    name = "proj.project_halfway"

    operator = prop_def(StringAttr)
    fields = prop_def(DictionaryAttr)
    form = prop_def(StringAttr)
    node = prop_def(StringAttr)
    wanted = prop_def(SIZES)
    held = prop_def(ArrayAttr[StringAttr])
    inputs = var_operand_def(TensorType)
    factors = var_operand_def(TensorType)
    value = operand_def(TensorType)
    new_means = var_result_def(TensorType)
    new_factors = var_result_def(TensorType)
    new_value = result_def(TensorType)

    irdl_options = (AttrSizedOperandSegments(as_property=True), AttrSizedResultSegments(as_property=True))

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields $form `(` $inputs `)` `factors` $held `(` $factors `)` "
        "`to` $value `of` $node `wanted` $wanted attr-dict "
        "`:` type($inputs) `factors` type($factors) "
        "`to` type($value) `->` type($new_means) `factors` type($new_factors) `to` type($new_value)"
    )

    def __init__(
        self,
        operator: str,
        fields: dict[str, Attribute],
        form: str,
        node: str,
        inputs: Sequence[SSAValue],
        factors: dict[str, SSAValue],
        value: SSAValue,
        wanted: Sequence[int],
    ) -> None:
        super().__init__(
            operands=[list(inputs), list(factors.values()), value],
            properties={
                "operator": StringAttr(operator),
                "fields": DictionaryAttr(fields),
                "form": StringAttr(form),
                "node": StringAttr(node),
                "wanted": sizes(wanted),
                "held": ArrayAttr([StringAttr(name) for name in factors]),
            },
            result_types=[
                [inputs[index].type for index in wanted],
                [each.type for each in factors.values()],
                value.type,
            ],
        )


@irdl_op_definition
class ProjectLossOp(IRDLOperation):
    """The projection or prox of a loss: ``%n = proj.project_loss "margin" {..} (%c) given %y of "loss"``."""

    name = "proj.project_loss"

    operator = prop_def(StringAttr)
    node = prop_def(StringAttr)
    fields = prop_def(DictionaryAttr)
    copies = var_operand_def(TensorType)
    target = operand_def(TensorType)
    new_copies = var_result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields `(` $copies `)` `given` $target `of` $node attr-dict "
        "`:` type($copies) `given` type($target) `->` type($new_copies)"
    )

    def __init__(
        self,
        operator: str,
        fields: dict[str, Attribute],
        node: str,
        copies: Sequence[SSAValue],
        target: SSAValue,
    ) -> None:
        super().__init__(
            operands=[list(copies), target],
            properties={
                "operator": StringAttr(operator),
                "fields": DictionaryAttr(fields),
                "node": StringAttr(node),
            },
            result_types=[[copy.type for copy in copies]],
        )

    def verify_(self) -> None:
        _verify_same_types(self, self.copies, self.new_copies)


@irdl_op_definition
class ProjectSetOp(IRDLOperation):
    """The projection onto a set: ``%n = proj.project_set "nonneg" {} (%c) of "w.nonneg" : ...``."""

    name = "proj.project_set"

    kind = prop_def(StringAttr)
    node = prop_def(StringAttr)
    fields = prop_def(DictionaryAttr)
    copies = operand_def(TensorType)
    new_copies = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$kind $fields `(` $copies `)` `of` $node attr-dict `:` type($copies) `->` type($new_copies)"
    )

    def __init__(self, kind: str, fields: dict[str, Attribute], node: str, copies: SSAValue) -> None:
        super().__init__(
            operands=[copies],
            properties={
                "kind": StringAttr(kind),
                "fields": DictionaryAttr(fields),
                "node": StringAttr(node),
            },
            result_types=[copies.type],
        )

    def verify_(self) -> None:
        _verify_same_types(self, [self.copies], [self.new_copies])
        verify_set(self.kind.data, self.fields.data, shape_of(self.copies))


@irdl_op_definition
class ConstrainOp(IRDLOperation):
    """A set that a slot is projected onto before it is handed back.

    ``proj.constrain "nonneg" {} [#proj.path<@w.slot>] of "w.nonneg"``; the path's steps lead from the slot to
    the value that is required to be in the set.
    """

    name = "proj.constrain"

    kind = prop_def(StringAttr)
    fields = prop_def(DictionaryAttr)
    paths = prop_def(PATHS)
    node = prop_def(StringAttr)

    assembly_format = "$kind $fields $paths `of` $node attr-dict"

    def __init__(self, kind: str, fields: dict[str, Attribute], path: PathAttr, node: str) -> None:
        super().__init__(
            properties={
                "kind": StringAttr(kind),
                "fields": DictionaryAttr(fields),
                "paths": ArrayAttr([path]),
                "node": StringAttr(node),
            }
        )

    @property
    def path(self) -> PathAttr:
        """The slot, and the steps from it to the value."""
        return self.paths.data[0]

    def verify_variables(self, variables: dict[str, VariableOp]) -> None:
        """Raise unless the path starts at a slot and ends at a value of which there is such a set."""
        found = variables.get(self.path.variable.data)
        if found is None or found.role.data != "slot":
            raise VerifyException(f"'@{self.path.variable.data}' is no slot")
        verify_set(self.kind.data, self.fields.data, self.path.result_shape(shape_of(found.type)))


@irdl_op_definition
class WriteOp(IRDLOperation):
    """Write a value into every variable that holds copies of it.

    ``proj.write %f to [#proj.path<@out.lhs via ...>] : tensor<4x3xf32>``. Entries of the variables that
    the paths do not reach keep what they hold.

    ``proj.write %f beyond %a : tensor<3xf32> to ..`` adds ``%f - %a`` to what whole variables hold. A halfway
    form gives the f of the iteration's result ``x + P y - a`` with ``y = 2 a - x``, where a is what the other
    part agreed on; its own projection P y is then ``y + f - a``.
    """

    name = "proj.write"

    value = operand_def(TensorType)
    agreed = opt_operand_def(TensorType)
    paths = prop_def(PATHS)

    assembly_format = "$value (`beyond` $agreed^ `:` type($agreed))? `to` $paths attr-dict `:` type($value)"

    def __init__(self, value: SSAValue, paths: Sequence[PathAttr], agreed: SSAValue | None = None) -> None:
        super().__init__(operands=[value, agreed], properties={"paths": ArrayAttr(list(paths))})

    def verify_variables(self, variables: dict[str, VariableOp]) -> None:
        """Raise if a path does not lead from the value's shape to its variable's."""
        for path in self.paths:
            _verify_path(path, shape_of(self.value), variables)
            if self.agreed is not None and path.steps:
                raise VerifyException(f"what goes beyond another goes to all of '@{path.variable.data}'")

    def verify_(self) -> None:
        if self.agreed is not None and self.agreed.type != self.value.type:
            raise VerifyException(f"a value of {self.value.type} is not beyond one of {self.agreed.type}")


@irdl_op_definition
class IterateOp(IRDLOperation):
    """One iteration of the solver: ``proj.iterate "dr" { ^body(%x : !proj.state): ... }``."""

    name = "proj.iterate"

    solver = prop_def(StringAttr)
    body = region_def("single_block")

    assembly_format = "$solver attr-dict-with-keyword $body"

    def __init__(self, solver: str, body: Region) -> None:
        super().__init__(properties={"solver": StringAttr(solver)}, regions=[body])

    def verify_(self) -> None:
        program = self.parent_op()
        known = [part.data for part in program.parts] if isinstance(program, ProgramOp) else []
        for op in self.body.block.ops:
            if isinstance(op, OntoOp) and op.part.data not in known:
                raise VerifyException(f"there is no part '{op.part.data}'; parts are {known}")


@irdl_op_definition
class OntoOp(IRDLOperation):
    """The projection of the state onto a part: ``%p = proj.onto "B" %y``.

    A part with halfway forms is given a second state, what the other part has just agreed on:
    ``%p = proj.onto "B" %y given %a``.
    """

    name = "proj.onto"

    part = prop_def(StringAttr)
    state = operand_def(StateType())
    given = opt_operand_def(StateType())
    result = result_def(StateType())

    traits = traits_def(Pure())

    assembly_format = "$part $state (`given` $given^)? attr-dict"

    def __init__(self, part: str, state: SSAValue, given: SSAValue | None = None) -> None:
        super().__init__(
            operands=[state, given], properties={"part": StringAttr(part)}, result_types=[StateType()]
        )


@irdl_op_definition
class CombineOp(IRDLOperation):
    """A linear combination of states: ``%r = proj.combine [2.0, -1.0] %p, %x``.

    Factors do not combine: those of the first state are kept.
    """

    name = "proj.combine"

    weights = prop_def(FLOATS)
    states = var_operand_def(StateType())
    result = result_def(StateType())

    traits = traits_def(Pure())

    assembly_format = "$weights $states attr-dict `:` type($states)"

    def __init__(self, weights: Sequence[float], states: Sequence[SSAValue]) -> None:
        super().__init__(
            operands=[list(states)],
            properties={"weights": DenseArrayBase.from_list(f64, list(weights))},
            result_types=[StateType()],
        )

    def verify_(self) -> None:
        if len(self.weights) != len(self.states):
            raise VerifyException(f"{len(self.weights)} weights do not fit {len(self.states)} states")


@irdl_op_definition
class YieldOp(IRDLOperation):
    """The state after the iteration, and two states that agree at a solution: their distance is the gap.

    ``proj.yield %y gap %b, %a``
    """

    name = "proj.yield"

    state = operand_def(StateType())
    one = operand_def(StateType())
    other = operand_def(StateType())

    traits = traits_def(IsTerminator())

    assembly_format = "$state `gap` $one `,` $other attr-dict"

    def __init__(self, state: SSAValue, one: SSAValue, other: SSAValue) -> None:
        super().__init__(operands=[state, one, other])


SHARDED = VariableOp | DatumOp | ParameterOp | GatherOp
"""The ops that say how their tensor is split over a mesh."""


def _declared(name: str, variables: dict[str, VariableOp]) -> VariableOp:
    if name not in variables:
        raise VerifyException(f"variable '@{name}' is not declared")
    return variables[name]


def _verify_path(path: PathAttr, shape: Shape, variables: dict[str, VariableOp]) -> None:
    declared = shape_of(_declared(path.variable.data, variables).type)
    try:
        found = path.result_shape(shape)
    except ShapeError as error:
        raise VerifyException(f"path to '@{path.variable.data}': {error}") from error
    if found != declared:
        raise VerifyException(
            f"a path leads to shape {shapes.show(found)}, but '@{path.variable.data}' has shape "
            f"{shapes.show(declared)}"
        )


def _verify_indices(paths: ArrayAttr[PathAttr], data: dict[str, DatumOp]) -> None:
    """Raise if a gather of a path reads its indices from what is no such datum."""
    for step in (step for path in paths for step in path.steps):
        label = step.data.datum()
        if label is None:
            continue
        datum = data.get(label)
        if datum is None or datum.result.type != TensorType(i32, step.data.lists()[0]):
            found = "there is none" if datum is None else f"it has type {datum.result.type}"
            raise VerifyException(f"step '{step}' needs a datum of that name and shape in i32, but {found}")


def _verify_same_types(op: IRDLOperation, old: Sequence[SSAValue], new: Sequence[SSAValue]) -> None:
    if [value.type for value in old] != [value.type for value in new]:
        raise VerifyException(f"'{op.name}' must keep the types of what it projects")


PROJ = Dialect(
    "proj",
    [
        ProgramOp,
        InputOp,
        TargetOp,
        VariableOp,
        ForwardOp,
        PartOp,
        DatumOp,
        ForOp,
        NextOp,
        EvaluateOp,
        ReadOp,
        GatherOp,
        ProjectOp,
        ProjectLossOp,
        ProjectSetOp,
        ConstrainOp,
        ProjectSharedOp,
        ProjectHalfwayOp,
        WriteOp,
        IterateOp,
        OntoOp,
        CombineOp,
        YieldOp,
    ],
    [PathAttr, StateType],
)
