"""View ops as the runtime takes them."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from pjc.dialects.shapes import Shape
from pjc.dialects.steps import Gather, Step
from pjc.dialects.view import GatherOp, ViewOp
from pjc.runtime.steps import bound
from pjc.runtime.views import spread


def viewed(op: ViewOp, inputs: list[Array]) -> Array:
    """Return what a view op shows of its inputs."""
    if isinstance(op, GatherOp):
        table, indices = inputs
        return jnp.asarray(spread(table, bound([Gather(indices.shape, "")], {"": indices})))
    if len(inputs) == 1:
        return jnp.asarray(spread(inputs[0], bound([op.step(0)])))
    return bound([op.step(len(inputs) - 1)])[0].joined(inputs)


def undone(step: Step, asked: Array, before: Shape, indices: Array | None) -> Array:
    """Return the sum of what is asked of all copies of each entry: the transpose of a step.

    ``indices`` are those of rows that were taken by number.
    """
    label = step.datum()
    data = {} if label is None or indices is None else {label: indices}
    return jnp.asarray(bound([step], data)[0].collect(asked, before))
