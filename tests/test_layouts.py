"""Where images have their channels: what a network tells of its input, and what data say of theirs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from quick import some_quick

import pjc
from pjc.cli import main
from pjc.runtime.data import DataError, Dataset, fit, from_arrays
from pjc.runtime.data.prepare import Request, prepare
from pjc.runtime.data.rows import mapped
from pjc.runtime.history import read_parameters
from pjc.runtime.program import TensorSpec

FIRST, LAST = "channels_first", "channels_last"
LABEL = TensorSpec("y", (5,), "int32", 3)


def network(size: tuple[int, ...], read: str, entries: int, params: str = "") -> str:
    """Return a network on images, of whose reading the text ends in ``h``, of so many entries a sample."""
    return f"""
input x: f32[batch, {", ".join(map(str, size))}]
target y: class[batch, 3]
{params}
{read}
param v: f32[{entries}, 3] = he_normal
z = reshape(h, (batch, {entries})) @ v
output z
require cross_entropy(z, y)
"""


WEIGHT = "param w: f32[2, 2, 3, 5] = he_normal"
CONV = "relu(conv2d({}, w, padding = VALID))"
NETWORKS: list[tuple[str, tuple[int, ...], int, str, int | None]] = [
    (f"h = {CONV.format('x')}", (3, 3, 3), 20, WEIGHT, 3),
    (f"h = {CONV.format('transpose(x, (0, 2, 3, 1))')}", (3, 3, 3), 20, WEIGHT, 1),
    (f"h = {CONV.format('transpose(x - 1 / 2, (0, 2, 3, 1))')}", (3, 3, 3), 20, WEIGHT, 1),
    (f"a = relu(2 * x)\nh = {CONV.format('a[:, 1:, :]')}", (4, 3, 3), 20, WEIGHT, 3),
    ("h = max_pool(x, (2, 2))", (4, 6, 2), 12, "", 3),
    ("h = avg_pool(transpose(x, (0, 2, 3, 1)), (2, 2))", (2, 4, 6), 12, "", 1),
    ("h = max_pool(reshape(transpose(x, (0, 2, 1)), (batch, 1, 6, 2)), (1, 2))", (2, 6), 6, "", 1),
    ("h = max_pool(reshape(x, (batch, 1, 6, 2)), (1, 2))", (6, 2), 6, "", 2),
    ("h = relu(x)", (3, 3, 3), 27, "", None),
    ("h = max_pool(transpose(x, (0, 3, 1, 2)), (2, 2))", (4, 6, 2), 12, "", None),
    ("h = max_pool(x, (2, 2)) + max_pool(transpose(x, (0, 3, 2, 1)), (2, 2))", (4, 4, 4), 16, "", None),
    (f"h = {CONV.format('reshape(x, (batch, 3, 3, 3))')}", (27,), 20, WEIGHT, None),
]


@pytest.mark.parametrize(
    ("read", "size", "entries", "params", "channels"), some_quick(NETWORKS, several=True)
)
def test_windows_tell_where_channels_are(
    tmp_path: Path, read: str, size: tuple[int, ...], entries: int, params: str, channels: int | None
) -> None:
    program = pjc.compile(network(size, read, entries, params), batch=5)
    assert program.inputs[0].channels == channels
    program.save(tmp_path / "a.pjx")
    assert pjc.load(tmp_path / "a.pjx").inputs[0].channels == channels


IMAGES: Any = np.random.default_rng(0).integers(0, 256, (10, 3, 3, 3)).astype(np.float32)
CUBES = [(3, 3, 3), (4, 4, 4), (2, 2)]
"""Shapes that do not tell which axis is which."""


@pytest.mark.parametrize("size", CUBES)
@pytest.mark.parametrize("flat", [False, True])
def test_what_the_data_say_counts(size: tuple[int, ...], flat: bool) -> None:
    x = np.arange(5 * np.prod(size), dtype=np.float32).reshape(5, *size)
    given = x.reshape(5, -1) if flat else x
    data = from_arrays(given, np.zeros(5, int), "a")
    last, first = (TensorSpec("x", (5, *size), "float32", channels=at) for at in (len(size), 1))
    wanted = [
        (None, first, x),
        (None, last, x),
        (FIRST, first, x),
        (LAST, last, x),
        (LAST, first, np.moveaxis(x, -1, 1)),
        (FIRST, last, np.moveaxis(x, 1, -1)),
    ]
    for layout, spec, expected in wanted:
        for each in (data, Dataset(mapped(given), data.y, 1, "a")):
            fitted = fit(replace(each, layout=layout), spec, LABEL)
            np.testing.assert_array_equal(fitted.x[:], expected)
            np.testing.assert_array_equal(fit(fitted, spec, LABEL).x[:], expected)


@pytest.mark.parametrize(
    ("found", "size", "channels", "layout"),
    [
        ((4, 6, 3), (3, 4, 6), 1, FIRST),
        ((3, 4, 6), (3, 4, 6), 1, LAST),
        ((4, 6, 3), (4, 6, 3), 3, FIRST),
        ((6, 12), (3, 4, 6), 1, LAST),
        ((6, 3, 4), (3, 4, 6), 1, None),
        ((3, 4, 6), (6, 3, 4), 3, None),
        ((6, 4, 3), (3, 4, 6), None, None),
    ],
)
def test_samples_that_are_not_as_said(
    found: tuple[int, ...], size: tuple[int, ...], channels: int | None, layout: str | None
) -> None:
    data = replace(from_arrays(np.zeros((5, *found)), np.zeros(5, int), "a"), layout=layout)
    with pytest.raises(DataError, match="in another order; transpose"):
        fit(data, TensorSpec("x", (5, *size), "float32", channels=channels), LABEL)


def saved(folder: Path, name: str, x: Any) -> str:
    path = folder / name
    np.savez(path, x=x, y=np.arange(len(x)) % 3)
    return str(path)


def trained(folder: Path, model: Path, *options: str) -> dict[str, Any]:
    """Return the parameters that a run of two epochs leaves, as lists."""
    given = ["--epochs", "2", "--batch", "2", "--split", "0.8,0.2,0", "--force"]
    assert main(["train", str(model), *given, "-o", str(folder / "run"), *options]) == 0
    found = read_parameters(folder / "run.params.safetensors")
    return {name: value.tolist() for name, value in found.items()}


@pytest.mark.parametrize("first", some_quick([False, True], first=1))
def test_training_on_either_layout_is_the_same(tmp_path: Path, first: bool) -> None:
    read, size, entries, params, _ = NETWORKS[1 if first else 0]
    model = tmp_path / "cube.pjn"
    model.write_text(network(size, read, entries, params))
    one = saved(tmp_path, "first.npz", IMAGES)
    two = saved(tmp_path, "last.npz", IMAGES.transpose(0, 2, 3, 1))
    assert IMAGES[0].tolist() != IMAGES[0].transpose(1, 2, 0).tolist()
    plain = trained(tmp_path, model, "--data", one if first else two)
    assert trained(tmp_path, model, "--data", one, "--layout", FIRST) == plain
    assert trained(tmp_path, model, "--data", two, "--layout", LAST) == plain
    assert trained(tmp_path, model, "--data", two, "--layout", FIRST) != plain


@pytest.mark.parametrize("read", [NETWORKS[8], NETWORKS[9], NETWORKS[11]])
def test_a_layout_is_refused_where_the_network_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], read: Any
) -> None:
    text, size, entries, params, _ = read
    model = tmp_path / "plain.pjn"
    model.write_text(network(size, text, entries, params))
    data = saved(tmp_path, "a.npz", np.zeros((10, *size)))
    arguments = ["train", str(model), "--data", data, "--layout", LAST, "-o", str(tmp_path / "run")]
    assert main(arguments) == 1
    assert "no convolution or pool reads 'x' as images" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(3, 3), (3, 1), (1, 3)])
@pytest.mark.parametrize("resize", [False, True])
def test_images_of_any_shape_go_where_the_network_has_channels(
    tmp_path: Path, shape: tuple[int, int], resize: bool
) -> None:
    """Their own sizes and numbers of channels are alike."""
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    given = np.kron(pixels, np.ones((2, 2, 1), np.uint8)) if resize else pixels
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(given).save(tmp_path / name / "1.png")
    request = Request(f"images:{tmp_path}", test=0, validation=0, resize=resize)
    for channels, size in ((1, (3, *shape)), (3, (*shape, 3))):
        spec = TensorSpec("x", (2, *size), "float32", channels=channels)
        found = prepare(request, spec, TensorSpec("y", (2,), "int32", 2)).train.x[:][0]
        last = found if channels == 3 else np.moveaxis(found, 0, -1)
        assert last.shape == (*shape, 3)
        if not resize:
            np.testing.assert_allclose(last, pixels / 255, rtol=1e-6)
        elif shape == (3, 3):  # the middle of a pixel that was doubled is far from others
            np.testing.assert_allclose(last[1, 1], pixels[1, 1] / 255, atol=0.35)
