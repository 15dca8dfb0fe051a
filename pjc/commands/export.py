"""``pjc export MODEL PARAMS -o FILE.onnx``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pjc.commands.arguments import Usage, parse
from pjc.commands.outputs import force_option, other_model, require_apart, require_ours, require_place
from pjc.commands.shared import console_of_stdout, require_source, say
from pjc.fields import Number, Text, option, required
from pjc.python_files import file_of

_SHOWN = 3
"""How many reasons are shown."""

USAGE = Usage(
    prog="pjc export",
    usage="pjc export MODEL PARAMS.safetensors [-o FILE.onnx]",
    description="Writes a network with its parameters as an ONNX model of standard operators.",
)


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc export``."""

    model: str = required(kind=Text(), metavar="MODEL", help="the network: .pjx, or .pjn, .onnx or IR")
    params: str = required(kind=Text(), metavar="PARAMS.safetensors", help="what pjc train wrote")
    output: str | None = option(
        None, kind=Text("FILE.onnx"), flags=("-o",), help="where to write", shown="MODEL.onnx"
    )
    opset: int | None = option(
        None,
        kind=Number(whole=True, low=18, high=25),
        help="18 to 25; from 21 on there are integers of 4 bits, from 25 on of 2",
        shown="18, or 21 for networks of few bits",
    )
    force: bool = force_option("overwrite -o where it is something else than what is written")


def main(arguments: Sequence[str]) -> int:
    """Write a trained network as an ONNX model."""
    given = parse(Arguments, USAGE, arguments)
    import pjc
    from pjc.runtime.files import held
    from pjc.runtime.history import read_stored
    from pjc.runtime.trainable import check_parameters

    model, params = Path(given.model), Path(given.params)
    require_source(model)
    output = Path(given.output) if given.output else model.with_suffix(".onnx")
    require_apart(output, [file_of(model), params])
    require_place(output)
    program = pjc.load(model) if model.suffix.lower() == ".pjx" else pjc.compile(model)
    stored = read_stored(params)
    arrays = check_parameters(program, stored.params)
    require_ours(output, other_model(output, program, model), given.force)
    with held([output]):
        why = program.rescaled(stored.units).to_onnx(arrays, output, given.opset)
    say(console_of_stdout(), f"wrote {output}")
    _report(why)
    return 0


def _report(why: Sequence[str]) -> None:
    """Say whether the model gives what the program does, bit for bit."""
    console = console_of_stdout()
    if not why:
        say(console, "its results are those of the program, bit for bit")
        return
    say(console, "its results may differ from the program's in the last bits:")
    for each in why[:_SHOWN]:
        say(console, f"  {each}")
    if len(why) > _SHOWN:
        say(console, f"  and {len(why) - _SHOWN} more reasons")
