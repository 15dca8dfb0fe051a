"""Python files that a command line names: ``FILE.py:NAME`` is a network, and the file is run to have it.

Loads nothing heavy: commands ask for the names of files before anything else.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from pjc.diagnostics import Diagnostic, DiagnosticError, PjcError, Span, code_of, mistake
from pjc.reading import measured, reason

T = TypeVar("T")


@dataclass(frozen=True)
class PythonName:
    """What a command line calls a network in a Python file: ``FILE.py:NAME``; no name where none is given."""

    file: Path
    name: str | None

    @classmethod
    def of(cls, text: str | Path) -> PythonName | None:
        """Return what a text names; None where it is no Python file."""
        file, ending, name = str(text).rpartition(".py:")
        if ending:
            return cls(Path(f"{file}.py"), name or None)
        return cls(Path(text), None) if str(text).endswith(".py") else None


def file_of(model: str | Path) -> Path:
    """Return the file that a model is in, as a command line names it."""
    named = PythonName.of(model)
    return Path(model) if named is None else named.file


def stem_of(model: str | Path) -> str:
    """Return what files that are made of a model are called, without their endings."""
    named = PythonName.of(model)
    if named is None or named.name is None:
        return file_of(model).stem
    return f"{named.file.stem}_{named.name}"


def run(path: Path) -> ModuleType:
    """Run a Python file, and return its module; it finds the modules beside it.

    What it prints goes to stderr: stdout is for what a command is asked to print.

    Raises:
        DiagnosticError: if there is no such file; for whatever it raises, with the line of the file.
    """
    measured(path, error=mistake)
    spec = importlib.util.spec_from_file_location(f"pjc_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise mistake(f"{path} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles look a module up by its name
    calling(path, lambda: spec.loader.exec_module(module), str(path))  # type: ignore[union-attr]
    return module


def calling(path: Path, function: Callable[[], T], what: str) -> T:
    """Return what a function of a Python file returns.

    Raises:
        DiagnosticError: for whatever it raises, with the line of the file.
    """
    try:
        with _beside(path), redirect_stdout(sys.stderr):
            return function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the user's code raises
        raise DiagnosticError(
            _told(path, error, what), {str(path): path.read_text("utf-8", "replace"), **_sources(error)}
        ) from error


def _told(path: Path, error: BaseException, what: str) -> list[Diagnostic]:
    """Return what an error says; pjc's own mistakes as they are, at the line that made them."""
    place = _place(path, error)
    if isinstance(error, DiagnosticError):
        return [replace(each, span=each.span or place) for each in error.diagnostics]
    return [Diagnostic(f"{what} fails: {type(error).__name__}: {reason(error)}", place, code=_code(error))]


def _code(error: BaseException) -> str | None:
    return code_of(error) if isinstance(error, PjcError) else None


def _sources(error: BaseException) -> dict[str, str]:
    return error.sources if isinstance(error, DiagnosticError) else {}


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Within it, modules are found beside a file first, as Python finds those of a script."""
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _place(path: Path, error: BaseException) -> Span | None:
    """Return the innermost place in the file that an error comes from."""
    own = os.path.abspath(path)
    if isinstance(error, SyntaxError) and error.filename == own and error.lineno:
        column = error.offset or 1
        return Span(str(path), error.lineno, column, error.lineno, max(column + 1, error.end_offset or 0))
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename == own]
    if not frames or frames[-1].lineno is None:
        return None
    last = frames[-1]
    column = (last.colno or 0) + 1
    end = (last.end_colno or column) + 1
    return Span(str(path), last.lineno, column, last.end_lineno or last.lineno, end)  # type: ignore[arg-type]
