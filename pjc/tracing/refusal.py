"""What of a function cannot be compiled, where it stands in the user's source, and what to use instead."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

from pjc.diagnostics import Diagnostic, DiagnosticError, code_of, printable
from pjc.standins import StandIn, standin


class Refused(Exception):
    """An equation that has no counterpart; the text says why, ``hint`` what could be done."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


LIBRARIES = ("jax", "jaxlib", "flax", "equinox", "haiku", "optax", "jaxtyping")
"""Packages whose lines are not the user's."""
MAX_LINES = 5


@dataclass(frozen=True)
class Origin:
    """Where an equation comes from: the user's line, and the library's functions that it went through."""

    line: str
    through: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """A call in a jaxpr: the name of what is called, and where that is."""

    name: str
    origin: Origin


def _roots() -> tuple[str, ...]:
    here = os.path.dirname(os.path.abspath(jax.__file__))
    site = os.path.dirname(here)
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return (own + os.sep, *(os.path.join(site, name) + os.sep for name in LIBRARIES))


ROOTS = _roots()


def origin(eqn: Any, calls: Sequence[Call] = ()) -> Origin:
    """Return where an equation comes from.

    JAX keeps what it has traced: inside of a library's function an equation knows the first call of it alone,
    so its line is that of the call it is in.
    """
    traceback = eqn.source_info.traceback
    inner = calls[-1] if calls else None
    through: list[str] = []
    for frame in [] if traceback is None else traceback.frames:
        name = frame.function_name.split(".")[-1]
        if not frame.file_name.startswith(ROOTS):
            return Origin(_place(frame.file_name, frame.line_num, name), tuple(through))
        through.append(frame.function_name)
        if inner is not None and name == inner.name:
            break
    if inner is None:
        return Origin("a library", tuple(through))
    return Origin(inner.origin.line, (*through, inner.name, *inner.origin.through))


def raised_at(error: BaseException, fn: Any = None) -> str:
    """Return the user's line that an exception comes from; that of a function where it is a library's own."""
    code = getattr(inspect.unwrap(fn), "__code__", None) if callable(fn) else None
    found = "a library"
    if code is not None and not code.co_filename.startswith(ROOTS):
        found = _place(code.co_filename, code.co_firstlineno, code.co_name)
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith(ROOTS):
            found = _place(code.co_filename, traceback.tb_lineno, code.co_name)
        traceback = traceback.tb_next
    return found


def _place(file: str, line: int, function: str) -> str:
    place = f"{os.path.basename(file)}:{line}"
    return place if function.startswith("<") else f"{place} in {function}"


@dataclass
class Refusals:
    """All that cannot be compiled, in the order in which it was found."""

    found: dict[tuple[str, str, str | None, str | None], list[str]] = field(default_factory=dict)

    def add(self, what: str, why: str, hint: str | None, line: str, code: str | None) -> None:
        """Note a mistake of the kind of a code; without one it is that of :meth:`raise_if_any`."""
        self.found.setdefault((what, why, hint, code), []).append(line)

    def unknown(self, primitive: str, where: Origin, *, whole: bool = False) -> None:
        """Note a primitive that has no projection; ``whole`` where it is one of whole numbers."""
        if whole:
            hint = "rows of a table can be taken by them, as they are"
            self.refused(primitive, where, Refused("it computes with an input of whole numbers", hint))
            return
        stand_in = standin(primitive, where.through)
        instead = None if stand_in is None else stand_in.jax
        self.add(_called(primitive, stand_in), "it has no projection", instead, where.line, None)

    def refused(self, primitive: str, where: Origin, error: Refused) -> None:
        """Note an equation that has no counterpart; what it is a part of says more of what was meant."""
        stand_in = standin("", where.through)
        hint = error.hint if stand_in is None else stand_in.jax
        self.add(_called(primitive, stand_in), str(error), hint, where.line, code_of(error))

    def raise_if_any(self, name: str) -> None:
        """Raise DiagnosticError that names all of them."""
        if not self.found:
            return
        told = [
            Diagnostic(
                f"{name}: {what}{_times(len(lines))}, {_places(lines)}: {printable(why)}", None, hint, code
            )
            for (what, why, hint, code), lines in self.found.items()
        ]
        raise DiagnosticError(told)


def _called(primitive: str, stand_in: StandIn | None) -> str:
    return primitive if stand_in is None or stand_in.name == primitive else f"{primitive} of {stand_in.name}"


def _times(count: int) -> str:
    return "" if count == 1 else f" ({count} times)"


def _places(lines: Sequence[str]) -> str:
    counts: Mapping[str, int] = {line: lines.count(line) for line in lines}
    shown = list(counts)[:MAX_LINES]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
