"""The registry of operators, losses and sets, by the names of their ops.

Each is a class with a name, in a module of this package: one more module is one more operator.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any, TypeVar

from pjc.runtime.projections.operator import Loss, Operator
from pjc.runtime.projections.sets import ConstraintSet

T = TypeVar("T")


def _defined(kind: type[T]) -> dict[str, type[T]]:
    """Return the classes of a kind that the modules of this package define, by their names."""
    found: dict[str, type[T]] = {}
    for module in pkgutil.iter_modules(__path__):
        members = vars(import_module(f"{__name__}.{module.name}"))
        for cls in members.values():
            own = isinstance(cls, type) and issubclass(cls, kind) and cls.__module__ == members["__name__"]
            if own and "name" in vars(cls):
                found[cls.name] = cls
    return found


OPERATORS: dict[str, type[Operator]] = _defined(Operator)  # type: ignore[type-abstract]
LOSSES: dict[str, type[Loss]] = _defined(Loss)  # type: ignore[type-abstract]
SETS: dict[str, type[ConstraintSet]] = _defined(ConstraintSet)  # type: ignore[type-abstract]
REGISTERED: dict[str, type[Operator]] = {}
"""Operators of the user's own, which pjc.operators registers."""


def operator(name: str, **fields: Any) -> Operator:
    """Return the operator of that name with its static attributes.

    Raises:
        ValueError: if no operator has that name, nor any that Python registered, or the fields do not fit.
    """
    found: type[Operator] = _found({**OPERATORS, **REGISTERED}, "operator", name)
    return found(**fields)


def loss(name: str, **fields: Any) -> Loss:
    """Return the loss of that name with its static attributes.

    Raises:
        ValueError: if no loss has that name, or the fields do not fit it.
    """
    found: type[Loss] = _found(LOSSES, "loss", name)
    return found(**fields)


def constraint_set(name: str, **fields: Any) -> ConstraintSet:
    """Return the set of that name with its static attributes.

    Raises:
        ValueError: if no set has that name, or the fields do not fit it.
    """
    found: type[ConstraintSet] = _found(SETS, "set", name)
    return found(**fields)


def _found(registry: dict[str, Any], kind: str, name: str) -> Any:
    if name not in registry:
        raise ValueError(f"there is no {kind} called '{name}'; known are {', '.join(registry)}")
    return registry[name]
