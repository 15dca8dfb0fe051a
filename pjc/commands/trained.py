"""What commands share that use a trained network: the network, its parameters, what these rely on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pjc.commands.shared import DumpOptions, Session, open_model, precision, require_source
from pjc.commands.training.arguments import Delimiter
from pjc.diagnostics import CommandError, printable
from pjc.fields import Choice, Number, Switch, Text, differing, option, options_of, part, required
from pjc.options import Options
from pjc.runtime.data.parts import DECIMALS, LAYOUTS, MISSING, Request

if TYPE_CHECKING:
    from pjc.runtime.data.prepare import Chosen
    from pjc.runtime.data.recipe import Known
    from pjc.runtime.program import Program

PJX = ".pjx"
_DATA = "data"


@dataclass(frozen=True)
class ModelArguments:
    """Which network, and with which parameters."""

    params: str | None = option(
        None,
        kind=Text("FILE"),
        help="safetensors with its parameters, as pjc train wrote them",
        group="network",
        shown="those that the network comes with",
    )
    options: Options = part(Options)
    session: Session = part(Session)


@dataclass(frozen=True)
class AsWritten:
    """How a table is written, where that is to be said."""

    delimiter: str | None = option(
        None, kind=Delimiter(), help="what separates the columns of a table", group=_DATA
    )
    decimal: str | None = option(None, kind=Choice(DECIMALS), help="the decimal mark", group=_DATA)
    encoding: str | None = option(
        None, kind=Text("NAME"), help="the encoding of a table, as in latin-1", group=_DATA
    )
    missing: str | None = option(
        None,
        kind=Choice(MISSING),
        help="values of a table that are missing: mean: that of training; drop: leaves out such rows",
        group=_DATA,
    )


@dataclass(frozen=True)
class AskedOfData(AsWritten):
    """How data are read, where that is to differ from how they were in training."""

    target: str | None = option(
        None, kind=Text("COLUMN"), help="the column of a table that holds the targets", group=_DATA
    )
    stride: int | None = option(
        None,
        kind=Number(whole=True, low=1),
        help="characters from one window of a text to the next",
        group=_DATA,
    )
    resize: bool = option(
        False, kind=Switch(), help="bring image files to the network's size", shown="", group=_DATA
    )
    layout: str | None = option(
        None, kind=Choice(LAYOUTS), help="how samples that are images lie in the data", group=_DATA
    )

    def request(self, known: Known, data: str, **more: Any) -> Request:
        """Return what to ask of data: what was given, and else what training asked; raise DataError."""
        from pjc.runtime.data.prepare import request_like

        given = {each.name: getattr(self, each.name) for each in options_of(AskedOfData)}
        return request_like(known, data, **{**given, "resize": self.resize or None, **more})


@dataclass(frozen=True)
class Trained:
    """A network with its parameters, in the units that they were trained in, and what they rely on."""

    program: Program
    params: dict[str, Any]
    known: Known
    notes: dict[str, str]

    def names(self, classes: tuple[str, ...], target: str | None) -> tuple[str, ...]:
        """Return the names of classes, or of columns of the target, where they are known."""
        recipe = self.known.recipe
        if target is None and recipe is not None:
            target = recipe.request.target
        if classes or target is None:
            return classes
        return tuple(name.strip() for name in target.split(","))


def model_field() -> Any:
    """Return the field of the network that a command takes first."""
    return required(
        kind=Text(),
        metavar="MODEL",
        help="the network: .pjx, .pjn, .onnx, IR, or FILE.py:NAME, which runs FILE.py",
    )


def warn(text: str) -> None:
    """Say on stderr what is not as a person may expect."""
    print(printable(f"pjc: warning: {text}"), file=sys.stderr)


def say_how(found: Chosen) -> None:
    """Say on stderr how data were read that were chosen for a network, and what of them is passed over."""
    for remark in found.remarks:
        warn(remark)
    if found.passed_over:
        warn(f"training had no column {', '.join(found.passed_over)}, so the network does not see it")


@contextmanager
def trained(model: str, given: ModelArguments) -> Iterator[Trained]:
    """Within it there is the network, with JAX computing in its precision.

    Of a ``.pjx`` file nothing is compiled but the forward pass that is in it. Raises PjcError.
    """
    path = Path(model)
    require_source(path)
    if path.suffix.lower() == PJX:
        with _loaded(path, given) as program:
            yield _with_parameters(program, path, given.params)
        return
    compilation, _ = open_model(model, given.options, given.session, DumpOptions())
    with precision(compilation.dtype):
        yield _with_parameters(compilation.program(), path, given.params)


@contextmanager
def _loaded(path: Path, given: ModelArguments) -> Iterator[Program]:
    from pjc.runtime import artifact

    wrong = differing(given.options)
    if wrong:
        flags = {each.name: each.flags[-1] for each in options_of(Options)}
        raise CommandError(
            f"{path} is compiled, so {flags[wrong[0]]} makes no difference to it; leave it out, or name the "
            "network that it was compiled from"
        )
    given.session.begin()
    with precision("f64" if artifact.is_wide(path) else "f32"):
        yield artifact.load(path, entries=("apply",))


def _with_parameters(program: Program, model: Path, params: str | None) -> Trained:
    from pjc.runtime.data.recipe import Known
    from pjc.runtime.history import read_stored
    from pjc.runtime.trainable import fitting

    if params is None:
        missing = [spec.name for spec in program.parameters if spec.name not in program.initial]
        if missing:
            raise CommandError(
                f"{model} has no values for its parameters, as {missing[0]!r}; name the file that pjc train "
                "wrote with --params FILE.safetensors"
            )
        return Trained(program, dict(program.initial), Known(), {})
    found = read_stored(Path(params))
    arrays = fitting({spec.name: spec.abstract() for spec in program.parameters}, found.params)
    return Trained(program.rescaled(found.units), arrays, Known.of(found.notes, params), dict(found.notes))
