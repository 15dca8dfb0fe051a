"""``pjc --print-completion SHELL``: what a shell needs to complete pjc's command lines, by shtab."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from pjc.commands import COMMANDS
from pjc.commands.arguments import parser_of
from pjc.commands.lookup import all_options, record_of
from pjc.diagnostics import CommandError
from pjc.fields import Option

FLAG = "--print-completion"
SHELLS = ("bash", "zsh", "tcsh")
_FOLDERS = ("WHERE",)
_FILES = ("FILE", "MODEL", "SOURCE", "PARAMS", "HISTORY", "OUTPUT_FILE", *_FOLDERS)
"""What options that take the name of a file call it; with an ending, as FILE.py, too."""
_FIRST = "_shtab_pjc_pos_0_COMPGEN=_shtab_compgen_files"
"""In bash the first word may be a file too, which is compiled."""


def main(arguments: Sequence[str]) -> int:
    """Print the completion script of a shell."""
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        known = ", ".join(SHELLS)
        raise CommandError(f"{FLAG} takes one of {known}, found {' '.join(arguments) or 'nothing'}")
    print(script(arguments[0]))
    return 0


def script(shell: str) -> str:
    """Return the completion script of a shell.

    Raises:
        CommandError: where shtab, which writes it, is not installed.
    """
    try:
        import shtab
    except ImportError:
        raise CommandError("completion needs shtab; pip install 'pjc[completion]' installs it") from None
    complete: Any = shtab.complete  # whose preamble is a text by its annotation, and a dict by its code
    return str(complete(whole_parser(), shell=shell, preamble={"bash": _FIRST}))


def whole_parser() -> argparse.ArgumentParser:
    """Return one parser of all commands; words that name files say so by their ``complete``."""
    whole = command_parser("compile")
    positional = whole._get_positional_actions()[0]
    whole._remove_action(positional)
    commands = whole.add_subparsers(metavar="COMMAND")
    for name in COMMANDS:
        own = command_parser(name)
        # What is said of it is its description's first line; the parser is the command's own.
        commands.add_parser(name, parents=[own], add_help=False, help=(own.description or "").split("\n")[0])
    return whole


def command_parser(command: str) -> argparse.ArgumentParser:
    """Return the parser of a command, whose actions say which of them take files."""
    record, module = record_of(command), import_module(f"pjc.commands.{COMMANDS[command]}")
    if record is None:
        parser: argparse.ArgumentParser = module.all_arguments()
        for action in parser._actions:
            _say_file(action, action.metavar if isinstance(action.metavar, str) else action.dest.upper())
        return parser
    parser = parser_of(record, module.USAGE)
    options = dict(all_options(record))
    for action in parser._actions:
        if action.dest in options:
            _complete(action, options[action.dest])
    return parser


def _complete(action: argparse.Action, option: Option) -> None:
    """Let an action say what completes it: the words of a choice, or files."""
    if option.kind.words:
        action.choices = option.kind.words
    else:
        _say_file(action, option.metavar or option.kind.metavar or "")


def _say_file(action: argparse.Action, metavar: str) -> None:
    import shtab

    if metavar.partition(".")[0] in _FILES and action.nargs != 0:
        action.complete = shtab.DIRECTORY if metavar in _FOLDERS else shtab.FILE  # type: ignore[attr-defined]
