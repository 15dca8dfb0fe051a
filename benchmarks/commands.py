"""The commands that train the examples, as the benchmarks take them over: from a text to what it asks for."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from pjc.commands.arguments import parse
from pjc.commands.train import USAGE
from pjc.commands.training.arguments import Arguments, check_arguments, request_of
from pjc.driver import Compilation
from pjc.options import Options
from pjc.passes.solvers import SolverOptions
from pjc.runtime.data.prepare import Parts, prepare
from pjc.runtime.data.source import SOURCES
from pjc.runtime.program import Program
from pjc.runtime.trainable import specs
from pjc.sources import open_source

ROOT = Path(__file__).resolve().parent.parent
OF_SOLVERS = ("iterations", *(each.name for each in fields(SolverOptions)))
"""The options that make a solver; each has one word after it."""
CANCER = "cancer.csv"


def command_of(network: Path) -> list[str]:
    """Return the words of the command in a network's first line, or else in the README, behind ``pjc``.

    Raises:
        ValueError: if there is none.
    """
    first = network.read_text(encoding="utf-8").splitlines()[0]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    place = network.relative_to(ROOT) if network.is_relative_to(ROOT) else network
    for text in (first.removeprefix("# "), readme):
        found = re.search(rf"\bpjc (train {re.escape(str(place))} .*)", text)
        if found:
            return shlex.split(found[1])
    raise ValueError(f"{network} has no command: expected '# pjc train {place} ..' in its first line")


def solver_in(words: Sequence[str]) -> str | None:
    """Return the solver that a command names."""
    return next((words[at + 1] for at, word in enumerate(words) if word == "--solver"), None)


def swept(words: Sequence[str]) -> list[str]:
    """Return the words of a command that trains by sweeps, without what is of other solvers alone."""
    named = solver_in(words)
    foreign = ("iterations",) if named in (None, "sweep") else OF_SOLVERS
    flags = {f"--{name.replace('_', '-')}" for name in (*foreign, "solver")}
    dropped = {at for at, word in enumerate(words) if word in flags}
    kept = [word for at, word in enumerate(words) if not {at, at - 1} & dropped]
    return [*kept, "--solver", "sweep"]


def located(words: Sequence[str], data: Path | None) -> list[str]:
    """Return the words with paths in the repository, and those of data in the folder ``data``, in full."""
    found = []
    for word in words:
        prefix = next((each.prefix for each in SOURCES if each.prefix and word.startswith(each.prefix)), "")
        name = word.removeprefix(prefix)
        if name.startswith(("examples/", "benchmarks/")):
            word = prefix + str(ROOT / name)
        elif data is not None and (data / name).is_file():
            word = prefix + str(data / name)
        found.append(word)
    return found


def write_cancer(folder: Path) -> None:
    """Write scikit-learn's breast cancer data as the file that ``binary_csv`` names."""
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer()
    with (folder / CANCER).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([*table.feature_names, "diagnosis"])
        names = table.target_names[table.target]
        rows.writerows([*numbers, name] for numbers, name in zip(table.data, names, strict=True))


@dataclass(frozen=True)
class Asked:
    """What a command asks for."""

    arguments: Arguments

    @property
    def options(self) -> Options:
        """The options of the compiler."""
        return self.arguments.options

    def compilation(self, options: Options | None = None) -> Compilation:
        """Return the compilation of its network."""
        return Compilation(open_source(self.arguments.model), options or self.options)

    def parts(self, program: Program) -> Parts:
        """Return its data."""
        return prepare(request_of(self.arguments.data), *specs(program))


def asked(words: Sequence[str]) -> Asked:
    """Return what the words of a command ask for, ``train`` first or not; a wrong one ends the process."""
    given = parse(Arguments, USAGE, words[1:] if words[:1] == ["train"] else words)
    check_arguments(given)
    given.session.begin()
    return Asked(given)
