"""Networks that are exact in what derivatives do not train, each beside what people use instead.

    python benchmarks/exact.py --data-folder DATA -o benchmarks/exact                   # all of them
    python benchmarks/exact.py --only lipschitz_digits,parity -o benchmarks/exact       # some
    python benchmarks/exact.py --only mnist_ternary --seeds 0 --data-folder DATA -o benchmarks/exact

Networks that learn train by the command in the first line of their file, and by their rival on the same
parts, batches, epochs and schedule, from the same parameters: Adam at the best of three rates by the score on
the validation part (rates of single parameters in the proportion of the command), straight through jumps and
sets, for convex sets projected after each step (gradients.py), or with spectral normalization (T. Miyato et
al., 2018). Problems that are to be solved are
searched as by ``pjc solve``, from 32 starts; their rival is Adam, straight through, from 32 starts as well,
with as many steps on all rows as the search has iterations at most, and it counts as solved where all bits
are right, whatever the margins.

Writes OUT.json with each run, OUT.md with a table, and OUT.png. What OUT.json holds already is not run again,
so that examples can be run one by one, and a run that was stopped goes on; a changed network is another run.
Seconds are those of processors, with those of compiling.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from accuracy import Job, Store, Subject, _at
from commands import ROOT
from compared import Comparison
from gradients import program_of
from numpy.typing import NDArray

import pjc
from pjc.driver import Compilation
from pjc.options import Options
from pjc.runtime.data.errors import DataError
from pjc.runtime.data.prepare import Parts
from pjc.runtime.evaluate import evaluator, metric
from pjc.runtime.history import Result
from pjc.runtime.listener import Listener
from pjc.runtime.program import Program
from pjc.runtime.standardize import standardized
from pjc.runtime.stopping import best_row
from pjc.runtime.train import Run, train
from pjc.sources import open_source

RADII = (0.1, 0.25, 0.5)
"""The norms of changes of the input up to which accuracy is certified."""
RESTARTS, EACH = 32, 64
ADAM = "adam"
OURS = "pjc"
THREE, TEN = range(3), range(10)

Figures = dict[str, float]


@dataclass(frozen=True)
class Learned:
    """A network that learns, by its command and by its rival.

    Attributes:
        name: what it is called.
        rival: what it is compared with, in words.
        network: that of the file in ``examples``, if it is another.
        more: words that are added to its command.
        project: what brings the rival's parameters where they must be; None for the sets' own projections.
        figures: what is measured beside the score, of a program, its parameters and a test part.
        seeds: from what it starts; more where a run takes seconds and a test part has a few hundred rows.
    """

    name: str
    rival: str
    network: str = ""
    more: tuple[str, ...] = ()
    project: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    figures: Callable[[Program, Mapping[str, Any], Any], Figures] = lambda program, params, test: {}
    seeds: Sequence[int] = THREE

    def runs(self, seeds: Sequence[int], folder: Path) -> Iterator[tuple[str, Callable[[], Figures]]]:
        """Yield the keys of the runs, and what does them."""
        path = ROOT / "examples" / f"{self.network or self.name}.pjn"
        subject = Subject(Comparison(self.name, path, self.more), folder)
        for job in subject.jobs(seeds, ()):
            method = OURS if job.method == "sweep" else ADAM
            key = f"{subject.comparison.fingerprint} {method} rate {job.rate:g} seed {job.seed}"
            yield key, lambda job=job: self._run(subject, job)

    def _run(self, subject: Subject, job: Job) -> Figures:
        program = subject.program(job.method, job.rate)
        if job.method != "sweep" and self.project is not None:
            program = program_of(subject.compilation(job.rate), self.project)
        parts: Parts = subject.parts
        program = standardized(program, parts.train)
        kept = Kept(subject.asked.arguments.run.keeps_best, metric(program))
        started = time.process_time()
        train(program, parts.train, Run(subject.epochs, seed=job.seed, validation=parts.validation), kept)
        seconds = time.process_time() - started
        score, test = evaluator(program), parts.test
        assert test is not None and parts.validation is not None
        return {
            "rate": job.rate,
            "seed": job.seed,
            "score": score(kept.params, test),
            "validated": score(kept.params, parts.validation),
            "seconds": seconds,
            **self.figures(program, kept.params, test),
        }


class Kept(Listener):
    """Keeps the parameters of the last epoch, or of the one that validates best, of several the first."""

    def __init__(self, best: bool, metric: str) -> None:
        self.best, self.metric = best, metric
        self.params: Mapping[str, Any] = {}

    def epoch(self, result: Result) -> None:
        row = result.history[-1]
        if not self.best or best_row(result.history, self.metric) is row:
            self.params = {name: np.asarray(each) for name, each in result.params.items()}


@dataclass(frozen=True)
class Solved:
    """A problem that is to be solved, by a search and by its rival.

    Attributes:
        name: what it is called.
        network: that of the file in ``examples``.
        rows: what makes the rows: inputs of -1 and 1, and bits.
        defines: numbers for the constants of the file.
        iterations: how many a search has at most, and steps its rival.
        published: what others published of it, in words.
        seeds: of what its starts are drawn.
    """

    name: str
    network: str
    rows: Callable[[], tuple[NDArray[Any], NDArray[Any]]]
    defines: Mapping[str, int | float]
    iterations: int
    published: str = ""
    seeds: Sequence[int] = THREE

    def runs(self, seeds: Sequence[int], folder: Path) -> Iterator[tuple[str, Callable[[], Figures]]]:
        """Yield the keys of the runs, and what does them."""
        text = (ROOT / "examples" / f"{self.network}.pjn").read_text(encoding="utf-8")
        mark = zlib.crc32(f"{text}{self.defines}{self.iterations}".encode())
        for seed in seeds:
            yield f"{self.name}-{mark:08x} {OURS} seed {seed}", lambda seed=seed: self._search(seed)
            for rate in (1e-3, 1e-2, 1e-1):
                key = f"{self.name}-{mark:08x} {ADAM} rate {rate:g} seed {seed}"
                yield key, lambda seed=seed, rate=rate: self._rival(seed, rate)

    @property
    def path(self) -> Path:
        """The file of the network."""
        return ROOT / "examples" / f"{self.network}.pjn"

    def _search(self, seed: int) -> Figures:
        started = time.process_time()
        found = pjc.solve(
            self.path,
            self.rows(),
            restarts=RESTARTS,
            seed=seed,
            iterations=self.iterations,
            defines=self.defines,
        )
        bits = np.asarray(found.program.apply(found.params, self.rows()[0])) > 0
        return {
            "seed": seed,
            "score": float(found.solved),
            "residual": found.residual,
            "iterations": found.iterations,
            "right": float(np.mean(bits == (self.rows()[1] > 0.5))),
            "seconds": time.process_time() - started,
        }

    def _rival(self, seed: int, rate: float) -> Figures:
        """Return how far Adam comes, straight through, from as many starts side by side."""
        x, y = map(jnp.asarray, self.rows())
        options = Options(batch=len(x), rate=rate, schedule="constant", defines=self.defines)
        program = program_of(Compilation(open_source(self.path), options))
        started = time.process_time()
        state = jax.vmap(program.start)(jax.random.split(jax.random.key(seed), RESTARTS))

        @jax.jit
        def go_on(state: Any) -> tuple[Any, Any]:
            step = jax.vmap(lambda each: program.step(each, x, y)[0])
            state = jax.lax.fori_loop(0, EACH, lambda _, each: step(each), state)
            outputs = jax.vmap(lambda each: program.apply(program.finish(each), x))(state.params)
            return state, jnp.mean((outputs > 0) == (y > 0.5), axis=(1, 2))

        done, right = 0, np.zeros(1)
        while done < self.iterations and right.max() < 1:
            state, found = go_on(state)
            done, right = done + EACH, np.asarray(found)
        return {
            "seed": seed,
            "rate": rate,
            "score": float(right.max() == 1),
            "validated": float(right.max()),
            "right": float(right.max()),
            "iterations": done,
            "seconds": time.process_time() - started,
        }


def products(bits: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return all pairs of numbers of so many bits, the low bits first, and their products."""
    pairs = itertools.product(range(2**bits), repeat=2)
    rows = [[*_bits(a, bits), *_bits(b, bits), *_bits(a * b, 2 * bits)] for a, b in pairs]
    return _split(rows, 2 * bits)


def table_of(name: str, inputs: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the rows of a table in ``examples``, of which the first columns are inputs."""
    with (ROOT / "examples" / f"{name}.csv").open(encoding="utf-8") as file:
        found = np.array([[float(cell) for cell in row] for row in list(csv.reader(file))[1:]], np.float32)
    return found[:, :inputs], found[:, inputs:]


def _bits(number: int, count: int) -> list[int]:
    return [number >> at & 1 for at in range(count)]


def _split(rows: Sequence[Sequence[int]], inputs: int) -> tuple[NDArray[Any], NDArray[Any]]:
    found = np.array(rows, np.float32)
    return 2 * found[:, :inputs] - 1, found[:, inputs:]


def spectral_norms(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters, each matrix over its largest singular value: spectral normalization."""
    return {
        name: value / jnp.linalg.norm(value, 2) if value.ndim == 2 else value
        for name, value in params.items()
    }


def certified(program: Program, params: Mapping[str, Any], test: Any) -> Figures:
    """Return the part of a test part that is told right whatever change of some norm comes to the input.

    Two logits move apart by at most the root of 2 times the product of the largest singular values.
    """
    logits = np.asarray(program.apply(params, jnp.asarray(test.x)), np.float64)
    matrices = [np.asarray(each, np.float64) for each in params.values() if np.ndim(each) == 2]
    lipschitz = np.prod([np.linalg.svd(each, compute_uv=False)[0] for each in matrices])
    right = np.take_along_axis(logits, test.y[:, None], 1)[:, 0]
    others = np.where(np.arange(logits.shape[1]) == test.y[:, None], -np.inf, logits).max(1)
    room = (right - others) / (np.sqrt(2) * lipschitz)
    return {f"certified {radius:g}": float(np.mean(room > radius)) for radius in RADII}


def write_diabetes(folder: Path) -> None:
    """Write scikit-learn's diabetes data as the file that ``monotone_diabetes`` names."""
    from sklearn.datasets import load_diabetes

    table = load_diabetes()
    names = list(table.feature_names)
    first = ["bmi", "bp", "s5"]
    order = [*first, *(name for name in names if name not in first)]
    columns = table.data[:, [names.index(name) for name in order]]
    with (folder / "diabetes.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([*order, "progression"])
        rows.writerows([*numbers, target] for numbers, target in zip(columns, table.target, strict=True))


STRAIGHT = "straight-through Adam"
PROJECTED = "projected gradients (Adam)"
TASKS: dict[str, Learned | Solved] = {
    each.name: each
    for each in (
        Learned("mnist_ternary", STRAIGHT),
        Learned("mnist_ternary_quarter", STRAIGHT, "mnist_ternary", ("-D", "part=4")),
        Learned("two_bits_digits", STRAIGHT, seeds=TEN),
        Learned("mnist_sparse", STRAIGHT),
        Learned("mnist_two_of_four", STRAIGHT),
        Learned("monotone_diabetes", PROJECTED, seeds=TEN),
        Learned(
            "lipschitz_digits",
            "spectral normalization (Adam)",
            project=spectral_norms,
            figures=certified,
            seeds=TEN,
        ),
        Solved(
            "multiplication_2",
            "multiplication",
            lambda: products(2),
            {},
            4000,
            "boolearn 2-4-4-4-4: 3 of 5 starts, 3561 iterations a solution (its README)",
        ),
        Solved("multiplication_3", "multiplication", lambda: products(3), {"bits": 3, "hidden": 48}, 4000),
        Solved("parity", "parity", lambda: table_of("parity", 4), {}, 4000),
        Solved("hamming", "hamming", lambda: table_of("hamming", 7), {}, 4000),
    )
}


@dataclass(frozen=True)
class Side:
    """What a method came to: the runs of a rate, one for each seed."""

    runs: Sequence[Mapping[str, float]]

    def told(self, task: Learned | Solved) -> str:
        """Return the mean and deviation of the scores, or how many seeds were solved, and more figures."""
        if not self.runs:
            return "not run"
        if isinstance(task, Solved):
            solved = [run for run in self.runs if run["score"]]
            said = f"{len(solved)} of {len(self.runs)} seeds"
            done = solved or self.runs
            best = 100 * max(run["right"] for run in self.runs)
            right = "" if solved else f", {best:.1f}% of the bits at best"
            return (
                f"{said}{right}; {statistics.mean(run['iterations'] for run in done):.0f} iterations, "
                f"{statistics.mean(run['seconds'] for run in done):.1f} s"
            )
        is_part = task.name != "monotone_diabetes"
        more = [name for name in self.runs[0] if name.startswith("certified")]
        said = [self._mean("score", is_part), *(f"{name}: {self._mean(name, True)}" for name in more)]
        rate = f"rate {self.runs[0]['rate']:g}" if "rate" in self.runs[0] else ""
        return ", ".join([*said, rate])

    def _mean(self, name: str, is_part: bool) -> str:
        values = [run[name] * (100 if is_part else 1) for run in self.runs]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        return f"{statistics.mean(values):.2f} ± {spread:.2f}"

    @property
    def scores(self) -> list[float]:
        """The score of each seed."""
        return [run["score"] for run in self.runs]


def sides(task: Learned | Solved, store: Store, keys: Sequence[str]) -> tuple[Side, Side]:
    """Return what pjc came to, and its rival at the rate that is best where it is chosen: in validation."""
    ours = [store.runs[key] for key in keys if f" {OURS} " in key and key in store.runs]
    others: dict[float, list[Any]] = {}
    for key in keys:
        if f" {ADAM} " in key and key in store.runs:
            others.setdefault(store.runs[key]["rate"], []).append(store.runs[key])
    less = -1 if task.name == "monotone_diabetes" else 1

    def worth(runs: list[Any]) -> tuple[float, float, float]:
        solved = statistics.mean(run["score"] for run in runs) if isinstance(task, Solved) else 0.0
        validated = less * statistics.mean(run["validated"] for run in runs)
        return solved, validated, -statistics.mean(run.get("iterations", 0) for run in runs)

    return Side(ours), Side(max(others.values(), key=worth) if others else [])


def table(found: Mapping[str, tuple[Side, Side]]) -> str:
    """Return the table, as Markdown."""
    lines = ["| example | pjc | rival | |", "|---|---|---|---|"]
    for name, (ours, other) in found.items():
        task = TASKS[name]
        rival = task.rival if isinstance(task, Learned) else STRAIGHT
        beside = task.published if isinstance(task, Solved) else ""
        lines.append(f"| `{name}` | {ours.told(task)} | {rival}: {other.told(task)} | {beside} |")
    return "\n".join(lines) + "\n"


def plot(found: Mapping[str, tuple[Side, Side]], path: Path) -> None:
    """Draw how much better the scores of pjc are than those of the rivals, in percent, seed by seed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawn = {name: pair for name, pair in found.items() if pair[0].runs and pair[1].runs}
    figure, axis = plt.subplots(figsize=(8, 1 + 0.5 * len(drawn)), layout="constrained")
    for at, pair in enumerate(drawn.values()):
        largest = max(max(side.scores) for side in pair) or 1.0
        for side, color, mark in zip(pair, ("tab:blue", "tab:orange"), "o^", strict=True):
            label = (OURS if side is pair[0] else "rival") if at == 0 else None
            part = [100 * each / largest for each in side.scores]
            axis.plot(part, [at + 0.12 * (side is pair[0])] * len(part), mark, color=color, label=label)
    axis.set_yticks(range(len(drawn)), list(drawn))
    axis.set_xlabel("score of each seed, in percent of the best (an error: less is better)")
    axis.invert_yaxis()
    axis.legend()
    figure.savefig(path, dpi=100, metadata={"Software": None})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if something could not be run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default=",".join(TASKS), help="names, separated by commas (default: all)")
    parser.add_argument("--seeds", default="", help="seeds (default: those of each example, 3 or 10)")
    parser.add_argument("--data-folder", type=Path, help="where data lies that pjc does not bring along")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where to write, without suffix")
    given = parser.parse_args(arguments)
    names = given.only.split(",")
    if unknown := [name for name in names if name not in TASKS]:
        parser.error(f"nothing is called '{unknown[0]}'; known are {', '.join(TASKS)}")
    asked = [int(each) for each in given.seeds.split(",") if each]
    store, missing = Store(_at(given.out, ".json")), []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_diabetes(folder)
        for each in given.data_folder.glob("mnist10k_*.npz") if given.data_folder else ():
            (folder / each.name).symlink_to(each.resolve())
        for name in names:
            try:
                for key, run in TASKS[name].runs(asked or TASKS[name].seeds, folder):
                    if key not in store.runs:
                        store.add(key, run())
                        print(f"{key}: {json.dumps(store.runs[key])}", flush=True)
            except DataError as error:
                missing.append(f"{name}: {error}")
        found = {
            name: sides(task, store, [key for key, _ in task.runs(asked or task.seeds, folder)])
            for name, task in TASKS.items()
        }
    found = {name: pair for name, pair in found.items() if pair[0].runs or pair[1].runs}
    text = table(found)
    print(text)
    _at(given.out, ".md").write_text(text, encoding="utf-8")
    plot(found, _at(given.out, ".png"))
    for each in missing:
        print(f"not run: {each}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
