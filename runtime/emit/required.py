"""The sets that parameters are required to be in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Required:
    """A set that a parameter is required to be in, or a view of it: ``steps`` lead from the parameter there.

    ``label`` is that of the requirement.
    """

    label: str
    parameter: str
    steps: Sequence[View[Any]]
    set: ConstraintSet

    def value(self, params: Tensors) -> Array:
        """Return what is required to be in the set."""
        return jnp.asarray(spread(params[self.parameter], self.steps))

    def replaced(self, params: Tensors, value: Array) -> State:
        """Return the parameter of which a view has a new value; what the view does not show stays."""
        if not self.steps:
            return {self.parameter: value}
        whole = params[self.parameter]
        made = np.asarray(counts(self.steps, whole.shape))
        mean = collect(value, self.steps, whole.shape) / np.maximum(made, 1).astype(whole.dtype)
        return {self.parameter: jnp.where(made > 0, mean, whole)}


def required_sets(program: proj.ProgramOp, variables: Variables) -> list[Required]:
    """Return the sets that a program's parameters are required to be in, in the order of the text."""
    parameters = {slot: name for name, slot in variables.slots.items()}
    return [
        Required(op.node.data, parameters[op.path.variable.data], bound(op.path.way()), set_of(op))
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
    count = Counter(each.parameter for each in sets)
    for each in sets:
        if each.parameter in found and not SETS[each.set.name].entrywise:
            inside = count[each.parameter] == 1
            move = each.set.within(each.value(params), each.value(found), inside)
            found |= each.replaced(found, move)
    return found


def resumed(sets: Sequence[Required], latent: Tensors, start: Tensors, after: Tensors) -> State:
    """Return the parameters that training goes on from: see :meth:`ConstraintSet.resume`."""
    found = dict(after)
    for each in sets:
        values = (each.value(params) for params in (latent, start, found))
        found |= each.replaced(found, each.set.resume(*values))
    return found
