"""Views in the IR as the runtime takes them: the steps of a path, and the value of a view op."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from xdsl.dialects.builtin import ArrayAttr

from pjc.dialects.view import ConcatOp, GatherOp, ShiftOp, StepAttr, ViewOp
from pjc.runtime.mesh import in_range, shifted, stages
from pjc.runtime.program import Tensors
from pjc.runtime.views import Step, spread


def steps_of(steps: ArrayAttr[StepAttr], data: Tensors) -> list[Step]:
    """Return the steps of a path as the runtime takes them, those that gather with their indices."""
    return [
        (step.kind.data, (data[step.indices.data],) if step.indices.data else step.lists()) for step in steps
    ]


def viewed(op: ViewOp, inputs: list[Array]) -> Array:
    """Return what a view op shows of its inputs."""
    if isinstance(op, GatherOp):
        return jnp.asarray(spread(inputs[0], [("gather", (inputs[1],))]))
    if isinstance(op, ShiftOp):
        if stages() > 1:
            return jnp.where(in_range(inputs[1], 0, 1), inputs[0], shifted(inputs[1], 1))
        return jnp.concatenate([inputs[0], inputs[1][:-1]])
    if len(inputs) > 1:
        assert isinstance(op, ConcatOp)
        return jnp.concatenate(inputs, axis=op.axis.value.data)
    step = op.step(0)
    value: Array = spread(inputs[0], [(step.kind.data, step.lists())])
    return value
