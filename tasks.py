"""The things that one does daily: ``python tasks.py test``, in the environment of the checkout.

A task runs all of its commands, and fails if one of them does. What follows its name is added to its last
command: ``python tasks.py test tests/test_golden.py -k rnn``.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TYPES = "-m mypy -p pjc"
"""Types are checked on the package laid out as it is installed, beside which it runs."""


@dataclass(frozen=True)
class Task:
    """Commands of Python, each a script of the checkout, or ``-m`` and a module; ``help`` says what for."""

    help: str
    commands: tuple[str, ...]


TASKS = {
    "test": Task("run the quick tests (some minutes)", ("-m pytest -n 2 -m 'not slow'",)),
    "test-all": Task("run all tests, also those that take long", ("-m pytest -n 2",)),
    "lint": Task("check style, layout and types", ("-m ruff check .", "-m ruff format --check .", TYPES)),
    "types": Task("check types alone", (TYPES,)),
    "docs": Task(
        "write the generated pages anew, and check all pages",
        ("docs/reference.py", "docs/dumps.py", "tests/onnx_nodes.py", "-m pytest tests/test_docs.py"),
    ),
    "fuzz": Task("give pjc mutants of every format that it reads (--help: which)", ("tests/fuzz_files.py",)),
    "benchmark": Task("time an iteration (--help: of what)", ("benchmarks/iterations.py",)),
}


def copy_as_installed(folder: Path) -> None:
    """Copy the package to where a wheel has it, for its parts are top folders of the checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for package, home in project["tool"]["setuptools"]["package-dir"].items():
        to = folder / package.replace(".", "/")
        shutil.copytree(ROOT / home, to, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)


def run(command: str, more: Sequence[str] = ()) -> int:
    """Run a command of Python in the checkout, or on a copy of it; return its exit status."""
    words = [*shlex.split(command), *more]
    print("+ python", shlex.join(words), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home = ROOT
        if command == TYPES:
            home = Path(folder)
            copy_as_installed(home)
        path = os.pathsep.join(filter(None, (str(home), os.environ.get("PYTHONPATH"))))
        environment = {"MYPY_CACHE_DIR": str(ROOT / ".mypy_cache"), **os.environ, "PYTHONPATH": path}
        return subprocess.call([sys.executable, *words], cwd=home, env=environment)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the task named; return the first exit status that is not zero, or zero."""
    parser = argparse.ArgumentParser(
        prog="python tasks.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    for name, task in TASKS.items():
        tasks.add_parser(name, help=task.help, add_help=False)
    given, more = parser.parse_known_args(arguments)
    *first, last = TASKS[given.task].commands
    statuses = [*map(run, first), run(last, more)]
    return next((status for status in statuses if status), 0)


if __name__ == "__main__":
    sys.exit(main())
