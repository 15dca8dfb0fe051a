"""What ``pjc train`` shows while it trains, and how it is interrupted."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pjc.commands.outputs import files_of_data
from pjc.commands.shared import RESULT, say, says
from pjc.interrupts import STOPPING, exit_code, taking

if TYPE_CHECKING:
    from rich.console import Console

    from pjc.commands.training.files import Best, Measures, Outputs
    from pjc.runtime.data.dataset import Dataset
    from pjc.runtime.data.prepare import Parts
    from pjc.runtime.history import Result, Row
    from pjc.runtime.program import Program


LARGE = 50_000_000
"""From so many bytes on it is said of a file that it is read."""


class View:
    """Shows a training run: a line for each epoch and, on a terminal, a progress bar."""

    def __init__(self, console: Console, epochs: int, measures: Measures, level: str = "info") -> None:
        from rich import progress

        self.console = console
        self.epochs = epochs
        self.level = level
        self.title = ""
        self.warned: set[str] = set()
        self.batches = 0
        self.measures = measures
        self.done = 0
        self.validation = ""
        self.bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[state]}"),
            progress.TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not (console.is_terminal and says(console, "info")),
        )
        self.task = self.bar.add_task(self._title(), total=None, state="")

    def __enter__(self) -> View:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def _title(self) -> str:
        return f"{self.title}epoch {min(self.done + 1, self.epochs)}/{self.epochs}"

    def begin(self, start: Result, batches: int) -> None:
        """Show that training begins at ``start``, with so many batches in every epoch."""
        self.batches, self.done = batches, start.epoch
        at = self.done * batches + start.batch
        self.bar.update(self.task, total=self.epochs * batches, completed=at, description=self._title())

    def progress(self, batch: int, gap: float) -> None:
        """Show how many batches of the epoch are done, and their mean gap or demand."""
        state = f"{self.measures.batch} {gap:.3g}{self.validation}"
        self.bar.update(
            self.task,
            completed=self.done * self.batches + batch,
            description=self._title(),
            state=state,
        )

    def epoch(self, row: Row) -> None:
        """Show the numbers of an epoch."""
        self.done = row.epoch
        metric = self.measures.metric
        if row.validation is not None:
            self.validation = f", validation {metric} {shown(row.validation, metric)}"
        training = "" if row.training is None else f", training {metric} {shown(row.training, metric)}"
        told = f"{row.told(self.measures.batch)}{training}{self.validation}"
        say(self.console, f"epoch {row.epoch}/{self.epochs}: {told}, {row.seconds:.1f} s", level=self.level)

    def warning(self, text: str) -> None:
        """Show what is not as it should be, once."""
        if text in self.warned:
            return
        self.warned.add(text)
        say(self.console, f"warning: {text}", "yellow", "warning")


def shown(value: float, metric: str) -> str:
    """Return a score as a person reads it."""
    return f"{100 * value:.1f}%" if metric == "accuracy" else f"{value:.4g}"


def say_reading(console: Console, *data: str | None) -> None:
    """Say which large files are about to be read, so that no one waits and wonders."""
    for each in map(Path, files_of_data(*data)):
        size = each.stat().st_size if each.is_file() else 0
        if size >= LARGE:
            say(console, f"reading {each}, {size / 1e6:.0f} MB")


def say_sizes(console: Console, parts: Parts, program: Program) -> None:
    """Say how many samples there are in each part, and whether training sees their targets as they are."""
    sizes = [f"{len(parts.train)} to train on"]
    sizes += [f"{len(parts.validation)} to validate"] if parts.validation else []
    sizes += [f"{len(parts.test)} to test"] if parts.test else []
    say(console, f"{parts.train.name}: {', '.join(sizes)}; batches of {program.batch}")
    if program.units:
        text = "targets are standardized for training; outputs and scores are in the data's own units"
        say(console, text)


def say_hints(console: Console, normalize: str, train: Dataset, program: Program) -> None:
    """Say what is unusual in the data, and what to try."""
    from pjc.runtime.data.hints import hints, target_hint
    from pjc.runtime.predicting import NUMBERS, kind_of
    from pjc.runtime.standardize import can_standardize

    found = hints(train, normalize)
    if program.targets and kind_of(program) == NUMBERS:
        advice = "--normalize-targets standard brings that to 1" if can_standardize(program) else None
        told = target_hint(train, bool(program.units), advice)
        found += [] if told is None else [told]
    for text in found:
        say(console, f"warning: {text}", "yellow", "warning")


def say_times(console: Console, seconds: Mapping[str, float]) -> None:
    """Say how long the stages of the compiler took, to who wants to know."""
    told = ", ".join(f"{stage} {taken:.2f}" for stage, taken in seconds.items())
    say(console, f"seconds: {told}", level="debug")


def say_early(console: Console, patience: int, result: Result, epochs: int, measures: Measures) -> None:
    """Say that training ended before all ``epochs``, and why."""
    if result.epoch < epochs:
        why = f"validation {measures.metric} was no better for {patience} epochs"
        say(console, f"ended after {result.epoch} of {epochs} epochs: {why}")


def say_end(
    console: Console, outputs: Outputs, best: Best | None, stopped: Result | None, epochs: int
) -> None:
    """Say what was written and, if training was ``stopped`` before all ``epochs``, where."""
    for path in filter(None, (outputs.params, outputs.history, outputs.program, outputs.trace)):
        say(console, f"wrote {path}", level=RESULT)
    if best is not None and best.told():
        say(console, best.told(), level=RESULT)
    if stopped is not None:
        done = f"{stopped.epoch} epochs" + (f" and {stopped.batch} batches" if stopped.batch else "")
        say(console, f"stopped after {done} of {epochs} epochs; --resume goes on from here", level=RESULT)


class Stopper(Protocol):
    """Within it, calling it says whether training was asked to stop, and ``code`` how that ends the command.

    Until ``begin`` there is nothing to keep, and whoever asks ends the command at once.
    """

    @property
    def code(self) -> int: ...
    def begin(self) -> None: ...
    def __call__(self) -> bool: ...
    def __enter__(self) -> Stopper: ...
    def __exit__(self, *_: object) -> None: ...


class Interrupt:
    """Within it the first Ctrl-C or SIGTERM only asks to stop, which calling it tells; the second aborts."""

    def __init__(self) -> None:
        self.asked = False
        self.code = exit_code(signal.SIGINT)
        self.begun = False
        self._taking = taking(self._take)

    def begin(self) -> None:
        """From now on there is something to keep."""
        self.begun = True

    def __call__(self) -> bool:
        return self.asked

    def __enter__(self) -> Interrupt:
        self._taking.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._taking.__exit__(None, None, None)

    def _take(self, number: int) -> bool:
        if not self.begun or self.asked:
            return False
        self.asked = True
        self.code = exit_code(number)
        sys.stderr.write(STOPPING)
        return True
