"""The list of sources: which one a name is of, what it refuses, and that a new one is one new file."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pjc.runtime.data import DataError, load
from pjc.runtime.data.prepare import Request, prepare
from pjc.runtime.data.source import OPTIONS, SOURCES, Source, register
from pjc.runtime.data.sources import expected, files_of, find, help_lines

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Wanted:
    """A TensorSpec, as far as data is concerned."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    classes: int | None = None
    threshold: float | None = None
    channels: int | None = None


HOT, CLASS = Wanted("x", (2, 4, 5)), Wanted("y", (2,), "int32", 5)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("digits", "Digits"),
        ("a/b.npz", "Npz"),
        ("A.CSV", "Csv"),
        ("npy:a.npz", "Npy"),
        ("npy:x,y.csv", "Npy"),
        ("images:a.csv", "Images"),
        ("openml:iris.csv:2", "OpenML"),
        ("text:a.npz", "TextFile"),
        ("images,labels", "Idx"),
        ("a,b.csv", "Csv"),
        ("plain", "Idx"),
    ],
)
def test_what_a_spec_is_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("plain", "digits"):  # of the two only the first is told by what it holds
        (tmp_path / file).write_bytes(struct.pack(">HBBI", 0, 8, 1, 1) + b"\0")
    assert type(find(spec)).__name__ == name


@pytest.mark.parametrize("spec", ["npy", "text", "digits:8", "foo:bar", ""])
def test_a_spec_of_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no data called|is a directory"):
        find(spec)


def test_two_sources_may_not_be_written_the_same() -> None:
    class Other(Source):
        suffixes = (".tab", ".csv")

        def load(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Any: ...

    before = list(SOURCES)
    with pytest.raises(ValueError, match=r"two sources of data take what is written '\.csv'"):
        register(Other)
    assert before == SOURCES


GIVEN = {"target": "t", "normalize": "unit", "resize": True, "stride": 3, "layout": "channels_last"} | {
    "delimiter": ";",
    "decimal": ",",
    "encoding": "latin-1",
    "no_header": True,
    "categorical": "a",
    "ignore": "b",
    "missing": "drop",
    "weights": "w",
    "class_weight": "balanced",
}
SPECS = {
    "Cifar10": "cifar10",
    "FashionMnist": "fashion_mnist",
    "Higgs": "higgs",
    "Keras": "keras:a.npz",
    "Mnist": "mnist",
    "Csv": "a.csv",
    "Digits": "digits",
    "Idx": "a,b",
    "Images": "images:a",
    "Npy": "npy:a",
    "Npz": "a.npz",
    "OpenML": "openml:a",
    "TextFile": "text:a",
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: type(source).__name__)
def test_an_option_that_a_source_does_not_take(source: Source, option: str) -> None:
    """Every pair of both is either taken or refused, with what was given and what the data is."""
    spec = SPECS[type(source).__name__]
    request = replace(Request(spec), **{option: GIVEN[option]})
    if option in source.takes:
        source.require_options(request)
        return
    with pytest.raises(DataError) as refused:
        prepare(request, HOT, CLASS)
    message = str(refused.value)
    assert message.startswith(OPTIONS[option].flag + " ") and message.endswith(f"the data is {spec!r}")


def test_which_sources_take_an_option_is_said() -> None:
    with pytest.raises(DataError, match="names a column of a CSV file or a table of OpenML, but"):
        load("digits", target="t")
    with pytest.raises(DataError, match="--stride is for windows of a text, but"):
        prepare(Request("digits", stride=3), HOT, CLASS)


def test_a_text_is_tested_on_a_text_and_others_on_others(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("abcde" * 20)
    with pytest.raises(DataError, match="a text has samples only once it is cut into windows"):
        load(f"text:{path}")
    digits, y = Wanted("x", (2, 64)), Wanted("y", (2,), "int32", 10)
    with pytest.raises(DataError, match="a text has samples only once"):
        prepare(Request("digits", test_data=f"text:{path}"), digits, y)


def test_every_form_is_listed_once() -> None:
    lines = [line.split()[0] for line in help_lines()]
    assert sorted(lines) == sorted(form.written for source in SOURCES for form in source.forms)
    assert len(set(lines)) == len(lines)
    assert all(source.takes <= OPTIONS.keys() for source in SOURCES)
    assert expected().startswith("digits, images:FOLDER, keras:FILE.npz, mnist, ") and expected().endswith(
        " or an .npz file"
    )


LINES = '''
"""Numbers, a sample a line; the last one is its class."""

from pathlib import Path

from ..source import Form, Source, register


@register
class Lines(Source):
    forms = (Form("lines:FILE", "a sample a line, its class last"),)
    what = "a file of lines"
    takes = frozenset({"target"})
    prefix = "lines:"

    def load(self, where, request, sample):
        import numpy as np

        from ..dataset import from_arrays

        rows = np.loadtxt(where)
        return from_arrays(rows[:, :-1], rows[:, -1].astype(int), where)
'''

SCRIPT = """
import pjc.runtime.data.sources as sources
from pjc.runtime.data import DataError, load
print(load("lines:numbers.txt").x.tolist())
print("\\n".join(sources.table()))
for spec, options in [("digits", {"target": "t"}), ("none", {}), ("lines:numbers.txt", {"resize": True})]:
    try:
        load(spec, **options)
    except DataError as error:
        print(error)
"""


@pytest.mark.slow  # docs/extending.md has the same as a recipe
def test_a_new_source_is_one_new_file(tmp_path: Path) -> None:
    """It is read, trained on, shown by the help and the documentation, and named in refusals."""
    for name in ("pjc", "dialects", "passes", "runtime"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "runtime" / "data" / "sources" / "lines.py").write_text(LINES)
    (tmp_path / "numbers.txt").write_text("1 2 0\n3 4 1\n" * 20)
    model = "input x: f32[batch, 2]\ntarget y: class[batch, 2]\nparam w: f32[2, 2] = normal(1)\n"
    (tmp_path / "net.pjn").write_text(model + "z = x @ w\noutput z\nrequire cross_entropy(z, y)\n")

    def run(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = run("-c", SCRIPT)
    assert said.startswith("[[1.0, 2.0], [3.0, 4.0],")
    assert "| `lines:FILE` | a sample a line, its class last | `--target` |" in said
    assert "a CSV file or a file of lines or a table of OpenML, but the data is 'digits'" in said
    assert (
        "no data called 'none': expected digits, images:FOLDER, keras:FILE.npz, lines:FILE, mnist, " in said
    )
    assert "--resize is for image files, but the data is 'lines:numbers.txt'" in said
    text = run("-m", "pjc.cli", "train", "--help")
    assert "  lines:FILE             a sample a line, its class last\n" in text
    training = ("train", "net.pjn", "--data", "lines:numbers.txt", "--batch", "4", "--epochs", "1")
    assert "test accuracy" in run("-m", "pjc.cli", *training)


def test_files_are_those_that_a_name_leads_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a,b").write_text("")
    for spec, expected_files in {
        "digits": (),
        "mnist": (),
        "t.csv": ("t.csv",),
        "a,b.csv": ("a,b.csv",),
        "text:a,b": ("a,b",),
        "keras:k,l.npz": ("k,l.npz",),
        "npy:x.npy,y.npy": ("x.npy", "y.npy"),
        "npy:folder": ("folder",),
        "images,labels": ("images", "labels"),
        "a,b": ("a,b",),
        "nothing": ("nothing",),
        "nul\0": ("nul\0",),
    }.items():
        assert files_of(spec) == expected_files, spec


def test_what_a_word_names_is_the_word_unless_it_is_said() -> None:
    words = {each.word: each.what for each in SOURCES if each.word}
    assert words.keys() >= {"mnist", "digits", "higgs"} and all(word == what for word, what in words.items())
    assert find("a.csv").what == "a CSV file"
