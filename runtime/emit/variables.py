"""The variables of a program: what a state has an array for, and how one is written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import jax.numpy as jnp
from jax import Array

from pjc.dialects import proj
from pjc.dialects.view import shape_of
from pjc.runtime.combination import Lazy, added
from pjc.runtime.emit.values import dtype_of
from pjc.runtime.placement import Placement
from pjc.runtime.program import Tensors
from pjc.runtime.steps import bound
from pjc.runtime.views import owns_all, write

State = dict[str, Array]
"""An array for each variable, by its name."""


@dataclass(frozen=True)
class Fixed:
    """What stays the same during an update: data, targets and forward values of unread entries."""

    data: Tensors
    forward: Tensors


@dataclass(frozen=True)
class Variables:
    """The variables of a program, and where they lie."""

    program: proj.ProgramOp
    placement: Placement

    @cached_property
    def by_name(self) -> dict[str, proj.VariableOp]:
        """The variables by name, in the order of the text."""
        return self.program.variables()

    @cached_property
    def slots(self) -> dict[str, str]:
        """The names of the variables that record parameters, by the parameters' names."""
        return {op.node.data: name for name, op in self.by_name.items() if op.role.data == "slot"}

    @cached_property
    def measured(self) -> dict[str, proj.VariableOp]:
        """The variables that the gap is over: all but factors."""
        return {name: op for name, op in self.by_name.items() if not self.is_factor(name)}

    def is_factor(self, name: str) -> bool:
        """Return whether a variable says how copies differ from their mean, so that it is never averaged."""
        return self.by_name[name].is_for.factor

    @cached_property
    def roles(self) -> dict[tuple[str, str], str]:
        """The names of the variables that are the only ones of their role in a node, by node and role."""
        return {(op.node.data, op.role.data): name for name, op in self.by_name.items()}

    def mean(self, node: str, operand: int) -> str:
        """Return the name of the variable that holds the mean of a compressed node's copies of an operand."""
        return self.program.held()[proj.Place(node, "mean", operand)].sym_name.data

    def factor(self, node: str, role: str) -> str | None:
        """Return the name of the variable that holds a factor of a node; None if there is no such."""
        return self.roles.get((node, role))

    def node(self, name: str) -> str:
        """Return the node that holds a variable."""
        return self.by_name[name].node.data

    def zeros(self, name: str) -> Array:
        """Return what a variable holds that nothing was written to."""
        variable = self.by_name[name]
        return self.place(name, jnp.zeros(shape_of(variable.type), dtype_of(variable.type)))

    def place(self, name: str, value: Array) -> Array:
        """Return a variable's array, split over the devices as the variable says."""
        return self.placement.placed(self.by_name[name].sharding, value)

    def place_all(self, state: State) -> State:
        """Return a state, each array split over the devices."""
        return {name: self.place(name, value) for name, value in state.items()}

    def write(self, state: dict[str, Lazy], op: proj.WriteOp, value: Array, data: Tensors) -> None:
        """Write a value into the variables at the ends of an op's paths; what they do not reach stays."""
        for path in op.paths:
            name = path.variable.data
            steps = bound(path.way(), data)
            before = None if owns_all(steps) or name not in state else added(state[name])
            shape = shape_of(self.by_name[name].type)
            state[name] = self.place(name, write(before, value, steps, shape))
