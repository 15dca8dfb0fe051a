"""What xDSL's types and attributes are as JAX's: element types, static fields, constants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from xdsl.dialects.builtin import (
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    f32,
    f64,
    i32,
)
from xdsl.ir import Attribute, SSAValue

from pjc.dialects import ops, proj
from pjc.dialects.asking import DemandInSetOp
from pjc.dialects.set_fields import inner
from pjc.dialects.view import shape_of
from pjc.runtime.projections import constraint_set
from pjc.runtime.projections.sets import ConstraintSet


def dtype_of(value: SSAValue | Attribute) -> np.dtype[Any]:
    """Return the NumPy type of a tensor's elements."""
    kind = value.type if isinstance(value, SSAValue) else value
    assert isinstance(kind, TensorType)
    return np.dtype({f32: np.float32, f64: np.float64, i32: np.int32}[kind.get_element_type()])


def static_fields(fields: Mapping[str, Attribute]) -> dict[str, Any]:
    """Return an operator's static attributes as Python values.

    Raises:
        TypeError: for an attribute that is none of arrays, numbers and strings.
    """
    found: dict[str, Any] = {}
    for name, attribute in fields.items():
        match attribute:
            case DenseArrayBase():
                found[name] = tuple(attribute.get_values())
            case FloatAttr() | IntegerAttr():
                found[name] = attribute.value.data
            case StringAttr():
                found[name] = attribute.data
            case _:
                raise TypeError(f"field '{name}' has an attribute of unknown kind: {attribute}")
    return found


def constant(op: ops.ConstantOp) -> Array:
    """Return the tensor of one number, or of many, that an op gives."""
    shape, kind = shape_of(op.result), dtype_of(op.result)
    if op.number is not None:
        return jnp.full(shape, op.number, kind)
    return jnp.asarray(np.asarray(op.entries, kind).reshape(shape))


def set_of(op: proj.ProjectSetOp | proj.ConstrainOp | DemandInSetOp) -> ConstraintSet:
    """Return the set that an op projects onto."""
    return made_set(op.kind.data, op.fields.data)


def made_set(kind: str, fields: Mapping[str, Attribute]) -> ConstraintSet:
    """Return the set of a name, of its fields in the IR."""
    own = {name: each for name, each in fields.items() if name != "sets"}
    made = {"sets": tuple(made_set(*each) for each in inner(fields))} if "sets" in fields else {}
    return constraint_set(kind, **static_fields(own), **made)
