"""The user's own operators as functions of the language."""

from __future__ import annotations

from collections.abc import Mapping

from pjc.builder.arithmetic import Own
from pjc.builder.network import Site
from pjc.builder.values import Tensor
from pjc.frontends.convert import operands
from pjc.frontends.values import Function, Slot

_registries: list[Mapping[str, Own]] = []


def know(registry: Mapping[str, Own]) -> None:
    """Let the language find the operators of a registry by name, also those that are added to it later."""
    _registries.append(registry)


def own_names() -> list[str]:
    """Return the names of the operators that Python has registered."""
    return [name for registry in _registries for name in registry]


def own_function(name: str) -> Function | None:
    """Return the function for an operator of that name, or None."""
    found = next((registry[name] for registry in _registries if name in registry), None)
    if found is None:
        return None

    def build(site: Site, *inputs: Tensor) -> Tensor:
        return site.apply(found, *inputs)

    return Function(name, (Slot("inputs", rest=True),), {"inputs": operands}, build)
