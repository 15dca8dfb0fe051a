"""The variables of a program, which hold its state, and the paths from values to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xdsl.dialects.builtin import (
    ArrayAttr,
    IntAttr,
    IntegerAttr,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
    i64,
)
from xdsl.ir import (
    Attribute,
    ParametrizedAttribute,
)
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from pjc.dialects import shapes
from pjc.dialects.layout import ShardingAttr
from pjc.dialects.shapes import Shape, ShapeError
from pjc.dialects.steps import Step, shape_after
from pjc.dialects.view import StepAttr, shape_of


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

    def verify(self) -> None:
        if self.nodes.data < 1:
            raise VerifyException(f"a path is read by nodes of a number from 1, found {self.nodes.data}")

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


def declared(name: str, variables: dict[str, VariableOp]) -> VariableOp:
    """Return the variable of a name, or raise VerifyException."""
    if name not in variables:
        raise VerifyException(f"variable '@{name}' is not declared")
    return variables[name]


def verify_path(path: PathAttr, shape: Shape, variables: dict[str, VariableOp]) -> None:
    """Raise VerifyException unless a path leads from values of a shape to its variable."""
    wanted = shape_of(declared(path.variable.data, variables).type)
    try:
        found = path.result_shape(shape)
    except ShapeError as error:
        raise VerifyException(f"path to '@{path.variable.data}': {error}") from error
    if found != wanted:
        raise VerifyException(
            f"a path leads to shape {shapes.show(found)}, but '@{path.variable.data}' has shape "
            f"{shapes.show(wanted)}"
        )
