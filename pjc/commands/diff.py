"""``pjc diff MODEL OTHER``: what two networks do not share at a stage of the compiler."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pjc.commands.arguments import Usage, parse
from pjc.commands.shared import DumpOptions, Session, open_model, precision, require_source
from pjc.diagnostics import printable
from pjc.fields import Choice, Number, Text, option, part, required
from pjc.ir_diff import NONE, difference
from pjc.options import Options
from pjc.stage_names import EMITTED

USAGE = Usage(
    prog="pjc diff",
    usage="pjc diff MODEL OTHER [--stage STAGE] [options]",
    description="Prints the lines of IR that two networks, or two dumps of one, do not share at a stage.",
)


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc diff``."""

    model: str = required(kind=Text(), metavar="MODEL", help="a network: a file, or FILE.py:NAME")
    other: str = required(kind=Text(), metavar="OTHER", help="the network to compare it with")
    stage: str = option("feas", kind=Choice(EMITTED), help="the stage to compare them at")
    context: int = option(1, kind=Number(whole=True, low=0), help="lines to show around those that differ")
    options: Options = part(Options)
    session: Session = part(Session)


def main(arguments: Sequence[str]) -> int:
    """Print what differs, or that nothing does."""
    given = parse(Arguments, USAGE, arguments)
    one, other = (_emitted(model, given) for model in (given.model, given.other))
    found = difference(one, other, given.context)
    if found == NONE:
        print(printable(f"{given.model} and {given.other} are the same at {given.stage}"))
        return 0
    text = f"--- {given.model}\n+++ {given.other}\n{found}"
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    return 0


def _emitted(model: str, given: Arguments) -> str:
    require_source(Path(model))
    compilation, _ = open_model(model, given.options, given.session, DumpOptions())
    with precision(compilation.dtype):
        return compilation.emit(given.stage)
