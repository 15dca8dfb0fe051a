"""The sets that parameters are required to be in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from pjc.dialects import proj
from pjc.dialects.sets import SETS
from pjc.runtime.emit.values import set_of
from pjc.runtime.emit.variables import State, Variables
from pjc.runtime.program import Tensors
from pjc.runtime.projections.sets import ConstraintSet
from pjc.runtime.steps import View, bound
from pjc.runtime.views import collect, counts, spread

RESIDUAL = ".residual"
"""What stands behind the label of a set where what is told is how far from it its projection ends."""


Way = tuple[str, Sequence[View[Any]]]
"""A parameter, and the steps that lead from it to a value."""


@dataclass(frozen=True)
class Required:
    """A set that a parameter is required to be in, or a view of it, or what views of several make together.

    ``label`` is that of the requirement. Entries of the value that a way does not reach are of other ways.
    """

    label: str
    ways: Sequence[Way]
    set: ConstraintSet

    @property
    def parameters(self) -> list[str]:
        """The parameters, each once."""
        return list(dict.fromkeys(name for name, _ in self.ways))

    def value(self, params: Tensors) -> Array:
        """Return what is required to be in the set."""
        return reduce(jnp.add, (jnp.asarray(spread(params[name], steps)) for name, steps in self.ways))

    def replaced(self, params: Tensors, value: Array) -> State:
        """Return the parameters of which the value is a new one; what it does not show stays.

        An entry that it shows several times becomes their mean.
        """
        found = {}
        for name in self.parameters:
            own, whole = [steps for other, steps in self.ways if other == name], params[name]
            if not all(own):
                return {name: value}
            total = reduce(jnp.add, (collect(value, steps, whole.shape) for steps in own))
            made = np.asarray(sum(np.asarray(counts(steps, whole.shape)) for steps in own))
            mean = total / np.maximum(made, 1).astype(whole.dtype)
            found[name] = jnp.where(made > 0, mean, whole)
        return found


def required_sets(program: proj.ProgramOp, variables: Variables) -> list[Required]:
    """Return the sets that a program's parameters are required to be in, in the order of the text."""
    parameters = {slot: name for name, slot in variables.slots.items()}
    return [
        Required(
            op.node.data,
            [(parameters[path.variable.data], bound(path.way())) for path in op.paths],
            set_of(op),
        )
        for op in program.body.block.ops
        if isinstance(op, proj.ConstrainOp)
    ]


def constrained(sets: Sequence[Required], params: Tensors) -> tuple[State, dict[str, Array]]:
    """Return the parameters projected onto their sets, and how far they were from each, by its label.

    Sets are taken in their order: of several on one parameter the last holds exactly. The distance is the
    root mean square over the entries that the set is of. Where a projection ends only near its set, how far
    from it stands beside the distance, as the label and ``RESIDUAL``.
    """
    after = dict(params)
    distances: dict[str, Array] = {}
    for each in sets:
        value = each.value(after)
        projected = each.set.project(value)
        distances[each.label] = jnp.sqrt(jnp.mean((projected - value) ** 2))
        if (residual := each.set.residual(projected)) is not None:
            distances[each.label + RESIDUAL] = residual
        after |= each.replaced(after, projected)
    return after, distances


def kept(sets: Sequence[Required], params: Tensors) -> State:
    """Return latent parameters brought back to where a step of their own can change what they project to."""
    found = dict(params)
    for each in sets:
        found |= each.replaced(found, each.set.keep(each.value(found)))
    return found


def within(sets: Sequence[Required], params: Tensors, moves: Tensors) -> State:
    """Return displacements of projected parameters without what leads out of their sets.

    An outer step that measures what it is given, entry by entry, would else measure what the next projection
    takes back, and come to rest elsewhere than where nothing within the set is asked. Where each entry is in
    a set of its own there is no such place for it, and displacements stay as they are.

    Of several sets on one parameter each takes its part in their order; only the last is known to hold.
    """
    found = dict(moves)
    count = Counter(name for each in sets for name in each.parameters)
    for each in sets:
        names = each.parameters
        if any(name in found for name in names) and not SETS[each.set.name].entrywise:
            inside = all(count[name] == 1 for name in names)
            own = {name: found.get(name, jnp.zeros_like(params[name])) for name in names}
            move = each.set.within(each.value(params), each.value(own), inside)
            found |= {name: new for name, new in each.replaced(own, move).items() if name in found}
    return found


def resumed(sets: Sequence[Required], latent: Tensors, start: Tensors, after: Tensors) -> State:
    """Return the parameters that training goes on from: see :meth:`ConstraintSet.resume`."""
    found = dict(after)
    for each in sets:
        values = (each.value(params) for params in (latent, start, found))
        found |= each.replaced(found, each.set.resume(*values))
    return found
