"""Tokens to logical lines: newlines that end no statement go, and every bracket gets its partner.

The parser reads the pieces one after another. A piece is a statement, or ``def f(x) {``, or ``}``; it
is also what is left out when it holds a mistake, so that the rest of the file can still be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lark import Token

from pjc.codes import CHARACTERS
from pjc.diagnostics import Diagnostic, Span

BASES = ("NAME", "RPAR", "RSQB")
"""What a bracket follows that calls or indexes it."""
CLOSING = {"LPAR": "RPAR", "LSQB": "RSQB"}
PLAIN = ("NUMBER", "COMMA")
"""What neither ends a piece nor begins a statement."""
LEAST_RUN = 4
"""Fewer numbers in brackets are parsed one by one."""

PARTNER = {"(": ")", "[": "]", "{": "}"}
STATEMENTS = ("use", "const", "input", "target", "param", "def", "for", "return", "output", "require")

MAX_BRACKETS = 40
"""Deeper brackets are refused, so that no pass over the tree needs a deep stack."""


@dataclass(eq=False)
class Piece:
    """The tokens of a logical line, and the piece that holds the partner of its brace."""

    tokens: list[Token] = field(default_factory=list)
    partner: Piece | None = None


class Run(Token):
    """The tokens of the numbers in a tuple or a list as one, which is parsed much faster."""

    tokens: list[Token]


def with_runs(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens of a piece with one token each for the numbers of long tuples of numbers alone."""
    found: list[Token] = []
    start = 0
    for opening, closing in _number_lists(tokens):
        inner = list(tokens[opening + 1 : closing])
        run = Run.new_borrow_pos("NUMBERS", "", inner[0])
        run.end_line, run.end_column = inner[-1].end_line, inner[-1].end_column
        run.end_pos, run.tokens = inner[-1].end_pos, inner
        found += [*tokens[start : opening + 1], run]
        start = closing
    return [*found, *tokens[start:]]


def _number_lists(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """Yield the places of the brackets around two numbers or more, of tuples and lists, not of calls."""
    opening, state, count = -1, "", 0
    before = ""
    for place, token in enumerate(tokens):
        kind = token.type
        if kind in ("LPAR", "LSQB"):
            opening, state, count = (place, "open", 0) if before not in BASES else (-1, "", 0)
        elif opening < 0:
            pass
        elif kind == "NUMBER" and state in ("open", "minus", "comma"):
            state, count = "number", count + 1
        elif kind == "MINUS" and state in ("open", "comma"):
            state = "minus"
        elif kind == "COMMA" and state == "number":
            state = "comma"
        else:
            closes = kind == CLOSING.get(tokens[opening].type)
            if closes and state in ("number", "comma") and count >= LEAST_RUN:
                yield opening, place
            opening = -1
        before = kind


def span_of(token: Token, file: str) -> Span:
    """Return where a token stands; a newline takes one column."""
    line, column = token.line or 1, token.column or 1
    return Span(file, line, column, line, column + max(1, len(token.strip())))


class Layout:
    """One walk over the tokens of a file; ``pieces`` and ``errors`` are what it finds."""

    def __init__(self, tokens: Sequence[Token], file: str) -> None:
        self.tokens = tokens
        self.file = file
        self.pieces: list[Piece] = []
        self.errors: list[Diagnostic] = []
        self.braces: list[tuple[Token, Piece | None]] = []
        self.brackets: list[tuple[Token, int]] = []
        self.current: list[Token] = []
        self.position = 0
        while self.position < len(tokens):
            self._step(tokens[self.position])
        self._finish()

    def _step(self, token: Token) -> None:
        """Take one token."""
        here = self.position
        self.position += 1
        if token.type in PLAIN:
            self.current.append(token)
            return
        first = here == 0 or self.tokens[here - 1].type == "_NEWLINE"
        if self.brackets and (token in ("{", "}") or (first and token in STATEMENTS)):
            self._unclosed()
        elif token.type == "_NEWLINE":
            if not self.brackets:
                self._end_line(token)
        elif token.type == "UNEXPECTED":
            self._unexpected(token)
        elif token in ("(", "["):
            self.current.append(token)
            self.brackets.append((token, here))
            if len(self.brackets) == MAX_BRACKETS + 1:
                self._error(f"brackets are nested more than {MAX_BRACKETS} deep", token)
                self._skip_line()
        elif token in (")", "]"):
            self._close(token)
        elif token == "{":
            self.current.append(token)
            self._open_block(token, keep=True)
        elif token == "}":
            self._close_block(token)
        else:
            self.current.append(token)

    def _error(self, message: str, token: Token, hint: str | None = None) -> None:
        self.errors.append(Diagnostic(message, span_of(token, self.file), hint, CHARACTERS))

    def _end_line(self, newline: Token) -> None:
        """End the current piece, if it holds anything."""
        if self.current:
            self.pieces.append(Piece([*self.current, newline]))
            self.current = []

    def _skip_line(self) -> None:
        """Leave out the current piece and the rest of its line, which holds a mistake.

        The line that is meant is the one of the outermost open bracket, so that the lines below it
        are read again. A block that the line opens is still a block: its end is left out with it.
        """
        if self.brackets:
            self.position = self.brackets[0][1] + 1
        self.current, self.brackets = [], []
        opened: list[Token] = []
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            if token.type == "_NEWLINE" or (token == "}" and not opened):
                break
            self.position += 1
            if token == "{":
                opened.append(token)
            elif token == "}":
                opened.pop()
        for brace in opened:
            self._open_block(brace, keep=False)

    def _unexpected(self, token: Token) -> None:
        shown = f"'{token}'" if token.isprintable() else f"U+{ord(token):04X}"
        hints = {
            '"': "the language has no strings",
            "'": "the language has no strings",
            ";": "a newline ends a statement",
            "%": "a comment starts with #",
        }
        self._error(f"unexpected character {shown}", token, hints.get(token))
        self._skip_line()

    def _unclosed(self) -> None:
        bracket = self.brackets[-1][0]
        self._error(f"'{bracket}' is never closed", bracket, f"add a '{PARTNER[bracket]}'")
        trigger = self.position - 1
        self._skip_line()
        while self.position < trigger and not self._starts_statement(self.position):
            self.position += 1

    def _starts_statement(self, position: int) -> bool:
        """Return whether a line begins here that looks like a statement, not like an operand."""
        if position and self.tokens[position - 1].type != "_NEWLINE":
            return False
        two = [token.type for token in self.tokens[position : position + 2]]
        known = self.tokens[position] in (*STATEMENTS, "}")
        return known or two in (["NAME", "EQUAL"], ["NAME", "NAME"])

    def _close(self, token: Token) -> None:
        """Take a ``)`` or ``]``."""
        if not self.brackets:
            self._error(f"nothing is open that '{token}' could close", token)
            self._skip_line()
            return
        opening = self.brackets[-1][0]
        if PARTNER[opening] != token:
            expected = f"expected '{PARTNER[opening]}' to close the '{opening}'"
            self._error(f"{expected} of line {opening.line}, found '{token}'", token)
            self._skip_line()
            return
        self.brackets.pop()
        self.current.append(token)

    def _open_block(self, brace: Token, *, keep: bool) -> None:
        piece = Piece(self.current) if keep else None
        if piece is not None:
            self.pieces.append(piece)
        self.current = []
        self.braces.append((brace, piece))

    def _close_block(self, token: Token) -> None:
        newline = Token.new_borrow_pos("_NEWLINE", "\n", token)
        self._end_line(newline)
        if not self.braces:
            self._error("nothing is open that '}' could close", token)
            self._skip_line()
            return
        _, opening = self.braces.pop()
        if opening is not None:
            closing = Piece([token, newline])
            opening.partner = closing
            self.pieces.append(closing)

    def _finish(self) -> None:
        """End the file: whatever is still open gets its end, and a mistake is noted."""
        while self.brackets:
            self.position += 1  # as if a token had been read
            self._unclosed()
            while self.position < len(self.tokens):
                self._step(self.tokens[self.position])
        last = self.tokens[-1] if self.tokens else Token("_NEWLINE", "\n", 0, 1, 1)
        self._end_line(Token.new_borrow_pos("_NEWLINE", "\n", last))
        while self.braces:
            brace = self.braces[-1][0]
            if self.braces[-1][1] is not None:
                self._error("'{' is never closed", brace, "add a '}'")
            self._close_block(Token.new_borrow_pos("RBRACE", "}", last))
