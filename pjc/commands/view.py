"""``pjc view MODEL``: write a report of a network, a page to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pjc.commands.arguments import Usage, parse
from pjc.commands.compile import require_used
from pjc.commands.outputs import (
    force_option,
    other_page,
    require_apart,
    require_ours,
    require_place,
    require_regular,
)
from pjc.commands.shared import (
    DumpOptions,
    Session,
    console_of_stdout,
    model_argument,
    open_model,
    precision,
    require_source,
    say,
)
from pjc.diagnostics import CommandError
from pjc.fields import Text, option, part
from pjc.options import Options
from pjc.python_files import file_of, stem_of

_EXAMPLES = """
examples:
  pjc view digits_mlp.pjn                  writes digits_mlp.report.html beside the source
  pjc view digits_mlp.pjn --batch 64 -o report.html
  pjc view digits_mlp.pjn --history digits_mlp.history.csv --trace digits_mlp.trace.npz
"""

USAGE = Usage(
    prog="pjc view",
    usage="pjc view MODEL [--history HISTORY.csv] [--trace FILE.npz] [-o FILE.html] [options]",
    description="Writes a page on a network: its constraints as a graph, each stage beside the source,\n"
    "the forms of copies, how a run went, and what each constraint did. One file, which any browser\n"
    "opens, without a network.",
    epilog=_EXAMPLES,
)


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc view``."""

    model: str = model_argument()
    history: str | None = option(
        None, kind=Text("HISTORY.csv"), help="what pjc train wrote of a run, to draw its curves", shown="none"
    )
    trace: str | None = option(
        None,
        kind=Text("FILE.npz"),
        help="what pjc train --trace recorded, to show what each constraint did over time",
        shown="none",
    )
    output: str | None = option(
        None, kind=Text("FILE"), flags=("-o",), help="where to write", shown="MODEL.report.html"
    )
    force: bool = force_option("overwrite -o where it is no report of pjc view")
    options: Options = part(Options)
    session: Session = part(Session)
    dumps: DumpOptions = part(DumpOptions)


def main(arguments: Sequence[str]) -> int:
    """Run ``pjc view``."""
    given = parse(Arguments, USAGE, arguments)
    require_used(given.options, "proj", "a report")
    source = Path(given.model)
    require_source(source)
    output = Path(given.output) if given.output else source.with_name(f"{stem_of(source)}.report.html")
    require_apart(output, [file_of(source), *filter(None, (given.history, given.trace))])
    require_place(output)
    require_regular(output)
    require_ours(output, other_page(output), given.force)
    _write(given, output)
    say(console_of_stdout(), f"wrote {output}")
    return 0


def _write(given: Arguments, output: Path) -> None:
    """Compile the network, and write the page."""
    from pjc.commands.plot import panels_of
    from pjc.runtime.curves import read_curves
    from pjc.runtime.files import held, replace_file
    from pjc.runtime.trace import read_trace

    trace = None if given.trace is None else read_trace(given.trace)
    curves = None if given.history is None else read_curves(Path(given.history))
    panels = [] if curves is None or not curves.epochs else panels_of([curves])
    compilation, dumps = open_model(given.model, given.options, given.session, given.dumps)
    from pjc.report.page import page
    from pjc.report.record import Picture, record
    from pjc.report.traced import traced

    pictures = [Picture(panel.title, list(panel.columns)) for panel in panels]
    with precision(compilation.dtype):
        shown = None if trace is None else traced(trace, str(given.trace))
        found = record(compilation, curves, pictures, shown)
        labels = {each["label"] for each in found["nodes"]}
        if trace is not None and labels and labels.isdisjoint(trace.names()):
            raise CommandError(
                f"{given.trace} is the trace of another network: it has none of these constraints"
            )
        text = page(found)
    dumps.check()
    with held([output]):
        replace_file(output, lambda path: path.write_text(text, encoding="utf-8"))
