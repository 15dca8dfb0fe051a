"""The recipes of docs/extending.md, each carried out in a copy of the package.

The blocks of a recipe are taken from the page, put where the page says, and used: by ``recipes.py``, as a user
would, and by the tests that hold for everything of that kind. Nothing but the files that are named may differ.
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
MOST = 2
"""The most files of the package that a recipe may have."""

WHERE = r"New file `([\w.]+)` in `([\w/]+)`|In `([\w/.]+)`, (above|below) `(.+?)`"
BLOCK = re.compile(rf"^(?:{WHERE}):\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A text that a recipe puts into a file: a new one, or above or below the line that begins with ``at``."""

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

GENERAL: Mapping[str, str] = {
    "An operator": "test_projections.py test_ir.py test_builder.py test_onnx.py -k "
    "'scaled and float32 or covers or maps_over_sites or every_op or op.mlir or file and op or can_be_built'",
    "A solver with a number": "test_gather.py -k 'rap'",
    "A set": "test_sets.py test_builder.py -k 'multiples or covers or can_be_built or function_and_loss'",
    "A source of data": "test_data_sources.py -k 'JsonLines or listed_once'",
    "A pass": "test_ir.py -k 'drop'",
}
"""The tests of everything of its kind that each recipe has to pass."""


def copy_of_the_package(folder: Path) -> Path:
    """Return a copy of all that a recipe may change or that tests it, without what is big."""
    left_out = shutil.ignore_patterns("__pycache__", "*.npz", "*.onnx", "*.png")
    for name in (*PACKAGE, "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=left_out)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def run(root: Path, *command: str) -> None:
    """Run a module of Python in a copy, on the copy; fail with what it said."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_five_recipes() -> None:
    assert list(RECIPES) == list(GENERAL)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_works_and_needs_no_other_file(name: str, tmp_path: Path) -> None:
    root = copy_of_the_package(tmp_path)
    before, recipe = contents(root), blocks(RECIPES[name])
    for block in recipe:
        block.put(root)
    named = sorted({block.path for block in recipe})
    assert len([path for path in named if path.startswith(PACKAGE)]) <= MOST
    python = [path for path in named if path.endswith(".py")]
    run(root, "ruff", "check", "--no-cache", *python)
    use = f"tests/recipes.py::test_{name.split()[1]}"
    run(root, "pytest", "-m", "not slow", "-p", "no:cacheprovider", use)
    after = contents(root)
    assert sorted(path for path in after if before.get(path) != after[path]) == named


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_what_a_recipe_adds_passes_the_tests_of_its_kind(name: str, tmp_path: Path) -> None:
    root = copy_of_the_package(tmp_path)
    for block in blocks(RECIPES[name]):
        block.put(root)
    command, _, chosen = GENERAL[name].partition(" -k ")
    run(root, "pytest", "-p", "no:cacheprovider", *(f"tests/{each}" for each in command.split()), "-k", chosen)
