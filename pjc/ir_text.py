"""IR as text: what is taken for it, and how it is read and checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pjc.diagnostics import Diagnostic, DiagnosticError, Span, mistake
from pjc.reading import reading, reason
from pjc.stage_names import STARTS

if TYPE_CHECKING:
    from xdsl.context import Context
    from xdsl.dialects.builtin import ModuleOp
    from xdsl.ir import Block, Operation, SSAValue

_ROOTS = dict(zip(("net.network", "feas.problem", "proj.program"), STARTS, strict=True))
"""The stage of each operation that a module may hold."""
_OPENINGS = ("builtin.module", "module", *_ROOTS)

_LEXEME = re.compile(
    r"""//[^\n]*
    | "(?:[^"\\\n\v\f]++ | \\(?:["nt\\] | [0-9A-Fa-f]{2}))*+  # a string, without the quote that closes it
    | [%#!^][\w$.-]+ | @?[A-Za-z_][\w$.]*
    | (?P<hex>(?:-\s?)?0x[0-9A-Fa-f]++) | (?P<float>(?:-\s?)?[0-9]++\.[0-9]*(?:[eE][+-]?[0-9]+)?)
    | (?P<int>(?:-\s?)?[0-9]++)
    | (?P<raw>[\x00-\x08\v\f\x0e-\x1f\x7f]|[^\x00-\x7f])""",
    re.VERBOSE | re.ASCII,
)
"""What a text in MLIR's syntax is made of, as far as it can be wrong; anything else is passed over."""
_MLIR = re.compile(
    r"""%[\w$.\#:,%\ ]+=\ *["A-Za-z]  # results, and an operation
    | "[\w$]+(\.[\w$]+)+"\ *\(
    | [A-Za-z_][\w$]*(\.[\w$]+)+(?![\w$]|\ *[-=+*/.,()\[]|\ *@\ )""",
    re.VERBOSE | re.ASCII,
)
"""How the first line of a text in MLIR's syntax begins, and none in pjc's language."""
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_INTEGERS = range(-(2**63), 2**63)


def looks_like_ir(text: str) -> bool:
    """Return whether a text holds IR: its first words that are no comment are an operation's."""
    for line in text.splitlines():
        words = line.strip()
        if words and not words.startswith(("//", "!", "#")):  # comments and aliases
            return re.match(rf'"?({"|".join(map(re.escape, _OPENINGS))})(?![\w.])', words) is not None
    return False


def require_no_mlir(text: str, file: str) -> None:
    """Raise DiagnosticError for a text that should be in pjc's language and is one in MLIR's syntax.

    Such texts begin with an operation, whose name has the name of its dialect before it, or with its results.
    """
    words = next((line for line in map(str.strip, text.splitlines()) if line and line[0] not in "/!#"), "")
    if looks_like_ir(text):
        raise mistake(f"{file} holds IR, and is named as a network in pjc's language", "name it .mlir")
    if _MLIR.match(words) is not None or Path(file).suffix.lower() == ".mlir":
        raise mistake(
            f"{file} looks like MLIR, and holds none of {', '.join(_ROOTS)}, which pjc reads",
            "they are what pjc --emit net, feas or proj writes; a network in pjc's language is named .pjn",
        )


def parse_ir(text: str, file: str) -> ModuleOp:
    """Return the module of a text in MLIR's syntax, verified.

    Raises:
        DiagnosticError: if it cannot be parsed, breaks a rule of its dialects, or uses a value before it is
            defined.
    """
    from xdsl.utils.exceptions import VerifyException

    from pjc.dialects.blame import blamed
    from pjc.universe import context

    with reading(file, "IR", mistake):
        parsed = _parsed(context(), text, file)
        try:
            parsed.module.verify()
        except VerifyException as error:
            raise parsed.wrong(" ".join(str(error).split()), blamed(parsed.module)) from error
    for block in parsed.module.body.blocks:
        _require_order(block, set(), parsed)
    return parsed.module


class _Parsed(NamedTuple):
    """A module, the text and the file that it is of, and where its operations stand in the text."""

    module: ModuleOp
    text: str
    file: str
    places: Mapping[Operation, tuple[int, int]]

    def wrong(self, message: str, op: Operation | None) -> DiagnosticError:
        """Return the error for an operation, with its place if it has one."""
        if op is None or op not in self.places:
            return mistake(f"{self.file}: {message}")
        span = _span(self.text, self.file, *self.places[op])
        return DiagnosticError([Diagnostic(message, span)], {self.file: self.text})


def parse_module(ctx: Context, text: str, file: str, implicit: bool = True) -> ModuleOp:
    """Return the module of a text in MLIR's syntax, not verified.

    Args:
        ctx: the dialects that are known.
        text: the text.
        file: its name in messages.
        implicit: whether the text may leave the module out and hold what is in it.

    Raises:
        DiagnosticError: if it cannot be parsed, with the place.
    """
    return _parsed(ctx, text, file, implicit).module


def _parsed(ctx: Context, text: str, file: str, implicit: bool = True) -> _Parsed:
    """As :func:`parse_module`, with the places of operations."""
    from xdsl.utils.exceptions import ParseError, VerifyException

    from pjc.ir_parser import ExactParser

    found = _wrong_lexeme(text, file)
    if found is not None:
        raise DiagnosticError([found], {file: text})
    parser = ExactParser(ctx, text, file)
    try:
        return _Parsed(parser.parse_module(implicit), text, file, parser.places)
    except ParseError as error:
        place, message = error.span, error.msg
    except (RecursionError, MemoryError):
        raise
    except VerifyException as error:
        place, message = parser._current_token.span, reason(error)
    except Exception as error:  # what xDSL makes of a value that its type cannot hold, among others
        place, message = parser._current_token.span, f"what stands before this is no IR: {reason(error)}"
    raise DiagnosticError([Diagnostic(message, _span(text, file, place.start, place.end))], {file: text})


def _wrong_lexeme(text: str, file: str) -> Diagnostic | None:
    """Return what is wrong with the first lexeme that xDSL's lexer would take badly, None if all are right.

    It looks for the end of a string in time that is exponential in the text where there is none, takes digits
    of other alphabets for numbers, and leaves it to whoever packs an integer to find it too large.
    """
    at = 0
    while (found := _LEXEME.search(text, at)) is not None:
        at = found.end()
        message, start, end = None, found.start(), at
        word = found.group()
        shown = word if len(word) <= 40 else f"{word[:37]}..."
        if word[0] == '"':
            if text[at : at + 1] != '"':
                message, start, end = _wrong_string(text, start, at)
            elif (raw := _CONTROL.search(word)) is not None:
                start = found.start() + raw.start()
                message, end = _unexpected(raw.group()), start + 1
            at += 1
        elif word.startswith("//"):
            pass
        elif found["raw"] is not None:
            message = _unexpected(word)
        elif (found["int"] or found["hex"]) is not None and not _fits(word):
            message = f"the integer {shown} does not fit into 64 bits"
        elif found["float"] is not None and not math.isfinite(float("".join(word.split()))):
            message = f"the number {shown} is too large for 64 bits"
        if message is not None:
            return Diagnostic(message, _span(text, file, start, end))
    return None


def _wrong_string(text: str, start: int, end: int) -> tuple[str, int, int]:
    """Say why a string that begins at ``start`` is not closed at ``end``, and where."""
    if text[end : end + 1] == "\\":
        return 'this is no escape; there are \\" \\n \\t \\\\ and two hexadecimal digits', end, end + 2
    return "this string is not closed on its line", start, start + 1


def _unexpected(character: str) -> str:
    """Say that a character cannot stand where it does."""
    return f"the character U+{ord(character):04X} cannot stand here; in a string an escape can stand for it"


def _fits(word: str) -> bool:
    """Return whether the text of an integer, decimal or hexadecimal, is one of 64 bits."""
    return len(word) <= 80 and int("".join(word.split()), 16 if "x" in word else 10) in _INTEGERS


def _span(text: str, file: str, start: int, end: int) -> Span:
    """Return the place of a range of a text, which is taken to be on one line."""
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    return Span(file, line, column, line, column + max(1, end - start))


def _require_order(block: Block, known: set[SSAValue], parsed: _Parsed) -> None:
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
                raise parsed.wrong(f"{name} is used before it is defined", op)
        for region in op.regions:
            for inner in region.blocks:
                _require_order(inner, known, parsed)
        known.update(op.results)


def stage_of(module: ModuleOp, file: str) -> str:
    """Return the stage that a module stands at; raise DiagnosticError if it holds no network, or several."""
    found = [op.name for op in module.ops]
    if len(found) != 1 or found[0] not in _ROOTS:
        held = ", ".join(found[:5]) or "nothing"
        raise mistake(f"{file} should hold one of {', '.join(_ROOTS)}, and it holds {held}")
    return _ROOTS[found[0]]
