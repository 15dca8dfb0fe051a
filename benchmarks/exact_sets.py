"""Draw what three examples learn whose weights are in sets exactly: the picture of the README.

    python benchmarks/exact_sets.py -o benchmarks/exact_sets.png

trains them, each by the command in its first line (about a minute on two CPU cores), and draws the weights of
their files of parameters: an image of 8 x 8 for each hidden unit, or each part of a mixture. Nothing is left
out, and nothing is rounded: white is exactly zero.
"""

from __future__ import annotations

import argparse
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pjc.cli import main as pjc

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SIDE = 8
"""Pixels along a side of a digit."""


@dataclass(frozen=True)
class Panel:
    """What is drawn of an example: a parameter, whose axis of pixels is ``pixels``."""

    example: str
    parameter: str
    pixels: int
    title: str


PANELS = (
    Panel("ternary_digits", "w", 0, "64 units, weights of -1, 0 and 1"),
    Panel("sparse_digits", "w", 0, "64 units, each with 8 inputs"),
    Panel("nmf_digits", "part", 1, "16 nonnegative parts of digits"),
)


def trained(example: str, folder: Path) -> dict[str, NDArray[Any]]:
    """Return the parameters that the command of an example ends with."""
    path = EXAMPLES / f"{example}.pjn"
    command = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# pjc ")
    words = [str(path) if word == f"examples/{example}.pjn" else word for word in shlex.split(command)]
    if pjc([*words, "--seed", "0", "-o", f"{folder}/"]) != 0:
        raise SystemExit(f"{command} failed")
    best = folder / f"{example}.best.safetensors"
    return load_file(best if best.exists() else folder / f"{example}.params.safetensors")


def tiles(weights: NDArray[Any]) -> NDArray[Any]:
    """Return images ``[count, 64]`` side by side in a square, with a line of NaN between them."""
    columns = int(len(weights) ** 0.5)
    framed = np.full((len(weights), SIDE + 1, SIDE + 1), np.nan)
    framed[:, :SIDE, :SIDE] = weights.reshape(-1, SIDE, SIDE)
    rows = framed.reshape(-1, columns, SIDE + 1, SIDE + 1).transpose(0, 2, 1, 3)
    return rows.reshape(-1, columns * (SIDE + 1))[:-1, :-1]


def draw(images: list[NDArray[Any]], path: Path) -> None:
    """Draw one panel for each image: blue below zero, white at it, red above."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colors = matplotlib.colormaps["bwr"].with_extremes(bad="0.8")
    figure, axes = plt.subplots(1, len(images), figsize=(10.5, 4), layout="constrained")
    for axis, image, panel in zip(axes, images, PANELS, strict=True):
        largest = np.nanmax(np.abs(image))  # the scale is symmetric, so that zero is white
        axis.imshow(image, cmap=colors, vmin=-largest, vmax=largest, interpolation="nearest")
        axis.set_title(f"{panel.example}\n{panel.title}", fontsize=10)
        axis.set_axis_off()
    figure.savefig(path, dpi=100, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-o", dest="output", type=Path, required=True, help="where to write the PNG")
    output = parser.parse_args().output
    images = []
    with tempfile.TemporaryDirectory() as folder:
        for panel in PANELS:
            weights = trained(panel.example, Path(folder))[panel.parameter]
            images.append(tiles(np.moveaxis(weights, panel.pixels, -1)))
    draw(images, output)


if __name__ == "__main__":
    main()
