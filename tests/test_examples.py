"""The examples: those in the language by the command in their first line, those in Python as scripts."""

from __future__ import annotations

import csv
import re
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from pjc.cli import main

EXAMPLES = Path(__file__).parent.parent / "examples"

DATA = EXAMPLES.parent.parent / "shared" / "data"
"""Real MNIST and a text, where they are at hand."""

ACCURACY = {
    "attention_digits": 95.0,
    "mlp_residual_digits": 95.0,
    "binary_csv": 95.0,
    "mnist_mlp": 90.0,
    "mnist_deep": 90.0,
    "mnist_deep_skip": 90.0,
    "char_rnn": 25.0,
    "sparse_digits": 94.0,
    "ternary_digits": 95.0,
    "cnn_digits": 95.0,
    "cnn_mnist": 92.0,
}
"""The least test accuracy, in percent, that an example's command must reach."""

SOLVED = ("multiplication", "parity")
"""The examples whose command is a search that has to arrive."""

PYTHON = {"flax_cnn": 0.96, "equinox_mlp": 0.96, "jax_rnn": 0.95, "quantized": 0.95}
"""The least test accuracy of the examples in Python."""

NEEDS = {"flax_cnn": "flax", "equinox_mlp": "equinox"}
"""The libraries that examples are written with."""

ERROR = {"nmf_digits": 0.15, "autoencoder_digits": 0.16, "winner_bits": 0.0}
"""The largest root mean square error."""

TERNARY = {"ternary_digits": ("w", "v")}
"""The parameters that must be exactly -1, 0 and 1."""

SHORTER = {
    "mnist_mlp": ["--epochs", "3"],
    "mnist_deep": ["--epochs", "2"],
    "mnist_deep_skip": ["--epochs", "2"],
    "cnn_mnist": ["--epochs", "2"],
    "char_rnn": ["--epochs", "1", "--stride", "96"],
}
"""What a test adds to a command that takes minutes."""


def write_cancer_csv(path: Path) -> None:
    """Write scikit-learn's breast cancer data as a CSV file with a header."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*data.feature_names, "diagnosis"])
        for features, label in zip(data.data, data.target, strict=True):
            rows.writerow([*features, data.target_names[label]])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ACCURACY, *ERROR])
def test_an_example_learns(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = EXAMPLES / f"{name}.pjn"
    command = path.read_text().splitlines()[0].removeprefix("# pjc ")
    words = [
        str(EXAMPLES.parent / word) if word.startswith("examples/") else word for word in shlex.split(command)
    ]
    assert words[0] == "train" and str(path) in words
    monkeypatch.chdir(tmp_path)
    if "cancer.csv" in words:
        write_cancer_csv(tmp_path / "cancer.csv")
    for source in re.findall(r"[\w.]+\.(?:npz|txt)", command):
        if not (DATA / source).exists():
            pytest.skip(f"{source} is not at hand")
        (tmp_path / source).symlink_to(DATA / source)
    assert main([*words, *SHORTER.get(name, [])]) == 0
    (found,) = re.findall(r"test (?:accuracy|rms error): ([\d.]+)", capsys.readouterr().out)
    assert float(found) >= ACCURACY[name] if name in ACCURACY else float(found) <= ERROR[name]
    written = load_file(tmp_path / f"{name}.params.safetensors")
    for parameter in TERNARY.get(name, ()):
        assert set(np.unique(written[parameter])) == {-1, 0, 1}


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVED)
def test_an_example_is_solved(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = (EXAMPLES / f"{name}.pjn").read_text().splitlines()[0].removeprefix("# pjc ")
    words = [
        str(EXAMPLES.parent / word) if word.startswith("examples/") else word for word in command.split()
    ]
    monkeypatch.chdir(tmp_path)
    assert words[0] == "solve" and main(words) == 0
    assert load_file(tmp_path / f"{name}.params.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("name", PYTHON)
def test_an_example_in_python_learns(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    assert runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]() >= PYTHON[name]
