"""``pjc solve``: search for parameters that meet every requirement on every row of the data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pjc.commands.arguments import Usage, parse
from pjc.commands.outputs import (
    files_of_data,
    force_option,
    is_kept,
    other_program,
    require_apart,
    require_ours,
    require_place,
)
from pjc.commands.shared import (
    RESULT,
    DumpOptions,
    Dumps,
    Session,
    console_of_stdout,
    model_argument,
    open_model,
    precision,
    require_source,
    say,
)
from pjc.commands.training.arguments import DataArguments, RunArguments
from pjc.commands.training.view import Interrupt
from pjc.diagnostics import CommandError
from pjc.fields import Number, Text, like, option, part, required
from pjc.python_files import file_of, stem_of
from pjc.search_options import RESTARTS, TOLERANCE, SearchOptions

if TYPE_CHECKING:
    from rich.console import Console

    from pjc.driver import Compilation
    from pjc.solving import Look, Solution

UNSOLVED = 3
"""The exit code of a search that ended without a solution."""
_SPACING = 1.4
"""A line is said of every look that comes so many times as late as the one before."""
_RUN = "run"
_DATA = "data"

_EXAMPLES = """
Solved means: with the parameters that are written, which are exactly in their sets, every requirement is
met on every row of the data, up to --tolerance. The exit code is 0 then, and 3 where the search ended before
that; what was written is the best it came to. Ctrl-C ends the search and writes that too (130; SIGTERM: 143).

examples:
  pjc solve multiplication.pjn --data multiplication.csv --target p0,p1,p2,p3
  pjc solve multiplication.pjn --data multiplication.csv --target p0,p1,p2,p3 --restarts 64 --seed 1 -o best/
"""

USAGE = Usage(
    prog="pjc solve",
    usage="pjc solve MODEL --data SOURCE [options]",
    description="Searches for parameters that meet every requirement of a network on every row of the data,\n"
    "from many starts side by side, and ends as soon as one has got there. Leaves in the current directory\n"
    "MODEL.params.safetensors and MODEL.pjx.",
    epilog=_EXAMPLES,
)


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc solve``."""

    model: str = model_argument()
    data: str = required(
        kind=Text(),
        flags=("--data",),
        metavar="SOURCE",
        help="the rows, all at once, as for pjc train",
        group=_DATA,
    )
    target: str | None = like(DataArguments, "target")
    normalize: str = like(
        DataArguments, "normalize", "none", told="each feature, as measured on the rows; as for pjc train"
    )
    missing: str = like(
        DataArguments,
        "missing",
        "refuse",
        told="values of a table that are missing: mean: the feature's mean; drop: leaves out such rows",
    )
    restarts: int = option(
        RESTARTS, kind=Number(whole=True, low=1), help="searches that run side by side", group=_RUN
    )
    tolerance: float = option(
        TOLERANCE,
        kind=Number(above=0),
        metavar="R",
        help="how far a value may be off what is required of it, in its own units, in a solution",
        group=_RUN,
    )
    seed: int = like(RunArguments, "seed", 0, told="draws what the restarts start from")
    quiet: bool = like(RunArguments, "quiet", False, told="say only what comes of it")
    force: bool = force_option("write over what another run wrote", group=_RUN)
    output: str = like(
        RunArguments,
        "output",
        ".",
        told="a directory to write to, or a path to put before .params.safetensors and .pjx",
    )
    options: SearchOptions = part(SearchOptions)
    session: Session = part(Session)
    dumps: DumpOptions = part(DumpOptions)


@dataclass(frozen=True)
class _Outputs:
    """The files that a search writes."""

    params: Path
    program: Path

    @staticmethod
    def of(given: Arguments) -> _Outputs:
        """Return the files of ``-o``; raise CommandError where they cannot be written, or are another's."""
        folder, model = Path(given.output), Path(given.model)
        inside = folder.is_dir() or given.output.endswith(("/", os.sep))
        prefix = folder / stem_of(model) if inside else folder
        found = _Outputs(*(prefix.with_name(prefix.name + end) for end in (".params.safetensors", ".pjx")))
        for path in (found.params, found.program):
            require_place(path)
            require_apart(path, [file_of(model), *files_of_data(given.data)])
        if is_kept(found.params) and not given.force:
            raise CommandError(
                f"{found.params} was written by another run; --force writes over it, and -o NAME writes "
                "elsewhere"
            )
        return found


def main(arguments: Sequence[str]) -> int:
    """Run ``pjc solve``."""
    from pjc.runtime.files import held

    given = parse(Arguments, USAGE, arguments)
    given.options.require_no_batch()
    require_source(Path(given.model))
    outputs = _Outputs.of(given)
    with held([outputs.params, outputs.program]):
        compilation, dumps = open_model(given.model, given.options, given.session, given.dumps)
        require_ours(outputs.program, other_program(outputs.program, compilation), given.force)
        with precision(compilation.dtype):
            return _search(given, compilation, dumps, outputs)


def _search(given: Arguments, compilation: Compilation, dumps: Dumps, outputs: _Outputs) -> int:
    """Search, write what comes of it, and return the exit code."""
    from pjc.runtime.files import replace_file
    from pjc.solving import Asking, all_rows, searched

    console = console_of_stdout("error" if given.quiet else "info")
    asked = all_rows(given.data, given.target, given.normalize, given.missing)
    asking = Asking(given.restarts, given.options.longest, given.seed, given.tolerance)
    said = f"{given.restarts} searches by {given.options.method}, of {asking.iterations} iterations at most"
    compilation.require_loss()
    compilation.program()
    dumps.check()
    say(console, said)
    with Interrupt() as interrupt:
        solution = searched(compilation, asked, asking, _Progress(console, interrupt), interrupt)
    solution.fit.save_parameters(outputs.params)
    replace_file(outputs.program, solution.fit.compiled.save)
    _say_end(console, solution, outputs)
    if solution.solved:
        return 0
    return interrupt.code if interrupt() else UNSOLVED


@dataclass
class _Progress:
    """Says how a search goes, more and more seldom."""

    console: Console
    interrupt: Interrupt
    due: float = 0.0

    def __call__(self, look: Look) -> None:
        self.interrupt.begin()
        if look.iterations >= self.due:
            self.due = _SPACING * look.iterations
            say(
                self.console,
                f"iteration {look.iterations}: least gap {look.gap:.3g}, least residual {look.residual:.3g}, "
                f"{look.seconds:.1f} s",
            )


def _say_end(console: Console, solution: Solution, outputs: _Outputs) -> None:
    """Say what came of a search, and where it is."""
    from pjc.solving import INTERRUPTED

    say(console, f"wrote {outputs.params} and {outputs.program}")
    done = f"{solution.iterations} iterations, {solution.seconds:.1f} s"
    of = f"restart {solution.restart} of {len(solution.residuals)}"
    said = f"solved by {of}" if solution.solved else f"not solved: the best is {of}"
    if solution.stopped not in (None, INTERRUPTED):
        said = f"{said}; {solution.stopped}"
    say(console, f"{said}, residual {solution.residual:.3g}, {done}", "bold", RESULT)
