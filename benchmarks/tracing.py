"""Time what a trace adds to training: every tenth update of a network recorded, and all of them.

    python benchmarks/tracing.py
    python benchmarks/tracing.py --case mlp-8 --solver dr --rounds 20

All is measured in one process: in each round every variant trains once, in an order that turns, and a ratio
is the median over rounds of the quotient within a round, of seconds and of the seconds of all processors. The
parameters that the variants end with are compared bit for bit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from networks import CLASSES, INPUTS, Cnn, Mlp
from rich.console import Console
from rich.table import Table

import pjc
from pjc.runtime.data.dataset import Dataset
from pjc.runtime.history import Result
from pjc.runtime.recording import Recorder
from pjc.runtime.train import Run, Training

CASES = {case.name: case for case in (Mlp(2), Mlp(8), Cnn())}
VARIANTS = {"no trace": None, "every 10th update": 10, "every update": 1}
UPDATES = {"sweep": 40}
"""How many updates an epoch has by solver; others have 4, each of which has many iterations."""


def data_of(case: Mlp | Cnn, updates: int) -> Dataset:
    """Return random images and classes: time does not depend on what they show."""
    drawn = np.random.default_rng(0)
    count, (x, _) = updates * case.size, case.batch()
    images = drawn.random((count, *x.shape[1:]), np.float32)
    return Dataset(images, drawn.integers(0, CLASSES, count), CLASSES, f"{INPUTS} random pixels")


def trainings(case: Mlp | Cnn, solver: str, epochs: int, folder: Path) -> dict[str, Training]:
    """Return a training for each variant."""
    program = pjc.compile(case.text(), solver=solver, batch=case.size)
    data = data_of(case, UPDATES.get(solver, 4))
    return {
        name: Training(
            program,
            data,
            Run(epochs, recorder=None if every is None else Recorder(folder / f"{every}.npz", every)),
        )
        for name, every in VARIANTS.items()
    }


def same(results: Sequence[Result]) -> bool:
    """Return whether results have the same parameters, bit for bit."""
    first, *others = results
    return all(
        np.asarray(value).tobytes() == np.asarray(each.params[name]).tobytes()
        for each in others
        for name, value in first.params.items()
    )


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--case", choices=CASES, default="mlp-2")
    parser.add_argument("--solver", default="sweep")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=20, help="of a run")
    given = parser.parse_args()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as folder:
        made = trainings(CASES[given.case], given.solver, given.epochs, Path(folder))
        results = [each.run() for each in made.values()]  # which compiles
        for number in range(given.rounds):
            names = list(made)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                began, busy = time.perf_counter(), time.process_time()
                made[name].run()
                taken[name].append((time.perf_counter() - began, time.process_time() - busy))
    plain = np.array(taken["no trace"])
    table = Table("trace", "seconds", "seconds / no trace", "processor seconds / no trace")
    for name, pairs in taken.items():
        ratios = np.median(np.array(pairs) / plain, axis=0)
        table.add_row(name, f"{np.median(np.array(pairs)[:, 0]):.3f}", *(f"{each:.3f}" for each in ratios))
    console = Console()
    console.print(f"{given.case}, {given.solver}, medians of {given.rounds} rounds")
    console.print(table)
    console.print(f"the same parameters, bit for bit: {'yes' if same(results) else 'no'}")


if __name__ == "__main__":
    main()
