"""``pjc plot HISTORY..``: draw how runs went, over epochs and over seconds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pjc.callbacks import write_events
from pjc.commands.arguments import Usage, parse
from pjc.commands.outputs import force_option, other_picture, require_ours, require_place, require_regular
from pjc.commands.plot_trace import drawn_trace, panels_of_trace, trace_among
from pjc.commands.shared import console_of_stdout, say
from pjc.diagnostics import CommandError, printable
from pjc.fields import Text, nearest, option, required, rest

if TYPE_CHECKING:
    from pjc.runtime.curves import Curves
    from pjc.runtime.trace import Trace

_EXAMPLES = """
examples:
  pjc plot digits_mlp.history.csv
  pjc plot runs/*.history.csv -o runs.svg
  pjc plot a.history.csv b.history.csv --column largest_t -o t.png
  pjc plot a.runs.csv b.runs.csv -o runs.png
  pjc plot digits_mlp.trace.npz --column gap
"""

USAGE = Usage(
    prog="pjc plot",
    usage="pjc plot HISTORY.csv .. [-o FILE.png|FILE.svg] [options]",
    description="Draws the scores of runs, and loss, gap or demand of their batches, over epochs and over\n"
    "seconds: a line a run, named by its file. Of a table of runs, MODEL.runs.csv, it draws a dot for each\n"
    "run, with mean and standard deviation. Of a trace, FILE.npz of pjc train --trace, it draws what its\n"
    "measures say of each constraint over time, and says which of them holds the others back.\n"
    "Needs matplotlib: pip install 'pjc[plot]'.",
    epilog=_EXAMPLES,
)
_ENDINGS = (".png", ".svg")
_STYLES = {"validation": "-", "training": "--", "test": ":"}
_WIDTH, _HEIGHT = 5.5, 3.5
"""Of a panel, in inches."""
_MARKED = 60
"""Up to so many epochs each is a dot too, so that a run of one can be seen."""
_MOST_NAMED = 20
"""Up to so many lines are named."""
_AUTHOR = "pjc plot"


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc plot``."""

    history: str = required(
        kind=Text(), metavar="HISTORY.csv", help="what pjc train wrote of a run, or a trace"
    )
    more: tuple[str, ...] = rest(metavar="HISTORY.csv", help="other runs, to compare")
    output: str | None = option(
        None, kind=Text("FILE"), flags=("-o",), help="where to write, .png or .svg", shown="HISTORY.png"
    )
    column: tuple[str, ...] = option(
        (),
        kind=Text("NAME", repeated=True),
        help="draw this column of the histories, or measure of the trace; may be repeated",
        shown="scores, loss, and gap or demand",
    )
    tensorboard: str | None = option(
        None, kind=Text("FOLDER"), help="also write a trace as events for TensorBoard", shown="none"
    )
    force: bool = force_option("overwrite -o where it is no picture of pjc plot")


@dataclass(frozen=True)
class Panel:
    """What is drawn over one another: columns of the histories, each with its style."""

    title: str
    columns: dict[str, str]


def main(arguments: Sequence[str]) -> int:
    """Run ``pjc plot``."""
    given = parse(Arguments, USAGE, arguments)
    from pjc.runtime.curves import read_curves
    from pjc.runtime.files import held, replace_file

    console = console_of_stdout()
    paths = [Path(each) for each in (given.history, *given.more)]
    trace = trace_among(paths)
    if trace is None and given.tensorboard is not None:
        raise CommandError("--tensorboard writes the events of a trace, as pjc train --trace records it")
    if trace is not None and given.tensorboard is not None:
        write_events(trace, given.tensorboard)
        say(console, f"wrote {given.tensorboard}")
    output = Path(given.output) if given.output else paths[0].with_suffix(".png")
    _require_output(output, given.force)
    runs = [] if trace is not None else [read_curves(path) for path in paths]
    for run in runs:
        if not run.epochs:
            raise CommandError(f"{run.path} has no {'runs' if run.has_runs else 'epochs'} yet")
    with held([output]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that its fonts have not
        figure = figure_of(runs, given.column) if trace is None else _traced(trace, given.column)
        kind = output.suffix.lower().removeprefix(".")
        author = {"Software": _AUTHOR} if kind == "png" else {"Creator": _AUTHOR, "Date": None}
        replace_file(output, lambda path: figure.savefig(path, format=kind, dpi=120, metadata=author))
    say(console, f"wrote {output}")
    for sentence in [] if trace is None else trace.findings():
        say(console, printable(sentence))
    return 0


def _traced(trace: Trace, asked: Sequence[str]) -> Any:
    """Return what is drawn of a trace."""
    panels = panels_of_trace(trace, asked)
    if not panels:
        raise CommandError("the trace says nothing but zeros, of which nothing is drawn")
    _require_matplotlib()
    return drawn_trace(trace, panels)


def _require_output(output: Path, force: bool) -> None:
    """Raise an error unless a picture can be written there, and overwrites nothing but another of these."""
    if output.suffix.lower() not in _ENDINGS:
        raise CommandError(f"-o {output}: expected a name that ends in {' or '.join(_ENDINGS)}")
    require_place(output)
    require_regular(output)
    require_ours(output, other_picture(output, _AUTHOR), force)


def figure_of(runs: Sequence[Curves], asked: Sequence[str]) -> Any:
    """Return what is drawn of histories, or of tables of runs; raise CommandError, also for some of both."""
    from pjc.commands.plot_runs import drawn_runs, panels_of_runs

    _require_columns(runs, asked)
    tables = [each for each in runs if each.has_runs]
    if not tables:
        return drawn(runs, panels_of(runs, asked))
    for each in runs:
        if not each.has_runs:
            raise CommandError(
                f"{each.path} is the history of a run, and {tables[0].path} a table of several; draw one kind"
            )
    _require_matplotlib()
    return drawn_runs(tables, labels([each.path for each in tables]), panels_of_runs(tables, asked))


def _require_columns(runs: Sequence[Curves], asked: Sequence[str]) -> None:
    """Raise CommandError for a column that none of the files has."""
    known = list(dict.fromkeys(name for run in runs for name in run.columns))
    for name in asked:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
            raise CommandError(f"no history has a column {name!r}; {hint}")


def _require_matplotlib() -> None:
    """Raise CommandError where it is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise CommandError("plotting needs matplotlib; pip install 'pjc[plot]' installs it") from None


def panels_of(runs: Sequence[Curves], asked: Sequence[str] = ()) -> list[Panel]:
    """Return what is drawn: a panel for each score, and those of loss, gap and demand; or those asked for.

    Raises:
        CommandError: where none of the runs has anything of it.
    """
    from pjc.runtime.curves import MEASURES, PARTS

    known = list(dict.fromkeys(name for run in runs for name in run.columns))
    told = [name for name in known if any(run.told(name) for run in runs)]
    if asked:
        panels = [Panel(name, {name: "-"}) for name in dict.fromkeys(asked) if name in told]
    else:
        scores: dict[str, dict[str, str]] = {}
        for name in told:
            part, _, metric = name.partition("_")
            if part in PARTS and metric:
                scores.setdefault(metric, {})[name] = _STYLES[part]
        panels = [Panel(metric.replace("_", " "), columns) for metric, columns in scores.items()]
        panels += [Panel(name, {name: "-"}) for name in MEASURES if name in told]
    if not panels:
        raise CommandError(f"{runs[0].path} has nothing to draw; its columns are {', '.join(known)}")
    return panels


def drawn(runs: Sequence[Curves], panels: Sequence[Panel]) -> Any:
    """Return a figure with a row for each panel: over epochs, and over seconds where runs tell them."""
    _require_matplotlib()
    from matplotlib.figure import Figure

    across = [name for name in ("epoch", "seconds") if any(run.told(name) for run in runs)]
    size = (_WIDTH * len(across), _HEIGHT * len(panels))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(panels), len(across), squeeze=False)
    names = labels([run.path for run in runs])
    for row, panel in zip(axes, panels, strict=True):
        for axis, over in zip(row, across, strict=True):
            _draw(axis, runs, names, panel, over)
    return figure


def _draw(axis: Any, runs: Sequence[Curves], names: Sequence[str], panel: Panel, over: str) -> None:
    """Draw a panel: each run in a color of its own, its columns in their styles."""
    lines = {}
    for index, (run, name) in enumerate(zip(runs, names, strict=True)):
        for column, style in panel.columns.items():
            if run.told(column) and run.told(over):
                part = column.partition("_")[0]
                marker = "." if len(run.columns[column]) <= _MARKED else ""
                (line,) = axis.plot(
                    run.columns[over], run.columns[column], style, marker=marker, color=f"C{index % 10}"
                )
                lines[f"{name}, {part}" if len(panel.columns) > 1 else name] = line
    values = [each for run in runs for column in panel.columns for each in run.columns.get(column, ())]
    finite = [each for each in values if math.isfinite(each)]
    if len(panel.columns) == 1 and min(finite) > 0 and max(finite) > 100 * min(finite):
        axis.set_yscale("log")
    axis.set_xlabel(over)
    if over == "epoch":
        axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_ylabel(printable(panel.title), parse_math=False)
    axis.grid(alpha=0.3)
    if lines and len(lines) <= _MOST_NAMED:
        # Not by the lines' own labels: of those some would be hidden, and some read as formulas.
        legend = axis.legend(list(lines.values()), [" " + each for each in lines], fontsize="small")
        for text in legend.get_texts():
            text.set_parse_math(False)


def labels(paths: Sequence[Path]) -> list[str]:
    """Return what runs are called: by file, and by path where files in several folders have one name."""
    short = [path.name.removesuffix(".csv").removesuffix(".history").removesuffix(".runs") for path in paths]
    named = [name if short.count(name) == 1 else str(path) for name, path in zip(short, paths, strict=True)]
    return [printable(each) for each in named]
