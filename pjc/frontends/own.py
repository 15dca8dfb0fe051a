"""The user's own operators as functions of the language."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from pjc.builder.network import Site
from pjc.builder.values import Tensor
from pjc.frontends.convert import operands
from pjc.frontends.values import Function, Slot


def own_functions() -> Mapping[str, Any]:
    """Return the operators that Python has registered, by name; none if nothing imported their module."""
    module = sys.modules.get("pjc.operators")
    return {} if module is None else module.REGISTERED


def own_function(name: str) -> Function | None:
    """Return the function for an operator of that name, or None."""
    found = own_functions().get(name)
    if found is None:
        return None

    def build(site: Site, *inputs: Tensor) -> Tensor:
        return site.apply(found, *inputs)

    return Function(name, (Slot("inputs", rest=True),), {"inputs": operands}, build)
