"""Networks that are trained within a test, with the files that are left behind."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pjc import cli

CLASSES = """
input x: f32[batch, 3]
target y: class[batch, 3]
param w: f32[3, 3] = he_normal
param b: f32[3] = zeros
output z = x @ w + b
require cross_entropy(z, y)
"""
NUMBERS = """
input x: f32[batch, 3]
target y: f32[batch, 2]
param w: f32[3, 2] = he_normal
param b: f32[2] = zeros
output z = x @ w + b
require squared_error(z, y)
"""
LABELS = """
input x: f32[batch, 3]
target y: f32[batch, 2]
param w: f32[3, 2] = he_normal
param b: f32[2] = zeros
output z = x @ w + b
require multi_label(z, y)
"""
CHARACTERS = """
const vocabulary = 4
input x: f32[batch, 5, vocabulary]
target y: class[batch, 5, vocabulary]
param w: f32[vocabulary, vocabulary] = he_normal
output z = x @ w
require cross_entropy(z, y)
"""


@dataclass(frozen=True)
class Files:
    """A trained network: the program, its parameters, and what training said last."""

    program: Path
    params: Path
    said: str


def table(path: Path, header: list[str], rows: Iterable[Iterable[object]]) -> Path:
    """Write a CSV file and return its path."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def flowers(path: Path, rows: int = 90) -> Path:
    """Write a table of two features of very different sizes and one of noise, and the name of a class."""
    random = np.random.default_rng(1)
    number = np.arange(rows) % 3
    x = random.normal(size=(rows, 3)) * 0.3
    x[:, 0] += number == 1
    x[:, 1] = 1000 * (x[:, 1] + 2 * (number == 2))
    names = np.array(["rose", "aster", "lily"])[number]
    return table(path, ["a", "b", "c", "kind"], [[*row, name] for row, name in zip(x, names, strict=True)])


def train(folder: Path, text: str, *arguments: object) -> Files:
    """Train a network in a folder."""
    source = folder / "net.pjn"
    source.write_text(text, encoding="utf-8")
    given = ["train", source, "-o", f"{folder}/", "--batch", 8, "--rate", 0.05, "--epochs", 8, *arguments]
    with redirect_stdout(io.StringIO()) as said:
        assert cli.main([str(each) for each in given]) == 0
    return Files(folder / "net.pjx", folder / "net.params.safetensors", said.getvalue())


def of_classes(folder: Path) -> tuple[Files, str]:
    """Return a network that was trained on a table of classes by name, and the name of the data."""
    data = flowers(folder / "data.csv")
    return train(folder, CLASSES, "--data", data, "--target", "kind", "--normalize", "standard"), str(data)


def of_numbers(folder: Path) -> tuple[Files, str]:
    """The same of two columns of numbers, in units of their own."""
    x = np.random.default_rng(2).normal(size=(80, 3))
    y = x @ [[100.0, 1], [0, 2], [50, 0]] + [1000, -3] + 0.1 * x[:, ::-1][:, :2]
    data = table(folder / "data.csv", ["a", "b", "c", "price", "size"], np.hstack([x, y]))
    return train(folder, NUMBERS, "--data", data, "--target", "price,size", "--normalize", "unit"), str(data)


def of_labels(folder: Path) -> tuple[Files, str]:
    """The same of two labels, as arrays."""
    x = np.random.default_rng(3).normal(size=(100, 3)).astype(np.float32)
    y = np.stack([x[:, 0] > 0.2, x[:, 1] > x[:, 2]], axis=1).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=y)
    return train(folder, LABELS, "--data", folder / "data.npz"), str(folder / "data.npz")


def of_characters(folder: Path) -> tuple[Files, str]:
    """The same of a text: c follows b, b follows a, and a or a line's end follows c."""
    (folder / "data.txt").write_text("abcabc\n" * 60, encoding="utf-8")
    data = f"text:{folder / 'data.txt'}"
    return train(folder, CHARACTERS, "--data", data, "--stride", 3), data


KINDS = {"classes": of_classes, "numbers": of_numbers, "labels": of_labels, "characters": of_characters}
"""What networks are trained for, and how."""
