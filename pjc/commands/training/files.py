"""The files that ``pjc train`` writes, and goes on from."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pjc.commands.outputs import (
    files_of_data,
    is_kept,
    is_same,
    other_trace,
    overwritten,
    require_place,
    require_regular,
)
from pjc.commands.training.arguments import Arguments
from pjc.diagnostics import CommandError
from pjc.options import Options
from pjc.python_files import file_of, stem_of
from pjc.runtime.data.parts import STANDARD

if TYPE_CHECKING:
    from pjc.driver import Compilation
    from pjc.runtime.data.dataset import Dataset
    from pjc.runtime.data.prepare import Parts
    from pjc.runtime.distributed import Share
    from pjc.runtime.history import Result, Row
    from pjc.runtime.program import Program
    from pjc.runtime.units import Units


@dataclass(frozen=True)
class Outputs:
    """The files that a training run writes; ``best`` where the best epoch is kept, ``runs`` with --runs."""

    params: Path
    history: Path
    program: Path
    best: Path
    runs: Path
    trace: Path | None = None

    @staticmethod
    def at(where: str, model: Path, writes: bool, trace: str | None = None) -> Outputs:
        """Return the files for ``-o where``, whose directory, where this process ``writes``, is made.

        The ``trace`` has a path of its own.

        Raises CommandError and WriteError where that cannot be, or they cannot be written.
        """
        folder = Path(where)
        is_folder = folder.is_dir() or where.endswith(("/", os.sep))
        prefix = folder / stem_of(model) if is_folder else folder
        name = prefix.name
        outputs = Outputs(
            prefix.with_name(f"{name}.params.safetensors"),
            prefix.with_name(f"{name}.history.csv"),
            prefix.with_name(f"{name}.pjx"),
            prefix.with_name(f"{name}.best.safetensors"),
            prefix.with_name(f"{name}.runs.csv"),
            None if trace is None else Path(trace),
        )
        if writes:
            for path in outputs.all():
                require_place(path)
            outputs._require_other(file_of(model))
            outputs._require_own_trace()
        return outputs

    def _require_other(self, model: Path) -> None:
        """Raise CommandError where a run would write over the network that it reads."""
        for path in self.all():
            if is_same(path, model):
                raise CommandError(
                    f"training writes {path}, which is the network itself; name a folder or another prefix "
                    "with -o, as in -o runs/"
                )

    def _require_own_trace(self) -> None:
        """Raise CommandError where the trace has the name of another file of the run."""
        *others, last = (each.resolve() for each in self.all())
        if self.trace is not None and last in others:
            raise CommandError(f"--trace {self.trace} is a file that the run writes anyway; name another")

    def require_new(self, given: Arguments) -> None:
        """Raise CommandError where another run wrote files of these names, unless it was said what then.

        Data that a run reads are not written over, whatever was said.
        """
        data = files_of_data(given.data.data, given.data.test_data)
        for path in self.all():
            if read := overwritten(path, data):
                raise CommandError(
                    f"training writes {path}, and reads {read}, which is the same file; name a folder or "
                    "another prefix with -o"
                )
        kept = [self.params, self.best, self.history, self.runs]
        if self.trace is not None:
            self._require_trace(self.trace, given)
            kept.append(self.trace)
        found = [each for each in kept if is_kept(each)]
        if found and not given.run.resume and not given.run.force:
            raise CommandError(
                f"{found[0]} was written by another run; --resume goes on from that, --force writes over it, "
                "and -o NAME writes elsewhere"
            )

    def _require_trace(self, trace: Path, given: Arguments) -> None:
        """Raise CommandError where a trace would be written over something that is none."""
        require_regular(trace)
        started = [given.run.params] if given.run.params else []
        if overwritten(trace, started):
            raise CommandError(f"--trace {trace} is what --params reads; name another file")
        if (other := other_trace(trace)) is not None and not given.run.force:
            raise CommandError(
                f"{trace} would be overwritten, which is {other}; name another with --trace, or give --force"
            )

    def stale(self, given: Arguments) -> list[Path]:
        """Return the files of an earlier run that this one, which writes over the others, leaves."""
        several = given.run.runs > 1
        written = {self.best: given.run.keeps_best and not several, self.runs: several}
        return [path for path, ours in written.items() if given.run.force and not ours and is_kept(path)]

    def all(self) -> tuple[Path, ...]:
        """Return the files."""
        own = self.params, self.history, self.program, self.best, self.runs
        return own if self.trace is None else (*own, self.trace)

    @contextmanager
    def held(self, writes: bool) -> Iterator[None]:
        """Keep other runs from these files, where this process ``writes`` them.

        What a killed run left half written beside them is removed; another run's is not touched.
        """
        from pjc.runtime.files import held, remove_leftovers

        with held(self.all() if writes else ()):
            for path in self.all() if writes else ():
                remove_leftovers(path)
            yield


Settings = Mapping[str, str | int | float]


def settings_of(given: Arguments, compilation: Compilation, program: Program, parts: Parts) -> Settings:
    """Return what must be the same for a resumed run to give the same numbers."""
    several = {"epochs of a run": given.run.epochs} if given.run.runs > 1 else {}
    return {
        **several,
        "seed": given.run.seed,
        "data": f"{len(parts.train)} samples to train on, checksum {parts.train.checksum():08x}",
        **compilation.options.compared(),
        "batch": program.batch or 0,
        "network": compilation.fingerprint(),
    }


@dataclass(frozen=True)
class Start:
    """Where training starts: a result, None for fresh parameters, and the units that its file has.

    ``units`` is None where there is no file.
    """

    result: Result | None = None
    units: Mapping[str, Units] | None = None

    def in_units(self, program: Program, wish: str | None, train: Dataset) -> Program:
        """Return the program with its targets in the units of what training starts from, or of its own data.

        Raises CommandError where ``wish``, of --normalize-targets, goes with neither network nor file.
        """
        from pjc.runtime.standardize import can_standardize, standardized
        from pjc.runtime.units import WHEN

        if wish == STANDARD and not can_standardize(program):
            why = "it came with parameters that have units of their own" if program.initial else WHEN
            raise CommandError(f"--normalize-targets {STANDARD} does not go with this network: {why}")
        if self.units is None:
            return program if wish not in (None, STANDARD) else standardized(program, train)
        if wish is not None and (wish == STANDARD) != bool(self.units):
            trained = "standardized targets" if self.units else "targets as they are"
            raise CommandError(
                f"the parameters were trained on {trained}, so they do not go with --normalize-targets "
                f"{wish}; leave it out"
            )
        return program.rescaled(self.units)


def start_of(given: Arguments, program: Program, outputs: Outputs, settings: Settings, share: Share) -> Start:
    """Return what training starts from: a checkpoint, given parameters, or fresh ones."""
    from pjc.runtime.distributed import file_of_writer
    from pjc.runtime.history import Result, read_checkpoint, read_stored
    from pjc.runtime.trainable import check_parameters

    if given.run.params:
        stored = read_stored(Path(given.run.params))
        return Start(Result(check_parameters(program, stored.params)), stored.units)
    if not given.run.resume:
        return Start()
    if share.process == 0 and not outputs.params.exists():
        raise CommandError(f"there is nothing to resume: no {outputs.params}; run without --resume")
    one = nullcontext(outputs.params) if share.processes == 1 else file_of_writer(outputs.params)
    with one as path:
        checkpoint = read_checkpoint(path)
    defaults = Options().compared()  # of options that the run's version did not have yet
    for name, ours in settings.items():
        if name == "seed" and given.run.runs > 1:  # that of the run that was best
            continue
        theirs = checkpoint.settings.get(name, defaults.get(name))
        if theirs != ours:
            changed = f"was {_shown(theirs)}, now it is {_shown(ours)}"
            difference = "is another" if name == "network" else changed
            raise CommandError(
                f"{outputs.params} cannot be resumed: its {name} {difference}; "
                "repeat the options of that run, or start anew without --resume: from its parameters, with "
                f"--params {outputs.params}, or from fresh ones"
            )
    if given.run.runs > 1:
        return Start(None, checkpoint.units)
    result = checkpoint.result
    return Start(replace(result, params=check_parameters(program, result.params)), checkpoint.units)


def _shown(setting: object) -> str:
    return "none" if setting == "" else str(setting)


@dataclass(frozen=True)
class Measures:
    """What a run is watched by: what is told of batches, "gap" or "demand", and the score of the network."""

    batch: str
    metric: str


@dataclass(frozen=True)
class Files:
    """Writes what a run leaves behind; its settings, notes and units go into the files with parameters."""

    outputs: Outputs
    settings: Settings
    notes: Mapping[str, str]
    measures: Measures
    units: Mapping[str, Units]

    def save(self, result: Result) -> None:
        """Write the parameters, which are also the checkpoint, and the history."""
        from pjc.runtime.history import write_history

        self.write(self.outputs.params, result)
        write_history(self.outputs.history, result.history, self.measures.metric, self.measures.batch)

    def write(self, path: Path, result: Result) -> None:
        """Write the parameters of a result to a file."""
        from pjc.runtime.history import Checkpoint, write_checkpoint

        notes = {**self.notes, "metric": self.measures.metric}
        write_checkpoint(path, Checkpoint(result, self.settings, self.units), notes)


class Best:
    """Writes the parameters of the epoch with the best validation score, of several the first."""

    def __init__(self, files: Files, start: Result | None) -> None:
        self.files = files
        self.score = -math.inf
        self.epoch: int | None = None
        self.before: Row | None = None
        if start is not None and start.history:
            self._go_on(start)

    def _go_on(self, start: Result) -> None:
        """Take over what the run that is resumed wrote, if it is there and of the same run."""
        from pjc.runtime.history import read_checkpoint
        from pjc.runtime.stopping import best_row

        self.before = best_row(start.history, self.files.measures.metric)
        path = self.files.outputs.best
        if not path.exists():
            return
        found = read_checkpoint(path)
        rows = found.result.history
        if found.settings == self.files.settings and rows and rows == start.history[: len(rows)]:
            self._note(rows[-1])

    def _note(self, row: Row) -> None:
        self.score = self._goodness(row)
        self.epoch = row.epoch

    def _goodness(self, row: Row) -> float:
        from pjc.runtime.stopping import goodness

        return -math.inf if row.validation is None else goodness(row.validation, self.files.measures.metric)

    def __call__(self, result: Result) -> None:
        """Write the result of an epoch if it is better than all before."""
        row = result.history[-1]
        if self._goodness(row) > self.score:
            self._note(row)
            self.files.write(self.files.outputs.best, result)

    def told(self) -> str:
        """Return what is said of the file's epoch, or of there being none; nothing where none validated."""
        before, path = self.before, self.files.outputs.best
        missed = before is not None and before.epoch != self.epoch and self._goodness(before) >= self.score
        if self.epoch is None:
            ended = f"epoch {before.epoch} validated best" if before is not None else ""
            return f"no {path}: {ended}, and its parameters were not kept" if missed else ""
        if missed and before is not None:
            return (
                f"wrote {path}, of epoch {self.epoch}, the best since training was resumed; epoch "
                f"{before.epoch} validated best, and its parameters were not kept"
            )
        return f"wrote {path}, of epoch {self.epoch}, which validated best"

    def params(self, result: Result) -> Mapping[str, Any]:
        """Return the best parameters, or those of ``result`` where no epoch was finished."""
        from pjc.runtime.history import read_parameters

        return result.params if self.epoch is None else read_parameters(self.files.outputs.best)
