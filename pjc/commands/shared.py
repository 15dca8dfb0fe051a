"""What the commands share: opening a model, saving a program, and saying things."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pjc.commands.outputs import require_regular
from pjc.diagnostics import CommandError, printable
from pjc.fields import Number, Switch, Text, nearest, option, required
from pjc.interrupts import interrupts_wait
from pjc.ir_diff import difference
from pjc.python_files import file_of, run
from pjc.reading import reason

if TYPE_CHECKING:
    from rich.console import Console

    from pjc.driver import Compilation
    from pjc.options import Options
    from pjc.runtime.program import Program


@dataclass(frozen=True)
class Session:
    """What is arranged before a model is opened."""

    devices: int | None = option(
        None,
        kind=Number(whole=True, low=1, high=4096),
        help="treat this computer's CPU as so many devices",
        group="devices",
    )
    operators: tuple[str, ...] = option(
        (),
        kind=Text("FILE.py", repeated=True),
        help="run this Python file first: it registers operators that the network calls; may be repeated",
        group="network",
    )

    def begin(self) -> None:
        """Arrange it."""
        use_devices(self.devices)
        if self.operators:
            load_operators(self.operators)


_DUMPS = "dumps, on stderr"


def model_argument() -> str:
    """Return the field of MODEL, for commands that take every form of a network."""
    found: str = required(
        kind=Text(),
        metavar="MODEL",
        help="the network: a .pjn or .onnx file, IR, .pjx, or FILE.py:NAME, which runs FILE.py",
    )
    return found


@dataclass(frozen=True)
class DumpOptions:
    """Which modules are printed on the way."""

    print_ir_after_all: bool = option(
        False, kind=Switch(), help="print the IR after every pass", group=_DUMPS, shown=""
    )
    print_ir_after: tuple[str, ...] = option(
        (),
        kind=Text("PASS", repeated=True),
        help="print the IR after this pass; may be repeated",
        group=_DUMPS,
    )
    diff: bool = option(
        False,
        kind=Switch(),
        help="print only what each of these passes changed of the IR before it",
        group=_DUMPS,
        shown="",
    )

    def __post_init__(self) -> None:
        if self.diff and not (self.print_ir_after_all or self.print_ir_after):
            raise CommandError("--diff is for dumps; give --print-ir-after-all, or --print-ir-after PASS")


@contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Let JAX compute in float64 inside, where the numbers are of that type."""
    if dtype != "f64":
        yield
        return
    import jax

    with jax.enable_x64(True):
        yield


def use_devices(count: int | None) -> None:
    """Make JAX treat the CPU as so many devices, where that was asked for and can still be done."""
    if count is None:
        return
    import jax

    try:
        jax.config.update("jax_num_cpu_devices", count)
        found = len(jax.devices("cpu"))
    except RuntimeError as error:  # XLA_FLAGS says another number, or JAX has looked at its devices
        raise CommandError(f"--devices {count} cannot be had: {error}") from None
    if found != count:
        raise CommandError(f"--devices {count} cannot be had: there are {found} CPU devices")


@dataclass
class Dumps:
    """Prints the IR after the passes that were asked for, and knows which passes ran."""

    options: DumpOptions
    seen: list[str] = field(default_factory=list)
    before: str = ""
    """The IR after the last pass; for ``--diff``."""

    def __call__(self, name: str, module: object) -> None:
        self.seen.append(name)
        asked = self.options.print_ir_after_all or name in self.options.print_ir_after
        if not asked and not self.options.diff:
            return
        text = str(module)
        shown = difference(self.before, text) if self.options.diff else text
        self.before = text
        if asked:
            print(printable(f"// ----- after {name} -----\n{shown}"), file=sys.stderr)

    def check(self) -> None:
        """Raise CommandError if a pass that was asked for did not run."""
        for name in self.options.print_ir_after:
            if name not in self.seen:
                ran = ", ".join(dict.fromkeys(self.seen)) or "none"
                raise CommandError(f"no pass {name!r} ran; the passes of this run were: {ran}")


def open_model(
    model: str, options: Options, session: Session, dumps: DumpOptions
) -> tuple[Compilation, Dumps]:
    """Return the model's compilation and the dumps that go with it."""
    with interrupts_wait():
        from pjc import driver

    session.begin()
    watch = Dumps(dumps)
    compilation = driver.compile_file(model, options, watch)
    if dumps.diff:
        watch.before = str(compilation.start.module)
    return compilation, watch


def load_operators(paths: Sequence[str]) -> dict[str, list[str]]:
    """Run Python files that register operators; return the names that each registered, by path.

    Raises PjcError where a file cannot be run, or registers nothing.
    """
    from pjc.runtime.projections import REGISTERED

    found: dict[str, list[str]] = {}
    for path in paths:
        before = dict(REGISTERED)
        run(Path(path))
        found[path] = [name for name, cls in REGISTERED.items() if before.get(name) is not cls]
        if not found[path]:
            raise CommandError(f"{path} registers no operator; it should call pjc.operator(...)")
    return found


def require_source(path: Path) -> None:
    """Raise CommandError if there is no file ``path``, or nothing in it; the driver does the rest."""
    path = file_of(path)
    try:
        path.stat()
        if path.is_dir():
            raise CommandError(f"{path} is a directory; name a .pjn file in it")
        if path.is_file() and not path.read_bytes().strip():
            raise CommandError(f"{path} is empty")
    except FileNotFoundError:
        near = nearest(path.name, _names_in(path.parent))
        advice = f"; did you mean {path.with_name(near)}?" if near else ""
        raise CommandError(f"there is no file {path}{advice}") from None
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read: {reason(error)}") from None


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def save_program(program: Program, path: Path) -> None:
    """Write the compiled program; a directory, device or pipe is left alone, with CommandError."""
    from pjc.runtime.files import replace_file, require_writable

    require_writable(path)
    require_regular(path)
    replace_file(path, program.save)


LEVELS = ("debug", "info", "warning", "error")
"""What ``--log-level`` takes: how much a command says on its way, most first."""
RESULT = "result"
"""The level of what a command is asked for: it is always said."""


def console_of_stdout(level: str = "info") -> Console:
    """Return the console for stdout: styled on a terminal, plain lines elsewhere.

    ``level`` is the least of LEVELS that is said on it.
    """
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    setattr(console, _LEAST, level)
    return console


_LEAST = "pjc_level"


def says(console: Console, level: str) -> bool:
    """Return whether what is of a level is said on a console."""
    least = getattr(console, _LEAST, LEVELS[0])
    return level == RESULT or LEVELS.index(level) >= LEVELS.index(least)


def say(console: Console, text: str, style: str | None = None, level: str = "info") -> None:
    """Print a line, however long; its markup is text, and control characters are escapes."""
    if not says(console, level):
        return
    console.print(printable(text), style=style, markup=False, soft_wrap=True)


def print_json(record: Mapping[str, Any]) -> None:
    """Print a record as JSON on stdout; numbers that are not finite are null in it."""
    print(json.dumps(_finite(record), indent=1))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def cell(text: object) -> str:
    """Return what a table shows of a text from a file, on one line: no markup, no control characters."""
    from rich.markup import escape

    return escape(printable(str(text)).replace("\n", "\\n").replace("\t", "\\t"))


def shown_bytes(count: int) -> str:
    """Return a number of bytes in the unit that reads best."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
