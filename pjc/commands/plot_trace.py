"""What ``pjc plot`` draws of a trace, which ``pjc train --trace`` records: constraint by time, and curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pjc.diagnostics import CommandError, printable
from pjc.fields import nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pjc.runtime.trace import Trace

RELATIVE = "relative displacement"
"""What is drawn of displacements: by how much of its own size a parameter is to move."""
USUAL = ("gap", "moved", "spread", "t", "demand", RELATIVE, "capped", "crossed")
"""What is drawn if nothing is asked for, where the trace says anything but zeros of it."""
_CURVES = 8
"""So many nodes have a curve: those with the largest numbers."""
_NAMED = 40
"""So many rows of a heat map are named."""
_LETTERS = 34
"""So many letters of a name are shown, the last ones."""
_WIDTH, _HEIGHT, _ROW = 6.0, 3.2, 0.16
"""Of a panel, in inches; each row of a heat map beyond twenty takes the last."""


@dataclass(frozen=True)
class Panel:
    """A measure by node and update: ``values [updates, nodes]``, NaN where nothing is said."""

    title: str
    names: tuple[str, ...]
    steps: NDArray[Any]
    values: NDArray[Any]


def panels_of_trace(trace: Trace, asked: Sequence[str] = ()) -> list[Panel]:
    """Return what is drawn: the usual measures, or those asked for; of several runs their mean.

    Raises:
        CommandError: for a measure that the trace has not, or where it says nothing.
    """
    known = [*trace.measures, *([RELATIVE] if {"displacement", "parameter"} <= trace.measures.keys() else [])]
    for name in asked:
        if name not in known:
            near = nearest(name, known)
            raise CommandError(
                f"the trace has no measure {name!r}; "
                + (f"did you mean {near}?" if near else f"there are {', '.join(known)}")
            )
    if not len(trace):
        raise CommandError("the trace has no updates yet")
    found = [_panel(trace, name) for name in (asked or USUAL) if name in known]
    for each in found if asked else []:
        if not each.names:
            raise CommandError(f"the trace has no number of the measure {each.title!r}, so it is not drawn")
    return found if asked else [each for each in found if each.names and (each.values > 0).any()]


def _panel(trace: Trace, measure: str) -> Panel:
    import numpy as np

    of = "displacement" if measure == RELATIVE else measure
    names = trace.names(of)
    if not names:
        return Panel(measure, (), np.unique(trace.step), np.zeros((0, 0)))
    table = np.stack([trace.series(name, of) for name in names], axis=1).astype(np.float64)
    if measure == RELATIVE:
        sizes = np.stack([trace.series(name, "parameter") for name in names], axis=1)
        table = np.divide(table, sizes, out=np.full_like(table, np.nan), where=sizes > 0)
    steps = np.unique(trace.step)
    rows = [_mean(table[trace.step == step]) for step in steps] if len(steps) < len(table) else list(table)
    return Panel(measure, names, steps, np.stack(rows))


def _mean(rows: NDArray[Any]) -> NDArray[Any]:
    """Return the mean of rows, of each entry over those that are numbers."""
    import numpy as np

    told = np.isfinite(rows)
    count = told.sum(axis=0)
    total = np.where(told, rows, 0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def drawn_trace(trace: Trace, panels: Sequence[Panel]) -> Any:
    """Return a figure with a row for each panel: a heat map of constraint by update, and curves."""
    from matplotlib.figure import Figure

    most = max(len(each.names) for each in panels)
    height = _HEIGHT + _ROW * max(0, min(most, 4 * _NAMED) - 20)
    figure = Figure(figsize=(2.2 * _WIDTH, height * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 2, squeeze=False)
    for (left, right), panel in zip(axes, panels, strict=True):
        _heat(figure, left, panel)
        _curves(right, panel)
    said = "\n".join(printable(each) for each in trace.findings())
    figure.suptitle(said, fontsize="small", parse_math=False, x=0.01, ha="left")
    return figure


def _heat(figure: Any, axis: Any, panel: Panel) -> None:
    """Draw a map: a row for each node, a column for each update."""
    import numpy as np
    from matplotlib.colors import LogNorm

    shown = np.where(np.isfinite(panel.values), panel.values, np.nan).T
    positive = shown[shown > 0]
    log = positive.size and float(positive.max()) > 20 * float(positive.min())
    low = max(float(positive.min()), 1e-6 * float(positive.max())) if log else 0
    norm = LogNorm(low, float(positive.max())) if log else None
    edges = np.append(
        panel.steps, panel.steps[-1] + (panel.steps[-1] - panel.steps[-2] if len(shown[0]) > 1 else 1)
    )
    image = axis.pcolormesh(
        edges,
        np.arange(len(panel.names) + 1),
        np.where(shown > 0, np.maximum(shown, low), np.nan) if log else shown,
        norm=norm,
        cmap="viridis",
        rasterized=True,
    )
    axis.invert_yaxis()
    every = -(-len(panel.names) // _NAMED)
    ticks = range(0, len(panel.names), every)
    axis.set_yticks([at + 0.5 for at in ticks], [_short(panel.names[at]) for at in ticks], parse_math=False)
    axis.tick_params(axis="y", labelsize="x-small")
    axis.set_xlabel("update")
    axis.set_title(panel.title, fontsize="medium")
    figure.colorbar(image, ax=axis)


def _curves(axis: Any, panel: Panel) -> None:
    """Draw the nodes with the largest numbers as curves."""
    import numpy as np

    means = np.nan_to_num(_mean(panel.values), nan=-1)
    chosen = np.argsort(-means, kind="stable")[:_CURVES]
    for number, at in enumerate(chosen):
        style = ("-", "--")[number // 10]
        axis.plot(panel.steps, panel.values[:, at], style, color=f"C{number % 10}", linewidth=1.2)
    finite = panel.values[:, chosen][panel.values[:, chosen] > 0]
    if finite.size and finite.max() > 100 * finite.min():
        axis.set_yscale("log")
    axis.set_xlabel("update")
    axis.set_ylabel(panel.title)
    axis.grid(alpha=0.3)
    legend = axis.legend(
        axis.get_lines(), [" " + _short(panel.names[at]) for at in chosen], fontsize="x-small"
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _short(name: str) -> str:
    """Return the end of a name, which tells more than its beginning."""
    shown = printable(name)
    return shown if len(shown) <= _LETTERS else "…" + shown[1 - _LETTERS :]


def trace_among(paths: Sequence[Path]) -> Trace | None:
    """Return the trace that is to be drawn; None where histories are.

    Raises:
        CommandError: where a trace is not alone.
        DataError: where it cannot be read.
    """
    from pjc.runtime.trace import looks_like_trace, read_trace

    for path in paths:
        if looks_like_trace(path) or (path.suffix == ".npz" and path.is_file()):  # or was one once
            if len(paths) > 1:
                raise CommandError(f"{path} is a trace, of which one is drawn at a time; name it alone")
            return read_trace(path)
    return None
