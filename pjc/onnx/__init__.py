"""ONNX models: in, as texts of the language, and out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pjc.diagnostics import Diagnostic, DiagnosticError


@contextmanager
def needs_onnx(what: str) -> Iterator[None]:
    """Say how to get the package onnx where it is missing."""
    try:
        yield
    except ImportError as error:
        if not (error.name or "").startswith(("onnx", "google")):
            raise
        raise DiagnosticError(
            [Diagnostic(f"{what} needs the package onnx", None, "pip install 'pjc[onnx]'")]
        ) from error
