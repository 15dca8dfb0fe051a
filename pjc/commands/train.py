"""``pjc train``: compile a network, train it, and leave behind what came of it."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pjc.commands.arguments import Usage, parse
from pjc.commands.failures import report
from pjc.commands.outputs import other_program, require_ours
from pjc.commands.shared import (
    RESULT,
    console_of_stdout,
    open_model,
    precision,
    require_source,
    save_program,
    say,
    says,
)
from pjc.commands.training.arguments import Arguments, DataArguments, check_arguments, request_of
from pjc.commands.training.files import Best, Files, Measures, Outputs, Settings, settings_of, start_of
from pjc.commands.training.runs import Several, train_runs
from pjc.commands.training.view import (
    Interrupt,
    Stopper,
    View,
    say_early,
    say_end,
    say_hints,
    say_reading,
    say_sizes,
    say_times,
    shown,
)
from pjc.commands.training.watching import Watching, holder_of, recorder_of
from pjc.diagnostics import CommandError, PjcError
from pjc.runtime.data.sources import help_lines
from pjc.runtime.stopping import EarlyStopping

if TYPE_CHECKING:
    from jax.sharding import Mesh
    from rich.console import Console

    from pjc.driver import Compilation
    from pjc.runtime.data.prepare import Parts
    from pjc.runtime.distributed import Share
    from pjc.runtime.history import Result
    from pjc.runtime.program import Program
    from pjc.runtime.train import Run


_TRAIN_EXAMPLES = """
The test part and the validation part are the same in every run, whatever the seed. Ctrl-C finishes
the batch and writes what there is (exit code 130; SIGTERM: 143); a second one aborts. --resume goes on from
there, or from the last checkpoint of a run that was killed, to the same numbers as a run that was
never stopped. --distributed is explained in docs/parallel.md.

examples:
  pjc train digits_mlp.pjn --data digits --epochs 10 --seed 0
  pjc train digits_mlp.pjn --data digits --epochs 20 --seed 0 --resume
  pjc train mnist.pjn --data train-images-idx3-ubyte.gz --test-data t10k-images-idx3-ubyte.gz
  pjc train model.py:net --data digits    runs model.py, and writes model_net.params.safetensors
  pjc train iris.pjn --data iris.csv --target species --normalize standard -o runs/iris
  srun pjc train mnist.pjn --data npy:mnist --distributed
"""

USAGE = Usage(
    prog="pjc train",
    usage="pjc train MODEL.pjn --data SOURCE [options]",
    description="Compiles a network and trains it, and leaves in the current directory\n"
    "MODEL.params.safetensors, MODEL.history.csv and MODEL.pjx.",
    epilog="\n  ".join(["data:", *help_lines()]) + "\n" + _TRAIN_EXAMPLES,
)


def main(arguments: Sequence[str]) -> int:
    """Run ``pjc train``, alone or as one of several processes."""
    from pjc.runtime import supervisor

    given = parse(Arguments, USAGE, arguments)
    check_arguments(given)
    if not given.several.distributed:
        return run(given)
    if not supervisor.is_worker():
        from pjc.runtime.rendezvous import not_found

        # The worker finds modules as this process does: in the current directory only if this one does.
        here = [] if sys.path[0] in ("", os.getcwd()) else ["-P"]
        return supervisor.supervise(
            [sys.executable, *here, "-m", "pjc.cli", "train", *arguments],
            "start all processes again, with --resume once there is a checkpoint, to go on from it",
            not_found(given.several.coordinator, given.several.processes),
        )
    return _run_worker(given)


def _run_worker(given: Arguments) -> int:
    """Train as one of several processes, under a supervisor."""
    from pjc.runtime import supervisor

    supervisor.ignore_signals()
    with supervisor.Orders(begun=False) as orders:
        from pjc.runtime import distributed

        try:
            who = given.several
            distributed.start(who.coordinator, who.processes, who.process, who.heartbeat)
            supervisor.say_identity(distributed.index(), distributed.count())
            code = run(given, distributed.MeshShare(_mesh_of_all(given)), orders)
            distributed.stop()
            return code
        except Exception as error:
            supervisor.end_worker(_worker_failed(error, given.several.heartbeat))


def _mesh_of_all(given: Arguments) -> Mesh:
    """Return the mesh of the devices of all processes, as asked for; by default each takes samples."""
    from pjc.mesh import check_devices
    from pjc.runtime import distributed
    from pjc.runtime.mesh import make_mesh

    sizes = given.options.mesh
    if sizes is None:
        return distributed.sample_mesh()
    if isinstance(sizes, str):
        raise CommandError("--mesh auto is for one process; with --distributed say the axes, as in sample=4")
    check_devices(sizes)
    return make_mesh(dict(sizes))


def _worker_failed(error: Exception, heartbeat: int) -> int:
    """Say what went wrong in one of several processes, unless another one is gone; return the exit code."""
    from pjc.runtime import distributed, supervisor

    lost = distributed.is_lost_peer(error)
    if lost or not isinstance(error, PjcError):
        # JAX's runtime ends this process, and tells which one is gone, once that has missed its heartbeats;
        # so it is no mistake in pjc, whatever the loss made of itself.
        time.sleep(heartbeat + 10)
    return supervisor.LOST_PEER if lost else report(error)


def run(given: Arguments, share: Share | None = None, stopper: Stopper | None = None) -> int:
    """Compile and train, as this process's ``share`` of a run if there are several."""
    model = Path(given.model)
    require_source(model)
    writes = share is None or share.process == 0
    outputs = Outputs.at(given.run.output, model, writes, given.run.trace)
    with outputs.held(writes):
        if writes:
            outputs.require_new(given)
        return _run_held(given, outputs, share, stopper)


def _run_held(given: Arguments, outputs: Outputs, share: Share | None, stopper: Stopper | None) -> int:
    """Compile and train, while no other run writes these files."""
    compilation, dumps = open_model(given.model, given.options, given.session, given.dumps)
    compilation.require_loss()
    if (share is None or share.process == 0) and not given.run.resume:
        require_ours(outputs.program, other_program(outputs.program, compilation), given.run.force)
    with precision(compilation.dtype):
        from pjc.runtime.distributed import ALONE

        program = compilation.program()
        dumps.check()
        program.require_trainable()
        compilation.require_memory()
        compilation.require_estimate(program)
        return _train_program(given, compilation, program, outputs, share or ALONE, stopper)


def _train_program(
    given: Arguments,
    compilation: Compilation,
    program: Program,
    outputs: Outputs,
    share: Share,
    stopper: Stopper | None,
) -> int:
    """Train a compiled program and write what comes of it."""
    from pjc.runtime import distributed
    from pjc.runtime.evaluate import evaluate, metric
    from pjc.runtime.files import require_room
    from pjc.runtime.predicting import require_one_output
    from pjc.runtime.stepper import stepper_for
    from pjc.runtime.train import train

    console = console_of_stdout(given.run.level)
    say_reading(console, given.data.data, given.data.test_data)
    parts = _load_parts(given.data, program)
    settings = settings_of(given, compilation, program, parts)
    if share.processes > 1:
        _require_same(given, compilation, settings)
    found = start_of(given, program, outputs, settings, share)
    program, start = found.in_units(program, given.data.normalize_targets, parts.train), found.result
    _require_validation(given, parts)
    if parts.validation is not None or parts.test is not None:
        require_one_output(program)
    writes = share.process == 0
    if writes:
        require_room(outputs.params, 2 * _bytes_of_parameters(program))  # an old one and a new one
        save_program(program, outputs.program)
    _say_before(console, given, compilation, program, parts)
    for path in outputs.stale(given) if writes else ():
        say(console, f"warning: {path} stays as an earlier run left it", "yellow", "warning")
    if share.processes > 1:
        say(console, distributed.describe())
    measures = Measures(stepper_for(program).measure, metric(program))
    if given.run.runs > 1:
        several = Several(given, compilation, program, parts, outputs, settings, measures)
        return train_runs(several, console, start)
    view = View(console, given.run.epochs, measures)
    patience = None if given.run.patience is None else EarlyStopping(given.run.patience, measures.metric)
    files = Files(outputs, settings, parts.notes, measures, program.units) if writes else None
    best = Best(files, start) if files is not None and given.run.keeps_best else None
    holder = holder_of(program, console)
    if start is not None and start.held:
        program = program.holding(start.held) or program
    asked = replace(_run_of(given, parts, start, share), recorder=recorder_of(given.run, writes))
    with view, stopper or Interrupt() as interrupt:
        listener = Watching(view, interrupt, holder, files, best, patience)
        result = train(program, parts.train, asked, listener)
        listener.checkpoint(result)
    params = result.params if best is None else best.params(result)
    early = patience is not None and patience.is_done(result)
    stopped = interrupt() or (result.epoch < given.run.epochs and not early)
    if early and not stopped:
        say_early(console, given.run.patience or 0, result, given.run.epochs, measures)
    say_end(console, outputs, best, result if stopped else None, given.run.epochs)
    if parts.test is not None:
        if share.processes > 1:
            params = share.local(share.everywhere(params))
        score = shown(evaluate(program, params, parts.test, share), measures.metric)
        say(console, f"test {measures.metric}: {score}", "bold", RESULT)
    return interrupt.code if stopped else 0


def _say_before(
    console: Console, given: Arguments, compilation: Compilation, program: Program, parts: Parts
) -> None:
    """Say what is trained on, and what to expect of that."""
    say_sizes(console, parts, program)
    for remark in parts.remarks:
        say(console, remark)
    say_hints(console, given.data.normalize, parts.train, program)
    if says(console, "debug"):
        say_times(console, compilation.summary().seconds)
    for expected in compilation.cautions():
        say(console, f"warning: {expected}", "yellow", "warning")


def _bytes_of_parameters(program: Program) -> int:
    import jax

    shapes = jax.eval_shape(program.init, jax.random.key(0))
    return sum(math.prod(each.shape) * each.dtype.itemsize for each in jax.tree.leaves(shapes))


def _require_validation(given: Arguments, parts: Parts) -> None:
    """Raise CommandError where the best epoch is to be kept, and there is nothing to tell it by."""
    asked = "--patience" if given.run.patience is not None else "--keep-best"
    asked = "--runs" if given.run.runs > 1 else asked
    if (given.run.keeps_best or given.run.runs > 1) and not parts.validation:
        raise CommandError(f"{asked} needs samples to validate with; give --validation or --split")


def _require_same(given: Arguments, compilation: Compilation, settings: Settings) -> None:
    """Raise DiagnosticError unless all processes were asked for the same."""
    from pjc.runtime import distributed

    forms = " ".join(f"{each.label}={each.choice.form}" for each in compilation.explain())
    chosen = {
        "number of epochs": given.run.epochs,
        "patience": given.run.patience or 0,
        "way to trace": 0 if given.run.trace is None else given.run.trace_every,
        "way to start": given.run.resume,
        "choice of copies": forms,
    }
    distributed.require_same({**settings, **chosen})


def _run_of(given: Arguments, parts: Parts, start: Result | None, share: Share) -> Run:
    """Return the run that the command line asks for."""
    from pjc.runtime.train import Run

    return Run(
        epochs=given.run.epochs,
        seed=given.run.seed,
        validation=parts.validation,
        start=start,
        checkpoint_seconds=given.run.checkpoint_every if share.process == 0 else math.inf,
        share=share,
    )


def _load_parts(given: DataArguments, program: Program) -> Parts:
    """Load, fit, split and normalize the data."""
    from pjc.runtime.data.prepare import prepare
    from pjc.runtime.trainable import specs

    return prepare(request_of(given), *specs(program))
