"""From a command line to a record of its arguments, by what the record's fields say of themselves."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pjc import __version__
from pjc.codes import USAGE
from pjc.commands import COMMANDS
from pjc.commands.config import ConfigArguments, read_config
from pjc.commands.failures import fail
from pjc.commands.lookup import all_options, takers_of
from pjc.diagnostics import DiagnosticError, code_of, of_kind
from pjc.fields import Option, nearest, options_of, parts_of

T = TypeVar("T")


@dataclass(frozen=True)
class Usage:
    """What the help of a command says beside its arguments."""

    prog: str
    usage: str
    description: str
    epilog: str | None = None


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the examples as written; gives option names room."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line as all else is said, and what may have been meant."""

    given: Sequence[str] = ()

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.given = sys.argv[1:] if args is None else list(args)
        return super().parse_args(self.given, namespace)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and end the process with code 2."""
        meant = next(self._meant(), "")
        see = f"{meant} See" if meant.endswith("?") else f"{meant}; see" if meant else "see"
        sys.exit(fail(f"{message}\nhint: {see} {self.prog} --help", 2, _kind(sys.exc_info()[1])))

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help or version; unlike argparse's own, raise OSError where that cannot be."""
        if message:
            (file or sys.stderr).write(message)

    def _meant(self) -> Iterator[str]:
        """Yield what the words that mean nothing here may stand for."""
        known = [flag for flag in self._option_string_actions if flag.startswith("--")]
        for word in self.given:
            flag = word.partition("=")[0]
            if flag.startswith("--") and len(flag) > 2 and flag not in known:
                if others := [each for each in takers_of(flag) if self.prog != _called(each)]:
                    yield f"{flag} is an option of {' and '.join(map(_called, others))}"
                elif near := nearest(flag, known):
                    yield f"did you mean {near}?"
            elif word in COMMANDS and self.prog == _called("compile"):
                yield f"a command comes first, as in pjc {word} .."


def _called(command: str) -> str:
    """Return how a command is called."""
    return "pjc" if command == "compile" else f"pjc {command}"


def parse(cls: type[T], usage: Usage, arguments: Sequence[str]) -> T:
    """Return the record that a command line gives; a wrong one ends the process with code 2.

    Raises:
        DiagnosticError: for values that do not go together.
    """
    file = _config_of(arguments)
    given = {} if file is None else read_config(Path(file), all_options(cls))
    found = vars(parser_of(cls, usage, given).parse_args(arguments))
    return _made(cls, found, "", given)


def show_help(cls: type, usage: Usage) -> None:
    """Print the help of a command on stderr."""
    parser_of(cls, usage).print_help(sys.stderr)


def _config_of(arguments: Sequence[str]) -> str | None:
    """Return the file with options that a command line names."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config")
    try:
        found: str | None = parser.parse_known_args(arguments)[0].config
    except argparse.ArgumentError:  # which the command's own parser says better
        return None
    return found


def parser_of(cls: type, usage: Usage, given: Collection[str] = ()) -> Parser:
    """Return the parser of a command's record, for which options are ``given`` already, by their paths."""
    parser = Parser(
        prog=usage.prog,
        usage=usage.usage,
        description=usage.description,
        epilog=usage.epilog,
        formatter_class=Formatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--version", action="version", version=f"pjc {__version__}")
    groups: dict[str, argparse._ArgumentGroup] = {}
    for path, option in [*all_options(cls), *all_options(ConfigArguments)]:
        if path in given:
            option = replace(option, required=False)
        if option.group and option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        _add(groups[option.group] if option.group else parser, path, option)
    return parser


def _add(group: argparse._ActionsContainer, path: str, option: Option) -> None:
    """Add an option to the parser; what it takes is kept under its path."""
    more: dict[str, Any] = {"help": option.help.replace("%", "%%")}
    kind = option.kind
    if kind.switch:
        more |= {"action": "store_true"}
    else:
        more["metavar"] = option.metavar or kind.metavar
        if not kind.repeated:
            more["type"] = _reader(option)
    if not option.flags:
        if kind.repeated:
            more["nargs"] = "*"
        elif not option.required:
            more["nargs"] = "?"
        group.add_argument(path, **more)
        return
    if kind.repeated:
        more["action"] = "append"
    group.add_argument(*option.flags, dest=path, required=option.required, **more)


def _kind(error: BaseException | None) -> str:
    """Return the code of what argparse complains of: that of a value's own complaint, if it is of one."""
    said = None if error is None else error.__context__
    return (code_of(said) if isinstance(said, argparse.ArgumentTypeError) else None) or USAGE


def _reader(option: Option) -> Callable[[str], Any]:
    """Return an argparse type: the value of a text, or an error with the words of the Python API."""

    def read(text: str) -> Any:
        try:
            return option.read(text)
        except DiagnosticError as error:
            said = error.diagnostics[0]
            hint = f"; {said.hint}" if said.hint else ""
            raise of_kind(said.code, argparse.ArgumentTypeError(said.message + hint)) from None

    return read


def _made(cls: type[T], found: dict[str, Any], prefix: str, config: Mapping[str, Any]) -> T:
    """Return the record of what was found under a prefix, or else is in a file of options.

    What was not given keeps its default.
    """
    given: dict[str, Any] = {}
    for each in options_of(cls):
        path = prefix + each.name
        if path in found and not (found[path] == [] and path in config):  # none that are told by their place
            given[each.name] = each.read(found[path]) if each.kind.repeated else found[path]
        elif path in config:
            given[each.name] = config[path]
    for name, inner in parts_of(cls).items():
        given[name] = _made(inner, found, f"{prefix}{name}.", config)
    return cls(**given)
