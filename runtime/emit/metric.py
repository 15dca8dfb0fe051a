"""The metric of a search: how much the copies of each neuron count where neurons agree on a value.

A neuron is an entry of a node's value along its last axis, at all sites together; the copies that a
constraint without a value holds, of a set or a loss, are one neuron. Its weight m enters the means of what
copies agree on (agreement.py), where those with larger weights are moved less, and nothing else: the
projection onto the constraint of a neuron is the same whatever its weight. After an iteration

    m := (1 - g) m + g s,

with s the mean square gap of the neuron's copies over the mean of that over all neurons. Neurons that do not
come to fit so weigh more and more, until all contribute alike to the gap. Weights have the mean 1; none is
below :data:`LEAST`.

Source: the rule is this package's own. That weights of constraints follow their gaps is V. Elser's: S. Gravel
and V. Elser, "Divide and concur" (2008), section IV; V. Elser and M. K. Lal, "Learning with Boolean threshold
functions" (2026), have a rate for it, their gamma.
"""

from __future__ import annotations

from math import prod

import jax.numpy as jnp
from jax import Array

from pjc.dialects import proj
from pjc.dialects.view import shape_of
from pjc.runtime.combination import LazyState, added, is_zero
from pjc.runtime.emit.values import dtype_of
from pjc.runtime.emit.variables import Variables
from pjc.runtime.program import Tensors

NO_METRIC: Tensors = {}
"""All copies count the same."""
LEAST = 1e-2


def first_metric(program: proj.ProgramOp, variables: Variables) -> dict[str, Array]:
    """Return ones, by variable, in shapes that broadcast to the variables'; nothing without a metric."""
    if not rate_of(program):
        return {}
    axes = neuron_axes(program)
    found = {}
    for name, op in variables.by_name.items():
        if op.role.data == "copies":
            shape, at = shape_of(op.type), axes.get(op.node.data)
            own = [shape[axis] if at == axis else 1 for axis in range(len(shape))]
            found[name] = jnp.ones(own, dtype_of(op.type))
    return found


def rate_of(program: proj.ProgramOp) -> float:
    """Return by which share weights move in an iteration."""
    iteration = program.iterate_op()
    end = None if iteration is None else iteration.body.block.last_op
    assert end is None or isinstance(end, proj.YieldOp)
    return 0.0 if end is None or end.metric is None else float(end.metric.value.data)


def neuron_axes(program: proj.ProgramOp) -> dict[str, int]:
    """Return, for each node that has a value, the axis of its copies that counts neurons."""
    return {
        op.node.data: len(shape_of(op.value)) - 1
        for op in program.walk()
        if isinstance(op, proj.ProjectOp) and shape_of(op.value)
    }


def moved(metric: Tensors, differences: LazyState, rate: float) -> dict[str, Array]:
    """Return the weights after an iteration whose gap is the difference of states given."""
    squares = {
        name: jnp.zeros_like(weight)
        if is_zero(differences[name])
        else jnp.mean(
            added(differences[name]) ** 2,
            axis=tuple(axis for axis, size in enumerate(weight.shape) if size == 1),
            keepdims=True,
        )
        for name, weight in metric.items()
    }
    neurons = sum(prod(each.shape) for each in squares.values())
    mean = sum(jnp.sum(each) for each in squares.values()) / max(neurons, 1)
    return {
        name: jnp.where(
            mean > 0, jnp.maximum((1 - rate) * weight + rate * squares[name] / mean, LEAST), weight
        )
        for name, weight in metric.items()
    }
