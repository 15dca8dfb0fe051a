"""The benchmark of exact networks: its tables of rows, what it certifies, and what it tells."""

from __future__ import annotations

import itertools
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pjc.runtime.outer_settings import EVERY

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))
exact, accuracy = map(import_module, ("exact", "accuracy"))


def test_the_table_of_products_is_that_of_the_example() -> None:
    x, y = exact.products(2)
    filed_x, filed_y = exact.table_of("multiplication", 4)
    rows = {tuple(row) for row in np.concatenate([x, y], axis=1)}
    assert rows == {tuple(row) for row in np.concatenate([filed_x, filed_y], axis=1)} and len(rows) == 16
    x, y = exact.products(3)
    for bits, told in zip(x > 0, y, strict=True):
        a, b = (sum(int(bit) << at for at, bit in enumerate(each)) for each in (bits[:3], bits[3:]))
        assert a * b == sum(int(bit) << at for at, bit in enumerate(told))


def test_every_word_of_seven_bits_is_decoded_to_the_nearest_of_a_code() -> None:
    x, y = exact.table_of("hamming", 7)
    words = (x > 0).astype(int)
    assert len({tuple(word) for word in words}) == 2**7
    codes = {tuple(data): words[(y == data).all(axis=1)] for data in itertools.product((0, 1), repeat=4)}
    for near in codes.values():
        # The eight words of a code word and its errors: it alone is one bit from all the others.
        apart = (near[:, None] != near[None]).sum(-1)
        assert len(near) == 8 and sorted(apart.max(1)) == [1, *[2] * 7]


def test_parity_is_odd() -> None:
    x, y = exact.table_of("parity", 4)
    assert len({tuple(row) for row in x}) == 16
    np.testing.assert_array_equal((x > 0).sum(axis=1) % 2, y[:, 0])


def test_no_change_of_a_certified_norm_is_told_otherwise() -> None:
    random = np.random.default_rng(0)
    w, v = random.normal(size=(5, 8)), random.normal(size=(8, 3))

    def apply(params: Any, x: Any) -> Any:
        return np.maximum(np.asarray(x) @ params["w"], 0) @ params["v"]

    params = {"w": w, "v": v}
    x = 20 * random.normal(size=(60, 5))
    y = np.argmax(apply(params, x), axis=1)
    y[:10] = (y[:10] + 1) % 3  # told wrong, so never certified
    found = exact.certified(SimpleNamespace(apply=apply), params, SimpleNamespace(x=x, y=y))
    parts = [found[f"certified {radius:g}"] for radius in exact.RADII]
    assert 50 / 60 >= parts[0] >= parts[1] >= parts[2] > 0
    # Of steps of that norm in many directions none changes more samples than are not certified.
    for radius, part in zip(exact.RADII, parts, strict=True):
        kept = np.ones(60, bool)
        for _ in range(300):
            step = random.normal(size=x.shape)
            step *= radius / np.linalg.norm(step, axis=1, keepdims=True)
            kept &= np.argmax(apply(params, x + step), axis=1) == y
        assert kept.mean() >= part


def test_the_parameters_of_the_best_epoch_are_kept_where_the_command_asks_for_them() -> None:
    last, best = exact.Kept(False, "accuracy"), exact.Kept(True, "accuracy")
    rows: tuple[Any, ...] = ()
    for at, validation in enumerate((0.5, 0.9, 0.9, 0.7)):
        rows += (SimpleNamespace(epoch=at + 1, validation=validation),)
        for each in (last, best):
            each.epoch(SimpleNamespace(history=rows, params={"w": np.full(2, at)}))
    assert last.params["w"].tolist() == [3, 3] and best.params["w"].tolist() == [1, 1]


def test_rates_of_single_parameters_move_with_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "examples" / "two_bits_digits.pjn"
    subject = accuracy.Subject(accuracy.Comparison("two_bits_digits", path), None)
    asked: list[Any] = []
    monkeypatch.setattr(accuracy.Asked, "compilation", lambda self, options: asked.append(options.rate))
    monkeypatch.setattr(accuracy, "program_of", lambda compilation: None)
    subject.program("adam", 3e-3)
    np.testing.assert_allclose([asked[0][EVERY], asked[0]["*weight"]], [3e-3, 6e-2])


def test_the_rival_is_taken_at_its_best_rate_and_what_was_solved_is_told(tmp_path: Path) -> None:
    task = exact.TASKS["parity"]
    store = accuracy.Store()
    keys = [key for key, _ in task.runs([0], tmp_path)]
    for at, key in enumerate(keys):
        run = {"seed": 0, "score": float(at == 0), "right": 0.5 + at / 10, "iterations": 64, "seconds": 2.0}
        store.runs[key] = run if at == 0 else {**run, "rate": 10.0**-at, "validated": 0.5 + at / 10}
    ours, other = exact.sides(task, store, keys)
    assert ours.told(task) == "1 of 1 seeds; 64 iterations, 2.0 s"
    assert other.told(task) == "0 of 1 seeds, 80.0% of the bits at best; 64 iterations, 2.0 s"
    exact.plot({"parity": (ours, other)}, tmp_path / "drawn.png")
    assert "| `parity` | 1 of 1 seeds" in exact.table({"parity": (ours, other)})
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")
