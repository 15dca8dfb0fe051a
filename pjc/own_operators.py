"""The user's own operators on the command line: ``--operators FILE.py`` and ``pjc check-operator``."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from pjc.command import CommandError, console_of_stdout, say


def load_operators(paths: Sequence[str]) -> dict[str, list[str]]:
    """Run Python files that register operators; return the names that each registered, by path.

    Raises CommandError where a file cannot be run, or registers nothing.
    """
    from pjc.runtime.projections import REGISTERED

    found: dict[str, list[str]] = {}
    for path in paths:
        before = dict(REGISTERED)
        _run(Path(path))
        found[path] = [name for name, cls in REGISTERED.items() if before.get(name) is not cls]
        if not found[path]:
            raise CommandError(f"{path} registers no operator; it should call pjc.operator(...)")
    return found


def _run(path: Path) -> None:
    if not path.is_file():
        raise CommandError(f"there is no file {path} with operators")
    spec = importlib.util.spec_from_file_location(f"pjc_operators_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise CommandError(f"{path} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles look a module up by its name
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        raise CommandError(f"{path} fails: {type(error).__name__}: {error}") from error


def check_operator(given: argparse.Namespace) -> int:
    """Run ``pjc check-operator``; return 1 if a check fails."""
    from rich.table import Table

    from pjc.operators import OwnOperator, sample_shapes
    from pjc.runtime.projections import REGISTERED
    from pjc.runtime.projections.check import Subject, check

    (names,) = load_operators([given.file]).values()
    unknown = [name for name in given.names if name not in names]
    if unknown:
        raise CommandError(f"{given.file} registers no operator '{unknown[0]}'; it has {', '.join(names)}")
    console, failed = console_of_stdout(), False
    for name in given.names or names:
        cls = cast(type[OwnOperator], REGISTERED[name])  # pjc.operator makes no others
        shapes = sample_shapes(cls.signature, given.size)
        say(console, f"{name}: {cls.signature}, sizes of {given.size}, {given.samples} samples", "bold")
        table = Table("check", "f32", "f64", box=None, pad_edge=False, padding=(0, 3, 0, 0))
        both = [
            check(Subject(cls(), shapes, cls.signature.result(shapes), dtype), given.samples, given.seed)
            for dtype in ("float32", "float64")
        ]
        examples = []
        for pair in zip(*both, strict=True):
            shown = [
                "passed" if not each.failed else f"failed, {each.failed} of {each.samples}" for each in pair
            ]
            table.add_row(pair[0].check, *shown)
            examples += [f"{each.check}: {each.example}" for each in pair if each.failed][:1]
        console.print(table)
        for example in examples:
            say(console, example)
        failed = failed or bool(examples)
    return 1 if failed else 0
