"""The user's own operators as functions of the language."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from pjc.dialects import ops
from pjc.frontends.binding import Slot
from pjc.frontends.builtins import Function
from pjc.frontends.convert import operands
from pjc.frontends.emitter import Site
from pjc.frontends.values import Mistake, Tensor


def own_functions() -> Mapping[str, Any]:
    """Return the operators that Python has registered, by name; none if nothing imported their module."""
    module = sys.modules.get("pjc.operators")
    return {} if module is None else module.REGISTERED


def own_function(name: str) -> Function | None:
    """Return the function for an operator of that name, or None."""
    found = own_functions().get(name)
    if found is None:
        return None

    def build(site: Site, inputs: list[Tensor]) -> Tensor:
        wanted = len(found.signature.inputs)
        if len(inputs) != wanted:
            raise Mistake(f"{name} takes {wanted} inputs, {found.signature}, found {len(inputs)}")
        if not any(found.signature.inputs):  # of single numbers, which broadcast as in a sum
            inputs = site.together(inputs)
        op = ops.ApplyOp(name, str(found.signature), [each.ssa for each in inputs])
        kept = inputs[0].names[: len(op.result.type.get_shape()) - len(found.signature.output)]
        return site.op(op, (*kept, *[None] * len(found.signature.output)), name)

    return Function(name, (Slot("inputs", rest=True),), {"inputs": operands}, build)
