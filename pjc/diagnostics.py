"""What pjc says of a mistake: where, what was found and expected, and what to do; the one way to fail.

Imports nothing else of pjc, so that every room of it can raise what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Span:
    """A range of a source file; lines and columns count from 1, the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True)
class Diagnostic:
    """One mistake: a sentence, its place if it has one, and what to do if that is known."""

    message: str
    span: Span | None = None
    hint: str | None = None

    def render(self, source: str | None = None) -> str:
        """Return ``file:line:column: error: message``, the line, a caret and the hint, all printable.

        ``source`` is the text of the span's file; without it the line is left out.
        """
        if self.span is None:
            lines = [f"error: {self.message}"]
        else:
            span = self.span
            lines = [f"{span.file}:{span.line}:{span.column}: error: {self.message}"]
            text = [] if source is None else source.split("\n")
            if span.line <= len(text):
                lines += _excerpt(text[span.line - 1], span)
        if self.hint is not None:
            lines.append(f"hint: {self.hint}")
        return printable("\n".join(lines))


def _excerpt(line: str, span: Span) -> list[str]:
    """Return the source line with a caret under the span, cut to a readable width.

    What cannot be printed is one character there, so that the caret stays under the span.
    """
    line = line.removesuffix("\r").replace("\t", " ")
    width = (span.end_column if span.end_line == span.line else len(line) + 1) - span.column
    start = max(0, span.column - 60)
    shown = "".join(each if each.isprintable() else "\ufffd" for each in line[start : start + 100])
    caret = " " * (span.column - 1 - start) + "^" + "~" * (min(width, 100 - span.column + start) - 1)
    return ["    " + shown, "    " + caret]


def printable(text: str) -> str:
    """Return a text with its control characters as escapes, but for line ends and tabs.

    Names and texts come from others' files; raw, they could move the cursor, or rename the window.
    """
    return "".join(
        each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode()
        for each in text
    )


class PjcError(Exception):
    """A mistake of whoever calls pjc; its text is a sentence that says what was found and what to do.

    The command line prints the text of every such error, and takes any other for a mistake in pjc. Its text
    is printable, wherever the names and words in it come from.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class CommandError(PjcError):
    """A mistake in what the command line was asked for, which no other part reports."""


class DiagnosticError(PjcError):
    """Raised with every mistake that was found; its text is what the command line prints.

    ``sources`` are the texts of the files, by the name that the spans give them. ``rendered`` has the text of
    each mistake.
    """

    def __init__(self, diagnostics: Sequence[Diagnostic], sources: Mapping[str, str] | None = None) -> None:
        self.diagnostics = tuple(diagnostics)
        self.sources = dict(sources or {})
        places = [each.span.file if each.span else "" for each in self.diagnostics]
        self.rendered = tuple(
            each.render(self.sources.get(file)) for each, file in zip(self.diagnostics, places, strict=True)
        )
        super().__init__("\n".join(self.rendered))


def mistake(message: str, hint: str | None = None) -> DiagnosticError:
    """Return the error of one mistake that has no place in a file."""
    return DiagnosticError([Diagnostic(message, None, hint)])
