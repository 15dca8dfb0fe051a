"""The examples, each by the command that stands in its first line."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest

from pjc.cli import main

EXAMPLES = Path(__file__).parent.parent / "examples"

ACCURACY = {"attention_digits": 94.0, "mlp_residual_digits": 95.0, "binary_csv": 95.0}
"""The least test accuracy, in percent, that an example's command must reach."""


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
@pytest.mark.parametrize("name", ACCURACY)
def test_an_example_learns(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = EXAMPLES / f"{name}.pjn"
    command = path.read_text().splitlines()[0].removeprefix("# pjc ")
    words = [str(path) if word == f"examples/{name}.pjn" else word for word in shlex.split(command)]
    assert words[0] == "train" and str(path) in words
    monkeypatch.chdir(tmp_path)
    if "cancer.csv" in words:
        write_cancer_csv(tmp_path / "cancer.csv")
    assert main(words) == 0
    (found,) = re.findall(r"test accuracy: ([\d.]+)%", capsys.readouterr().out)
    assert float(found) >= ACCURACY[name]
