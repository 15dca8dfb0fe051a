"""``pjc check-operator``: test the projections of operators of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from pjc.commands.arguments import Usage, parse
from pjc.commands.shared import console_of_stdout, load_operators, say
from pjc.diagnostics import CommandError
from pjc.fields import LARGEST, Number, Text, option, required, rest

USAGE = Usage(
    prog="pjc check-operator",
    usage="pjc check-operator FILE.py [NAME ..] [options]",
    description="Runs a Python file that registers operators, and tests their projections: whether they\n"
    "are finite, in the set, idempotent, and no farther than any point that a search finds; and their\n"
    "responses, if they have any: finite, nearest, and as good for small demands.",
)


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc check-operator``."""

    file: str = required(kind=Text(), metavar="FILE.py", help="what calls pjc.operator(..)")
    names: tuple[str, ...] = rest(metavar="NAME", help="operators of the file (default: all)")
    samples: int = option(200, kind=Number(whole=True, low=1), help="points")
    size: int = option(3, kind=Number(whole=True, low=1), help="of named sizes")
    seed: int = option(0, kind=Number(whole=True, low=0, high=LARGEST), help="of the points", metavar="S")


def main(arguments: Sequence[str]) -> int:
    """Run ``pjc check-operator``; return 1 if a check fails."""
    return check_operator(parse(Arguments, USAGE, arguments))


def check_operator(given: Arguments) -> int:
    """Test the projections of a file's operators; return 1 if a check fails."""
    from rich.table import Table

    from pjc.operators import OwnOperator, sample_shapes
    from pjc.runtime.projections import REGISTERED
    from pjc.runtime.projections.check import Subject, check

    (names,) = load_operators([given.file]).values()
    unknown = [name for name in given.names if name not in names]
    if unknown:
        raise CommandError(f"{given.file} registers no operator '{unknown[0]}'; it has {', '.join(names)}")
    console, failed = console_of_stdout(), False
    for name in given.names or names:
        cls = cast(type[OwnOperator], REGISTERED[name])  # pjc.operator makes no others
        shapes = sample_shapes(cls.signature, given.size)
        say(console, f"{name}: {cls.signature}, sizes of {given.size}, {given.samples} samples", "bold")
        table = Table("check", "f32", "f64", box=None, pad_edge=False, padding=(0, 3, 0, 0))
        both = [
            check(Subject(cls(), shapes, cls.signature.result(shapes), dtype), given.samples, given.seed)
            for dtype in ("float32", "float64")
        ]
        examples = []
        for pair in zip(*both, strict=True):
            shown = [
                "passed" if not each.failed else f"failed, {each.failed} of {each.samples}" for each in pair
            ]
            table.add_row(pair[0].check, *shown)
            examples += [f"{each.check}: {each.example}" for each in pair if each.failed][:1]
        console.print(table)
        for example in examples:
            say(console, example)
        failed = failed or bool(examples)
    return 1 if failed else 0
