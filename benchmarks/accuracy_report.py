"""What runs of sweeps and of Adam come to: a table, and a plot of accuracy over seconds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any

from compared import RECURRENT

Runs = Sequence[Mapping[str, Any]]
"""Runs as they are filed: one for each seed."""


@dataclass(frozen=True)
class Side:
    """A method at the rate that validates best, with its runs in the order of seeds."""

    rate: float
    runs: Runs

    @property
    def scores(self) -> list[float]:
        """The score of each seed; nothing where a run diverged."""
        return [] if any("error" in run for run in self.runs) else [run["score"] for run in self.runs]

    @property
    def mean(self) -> float:
        """The mean score; NaN where a run diverged."""
        return statistics.mean(self.scores) if self.scores else nan

    @property
    def spread(self) -> float:
        """The standard deviation of the scores."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else 0.0

    def worth(self, metric: str) -> float:
        """Return the mean score on the validation part, more being better; least where a run diverged."""
        if not self.scores:
            return -inf
        validated = float(statistics.mean(run["validated"] for run in self.runs))
        if not isfinite(validated):
            return -inf
        return validated if metric == "accuracy" else -validated

    @property
    def seconds(self) -> list[float]:
        """The seconds of training of each seed, without those of compiling."""
        return [run["seconds"][-1] for run in self.runs if "error" not in run]


@dataclass(frozen=True)
class Row:
    """A comparison: both methods, each at the rate that validates best."""

    name: str
    sweep: Side
    adam: Side
    metric: str

    @property
    def ratio(self) -> float:
        """How many times as long sweeps take: the median over seeds."""
        pairs = zip(self.sweep.seconds, self.adam.seconds, strict=False)
        return statistics.median([one / other for one, other in pairs] or [nan])

    @property
    def is_accuracy(self) -> bool:
        """Whether the score is the part of what is right."""
        return self.metric == "accuracy"


def rows_of(filed: Mapping[str, Runs]) -> list[Row]:
    """Return the rows of comparisons, whose runs are of both methods, several rates, and all seeds, by name.

    Adam is taken at the best rate of each network; sweeps at one for all feed-forward networks, and at one
    for the recurrent ones.
    """
    rows = {name: row_of(name, runs) for name, runs in filed.items()}
    for recurrent in (False, True):
        names = [name for name in filed if (name in RECURRENT) == recurrent and rows[name].is_accuracy]
        rate = _common({name: _sides(filed[name], "sweep") for name in names})
        if rate is not None:
            rows |= {name: row_of(name, filed[name], rate) for name in names}
    return list(rows.values())


def _common(sides: Mapping[str, Mapping[float, Side]]) -> float | None:
    """Return the rate, of those that all networks have been trained at, whose scores validate best."""
    rates = [rate for rate in next(iter(sides.values()), {}) if all(rate in each for each in sides.values())]
    return max(
        rates, key=lambda rate: sum(each[rate].worth("accuracy") for each in sides.values()), default=None
    )


def row_of(name: str, runs: Runs, sweep_rate: float | None = None) -> Row:
    """Return the row of a comparison: methods at the rate that validates best, or sweeps at a given one."""
    metric = next((run["metric"] for run in runs if "metric" in run), "accuracy")
    sweeps = _sides(runs, "sweep")
    sweep, adam = (
        max(sides.values(), key=lambda side: side.worth(metric)) for sides in (sweeps, _sides(runs, "adam"))
    )
    return Row(name, sweep if sweep_rate is None else sweeps[sweep_rate], adam, metric)


def _sides(runs: Runs, method: str) -> dict[float, Side]:
    """Return the runs of a method by their rate."""
    own = [run for run in runs if run["method"] == method]
    rates = dict.fromkeys(run["rate"] for run in own)
    return {rate: Side(rate, [run for run in own if run["rate"] == rate]) for rate in rates}


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown, with what the comparisons come to below."""
    lines = [
        "| network | sweeps | Adam | difference | sweeps, s | Adam, s | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        seconds = (_mean(side.seconds) for side in (row.sweep, row.adam))
        cells = (f"`{row.name}`", _score(row, row.sweep), _score(row, row.adam), _difference(row))
        lines.append(f"| {' | '.join((*cells, *seconds, f'{row.ratio:.2f}'))} |")
    seeds = max(len(row.sweep.runs) for row in rows)
    devices = _listed(run["device"] for row in rows for run in (*row.sweep.runs, *row.adam.runs))
    told = [
        f"Mean and standard deviation over {seeds} seed{'s' * (seeds != 1)}, and the rate; accuracy in "
        "percent, or the root mean square error. Seconds are those of training, without compiling unless "
        f"there is but one epoch; the ratio is the median over seeds. Device: {devices}.",
        f"Sweeps: {_listed(run['solver'] for row in rows for run in row.sweep.runs)}.",
    ]
    counted = [row for row in rows if row.is_accuracy and row.name not in RECURRENT]
    differences = [100 * (row.sweep.mean - row.adam.mean) for row in counted]
    known = [each for each in differences if isfinite(each)]
    if known:
        told.append(
            f"Mean difference of the {len(known)} feed-forward classifications: "
            f"{statistics.mean(known):+.2f} points, least {min(known):+.2f}."
        )
    return "\n".join([*lines, "", *told]) + "\n"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _mean(numbers: Sequence[float]) -> str:
    if not numbers:
        return "-"
    mean = statistics.mean(numbers)
    return f"{mean:.1f}" if mean >= 1 else f"{mean:.2g}"


def _score(row: Row, side: Side) -> str:
    if not side.scores:
        return f"diverged ({side.rate:g})"
    if row.is_accuracy:
        return f"{100 * side.mean:.2f} ± {100 * side.spread:.2f} ({side.rate:g})"
    return f"{side.mean:.4f} ± {side.spread:.4f} ({side.rate:g})"


def _difference(row: Row) -> str:
    apart = row.sweep.mean - row.adam.mean
    if not isfinite(apart):
        return "-"
    return f"{100 * apart:+.2f}" if row.is_accuracy else f"{apart:+.4f}"


SHOWN = 0.1
"""How far below the least accuracy in the end the axis begins."""
COLORS = {"sweep": "C0", "adam": "C1"}


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw the test scores over the seconds of training, a panel for each row, a line for each seed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(len(rows), 4)
    down = -(-len(rows) // columns)
    figure, axes = plt.subplots(
        down, columns, figsize=(3.4 * columns, 2.7 * down), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(rows) :]:
        axis.set_axis_off()
    for axis, row in zip(axes.flat, rows, strict=False):
        ends = []
        for method, side in (("sweep", row.sweep), ("adam", row.adam)):
            done = [run for run in side.runs if "error" not in run]
            for index, run in enumerate(done):
                label = f"{'sweeps' if method == 'sweep' else 'Adam'}, {side.rate:g}" if index == 0 else None
                tested = run["test"] or run["validation"]
                ends.append(tested[-1])
                axis.plot(run["seconds"], tested, color=COLORS[method], label=label, linewidth=1)
        if row.is_accuracy and ends:  # the end of training is what matters
            axis.set_ylim(max(min(ends) - SHOWN, 0), min(max(ends) + SHOWN / 5, 1))
        axis.set(title=row.name, xlabel="seconds", ylabel=row.metric)
        axis.legend(fontsize=7)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)
