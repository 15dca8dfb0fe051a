"""The command line: ``pjc MODEL``, ``pjc train``, ``pjc export``, ``pjc opt``, ``pjc check-operator``.

Nothing heavy is imported until a command needs it, so that ``pjc --help`` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pjc.arguments import COMMANDS, check_operator_parser, compile_parser, export_parser, train_parser
from pjc.command import (
    CommandError,
    console_of_stdout,
    open_model,
    precision,
    require_source,
    save_program,
    say,
    shown_bytes,
)
from pjc.diagnostics import DiagnosticError

if TYPE_CHECKING:
    from rich.console import Console

    from pjc.driver import Summary
    from pjc.passes.choose_representation import Explanation


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``pjc`` with the arguments ``argv`` (by default the process's) and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has gone; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Exception as error:
        return report(error)


def report(error: Exception) -> int:
    """Print what went wrong, in a sentence, and return the exit code."""
    if isinstance(error, DiagnosticError):
        print(error, file=sys.stderr)
        return 1
    if isinstance(error, CommandError):
        return _fail(str(error))
    from pjc.runtime.data import DataError

    if isinstance(error, DataError):
        return _fail(str(error))
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return _fail("out of memory; give a smaller --batch, or a smaller network")
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        return _fail(f"{named}{error.strerror or error}")
    if os.environ.get("PJC_TRACEBACK"):
        raise error
    text = " ".join(str(error).split())[:500]
    return _fail(
        f"internal error, {type(error).__name__}: {text}\n"
        "hint: this is a mistake in pjc; PJC_TRACEBACK=1 shows where it happened"
    )


def _fail(message: str, code: int = 1) -> int:
    print(f"pjc: error: {message}", file=sys.stderr)
    return code


def _dispatch(arguments: list[str]) -> int:
    command = arguments[0] if arguments and arguments[0] in COMMANDS else None
    if command == "opt":
        from pjc import opt

        return int(opt.main(arguments[1:]) or 0)
    if command == "train":
        from pjc import train_command

        return train_command.main(train_parser().parse_args(arguments[1:]), arguments[1:])
    if command == "export":
        from pjc import export_command

        return export_command.run(export_parser().parse_args(arguments[1:]))
    if command == "check-operator":
        from pjc.own_operators import check_operator

        return check_operator(check_operator_parser().parse_args(arguments[1:]))
    if command is None and arguments and not arguments[0].startswith("-"):
        _refuse_misspelt_command(arguments[0])
    parser = compile_parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    return _compile(parser.parse_args(arguments[command is not None :]))


def _refuse_misspelt_command(word: str) -> None:
    """Raise CommandError if ``word`` is no file and close to the name of a command."""
    near = difflib.get_close_matches(word, COMMANDS, 1)
    if near and not Path(word).exists():
        raise CommandError(f"there is no file {word!r}; did you mean the command {near[0]!r}?")


def _compile(given: argparse.Namespace) -> int:
    """Run ``pjc MODEL.pjn``."""
    from pjc import mesh_report
    from pjc.runtime.files import replace_file

    source = Path(given.model)
    require_source(source)
    output = Path(given.output) if given.output else source.with_suffix(".pjx")
    if output.exists() and output.samefile(source):
        raise CommandError(f"-o {output} would overwrite the source; name another file")
    with precision(given):
        compilation, dumps = open_model(given)
        if given.emit:
            text = compilation.emit(given.emit).rstrip("\n") + "\n"
            dumps.check()
            if given.output:
                replace_file(output, lambda path: path.write_text(text, encoding="utf-8"))
            else:
                sys.stdout.write(text)
            return 0
        if given.explain:
            explained = compilation.explain()
            dumps.check()
            _print_explanations(console_of_stdout(), explained)
            if compilation.mesh is not None:
                mesh_report.show(console_of_stdout(), compilation)
            return 0
        program = compilation.program()
        dumps.check()
        save_program(program, output)
        summary = compilation.summary()
    console = console_of_stdout()
    _print_summary(console, summary)
    say(console, f"wrote {output}")
    return 0


def _print_summary(console: Console, summary: Summary) -> None:
    """Print constraints by kind and part, parameters, memory of the copies, and times."""
    from rich.table import Table

    parts = sorted({part for _, part in summary.constraints})
    kinds = sorted({kind for kind, _ in summary.constraints})
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("constraints", style="bold")
    for part in parts:
        table.add_column(f"part {part}" if part else "count", justify="right")
    for kind in kinds:
        counts = [summary.constraints.get((kind, part), 0) for part in parts]
        table.add_row(kind, *(str(count) if count else "-" for count in counts))
    console.print(table)
    say(console, f"parameters    {summary.parameters:,}")
    say(console, f"copies        {shown_bytes(summary.copies_bytes)}")
    times = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in summary.seconds.items())
    say(console, f"seconds       {times}")


def _print_explanations(console: Console, explained: Sequence[Explanation]) -> None:
    """Print for each dot its size, form, reason, and costs: bytes held, operations an iteration."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in ("dot", "part", "size", "copies", "memory", "(exact)", "MFlop", "(exact)"):
        right = title in ("memory", "(exact)", "MFlop")
        table.add_column(title, justify="right" if right else "left", no_wrap=True)
    for each in explained:
        table.add_row(
            each.label,
            each.part,
            each.size,
            each.choice.form,
            shown_bytes(each.cost.bytes),
            shown_bytes(each.exact.bytes),
            f"{each.cost.operations / 1e6:.1f}",
            f"{each.exact.operations / 1e6:.1f}",
        )
    console.print(table)
    for each in explained:
        say(console, f"{each.label} is {each.choice.form}: {each.choice.reason}")


if __name__ == "__main__":
    sys.exit(main())
