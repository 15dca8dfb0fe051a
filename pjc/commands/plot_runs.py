"""What ``pjc plot`` draws of tables of runs, which ``pjc train --runs`` writes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pjc.diagnostics import CommandError, printable

if TYPE_CHECKING:
    from pjc.runtime.curves import Curves

USUAL = (("validation", "test"), ("seconds_to_99",))
"""The columns of the panels that are drawn if none are asked for."""
_MARKS = {"validation": "o", "test": "s"}
_APART = 0.12
"""How far columns of one panel are to the left and right of their table, of which each has a width of 1."""
_WIDTH, _HEIGHT = 4.5, 3.5
"""Of a panel, in inches; each table more than three widens it by one."""


def panels_of_runs(tables: Sequence[Curves], asked: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """Return the columns of each panel: validation and test score, and seconds to 99%; or those asked for.

    Raises:
        CommandError: where no table has anything of them.
    """
    wanted: list[tuple[str, ...]] = [(name,) for name in dict.fromkeys(asked)] or list(USUAL)
    told = [tuple(name for name in panel if any(each.told(name) for each in tables)) for panel in wanted]
    found = [panel for panel in told if panel]
    if not found:
        raise CommandError(
            f"{tables[0].path} has nothing to draw; its columns are {', '.join(tables[0].columns)}"
        )
    return found


def drawn_runs(tables: Sequence[Curves], names: Sequence[str], panels: Sequence[tuple[str, ...]]) -> Any:
    """Return a figure with a panel beside the other: in each a dot for every run, and mean and deviation."""
    from matplotlib.figure import Figure

    size = ((_WIDTH + max(0, len(tables) - 3)) * len(panels), _HEIGHT)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        for at, column in enumerate(panel):
            shift = _APART * (2 * at - len(panel) + 1)
            for number, table in enumerate(tables):
                _draw(axis, number + shift, table, column, f"C{number % 10}")
        axis.set_xlim(-0.5, len(tables) - 0.5)
        axis.set_xticks(range(len(tables)), [" " + each for each in names], parse_math=False)
        axis.set_ylabel(printable(" and ".join(panel).replace("_", " ")), parse_math=False)
        axis.grid(alpha=0.3, axis="y")
        if len(panel) > 1:
            marks = [axis.plot([], [], _MARKS[each], color="gray")[0] for each in panel]
            axis.legend(marks, list(panel), fontsize="small")
    return figure


def _draw(axis: Any, x: float, table: Curves, column: str, color: str) -> None:
    """Draw the runs of a table, and beside them their mean with the standard deviation, if there are two."""
    values = [each for each in table.columns.get(column, ()) if math.isfinite(each)]
    if not values:
        return
    axis.plot([x] * len(values), values, _MARKS.get(column, "o"), color=color, alpha=0.5)
    if len(values) > 1:
        mean, spread = statistics.fmean(values), statistics.stdev(values)
        axis.errorbar([x + _APART / 2], [mean], [spread], fmt="_", color="black", capsize=3)
