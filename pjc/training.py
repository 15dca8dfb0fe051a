"""``pjc.train``: from a network and data to parameters, in one call."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pjc.callbacks import Callback, TrainingRun, warn
from pjc.diagnostics import mistake
from pjc.driver import Compilation
from pjc.fields import require_known
from pjc.fit import Fit, tree_of, write_parameters
from pjc.holding import Holder
from pjc.options import Options
from pjc.runtime.data.dataset import Dataset
from pjc.runtime.data.parts import STANDARD, TARGETS
from pjc.runtime.evaluate import evaluate, metric
from pjc.runtime.history import Result, read_checkpoint
from pjc.runtime.listener import Listener, Revision
from pjc.runtime.predicting import require_one_output
from pjc.runtime.program import Program
from pjc.runtime.recording import Recorder
from pjc.runtime.sampled import EVERY
from pjc.runtime.standardize import can_standardize, standardized
from pjc.runtime.stepper import stepper_for
from pjc.runtime.streams import Stream
from pjc.runtime.trace import looks_like_trace
from pjc.runtime.train import Run
from pjc.runtime.train import train as run_training
from pjc.runtime.trainable import check_parameters, specs
from pjc.runtime.units import WHEN
from pjc.sources import source_of
from pjc.tracing.program import TracedProgram
from pjc.training_data import Asked, Given, given_for

if TYPE_CHECKING:
    from types import FrameType


def train(
    network: Any,
    data: Any,
    *,
    epochs: int = 10,
    validation: Any = None,
    test: Any = None,
    callbacks: Sequence[Callback] = (),
    seed: int = 0,
    normalize: str = "none",
    normalize_targets: str | None = None,
    target: str | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    steps_per_epoch: int | None = None,
    iterations: int | None = None,
    resume: Any = None,
    verbose: bool | None = None,
    trace: str | Path | bool | None = None,
    trace_every: int = EVERY,
    **options: Any,
) -> Fit:
    """Train a network, and return what comes of it.

    The first Ctrl-C ends training after a batch, which a line says, and what there is is returned; the second
    is an error as usual.

    Args:
        network: a program of :func:`pjc.compile`, :func:`pjc.trace` or :func:`pjc.load`, or what
            :func:`pjc.compile` takes, which is compiled with ``options``.
        data: arrays or tables ``(x, y)``; ``x`` alone for a network without a target; batches ``(x, y)`` of
            anything that can be gone through in every epoch (a loader of PyTorch, tf.data or Grain, a list);
            or the name of a source, as ``pjc train --data`` takes it. Whole numbers and text are classes,
            where the network takes classes.
        epochs: how many there are to be, with those of ``resume``.
        validation: a part of the data below 1, or data, to score the network on after every epoch.
        test: a part of the data below 1, or data, to score the network on at the end: ``fit.score``. Of a
            source that has parts of its own, as "mnist" has, these are taken unless others are given.
        callbacks: of :mod:`pjc.callbacks`.
        seed: draws the parameters, and with the epoch's number the order of the samples.
        normalize: "unit" brings each feature to 0..1, "standard" to mean 0 and variance 1, as measured on
            what is trained on; ``fit.predict`` and ``fit.evaluate`` do it too.
        normalize_targets: "standard": training sees targets of numbers with mean 0 and variance 1, while
            outputs and scores are in the data's own units; "none": as they are. By default the former, where
            the loss allows it, and ``data`` are no batches.
        target: the column of a table that holds the targets, where ``data`` is the name of a file.
        sample_weight: how much each sample counts, an array of numbers from 0 of which the ratios matter: in
            training it comes in proportion to that, as often as is drawn anew in every epoch, and scores
            count it. Of a file it is the name of a column.
        class_weight: "balanced": training sees every class equally often; or a dict of how much the samples
            of a class count, by its name or number; those of others count 1. Scores are of the data as it is.
        steps_per_epoch: how many batches an epoch has, where ``data`` makes them; by default all.
        iterations: how many an update has, of solvers that iterate.
        resume: where to begin: a :class:`Fit`, a file of parameters that ``pjc train`` or ``fit.save`` wrote,
            or parameters. A run goes on to the numbers of one that never stopped.
        verbose: whether a line is printed for each epoch; by default in a notebook and at a terminal.
        trace: whether to record what sampled updates say of every constraint, as ``fit.trace`` has it then;
            or the file to write that to, which :func:`pjc.read_trace` reads. It changes nothing in the
            run, but perhaps roundings, where XLA joins operations otherwise. With ``resume`` a file that is
            there is gone on with. Give ``seed`` again: its updates from where training begins are recorded
            anew, those of other seeds stay.
        trace_every: of so many updates one is recorded.
        options: the fields of :class:`Options`, where ``network`` is not compiled yet.

    Raises:
        DataError: where the data does not fit the network.
        TrainError: where training cannot start, or diverges.
        DiagnosticError: for mistakes in the network, and wrong arguments.
    """
    program = _program(network, options)
    asked = Asked(data, validation, test, target, normalize, steps_per_epoch, sample_weight, class_weight)
    inner = program.program if isinstance(program, TracedProgram) else program
    inner.require_trainable()
    _require_normalized_alike(resume, normalize)
    given = given_for(asked, *specs(inner))
    if given.test is not None:
        require_one_output(inner)
    start, units = _start(program, resume)
    inner = _in_units(inner, given, normalize_targets, units)
    run = Run(
        epochs, seed, given.validation, iterations, start, recorder=_recorder(trace, trace_every, start)
    )
    best = resume.best if isinstance(resume, Fit) else None
    job = _Job(_with(program, inner), _sized(inner, given.train, options), given, run, best)
    return job.fit(tuple(callbacks), _is_watched() if verbose is None else verbose)


def _require_normalized_alike(resume: Any, normalize: str) -> None:
    """Raise DiagnosticError where a fit is gone on with on samples that are normalized otherwise."""
    before = resume.notes.get("normalize", "none") if isinstance(resume, Fit) else normalize
    if before != normalize:
        raise mistake(
            f"the fit was trained with normalize={before!r}, and goes on with {normalize!r}",
            f"give normalize={before!r}, or resume=fit.params to begin a run with its parameters",
        )


def _recorder(trace: Any, every: int, start: Result | None) -> Recorder | None:
    """Return what records the trace that is asked for; raise DiagnosticError for what is none."""
    if trace is None or trace is False:
        return None
    if trace is not True and not isinstance(trace, str | os.PathLike):
        raise mistake(f"trace takes a file to write to, or True, found {type(trace).__name__}")
    path = None if trace is True else Path(trace)
    if path is not None and path.exists() and not looks_like_trace(path):
        raise mistake(f"trace: {path} would be overwritten, which is no trace", "name another file")
    return Recorder(path, every, goes_on=start is not None)


def _program(network: Any, options: Mapping[str, Any]) -> Program | TracedProgram:
    """Return the program that is trained, compiled with the options if it is not yet."""
    if isinstance(network, Program | TracedProgram):
        if options:
            raise mistake(
                f"the network is compiled already, so it takes no {', '.join(options)}",
                "give options where it is compiled, or a source here",
            )
        return network
    require_known(Options, options)
    return Compilation(source_of(network), Options(**options)).program()


def _with(program: Program | TracedProgram, inner: Program) -> Program | TracedProgram:
    if isinstance(program, TracedProgram):
        return TracedProgram(inner, program.traced, program.source)
    return inner


def _sized(program: Program, data: Dataset | Stream, options: Mapping[str, Any]) -> Program:
    """Return the program for batches of all samples, where there are fewer than in one batch."""
    small = isinstance(data, Dataset) and program.batch is not None and len(data) < program.batch
    return program.with_batch(len(data)) if small and isinstance(data, Dataset) else program


def _in_units(program: Program, given: Given, wish: str | None, units: Mapping[str, Any] | None) -> Program:
    """Return the program in the units of what it goes on from, or of its targets; see Start.in_units."""
    if wish not in (None, *TARGETS):
        raise mistake(f"there is no normalization of targets {wish!r}", f"known are {', '.join(TARGETS)}")
    if units is not None:
        return program.rescaled(units)
    if wish == STANDARD and not can_standardize(program):
        raise mistake(f"normalize_targets={STANDARD!r} does not go with this network", WHEN)
    if isinstance(given.train, Stream):
        if wish == STANDARD:
            raise mistake("targets are measured on all samples, and batches are seen one by one")
        return program
    return program if wish == "none" else standardized(program, given.train)


def _start(program: Program | TracedProgram, resume: Any) -> tuple[Result | None, Mapping[str, Any] | None]:
    """Return where training begins, and the units that belongs to it."""
    if resume is None:
        return None, None
    if isinstance(resume, Fit):
        return resume.result, resume.compiled.units
    inner = program.program if isinstance(program, TracedProgram) else program
    if isinstance(resume, str | Path):
        found = read_checkpoint(Path(resume))
        return found.result, found.units
    named = program.named(resume) if isinstance(program, TracedProgram) else resume
    if not isinstance(named, Mapping):
        raise mistake(
            "resume takes what train returned, a file of parameters, or parameters, found "
            f"{type(resume).__name__}"
        )
    return Result(check_parameters(inner, named)), None


@dataclass(frozen=True)
class _Job:
    """A run that is ready: the program for the caller, that which is trained, its data, and what is asked."""

    program: Program | TracedProgram
    trained: Program
    given: Given
    run: Run
    best: Result | None = None
    """Where the part of the run that it goes on from stood after its best epoch, if that is at hand."""

    def fit(self, callbacks: Sequence[Callback], verbose: bool) -> Fit:
        """Train, and return what comes of it."""
        trained, given = self.trained, self.given
        settings = {"seed": self.run.seed, "batch": trained.batch or 0}
        begun = self.run.start or Result(trained.init(self.run.seed))
        told = TrainingRun(
            self.program,
            self.run.epochs,
            metric(trained),
            stepper_for(trained).measure,
            self.run.seed,
            begun,
            write_parameters(trained, settings, given.notes),
            tree_of(self.program),
            recorder=self.run.recorder,
            best=self.best,
        )
        holder = Holder(trained, warn, 'compiling with copies="{}=held"')
        result = _trained(self, told, _Listener(told, callbacks, verbose, holder))
        kept = told.kept or result
        score = None if given.test is None else evaluate(trained, kept.params, given.test)
        stopped = told.stopping if result.epoch < self.run.epochs else None
        recorder = self.run.recorder
        trace = None if recorder is None else recorder.trace()
        best = None if kept is result else kept
        return Fit(self.program, result, self.run.epochs, stopped, score, settings, given.notes, trace, best)


def _trained(job: _Job, told: TrainingRun, listener: _Listener) -> Result:
    """Return where training stands at its end, or where Ctrl-C ended it."""
    started: list[Callback] = []
    try:
        for each in listener.callbacks:
            each.start(told)
            started.append(each)
        with _first_interrupt(told):
            result = run_training(_going_on(job), job.given.train, job.run, listener)
    except KeyboardInterrupt:
        if not told.batches:
            raise  # nothing was trained yet
        told.stopping = told.stopping or INTERRUPTED
        result = told.result
    finally:
        for each in started:
            each.end(told)
    if (
        told.stopping is not None
        and result.epoch < job.run.epochs
        and (listener.verbose or told.stopping == INTERRUPTED)
    ):
        done = f"{result.epoch} epochs" + (f" and {result.batch} batches" if result.batch else "")
        print(f"stopped after {done} of {job.run.epochs} epochs: {told.stopping}", file=sys.stderr)
    return result


def _going_on(job: _Job) -> Program:
    """Return the program that a run begins with: with those dots held which an earlier part of it held."""
    held = () if job.run.start is None else job.run.start.held
    return (job.trained.holding(held) if held else None) or job.trained


INTERRUPTED = "interrupted"
"""Why a run ended that Ctrl-C ended."""


@contextmanager
def _first_interrupt(told: TrainingRun) -> Iterator[None]:
    """Within it the first Ctrl-C asks the run to stop; the second does what it did before."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def take(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        told.stop(INTERRUPTED)
        print("\nstopping after this batch; Ctrl-C again aborts", file=sys.stderr)

    signal.signal(signal.SIGINT, take)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass
class _Listener(Listener):
    """Tells callbacks of a run, and whoever watches."""

    told: TrainingRun
    callbacks: Sequence[Callback]
    verbose: bool
    holder: Holder

    @property
    def saves(self) -> bool:
        return bool(self.callbacks)  # any of them may

    def begin(self, result: Result, batches: int) -> None:
        self.told.result, self.told.batches, self.told.batch = result, batches, result.batch

    def progress(self, batch: int, gap: float) -> None:
        self.told.told = gap

    def should_stop(self) -> bool:
        self.told.batch += 1
        for each in self.callbacks:
            each.batch(self.told)
        return self.told.stopping is not None

    def epoch(self, result: Result) -> None:
        told = self.told
        told.result, told.batch = result, 0
        if self.verbose:
            print(_line(told), flush=True)
        for each in self.callbacks:
            each.epoch(told)

    def revise(self, result: Result) -> Revision | None:
        return self.holder(result)

    def is_done(self, result: Result) -> bool:
        return self.told.stopping is not None

    def warning(self, text: str) -> None:
        warn(text)


def _line(told: TrainingRun) -> str:
    """Return what a person reads of an epoch."""
    row = told.result.history[-1]
    score = ""
    for part, value in (("training", row.training), ("validation", row.validation)):
        if value is not None:
            shown = f"{100 * value:.1f}%" if told.metric == "accuracy" else f"{value:.4g}"
            score += f", {part} {told.metric} {shown}"
    return f"epoch {row.epoch}/{told.epochs}: {row.told(told.measure)}{score}, {row.seconds:.1f} s"


def _is_watched() -> bool:
    """Whether a person sees what is printed as it is: in a notebook, or at a terminal."""
    return "ipykernel" in sys.modules or bool(getattr(sys.stdout, "isatty", bool)())
