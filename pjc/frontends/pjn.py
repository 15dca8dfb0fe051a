"""Parse .pjn text: lark's lexer and LALR tables, and plain words for what they refuse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from lark import Lark, Token, Tree, UnexpectedToken
from lark.lark import PostLex
from lark.parsers.lalr_interactive_parser import InteractiveParser

from pjc.codes import SYNTAX, TOO_DEEP
from pjc.diagnostics import Diagnostic, DiagnosticError, Span
from pjc.frontends import ast
from pjc.frontends.layout import STATEMENTS, Layout, Piece, span_of, with_runs
from pjc.frontends.names import nearest
from pjc.frontends.tree_builder import build

MAX_ERRORS = 10
"""After so many syntax errors the rest of the file is left unread."""

MAX_DEPTH = 50
"""Deeper expressions are refused, so that no pass over the tree needs a deep stack."""

LINE_BREAKS = dict.fromkeys(map(ord, "\v\f\x1c\x1d\x1e\x85\u2028\u2029"), " ")
"""What str.splitlines takes for the end of a line and the lexer does not."""


class _EveryTerminal(PostLex):
    """Keeps terminals that no rule uses: their tokens are there to be complained of."""

    always_accept = ("UNEXPECTED",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


@cache
def grammar() -> Lark:
    """Return the parser, built once."""
    text = (Path(__file__).parent / "pjn.lark").read_text()
    return Lark(
        text,
        parser="lalr",
        lexer="basic",
        start="file",
        propagate_positions=True,
        maybe_placeholders=False,
        postlex=_EveryTerminal(),
    )


def parse(text: str, file: str) -> ast.File:
    """Return the syntax tree of a .pjn file, or raise with all the syntax errors that are found."""
    source = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    source = source.translate(LINE_BREAKS)
    layout = Layout(_tokens(source), file)
    errors = list(layout.errors)
    tree, pieces = None, layout.pieces
    while tree is None and len(errors) < MAX_ERRORS:
        tree, pieces, error = _read(pieces, file)
        errors += [] if error is None else [error]
    if tree is not None:
        statements, wrong = build(tree, file)
        errors += wrong
        lines = source.split("\n")
        whole = ast.File(Span(file, 1, 1, len(lines), len(lines[-1]) + 1), statements, source)
        errors += _too_deep(whole)
    if errors:
        errors.sort(key=lambda error: (error.span.line, error.span.column) if error.span else (0, 0))
        raise DiagnosticError(errors[:MAX_ERRORS], {file: source})
    return whole


def _tokens(source: str) -> list[Token]:
    return list(grammar().lex(source))


def _read(pieces: Sequence[Piece], file: str) -> tuple[Tree[Token] | None, list[Piece], Diagnostic | None]:
    """Return the tree; or else the pieces without the first that is wrong, and what is wrong."""
    parser = grammar().parse_interactive()
    for piece in pieces:
        for token in with_runs(piece.tokens):
            try:
                parser.feed_token(token)
            except UnexpectedToken as error:
                index = next(at for at, each in enumerate(piece.tokens) if each is token)
                wrong = _diagnose(piece, index, _expected(parser, error), file)
                return None, _without(pieces, piece), wrong
    tree: Tree[Token] = parser.feed_eof()
    return tree, list(pieces), None


def _expected(parser: InteractiveParser, error: UnexpectedToken) -> set[str]:
    """Return the terminals that can come next."""
    accepted: set[str] = parser.accepts()
    return (accepted or set(error.expected)) - {"NUMBERS"}


def _without(pieces: Sequence[Piece], wrong: Piece) -> list[Piece]:
    """Return the pieces without a wrong one, its partner, and a ``{`` put below its ``def``."""
    out = [wrong, wrong.partner]
    below = pieces.index(wrong) + 1
    if wrong.tokens[0] == "def" and below < len(pieces) and pieces[below].tokens[0] == "{":
        out += [pieces[below], pieces[below].partner]
    return [piece for piece in pieces if piece not in out]


def _diagnose(piece: Piece, index: int, expected: Iterable[str], file: str) -> Diagnostic:
    """Say what was found at a token of a piece, and what was expected."""
    token, first = piece.tokens[index], piece.tokens[0]
    span = span_of(token, file)
    if token in STATEMENTS and index > 0:
        message = f"'{token}' is a word of the language and can be no name"
        after = piece.tokens[index - 1]
        if after in STATEMENTS or "NAME" in expected:
            return Diagnostic(message, span, "choose another name", SYNTAX)
    if first.type == "NAME" and index == 1 and token.type in ("NAME", "NUMBER"):
        close = nearest(first, STATEMENTS)
        return Diagnostic(f"unknown statement '{first}'", span_of(first, file), close, SYNTAX)
    found = "the end of the line" if token.type == "_NEWLINE" else f"'{token}'"
    hint = None
    if token.type == "_NEWLINE" and first == "param" and expected_words(expected) == "'='":
        hint = "a parameter needs an initializer, like '= he_normal'"
    if token.type == "_NEWLINE" and first in ("def", "for"):
        hint = "the '{' of a block stands at the end of its first line"
    return Diagnostic(f"expected {expected_words(expected)}, found {found}", span, hint, SYNTAX)


WORDS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "_NEWLINE": "the end of the line",
    "$END": "the end of the file",
    "EQUAL": "'='",
    "COLON": "':'",
    "COMMA": "','",
    "LPAR": "'('",
    "RPAR": "')'",
    "LSQB": "'['",
    "RSQB": "']'",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "DOT": "'.'",
    "__ANON_0": "'..'",
    "__ANON_1": "'...'",
    "PLUS": "'+'",
    "MINUS": "'-'",
    "STAR": "'*'",
    "SLASH": "'/'",
    "SLASHSLASH": "'//'",
    "AT": "'@'",
    "IN": "'in'",
}
OPERAND = {"NAME", "NUMBER", "MINUS", "LPAR", "LSQB"}
OPERATORS = {"PLUS", "MINUS", "STAR", "SLASH", "SLASHSLASH", "AT", "LPAR", "LSQB", "DOT"}


def expected_words(expected: Iterable[str]) -> str:
    """Return the terminals in plain words: ``a name, ',' or ')'``."""
    left = set(expected)
    words = []
    if {word.upper() for word in STATEMENTS} <= left:
        words.append("a statement")
        left -= {word.upper() for word in STATEMENTS} | OPERAND
    if left >= OPERAND:
        words.append("an expression")
        left -= OPERAND
    if left > OPERATORS or left - OPERATORS:
        left -= OPERATORS if left >= OPERATORS - {"LPAR", "LSQB", "DOT"} else set()
    words += [WORDS.get(name, name.lower()) for name in sorted(left, key=list(WORDS).index)]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def _too_deep(tree: ast.Node) -> list[Diagnostic]:
    """Return a complaint if expressions are nested too deep."""
    stack = [(0, tree)]
    while stack:
        depth, node = stack.pop()
        if depth > MAX_DEPTH:
            message = f"this is nested more than {MAX_DEPTH} levels deep"
            return [Diagnostic(message, node.span, code=TOO_DEEP)]
        if not isinstance(node, ast.Number):
            stack += [(depth + 1, child) for _, child in ast.children(node)]
    return []
