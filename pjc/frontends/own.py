"""The user's own operators as functions of the language."""

from __future__ import annotations

from pjc.builder.arithmetic import Own
from pjc.builder.network import Site
from pjc.builder.values import Tensor
from pjc.frontends.convert import operands
from pjc.frontends.values import Function, Slot

OWN: dict[str, Own] = {}
"""The operators that Python has registered, by name; :func:`pjc.operator` adds them."""


def own_function(name: str) -> Function | None:
    """Return the function for an operator of that name, or None."""
    found = OWN.get(name)
    if found is None:
        return None

    def build(site: Site, *inputs: Tensor) -> Tensor:
        return site.apply(found, *inputs)

    return Function(name, (Slot("inputs", rest=True),), {"inputs": operands}, build)
