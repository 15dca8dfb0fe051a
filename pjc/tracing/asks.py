"""Losses and sets in Python: what ``pjc.cross_entropy(strength=2)`` and ``pjc.box(-1, 1)`` are.

Their names and arguments are those of the language; they are written out there, and checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from pjc.diagnostics import mistake
from pjc.dialects.ops import operator_of
from pjc.dialects.requirements import LOSSES as LOSS_OPS
from pjc.dialects.sets import SETS as KINDS
from pjc.frontends.losses import LOSSES
from pjc.frontends.sets import SETS
from pjc.tracing.refusal import Refused
from pjc.tracing.text import nested, number, tuple_text


@dataclass(frozen=True)
class Asked:
    """A loss or a set with its arguments; ``str`` gives the language's text of it."""

    name: str
    values: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """Return the arguments as the language writes them."""
        return [*map(_written, self.values), *(f"{name} = {_written(v)}" for name, v in self.named.items())]

    def __str__(self) -> str:
        found = self.arguments()
        return f"{self.name}({', '.join(found)})" if found else self.name


@dataclass(frozen=True)
class Set(Asked):
    """A set that a parameter or a value is required to be in."""

    @property
    def entrywise(self) -> bool:
        """Whether each entry is in a set of its own."""
        return KINDS[self.name].entrywise


@dataclass(frozen=True)
class Loss(Asked):
    """What training requires of a value and a target.

    ``target`` is the target's name, by default ``y``, or that of an input, to be given back.
    """

    target: str | None = None

    @property
    def by_class(self) -> bool:
        """Whether the target is of classes."""
        return not next(each.NUMERIC for each in LOSS_OPS if operator_of(each) == self.name)

    def required(self, value: str, target: str) -> str:
        """Return the requirement of a value and a target."""
        return f"require {self.name}({', '.join([value, target, *self.arguments()])})"


def _written(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        raise mistake(f"losses and sets take numbers, found {value!r}")
    if isinstance(value, Set):
        return str(value)
    if isinstance(value, tuple | list):
        return tuple_text(_written(each) for each in value)
    if isinstance(value, int | np.integer):
        return str(int(value))
    try:
        if isinstance(value, float | np.floating):
            return number(value)
        if hasattr(value, "shape") and not isinstance(value, jax.core.Tracer):
            return nested(_real(np.asarray(value)))
    except Refused as error:
        raise mistake(f"losses and sets take numbers: {error}") from error
    raise mistake(f"losses and sets take numbers, found {type(value).__name__}")


def _real(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    kinds = (jax.numpy.floating, jax.numpy.integer, np.bool_)
    if not any(jax.numpy.issubdtype(array.dtype, each) for each in kinds):
        raise mistake(f"losses and sets take real numbers, found {array.dtype}")
    return array


def _known(name: str, slots: Sequence[Any], values: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Raise DiagnosticError for an argument that there is none of."""
    names = [slot.name for slot in slots]
    wrong = next((each for each in named if each not in names), None)
    if wrong is not None:
        raise mistake(f"{name} has no argument '{wrong}'", f"it has {', '.join(names) or 'none'}")
    if len(values) > len(names) and not any(slot.rest for slot in slots):
        raise mistake(f"{name} takes {len(names)} arguments, found {len(values)}")
    free = [slot for slot in slots if slot.name not in named]
    missing = [slot.name for slot in free[len(values) :] if slot.required and not slot.named]
    if missing:
        raise mistake(f"{name} needs the argument '{missing[0]}'", f"it has {', '.join(names)}")


def loss(name: str) -> Callable[..., Loss]:
    """Return the function that makes losses of a name."""
    slots = LOSSES[name].slots[2:]

    def make(*values: Any, target: str | None = None, **named: Any) -> Loss:
        _known(name, slots, values, named)
        if target is not None and not (isinstance(target, str) and target.isidentifier()):
            raise mistake(f"a target has a name, found {target!r:.80}", "as in target='z'")
        return Loss(name, values, named, target)

    make.__name__ = name
    make.__doc__ = (
        f"Return the loss ``{name}`` of the language, with {_told(slots)}. ``target`` is the name of the "
        "target, by default ``y``, or that of an input that is to be given back. Raises DiagnosticError for "
        "other arguments, and where they are no numbers once the text is written."
    )
    return make


def set_(name: str) -> Callable[..., Set]:
    """Return the function that makes sets of a name."""
    slots = SETS[name].slots

    def make(*values: Any, **named: Any) -> Set:
        _known(name, slots, values, named)
        return Set(name, values, named)

    make.__name__ = name
    make.__doc__ = (
        f"Return the set ``{name}`` of the language, with {_told(slots)}. Raises DiagnosticError for other "
        "arguments, and where they are no numbers once the text is written."
    )
    return make


def equal(*values: Any, target: str | None = None, **named: Any) -> Set | Loss:
    """Return the set of one value, ``equal(0.5)``; without a value the loss that asks for the target."""
    if values or named:
        return set_("equal")(*values, **named)
    return loss("equal")(target=target)


def _told(slots: Sequence[Any]) -> str:
    return ", ".join(slot.name for slot in slots) or "no arguments"


ASKS: dict[str, Callable[..., Any]] = {
    **{name: set_(name) for name in SETS},
    **{name: loss(name) for name in LOSSES},
    "equal": equal,
}
"""What makes losses and sets, by name."""


def __getattr__(name: str) -> Callable[..., Any]:
    if name not in ASKS:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return ASKS[name]
