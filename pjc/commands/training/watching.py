"""What the command does while it trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pjc.commands.shared import say
from pjc.commands.training.view import Stopper, View
from pjc.runtime.listener import Listener, Revision
from pjc.runtime.stopping import EarlyStopping

if TYPE_CHECKING:
    from rich.console import Console

    from pjc.commands.training.arguments import RunArguments
    from pjc.commands.training.files import Files
    from pjc.holding import Holder
    from pjc.runtime.history import Result
    from pjc.runtime.program import Program
    from pjc.runtime.recording import Recorder


def holder_of(program: Program, console: Console) -> Holder:
    """Return what holds the copies of factored dots whose |t| was large, and says so."""
    from pjc.holding import Holder

    def warn(text: str) -> None:
        say(console, f"warning: {text}", "yellow", "warning")

    return Holder(program, warn, "--copies {}=held")


def recorder_of(given: RunArguments, writes: bool) -> Recorder | None:
    """Return what records the trace that is asked for, in a process that ``writes`` files or not."""
    from pjc.runtime.recording import Recorder

    if given.trace is None:
        return None
    return Recorder(Path(given.trace) if writes else None, given.trace_every, given.resume)


@dataclass
class Watching(Listener):
    """What the command does while it trains: show, save, stop, and hold dots whose |t| is large."""

    view: View
    stopper: Stopper
    holder: Holder
    files: Files | None
    best: Callable[[Result], None] | None
    patience: EarlyStopping | None

    @property
    def saves(self) -> bool:
        return self.files is not None

    def begin(self, result: Result, batches: int) -> None:
        self.view.begin(result, batches)

    def progress(self, batch: int, gap: float) -> None:
        self.view.progress(batch, gap)

    def checkpoint(self, result: Result) -> None:
        if self.files is not None:
            self.files.save(result)

    def should_stop(self) -> bool:
        self.stopper.begin()
        return self.stopper()

    def revise(self, result: Result) -> Revision | None:
        return self.holder(result)

    def epoch(self, result: Result) -> None:
        # In this order: killed in between, the run that is resumed does the epoch again.
        if self.best is not None:
            self.best(result)
        self.checkpoint(result)
        self.view.epoch(result.history[-1])

    def is_done(self, result: Result) -> bool:
        return self.patience is not None and self.patience.is_done(result)

    def warning(self, text: str) -> None:
        self.view.warning(text)
