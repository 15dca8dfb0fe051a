"""What is known of data stays known: numbers beyond float32, names of classes, units of estimators."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pjc
from pjc.callbacks import TrainingWarning
from pjc.cli import main
from pjc.diagnostics import DiagnosticError
from pjc.runtime.data.errors import DataError
from pjc.runtime.predicting import CLASSES, Predictions
from pjc.runtime.trainable import TrainError
from pjc.sklearn import ProjectionClassifier, ProjectionRegressor

pytestmark = pytest.mark.filterwarnings("ignore::pjc.callbacks.TrainingWarning")  # runs are short
SINCE_1970 = 1.7e9
"""Seconds, which float32 holds to 128."""
THIRDS = np.arange(90) % 3
SAMPLES = 3 * np.eye(3)[THIRDS] + np.random.default_rng(0).normal(0, 0.1, (90, 3))


def classes(features: int, count: int) -> str:
    return f"""
input x: f32[batch, {features}]
target y: class[batch, {count}]
param w: f32[{features}, {count}] = he_normal
param b: f32[{count}] = zeros
output z = x @ w + b
require cross_entropy(z, y)
"""


def numbers(features: int) -> str:
    return f"""
input x: f32[batch, {features}]
target y: f32[batch, 1]
param w: f32[{features}, 1] = he_normal
param b: f32[1] = zeros
output z = x @ w + b
require squared_error(z, y)
"""


def said(capsys: pytest.CaptureFixture[str], *arguments: Any, status: int = 0) -> str:
    assert main([str(each) for each in arguments]) == status
    return "".join(capsys.readouterr())


def write_table(path: Path, samples: np.ndarray, labels: Sequence[str]) -> None:
    rows = zip(samples, labels, strict=True)
    path.write_text("p,q,r,y\n" + "".join(f"{p:.4f},{q:.4f},{r:.4f},{label}\n" for (p, q, r), label in rows))


def test_features_are_normalized_before_they_are_rounded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.pjn").write_text(classes(1, 2))
    rows = (f"{SINCE_1970 + i:.0f},{'b' if i >= 30 else 'a'}\n" for i in range(60))
    Path("t.csv").write_text("time,y\n" + "".join(rows))
    asked = ("--data", "t.csv", "--target", "y", "--normalize", "standard")
    text = said(capsys, "train", "m.pjn", *asked, "--batch", 4, "--epochs", 40, "--rate", 0.1)
    assert "test accuracy: 100.0%" in text and "the same in every sample" not in text
    text = said(capsys, "evaluate", "m.pjn", "--params", "m.params.safetensors", *asked[:4], "--part", "all")
    assert "accuracy: 100.0%" in text


def test_estimators_tell_times_apart() -> None:
    x = SINCE_1970 + np.arange(60.0)[:, None]
    late = x[:, 0] > x.mean()
    made = ProjectionClassifier((8,), epochs=60, rate=0.05, random_state=0).fit(x, late)
    assert made.score(x, late) == 1
    assert made.fit_.evaluate((x, late)) == 1


@pytest.mark.parametrize("scale", [1e200, 1e299])
def test_features_beyond_float32_are_normalized(scale: float) -> None:
    x = np.linspace(-1, 1, 40)[:, None]
    y = (x[:, 0] > 0).astype(int)
    runs = [
        pjc.train(classes(1, 2), (given, y), epochs=2, batch=8, normalize="unit") for given in (x, scale * x)
    ]
    np.testing.assert_allclose(runs[0].params["w"], runs[1].params["w"], rtol=1e-5)
    with pytest.raises(DataError, match="too large"):
        pjc.train(classes(1, 2), (scale * x, y), epochs=2, batch=8)
    with pytest.raises(DataError, match="too large to be measured"):
        pjc.train(classes(1, 2), (scale * x, y), epochs=2, batch=8, normalize="standard")


def test_targets_that_rounding_makes_equal_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = np.arange(60.0)[:, None], SINCE_1970 + np.arange(60)
    with pytest.raises(DataError, match=r"vary by 17\.3 around 1\.70000003e\+09, where .* 2e\+02 apart"):
        pjc.train(numbers(1), (x, y), epochs=1, batch=8)
    pjc.train(numbers(1), (x, y - SINCE_1970), epochs=1, batch=8)
    pjc.train(numbers(1), (x, np.full(60, SINCE_1970)), epochs=1, batch=8)  # nothing to tell apart
    Path("m.pjn").write_text(numbers(1))
    Path("t.csv").write_text("x,y\n" + "".join(f"{i},{SINCE_1970 + i:.0f}\n" for i in range(60)))
    text = said(capsys, "train", "m.pjn", "--data", "t.csv", "--target", "y", "--batch", 4, status=1)
    assert "where numbers of float32 are" in text
    assert not Path("m.pjx").exists()


def test_samples_that_are_their_own_targets_are_told_apart_once_they_are_normalized() -> None:
    text = "input a: f32[batch, 1]\nparam w: f32[1, 1] = normal(1)\n"
    text += "output z = a @ w\nrequire squared_error(z, a)\n"
    x = SINCE_1970 + np.arange(60.0)[:, None]
    fit = pjc.train(text, x, epochs=60, batch=8, rate=0.05, normalize="standard")
    assert fit.evaluate(x) < 0.1


def test_what_an_estimator_was_fitted_by_has_its_units() -> None:
    y = 10 * THIRDS + 5.0
    made = ProjectionRegressor((8,), epochs=40, random_state=0).fit(SAMPLES, y)
    np.testing.assert_allclose(made.fit_.predict(SAMPLES)[:, 0], made.predict(SAMPLES), rtol=1e-5)
    error = np.sqrt(np.mean((made.predict(SAMPLES) - y) ** 2))
    assert made.fit_.evaluate((SAMPLES, y)) == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("names", [("p", "q", "r"), (1, 2, 5), (-1, 0, 1), (1.0, 2.0, 3.0), (0, 1, 2)])
def test_what_an_estimator_was_fitted_by_has_its_classes(names: tuple[Any, ...]) -> None:
    labels = np.array(names)[THIRDS]
    made = ProjectionClassifier((8,), epochs=40, random_state=0).fit(SAMPLES, labels)
    assert made.score(SAMPLES, labels) == 1
    for name in names:
        some = labels == name
        if labels.dtype.kind != "f" and names[0] != -1:
            assert made.fit_.evaluate((SAMPLES[some], labels[some])) == 1
    told = made.fit_.predict(SAMPLES)
    wanted = labels.astype(int) if labels.dtype.kind == "f" else labels
    assert list(map(str, told)) == list(map(str, wanted))


def test_class_weights_of_an_estimator_are_by_its_own_classes() -> None:
    labels = np.array(["p", "q", "r"])[THIRDS]
    made = [
        ProjectionClassifier((), epochs=3, random_state=0, class_weight=weights).fit(SAMPLES, y)
        for y, weights in ((labels, {"p": 0, "r": 3.0}), (THIRDS, {0: 0, 2: 3.0}), (THIRDS, None))
    ]
    outputs = [each.decision_function(SAMPLES) for each in made]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.any(outputs[1] != outputs[2])


def test_names_are_not_numbered_anew_where_training_had_numbers() -> None:
    fit = pjc.train(classes(3, 3), (SAMPLES, THIRDS), epochs=60, batch=8, rate=0.05)
    names = np.array(["a", "b", "c"])[THIRDS]
    assert fit.evaluate((SAMPLES, names)) == fit.evaluate((SAMPLES, THIRDS)) == 1
    with pytest.raises(DataError, match="trained on class numbers"):
        fit.evaluate((SAMPLES[THIRDS == 2], names[THIRDS == 2]))


@pytest.mark.parametrize(
    ("names", "other"),
    [(("01", "1", "x"), ("01", "01")), (("1.5", "2", "x"), ("1.5", "2")), (("-1", "1", "x"), ("-1",))],
)
def test_labels_that_look_like_numbers_are_names_as_in_training(
    names: tuple[str, ...],
    other: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.pjn").write_text(classes(3, 3))
    write_table(Path("t.csv"), SAMPLES, [names[k] for k in THIRDS])
    write_table(Path("n.csv"), 3 * np.eye(3)[[names.index(each) for each in other]], other)
    asked = ("--target", "y", "--batch", 4, "--epochs", 40, "--rate", 0.1)
    assert "test accuracy: 100.0%" in said(
        capsys, "train", "m.pjn", "--data", "t.csv", "--test-data", "n.csv", *asked
    )
    text = said(capsys, "evaluate", "m.pjn", "--params", "m.params.safetensors", "--data", "n.csv", "--json")
    told = {row["name"]: row["count"] for row in json.loads(text)["rows"]}
    assert told == {name: other.count(name) for name in names}


def test_masked_entries_are_no_values() -> None:
    x = np.ma.array(SAMPLES, mask=SAMPLES > 2)
    with pytest.raises(DataError, match="lack values, which are masked"):
        pjc.train(classes(3, 3), (x, THIRDS), epochs=1)
    pjc.train(classes(3, 3), (np.ma.array(SAMPLES), THIRDS), epochs=1)


def test_text_of_any_length_is_text() -> None:
    labels = np.array(["a", "b", "c"])[THIRDS].astype(np.dtypes.StringDType())
    assert pjc.train(classes(3, 3), (SAMPLES, labels), epochs=1).class_names == ("a", "b", "c")


def test_a_class_that_has_no_name_is_told_by_its_number() -> None:
    found = Predictions(CLASSES, np.array([0, 3, 1]))
    assert found.named(("a", "b")).tolist() == ["a", "3", "b"]
    assert found.named(()).tolist() == [0, 3, 1]


def test_columns_of_one_name_are_refused() -> None:
    class Table:
        columns = ("a", "b", "a")
        shape = SAMPLES.shape

        def to_numpy(self) -> Any:
            return SAMPLES

    with pytest.raises(DataError, match="two columns called 'a'"):
        pjc.train(classes(3, 3), (Table(), THIRDS), epochs=1)


def test_several_outputs_are_refused_before_training_where_they_would_be_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = classes(3, 3) + "output q = 2 * z\n"
    data = (SAMPLES, THIRDS)
    for parts in ({"test": 0.1}, {"validation": 0.1}):
        with pytest.raises(TrainError, match="one output, and the network has z, q"):
            pjc.train(text, data, epochs=10**6, **parts)
    assert pjc.train(text, data, epochs=1).epochs == 1
    Path("m.pjn").write_text(text)
    np.savez("d.npz", x=SAMPLES, y=THIRDS)
    told = said(capsys, "train", "m.pjn", "--data", "d.npz", "--validation", 0, status=1)
    assert "--validation 0 --test 0" in told and not Path("m.pjx").exists()
    said(capsys, "train", "m.pjn", "--data", "d.npz", "--validation", 0, "--test", 0, "--epochs", 1)


def test_a_network_without_a_target_takes_data_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.pjn").write_text(
        "input a: f32[batch, 2]\nparam w: f32[2, 2] = he_normal\n"
        "output z = a @ w\nrequire squared_error(z, a)\n"
    )
    x = np.random.default_rng(0).normal(size=(60, 2)).round(3)
    Path("d.csv").write_text("p,q\n" + "".join(f"{p},{q}\n" for p, q in x))
    np.savez("d.npz", x=x)
    for data in ("d.csv", "d.npz"):
        asked = ("--data", data, "--batch", 4, "--epochs", 3, "--normalize", "standard", "--force")
        told = said(capsys, "train", "m.pjn", *asked).splitlines()[-1]
        assert told.startswith("test rms error: ")
        again = said(capsys, "evaluate", "m.pjn", "--params", "m.params.safetensors", "--data", data)
        assert again.splitlines()[-1] == told


def test_arrays_whose_names_differ_in_capitals_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, x=SAMPLES, X=SAMPLES, y=THIRDS)
    with pytest.raises(DataError, match="the arrays x, X, which are the same but for capitals"):
        pjc.train(classes(3, 3), path)


def test_a_best_epoch_whose_parameters_are_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.pjn").write_text(classes(3, 3))
    np.savez("d.npz", x=SAMPLES, y=THIRDS)
    asked = ("train", "m.pjn", "--data", "d.npz", "--batch", 8, "--rate", 0.1, "--schedule", "constant")
    said(capsys, *asked, "--epochs", 9)  # all are told right by then
    text = said(capsys, *asked, "--epochs", 11, "--resume", "--keep-best")
    best = int(re.findall(r"since training was resumed; epoch (\d+) validated best", text)[0])
    assert best <= 9 and "of epoch 10, the best since" in text and "which validated best" not in text
    text = said(capsys, *asked, "--epochs", 12, "--resume", "--keep-best")
    assert "of epoch 10, the best since" in text
    text = said(capsys, *asked, "--epochs", 11, "--keep-best", "--force")
    assert f"of epoch {best}, which validated best" in text


def test_a_run_goes_on_with_samples_that_are_normalized_alike() -> None:
    part = pjc.train(classes(3, 3), (SAMPLES, THIRDS), epochs=1, batch=8, normalize="standard")
    with pytest.raises(DiagnosticError, match="trained with normalize='standard', and goes on with 'none'"):
        pjc.train(classes(3, 3), (SAMPLES, THIRDS), epochs=2, batch=8, resume=part)
    again = pjc.train(classes(3, 3), (SAMPLES, THIRDS), epochs=2, batch=8, normalize="standard", resume=part)
    assert again.result.epoch == 2


def test_a_step_that_averages_more_batches_than_there_are_is_told() -> None:
    with pytest.warns(TrainingWarning, match="more batches are averaged for a step than it has"):
        pjc.train(classes(3, 3), (SAMPLES, THIRDS), epochs=1, batch=8, accumulate=100)
