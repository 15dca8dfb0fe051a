"""What an update says of itself: how far the parts disagree, and how good its factored forms are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import jax.numpy as jnp
from jax import Array

from pjc.dialects import proj
from pjc.dialects.view import shape_of
from pjc.runtime.combination import LazyState, added, is_zero
from pjc.runtime.emit.values import dtype_of
from pjc.runtime.emit.variables import State, Variables
from pjc.runtime.placement import Placement


@dataclass(frozen=True)
class Measures:
    """The measures of a program."""

    program: proj.ProgramOp
    variables: Variables

    @property
    def placement(self) -> Placement:
        """Where the variables lie."""
        return self.variables.placement

    @cached_property
    def factored(self) -> tuple[str, ...]:
        """The nodes whose copies are held as rank-one terms."""
        halfway = [op for op in self.program.walk() if isinstance(op, proj.ProjectHalfwayOp)]
        return tuple(op.node.data for op in halfway if op.form.data == "factored")

    def square_gaps(self, differences: LazyState) -> dict[str, Array]:
        """Return the square size of a difference of states, by the node that holds the variables.

        Of variables that are missing it is zero. It is that of a device's share: the sum over the shares is
        the whole.
        """
        squares: dict[str, Array] = {}
        for name, variable in self.variables.measured.items():
            square = jnp.zeros((), dtype_of(variable.type))
            if name in differences and not is_zero(differences[name]):
                square = jnp.sum(added(differences[name]) ** 2)
            if self.placement.pieces(variable.sharding) == 1:
                square = square / self.placement.shares
            node = variable.node.data
            squares[node] = squares.get(node, 0) + square
        return {node: self.placement.from_owner(node, square) for node, square in squares.items()}

    def node_gaps(self, squares: Mapping[str, Array]) -> dict[str, Array]:
        """Return the root mean squares of what :meth:`square_gaps` gives."""
        sizes: Counter[str] = Counter()
        for variable in self.variables.measured.values():
            sizes[variable.node.data] += self._size(variable)
        return {
            node: jnp.sqrt(self.placement.total(None, square) / float(sizes[node]))
            for node, square in squares.items()
        }

    def total_gap(self, squares: Mapping[str, Array]) -> Array:
        """Return the root mean square over all variables."""
        size = sum(self._size(variable) for variable in self.variables.measured.values())
        total = self.placement.total(None, jnp.asarray(sum(squares.values())))
        return jnp.sqrt(total / float(size))  # which may be more than 32 bits hold

    def multipliers(self, state: State) -> dict[str, Array]:
        """Return the largest |alpha| of each factored dot, by node: at rest it is |t| (dot_halfway.py).

        Before that it is about |t| where t is small, and may exceed 1 where t is not.
        """
        found = {node: jnp.max(jnp.abs(self._held(state, node, "alpha"))) for node in self.factored}
        return self.placement.largest(self.placement.largest_of_owners(found))

    def dropped(self, state: State) -> dict[str, Array]:
        """Return the size of what each factored dot dropped in the last iteration, by node.

        The root mean square of alpha squared, times that by which the consensus moved.
        """
        sizes = {}
        for node in self.factored:
            c, f, d, e = (self._held(state, node, factor) for factor in "cfde")
            moved = jnp.mean((f - c) ** 2) + jnp.mean((e - d) ** 2)
            own = jnp.mean(self._held(state, node, "alpha") ** 4)
            sizes[node] = jnp.sqrt(self.placement.mean(None, own) * self.placement.mean(None, moved))
        return self.placement.largest_of_owners(sizes)

    def _held(self, state: State, node: str, factor: str) -> Array:
        """Return a factor of a dot; zero where the dot holds none, because it does not move."""
        name = self.variables.factor(node, factor)
        return jnp.zeros(()) if name is None else state[name]

    def _size(self, variable: proj.VariableOp) -> int:
        """Return the number of entries of a variable, over all shares of the samples."""
        return prod(shape_of(variable.type)) * self.placement.pieces(variable.sharding)
