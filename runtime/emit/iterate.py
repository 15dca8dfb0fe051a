"""The solver's iteration, and its repetition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax import Array
from xdsl.ir import SSAValue

from pjc.dialects import proj
from pjc.runtime.collectives import SCOPE
from pjc.runtime.combination import LazyState, added, combined, equal
from pjc.runtime.emit.parts import project
from pjc.runtime.emit.telling import PartTelling
from pjc.runtime.emit.variables import Fixed, State, Variables
from pjc.runtime.program import Tensors

PAIRED_BYTES = 3 * 2**22
"""From states of so many bytes on, each turn of the loop does two iterations. XLA copies what an iteration
both reads and writes, for 18% of the time with 32 layers; of two, the first writes elsewhere than it reads.
Compiling takes up to twice as long, and states that stay in a processor's cache gain little. Networks with
loops are left out: how long those take to compile is not to depend on how often they repeat."""


class Moving(NamedTuple):
    """What iterations change: the state, and the weights of copies."""

    state: State
    metric: dict[str, Array]


@jax.named_scope(SCOPE)
def iterate(
    program: proj.ProgramOp,
    variables: Variables,
    state: State,
    fixed: Fixed,
    metric: Tensors,
    telling: PartTelling | None = None,
) -> tuple[State, LazyState]:
    """Return the state after one iteration of the solver, and the difference whose size is the gap.

    ``metric`` has the weights of copies in what they agree on; ``telling`` hears of the parts.
    """
    iteration = program.iterate_op()
    assert iteration is not None, "a program that is trained has an iteration"
    block, parts = iteration.body.block, program.part_ops()
    states: dict[SSAValue, LazyState] = {block.args[0]: variables.place_all(state)}
    for op in block.ops:
        match op:
            case proj.OntoOp():
                given = None if op.given is None else states[op.given]
                part = parts[op.part.data]
                states[op.result] = project(part, variables, states[op.state], fixed, given, metric, telling)
            case proj.CombineOp():
                terms = [states[each] for each in op.states]
                states[op.result] = _combine(variables, op.weights.get_values(), terms)
            case proj.YieldOp():
                lazy, one, other = states[op.state], states[op.one], states[op.other]
                after = variables.place_all({name: added(value) for name, value in lazy.items()})
                gap = {name: combined((1, -1), (one[name], other[name])) for name in lazy}
                return after, _by_move(gap, states[block.args[0]], lazy, after)
            case _:
                raise TypeError(f"an iteration has no {op.name}")
    raise AssertionError("verified iterations end in a yield")


def _combine(variables: Variables, weights: Sequence[float], states: Sequence[LazyState]) -> LazyState:
    """Return the sum of weight times state; factors are those of the first state."""
    return {
        name: value if variables.is_factor(name) else combined(weights, [each[name] for each in states])
        for name, value in states[0].items()
    }


def _by_move(gap: LazyState, before: LazyState, after: LazyState, added_up: State) -> LazyState:
    """Return the gap as what the state moves by, where it is that: then no more is computed for it."""
    found = dict(gap)
    for name, value in gap.items():
        if equal(value, combined((1, -1), (after[name], before[name]))):
            found[name] = combined((1, -1), (added_up[name], before[name]))
    return found


def in_pairs(program: proj.ProgramOp, variables: Variables) -> bool:
    """Return whether iterations should be done two at a time: see :data:`PAIRED_BYTES`."""
    large = program.state_bytes() >= PAIRED_BYTES
    return variables.placement.alone and not program.has_loops() and large


def repeat(
    advance: Callable[[Moving], tuple[Moving, LazyState]],
    measure: Callable[[LazyState], dict[str, Array]],
    state: Moving,
    iterations: Array | int,
    paired: bool,
) -> tuple[Moving, dict[str, Array]]:
    """Return the state after the iterations, and what ``measure`` says of the difference in the last one.

    ``advance`` does one iteration; ``paired``, each turn of the loop does two.
    """
    turns = (iterations + 1) // 2 if paired else iterations

    def turn(index: Array, carry: Any) -> Any:
        state, measured = carry
        if paired:
            odd = (index == 0) & (iterations % 2 == 1)
            state = jax.lax.cond(odd, lambda x: x, lambda x: advance(x)[0], state)
        state, differences = advance(state)
        last = index == turns - 1
        measured = jax.lax.cond(last, lambda: measure(differences), lambda: measured)
        return state, measured

    found: tuple[Moving, dict[str, Array]] = jax.lax.fori_loop(0, turns, turn, (state, measure({})))
    return found
