"""``pjc train``: compile a network, train it, and leave behind what came of it."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pjc.commands.arguments import Usage, parse
from pjc.commands.failures import report
from pjc.commands.shared import (
    DumpOptions,
    Session,
    console_of_stdout,
    open_model,
    precision,
    reason,
    require_source,
    save_program,
    say,
)
from pjc.diagnostics import CommandError
from pjc.fields import LARGEST, Choice, Kind, Number, Switch, Text, option, part, required
from pjc.options import Options
from pjc.runtime.data.parts import NORMALIZATIONS
from pjc.runtime.data.sources import help_lines
from pjc.runtime.listener import Listener, Revision

if TYPE_CHECKING:
    from jax.sharding import Mesh
    from rich.console import Console

    from pjc.driver import Compilation
    from pjc.runtime.data.prepare import Parts, Request
    from pjc.runtime.distributed import Share
    from pjc.runtime.history import Result, Row
    from pjc.runtime.program import Program


_TRAIN_EXAMPLES = """
The test part and the validation part are the same in every run, whatever the seed. Ctrl-C finishes
the batch and writes what there is (exit code 130); a second Ctrl-C aborts. --resume goes on from
there, or from the last checkpoint of a run that was killed, to the same numbers as a run that was
never stopped. --distributed is explained in docs/parallel.md.

examples:
  pjc train digits_mlp.pjn --data digits --epochs 10 --seed 0
  pjc train digits_mlp.pjn --data digits --epochs 20 --seed 0 --resume
  pjc train mnist.pjn --data train-images-idx3-ubyte.gz --test-data t10k-images-idx3-ubyte.gz
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


class Split(Kind):
    """Fractions to train on, to validate and to test on."""

    metavar = "A,B,C"

    @property
    def wanted(self) -> str:
        return "three fractions that add up to 1, as in 0.8,0.1,0.1"

    def read(self, text: str) -> tuple[float, float, float]:
        return self.check(tuple(float(each) for each in text.split(",")))

    def check(self, value: Any) -> tuple[float, float, float]:
        if len(value) != 3 or not (value[0] > 0 and min(value) >= 0 and abs(sum(value) - 1) < 1e-6):
            raise ValueError
        return value[0], value[1], value[2]


class Address(Kind):
    """A host and a port."""

    metavar = "HOST:PORT"

    @property
    def wanted(self) -> str:
        return "HOST:PORT, as in 10.0.0.1:9876"

    def check(self, value: Any) -> str:
        host, _, port = str(value).rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise ValueError
        return str(value)


_FRACTION = Number(low=0, below=1, metavar="F")
_COUNT = Number(whole=True, low=1)
_DATA = "data"
_RUN = "run"
_SEVERAL = "several processes, on one host or many"


@dataclass(frozen=True)
class DataArguments:
    """Which data, and in which parts."""

    data: str = required(
        kind=Text(), flags=("--data",), metavar="SOURCE", help="what to train on (see below)", group=_DATA
    )
    target: str | None = option(
        None, kind=Text("COLUMN"), help="the column of a table that holds the targets", group=_DATA
    )
    test_data: str | None = option(
        None, kind=Text("SOURCE"), help="what to test on, instead of a part of --data", group=_DATA
    )
    test: float | None = option(
        None, kind=_FRACTION, help="part of --data to test on", shown="0.2", group=_DATA
    )
    validation: float | None = option(
        None, kind=_FRACTION, help="part of what remains to watch training with", shown="0.1", group=_DATA
    )
    split: tuple[float, float, float] | None = option(
        None,
        kind=Split(),
        help="parts to train on, to validate and to test on, of all --data; instead of the two above",
        group=_DATA,
    )
    normalize: str = option(
        "none",
        kind=Choice(NORMALIZATIONS),
        help="each feature, as measured on the training part: unit: to 0..1; standard: to mean 0, variance 1",
        group=_DATA,
    )
    stride: int | None = option(
        None,
        kind=_COUNT,
        help="characters from one window of a text to the next",
        shown="no overlap where every character is predicted, 1 where only the last is",
        group=_DATA,
    )
    resize: bool = option(
        False,
        kind=Switch(),
        help="bring image files to the size that the network takes",
        shown="",
        group=_DATA,
    )


@dataclass(frozen=True)
class RunArguments:
    """How long to train, from where, and where to write."""

    epochs: int = option(10, kind=_COUNT, help="epochs in all", group=_RUN)
    seed: int = option(
        0,
        kind=Number(whole=True, low=0, high=LARGEST),
        metavar="S",
        help="of parameters and order",
        group=_RUN,
    )
    keep_best: bool = option(
        False,
        kind=Switch(),
        help="also write MODEL.best.safetensors, of the epoch that validates best, and test with it",
        shown="",
        group=_RUN,
    )
    params: str | None = option(
        None, kind=Text("FILE"), help="safetensors with parameters to start from", group=_RUN
    )
    resume: bool = option(
        False, kind=Switch(), help="go on from what an earlier run wrote", shown="", group=_RUN
    )
    checkpoint_every: float = option(
        60.0,
        kind=Number(above=0, below=1e9, of="seconds", metavar="S"),
        help="seconds between checkpoints in an epoch, after which there is always one",
        group=_RUN,
    )
    output: str = option(
        ".",
        kind=Text("WHERE"),
        flags=("-o",),
        help="a directory to write to, or a path to put before .params.safetensors and the others",
        shown="",
        group=_RUN,
    )


@dataclass(frozen=True)
class SeveralArguments:
    """Which processes train together."""

    distributed: bool = option(
        False,
        kind=Switch(),
        help="train together with the other processes that get the same command; who they are is as the "
        "cluster sets it (Slurm, Open MPI, Kubernetes, Cloud TPU), or as these three say",
        shown="",
        group=_SEVERAL,
    )
    coordinator: str | None = option(None, kind=Address(), help="where process 0 listens", group=_SEVERAL)
    processes: int | None = option(None, kind=_COUNT, help="how many processes there are", group=_SEVERAL)
    process: int | None = option(
        None,
        kind=Number(whole=True, low=0),
        metavar="I",
        help="which one this is, from 0; 0 writes the files",
        group=_SEVERAL,
    )
    heartbeat: int = option(
        30,
        kind=Number(whole=True, low=5, high=3600, of="seconds"),
        metavar="S",
        help="seconds without a sign of life after which a process is given up",
        group=_SEVERAL,
    )


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc train``."""

    model: str = required(kind=Text(), metavar="MODEL", help="the network: a .pjn or .onnx file, or IR")
    data: DataArguments = part(DataArguments)
    run: RunArguments = part(RunArguments)
    several: SeveralArguments = part(SeveralArguments)
    options: Options = part(Options)
    session: Session = part(Session)
    dumps: DumpOptions = part(DumpOptions)


LARGE_MULTIPLIER = 0.5
"""The |t| from which a factored dot's dropped terms, of the order of t squared, are no longer small."""


@dataclass(frozen=True)
class _Outputs:
    """The files that a training run writes; ``best`` only with --keep-best."""

    params: Path
    history: Path
    program: Path
    best: Path

    @staticmethod
    def at(where: str, model: Path, writes: bool) -> _Outputs:
        """Return the files for ``-o where``, whose directory, where this process ``writes``, is made."""
        folder = Path(where)
        is_folder = folder.is_dir() or where.endswith(("/", os.sep))
        prefix = folder / model.stem if is_folder else folder
        name = prefix.name
        outputs = _Outputs(
            prefix.with_name(f"{name}.params.safetensors"),
            prefix.with_name(f"{name}.history.csv"),
            prefix.with_name(f"{name}.pjx"),
            prefix.with_name(f"{name}.best.safetensors"),
        )
        if writes:
            outputs._require_folder(prefix.parent)
        return outputs

    def _require_folder(self, folder: Path) -> None:
        """Make the folder that takes the files, without what a killed run left half written there."""
        from pjc.runtime.files import remove_leftovers

        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"{folder} cannot be made a directory: {reason(error)}") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise CommandError(f"{folder} cannot be written to; choose another with -o")
        for path in (self.params, self.history, self.program, self.best):
            remove_leftovers(path)


def main(arguments: Sequence[str]) -> int:
    """Run ``pjc train``, alone or as one of several processes."""
    from pjc.runtime import supervisor

    given = parse(Arguments, USAGE, arguments)
    _check_arguments(given)
    if not given.several.distributed:
        return run(given)
    if not supervisor.is_worker():
        # The worker finds modules as this process does: in the current directory only if this one does.
        here = [] if sys.path[0] in ("", os.getcwd()) else ["-P"]
        return supervisor.supervise(
            [sys.executable, *here, "-m", "pjc.cli", "train", *arguments],
            "start all processes again, with --resume once there is a checkpoint, to go on from it",
        )
    return _run_worker(given)


def _run_worker(given: Arguments) -> int:
    """Train as one of several processes, under a supervisor."""
    from pjc.runtime import supervisor

    supervisor.ignore_signals()
    with supervisor.Orders() as orders:
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

    if distributed.is_lost_peer(error):
        # JAX's runtime ends this process, and tells which one is gone, once that has missed its heartbeats.
        time.sleep(heartbeat + 10)
        return supervisor.LOST_PEER
    return report(error)


def _check_arguments(given: Arguments) -> None:
    """Raise CommandError for arguments that do not go together."""
    _check_processes(given.several)
    data = given.data
    if given.run.resume and given.run.params:
        raise CommandError("--resume goes on from what was written, so it takes no --params")
    if data.split and (data.test is not None or data.validation is not None):
        raise CommandError("--split names all parts, so it goes without --test and --validation")
    if data.split and data.test_data and data.split[2]:
        raise CommandError("--test-data is the test part, so the third number of --split must be 0")
    if data.test_data and data.test is not None:
        raise CommandError("--test sets a part of --data aside, so it goes without --test-data")


def _check_processes(given: SeveralArguments) -> None:
    several = (given.coordinator, given.processes, given.process)
    if not given.distributed and any(each is not None for each in several):
        raise CommandError("--coordinator, --processes and --process go with --distributed")
    if any(each is None for each in several) and any(each is not None for each in several):
        raise CommandError(
            "--coordinator, --processes and --process go together; without all three the cluster says"
        )
    if given.processes is not None and given.process is not None and given.process >= given.processes:
        raise CommandError(
            f"--process {given.process} is none of {given.processes} processes; they are counted from 0"
        )


class Stopper(Protocol):
    """Within it, calling it says whether training was asked to stop."""

    def __call__(self) -> bool: ...
    def __enter__(self) -> Stopper: ...
    def __exit__(self, *_: object) -> None: ...


def run(given: Arguments, share: Share | None = None, stopper: Stopper | None = None) -> int:
    """Compile and train, as this process's ``share`` of a run if there are several."""
    model = Path(given.model)
    require_source(model)
    outputs = _Outputs.at(given.run.output, model, writes=share is None or share.process == 0)
    compilation, dumps = open_model(given.model, given.options, given.session, given.dumps)
    compilation.require_loss()
    with precision(compilation.dtype):
        from pjc.runtime.distributed import ALONE

        program = compilation.program()
        dumps.check()
        compilation.require_memory()
        return _train_program(given, compilation, program, outputs, share or ALONE, stopper)


def _train_program(
    given: Arguments,
    compilation: Compilation,
    program: Program,
    outputs: _Outputs,
    share: Share,
    stopper: Stopper | None,
) -> int:
    """Train a compiled program and write what comes of it."""
    from pjc.runtime import distributed
    from pjc.runtime.evaluate import evaluate, metric
    from pjc.runtime.train import Run, train

    console = console_of_stdout()
    parts = _load_parts(given.data, program)
    settings = _settings(given, compilation, program, parts)
    writes = share.process == 0
    if share.processes > 1:
        forms = " ".join(f"{each.label}={each.choice.form}" for each in compilation.explain())
        chosen = {
            "number of epochs": given.run.epochs,
            "way to start": given.run.resume,
            "choice of copies": forms,
        }
        distributed.require_same({**settings, **chosen})
    start = _start(given, program, outputs, settings, share)
    if given.run.keep_best and not parts.validation:
        raise CommandError("--keep-best needs samples to validate with; give --validation or --split")
    if writes:
        save_program(program, outputs.program)
    _say_sizes(console, parts, program)
    if share.processes > 1:
        say(console, distributed.describe())
    scored = metric(program)
    view = _View(console, given.run.epochs, len(parts.train) // (program.batch or 1), scored, start)

    if start is not None and start.held:
        program = _holding(compilation, start.held)

    def save(result: Result) -> None:
        if writes:
            _save(outputs, result, settings, parts.notes, scored)

    keeps = given.run.keep_best and writes
    best = _Best(outputs.best, scored, settings, parts.notes, start) if keeps else None
    asked = Run(
        epochs=given.run.epochs,
        seed=given.run.seed,
        validation=parts.validation,
        start=start,
        checkpoint_seconds=given.run.checkpoint_every if writes else math.inf,
        share=share,
    )
    with view, stopper or _Interrupt(console) as interrupt:
        listener = _Listener(view, interrupt, _Revision(console, compilation), save, best)
        result = train(program, parts.train, asked, listener)
        save(result)
    params = result.params if best is None else best.params(result)
    stopped = interrupt() or result.epoch < given.run.epochs
    _say_end(console, outputs, best, result if stopped else None, given.run.epochs)
    if parts.test is not None:
        if share.processes > 1:
            params = share.local(share.everywhere(params))
        score = evaluate(program, params, parts.test, share)
        say(console, f"test {scored}: {_score(score, scored)}", "bold")
    return 130 if stopped else 0


@dataclass
class _Listener(Listener):
    """What the command does while it trains: show, save, stop, and hold dots whose |t| is large."""

    view: _View
    stopper: Stopper
    revision: _Revision
    save: Callable[[Result], None]
    best: _Best | None

    def progress(self, batch: int, gap: float) -> None:
        self.view.progress(batch, gap)

    def checkpoint(self, result: Result) -> None:
        self.save(result)

    def should_stop(self) -> bool:
        return self.stopper()

    def revise(self, result: Result) -> Revision | None:
        return self.revision(result)

    def epoch(self, result: Result) -> None:
        # In this order: killed in between, the run that is resumed does the epoch again.
        if self.best is not None:
            self.best(result)
        self.save(result)
        self.view.epoch(result.history[-1])


def _say_sizes(console: Console, parts: Parts, program: Program) -> None:
    """Say how many samples there are in each part."""
    sizes = [f"{len(parts.train)} to train on"]
    sizes += [f"{len(parts.validation)} to validate"] if parts.validation else []
    sizes += [f"{len(parts.test)} to test"] if parts.test else []
    say(console, f"{parts.train.name}: {', '.join(sizes)}; batches of {program.batch}")


def _say_end(
    console: Console, outputs: _Outputs, best: _Best | None, stopped: Result | None, epochs: int
) -> None:
    """Say what was written and, if training was ``stopped`` before all ``epochs``, where."""
    for path in (outputs.params, outputs.history, outputs.program):
        say(console, f"wrote {path}")
    if best is not None and best.epoch is not None:
        say(console, f"wrote {outputs.best}, of epoch {best.epoch}, which validated best")
    if stopped is not None:
        done = f"{stopped.epoch} epochs" + (f" and {stopped.batch} batches" if stopped.batch else "")
        say(console, f"stopped after {done} of {epochs} epochs; --resume goes on from here")


class _Best:
    """Writes the parameters of the epoch with the best validation score, of several the first."""

    def __init__(
        self,
        path: Path,
        metric: str,
        settings: Settings,
        notes: Mapping[str, str],
        start: Result | None,
    ) -> None:
        self.path = path
        self.sign = 1 if metric == "accuracy" else -1
        self.settings = settings
        self.notes = notes
        self.score = -math.inf
        self.epoch: int | None = None
        if start is not None and start.history:
            self._go_on(start)

    def _go_on(self, start: Result) -> None:
        """Take over what the run that is resumed wrote, if it is there and of the same run."""
        from pjc.runtime.history import read_checkpoint

        if not self.path.exists():
            return
        found = read_checkpoint(self.path)
        rows = found.result.history
        if found.settings == self.settings and rows and rows == start.history[: len(rows)]:
            self._note(rows[-1])

    def _note(self, row: Row) -> None:
        self.score = self.sign * (row.validation or 0.0)
        self.epoch = row.epoch

    def __call__(self, result: Result) -> None:
        """Write the result of an epoch if it is better than all before."""
        from pjc.runtime.history import Checkpoint, write_checkpoint

        row = result.history[-1]
        if row.validation is not None and self.sign * row.validation > self.score:
            self._note(row)
            write_checkpoint(self.path, Checkpoint(result, self.settings), self.notes)

    def params(self, result: Result) -> Mapping[str, Any]:
        """Return the best parameters, or those of ``result`` where no epoch was finished."""
        from pjc.runtime.history import read_parameters

        return result.params if self.epoch is None else read_parameters(self.path)


def _holding(compilation: Compilation, labels: tuple[str, ...]) -> Program:
    """Return the program in which the dots named are held, whatever they were."""
    copies = (*compilation.options.words, *(f"{label}=held" for label in labels))
    return replace(compilation, options=replace(compilation.options, copies=copies)).program()


@dataclass
class _Revision:
    """After every epoch holds the copies of factored dots whose |t| was large, or says that one should."""

    console: Console
    compilation: Compilation
    warned: set[str] = field(default_factory=set)

    def __call__(self, result: Result) -> Revision | None:
        large = {label: t for label, t in result.multipliers.items() if t > LARGE_MULTIPLIER}
        new = tuple(label for label in large if label not in self.warned)
        self.warned.update(new)
        if not new:
            return None
        automatic = self.compilation.chooses_copies
        for label in new:
            advice = "it is held from now on" if automatic else f"--copies {label}=held would be exact"
            text = f"{label}: |t| reached {large[label]:.2g}, too large for the factored form; {advice}"
            say(self.console, f"warning: {text}", "yellow")
        if not automatic:
            return None
        held = (*result.held, *new)
        return Revision(_holding(self.compilation, held), held)


def request_of(given: DataArguments) -> Request:
    """Return which data the command line asks for, and in which parts."""
    from pjc.runtime.data.prepare import Request, split_fractions

    test = 0.2 if given.test is None else given.test
    validation = 0.1 if given.validation is None else given.validation
    if given.split:
        test, validation = split_fractions(*given.split)
    return Request(
        given.data,
        given.test_data,
        given.target,
        test,
        validation,
        given.normalize,
        given.stride,
        given.resize,
    )


def _load_parts(given: DataArguments, program: Program) -> Parts:
    """Load, fit, split and normalize the data."""
    from pjc.runtime.data.prepare import prepare
    from pjc.runtime.trainable import specs

    return prepare(request_of(given), *specs(program))


Settings = Mapping[str, str | int | float]


def _settings(given: Arguments, compilation: Compilation, program: Program, parts: Parts) -> Settings:
    """Return what must be the same for a resumed run to give the same numbers."""
    return {
        "seed": given.run.seed,
        "data": f"{len(parts.train)} samples to train on, checksum {parts.train.checksum():08x}",
        **compilation.options.compared(),
        "batch": program.batch or 0,
        "network": compilation.fingerprint(),
    }


def _start(
    given: Arguments, program: Program, outputs: _Outputs, settings: Settings, share: Share
) -> Result | None:
    """Return what training starts from: a checkpoint, given parameters, or None for fresh ones."""
    from pjc.runtime.distributed import file_of_writer
    from pjc.runtime.history import Result, read_checkpoint, read_parameters
    from pjc.runtime.trainable import check_parameters

    if given.run.params:
        return Result(check_parameters(program, read_parameters(Path(given.run.params))))
    if not given.run.resume:
        return None
    if share.process == 0 and not outputs.params.exists():
        raise CommandError(f"there is nothing to resume: no {outputs.params}; run without --resume")
    one = nullcontext(outputs.params) if share.processes == 1 else file_of_writer(outputs.params)
    with one as path:
        checkpoint = read_checkpoint(path)
    for name, ours in settings.items():
        theirs = checkpoint.settings.get(name)
        if theirs != ours:
            difference = f"was {theirs}, now it is {ours}" if name != "network" else "is another"
            raise CommandError(
                f"{outputs.params} cannot be resumed: its {name} {difference}; "
                "repeat the options of that run, or start anew without --resume"
            )
    result = checkpoint.result
    return replace(result, params=check_parameters(program, result.params))


def _save(
    outputs: _Outputs, result: Result, settings: Settings, notes: Mapping[str, str], metric: str
) -> None:
    """Write the parameters, which are also the checkpoint, and the history."""
    from pjc.runtime.history import Checkpoint, write_checkpoint, write_history

    write_checkpoint(outputs.params, Checkpoint(result, settings), notes)
    write_history(outputs.history, result.history, metric)


def _score(value: float, metric: str) -> str:
    return f"{100 * value:.1f}%" if metric == "accuracy" else f"{value:.4g}"


class _Interrupt:
    """Within it the first Ctrl-C only asks to stop, which calling it tells; the second aborts."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.asked = False
        self.before: Any = None

    def __call__(self) -> bool:
        return self.asked

    def __enter__(self) -> _Interrupt:
        with suppress(ValueError):  # only the main thread may set handlers
            self.before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)

    def _ask(self, *_: object) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stderr.write("\nstopping after this batch; Ctrl-C again aborts\n")


class _View:
    """Shows a training run: a line for each epoch and, on a terminal, a progress bar."""

    def __init__(
        self, console: Console, epochs: int, batches: int, metric: str, start: Result | None
    ) -> None:
        from rich import progress

        self.console = console
        self.epochs = epochs
        self.batches = batches
        self.metric = metric
        self.done = start.epoch if start else 0
        self.validation = ""
        self.bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[state]}"),
            progress.TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        total = epochs * batches
        at = self.done * batches + (start.batch if start else 0)
        self.task = self.bar.add_task(self._title(), total=total, completed=at, state="")

    def __enter__(self) -> _View:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def _title(self) -> str:
        return f"epoch {min(self.done + 1, self.epochs)}/{self.epochs}"

    def progress(self, batch: int, gap: float) -> None:
        """Show how many batches of the epoch are done, and their mean gap."""
        state = f"gap {gap:.3g}{self.validation}"
        self.bar.update(
            self.task,
            completed=self.done * self.batches + batch,
            description=self._title(),
            state=state,
        )

    def epoch(self, row: Row) -> None:
        """Show the numbers of an epoch."""
        self.done = row.epoch
        if row.validation is not None:
            self.validation = f", validation {self.metric} {_score(row.validation, self.metric)}"
        text = f"epoch {row.epoch}/{self.epochs}: gap {row.gap:.3g}{self.validation}"
        say(self.console, f"{text}, {row.seconds:.1f} s")
