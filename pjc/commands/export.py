"""``pjc export MODEL PARAMS -o FILE.onnx``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pjc.commands.arguments import Usage, parse
from pjc.commands.outputs import force_option, other_model, overwritten, require_ours, require_place
from pjc.commands.shared import console_of_stdout, require_source, say
from pjc.diagnostics import CommandError
from pjc.fields import Text, option, required

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
    force: bool = force_option("overwrite -o where it is something else than what is written")


def main(arguments: Sequence[str]) -> int:
    """Write a trained network as an ONNX model."""
    given = parse(Arguments, USAGE, arguments)
    import pjc
    from pjc.runtime.files import held
    from pjc.runtime.history import read_parameters, read_units
    from pjc.runtime.trainable import check_parameters

    model, params = Path(given.model), Path(given.params)
    require_source(model)
    output = Path(given.output) if given.output else model.with_suffix(".onnx")
    if overwritten(output, (given.model, given.params)):
        raise CommandError(f"-o {output} would overwrite what is read; name another file")
    require_place(output)
    program = pjc.load(model) if model.suffix.lower() == ".pjx" else pjc.compile(model)
    arrays = check_parameters(program, read_parameters(params))
    require_ours(output, other_model(output, program, model), given.force)
    with held([output]):
        program.rescaled(read_units(params)).to_onnx(arrays, output)
    say(console_of_stdout(), f"wrote {output}")
    return 0
