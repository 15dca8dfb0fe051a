"""A search for a point in all sets at once: its start, some iterations of it, and how far it is from solved.

An update (entry.py) begins anew on every batch, from a state in which all copies agree. A search goes on
from the state that it has come to, on the same data, until what it hands back solves the problem: parameters
that are exactly in their sets, with which the forward pass on every row is in all the other sets as well.

That is so when both projections leave alone the state in which all copies agree with that forward pass. So
the *residual* is the largest number by which either moves an entry of it: how far a value is from what is
required of it, an input of a jump from its margin, a parameter from a set that is only come near to. It is
in the units of the values, and zero, or rounding, at a solution.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from pjc.dialects import proj
from pjc.runtime.combination import added
from pjc.runtime.emit.emitter import Emitter
from pjc.runtime.emit.iterate import Moving, repeat
from pjc.runtime.emit.parameters import read_slots
from pjc.runtime.emit.parts import project
from pjc.runtime.emit.required import RESIDUAL, constrained
from pjc.runtime.emit.values import set_of
from pjc.runtime.emit.variables import Fixed, State
from pjc.runtime.program import Tensors
from pjc.runtime.projections import LOSSES
from pjc.runtime.projections.operator import Loss


class Search(NamedTuple):
    """Where a search stands: what iterations change, and the forward values of what nothing reads."""

    moving: Moving
    forward: dict[str, Array]


class Found(NamedTuple):
    """What a search has come to: parameters in their sets, the gap of the last iteration, the residual."""

    params: State
    gap: Array
    residual: Array


def begin(emitter: Emitter, params: Tensors, data: Tensors) -> Search:
    """Return the search that starts where all copies agree with a forward pass from the parameters."""
    start, _ = constrained(emitter.sets, params)
    state, fixed = emitter.start(start, data)
    return Search(emitter.first(state), dict(fixed.forward))


def advance(
    emitter: Emitter, search: Search, params: Tensors, data: Tensors, iterations: Array | int
) -> tuple[Search, Found]:
    """Return the search after iterations of the solver, and what it has come to.

    ``params`` are those that it began with: of them those stay that nothing reads.
    """
    fixed, measures = Fixed(data, search.forward), emitter.measures
    moving, squares = repeat(
        partial(emitter.iterate, fixed=fixed), measures.square_gaps, search.moving, iterations, False
    )
    slots = read_slots(emitter.program, emitter.variables, params, moving.state)
    found, distances = constrained(emitter.sets, slots)
    near = [value for name, value in distances.items() if name.endswith(RESIDUAL)]
    left = residual(emitter, found, data)
    return Search(moving, search.forward), Found(
        found, measures.total_gap(squares), jnp.max(jnp.stack([left, *near]))
    )


def residual(emitter: Emitter, params: Tensors, data: Tensors) -> Array:
    """Return the largest move, by any part, of an entry of the state of a forward pass.

    A projection that ends only near its set may leave alone what is not in it: that is measured besides.
    """
    state, fixed = emitter.start(params, data)
    moves = [jnp.zeros(())]
    for part in emitter.program.part_ops().values():
        after = project(part, emitter.variables, state, fixed)
        moves += [
            jnp.max(jnp.abs(added(after[name]) - value), initial=0)
            for name, value in state.items()
            if name in emitter.variables.measured and after[name] is not value
        ]
    for op in emitter.program.walk():
        if isinstance(op, proj.ProjectSetOp) and isinstance(op.copies.owner, proj.ReadOp):
            away = set_of(op).residual(added(state[op.copies.owner.variable.data]))
            moves += [] if away is None else [away]
    return jnp.max(jnp.stack([each.astype(jnp.float32) for each in moves]))


def never_met(program: proj.ProgramOp) -> list[str]:
    """Return the labels of losses that are functions, which can be low, and not sets, which can be met."""
    return [
        op.node.data
        for op in program.walk()
        if isinstance(op, proj.ProjectLossOp) and LOSSES[op.operator.data].value is not Loss.value
    ]
