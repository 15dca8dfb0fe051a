"""What is installed is whole, can be imported from anywhere, and imports no more than it should."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"pjc": "pjc", "dialects": "pjc/dialects", "passes": "pjc/passes", "runtime": "pjc/runtime"}
"""Each top folder of the checkout, and where it stands in the installed package."""

# Building needs a newer setuptools than some environments have; pip then fetches one.
MODERN = int(version("setuptools").split(".")[0]) >= 77
BUILD = ["--no-deps", "-q", *(["--no-build-isolation"] if MODERN else [])]

IMPORTS = """
import pathlib, sys
import pjc, pjc.dialects, pjc.dialects.net, pjc.passes, pjc.passes.fuse, pjc.runtime
import pjc.runtime.projections, pjc.runtime.data, pjc.frontends, pjc.cli
for name, module in sorted(sys.modules.items()):
    if name.split(".")[0] == "pjc":
        print(name, pathlib.Path(module.__file__).resolve())
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Return what a command prints, or fail with what it said."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env={**inherited, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout, for a build leaves files in its source."""
    copy = tmp_path_factory.mktemp("source") / "checkout"
    copy.mkdir()
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name in ("pyproject.toml", project["readme"], *project["license-files"]):
        shutil.copy(ROOT / name, copy / name)
    return copy


def sources() -> set[str]:
    """Return the path in the package of every file of the checkout that belongs there."""
    return {
        f"{inside}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, inside in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".lark", ".pjn", ".typed", ".toml", ".html", ".css", ".js", ".LICENSE")
    }


@pytest.mark.slow
def test_wheel_holds_every_file_and_no_other(checkout: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "wheel", *BUILD, "-w", tmp_path, checkout, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (entry_points,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
        scripts = archive.read(entry_points).decode()
    assert names == sources()
    assert {
        "pjc/py.typed",
        "pjc/library/nn.pjn",
        "pjc/frontends/pjn.lark",
        "pjc/report/dagre.LICENSE",
        "pjc/runtime/data/__init__.py",
    } <= names
    assert "pjc = pjc.cli:main" in scripts and "pjc = pjc.universe:UNIVERSE" in scripts


@pytest.mark.slow
@pytest.mark.parametrize("editable", [False, True], ids=["plain", "editable"])
def test_imports_after_install(checkout: Path, tmp_path: Path, editable: bool) -> None:
    """In a fresh environment, from the checkout's root and from elsewhere."""
    python = fresh_environment(tmp_path / "venv")
    what = ["-e", str(checkout)] if editable else [str(checkout)]
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    run(*pip, "install", *BUILD, *what, cwd=tmp_path)
    installed = Path(run(python, "-c", "import pjc; print(pjc.__file__)", cwd=tmp_path).strip())
    assert installed.is_relative_to(checkout if editable else tmp_path / "venv")
    places = {checkout: checkout, tmp_path: checkout if editable else tmp_path / "venv"}
    for cwd, home in places.items():
        lines = run(python, "-c", IMPORTS, cwd=cwd).splitlines()
        files = dict(line.split(" ", 1) for line in lines)
        assert {"pjc", "pjc.dialects.net", "pjc.passes.fuse", "pjc.runtime.data"} <= files.keys()
        assert all(Path(file).is_relative_to(home) for file in files.values()), files
        run(python, "-m", "pjc.cli", "--version", cwd=cwd)
    assert run(tmp_path / "venv/bin/pjc", "--version", cwd=tmp_path).startswith("pjc ")


def fresh_environment(folder: Path) -> Path:
    """Return the Python of a new environment that borrows this one's packages, except pjc."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(run(python, "-c", code, cwd=folder).strip())
    borrowed = folder / "borrowed"
    borrowed.mkdir()
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if "pjc" not in package.name and package.suffix != ".pth":
            (borrowed / package.name).symlink_to(package)
    (own / "borrowed.pth").write_text(f"{borrowed}\n")
    code = "import numpy, xdsl, importlib.util; print(importlib.util.find_spec('pjc'))"
    assert run(python, "-c", code, cwd=folder) == "None\n"
    return python


@pytest.mark.parametrize(
    ("imported", "present", "absent"),
    [
        ("pjc", ["pjc"], ["jax", "xdsl", "numpy", "rich", "lark"]),
        ("pjc.cli", ["pjc.cli"], ["jax", "xdsl", "numpy", "rich", "lark", "sklearn"]),
        ("pjc.dialects.net, pjc.dialects.feas, pjc.dialects.proj", ["xdsl"], ["jax"]),
        ("pjc.builder", ["xdsl"], ["jax", "numpy", "lark", "pjc.frontends", "pjc.driver", "pjc.passes"]),
        ("pjc.passes.fuse, pjc.passes.bipartition", ["xdsl"], ["jax", "pjc.driver", "pjc.cli"]),
        ("pjc.runtime.projections", ["jax"], ["xdsl", "pjc.dialects", "pjc.passes"]),
        ("pjc.runtime.data.sources", ["pjc.runtime.data.sources.csv"], ["jax", "xdsl", "numpy", "sklearn"]),
        ("pjc.runtime.data.prepare", ["numpy"], ["jax", "xdsl", "sklearn", "pjc.dialects", "pjc.passes"]),
        ("pjc.runtime.train", ["jax"], ["xdsl", "sklearn", "pjc.dialects.view", "pjc.passes"]),
    ],
)
def test_imports_point_one_way(imported: str, present: list[str], absent: list[str]) -> None:
    code = f"import sys, {imported}\nprint(*sys.modules)"
    loaded = set(run(sys.executable, "-c", code, cwd=ROOT).split())
    assert set(present) <= loaded
    assert not set(absent) & loaded


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]], ids=["pjc", "train"])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
from pjc.cli import main
try:
    main({arguments})
except SystemExit as stop:
    assert stop.code == 0
print("loaded:", *sys.modules)
"""
    text, _, loaded = run(sys.executable, "-c", code, cwd=ROOT).partition("loaded:")
    assert "pjc train digits_mlp.pjn --data digits" in text
    assert not {"jax", "xdsl", "numpy", "rich"} & set(loaded.split())


def test_every_package_folder_is_listed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(
        str(Path(name).parent).replace("/", ".") for name in sources() if name.endswith("__init__.py")
    )
