"""IR as text: what is taken for it, and how it is read and checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pjc.diagnostics import Diagnostic, DiagnosticError, Span, mistake
from pjc.reading import reading
from pjc.stage_names import STARTS

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp
    from xdsl.ir import Block, Operation, SSAValue

_ROOTS = dict(zip(("net.network", "feas.problem", "proj.program"), STARTS, strict=True))
"""The stage of each operation that a module may hold."""
_OPENINGS = ("builtin.module", "module", *_ROOTS)

_APART = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|[^\x00-\x7f]')
"""Strings and comments, which may hold any character, and characters that are not ASCII."""


def looks_like_ir(text: str) -> bool:
    """Return whether a text holds IR: its first words that are no comment are an operation's."""
    for line in text.splitlines():
        words = line.strip()
        if words and not words.startswith(("//", "!", "#")):  # comments and aliases
            return re.match(rf'"?({"|".join(map(re.escape, _OPENINGS))})(?![\w.])', words) is not None
    return False


def parse_ir(text: str, file: str) -> ModuleOp:
    """Return the module of a text in MLIR's syntax, verified.

    Raises:
        DiagnosticError: if it cannot be parsed, breaks a rule of its dialects, or uses a value before it is
            defined.
    """
    from xdsl.dialects.builtin import ModuleOp
    from xdsl.parser import Parser
    from xdsl.utils.exceptions import ParseError, VerifyException

    from pjc.universe import context

    with reading(file, "IR", mistake):
        _require_plain_digits(text, file)
        module: ModuleOp | None = None
        try:
            found = Parser(context(), text, file).parse_module()
            module = found if isinstance(found, ModuleOp) else ModuleOp([found])
            module.verify()
        except ParseError as error:
            place = error.span.get_location()
            width = max(1, error.span.end - error.span.start)
            span = Span(file, place.line, place.col, place.line, place.col + width)
            raise DiagnosticError([Diagnostic(error.msg, span)], {file: text}) from error
        except VerifyException as error:
            raise mistake(f"{file}: {' '.join(str(error).split())}", _where(module)) from error
    for block in module.body.blocks:
        _require_order(block, set(), file)
    return module


def _require_plain_digits(text: str, file: str) -> None:
    """Raise DiagnosticError at a digit that is not ASCII: the parser takes some for numbers."""
    for found in _APART.finditer(text):
        if found[0].isnumeric():
            line = text.count("\n", 0, found.start()) + 1
            column = found.start() - text.rfind("\n", 0, found.start())
            span = Span(file, line, column, line, column + 1)
            message = f"unexpected character {found[0]!r}: numbers are ASCII decimals"
            raise DiagnosticError([Diagnostic(message, span)], {file: text})


def _where(module: ModuleOp | None) -> str | None:
    """Return a hint with the first operation that breaks a rule; None if it is not known."""
    from xdsl.utils.exceptions import VerifyException

    for op in () if module is None else module.walk():
        try:
            op.verify(verify_nested_ops=False)
        except VerifyException:
            return f"in {_line(op)}"
    return None


def _line(op: Operation) -> str:
    """Return the first line of an operation, cut to a readable width."""
    line = str(op).splitlines()[0]
    return line if len(line) <= 100 else f"{line[:97]}..."


def _require_order(block: Block, known: set[SSAValue], file: str) -> None:
    """Raise DiagnosticError if an operation uses a value before its definition.

    The entries of a loop's iterations come from the ones before, so those of a problem, which stand side by
    side, make a circle through ``view.shift``.
    """
    from pjc.dialects.view import ShiftOp

    known = known.union(block.args)
    for op in block.ops:
        for value in op.operands:
            if value not in known and not isinstance(op, ShiftOp):
                name = f"%{value.name_hint}" if value.name_hint else "a value"
                raise mistake(f"{file}: {name} is used before it is defined", f"in {_line(op)}")
        for region in op.regions:
            for inner in region.blocks:
                _require_order(inner, known, file)
        known.update(op.results)


def stage_of(module: ModuleOp, file: str) -> str:
    """Return the stage that a module stands at; raise DiagnosticError if it holds no network, or several."""
    found = [op.name for op in module.ops]
    if len(found) != 1 or found[0] not in _ROOTS:
        held = ", ".join(found[:5]) or "nothing"
        raise mistake(f"{file} should hold one of {', '.join(_ROOTS)}, and it holds {held}")
    return _ROOTS[found[0]]
