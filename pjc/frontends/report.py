"""Gathers the mistakes of a file, so that they can be reported all at once."""

from __future__ import annotations

from pjc.diagnostics import Diagnostic, DiagnosticError, Span

MAX_ERRORS = 50


class Report:
    """The mistakes found so far; at most one is kept for a place of a file.

    ``sources`` are the texts of the files by name, the one that is compiled first.
    """

    def __init__(self, file: str, source: str) -> None:
        self.sources = {file: source}
        self.errors: dict[object, Diagnostic] = {}

    def add(self, message: str, span: Span | None, hint: str | None, code: str | None) -> None:
        """Note a mistake of the kind of a code, and give up if there are very many."""
        key: object = message if span is None else span
        self.errors.setdefault(key, Diagnostic(message, span, hint, code))
        if len(self.errors) >= MAX_ERRORS:
            self.finish()

    def finish(self) -> None:
        """Raise with all the mistakes, in the order of the files, if there are any."""
        if self.errors:
            raise DiagnosticError(sorted(self.errors.values(), key=self._place), self.sources)

    def give_up(self, message: str, span: Span | None, hint: str | None, code: str | None) -> None:
        """Note a mistake that makes going on useless, and raise."""
        self.add(message, span, hint, code)
        self.finish()

    def _place(self, error: Diagnostic) -> tuple[int, int, int]:
        if error.span is None:
            return 0, 0, 0
        return list(self.sources).index(error.span.file), error.span.line, error.span.column
