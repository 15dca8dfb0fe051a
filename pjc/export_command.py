"""``pjc export MODEL PARAMS -o FILE.onnx``."""

from __future__ import annotations

import argparse
from pathlib import Path

from pjc.command import CommandError, console_of_stdout, require_source, say


def run(given: argparse.Namespace) -> int:
    """Write a trained network as an ONNX model."""
    import jax.numpy as jnp

    import pjc
    from pjc.runtime.history import read_parameters
    from pjc.runtime.program import ProgramError

    model, params = Path(given.model), Path(given.params)
    require_source(model)
    output = Path(given.output) if given.output else model.with_suffix(".onnx")
    if any(output.exists() and output.samefile(each) for each in (model, params) if each.exists()):
        raise CommandError(f"-o {output} would overwrite what is read; name another file")
    try:
        program = pjc.load(model) if model.suffix == ".pjx" else pjc.compile(model)
        arrays = {name: jnp.asarray(array) for name, array in read_parameters(params).items()}
        program.to_onnx(arrays, output)
    except ProgramError as error:
        raise CommandError(str(error)) from error
    say(console_of_stdout(), f"wrote {output}")
    return 0
