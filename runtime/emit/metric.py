"""The metric of a search: how much the copies of each neuron count where neurons agree on a value.

A neuron is an entry of a node's value along its last axis, at all sites together; the copies that a
constraint without a value holds, of a set or a loss, are one neuron. Its weight m enters the means of what
copies agree on (agreement.py), where those with larger weights are moved less, and nothing else: the
projection onto the constraint of a neuron is the same whatever its weight. Copies of which it is not known
to what neuron they belong, as of operators that give another shape than they take, are one neuron. After an
iteration

    m := (1 - g) m + g s,

with s the mean square gap of the neuron's copies over the mean of that over all neurons. Neurons that do not
come to fit so weigh more and more, until all contribute alike to the gap. None is below :data:`LEAST`; the
mean of weights is 1, and a little more where some are held up by that.

Source: the rule is this package's own. That weights of constraints follow their gaps is V. Elser's: S. Gravel
and V. Elser, "Divide and concur" (2008), section IV; V. Elser and M. K. Lal, "Learning with Boolean threshold
functions" (2026), have a rate for it, their gamma.
"""

from __future__ import annotations

from math import prod

import jax.numpy as jnp
from jax import Array
from xdsl.dialects.builtin import DenseArrayBase

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
    projections = {op.node.data: op for op in program.walk() if isinstance(op, proj.ProjectOp)}
    found = {}
    for name, op in variables.by_name.items():
        if op.role.data == "copies":
            shape, project = shape_of(op.type), projections.get(op.node.data)
            at = None if project is None else neuron_axis(project, shape)
            own = [shape[axis] if at == axis else 1 for axis in range(len(shape))]
            found[name] = jnp.ones(own, dtype_of(op.type))
    return found


def rate_of(program: proj.ProgramOp) -> float:
    """Return by which share weights move in an iteration."""
    iteration = program.iterate_op()
    end = None if iteration is None else iteration.body.block.last_op
    assert end is None or isinstance(end, proj.YieldOp)
    return 0.0 if end is None or end.metric is None else float(end.metric.value.data)


def neuron_axis(op: proj.ProjectOp, shape: tuple[int, ...]) -> int | None:
    """Return the axis of copies of a shape that lies along the value's last one; None if none is known to."""
    value = shape_of(op.value)
    axes = op.fields.data.get("axes")
    if isinstance(axes, DenseArrayBase):
        gone = set(axes.get_values())
        kept = [axis for axis in range(len(shape)) if axis not in gone]
    else:  # what is added up, if anything, comes behind the value's axes
        kept = list(range(len(value)))
    fits = len(kept) <= len(shape) and tuple(shape[axis] for axis in kept) == value
    return kept[-1] if kept and fits else None


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
