"""Rows made when asked for: mapped files, windows of a text, and what is measured on them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from pjc.runtime.data import (
    DataError,
    Dataset,
    Normalize,
    Rows,
    Text,
    Vocabulary,
    fit,
    load,
    load_text,
    rows,
    split,
    windows,
)
from pjc.runtime.data.prepare import Request, prepare, split_fractions
from pjc.runtime.evaluate import evaluate
from pjc.runtime.train import Run, train


@dataclass(frozen=True)
class Wanted:
    """A TensorSpec, as far as data is concerned."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    classes: int | None = None
    threshold: float | None = None
    channels: int | None = None


def refused(pattern: str) -> Any:
    """Expect a DataError whose text has ``pattern``."""
    return pytest.raises(DataError, match=pattern)


# --- mapped arrays --------------------------------------------------------------------------------


def save_npy(folder: Path, x: Any, y: Any) -> str:
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    return f"npy:{folder}"


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, np.float32, np.float64, ">f4", ">i8"])
def test_npy_gives_what_npz_gives(tmp_path: Path, dtype: Any) -> None:
    x = np.arange(24).reshape(6, 2, 2).astype(dtype)
    y = np.array([0, 2, 1, 0, 1, 2])
    found = load(save_npy(tmp_path, x, y))
    np.savez(tmp_path / "a.npz", x=x, y=y)
    wanted = load(str(tmp_path / "a.npz"))
    assert isinstance(found.x, Rows) and found.classes == 3
    for specs in ((Wanted("x", (3, 4)), Wanted("y", (3,), classes=3)),):
        ours, theirs = fit(found, *specs), fit(wanted, *specs)
        np.testing.assert_array_equal(ours.x[:], theirs.x)
        np.testing.assert_array_equal(ours.y, theirs.y)
        assert ours.x.dtype == ours.x[:].dtype == theirs.x.dtype and ours.x.shape == theirs.x.shape
    pair = load(f"npy:{tmp_path / 'x.npy'},{tmp_path / 'y.npy'}")
    np.testing.assert_array_equal(pair.x[np.array([5, 0])], wanted.x[[5, 0]])
    kept, part = (each.x[:] for each in split(found, 0.5, "test"))
    assert sorted(np.concatenate([kept, part]).ravel()) == sorted(wanted.x.ravel())


def test_npy_never_reads_the_samples_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitting, splitting, normalizing, training and scoring make at most a block of rows at once."""
    monkeypatch.setattr(rows, "_BLOCK", 64)
    x = np.random.default_rng(0).normal(size=(512, 4))
    folder = save_npy(tmp_path, x, (x[:, 0] > 0).astype(int))
    made: list[int] = []
    original = Rows.__getitem__

    def counted(self: Rows, wanted: Any) -> Any:
        made.append(len(original(self, wanted)))
        return original(self, wanted)

    monkeypatch.setattr(Rows, "__getitem__", counted)
    program = Perceptron()
    request = Request(folder, normalize="standard")
    parts = prepare(request, program.inputs[0], program.targets[0])
    result = train(program, parts.train, Run(epochs=3, validation=parts.validation))
    assert parts.test is not None and evaluate(program, result.params, parts.test) > 0.8
    assert max(made) == 16


def test_mapped_training_equals_training_from_memory(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (300, 4), np.uint8)
    y = (x[:, 1] > 99).astype(int)
    folder = save_npy(tmp_path, x, y)
    np.savez(tmp_path / "a.npz", x=x, y=y)
    program, results = Perceptron(), []
    for source in (folder, str(tmp_path / "a.npz")):
        parts = prepare(Request(source, normalize="unit"), program.inputs[0], program.targets[0])
        results.append(train(program, parts.train, Run(epochs=2, validation=parts.validation)))
    np.testing.assert_array_equal(results[0].params["w"], results[1].params["w"])
    assert [row.validation for row in results[0].history] == [row.validation for row in results[1].history]


@dataclass(frozen=True)
class Perceptron:
    """Two classes from four numbers, by the perceptron's rule."""

    batch: int | None = 16
    inputs: tuple[Wanted, ...] = (Wanted("x", (16, 4)),)
    targets: tuple[Wanted, ...] = (Wanted("y", (16,), "int32", 2),)
    outputs: tuple[Wanted, ...] = (Wanted("z", (16, 2)),)
    sweeps = False
    frozen = ()

    def init(self, key: Any) -> dict[str, Any]:
        return {"w": jnp.zeros((4, 2))}

    def apply(self, params: Any, x: Any) -> Any:
        return x @ params["w"]

    def finish(self, params: Any) -> Any:
        return params

    stacked = separate = finish

    def update(self, params: Any, x: Any, y: Any, iterations: int | None = None, finish: bool = True) -> Any:
        error = jnp.eye(2)[y] - jnp.eye(2)[self.apply(params, x).argmax(-1)]
        return {"w": params["w"] + x.T @ error / len(x)}, {"gap": jnp.abs(error).mean()}


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((3, 2)), np.zeros(4, int), "holds 3 samples, but .* 4 targets"),
        (np.zeros((0, 2)), np.zeros(0, int), "holds no samples"),
        (np.float32(1), np.zeros(1, int), "holds a single number"),
        (np.array([[1.0], [np.inf]]), np.zeros(2, int), "hold inf in sample 1"),
        (np.zeros((2, 1)), np.array([0, -1]), "has the label -1"),
        (np.zeros((2, 1), complex), np.zeros(2, int), "type complex128"),
        (np.array([[{}]]), np.zeros(1, int), r"x\.npy holds Python objects"),
    ],
)
def test_npy_with_wrong_arrays(tmp_path: Path, x: Any, y: Any, message: str) -> None:
    with refused(message):
        load(save_npy(tmp_path, x, y))


def test_npy_cut_off_or_altered(tmp_path: Path) -> None:
    folder = save_npy(tmp_path, np.zeros((4, 3)), np.zeros(4, int))
    whole = (tmp_path / "x.npy").read_bytes()
    for content in [whole[:kept] for kept in range(0, len(whole), 7)] + [whole + b"\0"]:
        (tmp_path / "x.npy").write_bytes(content)
        with refused(r"is empty|not a whole \.npy file|is damaged"):
            load(folder)
    (tmp_path / "x.npy").write_bytes(whole.replace(b"(4, 3)", b"(4,99999999)"))
    with refused("is damaged|not a whole"):
        load(folder)
    (tmp_path / "x.npy").unlink()
    with refused(r"there is no file .*x\.npy"):
        load(folder)
    with refused("expected npy:X.npy,Y.npy, or a folder"):
        load("npy:x.npy")


def test_mapped_integers_for_an_input_of_integers(tmp_path: Path) -> None:
    found = load(save_npy(tmp_path, np.array([[0, 3], [1, 2]]), np.zeros(2, int)))
    target = Wanted("y", (1,), classes=1)
    assert fit(found, Wanted("tokens", (1, 2), "int32", 4), target).x[:].tolist() == [[0, 3], [1, 2]]
    with refused("run from 0 to 3, but 'tokens' takes the numbers of rows from 0 to 2"):
        fit(found, Wanted("tokens", (1, 2), "int32", 3), target)


# --- normalization --------------------------------------------------------------------------------


def test_normalize_measures_the_training_part_only() -> None:
    here = Dataset(np.array([[1.0, 5], [3, 5]]), np.zeros(2, int), 1, "train")
    other = Dataset(np.array([[5.0, 6]]), np.zeros(1, int), 1, "test")
    standard, unit = (Normalize.measure(here, kind) for kind in ("standard", "unit"))
    assert standard(here).x[:].tolist() == [[-1, 0], [1, 0]] and standard(other).x[:].tolist() == [[3, 1]]
    assert unit(here).x[:].tolist() == [[0, 0], [1, 0]] and unit(other).x[:].tolist() == [[2, 1]]
    assert json.loads(unit.notes()["shift"]) == [1, 5] and json.loads(unit.notes()["scale"]) == [2, 1]
    with refused(r"shape \[3\], in training it was \[2\]"):
        unit(Dataset(np.zeros((1, 3)), np.zeros(1, int), 1, "wide"))
    with refused("are tokens, which cannot be normalized"):
        Normalize.measure(Dataset(np.zeros((1, 3), int), np.zeros(1, int), 1, "text"), "unit")


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_moments_in_blocks_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch, offset: float) -> None:
    monkeypatch.setattr(rows, "_BLOCK", 21)
    x = offset + np.random.default_rng(0).normal(size=(101, 3)) * [1, 10, 0]
    found = Normalize.measure(Dataset(x, np.zeros(101, int), 1, "x"), "standard")
    np.testing.assert_allclose(found.shift, x.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.scale[:2], x.std(0)[:2], rtol=1e-9)
    assert found.scale[2] == 1


# --- text -----------------------------------------------------------------------------------------

T, V = 4, 5
HOT = Wanted("x", (2, T, V))
TOKENS = Wanted("tokens", (2, T), "int32")
EACH = Wanted("y", (2, T), "int32", V)
LAST = Wanted("y", (2,), "int32", V)


def of(text: str) -> Text:
    return Text(np.array([ord(each) for each in text], np.uint32), "text")


def test_windows_by_hand() -> None:
    text = of("abcdabcdab")
    vocabulary = Vocabulary.measure(text, [], V)
    assert vocabulary.codes.tolist() == [97, 98, 99, 100] and vocabulary.unknown
    data = windows(text, vocabulary, TOKENS, EACH)
    assert data.x[:].tolist() == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert data.y[:].tolist() == [[1, 2, 3, 0], [1, 2, 3, 0]]
    last = windows(text, vocabulary, TOKENS, LAST)
    assert last.x[:].tolist() == [
        [0, 1, 2, 3],
        [1, 2, 3, 0],
        [2, 3, 0, 1],
        [3, 0, 1, 2],
        [0, 1, 2, 3],
        [1, 2, 3, 0],
    ]
    assert last.y[:].tolist() == [0, 1, 2, 3, 0, 1]
    assert windows(text, vocabulary, TOKENS, LAST, 3).y[:].tolist() == [0, 3]
    hot = windows(text, vocabulary, HOT, EACH)
    assert hot.x[:].dtype == np.float32 and hot.x[:].argmax(-1).tolist() == data.x[:].tolist()
    assert hot.x[:].sum(-1).tolist() == [[1] * T] * 2
    # The loop fits again what it is given, which must change nothing.
    again = fit(hot, HOT, EACH)
    np.testing.assert_array_equal(again.x[:], hot.x[:])
    assert again.y[np.array([1])].tolist() == [[1, 2, 3, 0]]


def test_vocabulary_is_that_of_the_training_part() -> None:
    train_part, other = of("abca"), of("abz")
    vocabulary = Vocabulary.measure(train_part, [other], 4)
    assert vocabulary.encode(other).tolist() == [0, 1, 3]
    assert vocabulary.encode(of("A~b")).tolist() == [3, 3, 1]
    assert json.loads(vocabulary.notes()["vocabulary"]) == ["a", "b", "c"]
    assert not Vocabulary.measure(train_part, [], 3).unknown
    for text, strange in {"abc": "", "azbz": "z", "\U0001f600Aa": "A\U0001f600"}.items():
        assert Vocabulary.measure(of("abc"), [], 4).strange(of(text)) == strange
    with refused(r"3 different characters to train on, .* has 2 classes; compile with -D vocabulary=3"):
        Vocabulary.measure(train_part, [], 2)
    with refused("1 characters that do not occur .* 'z'; compile with -D vocabulary=4"):
        Vocabulary.measure(train_part, [other], 3)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Wanted("x", (2, T)), EACH),
        (Wanted("x", (2, T, V), "int32"), EACH),
        (HOT, Wanted("y", (2, T + 1), "int32", V)),
        (HOT, Wanted("y", (2, T))),
        (HOT, Wanted("y", (2, T), "int32", V + 1)),
    ],
)
def test_networks_that_take_no_text(source: Wanted, target: Wanted) -> None:
    with refused("a text needs an input|needs the same number for both"):
        windows(of("abcdabcdab"), Vocabulary.measure(of("ab"), [], 9), source, target)


def test_text_is_split_in_pieces_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("ab" * 50 + "ba" * 10, encoding="utf-8-sig")
    test, validation = split_fractions(0.5, 0.25, 0.25)
    request = Request(f"text:{path}", test=test, validation=validation)
    parts = prepare(request, TOKENS, EACH)
    assert parts.validation and parts.test and json.loads(parts.notes["vocabulary"]) == ["a", "b"]
    assert [len(parts.train), len(parts.validation), len(parts.test)] == [14, 7, 7]
    assert parts.test.x[:].tolist()[-1] == [1, 0, 1, 0] and parts.test.name == f"{path} (test)"
    apart = prepare(replace(request, test_data=f"text:{path}", stride=1), TOKENS, LAST)
    assert apart.test and len(apart.test) == 120 - T
    for wrong, message in [
        (replace(request, normalize="unit"), "--normalize does not apply to a text"),
        (replace(request, target="t"), "--target does not apply"),
        (replace(request, test_data="digits"), "'digits', but the data is a text"),
        (replace(request, test=0.98, validation=0), "fewer than the 4 of a window"),
        (replace(request, validation=0.001), "too few to set 0.001 of them aside for validation"),
    ]:
        with refused(message):
            prepare(wrong, TOKENS, EACH)


def test_text_that_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"ab\ncd\xff")
    with refused(r"a\.txt:2: not UTF-8 text \(byte 5\)"):
        load_text(path)
    path.write_bytes(b"")
    with refused("is empty"):
        load_text(path)
    path.write_bytes(b"\xef\xbb\xbf")
    with refused("holds no characters"):
        load_text(path)
    monkeypatch.setattr("pjc.runtime.data.text._MAX_TEXT", 2)
    path.write_text("abc")
    with refused("is larger than"):
        load_text(path)


def test_checksum_tells_texts_apart() -> None:
    first, second = of("abcd" * 50), of("abcd" * 49 + "abca")
    vocabulary = Vocabulary.measure(first, [], V)
    sums = [windows(text, vocabulary, TOKENS, LAST).checksum() for text in (first, first, second)]
    assert sums[0] == sums[1] != sums[2]


MODEL = """
const vocabulary = 4
input {input}
target y: class[batch, {target}vocabulary]
param weight: f32[{width}, 4] = normal(0.1)
logits = {logits}
output logits
require cross_entropy(logits, y)
"""


@pytest.mark.parametrize(
    ("given", "target", "width", "logits"),
    [
        ("x: f32[batch, 3, vocabulary]", "3, ", "vocabulary", "x @ weight"),
        ("tokens: int[batch, 3]", "", "12", "reshape(embed, (batch, 12)) @ weight"),
    ],
)
def test_compiled_network_learns_a_text(
    tmp_path: Path, given: str, target: str, width: str, logits: str
) -> None:
    """In "abcdabcd..." each character follows from the one before, so that all are predicted."""
    import pjc

    text, model = tmp_path / "a.txt", tmp_path / "a.pjn"
    text.write_text("abcd" * 200)
    source = MODEL.format(input=given, target=target, width=width, logits=logits)
    if "embed" in logits:
        table = "param table: f32[vocabulary, 4] = normal(1)\nembed = gather(table, tokens)\nparam weight"
        source = source.replace("param weight", table)
    model.write_text(source)
    program = pjc.compile(model, batch=16, solver="dr", iterations=20)
    parts = prepare(Request(f"text:{text}"), program.inputs[0], program.targets[0])
    result = train(program, parts.train, Run(epochs=6, validation=parts.validation))
    assert parts.test is not None and evaluate(program, result.params, parts.test) == 1
    assert result.history[-1].validation == 1
