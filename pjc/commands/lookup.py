"""What the commands take, for those who ask about all of them: each is imported when it is asked about."""

from __future__ import annotations

from importlib import import_module

from pjc.commands import COMMANDS
from pjc.fields import Option, options_of, parts_of


def all_options(cls: type, prefix: str = "") -> list[tuple[str, Option]]:
    """Return the options of a record and of the records in it, each with the path to it."""
    found = [(prefix + each.name, each) for each in options_of(cls)]
    for name, inner in parts_of(cls).items():
        found += all_options(inner, f"{prefix}{name}.")
    return found


def record_of(command: str) -> type | None:
    """Return the record of a command's arguments; None for one that is not declared in that way."""
    found: type | None = getattr(import_module(f"pjc.commands.{COMMANDS[command]}"), "Arguments", None)
    return found


def takers_of(flag: str) -> list[str]:
    """Return the commands that take an option; xDSL's, which would have to be loaded, are not looked at."""
    found = []
    for command in COMMANDS:
        record = None if command == "opt" else record_of(command)
        if record is not None and any(flag in option.flags for _, option in all_options(record)):
            found.append(command)
    return found
