"""A compiled network that is trained by the gradient of its losses, in the place of projections.

``program_of(compilation)`` is the program of a compilation for the solver ``sweep``, whose displacement is
the negated gradient: all else (parameters, sets, outer step, training, scores) is what sweeps have, so that
a comparison of the two is one of directions alone.

- The forward pass is the compiled program's, differentiated by JAX.
- The losses are those that the network requires: :data:`LOSSES` has their formulas. For requirements that are
  sets it is half the square distance to the set. They are added up over the sites of a sample, and averaged
  over samples. Several count as their strengths say; one alone counts 1.
- Where an operator jumps, its value is the operator's, its derivative that of the function that a sweep takes
  it for (``Operator.bridged``): the straight-through method (Y. Bengio et al., arXiv 1308.3432).
- Parameters in sets are projected on the way forward, and the gradient at the projection moves the latent
  values, which are kept as those of sweeps are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from pjc.dialects import asking as ask
from pjc.dialects import ops, proj
from pjc.dialects.view import ViewOp
from pjc.driver import Compilation
from pjc.passes.analysis.graph import only
from pjc.runtime.emit import Emitter, entry_points, static_fields
from pjc.runtime.emit.forward import run_forward
from pjc.runtime.emit.values import constant, set_of
from pjc.runtime.emit.views import viewed
from pjc.runtime.outer import outer_of, step_entries
from pjc.runtime.outer_settings import DISPLACEMENT, WEIGHTED
from pjc.runtime.products import PRODUCTS
from pjc.runtime.program import Program, Services
from pjc.runtime.projections import OPERATORS, REGISTERED, loss
from pjc.runtime.projections.operator import Operator

ONE_OF_CLASSES = optax.softmax_cross_entropy_with_integer_labels


def _hinge(logits: Array, target: Array) -> Array:
    right = jnp.arange(logits.shape[-1]) == target[..., None]
    return jax.nn.relu(1 - jnp.where(right, logits, -logits))


LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "cross_entropy": ONE_OF_CLASSES,
    "hinge": _hinge,
    "squared_error": lambda value, target: (value - target.reshape(value.shape)) ** 2 / 2,
}
"""What losses are at strength 1, by their names; the other requirements are sets."""


def program_of(
    compilation: Compilation, project: Callable[[Mapping[str, Array]], dict[str, Array]] | None = None
) -> Program:
    """Return the program of a compilation, but that its displacement is the negated gradient.

    ``project`` is what the network computes with in place of the parameters, and through which the gradient
    goes; by default it is their projections onto their sets, which it passes by.

    Raises:
        ValueError: if the solver is not one that makes a displacement.
    """
    whole = only(compilation.at("proj"), proj.ProgramOp)
    if whole.sweep_op() is None:
        raise ValueError(f"a gradient takes the place of a sweep; compile with sweep, not {whole.solver}")
    given, emitter = compilation.program(), Emitter(whole)
    functions = entry_points(emitter, compilation.options.products)
    functions.pop(DISPLACEMENT + WEIGHTED, None)
    losses, finish = Losses(emitter), functions.get("finish", dict)
    if project is not None:
        functions["finish"] = project
        functions.pop("keep", None)

    def displacement(params: Mapping[str, Array], data: Mapping[str, Array]) -> Any:
        with straight_through(), jax.default_matmul_precision(PRODUCTS[compilation.options.products]):
            if project is None:
                value, slope = jax.value_and_grad(losses)(finish(params), data)
            else:
                value, slope = jax.value_and_grad(lambda given: losses(project(given), data))(dict(params))
        # "demand" is what training tells of every batch: here it is the loss.
        return {name: -each for name, each in slope.items()}, {"demand": value, "requirements": {}}

    functions[DISPLACEMENT] = displacement
    functions |= step_entries(outer_of(compilation.options), given.signature.members, functions)
    return Program(
        given.signature,
        functions,
        {},
        Services(for_batch=lambda size: program_of(compilation.for_batch(size), project)),
        initial=given.initial,
    )


@dataclass(frozen=True)
class Losses:
    """What a program's requirements cost in sum, given parameters in their sets, and a batch."""

    emitter: Emitter

    def __call__(self, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        program = self.emitter.program
        ran = run_forward(program, self.emitter.variables, params, data)
        values: dict[Any, Array] = {}
        total = jnp.zeros(())
        for op in self._read:
            match op:
                case ask.DemandOp() | ask.DemandInSetOp():
                    cost = jnp.sum(self._cost(op, values))
                    total += cost if op.rows is None else cost / (program.batch or 1)
                case ask.ValueOp():
                    values[op.result] = ran.values[op.node.data]
                case proj.DatumOp():
                    values[op.result] = data[op.label.data]
                case ops.ConstantOp():
                    values[op.result] = constant(op)
                case ViewOp():
                    values[op.results[0]] = viewed(op, [values[each] for each in op.operands])
        return total

    @cached_property
    def _read(self) -> list[Any]:
        """The ops of the sweep that demand something, and those that lead there."""
        sweep = self.emitter.program.sweep_op()
        assert sweep is not None
        wanted: set[Any] = set()
        found = []
        for op in reversed(list(sweep.body.block.ops)):
            demands = isinstance(op, ask.DemandOp | ask.DemandInSetOp)
            if demands or any(result in wanted for result in op.results):
                wanted |= set(op.operands)
                found.append(op)
        return found[::-1]

    @cached_property
    def _strongest(self) -> float:
        """The largest strength of a loss."""
        fields = [static_fields(op.fields.data) for op in self._read if isinstance(op, ask.DemandOp)]
        return max((each.get("strength", 1.0) for each in fields), default=1.0)

    def _cost(self, op: Any, values: Mapping[Any, Array]) -> Array:
        """Return what a requirement costs at each of its sites, or entries."""
        value = values[op.value]
        if isinstance(op, ask.DemandInSetOp):
            return _half_square(jax.lax.stop_gradient(set_of(op).demand(value)), value)
        fields = static_fields(op.fields.data)
        target = values[op.target]
        if op.operator.data in LOSSES:
            return fields.get("strength", 1.0) / self._strongest * LOSSES[op.operator.data](value, target)
        (away,) = loss(op.operator.data, **fields).demand((value,), target)
        return _half_square(jax.lax.stop_gradient(away), value)


def _half_square(away: Array, value: Array) -> Array:
    """Return half the square distance of a value to the point of a set that lies so far from it."""
    nearest = jax.lax.stop_gradient(value) + away
    apart: Array = value - nearest
    return apart**2 / 2


@contextmanager
def straight_through() -> Iterator[None]:
    """Within it, what JAX traces takes operators with jumps to have the derivatives of their bridges."""
    before = dict(REGISTERED)
    REGISTERED.update({name: _straight(cls) for name, cls in {**OPERATORS, **before}.items()})
    try:
        yield
    finally:
        REGISTERED.clear()
        REGISTERED.update(before)


def _straight(cls: type[Operator]) -> type[Operator]:
    """Return a class of operators whose derivative is that of what a sweep takes them for."""

    @dataclass(frozen=True)
    class Straight(cls):  # type: ignore[misc, valid-type]
        def forward(self, *inputs: Array) -> Array:
            own, bridge = super().forward, self.bridged()
            if bridge is self:
                return own(*inputs)
            forward = jax.custom_jvp(own)
            forward.defjvp(lambda at, by: (forward(*at), jax.jvp(bridge.forward, at, by)[1]))
            return forward(*inputs)

    return Straight
