"""The recipes of docs/extending.md, each carried out in a copy of the package.

The blocks of a recipe are taken from the page, put where it says, and used: by ``recipes.py``, as a user
would, and by the tests that hold for everything of that kind. Nothing but the files named may differ.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
PACKAGE = ("pjc", "dialects", "passes", "runtime")
COPIED = (*PACKAGE, "tests", "docs")
MOST = 2
"""The most files of the package that a recipe may have."""

WHERE = r"New file `([\w.]+)` in `([\w/]+)`|In `([\w/.]+)`, (above|below) `(.+?)`"
BLOCK = re.compile(rf"^(?:{WHERE}):\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """What a recipe puts into a file: a new one, or above or below the line that begins with ``at``."""

    path: str
    text: str
    at: str | None = None
    below: bool = False

    def put(self, root: Path) -> None:
        path = root / self.path
        if self.at is None:
            assert not path.exists(), f"{self.path} is there already"
            path.write_text(self.text, encoding="utf-8")
            return
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        found = [number for number, line in enumerate(lines) if line.strip().startswith(self.at)]
        assert len(found) == 1, f"{len(found)} lines of {self.path} begin with {self.at!r}"
        number = found[0]
        margin = lines[number][: len(lines[number]) - len(lines[number].lstrip())]
        lines.insert(number + self.below, textwrap.indent(self.text, margin))
        path.write_text("".join(lines), encoding="utf-8")


def blocks(section: str) -> list[Block]:
    """Return the blocks of a recipe, in their order."""
    found = []
    for name, folder, path, where, at, text in BLOCK.findall(section):
        found.append(Block(path, text, at, where == "below") if path else Block(f"{folder}/{name}", text))
    assert len(found) == len(re.findall(r"^```", section, re.MULTILINE)) / 2, (
        "a block does not say where it stands"
    )
    return found


RECIPES = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))

TESTS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "An operator": (
        ("test_projections.py", "test_ir.py", "test_builder.py", "test_structure.py"),
        "scaled or covers_the_registry or file and op or every_op_is or operation_can_be_built or matches_on",
    ),
    "A solver with a number": (
        ("test_solvers.py", "test_options.py", "test_structure.py"),
        "rap or every_number or solvers_are_named or knows_a_solver or signature or option_touches",
    ),
    "A set": (
        ("test_sets.py", "test_builder.py", "test_projections.py", "test_ir.py"),
        "grid or covers_the_registry or can_be_built or invalid",
    ),
    "A source of data": (("test_data_sources.py",), "JsonLines or every_form"),
    "A pass": (("test_ir.py",), "drop_identities or drop-identities or invalid"),
}
"""For each recipe the tests of all that is of its kind: their files, and which of them."""

QUICK = ("A pass",)
"""The recipes that are carried out in the quick tests too: others take several times as long."""


def copy_of_the_package(folder: Path) -> Path:
    """Return a copy of all that a recipe may change or that tests it, without what is big."""
    left_out = shutil.ignore_patterns("__pycache__", "*.npz", "*.onnx", "*.png")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=left_out)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def contents(root: Path) -> dict[str, bytes]:
    """Return the files of a copy, by their paths in it."""
    paths = (path for name in COPIED for path in (root / name).rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def run(root: Path, *command: str) -> None:
    """Run a module of Python in a copy, on the copy; fail with what it said."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_five_recipes() -> None:
    assert list(RECIPES) == list(TESTS)


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=() if each in QUICK else pytest.mark.slow) for each in RECIPES]
)
def test_a_recipe_works_and_needs_no_other_file(name: str, tmp_path: Path) -> None:
    root = copy_of_the_package(tmp_path)
    before, recipe = contents(root), blocks(RECIPES[name])
    for block in recipe:
        block.put(root)
    named = sorted({block.path for block in recipe})
    assert 1 <= len([path for path in named if path.startswith(PACKAGE)]) <= MOST
    run(root, "ruff", "check", "--no-cache", *(path for path in named if path.endswith(".py")))
    use, (files, chosen) = f"recipes.py::test_{name.split()[1]}", TESTS[name]
    tests = [f"tests/{each}" for each in (use, *files)]
    run(root, "pytest", "-m", "not slow", "-p", "no:cacheprovider", *tests, "-k", f"recipes or {chosen}")
    after = contents(root)
    assert sorted(path for path in after if before.get(path) != after[path]) == named
