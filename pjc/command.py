"""What the commands share: their errors, opening a model, saving a program, and saying things."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from pjc.driver import Compilation, Options
    from pjc.runtime.program import Program


class CommandError(Exception):
    """A mistake of the user's that no other part reports; its text says what to do."""


def options_of(given: argparse.Namespace) -> Options:
    """Return the driver's options; what was not given keeps the driver's default."""
    from pjc.driver import Options
    from pjc.frontends.elaborate import parse_define

    words = "solver batch dtype relaxation step beta iterations level copies products unroll mesh memory"
    names = words.split()
    chosen = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    return Options(**chosen, defines=dict(parse_define(text) for text in given.defines))


@contextmanager
def precision(given: argparse.Namespace) -> Iterator[None]:
    """Let JAX compute in float64 inside, where ``--dtype f64`` was given."""
    if given.dtype != "f64":
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

    every: bool
    wanted: Sequence[str]
    seen: list[str] = field(default_factory=list)

    def __call__(self, name: str, text: str) -> None:
        self.seen.append(name)
        if self.every or name in self.wanted:
            print(f"// ----- after {name} -----\n{text}", file=sys.stderr)

    def check(self) -> None:
        """Raise CommandError if a pass that was asked for did not run."""
        for name in self.wanted:
            if name not in self.seen:
                ran = ", ".join(dict.fromkeys(self.seen)) or "none"
                raise CommandError(f"no pass {name!r} ran; the passes of this run were: {ran}")


def open_model(given: argparse.Namespace) -> tuple[Compilation, Dumps]:
    """Return the model's compilation and the dumps that go with it."""
    from pjc.driver import compile_file

    use_devices(given.devices)
    if given.operators:
        from pjc.own_operators import load_operators

        load_operators(given.operators)
    dumps = Dumps(given.print_ir_after_all, given.print_ir_after)
    options = options_of(given)
    return compile_file(given.model, options, after_pass=dumps, loss=given.loss, reinit=given.reinit), dumps


def require_source(path: Path) -> None:
    """Raise CommandError if there is no file ``path``, or nothing in it; the driver does the rest."""
    try:
        path.stat()
        if path.is_dir():
            raise CommandError(f"{path} is a directory; name a .pjn file in it")
        if path.is_file() and not path.read_bytes().strip():
            raise CommandError(f"{path} is empty")
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, _names_in(path.parent), 1)
        advice = f"; did you mean {path.with_name(near[0])}?" if near else ""
        raise CommandError(f"there is no file {path}{advice}") from None
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read: {reason(error)}") from None


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def save_program(program: Program, path: Path) -> None:
    """Write the compiled program; a directory, device or pipe is left alone, with CommandError."""
    from pjc.runtime.files import replace_file

    if path.exists() and not path.is_file():
        raise CommandError(f"{path} cannot be written: it is no regular file")
    replace_file(path, program.save)


def console_of_stdout() -> Console:
    """Return the console for stdout: styled on a terminal, plain lines elsewhere."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print a line as it is, however long."""
    console.print(text, style=style, markup=False, soft_wrap=True)


def shown_bytes(count: int) -> str:
    """Return a number of bytes in the unit that reads best."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
