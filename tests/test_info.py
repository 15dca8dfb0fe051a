"""``pjc info``: what files hold, how they were made, how large they are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import Run, runner
from safetensors.numpy import load_file, save_file
from trained_files import CHARACTERS, KINDS, LABELS, NUMBERS, flowers, table


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def told(run: Run, *arguments: object) -> dict[str, Any]:
    """Return what is said as JSON, once it is known that it is said in words too."""
    code, out, err = run("info", *arguments)
    assert (code, err) == (0, "") and out
    code, out, err = run("info", *arguments, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_network(trained: dict[str, Any], run: Run, kind: str) -> None:
    files, _ = trained[kind]
    found = told(run, files.program)
    params = {name: each for name, each in load_file(files.params).items() if "/" not in name}
    assert found["what"] == "a compiled network" and found["bytes"] == files.program.stat().st_size
    assert {each["name"]: each["shape"] for each in found["parameters"]} == {
        name: list(each.shape) for name, each in params.items()
    }
    assert found["numbers"] == sum(each.size for each in params.values())
    assert found["parameter bytes"] == sum(each.nbytes for each in params.values())
    assert found["batch"] == 8 and "0.05" in json.dumps(found["options"]["rate"])
    assert "apply" in found["entry points"] and found["source"]["file"] == "net.pjn"
    units = found["targets"][0].get("scale")
    assert (units is not None) == (kind == "numbers")


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_say_how_they_were_made(trained: dict[str, Any], run: Run, kind: str) -> None:
    files, data = trained[kind]
    found = told(run, files.params)
    assert found["what"] == "parameters, from which training can go on"
    assert found["epochs"] == 8 and found["settings"]["seed"] == 0 and found["trained on"]["data"] == data
    rows = [
        line.split(",")
        for line in files.params.with_name("net.history.csv").read_text(encoding="utf-8").split()
    ]
    at = next(place for place, name in enumerate(rows[0]) if name.startswith("validation"))
    scores = [float(row[at]) for row in rows[1:]]
    best = (min if kind == "numbers" else max)(scores)
    assert found["best validation"] == {"score": best, "epoch": scores.index(best) + 1}
    assert found["last validation"] == {"score": scores[-1], "epoch": 8}
    assert found.get("class names") == (["aster", "lily", "rose"] if kind == "classes" else None)
    assert found.get("vocabulary") == (["\n", "a", "b", "c"] if kind == "characters" else None)
    assert found.get("normalize") == {"classes": "standard", "numbers": "unit"}.get(kind)
    assert ("units" in found) == (kind == "numbers")


@pytest.mark.parametrize("kind", KINDS)
def test_a_history(trained: dict[str, Any], run: Run, kind: str) -> None:
    files, _ = trained[kind]
    found = told(run, files.params.with_name("net.history.csv"))
    assert found["what"] == "the history of a run" and found["epochs"] == 8 and found["last"]["epoch"] == 8
    (name,) = found["best"]
    assert name == ("validation_rms_error" if kind == "numbers" else "validation_accuracy")


@pytest.mark.parametrize(
    ("metric", "scores", "best"),
    [
        ("accuracy", ["0.5", "0.75", "0.75"], (0.75, 2)),
        ("rms_error", ["3", "", "2"], (2.0, 3)),
        ("rms_error", ["1", "1.5", "nan"], (1.0, 1)),
    ],
)
def test_the_best_epoch_of_a_history(
    tmp_path: Path, run: Run, metric: str, scores: list[str], best: tuple[float, int]
) -> None:
    lines = [f"{epoch},1,{score}," for epoch, score in enumerate(scores, 1)]
    path = tmp_path / "own.csv"
    path.write_text("\n".join([f"epoch,seconds,validation_{metric},largest_t", *lines, ""]), encoding="utf-8")
    found = told(run, path)
    assert found["best"] == {f"validation_{metric}": dict(zip(("score", "epoch"), best, strict=True))}
    assert found["last"]["largest_t"] is None and found["epochs"] == 3


def test_a_history_of_no_epochs_yet(tmp_path: Path, run: Run) -> None:
    (tmp_path / "own.csv").write_text("epoch,seconds,demand,validation_accuracy\n", encoding="utf-8")
    found = told(run, tmp_path / "own.csv")
    assert (found["epochs"], found["last"], found["best"]) == (0, {}, {})


@pytest.mark.parametrize("text", [NUMBERS, LABELS, CHARACTERS])
def test_a_network(tmp_path: Path, run: Run, text: str) -> None:
    source = tmp_path / "own.pjn"
    source.write_text(text, encoding="utf-8")
    found = told(run, source, "--batch", 5)
    assert found["what"] == "a network (pjn)" and found["name"] == "own" and found["batch"] == 5
    assert found["numbers"] == sum(math.prod(each["shape"]) for each in found["parameters"]) > 0
    run(source, "--emit", "net", "-o", tmp_path / "own.mlir", "--batch", 5)
    again = told(run, tmp_path / "own.mlir")
    assert again["what"] == "a network (ir)" and again["parameters"] == found["parameters"]


def test_data_with_and_without_targets(tmp_path: Path, run: Run) -> None:
    data = flowers(tmp_path / "d.csv", 30)
    found = told(run, data, "--target", "kind")
    assert found["samples"] == 30 and found["classes"] == {"aster": 10, "lily": 10, "rose": 10}
    assert found["columns"] == ["a", "b", "c"]
    numbers = told(run, table(tmp_path / "n.csv", ["p", "q"], [[1, 2.5], [3, 4.5]]), "--target", "q")
    assert (numbers["lowest"], numbers["highest"], numbers["mean"]) == (2.5, 4.5, 3.5)
    np.savez(tmp_path / "x.npz", x=np.zeros((7, 2, 3), np.float32))
    alone = told(run, tmp_path / "x.npz")
    assert alone["sample"] == {"shape": [2, 3], "dtype": "float32"} and alone["bytes"] == 7 * 6 * 4
    assert alone["targets"] == "none" and told(run, "digits")["samples"] == 1797
    (tmp_path / "t.txt").write_text("hello\n", encoding="utf-8")
    text = told(run, f"text:{tmp_path / 't.txt'}")
    assert text["characters"] == 6 and text["vocabulary"] == ["\n", "e", "h", "l", "o"]


def test_parameters_of_others(tmp_path: Path, run: Run) -> None:
    save_file({"a": np.zeros((2, 3), np.float32)}, tmp_path / "a.safetensors")
    found = told(run, tmp_path / "a.safetensors")
    assert found["what"] == "parameters" and found["format"] == "not by pjc train" and found["numbers"] == 6


def test_nothing_is_executed(tmp_path: Path, run: Run) -> None:
    source = tmp_path / "model.py"
    source.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n", encoding="utf-8")
    for name in (source, f"{source}:net"):
        code, out, err = run("info", name)
        assert (code, out) == (1, "") and "would have to be run" in err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pjx", b"PK no", "is not a whole .pjx file"),
        ("a.safetensors", b"\xff" * 20, "is not a whole safetensors file"),
        ("a.pjn", b"input x: f33[2]\n", "error"),
        ("a.csv", b"epoch,seconds,demand\n1,2\n", "a.csv:2: expected 3 values, found 2"),
        ("b.csv", b"epoch,seconds,demand\n1,2,x\n", "b.csv:2: the column 'demand': expected a number"),
        ("d.csv", b"epoch,seconds,demand\n,2,3\n", "some of its rows have no epoch"),
        ("c.csv", b"\xff\xfe\n", "c.csv"),
        ("a.npz", b"PK", "is not a whole .npz file"),
        ("a.bin", b"nothing", "is no data that pjc reads"),
    ],
)
def test_wrong_files_get_a_sentence(
    tmp_path: Path, run: Run, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    code, out, err = run("info", tmp_path / name)
    assert (code, out) == (1, "") and message in err
    code, _, err = run("info", tmp_path / f"nowhere{name[-4:]}")
    assert code == 1 and "there is no file" in err


BITS = """\
input x: f32[batch, 20]
target y: class[batch, 5]
param w: f32[20, 16] = uniform(-1, 1)
param b: f32[16] = uniform(-1, 1)
param v: f32[16, 5] = uniform(-1, 1)
require w in levels(-1, 0, 1)
require v in scaled_levels((-1, 1), axis = 0)
q = quantize(x, bits = 4, scale = 0.1)
h = sign(q @ w + b)
for i in 0..3 {
  param u: f32[16, 16] = uniform(-1, 1)
  h = sign(h @ u)
}
output z = relu(h) @ v
require cross_entropy(z, y)
"""


def test_bits_and_products_are_counted(tmp_path: Path, run: Run) -> None:
    (tmp_path / "net.pjn").write_text(BITS)
    found = told(run, tmp_path / "net.pjn", "--batch", "8")
    layers = [(each["products"], each["bits"]) for each in found["products of a sample"].values()]
    # relu makes 0 and 1 of the signs, of which no less is known than that they are whole numbers up to 1.
    assert layers == [(20 * 16, [4, 2]), (3 * 16 * 16, [1, 32]), (16 * 5, [2, 1])]
    assert found["products of a sample by bits"] == {
        "4 x 2 bits": 320, "1 x 32 bits": 768, "2 x 1 bits": 80
    }  # fmt: skip
    assert found["bit operations of a sample"] == 320 * 8 + 768 * 32 + 80 * 2
    assert found["parameter bits"] == {
        "w": 320 * 2, "b": 16 * 32, "u": 768 * 32, "v": 80 + 5 * 32
    }  # fmt: skip
    assert found["bytes of packed parameters"] == (320 * 2 + 784 * 32 + 80 + 5 * 32) // 8
    save_file({"w": np.array([[0, 1.0], [2, 0]], np.float32)}, tmp_path / "own.safetensors")
    assert told(run, tmp_path / "own.safetensors")["nonzeros"] == 2
