"""What is said of data before training starts: of what is unusual, and of nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pjc.commands.shared import console_of_stdout
from pjc.commands.training.view import LARGE, say_reading
from pjc.runtime.data import Dataset
from pjc.runtime.data.hints import hints, target_hint
from pjc.runtime.data.tables import encoded, feature_names

DRAWN = np.random.default_rng(0)


def images(low: float, high: float, *shape: int) -> Dataset:
    x = DRAWN.uniform(low, high, size=(50, *shape))
    x.flat[:2] = low, high
    return Dataset(x, np.arange(50) % 3, 3, "images")


@pytest.mark.parametrize("shape", [(28, 28), (784,), (3, 8, 8)])
@pytest.mark.parametrize("high", [254, 255, 200])
def test_pixels_of_bytes(shape: tuple[int, ...], high: int) -> None:
    (said,) = hints(images(0, high, *shape), "none")
    assert f"run from 0 to {high}, as pixels do; --normalize unit brings them to 0..1" in said
    assert hints(images(0, high, *shape), "unit") == []


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 16), (-200, 200), (0, 1000)])
def test_samples_that_are_no_pixels(low: float, high: float) -> None:
    assert hints(images(low, high, 64), "none") == []
    assert hints(images(0, 255, 4), "none") == []


@pytest.mark.parametrize(("at", "value"), [([1], 0.0), ([0, 2], 5.0), ([2], -1e9)])
def test_constant_columns(at: list[int], value: float) -> None:
    x = DRAWN.normal(size=(20, 3))
    x[:, at] = value
    names = ", ".join(repr("abc"[each]) for each in at)
    data = Dataset(x, np.arange(20) % 2, 2, "table", columns=("a", "b", "c"))
    for normalize in ("unit", "standard"):
        (said,) = hints(data, normalize)
        assert said.startswith(f"the same in every sample to train on: {names}; leave such columns out")
    x[3, at] += 1 + abs(value)
    assert hints(Dataset(x, np.arange(20) % 2, 2, "table", columns=("a", "b", "c")), "unit") == []


@pytest.mark.parametrize(("codes", "said"), [([0, 0, 0], True), ([0, 1, 0], False), ([2, 0, 1], False)])
@pytest.mark.parametrize("dense", [0, 1 << 20])
def test_a_category_that_does_not_occur_is_no_constant_column(
    monkeypatch: pytest.MonkeyPatch, codes: list[int], said: bool, dense: int
) -> None:
    monkeypatch.setattr("pjc.runtime.data.tables._DENSE", dense)
    levels = {"color": ("blue", "green", "red")}
    x = np.stack([np.array(codes, float), np.arange(3.0)], axis=1)
    columns = feature_names(["color", "size"], levels)
    made = encoded(x, ["color", "size"], levels)
    data = Dataset(made, np.arange(3) % 2, 2, "table", columns=columns, levels=levels)
    found = hints(data, "unit")
    assert [each.split(";")[0] for each in found] == ["the same in every sample to train on: 'color'"] * said


@pytest.mark.parametrize("names", [(), ("cat", "dog", "owl")])
@pytest.mark.parametrize("label", [0, 2])
def test_one_class(names: tuple[str, ...], label: int) -> None:
    data = Dataset(DRAWN.normal(size=(9, 4)), np.full(9, label), 3, "pets", names)
    (said,) = hints(data, "none")
    assert f"are of class {repr(names[label]) if names else label}, so there is nothing to learn" in said


@pytest.mark.parametrize(
    ("scale", "offset", "said"),
    [
        (1, 0, None),
        (3, 1000, None),
        (0.2, 0, None),
        (1000, 0, "vary by"),
        (1e-4, 5, "vary by"),
        (0, 7, "are 7, so there is nothing to learn"),
    ],
)
def test_targets_far_from_one(scale: float, offset: float, said: str | None) -> None:
    y = scale * DRAWN.normal(size=(200, 2)) + offset
    y[:, 1] = y[:, 0] if scale == 0 else 0.5  # a column that does not vary counts for nothing
    data = Dataset(DRAWN.normal(size=(200, 4)), y, None, "numbers")
    for advice, told in (("do that", "; do that"), (None, "; divide them by ")):
        found: Any = target_hint(data, False, advice)
        assert (found is None) == (said is None)
        if said is not None:
            assert said in found and (told in found or scale == 0)
    assert (target_hint(data, True) is None) == (scale != 0)


def test_classes_have_no_spread() -> None:
    assert target_hint(images(0, 1, 64), False) is None


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as stream:
        stream.truncate(size)
    return path


def test_large_files_are_told_before_they_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, large = sparse(tmp_path / "s.csv", LARGE - 1), sparse(tmp_path / "l.csv", 2 * LARGE)
    for given, said in {
        (str(small), None): [],
        (str(small), f"keras:{large}"): [f"reading {large}, 100 MB"],
        (f"npy:{large},{large}", str(small)): [f"reading {large}, 100 MB"] * 2,
        ("digits", str(tmp_path / "none.csv")): [],
    }.items():
        say_reading(console_of_stdout(), *given)
        assert capsys.readouterr().out.splitlines() == said
