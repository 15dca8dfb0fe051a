"""What a program takes and gives, read from the program alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from xdsl.ir import Operation

from pjc.diagnostics import mistake
from pjc.dialects import ops, proj
from pjc.dialects.shapes import columns, show
from pjc.dialects.signature import Signature as SiteShapes
from pjc.dialects.view import shape_of
from pjc.operators import OwnOperator
from pjc.passes.analysis.channels import channel_axis
from pjc.passes.solvers import Solver, of_kind, parse
from pjc.runtime.emit import dtype_of
from pjc.runtime.program import Signature, TensorSpec
from pjc.runtime.projections import REGISTERED


def signature_of(program: proj.ProgramOp, iterations: int) -> Signature:
    """Return the signature of a program; ``iterations`` is how many an update has if its solver iterates.

    Raises:
        DiagnosticError: if the program reads an input or a target that it does not declare, names a solver
            that there is not, or has a batch that no input has.
    """
    declared = list(program.body.block.ops)
    inputs = [op for op in declared if isinstance(op, proj.InputOp)]
    _require_batch(program, inputs)
    targets = [op for op in declared if isinstance(op, proj.TargetOp)]
    _require_declared(program, {op.label.data for op in inputs} | {op.label.data for op in targets})
    _require_operators(program)
    forward = program.forward_op().body.block.ops
    _require_outputs(program, targets, forward)
    parameters = [op for op in forward if isinstance(op, ops.ParameterOp)]
    channels = {op.label.data: channel_axis(op.result) for op in forward if isinstance(op, proj.DatumOp)}
    solver = None if program.solver is None else parse(program.solver)
    if solver is not None:
        _require_body(program, solver)
    return Signature(
        name=program.sym_name.data,
        inputs=tuple(
            replace(
                _spec(op.label.data, op, _value(op.rows)),
                channels=channels.get(op.label.data),
            )
            for op in inputs
        ),
        targets=tuple(
            replace(
                _spec(op.label.data, op, _value(op.classes)),
                threshold=None if op.threshold is None else op.threshold.value.data,
                output=None if op.output is None else op.output.data,
            )
            for op in targets
        ),
        outputs=tuple(
            TensorSpec(op.label.data, shape_of(op.value), dtype_of(op.value).name)
            for op in forward
            if isinstance(op, ops.OutputOp)
        ),
        parameters=tuple(
            TensorSpec(name, shape_of(op.result)[op.members is not None :], dtype_of(op.result).name)
            for op in parameters
            for name in op.names()
        ),
        batch=program.batch,
        iterations=1 if solver is not None and solver.outer else iterations,
        trainable=solver is not None,
        families={op.label.data: tuple(op.names()) for op in parameters if op.members is not None},
        solver=program.solver,
        others=() if solver is None else of_kind(outer=not solver.outer),
    )


def _require_body(program: proj.ProgramOp, solver: Solver) -> None:
    """Raise DiagnosticError where the solver that a program names does something else than its body."""
    body = "stages" if program.stage_ops() else "one sweep" if program.sweep_op() else "iterations"
    if body != _BODIES.get(solver.lowering, body):
        raise mistake(
            f"program '{program.sym_name.data}' names the solver '{program.solver}', and holds {body}",
            "its body is what another solver does; compile anew for this one",
        )


_BODIES = {"feas-to-proj": "iterations", "feas-to-sweep": "one sweep", "feas-to-stream": "stages"}
"""What the pass that ends the pipeline of a solver leaves in a program."""


def _spec(label: str, op: proj.InputOp | proj.TargetOp, classes: int | None) -> TensorSpec:
    return TensorSpec(label, shape_of(op.type), dtype_of(op.type).name, classes)


def _value(given: object) -> int | None:
    return None if given is None else int(given.value.data)  # type: ignore[attr-defined]


def _require_batch(program: proj.ProgramOp, inputs: list[proj.InputOp]) -> None:
    batch = program.batch
    if batch is not None and inputs and all(shape_of(op.type)[:1] != (batch,) for op in inputs):
        raise mistake(f"the batch of '{program.sym_name.data}' is {batch}, and no input has {batch} samples")


def _require_declared(program: proj.ProgramOp, declared: set[str]) -> None:
    for op in program.walk():
        if isinstance(op, proj.DatumOp) and op.label.data not in declared:
            raise mistake(
                f"program '{program.sym_name.data}' reads '{op.label.data}', which it does not declare",
                f'write proj.input "{op.label.data}" or proj.target "{op.label.data}" above its variables',
            )


def _require_operators(program: proj.ProgramOp) -> None:
    """Raise DiagnosticError for an operator of a user's own that is not registered, or with other shapes."""
    for op in program.walk():
        if not isinstance(op, proj.EvaluateOp) or op.signature is None:
            continue
        name, asked = op.operator.data, SiteShapes.parse(op.signature.data)
        if name not in REGISTERED:
            raise mistake(
                f"there is no operator called '{name}' here",
                "one of your own is known once it is registered: by --operators FILE.py, or by Python",
            )
        known = cast(type[OwnOperator], REGISTERED[name]).signature
        if known != asked:
            raise mistake(f"the operator '{name}' is registered as {known}, and applied as {asked}")


def _require_outputs(
    program: proj.ProgramOp, targets: list[proj.TargetOp], forward: Iterable[Operation]
) -> None:
    """Raise DiagnosticError for a target of an output that there is not, or is of another shape."""
    shapes = {op.label.data: shape_of(op.value) for op in forward if isinstance(op, ops.OutputOp)}
    for op in targets:
        if op.output is None:
            continue
        label, shape = op.output.data, shape_of(op.type)
        found = shapes.get(label)
        if found is None or (columns(shape) > 1 and found != shape):
            raise mistake(
                f"target '{op.label.data}' of program '{program.sym_name.data}' is of the output '{label}', "
                + ("which there is not" if found is None else f"which has shape {show(found)}"),
                f"leave out 'of', or name an output of shape {show(shape)}",
            )
