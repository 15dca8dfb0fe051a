"""Several runs that differ in seed, one after another: ``pjc train --runs N``."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pjc.commands.shared import RESULT, say
from pjc.commands.training.files import Files, Measures, Outputs, Settings
from pjc.commands.training.view import Interrupt, View, shown
from pjc.commands.training.watching import Watching, holder_of, recorder_of
from pjc.diagnostics import CommandError
from pjc.reading import MAX_TEXT_BYTES, measured, reading
from pjc.runtime.listener import Listener
from pjc.runtime.stopping import EarlyStopping, best_row, goodness

if TYPE_CHECKING:
    from rich.console import Console

    from pjc.commands.training.arguments import Arguments
    from pjc.driver import Compilation
    from pjc.runtime.data.prepare import Parts
    from pjc.runtime.history import Result, Row
    from pjc.runtime.program import Program

NEAR = 0.99
"""Which part of its best validation score a run reaches, for the time that is told."""


@dataclass(frozen=True)
class Finished:
    """A run that is done: a row of the CSV. Scores are those of ``epoch``."""

    seed: int
    epochs: int
    seconds: float
    epoch: int
    validation: float
    test: float | None
    seconds_to_99: float


@dataclass(frozen=True)
class Several:
    """What the runs have in common."""

    given: Arguments
    compilation: Compilation
    program: Program
    parts: Parts
    outputs: Outputs
    settings: Settings
    measures: Measures


class _Best:
    """Keeps the result of the epoch that validates best, of several the first."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.result: Result | None = None

    def __call__(self, result: Result) -> None:
        found = best_row(result.history, self.metric)
        if found is not None and found.epoch == result.epoch:
            self.result = result


class _Once(Listener):
    """Ends a run after two batches, of which a trace may record the first alone."""

    done = 0

    def should_stop(self) -> bool:
        self.done += 1
        return self.done > 1


def train_runs(asked: Several, console: Console, start: Result | None) -> int:
    """Train with one seed after another; write the runs that are done and the best one's parameters.

    Returns the exit code.
    """
    from pjc.runtime.evaluate import evaluator
    from pjc.runtime.train import Run, Training

    given, metric = asked.given, asked.measures.metric
    done = read_runs(asked.outputs.runs, given.run.seed) if given.run.resume else []
    run = Run(given.run.epochs, given.run.seed, asked.parts.validation, start=start)
    training = Training(
        asked.program, asked.parts.train, replace(run, recorder=recorder_of(given.run, writes=True))
    )
    score = evaluator(asked.program)
    view = View(console, given.run.epochs, asked.measures, level="debug")
    if len(done) < given.run.runs:
        # It compiles, so that the first run takes no longer than others.
        training.run(given.run.seed + len(done), _Once())
    with view, Interrupt() as interrupt:
        for seed in range(given.run.seed + len(done), given.run.seed + given.run.runs):
            view.title = f"run {1 + seed - given.run.seed}/{given.run.runs}, "
            result, kept = _one(asked, training, seed, view, interrupt)
            if result.batch or (interrupt() and not _is_whole(asked, result)):
                break
            row = best_row(kept.history[-1:], metric) or result.history[-1]
            test = None if asked.parts.test is None else score(kept.params, asked.parts.test)
            reached = seconds_to(result.history, metric)
            done.append(
                Finished(seed, result.epoch, result.seconds, row.epoch, row.validation or 0.0, test, reached)
            )
            _write(asked, done, kept, result)
            _say_run(console, asked, done[-1])
            if interrupt():
                break
    say_runs(console, asked, done)
    stopped = len(done) < given.run.runs
    if stopped:
        more = "; --resume goes on with the next" if done else ""
        say(console, f"stopped after {len(done)} of {given.run.runs} runs{more}", level=RESULT)
    return interrupt.code if stopped else 0


def _one(asked: Several, training: Any, seed: int, view: View, interrupt: Interrupt) -> tuple[Result, Result]:
    """Return the result of a run, and that of its epoch whose parameters count."""
    run, metric = asked.given.run, asked.measures.metric
    best = _Best(metric) if run.keeps_best else None
    patience = None if run.patience is None else EarlyStopping(run.patience, metric)
    holder = holder_of(asked.program, view.console)
    result = training.run(seed, Watching(view, interrupt, holder, None, best, patience))
    return result, result if best is None or best.result is None else best.result


def _is_whole(asked: Several, result: Result) -> bool:
    """Return whether a run has all the epochs that it was to have."""
    run = asked.given.run
    patience = None if run.patience is None else EarlyStopping(run.patience, asked.measures.metric)
    return result.epoch >= run.epochs or (patience is not None and patience.is_done(result))


def seconds_to(rows: Sequence[Row], metric: str) -> float:
    """Return after how many seconds a run first had NEAR of its best validation score."""
    best = best_row(rows, metric)
    score = 0.0 if best is None else best.validation or 0.0
    bound = goodness(score * NEAR if goodness(1, metric) > 0 else score / NEAR, metric)
    near = (row for row in rows if row.validation is not None and goodness(row.validation, metric) >= bound)
    return next((row.seconds for row in near), math.nan)


def best_of(done: Sequence[Finished], metric: str) -> Finished:
    """Return the run that validates best, of several the first."""
    return max(done, key=lambda each: goodness(each.validation, metric))


def _write(asked: Several, done: Sequence[Finished], kept: Result, result: Result) -> None:
    """Write the table of runs and, if the last one is the best, the parameters ``kept`` and its history."""
    from pjc.runtime.history import write_history

    last = done[-1]
    if best_of(done, asked.measures.metric) is last:
        settings = {**asked.settings, "seed": last.seed}
        files = Files(asked.outputs, settings, asked.parts.notes, asked.measures, asked.program.units)
        files.write(asked.outputs.params, kept)
        write_history(asked.outputs.history, result.history, asked.measures.metric, asked.measures.batch)
    write_runs(asked.outputs.runs, done)


_COLUMNS = tuple(each.name for each in fields(Finished))


def write_runs(path: Path, done: Sequence[Finished]) -> None:
    """Write a CSV with a row a run. Raises WriteError."""
    from pjc.runtime.files import replace_file

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in done:
        row = {name: "" if value is None else repr(value) for name, value in asdict(each).items()}
        times = {name: f"{getattr(each, name):.3f}" for name in ("seconds", "seconds_to_99")}
        writer.writerow((row | times).values())
    replace_file(path, lambda temporary: temporary.write_text(text.getvalue(), encoding="utf-8"))


def read_runs(path: Path, seed: int) -> list[Finished]:
    """Return the runs that are done; raise CommandError for any other file, and for another first seed."""
    measured(path, MAX_TEXT_BYTES, CommandError)
    with reading(path, "a table of runs", CommandError):
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        found = [_row({name: row[name] for name in _COLUMNS}) for row in rows]
    if [each.seed for each in found] != list(range(seed, seed + len(found))):
        raise CommandError(
            f"{path} cannot be gone on from: its runs are not those from --seed {seed} on; "
            "repeat the options, or start anew without --resume"
        )
    return found


def _row(row: dict[str, str]) -> Finished:
    read: dict[str, Any] = {name: int(row[name]) for name in ("seed", "epochs", "epoch")}
    read |= {name: float(row[name]) for name in ("seconds", "validation", "seconds_to_99")}
    return Finished(**read, test=float(row["test"]) if row["test"] else None)


def _say_run(console: Console, asked: Several, done: Finished) -> None:
    """Say how a run ended."""
    first, metric = asked.given.run.seed, asked.measures.metric
    test = "" if done.test is None else f", test {metric} {shown(done.test, metric)}"
    said = f"validation {metric} {shown(done.validation, metric)}{test}, {done.seconds:.1f} s"
    say(console, f"run {1 + done.seed - first}/{asked.given.run.runs}, seed {done.seed}: {said}")


def say_runs(console: Console, asked: Several, done: Sequence[Finished]) -> None:
    """Say what was written, and what the scores of all runs were."""
    if not done:
        return
    metric, outputs = asked.measures.metric, asked.outputs
    best = best_of(done, metric)
    for path in (outputs.params, outputs.history):
        say(console, f"wrote {path}, of seed {best.seed}, which validates best", level=RESULT)
    for other in filter(None, (outputs.runs, outputs.program, outputs.trace)):
        say(console, f"wrote {other}", level=RESULT)
    near = [each.seconds_to_99 for each in done]
    mean, spread = _moments(near)
    told = f"{mean:.3g} mean, {spread:.2g} standard deviation"
    say(console, f"seconds to 99% of the best validation score: {told}", level=RESULT)
    for part in ("validation", "test"):
        scores = [value for each in done if (value := getattr(each, part)) is not None]
        if scores:
            mean, spread = _moments(scores)
            top = getattr(best, part)
            told = f"{shown(mean, metric)} mean, {_spread(spread, metric)} standard deviation"
            told += f", {shown(top, metric)} of the best"
            say(console, f"{part} {metric} of {len(done)} runs: {told}", "bold", RESULT)


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the standard deviation of a sample, 0 for one value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def _spread(value: float, metric: str) -> str:
    return f"{100 * value:.2f}%" if metric == "accuracy" else f"{value:.2g}"
