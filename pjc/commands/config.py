"""Options in a file: ``--config FILE.toml``, for every command, as the fields of its record declare them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pjc.diagnostics import CommandError, DiagnosticError
from pjc.fields import Number, Option, Text, nearest, option
from pjc.reading import MAX_TEXT_BYTES, measured, reading

Declared = Sequence[tuple[str, Option]]
"""The options of a command, each with the path to it in the record."""


@dataclass(frozen=True)
class ConfigArguments:
    """What every command takes besides its own options."""

    config: str | None = option(
        None,
        kind=Text("FILE.toml"),
        help="take options from this file, by their long names; those of the command line win",
    )


def read_config(path: Path, declared: Declared) -> dict[str, Any]:
    """Return the values of the options in a file, by their paths.

    A key is an option's long name, with dashes or underscores; it may stand in a table that is called as the
    option's group is in the help.

    Raises:
        CommandError: with the place, for a file that is no TOML, an unknown key, a value that the option does
            not take, and an option that is given twice.
    """
    measured(path, MAX_TEXT_BYTES, CommandError)
    with reading(path, "a TOML file", CommandError):
        text = path.read_text(encoding="utf-8")
        given = tomllib.loads(text)
    return _Config(path, text, declared).values(given)


def names_of(found: Option) -> list[str]:
    """Return what a file may call an option, with dashes."""
    flags = [flag.lstrip("-") for flag in found.flags if flag.startswith("--")]
    return list(dict.fromkeys([*flags, found.name.replace("_", "-")]))


class _Config:
    """The text of a file, and what its keys may be."""

    def __init__(self, path: Path, text: str, declared: Declared) -> None:
        self.path = path
        self.lines = text.splitlines()
        self.known = {name: each for each in declared for name in names_of(each[1])}
        self.groups = {_key(each.group): each.group for _, each in declared if each.group}

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values by path."""
        found: dict[str, Any] = {}
        for key, value in given.items():
            if isinstance(value, Mapping) and (_key(key) in self.groups or _key(key) not in self.known):
                self._require_group(key)
                for inner, each in value.items():
                    self._take(found, inner, each, key)
            else:
                self._take(found, key, value, None)
        return found

    def _require_group(self, key: str) -> None:
        if _key(key) not in self.groups:
            near = nearest(_key(key), [*self.groups, *self.known])
            hint = f"did you mean {near!r}?" if near else f"known are {', '.join(map(repr, self.groups))}"
            raise self._error(key, None, f"there is no group of options {key!r}; {hint}")

    def _take(self, found: dict[str, Any], key: str, value: Any, table: str | None) -> None:
        """Enter the value of a key."""
        if _key(key) not in self.known:
            near = nearest(_key(key), self.known)
            hint = f"did you mean {near!r}?" if near else "--help lists the options"
            raise self._error(key, table, f"there is no option {key!r}; {hint}")
        path, declared = self.known[_key(key)]
        if table is not None and _key(declared.group) != _key(table):
            where = f"[{_key(declared.group)}]" if declared.group else "the lines before the first table"
            raise self._error(key, table, f"{key!r} is not of [{table}] but of {where}")
        if path in found:
            raise self._error(key, table, f"{key!r} is given twice")
        try:
            found[path] = _value(declared, value)
        except DiagnosticError as error:
            said = error.diagnostics[0]
            message = said.message.removeprefix(f"{declared.name}: ")
            hint = f"; {said.hint}" if said.hint else ""
            raise self._error(key, table, f"{key}: {message}{hint}") from None

    def _error(self, key: str, table: str | None, message: str) -> CommandError:
        return CommandError(f"{self.path}:{self._line(key, table)}: {message}")

    def _line(self, key: str, table: str | None) -> int:
        """Return the line of a key, or else that of its table."""
        begun, best = table is None, 1
        for number, line in enumerate(self.lines, 1):
            header = re.match(r"\s*\[+\s*[\"']?([^\]\"']*)", line)
            if header:
                name = header[1].strip()
                if name == key and table is None:
                    return number
                begun = name == table
                best = number if begun else best
            elif begun and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
                return number
        return best


def _key(name: str) -> str:
    """Return a name as keys are compared."""
    return re.sub(r"[\s_]+", "-", name.strip())


def _value(declared: Option, value: Any) -> Any:
    """Return the value of an option from TOML; raise DiagnosticError for one that it does not take.

    Numbers are numbers, and what the command line takes as a text of its own form (a solver, a size) may be
    such a text.
    """
    kind = declared.kind
    if kind.repeated and isinstance(value, str):
        return declared.read([value])
    if kind.repeated and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return declared.read(value)
    if isinstance(value, str) and not isinstance(kind, Number) and not kind.switch:
        return declared.read(value)
    return declared.check(value)
