"""Parameters: what they start from, and what the slots hold of them after an update."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from math import prod, sqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pjc.dialects import ops, proj
from pjc.dialects.ops import InitAttr
from pjc.dialects.view import shape_of
from pjc.runtime.emit.values import dtype_of
from pjc.runtime.emit.variables import State, Variables
from pjc.runtime.placement import Placement
from pjc.runtime.program import Tensors


def parameters_of(program: proj.ProgramOp) -> dict[str, ops.ParameterOp]:
    """Return the parameters of a program by name, in the order of the forward pass."""
    found = program.forward_op().body.block.ops
    return {op.label.data: op for op in found if isinstance(op, ops.ParameterOp)}


def first_value(op: ops.ParameterOp, key: Array) -> Array:
    """Return what a parameter, or each member of a family, starts from: drawn with its own name."""
    shape, dtype = shape_of(op.result), dtype_of(op.result)
    family = None if op.family is None else op.family.value.data
    hashes = np.array([zlib.crc32(name.encode()) for name in op.names()], np.uint32)
    if op.members is None:
        return _initial(op.init, jax.random.fold_in(key, hashes[0]), shape, dtype, family)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, hashes)
    return jnp.asarray(jax.vmap(lambda own: _initial(op.init, own, shape[1:], dtype))(keys))


def _initial(
    init: InitAttr, key: Array, shape: tuple[int, ...], dtype: np.dtype[Any], family: int | None = None
) -> Array:
    """Return a parameter's first value; that of a family of parameters along the first axis.

    he_normal has standard deviation ``sqrt(2 / fan_in)`` (He et al., "Delving deep into rectifiers",
    2015), glorot_uniform the bound ``sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio, 2010). The last
    axis counts outputs, all axes before it inputs.
    """
    own = shape if family is None else shape[1:]
    fan_in, fan_out = (prod(own[:-1]), own[-1]) if len(own) > 1 else (prod(own), prod(own))
    arguments = init.arguments.get_values()
    draws: dict[str, Callable[[], Array]] = {
        "zeros": lambda: jnp.zeros(shape, dtype),
        "ones": lambda: jnp.ones(shape, dtype),
        "constant": lambda: jnp.full(shape, arguments[0], dtype),
        "normal": lambda: arguments[0] * jax.random.normal(key, shape, dtype),
        "uniform": lambda: jax.random.uniform(key, shape, dtype, arguments[0], arguments[1]),
        "he_normal": lambda: sqrt(2 / fan_in) * jax.random.normal(key, shape, dtype),
        "glorot_uniform": lambda: (
            sqrt(6 / (fan_in + fan_out)) * jax.random.uniform(key, shape, dtype, -1.0, 1.0)
        ),
    }
    return init.scale.value.data * draws[init.kind.data]()


def placed(program: proj.ProgramOp, placement: Placement, params: Tensors) -> State:
    """Return the parameters, each split over the devices as it is annotated."""
    known = parameters_of(program)
    return {name: placement.placed(known[name].sharding, value) for name, value in params.items()}


def read_slots(program: proj.ProgramOp, variables: Variables, params: Tensors, state: State) -> State:
    """Return the parameters that the slots hold; those without a slot stay as they are."""
    read = dict(params)
    for name in parameters_of(program):
        if name in variables.slots:
            read[name] = variables.placement.from_owner(name, state[variables.slots[name]])
    return read
