"""Trains every example by sweeps and by Adam, and says how good both are and how long they take.

    python benchmarks/accuracy.py --data-folder DATA -o benchmarks/accuracy            # the examples
    python benchmarks/accuracy.py --data-folder DATA --only jumps -o jumps             # sign, two bits, ..
    python benchmarks/accuracy.py --data-folder DATA --only robust -o robust           # outliers, noise, ..
    python benchmarks/accuracy.py --only digits_mlp,cnn_digits --seeds 0 --epochs 2 -o short

Both methods have the same network, first parameters, parts, batches, schedule and seeds: those of the command
in the network's first line (compared.py). Adam is taken at the best of three rates, chosen by the mean over
seeds of the validation score; sweeps at the rate of the command, or of those of --sweep-rates at the one that
is best for all feed-forward networks together, chosen in the same way, and at one for the recurrent ones.
Writes OUT.json with each run, OUT.md with a table, and OUT.png with accuracy over seconds.

What OUT.json holds already is not run again, so that a run that was stopped goes on where it was. A changed
network or command is another run; a changed compiler is not noticed: take another OUT then.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jax
from accuracy_report import Runs, plot, rows_of, table
from commands import Asked, asked, write_cancer
from compared import ADAM_RATES, Comparison, chosen
from gradients import program_of
from runs import Curve, follow

from pjc.diagnostics import PjcError
from pjc.driver import Compilation
from pjc.runtime.data.errors import DataError
from pjc.runtime.data.prepare import Parts
from pjc.runtime.files import replace_file
from pjc.runtime.outer import outer_of
from pjc.runtime.outer_settings import EVERY
from pjc.runtime.program import Program

METHODS = ("sweep", "adam")


@dataclass(frozen=True)
class Job:
    """A run: how a network is trained."""

    method: str
    rate: float
    seed: int


class Subject:
    """A comparison with its data, and its programs, each compiled once."""

    def __init__(self, comparison: Comparison, data: Path | None, epochs: int | None = None) -> None:
        self.comparison = comparison
        self.asked: Asked = asked(comparison.words(data))
        self.epochs = epochs or self.asked.arguments.run.epochs
        self.program = cache(self._program)

    @cached_property
    def parts(self) -> Parts:
        """The data, disturbed."""
        found = self.asked.parts(self.program("sweep", self.rate))
        return found if self.comparison.disturb is None else self.comparison.disturb(found)

    @property
    def rate(self) -> float:
        """The rate of the command."""
        return outer_of(self.asked.options).rate[EVERY]

    def compilation(self, rate: float) -> Compilation:
        """Return the compilation of the command at another rate.

        Rates of single parameters keep their proportion to that of all: else a rival would keep our choice.
        """
        options = self.asked.options
        rates = {name: each * (rate / self.rate) for name, each in outer_of(options).rate.items()}
        return self.asked.compilation(replace(options, rate=rates))

    def _program(self, method: str, rate: float) -> Program:
        compilation = self.compilation(rate)
        return compilation.program() if method == "sweep" else program_of(compilation)

    def jobs(self, seeds: Sequence[int], sweep_rates: Sequence[float]) -> Iterator[Job]:
        """Yield the runs, those of a seed one after another: what slows a computer slows both methods."""
        rates = {"sweep": tuple(sweep_rates) or (self.rate,), "adam": ADAM_RATES}
        for seed in seeds:
            for method in METHODS:
                for rate in self.comparison.rates or rates[method]:
                    yield Job(method, rate, seed)

    def key(self, job: Job) -> str:
        """Return what a run is filed under."""
        tell = f"{job.method} rate {job.rate:g} epochs {self.epochs} seed {job.seed}"
        return f"{self.comparison.fingerprint} {tell}"

    def run(self, job: Job) -> dict[str, Any]:
        """Return what is kept of a run; one that diverged has an error in place of scores."""
        options = self.asked.options
        found: dict[str, Any] = {
            **asdict(job),
            "epochs": self.epochs,
            "solver": str(options.method) if job.method == "sweep" else "gradients",
            "schedule": outer_of(options).schedule,
            "device": jax.devices()[0].device_kind,
        }
        try:
            curve = follow(self.program(job.method, job.rate), self.parts, self.epochs, job.seed)
        except DataError:
            raise
        except PjcError as error:
            return {**found, "error": str(error)}
        at = curve.best() if self.asked.arguments.run.keeps_best else self.epochs - 1
        return {
            **found,
            **asdict(curve),
            "seconds": curve.steady,
            "wall": curve.seconds,
            **self._scores(curve, at),
        }

    def _scores(self, curve: Curve, at: int) -> dict[str, Any]:
        """Return the scores that count, of the epoch ``at`` from 0 or of those that are averaged."""
        epochs = [at]
        if self.comparison.averaged is not None:
            first, last = self.comparison.averaged
            epochs = list(range(first - 1, min(last, self.epochs))) or epochs
        tested = curve.test or curve.validation
        return {
            "score": sum(tested[each] for each in epochs) / len(epochs),
            "validated": sum(curve.validation[each] for each in epochs) / len(epochs),
        }


class Store:
    """The runs of a file, by key; without a file they are kept in memory alone."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.runs: dict[str, Any] = {}
        if path is not None and path.exists():
            self.runs = json.loads(path.read_text())["runs"]

    def add(self, key: str, run: dict[str, Any]) -> None:
        """Keep a run, at once."""
        self.runs[key] = run
        if self.path is None:
            return
        told = {"jax": jax.__version__, "runs": self.runs}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self.path, lambda path: path.write_text(json.dumps(told, indent=1) + "\n"))


def compare(subject: Subject, store: Store, seeds: Sequence[int], sweep_rates: Sequence[float] = ()) -> Runs:
    """Return the runs of a comparison, once those that the store lacks are done."""
    jobs = {subject.key(job): job for job in subject.jobs(seeds, sweep_rates)}
    for key, job in jobs.items():
        if key not in store.runs:
            run = subject.run(job)
            store.add(key, run)
            shown = run["error"] if "error" in run else f"{run['score']:.4f} after {run['seconds'][-1]:.1f} s"
            name = subject.comparison.name
            print(f"{name}, {job.method} at {job.rate:g}, seed {job.seed}: {shown}", flush=True)
    return [store.runs[key] for key in jobs]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if something could not be compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default="", help="names, or examples, jumps, robust, separated by commas")
    parser.add_argument("--seeds", default="0,1,2", help="seeds (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="epochs, in place of those of each command")
    parser.add_argument("--sweep-rates", default="", help="rates for sweeps, in place of that of the command")
    parser.add_argument("--data-folder", type=Path, help="where data lies that pjc does not bring along")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where to write, without suffix")
    given = parser.parse_args(arguments)
    seeds = [int(each) for each in given.seeds.split(",")]
    rates = [float(each) for each in given.sweep_rates.split(",") if each]
    try:
        wanted = chosen([each for each in given.only.split(",") if each])
    except ValueError as error:
        parser.error(str(error))
    store, filed, missing = Store(_at(given.out, ".json")), {}, []
    with tempfile.TemporaryDirectory() as folder:
        write_cancer(Path(folder))
        for comparison in wanted:
            data = Path(folder) if comparison.name == "binary_csv" else given.data_folder
            try:
                subject = Subject(comparison, data, given.epochs)
                filed[comparison.name] = compare(subject, store, seeds, rates)
            except DataError as error:
                missing.append(f"{comparison.name}: {error}")
                continue
            _at(given.out, ".md").write_text(table(rows_of(filed)), encoding="utf-8")
    if filed:
        rows = rows_of(filed)
        print(table(rows))
        plot(rows, _at(given.out, ".png"))
    for text in missing:
        print(f"not compared: {text}", file=sys.stderr)
    return 1 if missing else 0


def _at(out: Path, suffix: str) -> Path:
    return out.with_name(out.name + suffix)


if __name__ == "__main__":
    sys.exit(main())
