"""What pjc says of a mistake: where, what was found and expected, and what to do; the one way to fail.

Imports nothing else of pjc but the codes of mistakes, so that every room of it can raise what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pjc.codes import code_of_traceback

E = TypeVar("E", bound=BaseException)


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
    """One mistake: a sentence, its place if it has one, and what to do if that is known.

    ``code`` is that of its kind; without one it has that of the error that it is raised in.
    """

    message: str
    span: Span | None = None
    hint: str | None = None
    code: str | None = None

    def render(self, source: str | None = None) -> str:
        """Return ``file:line:column: error[CODE]: message``, the line, a caret and the hint, all printable.

        ``source`` is the text of the span's file; without it the line is left out.
        """
        if self.span is None:
            lines = [f"{severity(self.code)}: {self.message}"]
        else:
            span = self.span
            lines = [f"{span.file}:{span.line}:{span.column}: {severity(self.code)}: {self.message}"]
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


def severity(code: str | None) -> str:
    """Return what a printed mistake begins with, behind its place."""
    return "error" if code is None else f"error[{code}]"


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
    is printable, wherever the names and words in it come from. ``code`` is that of its kind, which
    ``pjc explain`` tells more of; None as long as it was not raised.
    """

    @property
    def code(self) -> str | None:
        """The code of its kind."""
        return code_of(self)

    def __str__(self) -> str:
        return printable(super().__str__())


class CommandError(PjcError):
    """A mistake in what the command line was asked for, which no other part reports."""


class DiagnosticError(PjcError):
    """Raised with every mistake that was found; its text is what the command line prints.

    ``sources`` are the texts of the files, by the name that the spans give them. Its code is that of the
    first mistake.
    """

    def __init__(self, diagnostics: Sequence[Diagnostic], sources: Mapping[str, str] | None = None) -> None:
        self._diagnostics = tuple(diagnostics)
        self.sources = dict(sources or {})
        super().__init__("\n".join(each.message for each in self._diagnostics))

    @property
    def code(self) -> str | None:
        """The code of the first mistake's kind."""
        return next((each.code for each in self.diagnostics), None)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The mistakes, each with its code."""
        own = code_of_traceback(self.__traceback__)
        return tuple(each if each.code else replace(each, code=own) for each in self._diagnostics)

    @property
    def rendered(self) -> tuple[str, ...]:
        """The text of each mistake."""
        return tuple(
            each.render(self.sources.get(each.span.file) if each.span else None) for each in self.diagnostics
        )

    def __str__(self) -> str:
        return "\n".join(self.rendered)


def mistake(message: str, hint: str | None = None, code: str | None = None) -> DiagnosticError:
    """Return the error of one mistake that has no place in a file."""
    return DiagnosticError([Diagnostic(message, None, hint, code)])


def code_of(error: BaseException) -> str | None:
    """Return the code of an error's kind: its own, or that of where it was raised; None if there is none."""
    if isinstance(error, DiagnosticError):
        return error.code
    given: str | None = getattr(error, _GIVEN, None)
    return given or code_of_traceback(error.__traceback__)


def of_kind(code: str | None, error: E) -> E:
    """Return an error that is to have a code, whoever raises it: of what it says in other words, often."""
    setattr(error, _GIVEN, code)
    return error


_GIVEN = "pjc_code"
