"""Sweeps beside Adam on the accelerator that is here: their time, and what they learn, in under six minutes.

    python benchmarks/device.py -o out
    python benchmarks/device.py --data-folder DATA -o out       # MNIST and a text, in place of small digits

Writes out.json and out.md, with the device's name: rows of iterations.py for sweeps, on accelerators also of
a wide perceptron by products in float32 and in bfloat16, and rows of accuracy.py for a few networks, by one
seed, few epochs, and one rate for both. Both files are written after each piece; a piece that would not end
in time is left out, and named. On a CPU there are fewer repeats.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
from accuracy import Store, Subject, compare
from accuracy_report import Row as Compared
from accuracy_report import rows_of
from accuracy_report import table as accuracy_table
from compared import EVERY
from iterations import CASES, LONG, WIDE, Row, measure, other_variants, sweep_variant
from networks import Case

from pjc.runtime.outer_settings import RATE
from pjc.runtime.products import PRODUCTS

TIMED = ("mlp-2", "rnn", "mlp-8", "cnn", "mlp-32")
"""The networks that are timed: the first before any is trained, the others, what takes long last, after."""
TRAINED: dict[bool, dict[str, tuple[str, ...]]] = {
    True: {"mnist_deep": (), "cnn_mnist": (), "char_rnn": ("--stride", "64")},
    False: {"digits_mlp": (), "cnn_digits": ()},
}
"""Those that are trained, with a folder of data and without, and what is added to their commands."""
EPOCHS = 3
LIMIT = 300
UNKNOWN = 30
"""Seconds that are set aside for the first piece of a kind; then those of the longest one are."""
REPEATS = {True: (2, 5), False: (15, LONG)}
"""Rounds, and how many iterations are timed together, on a CPU and elsewhere."""


@dataclass
class Report:
    """What was measured so far, and what was left out."""

    rows: list[Row] = field(default_factory=list)
    compared: list[Compared] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def write(self, out: Path) -> None:
        """Write both files."""
        out.parent.mkdir(parents=True, exist_ok=True)
        told = {
            **_device(),
            "seconds": round(self.seconds, 1),
            "rows": [asdict(row) for row in self.rows],
            "compared": [asdict(row) for row in self.compared],
            "left_out": self.left_out,
        }
        out.with_name(out.name + ".json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        out.with_name(out.name + ".md").write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """Return the tables in Markdown."""
        device = _device()
        lines = [
            f"{device['device']} ({device['platform']}), JAX {device['jax']}, {self.seconds:.0f} s in all.",
            "",
            "| network | variant | ms | x products | x Adam | compile s | temp MB |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in self.rows:
            numbers = (row.median_ms, row.ratio_to_products, row.ratio_to_adam)
            cells = (row.case, row.name, *(f"{each:.3f}" for each in numbers))
            compiling = (f"{row.compile_seconds:.1f}", f"{row.temp_megabytes:.1f}")
            lines.append(f"| {' | '.join((*cells, *compiling))} |")
        lines += ["", accuracy_table(self.compared)] if self.compared else []
        lines += [f"Left out: {', '.join(self.left_out)}."] if self.left_out else []
        return "\n".join(lines) + "\n"


def _device() -> dict[str, str]:
    found = jax.devices()[0]
    return {
        "device": str(found.device_kind),
        "platform": str(found.platform),
        "machine": platform.machine(),
        "jax": jax.__version__,
    }


def pieces(report: Report, data: Path | None, epochs: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what there is to do, each piece with its name, what tells most first."""
    rounds, together = REPEATS[jax.default_backend() == "cpu"]

    def timed(case: Case, products: str = "f32") -> None:
        variants = [*other_variants(case, together, products), sweep_variant(case, together, products)]
        rows = measure(variants, rounds)
        report.rows += [replace(row, case=f"{row.case}, {products}") if case is WIDE else row for row in rows]

    def trained(name: str, more: tuple[str, ...]) -> None:
        subject = Subject(replace(EVERY[name], rates=(RATE,), more=more), data, epochs)
        report.compared += rows_of({name: compare(subject, Store(), [0])})

    for products in PRODUCTS if jax.default_backend() != "cpu" else ():
        yield f"time of {WIDE.name} in {products}", partial(timed, WIDE, products)
    first, *others = TIMED
    yield f"time of {first}", partial(timed, CASES[first])
    for name, more in TRAINED[data is not None].items():
        yield f"accuracy of {name}", partial(trained, name, more)
    for name in others:
        yield f"time of {name}", partial(timed, CASES[name])


def main(arguments: Sequence[str] | None = None) -> Report:
    """Run the benchmark; return what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=LIMIT, help="to end within (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of training (default: %(default)s)")
    parser.add_argument("--data-folder", type=Path, help="where MNIST and the text of char_rnn lie")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where to write, without suffix")
    given = parser.parse_args(arguments)
    began, report = time.monotonic(), Report()
    longest: dict[str, float] = {}
    for name, piece in pieces(report, given.data_folder, given.epochs):
        start, kind = time.monotonic(), name.split()[0]
        if start - began + longest.get(kind, UNKNOWN) > given.seconds:
            report.left_out.append(name)
            continue
        print(f"{name} ..", flush=True)
        piece()
        longest[kind] = max(longest.get(kind, 0.0), time.monotonic() - start)
        report.seconds = time.monotonic() - began
        report.write(given.out)
    report.write(given.out)
    print(report.text())
    return report


if __name__ == "__main__":
    main()
