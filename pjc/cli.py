"""The command line: ``pjc MODEL``, ``pjc train``, ``pjc export``, ``pjc opt``, ``pjc check-operator``.

Nothing heavy is imported until a command needs it, so that ``pjc --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from pjc.commands import COMMANDS
from pjc.commands.failures import fail, report
from pjc.diagnostics import CommandError
from pjc.fields import nearest


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
        return fail("interrupted", 130)
    except Exception as error:
        return report(error)


def _dispatch(arguments: list[str]) -> int:
    command = arguments[0] if arguments and arguments[0] in COMMANDS else None
    if command is None and arguments and not arguments[0].startswith("-"):
        _refuse_misspelt_command(arguments[0])
    module = import_module(f"pjc.commands.{COMMANDS[command or 'compile']}")
    return int(module.main(arguments[command is not None :]) or 0)


def _refuse_misspelt_command(word: str) -> None:
    """Raise CommandError if ``word`` is no file and close to the name of a command."""
    near = nearest(word, COMMANDS)
    if near and not Path(word).exists():
        raise CommandError(f"there is no file {word!r}; did you mean the command {near!r}?")


if __name__ == "__main__":
    sys.exit(main())
