"""The tasks: they name what is there, and check what .ci/run and the hooks before a commit check."""

from __future__ import annotations

import importlib.util
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
NAMES = ("test", "test-all", "lint", "types", "docs", "fuzz", "benchmark")


@pytest.fixture
def tasks() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tasks.py"))


def test_these_are_the_tasks_and_the_guide_says_what_each_does(tasks: dict[str, Any]) -> None:
    assert tuple(tasks["TASKS"]) == NAMES
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"python tasks\.py ([\w-]+)", guide)) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_names_files_and_modules_that_are_there(tasks: dict[str, Any], name: str) -> None:
    for command in tasks["TASKS"][name].commands:
        first, *rest = shlex.split(command)
        if first == "-m":
            assert importlib.util.find_spec(rest[0]) is not None, command
        else:
            assert first.endswith(".py") and (ROOT / first).is_file(), command
        assert all((ROOT / word).is_file() for word in rest if word.endswith(".py")), command


def test_lint_the_hooks_and_ci_check_the_same(tasks: dict[str, Any]) -> None:
    lint = [command.removeprefix("-m ") for command in tasks["TASKS"]["lint"].commands]
    assert [name.split()[0] for name in lint] == ["ruff", "ruff", "mypy"]
    found = re.findall(r"^\S*\.venv/bin/((?:ruff|mypy) .*)$", CI, re.MULTILINE)
    assert [" ".join(line.replace("--no-cache", "").split()) for line in found] == lint

    hooks = []
    for entry in re.findall(r"^ +entry: python (.*)$", HOOKS, re.MULTILINE):
        own = re.fullmatch(r"tasks\.py ([\w-]+)", entry)
        hooks += tasks["TASKS"][own[1]].commands if own else [entry]
    assert [command.removeprefix("-m ") for command in hooks] == lint
    assert HOOKS.count("- id: ") == HOOKS.count("language: system") == len(hooks)
    assert re.findall(r"repo: (\S+)", HOOKS) == ["local"], "a hook that is fetched"


def test_the_quick_tests_are_those_of_the_readme(tasks: dict[str, Any]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- test-command -->\n```sh\n(.*?)\n```", readme, re.DOTALL)
    (command,) = tasks["TASKS"]["test"].commands
    assert block.endswith(f"&& .venv/bin/python {command}")


def test_types_are_checked_on_all_packages_as_installed(tasks: dict[str, Any], tmp_path: Path) -> None:
    tasks["copy_as_installed"](tmp_path)
    made = {path.parent for path in tmp_path.rglob("__init__.py")}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
        "packages"
    ]
    assert made == {tmp_path / name.replace(".", "/") for name in packages}


def test_a_task_fails_where_one_of_its_commands_does_and_runs_them_all(tmp_path: Path) -> None:
    code = (ROOT / "tasks.py").read_text(encoding="utf-8")
    (tmp_path / "tasks.py").write_text(code.replace('"-m ruff check ."', '"bad.py"'))
    (tmp_path / "bad.py").write_text("raise SystemExit(3)")
    (tmp_path / "ruff.py").write_text("import sys\nprint('ruff', sys.argv[1:], flush=True)")
    (tmp_path / "mypy").mkdir()
    (tmp_path / "mypy" / "__init__.py").touch()
    (tmp_path / "mypy" / "__main__.py").write_text("import sys\nprint('mypy', sys.argv[1:], flush=True)")
    (tmp_path / "pyproject.toml").write_text('[tool.setuptools.package-dir]\nmypy = "mypy"')
    done = subprocess.run(
        [sys.executable, str(tmp_path / "tasks.py"), "lint", "--strict"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 3, done.stderr
    assert "ruff ['format', '--check', '.']" in done.stdout
    assert "mypy ['-p', 'pjc', '--strict']" in done.stdout


def test_a_wrong_task_is_named() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "tasks.py"), "tset"], capture_output=True, text=True)
    assert done.returncode == 2 and "invalid choice: 'tset'" in done.stderr


def test_cases_that_are_listed_as_slow_are_of_tests_that_there_are() -> None:
    listed = (ROOT / "tests" / "slow_cases.txt").read_text(encoding="utf-8").splitlines()
    assert listed == sorted(set(listed))
    for case in listed:
        file, _, test = case.split("[")[0].partition("::")
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), case
