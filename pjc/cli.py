"""The command line: ``pjc MODEL``, and the commands that ``pjc --help`` lists.

Nothing heavy is imported until a command needs it, so that ``pjc --help`` answers at once; and nothing but
what handles signals before they are handled, so that Ctrl-C is heard from the first moment.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from pjc.interrupts import Watch, watched


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``pjc`` with the arguments ``argv`` (by default the process's) and return its exit code.

    Without ``argv`` the process is taken to do nothing else: see :func:`pjc.interrupts.watched`.
    """
    if argv is None:
        # Libraries make a million objects that stay; to go through them again and again takes 0.1 s.
        gc.set_threshold(20_000, 50, 50)
    watch = Watch()
    try:
        with watched(process=argv is None) as watch:
            code = _run(list(sys.argv[1:] if argv is None else argv), watch)
    except KeyboardInterrupt:  # so early or late that it came between the two
        code = _interrupted(watch)
    if argv is None and watch.ending is not None:
        # Nothing is left to be done, and libraries may wait at exit for what was interrupted.
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    return code


def _run(arguments: list[str], watch: Watch) -> int:
    """Run a command and report what becomes of it."""
    try:
        try:
            code = _dispatch(arguments)
        finally:  # also where a parser ends the process: what cannot be written is an error then, too
            _flush()
        # Whoever caught the exception of an interrupt, the command was interrupted.
        return code if watch.ending is None else _interrupted(watch)
    except BrokenPipeError:
        _drop_output()  # whoever read it has gone
        return 141
    except KeyboardInterrupt:
        return _interrupted(watch)
    except Exception as error:
        if watch.ending is not None:  # it was raised in a callback of others, who made this of it
            return _interrupted(watch)
        from pjc.commands.failures import report

        return report(error)


def _flush() -> None:
    """Write what is still to be written to stdout; raise OSError where that cannot be."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
        raise


def _drop_output() -> None:
    """Let nothing be written to stdout from now on, at exit neither."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted(watch: Watch) -> int:
    """Say that the command was interrupted, and return the exit code."""
    watch.finish()
    from pjc.commands.failures import fail

    return fail(watch.sentence(), watch.code())


def _dispatch(arguments: list[str]) -> int:
    from importlib import import_module

    from pjc.commands import COMMANDS

    if arguments and arguments[0].partition("=")[0] == "--print-completion":
        from pjc.commands.completion import main as print_completion

        return print_completion([*arguments[0].split("=", 1)[1:], *arguments[1:]])
    if arguments[:1] == ["help"] and not os.path.exists("help"):
        arguments = [*arguments[1:2], "--help"]
    command = arguments[0] if arguments and arguments[0] in COMMANDS else None
    if command is None and arguments and not arguments[0].startswith("-"):
        _refuse_misspelt_command(arguments[0])
    module = import_module(f"pjc.commands.{COMMANDS[command or 'compile']}")
    return int(module.main(arguments[command is not None :]) or 0)


def _refuse_misspelt_command(word: str) -> None:
    """Raise CommandError if ``word`` is no file and close to the name of a command."""
    from pathlib import Path

    from pjc.commands import COMMANDS
    from pjc.diagnostics import CommandError
    from pjc.fields import nearest

    near = nearest(word, COMMANDS)
    if near and not Path(word).exists():
        raise CommandError(f"there is no file {word!r}; did you mean the command {near!r}?")


if __name__ == "__main__":
    sys.exit(main())
