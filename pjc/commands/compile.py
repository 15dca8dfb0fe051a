"""``pjc MODEL``: compile a network, or print a stage of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pjc.commands.arguments import Usage, parse, show_help
from pjc.commands.outputs import (
    force_option,
    other_program,
    other_text,
    require_apart,
    require_ours,
    require_place,
)
from pjc.commands.shared import (
    DumpOptions,
    Session,
    cell,
    console_of_stdout,
    model_argument,
    open_model,
    precision,
    require_source,
    save_program,
    say,
    shown_bytes,
)
from pjc.diagnostics import CommandError, printable
from pjc.fields import Choice, Switch, Text, differing, option, options_of, part
from pjc.options import Options
from pjc.python_files import file_of, stem_of
from pjc.stage_names import EMITTED

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pjc.driver import Compilation, Summary
    from pjc.passes.choose_representation import Explanation


_LINES = """pjc MODEL.pjn|MODEL.onnx|FILE.py:NAME [options]
       pjc train MODEL.pjn --data SOURCE [options]
       pjc evaluate MODEL --params PARAMS.safetensors --data SOURCE [options]
       pjc predict MODEL --params PARAMS.safetensors --data SOURCE [-o FILE]
       pjc info FILE
       pjc export MODEL.pjx PARAMS.safetensors -o FILE.onnx
       pjc opt FILE.mlir -p PASSES [options]
       pjc diff MODEL OTHER [--stage STAGE] [options]
       pjc check-operator FILE.py [NAME ..] [options]
       pjc plot HISTORY.csv .. [-o FILE.png|FILE.svg] [options]
       pjc view MODEL [--history HISTORY.csv] [-o FILE.html] [options]
       pjc doctor [--json]
       pjc --print-completion {bash,zsh,tcsh}"""

_EXAMPLES = """\
commands:
  pjc MODEL.pjn          compile a network (also: pjc compile MODEL.pjn)
  pjc train MODEL.pjn    compile it and train it; see pjc train --help
  pjc evaluate MODEL     say how good a trained network is; see pjc evaluate --help
  pjc predict MODEL      write what it says of samples; see pjc predict --help
  pjc info FILE          say what a file holds: a network, parameters, a history or data
  pjc export MODEL.pjx PARAMS.safetensors -o FILE.onnx
                         write a trained network as an ONNX model; see docs/onnx.md
  pjc opt FILE.mlir      run passes on IR, in the manner of mlir-opt; see pjc opt --help
  pjc diff MODEL OTHER   show what two networks do not share at a stage; see pjc diff --help
  pjc check-operator FILE.py
                         test the projections of operators of your own; see docs/operators.md
  pjc plot HISTORY.csv ..
                         draw how runs went; see pjc plot --help
  pjc view MODEL         write a page that shows a network and its stages; see pjc view --help
  pjc explain CODE       say what the code of a mistake means; without CODE, list all
  pjc doctor             say what pjc runs on here, and try it out

examples:
  pjc digits_mlp.pjn                       writes digits_mlp.pjx beside the source
  pjc digits_mlp.pjn -D hidden=256         with another value for a const of the file
  pjc digits_mlp.pjn --emit feas           shows the feasibility problem
  pjc digits_mlp.pjn --copies held --emit proj
  pjc digits_mlp.pjn --emit feas -o d.mlir shows it in a file, which can be edited, and
  pjc train d.mlir --data digits           goes on from there; so do net and proj
  pjc train digits_mlp.pjn --data digits --epochs 10 --seed 0
  pjc train model.py:net --data digits     runs model.py, whose net pjc.network or pjc.trace
                                           made, or is a function that returns what they do

A wrong file or value is reported on stderr, with exit code 1; a wrong command line with 2.
"""

USAGE = Usage(
    prog="pjc",
    usage=_LINES,
    description="Compiles a neural network to projections, which train it without gradients.",
    epilog=_EXAMPLES,
)


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc``."""

    model: str = model_argument()
    output: str | None = option(
        None, kind=Text("FILE"), flags=("-o",), help="where to write", shown="MODEL.pjx"
    )
    emit: str | None = option(
        None,
        kind=Choice(EMITTED),
        help="print this stage instead, or write it to -o; pjn, net, feas and proj are read back as MODEL",
    )
    explain: bool = option(
        False,
        kind=Switch(),
        help="print the form of each dot's copies, why, and its cost; with -o also write there",
        shown="",
    )
    force: bool = force_option("overwrite -o where it is something else than what is written")
    options: Options = part(Options)
    session: Session = part(Session)
    dumps: DumpOptions = part(DumpOptions)


def main(arguments: Sequence[str]) -> int:
    """Run ``pjc MODEL``."""
    if not arguments:
        show_help(Arguments, USAGE)
        return 2
    from pjc.runtime.files import held

    given = parse(Arguments, USAGE, arguments)
    if given.emit and given.explain:
        raise CommandError("--emit prints a stage, and --explain the forms of copies; give one of them")
    source = Path(given.model)
    require_source(source)
    output = Path(given.output) if given.output else source.with_name(f"{stem_of(source)}.pjx")
    writes = given.output is not None or not (given.emit or given.explain)
    if writes:
        require_apart(output, [file_of(source)], "the source, the network itself")
    if given.output:
        require_place(output)
    if given.emit:
        require_used(given.options, given.emit, f"--emit {given.emit}")
    elif given.explain and not given.output:
        require_used(given.options, "placed", "--explain")
    compilation, dumps = open_model(given.model, given.options, given.session, given.dumps)
    with precision(compilation.dtype):
        if given.emit:
            text = compilation.emit(given.emit).rstrip("\n") + "\n"
            dumps.check()
            _write_text(text, given.output, given.force)
            return 0
        if given.explain:
            _explain(compilation)
            dumps.check()
            if not given.output:
                return 0
        require_ours(output, other_program(output, compilation), given.force)
        program = compilation.program()
        dumps.check()
        with held([output]):
            save_program(program, output)
        summary = compilation.summary()
    console = console_of_stdout()
    if not given.explain:
        _print_summary(console, summary)
    say(console, f"wrote {output}")
    return 0


def require_used(options: Options, stage: str, asked: str) -> None:
    """Raise CommandError for an option that makes no difference to what is ``asked`` for, of a stage.

    The message says which stages it does make a difference to.
    """
    given = differing(options)
    for each in options_of(Options):
        first = each.since
        if each.name in given and first is not None and EMITTED.index(first) > EMITTED.index(stage):
            *most, last = EMITTED[EMITTED.index(first) :]
            shown = f"{', '.join(most)} and {last}"
            raise CommandError(f"{each.flags[-1]} makes no difference to {asked}; it does to --emit {shown}")


def _write_text(text: str, output: str | None, force: bool) -> None:
    from pjc.runtime.files import held, replace_file

    if output is None:
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
        return
    require_ours(Path(output), other_text(Path(output), text), force)
    with held([Path(output)]):
        replace_file(Path(output), lambda path: path.write_text(text, encoding="utf-8"))


def _explain(compilation: Compilation) -> None:
    from pjc.commands import mesh_report

    _print_explanations(console_of_stdout(), compilation.explain())
    if compilation.mesh_plan.mesh is not None:
        mesh_report.show(console_of_stdout(), compilation)


def _print_summary(console: Console, summary: Summary) -> None:
    """Print constraints by kind and part, parameters, memory of the copies, and times."""
    if summary.constraints:
        console.print(_constraints(summary))
    say(console, f"parameters    {summary.parameters:,}")
    say(console, f"copies        {shown_bytes(summary.copies_bytes)}")
    times = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in summary.seconds.items())
    say(console, f"seconds       {times}")


def _constraints(summary: Summary) -> Table:
    """Return the table of constraints by kind and part."""
    from rich.table import Table

    parts = sorted({each for _, each in summary.constraints})
    kinds = sorted({kind for kind, _ in summary.constraints})
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("constraints", style="bold")
    for each in parts:
        table.add_column(f"part {each}" if each else "count", justify="right")
    for kind in kinds:
        counts = [summary.constraints.get((kind, each), 0) for each in parts]
        table.add_row(cell(kind), *(str(count) if count else "-" for count in counts))
    return table


def _print_explanations(console: Console, explained: Sequence[Explanation]) -> None:
    """Print for each dot its size, form, reason, and costs: bytes held, operations an iteration."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in ("dot", "part", "size", "copies", "memory", "(exact)", "MFlop", "(exact)"):
        right = title in ("memory", "(exact)", "MFlop")
        table.add_column(title, justify="right" if right else "left", no_wrap=True)
    for each in explained:
        table.add_row(
            cell(each.label),
            cell(each.part),
            cell(each.size),
            cell(each.choice.form),
            shown_bytes(each.cost.bytes),
            shown_bytes(each.exact.bytes),
            f"{each.cost.operations / 1e6:.1f}",
            f"{each.exact.operations / 1e6:.1f}",
        )
    console.print(table)
    for each in explained:
        say(console, f"{each.label} is {each.choice.form}: {each.choice.reason}")
