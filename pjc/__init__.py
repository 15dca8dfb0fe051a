"""pjc: a compiler that trains neural networks by projections instead of gradients.

``pjc.compile("model.pjn")`` returns a :class:`pjc.runtime.program.Program`; ``pjc.load("model.pjx")``
reads one back. Names are imported when first used, so that ``import pjc`` costs nothing.
"""

import os
from importlib import import_module

TYPE_CHECKING = False  # typing's own takes longer to import than the command line to hear of signals
if TYPE_CHECKING:
    from typing import Any

    from pjc import callbacks, sklearn
    from pjc.api import compile, load, network, trace
    from pjc.callbacks import TrainingWarning
    from pjc.diagnostics import Diagnostic, DiagnosticError, PjcError
    from pjc.driver import compile_file
    from pjc.fit import Fit
    from pjc.operators import operator
    from pjc.options import Options
    from pjc.runtime.program import Program
    from pjc.runtime.trace import read_trace
    from pjc.solving import Solution, solve
    from pjc.training import train

__version__ = "0.1.0"

LOSSES = ("class_margin", "cross_entropy", "hinge", "margin", "multi_label", "squared_error")
VOCABULARY = ("quantize", "require", "round", "sign", "step", "sum_relu")
TYPES = ("f32", "f64", "i32")

__all__ = [
    "Diagnostic",
    "DiagnosticError",
    "Fit",
    "Options",
    "PjcError",
    "Program",
    "Solution",
    "TrainingWarning",
    "callbacks",
    "compile",
    "compile_file",
    "load",
    "network",
    "operator",
    "read_trace",
    "sklearn",
    "solve",
    "trace",
    "train",
    *LOSSES,
    *VOCABULARY,
    *TYPES,
]

_HOMES = {
    "Diagnostic": "pjc.diagnostics",
    "DiagnosticError": "pjc.diagnostics",
    "Fit": "pjc.fit",
    "Options": "pjc.options",
    "PjcError": "pjc.diagnostics",
    "Program": "pjc.runtime.program",
    "Solution": "pjc.solving",
    "TrainingWarning": "pjc.callbacks",
    "compile": "pjc.api",
    "compile_file": "pjc.driver",
    "load": "pjc.api",
    "network": "pjc.api",
    "operator": "pjc.operators",
    "read_trace": "pjc.runtime.trace",
    "solve": "pjc.solving",
    "trace": "pjc.api",
    "train": "pjc.training",
    **dict.fromkeys((*LOSSES, "equal"), "pjc.tracing.asks"),
    **dict.fromkeys(VOCABULARY, "pjc.tracing.vocabulary"),
    **dict.fromkeys(TYPES, "pjc.tracing.specs"),
}

_MODULES = ("callbacks", "sklearn")
"""The modules that are used by their names, as in ``pjc.callbacks.EarlyStopping``."""

# In a checkout the sibling packages stand beside this folder, in a wheel inside it.
_here = os.path.dirname(os.path.realpath(__file__))
_root = os.path.dirname(_here)
if not os.path.isdir(os.path.join(_here, "dialects")) and os.path.isfile(
    os.path.join(_root, "pyproject.toml")
):
    __path__.append(_root)


def __getattr__(name: str) -> "Any":
    if name in _MODULES:
        return import_module(f"pjc.{name}")
    if name == "SETS":
        return tuple(import_module("pjc.dialects.sets").SETS)
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if not name.startswith("_") and name in __getattr__("SETS"):
        return getattr(import_module("pjc.tracing.asks"), name)
    raise AttributeError(f"module 'pjc' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "SETS", *__getattr__("SETS")})
