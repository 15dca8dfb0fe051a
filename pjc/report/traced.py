"""What a report shows of a trace: numbers of each node over the updates, thinned out where there are many."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pjc.runtime.trace import Trace

_NUMBERS = 120_000
"""So many numbers of a trace are shown at most, which take about a megabyte."""
_POINTS = 160
"""So many points a curve has at most: each is the mean of the updates around it."""
_FEWEST = 12
"""So many it has at least, however many nodes there are."""


def traced(trace: Trace, file: str) -> dict[str, Any]:
    """Return what the page is given of a trace: of several runs, of that which was recorded last."""
    from pjc.runtime.trace import MEASURES

    last = trace.rows(trace.seed == trace.seed[-1]) if len(trace) else trace
    said = {measure: last.names(measure) for measure in last.measures}
    count = max(1, sum(map(len, said.values())))
    points = max(_FEWEST, min(_POINTS, _NUMBERS // count))
    groups = np.array_split(np.arange(len(last)), min(points, len(last))) if len(last) else []
    return {
        "file": PurePath(file).name,
        "steps": [int(last.step[each[-1]]) for each in groups],
        "blamed": last.blamed,
        "about": {measure: MEASURES[measure] for measure in last.measures},
        "findings": last.findings(),
        "nodes": {
            measure: {name: [_mean(last.series(name, measure)[each]) for each in groups] for name in names}
            for measure, names in said.items()
        },
        "iterations": _iterations(last),
    }


def _iterations(trace: Trace) -> dict[str, dict[str, list[float | None]]]:
    """Return the means over the updates of each iteration of loops, by measure and node; None for none."""
    found: dict[str, dict[str, list[float | None]]] = {}
    for measure, table in trace.measures.items():
        every: dict[str, dict[int, float | None]] = {}
        for at, column in enumerate(trace.columns):
            if column.iteration >= 0:
                every.setdefault(column.name, {})[column.iteration] = _mean(table[:, at])
        for name, known in every.items():
            if any(value is not None for value in known.values()):
                numbers = [known.get(iteration) for iteration in range(max(known) + 1)]
                found.setdefault(measure, {})[name] = numbers
    return found


def _mean(values: NDArray[Any]) -> float | None:
    """Return the mean of the numbers among values, to four digits; None where there are none."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not len(finite):
        return None
    mean = float(finite.mean())
    return float(f"{mean:.4g}") if math.isfinite(mean) else None
