"""How to compile, once: each option of the compiler is a field of :class:`Options`.

The command line, the checks and the signature of ``pjc.compile``, what a resumed run compares, the record
in a ``.pjx`` and docs/options.md derive from the fields.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pjc.diagnostics import mistake
from pjc.dialects.forms import FORMS
from pjc.fields import MAX_NUMBER, Choice, Kind, Number, Switch, Text, option, options_of, plain
from pjc.mesh import parse_mesh
from pjc.numerals import decimal, whole
from pjc.outer_options import OuterOptions
from pjc.passes.solvers import Solver, of_kind
from pjc.runtime.outer_settings import RATED, outer_of
from pjc.runtime.products import PRODUCTS

DTYPES = ("f32", "f64")
COPIES = ("auto", *FORMS)
LOSSES = ("cross_entropy", "margin", "squared_error")
"""Those that a network without a loss can be given with ``--loss``."""
ITERATIONS = 50
"""How many iterations an update has, of a solver that iterates, where nothing is said."""
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class Bytes(Kind):
    """A number of bytes; as text with K, M, G or T for powers of 1024."""

    metavar = "SIZE"

    @property
    def wanted(self) -> str:
        return "a number of bytes such as 8G"

    def read(self, text: str) -> int:
        unit = _UNITS.get(text[-1:].upper())
        size = decimal(text) if unit is None else decimal(text[:-1]) * unit
        if not math.isfinite(size):
            raise ValueError
        return self.check(int(size))

    def check(self, value: Any) -> int:
        if isinstance(value, str):
            return self.read(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
            raise ValueError
        return value


class CopiesKind(Kind):
    """Forms of copies: one word, or several; LABEL=FORM is for one dot."""

    metavar = "FORM"
    repeated = True

    @property
    def wanted(self) -> str:
        return f"{', '.join(COPIES)} or LABEL=FORM"

    def check(self, value: Any) -> tuple[str, ...]:
        words = (value,) if isinstance(value, str) else tuple(value)
        for word in words:
            if not isinstance(word, str):
                raise ValueError
            label, equals, form = word.rpartition("=")
            if form not in (FORMS if equals else COPIES) or (equals and not label):
                raise mistake(f"unknown copies '{word}'", f"known are {', '.join(COPIES)} and LABEL=FORM")
        return words

    def plain(self, value: Any) -> list[str]:
        return list(value)


class Defines(Kind):
    """Numbers for the constants and open dimensions of a file, by name."""

    metavar = "NAME=VALUE"
    repeated = True

    @property
    def wanted(self) -> str:
        return "a number by name, as in {'hidden': 256}"

    def read(self, text: Any) -> dict[str, int | float]:
        return dict(parse_define(each) for each in text)

    def check(self, value: Any) -> dict[str, int | float]:
        if not isinstance(value, Mapping):
            raise ValueError
        for name, number in value.items():
            if not isinstance(name, str) or isinstance(number, bool) or not isinstance(number, int | float):
                raise ValueError
            if not math.isfinite(number) or abs(number) > MAX_NUMBER:
                raise ValueError
        return dict(value)


class MeshKind(Kind):
    """The sizes of a mesh's axes, or auto."""

    metavar = "AXES"

    @property
    def wanted(self) -> str:
        return "a mesh as in sample=4,feature=2,stack=2, or auto"

    def check(self, value: Any) -> dict[str, int] | str | None:
        return parse_mesh(value)


def parse_define(text: str) -> tuple[str, int | float]:
    """Return the name and the number of ``hidden=256``, or raise DiagnosticError."""
    found = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*=\s*([-+.\w]+)\s*", text, re.ASCII)
    value: int | float | None = None
    if found is not None and len(found[2]) < 40:
        for kind in (whole, decimal):
            try:
                value = kind(found[2])
                break
            except ValueError:
                continue
    if found is None or value is None or not math.isfinite(value) or abs(value) > MAX_NUMBER:
        raise mistake(f"expected NAME=NUMBER after -D, found '{text[:80]}'", "like -D hidden=256")
    return found[1], value


_ONNX = "ONNX models (pip install 'pjc[onnx]')"


@dataclass(frozen=True, kw_only=True)
class Options(OuterOptions):
    """How to compile; docs/options.md lists the options. Those that a source does not use are refused.

    Raises:
        DiagnosticError: for a value that is out of its range, and for values that do not go together.
    """

    iterations: int | None = option(
        None,
        kind=Number(whole=True, low=1),
        help=lambda: f"iterations on a batch, of {', '.join(of_kind(outer=False))}",
        shown=str(ITERATIONS),
        group="solver",
        since="placed",
    )
    level: int = option(
        2,
        kind=Choice((0, 1, 2)),
        flags=("-O", "--level"),
        help="0: hold all copies; 1: exact fused forms; 2: also approximate ones",
        group="compiler",
        since="net",
        until="feas",
    )
    copies: str | Sequence[str] = option(
        ("auto",),
        kind=CopiesKind(),
        help=f"{', '.join(COPIES)}: wherever it applies; LABEL=FORM: for one dot",
        group="compiler",
        since="proj",
        until="feas",
    )
    products: str = option(
        "f32",
        kind=Choice(tuple(PRODUCTS)),
        help="what matrix products round their factors to, on GPUs and TPUs",
        group="compiler",
        since="stablehlo",
    )
    memory: int | str | None = option(
        None,
        kind=Bytes(),
        help="of the device that runs the solver, such as 8G, 0 for any: copies are held where they fit",
        shown="that of the first device here",
        group="compiler",
        since="proj",
    )
    unroll: bool = option(
        False,
        kind=Switch(),
        help="unroll loops, rather than project all their iterations at once",
        group="compiler",
        since="net",
        until="net",
    )
    mesh: str | Mapping[str, int] | None = option(
        None,
        kind=MeshKind(),
        help="sample=N,feature=N,stack=N, any of them: devices that split batch rows, output columns, the "
        "iterations of loops; or auto",
        shown="one device; see docs/parallel.md",
        group="devices",
        compared=False,
        since="placed",
    )
    batch: int | None = option(
        None,
        kind=Number(whole=True, low=1),
        help="samples in a batch",
        shown="the file's, or 64",
        group="network",
        since="net",
    )
    dtype: str = option("f32", kind=Choice(DTYPES), help="type of the numbers", group="network", since="net")
    defines: Mapping[str, int | float] = option(
        {},
        kind=Defines(),
        flags=("-D", "--define"),
        help="give a const of the file, or an open dimension, a value; may be repeated",
        group="network",
        shown="",
        since="net",
    )
    loss: str | None = option(
        None, kind=Choice(LOSSES), help="what training requires of the model's output", group=_ONNX
    )
    trainable: Sequence[str] = option(
        (),
        kind=Text("PATTERN", repeated=True),
        help="numbers of the model whose names match are parameters, where they would be constants; "
        "may be repeated",
        group=_ONNX,
    )
    reinit: bool = option(
        False,
        kind=Switch(),
        help="draw the parameters afresh; by default the model's are kept",
        group=_ONNX,
        shown="",
        compared=False,
        since="net",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.products != "f32" and self.dtype != "f32":
            raise mistake(f"products of {self.products} are for networks in f32, found {self.dtype}")

    @property
    def repeats(self) -> int:
        """How many iterations a batch has, of a solver that iterates."""
        return self.iterations or ITERATIONS

    def require_used_by(self, solver: Solver) -> None:
        """Raise DiagnosticError for an option that is given and makes no difference to the solver."""
        self.require_outer(solver)
        if solver.outer and self.iterations is not None:
            raise mistake(
                f"iterations does not apply to the solver {solver}, which goes once through the network",
                f"it is for {', '.join(of_kind(outer=False))}",
            )

    @property
    def words(self) -> tuple[str, ...]:
        """The forms of copies that were asked for."""
        return (self.copies,) if isinstance(self.copies, str) else tuple(self.copies)

    def record(self) -> dict[str, Any]:
        """Return the options as JSON data, from which ``Options(**..)`` makes them again."""
        return {name: value for name, value in plain(self).items() if value is not None}

    def compared(self) -> dict[str, str | int | float]:
        """Return what a resumed run must have as it was, by name, as text where it is no number."""
        said = self._resolved()
        found = {}
        for each in options_of(type(self)):
            if each.compared:
                value = said.get(each.name, getattr(self, each.name))
                found[each.name] = _shown(None if value is None else each.kind.plain(value))
        return found

    def _resolved(self) -> dict[str, Any]:
        """Return what holds where nothing was said, so that a run in which it is said is no other one."""
        outer = outer_of(self)
        same = {name: getattr(outer, name) for name in (*RATED, "clip", "accumulate", "freeze")}
        return {**same, "outer": self.outer or outer.name, "iterations": self.repeats}


def _shown(value: Any) -> str | int | float:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={number}" for name, number in sorted(value.items()))
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
