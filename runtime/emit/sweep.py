"""A sweep: what losses demand, what nodes ask for it, and by what the parameters are to move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from xdsl.ir import Operation, SSAValue

from pjc.dialects import asking as ask
from pjc.dialects import ops, proj
from pjc.dialects.view import ViewOp, shape_of
from pjc.runtime.emit.loops import run_loop
from pjc.runtime.emit.telling import SweepTelling, flattened, rebuilt
from pjc.runtime.emit.values import constant, set_of, static_fields
from pjc.runtime.emit.variables import Variables
from pjc.runtime.emit.views import undone, viewed
from pjc.runtime.emit.weighing import Weighing
from pjc.runtime.program import Tensors
from pjc.runtime.projections import loss, operator
from pjc.runtime.projections.bilinear import bilinear
from pjc.runtime.projections.bilinear_response import (
    Multipliers,
    Norms,
    copies_norm,
    lhs_response,
    multipliers,
    norms,
    rhs_response,
    usual,
)

UNIT = 0.1
"""The root mean square that a product asks of a value whose treatment is "unit"; and where demands have that,
if it is "power", elsewhere the geometric mean of it and, twice, theirs."""


class Swept(NamedTuple):
    """What a sweep gave: displacements by parameter, and what each requirement demanded, by its label.

    ``losses`` has the mean of each loss over its sites.
    """

    displacement: dict[str, Array]
    demands: dict[str, Array]
    losses: dict[str, Array]


def run_sweep(
    program: proj.ProgramOp,
    variables: Variables,
    forward: Tensors,
    data: Tensors,
    weighing: Weighing,
    telling: SweepTelling | None = None,
) -> Swept:
    """Return what a sweep gives, from the values of the forward pass by node.

    ``telling`` hears of its ops.
    """
    sweep = program.sweep_op()
    assert sweep is not None, "a program that is trained by sweeps has one"
    parameters = {slot: name for name, slot in variables.slots.items()}
    run = Sweeping(forward, data, weighing, parameters, telling)
    for op in sweep.body.block.ops:
        run.evaluate(op)
    return Swept(run.displacement, run.demands, run.losses)


@dataclass
class Sweeping:
    """A sweep while it runs: tensors by SSA value."""

    forward: Tensors
    data: Tensors
    weighing: Weighing
    parameters: dict[str, str]
    telling: SweepTelling | None = None
    values: dict[SSAValue, Array] = field(default_factory=dict)
    displacement: dict[str, Array] = field(default_factory=dict)
    demands: dict[str, Array] = field(default_factory=dict)
    losses: dict[str, Array] = field(default_factory=dict)

    def evaluate(self, op: Operation) -> None:
        """Evaluate one op of the sweep, or of a step of a recurrence."""
        match op:
            case ask.DisplaceOp():
                self.displacement[self.parameters[op.variable.data]] = self.values[op.displacement]
            case proj.ForOp():
                self.recur(op)
            case (
                ask.DemandOp()
                | ask.DemandInSetOp()
                | ask.RespondOp()
                | ask.NormsOp()
                | ask.MultipliersOp()
                | ask.RespondSharedOp()
            ):
                with jax.named_scope(op.node.data):
                    self.values.update(zip(op.results, self.asked(op), strict=True))
            case _:
                self.values[op.results[0]] = self.moved(op)
        if self.telling is not None:
            self.telling.take(op, self.values)

    def moved(self, op: Operation) -> Array:
        """Return what an op gives that is of no node: a value, a view, a sum."""
        match op:
            case ask.ValueOp():
                return self.forward[op.node.data]
            case proj.DatumOp():
                return self.data[op.label.data]
            case ops.ConstantOp():
                return constant(op)
            case ViewOp():
                return viewed(op, self.all(op.operands))
            case ask.CollectOp():
                indices = None if op.indices is None else self.values[op.indices]
                return undone(op.step.data, self.values[op.asked], shape_of(op.result), indices)
            case ask.AddOp():
                return jnp.add(self.values[op.one], self.values[op.other])
            case ask.BoundOp():
                return self.bounded(op)
            case ask.OverSamplesOp():
                value = self.values[op.asked]
                if op.everywhere is not None:
                    value = self.weighing.total(value)
                return self.weighing.mean_of(value) if op.manner.data == "mean" else value
        raise TypeError(f"a sweep has no {op.name}")

    def asked(self, op: Any) -> Sequence[Array]:
        """Return what a node demands or asks."""
        values = self.values
        match op:
            case ask.DemandOp():
                required = loss(op.operator.data, **static_fields(op.fields.data))
                (found,) = required.demand((values[op.value],), values[op.target])
                sites = required.value((values[op.value],), values[op.target])
                self.losses[op.node.data] = self.weighing.mean_over_sites(sites, op.rows)
                return [self.demanded(op, found)]
            case ask.DemandInSetOp():
                return [self.demanded(op, set_of(op).demand(values[op.value]))]
            case ask.RespondOp():
                return self.responded(op)
            case ask.NormsOp():
                product = self.product(op)
                mean = self.weighing.mean(op.rows, op.count)
                return norms(product, values[op.lhs], values[op.rhs], mean)
            case ask.MultipliersOp():
                parts = values[op.lhs_part], values[op.rhs_part]
                means = [_for_rows(values[each], shape_of(op.value)) for each in (op.inverse, op.scale)]
                return multipliers(
                    Norms(*parts, *means), values[op.value], values[op.demand], op.weight.value.data
                )
            case ask.RespondSharedOp():
                respond = rhs_response if op.operand_index.value.data else lhs_response
                by = Multipliers(values[op.sigma], values[op.rho])
                return [respond(self.product(op), by, values[op.lhs], values[op.rhs])]
        raise TypeError(f"no node asks by {op.name}")

    def product(self, op: ask.NormsOp | ask.RespondSharedOp) -> Any:
        """Return the bilinear map of an op."""
        operands = self.values[op.lhs], self.values[op.rhs]
        return bilinear(op.operator.data, static_fields(op.fields.data), *operands)

    def demanded(self, op: ask.DemandOp | ask.DemandInSetOp, demand: Array) -> Array:
        """Return what a requirement demands of samples that count as much as their weights say."""
        weighted = self.weighing.weighted(demand, op.rows)
        self.demands[op.node.data] = self.weighing.root_mean_square(weighted, op.rows)
        return weighted

    def responded(self, op: ask.RespondOp) -> Sequence[Array]:
        """Return the response of an operation to the demand of its value."""
        inputs, demand = tuple(self.all(op.inputs)), self.values[op.demand]
        made = operator(op.operator.data, **static_fields(op.fields.data))
        weight = op.weight.value.data
        if op.relative is None:
            return made.scaled_response(inputs, demand, weight)
        mean = self.weighing.mean(op.rows, op.count)
        root = _for_rows(usual(*(mean(copies_norm(each, demand.ndim)) for each in inputs)), demand.shape)
        moving = root > 0
        root = jnp.where(moving, root, 1)
        gain = jnp.where(moving, (1 + weight) * (root * root) / weight, 0)
        found = made.respond(inputs, demand, weight / (root * root))
        return [_times(gain, each) for each in found]

    def bounded(self, op: ask.BoundOp) -> Array:
        """Return what a product asks of a value, scaled as its treatment says."""
        asked = self.values[op.asked]
        size = self.weighing.square(asked, op.rows, op.count)
        own = self.weighing.entries(asked.size // op.count, op.rows)
        over = jnp.where(size > 0, jax.lax.rsqrt(jnp.where(size > 0, size, 1)), 0)
        if op.treatment.data == "unit":
            scale = UNIT * over * own**0.5
        else:
            demand = self.values[op.demand]
            limit = self.weighing.square(demand, op.demand_rows, op.demand_count)
            if 1 < op.demand_count < op.count:
                limit = jnp.repeat(limit, op.count // op.demand_count)
            if op.treatment.data == "cap":
                scale = jnp.where(size > limit, jnp.sqrt(limit) * over, 1)
            else:
                theirs = self.weighing.entries(demand.size // op.demand_count, op.demand_rows)
                scale = (UNIT * limit / theirs) ** (1 / 3) * over * own**0.5
        return asked * _for_rows(scale, asked.shape)

    def recur(self, loop: proj.ForOp) -> None:
        """Run a recurrence, step by step."""
        telling, count = self.telling, len(loop.results)
        inside = partial(Sweeping, self.forward, self.data, self.weighing, self.parameters)
        if telling is None:
            self.values.update(zip(loop.results, run_loop(loop, self.values, inside), strict=True))
            return
        told: list[tuple[str, str]] = []

        def aside(inner: Sweeping) -> list[Array]:
            assert inner.telling is not None
            told[:], numbers = flattened(inner.telling.told)
            return numbers

        found = run_loop(loop, self.values, lambda: inside(telling.within()), aside)
        self.values.update(zip(loop.results, found[:count], strict=True))
        telling.put_all(rebuilt(told, found[count:]))

    def all(self, values: Sequence[SSAValue]) -> list[Array]:
        """Return the tensors of SSA values."""
        return [self.values[each] for each in values]


def _times(gain: Array, displacement: Array) -> Array:
    """Return a displacement of copies times the gain of their sites."""
    wide = gain.reshape(*gain.shape, *[1] * (displacement.ndim - gain.ndim))
    return jnp.multiply(displacement, wide)


def _for_rows(steps: Array, shape: tuple[int, ...]) -> Array:
    """Return one number for each step, in a shape that broadcasts to rows of all steps."""
    count = steps.shape[0] if steps.ndim else 1
    if count == 1:
        return jnp.reshape(steps, [1] * len(shape))
    return jnp.repeat(steps.reshape(count), shape[0] // count).reshape(-1, *[1] * (len(shape) - 1))
