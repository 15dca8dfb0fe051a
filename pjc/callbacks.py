"""What is told of a training run by :func:`pjc.train`, and may stop it.

>>> pjc.train("net.pjn", (x, y), validation=0.1, callbacks=[EarlyStopping(3)])       # doctest: +SKIP
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pjc.diagnostics import PjcError, mistake
from pjc.runtime.stopping import EarlyStopping as _Stopping
from pjc.runtime.stopping import best_row

if TYPE_CHECKING:
    from pjc.history import History
    from pjc.runtime.history import Result
    from pjc.runtime.recording import Recorder
    from pjc.runtime.trace import Trace

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Logger",
    "TensorBoard",
    "TrainingRun",
    "TrainingWarning",
    "write_events",
]


class TrainingWarning(UserWarning):
    """Something about a run is not as it should be: what, and what to try."""


def warn(text: str) -> None:
    """Tell that something about a run is not as it should be."""
    warnings.warn(text, TrainingWarning, stacklevel=2)


@dataclass
class TrainingRun:
    """A run of :func:`pjc.train` as callbacks see it.

    Attributes:
        program: what is trained.
        epochs: how many epochs there are to be.
        batches: how many batches an epoch has.
        metric: what the validation score is: "accuracy" or "rms error".
        measure: what is told of batches: "demand", or "gap" of solvers that iterate.
        seed: the run's.
        result: where training stood after the last whole epoch, as the runtime has it.
        batch: how many batches of this epoch are done.
        told: the mean demand or gap of this epoch's batches, as far as it is known; it is looked at ten
            times a second at most.
        stopping: why the run is to stop; None as long as it goes on.
        recorder: what records the trace; None if there is none.
    """

    program: Any
    epochs: int
    metric: str
    measure: str
    seed: int
    result: Result
    save_to: Callable[[Result, Path], None] = field(repr=False)
    tree: Callable[[Any], Any] = field(repr=False)
    batches: int = 0
    batch: int = 0
    told: float | None = None
    stopping: str | None = None
    recorder: Recorder | None = None
    best: Result | None = None
    """Where an earlier part of the run stood after its best epoch, if that is at hand."""
    kept: Result | None = None
    """What the run is to have led to, where that is not where it stood at its end."""

    @property
    def epoch(self) -> int:
        """How many whole epochs are done."""
        return self.result.epoch

    @property
    def params(self) -> Any:
        """The parameters after the last whole epoch, in the sets that are required of them."""
        return self.tree(self.result.params)

    @property
    def history(self) -> History:
        """The table of the epochs so far."""
        from pjc.history import History

        return History(self.result.history, self.metric, self.measure)

    def row(self) -> dict[str, Any]:
        """Return the numbers of the last whole epoch, by the names of columns; those that are known."""
        rows = self.history[-1:]
        return {name: value for name, value in (rows[0] if rows else {}).items() if value is not None}

    def stop(self, why: str = "a callback asked for it") -> None:
        """Let the run end after this batch."""
        self.stopping = self.stopping or why

    def save(self, path: str | Path) -> None:
        """Write the parameters after the last whole epoch to a file, as ``pjc train`` writes them.

        Raises:
            WriteError: if it cannot be written.
        """
        self.save_to(self.result, Path(path))


class Callback:
    """Hears of a run. Here nothing does anything; subclasses say what. What they raise ends the run."""

    def start(self, training: TrainingRun) -> None:
        """Training is about to begin."""

    def batch(self, training: TrainingRun) -> None:
        """A batch was given to the device; ``training.batch`` counts them in their epoch."""

    def epoch(self, training: TrainingRun) -> None:
        """An epoch is done, of which the last row of ``training.history`` tells."""

    def end(self, training: TrainingRun) -> None:
        """Training is over: all epochs are done, it was stopped, or an error ends it."""


class EarlyStopping(Callback):
    """Ends a run once the validation score was no better than its best for some epochs in a row.

    Args:
        patience: how many epochs, from 1.
        restore: whether the parameters are those of the best epoch in the end, not those of the last. Of a
            run that goes on from a file the best epoch may be one before, whose parameters are not at hand: a
            warning says so.

    Raises:
        DiagnosticError: for another patience; and from the run, if there is nothing to validate with.
    """

    def __init__(self, patience: int = 5, restore: bool = True) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise mistake(f"patience takes a whole number of epochs from 1, found {patience!r}")
        self.patience = patience
        self.restore = restore
        self.best: Result | None = None

    def start(self, training: TrainingRun) -> None:
        self.best = training.best
        begun = training.result
        found = best_row(begun.history, training.metric)
        if found is not None and found.epoch == begun.epoch and not begun.batch:
            self.best = begun

    def epoch(self, training: TrainingRun) -> None:
        result = training.result
        best = best_row(result.history, training.metric)
        if best is None:
            raise mistake(
                "EarlyStopping looks at the validation score, and there is nothing to validate with",
                "give validation=0.1, or validation=(x, y), to pjc.train",
            )
        if best.epoch == result.epoch:
            self.best = result
        if _Stopping(self.patience, training.metric).is_done(result):
            training.stop(f"no better validation {training.metric} since epoch {best.epoch}")

    def end(self, training: TrainingRun) -> None:
        best = best_row(training.result.history, training.metric) if self.restore else None
        if best is None:
            return
        if self.best is not None and self.best.epoch == best.epoch:
            training.kept = self.best
        else:
            warn(
                f"epoch {best.epoch} validated best, and training goes on from a later one, so that its "
                "parameters are not at hand: those of the last epoch are kept; resume=fit brings them along"
            )


class Checkpoint(Callback):
    """Writes the parameters after epochs, as ``pjc train`` writes them; the file is never half written.

    Args:
        path: a safetensors file; ``{epoch}`` in it is the number of the epoch, so that each has a file.
        every: how many epochs go by between two.
        best: whether only epochs are written that validate better than all before.
    """

    def __init__(self, path: str | Path, every: int = 1, best: bool = False) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise mistake(f"every takes a whole number of epochs from 1, found {every!r}")
        self.path = str(path)
        self.every = every
        self.best = best

    def epoch(self, training: TrainingRun) -> None:
        found = best_row(training.result.history, training.metric) if self.best else None
        if self.best and (found is None or found.epoch != training.epoch):
            return
        if self.best or training.epoch % self.every == 0 or training.epoch == training.epochs:
            training.save(self.path.replace("{epoch}", str(training.epoch)))


class Logger(Callback):
    """Tells of every epoch through Python's logging.

    Args:
        logger: the logger, or its name.
        level: at which level.
    """

    def __init__(self, logger: logging.Logger | str = "pjc", level: int = logging.INFO) -> None:
        self.logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self.level = level

    def start(self, training: TrainingRun) -> None:
        self.logger.log(self.level, "training %s for %d epochs", training.program.name, training.epochs)

    def epoch(self, training: TrainingRun) -> None:
        told = ", ".join(f"{name} {value:.4g}" for name, value in training.row().items() if name != "epoch")
        self.logger.log(self.level, "epoch %d/%d: %s", training.epoch, training.epochs, told)

    def end(self, training: TrainingRun) -> None:
        why = f": {training.stopping}" if training.stopping else ""
        self.logger.log(self.level, "training ended after %d epochs%s", training.epoch, why)


class TensorBoard(Callback):
    """Writes the numbers of every epoch, and what a trace has recorded since, as events for TensorBoard.

    They are written by the first of these that is installed: tensorboardX, PyTorch, TensorFlow.

    Args:
        folder: where the files of events go.

    Raises:
        PjcError: if none is installed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = str(folder)
        self._make = _writer()
        self._writer: Any = None
        self._recorded = 0

    def start(self, training: TrainingRun) -> None:
        self._writer = self._make(self.folder)
        self._recorded = 0

    def epoch(self, training: TrainingRun) -> None:
        for name, value in training.row().items():
            if name != "epoch":
                self._writer.add_scalar(name, value, training.epoch)
        if training.recorder is not None:
            trace = training.recorder.trace()
            _add_trace(self._writer, trace, self._recorded)
            self._recorded = len(trace)
        self._writer.flush()

    def end(self, training: TrainingRun) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def write_events(trace: Trace, folder: str | Path) -> None:
    """Write a trace as events for TensorBoard, in a folder: a curve a measure and node, over updates.

    They are written as :class:`TensorBoard` writes them; of several runs each has a folder in it.

    Raises:
        PjcError: if no library that writes events is installed, or the folder cannot be written.
    """
    make, seeds = _writer(), sorted(set(map(int, trace.seed)))
    for seed in seeds:
        try:
            writer: Any = make(str(folder if len(seeds) == 1 else Path(folder, f"seed_{seed}")))
        except OSError as error:
            raise PjcError(f"{folder} cannot be written: {error.strerror or error}") from None
        _add_trace(writer, trace.rows(trace.seed == seed), 0)
        writer.flush()
        writer.close()


def _add_trace(writer: Any, trace: Trace, start: int) -> None:
    """Write the rows of a trace from one on; loops as one."""
    for measure in trace.measures:
        for name in trace.names(measure):
            numbers = trace.series(name, measure)[start:]
            for step, value in zip(trace.step[start:], numbers, strict=True):
                if math.isfinite(value):
                    writer.add_scalar(f"{measure}/{name}", float(value), int(step))


class _TensorFlow:
    """A writer of TensorFlow's with the methods of the others."""

    def __init__(self, folder: str) -> None:
        self._summary: Any = import_module("tensorflow").summary
        self._writer: Any = self._summary.create_file_writer(folder)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        with self._writer.as_default():
            self._summary.scalar(name, value, step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _writer() -> Callable[[str], Any]:
    """Return what makes a writer of events for a folder; raise PjcError if no library has one."""
    for module, name in (("tensorboardX", "SummaryWriter"), ("torch.utils.tensorboard", "SummaryWriter")):
        try:
            made: Callable[[str], Any] = getattr(import_module(module), name)
        except ImportError:
            continue
        return made
    try:
        import_module("tensorflow")
    except ImportError:
        raise PjcError(
            "TensorBoard needs a library that writes events, and none is installed: pip install tensorboardX"
        ) from None
    return _TensorFlow
