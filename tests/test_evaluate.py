"""``pjc evaluate``: the score of training again, from files alone; tables; which part of which data."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import Run, runner
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn import metrics
from trained_files import CLASSES, KINDS, LABELS, NUMBERS, Files, flowers, table, train

import pjc
from pjc.runtime.data.dataset import from_arrays
from pjc.runtime.evaluate import evaluate
from pjc.runtime.scores import scores


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def last(said: str) -> str:
    return said.strip().splitlines()[-1]


def notes_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata())


def with_notes(files: Files, to: Path, change: dict[str, str | None]) -> Path:
    """Return a copy of the parameters with other notes; None takes one away."""
    with safe_open(files.params, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    notes = {**notes_of(files.params), **change}
    save_file(arrays, to, {name: value for name, value in notes.items() if value is not None})
    return to


# --- the score of training, from files alone ----------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", [".pjx", ".pjn"])
def test_the_score_of_training_is_said_again_in_another_folder(
    trained: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, kind: str, model: str
) -> None:
    files, data = trained[kind]
    for path in files.program.parent.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    prefix = "text:" if data.startswith("text:") else ""
    there = prefix + Path(data.removeprefix(prefix)).name
    more = ["--batch", 8] if model == ".pjn" else []
    code, out, err = run("evaluate", f"net{model}", "--params", files.params.name, "--data", there, *more)
    assert (code, err) == (0, "")
    assert last(out) == last(files.said) and last(out).startswith("test ")
    assert "its test part, as training had it" in out


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_training_add_up(trained: dict[str, Any], run: Run, kind: str) -> None:
    files, data = trained[kind]
    found = {}
    for part in ("train", "validation", "test", "all"):
        given = ("--params", files.params, "--data", data, "--part", part, "--json")
        code, out, _ = run("evaluate", files.program, *given)
        assert code == 0
        found[part] = json.loads(out)
    sizes = {part: each["samples"] for part, each in found.items()}
    assert f"{sizes['train']} to train on, {sizes['validation']} to validate, {sizes['test']} to test" in (
        files.said
    )
    if kind != "characters":  # whose windows do not go over the ends of parts
        assert sizes["train"] + sizes["validation"] + sizes["test"] == sizes["all"]
    assert found["all"]["part"] == "all" and found["all"]["metric"] == found["test"]["metric"]


def test_other_data_is_taken_as_a_whole_and_has_no_parts(
    trained: dict[str, Any], tmp_path: Path, run: Run
) -> None:
    files, _ = trained["classes"]
    data = flowers(tmp_path / "other.csv", 30)
    given = (files.program, "--params", files.params, "--data", data)
    code, out, _ = run("evaluate", *given)
    assert code == 0 and "all of it, 30 samples" in out and last(out).startswith("accuracy: ")
    code, _, err = run("evaluate", *given, "--part", "test")
    assert code == 1 and "is not the data that the network was trained on" in err


@pytest.mark.slow
def test_data_to_test_on_is_known_again(tmp_path: Path, run: Run) -> None:
    data, other = flowers(tmp_path / "data.csv", 60), flowers(tmp_path / "other.csv", 36)
    given = ("--data", data, "--target", "kind", "--test-data", other, "--normalize", "unit")
    files = train(tmp_path, CLASSES, *given)
    code, out, _ = run("evaluate", files.program, "--params", files.params, "--data", other)
    assert code == 0 and "all of it, which training tested on, 36 samples" in out
    assert last(files.said) == f"test {last(out)}"
    code, out, _ = run("evaluate", files.program, "--params", files.params, "--data", data)
    assert code == 0 and "all of it, 60 samples" in out
    code, _, err = run("evaluate", files.program, "--params", files.params, "--data", data, "--part", "test")
    assert code == 1 and "training set no test part" in err


def test_parameters_without_a_recipe_go_with_options(
    trained: dict[str, Any], tmp_path: Path, run: Run
) -> None:
    files, data = trained["classes"]
    old = with_notes(files, tmp_path / "old.safetensors", {"recipe": None, "columns": None})
    given = (files.program, "--params", old, "--data", data)
    code, _, err = run("evaluate", *given)
    assert code == 1 and "--target" in err
    code, out, _ = run("evaluate", *given, "--target", "kind")
    assert code == 0 and "all of it, 90 samples" in out
    code, out, _ = run("evaluate", *given, "--target", "kind", "--part", "test", "--test", 0.2)
    assert code == 0 and last(out) == last(files.said) and "by the fractions given" in out


# --- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [("kind", "c", "b", "a"), ("b", "kind", "a", "c"), ("c", "a", "b", "kind")])
@pytest.mark.parametrize("extra", [(), ("id",)])
def test_columns_are_matched_by_name(
    trained: dict[str, Any], tmp_path: Path, run: Run, order: tuple[str, ...], extra: tuple[str, ...]
) -> None:
    files, data = trained["classes"]
    lines = [line.split(",") for line in Path(data).read_text(encoding="utf-8").split()]
    at = [lines[0].index(name) for name in order]
    rows = [[row[place] for place in at] + ["7"] * len(extra) for row in lines[1:]]
    moved = table(tmp_path / "moved.csv", [*order, *extra], rows)
    code, out, err = run("evaluate", files.program, "--params", files.params, "--data", moved)
    assert code == 0 and last(out) == last(files.said)
    assert ("training had no column id" in err) == bool(extra)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (("a", "b", "d", "kind"), (1, 2, 3, "lily"), "has no column 'c', which the network was trained with"),
        (("a", "b", "c", "kind"), (1, 2, 3, "tulip"), "the class 'tulip', which the network was not trained"),
        (("a", "b", "c", "kind"), (1, 2, 3, 2), "the class '2', which the network was not trained on"),
        (("a", "b", "c", "sort"), (1, 2, 3, "lily"), "there is no column 'kind'"),
    ],
)
def test_unknown_names_are_told(
    trained: dict[str, Any], tmp_path: Path, run: Run, header: Any, row: Any, message: str
) -> None:
    files, _ = trained["classes"]
    data = table(tmp_path / "new.csv", list(header), [row] * 2)
    code, _, err = run("evaluate", files.program, "--params", files.params, "--data", data)
    assert code == 1 and message in err


def test_classes_have_the_numbers_of_training_in_data_that_lacks_some(
    trained: dict[str, Any], tmp_path: Path, run: Run
) -> None:
    files, data = trained["classes"]
    head, *rows = [line.split(",") for line in Path(data).read_text(encoding="utf-8").split()]
    some = table(tmp_path / "some.csv", head, [row for row in rows if row[3] == "rose"])
    code, out, _ = run("evaluate", files.program, "--params", files.params, "--data", some, "--json")
    found = {row["name"]: row for row in json.loads(out)["rows"]}
    assert code == 0 and list(found) == ["aster", "lily", "rose"]
    assert [row["count"] for row in found.values()] == [0, 0, 30]
    assert found["rose"]["recall"] == json.loads(out)["value"] > 0.8 and found["rose"]["precision"] == 1.0


# --- how tables are read ------------------------------------------------------------------------------

SIX = CLASSES.replace("f32[batch, 3]", "f32[batch, 4]").replace("f32[3, 3]", "f32[4, 3]")
HEAD = ["id", "size", "color", "age", "often", "kind"]


def shop(rows: int, seed: int, lack: bool = True) -> list[list[object]]:
    """Return rows of an id, a number, a category, a number that may be missing, a weight and a class."""
    random = np.random.default_rng(seed)
    found = []
    for at in range(rows):
        kind, color = int(random.integers(3)), ("red", "blue")[int(random.integers(2))]
        age: object = "" if lack and at % 7 == 0 else round(float(random.normal()) + kind, 3)
        found.append([at, kind + 0.1 * random.random(), color, age, int(random.integers(1, 4)), "pqr"[kind]])
    return found


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, Path]:
    """Return a network that was trained on a table with all that a table may have, and the table."""
    folder = tmp_path_factory.mktemp("shop")
    data = table(folder / "data.csv", HEAD, shop(90, 0))
    given = ("--target", "kind", "--ignore", "id", "--missing", "mean", "--weights", "often")
    return train(folder, SIX, "--data", data, *given, "--normalize", "standard"), data


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_as_in_training(
    shops: tuple[Files, Path], tmp_path: Path, run: Run, delimiter: str
) -> None:
    files, data = shops
    moved = [3, 5, 0, 2, 4, 1]
    lines = [line.split(",") for line in data.read_text(encoding="utf-8").splitlines()]
    other = tmp_path / "other.csv"
    text = "\n".join(delimiter.join(line[at] for at in moved) for line in lines)
    other.write_text(text + "\n", encoding="utf-8")
    for named in (data, other):
        code, out, err = run("evaluate", files.program, "--params", files.params, "--data", named)
        assert (code, err) == (0, "") and "its test part, as training had it" in out
        assert last(out) == last(files.said)


@pytest.mark.parametrize("without", ["id", "often", "kind"])
def test_columns_that_the_network_does_not_see_may_be_missing(
    shops: tuple[Files, Path], tmp_path: Path, run: Run, without: str
) -> None:
    files, _ = shops
    at = HEAD.index(without)
    rows = [row[:at] + row[at + 1 :] for row in shop(40, 1)]
    other = table(tmp_path / "other.csv", HEAD[:at] + HEAD[at + 1 :], rows)
    given = (files.program, "--params", files.params, "--data", other)
    code, out, err = run("predict", *given)
    assert (code, err) == (0, "") and len(out.splitlines()) == 41
    code, out, err = run("evaluate", *given)
    assert code == (without == "kind")
    assert ("all rows count alike, as there is no column 'often'" in err) == (without == "often")
    code, _, err = run("evaluate", *given, "--ignore", "nothing", "--target", "color")
    assert code == 1 and "there is no column 'nothing'" in err


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_rows_that_are_left_out_are_told(
    trained: dict[str, Any], tmp_path: Path, run: Run, command: str
) -> None:
    files, _ = trained["classes"]
    rows = [[1, "", 3, "lily"], [1, 2, 3, "rose"], [2, 3, 4, "aster"]]
    data = table(tmp_path / "some.csv", ["a", "b", "c", "kind"], rows)
    given = (files.program, "--params", files.params, "--data", data)
    code, _, err = run(command, *given)
    assert code == 1 and "1 in column 'b', the first in line 2" in err
    code, _, err = run(command, *given, "--missing", "drop")
    assert code == 0 and "pjc: warning: " in err and "1 of 3 rows are left out" in err
    code, _, err = run(command, *given, "--missing", "mean")
    assert code == 1 and "training had none to fill in" in err


@pytest.mark.parametrize("given", [("--test", 0.4), ("--validation", 0.4), ("--split", "0.5,0.2,0.3")])
def test_other_fractions_are_not_called_those_of_training(
    trained: dict[str, Any], run: Run, given: tuple[object, ...]
) -> None:
    files, data = trained["classes"]
    code, out, _ = run("evaluate", files.program, "--params", files.params, "--data", data, *given)
    assert code == 0 and "its test part, by the fractions given" in out


@pytest.mark.parametrize("given", [("--test", 0.4), ("--validation", 0.4), ("--split", "0.5,0.2,0.3")])
def test_fractions_of_other_data_are_used_or_refused(
    trained: dict[str, Any], tmp_path: Path, run: Run, given: tuple[object, ...]
) -> None:
    """Of data that training did not see there are no parts, unless nothing says what it saw."""
    files, data = trained["classes"]
    other = flowers(tmp_path / "other.csv", 36)
    code, _, err = run("evaluate", files.program, "--params", files.params, "--data", other, *given)
    assert (
        code == 1 and "is not the data that the network was trained on" in err and "leave out --part" in err
    )
    bare = with_notes(files, tmp_path / "bare.safetensors", {"recipe": None, "columns": None})
    asked = ("evaluate", files.program, "--params", bare, "--data", other, "--target", "kind")
    code, out, _ = run(*asked, *given)
    assert code == 0 and "its test part, by the fractions given" in out
    assert run(*asked)[1].count("all of it") == 1
    asked = ("evaluate", files.program, "--params", files.params, "--data", data, "--part", "all")
    code, _, err = run(*asked, *given)
    assert code == 1 and "fractions make no difference" in err


def archive(path: Path, seed: int) -> Path:
    """Write arrays to train and to test on."""
    random = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for part, count in (("train", 40), ("test", 24)):
        found[f"x_{part}"] = random.normal(size=(count, 3)).astype(np.float32)
        found[f"y_{part}"] = np.argmax(found[f"x_{part}"], axis=1)
    np.savez(path, **found)
    return path


@pytest.mark.slow
def test_the_test_part_that_data_come_with_is_that_of_training(tmp_path: Path, run: Run) -> None:
    data, other = archive(tmp_path / "a.npz", 0), archive(tmp_path / "b.npz", 1)
    files = train(tmp_path, CLASSES, "--data", data)
    code, out, _ = run("evaluate", files.program, "--params", files.params, "--data", data)
    assert code == 0 and "its test part, as training had it, 24 samples" in out
    assert last(out) == last(files.said)
    code, out, _ = run("evaluate", files.program, "--params", files.params, "--data", data, "--test", 0.5)
    assert code == 0 and "its test part, by the fractions given, 32 samples" in out
    files = train(tmp_path, CLASSES, "--data", data, "--test-data", other, "--force")
    code, out, _ = run("evaluate", files.program, "--params", files.params, "--data", other)
    assert code == 0 and "its test part, which training tested on, 24 samples" in out
    assert last(out) == last(files.said)


@pytest.mark.slow
def test_mapped_files_are_known_again_by_arrays_in_memory(tmp_path: Path, run: Run) -> None:
    x = np.random.default_rng(4).normal(size=(1300, 3)).astype(np.float32)
    arrays = {"x": x, "y": np.argmax(x, axis=1)}
    np.savez(tmp_path / "a.npz", **arrays)
    for name, each in arrays.items():
        np.save(tmp_path / f"{name}.npy", each)
    files = train(tmp_path, CLASSES, "--data", f"npy:{tmp_path}", "--epochs", 1)
    for spec in (f"npy:{tmp_path}", tmp_path / "a.npz"):
        code, out, _ = run("evaluate", files.program, "--params", files.params, "--data", spec)
        assert code == 0 and "its test part, as training had it" in out and last(out) == last(files.said)


# --- right numbers ------------------------------------------------------------------------------------


def compiled(text: str) -> tuple[Any, dict[str, Any], Any]:
    program = pjc.compile(text, batch=8)
    random = np.random.default_rng(5)
    params = {spec.name: random.normal(size=spec.shape).astype(np.float32) for spec in program.parameters}
    return program, params, random


@pytest.mark.parametrize("count", [1, 8, 27, 200])
def test_classes_are_scored_as_scikit_learn_scores_them(count: int) -> None:
    program, params, random = compiled(CLASSES)
    x, y = random.normal(size=(count, 3)).astype(np.float32), random.integers(0, 3, count)
    data = from_arrays(x, y, "data")
    found = scores(program, params, data, ("p", "q", "r"), confusion=True)
    told = np.argmax(x @ params["w"] + params["b"], axis=1)
    assert found.confusion is not None
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(y, told, labels=[0, 1, 2]))
    wanted = metrics.precision_recall_fscore_support(y, told, labels=[0, 1, 2], zero_division=np.nan)
    for name in ("precision", "recall", "f1"):
        ours = [np.nan if getattr(row, name) is None else getattr(row, name) for row in found.rows]
        at = ("precision", "recall", "f1").index(name)
        np.testing.assert_allclose(ours, wanted[at])
    assert [row.name for row in found.rows] == ["p", "q", "r"]
    assert found.value == evaluate(program, params, data) == pytest.approx(metrics.accuracy_score(y, told))


@pytest.mark.parametrize("count", [2, 9, 100])
def test_numbers_are_scored_as_scikit_learn_scores_them(count: int) -> None:
    program, params, random = compiled(NUMBERS)
    x, y = random.normal(size=(count, 3)), random.normal(size=(count, 2)) * [1, 100] + 7
    data = from_arrays(x.astype(np.float32), y.astype(np.float32), "data")
    found = scores(program, params, data, ("small", "large"))
    told = x @ params["w"] + params["b"]
    assert found.r2 == pytest.approx(metrics.r2_score(y, told), rel=1e-3, abs=1e-4)
    for column, row in enumerate(found.rows):
        each = y[:, column], told[:, column]
        assert row.r2 == pytest.approx(metrics.r2_score(*each), rel=1e-3, abs=1e-4)
        assert row.rms == pytest.approx(np.sqrt(metrics.mean_squared_error(*each)), rel=1e-4)
        assert row.mean_absolute == pytest.approx(metrics.mean_absolute_error(*each), rel=1e-4)
    assert found.value == pytest.approx(evaluate(program, params, data), rel=1e-12)
    assert found.value == pytest.approx(np.sqrt(np.mean((y - told) ** 2)), rel=1e-4)


@pytest.mark.parametrize("count", [3, 8, 53])
@pytest.mark.parametrize("scale", [1.0, 1e300])
def test_samples_count_by_their_weights(count: int, scale: float) -> None:
    weights = np.random.default_rng(count).random(count) * 3
    program, params, random = compiled(CLASSES)
    x, y = random.normal(size=(count, 3)).astype(np.float32), random.integers(0, 3, count)
    data = replace(from_arrays(x, y, "data"), weights=weights * scale)
    found = scores(program, params, data, confusion=True)
    told = np.argmax(x @ params["w"] + params["b"], axis=1)
    given: dict[str, Any] = {"labels": [0, 1, 2], "zero_division": np.nan, "sample_weight": weights}
    wanted = metrics.precision_recall_fscore_support(y, told, **given)
    for at, name in enumerate(("precision", "recall", "f1")):
        ours = [np.nan if getattr(row, name) is None else getattr(row, name) for row in found.rows]
        np.testing.assert_allclose(ours, wanted[at])
    assert [row.count for row in found.rows] == np.bincount(y, minlength=3).tolist()
    assert found.confusion is not None and found.confusion.sum() == count == found.samples
    assert found.value == pytest.approx(np.average(told == y, weights=weights))
    assert found.value == pytest.approx(evaluate(program, params, data), rel=1e-12)

    program, params, random = compiled(NUMBERS)
    y = random.normal(size=(count, 2)) * [1, 100] + 7
    data = replace(from_arrays(x, y.astype(np.float32), "data"), weights=weights * scale)
    found = scores(program, params, data)
    told = x @ params["w"] + params["b"]
    for column, row in enumerate(found.rows):
        each = y[:, column], told[:, column]
        assert row.r2 == pytest.approx(metrics.r2_score(*each, sample_weight=weights), rel=1e-3, abs=1e-4)
        mean = metrics.mean_squared_error(*each, sample_weight=weights)
        assert row.rms == pytest.approx(np.sqrt(mean), rel=1e-4)
    assert found.value == pytest.approx(evaluate(program, params, data), rel=1e-12)

    program, params, random = compiled(LABELS)
    y = random.integers(0, 2, (count, 2)).astype(np.float32)
    data = replace(from_arrays(x, y, "data"), weights=weights * scale)
    found = scores(program, params, data)
    same = ((x @ params["w"] + params["b"]) > program.targets[0].threshold) == y
    assert found.exact == pytest.approx(np.average(same.all(1), weights=weights))
    assert found.value == pytest.approx(evaluate(program, params, data), rel=1e-12)


def test_a_column_that_does_not_vary_has_no_r2() -> None:
    program, params, random = compiled(NUMBERS)
    x = random.normal(size=(20, 3)).astype(np.float32)
    y = np.stack([np.full(20, 0.1), x[:, 0]], axis=1).astype(np.float32)
    found = scores(program, params, from_arrays(x, y, "data"))
    assert found.rows[0].r2 is None and found.r2 == found.rows[1].r2 is not None


@pytest.mark.parametrize("count", [1, 8, 50])
def test_labels_are_scored_as_scikit_learn_scores_them(count: int) -> None:
    program, params, random = compiled(LABELS)
    x = random.normal(size=(count, 3)).astype(np.float32)
    y = random.integers(0, 2, (count, 2)).astype(np.float32)
    data = from_arrays(x, y, "data")
    found = scores(program, params, data)
    told = (x @ params["w"] + params["b"]) > program.targets[0].threshold
    assert found.exact == pytest.approx(np.mean((told == y).all(1)))
    wanted = metrics.precision_recall_fscore_support(y, told, zero_division=np.nan, average=None)
    for at, name in enumerate(("precision", "recall", "f1")):
        ours = [np.nan if getattr(row, name) is None else getattr(row, name) for row in found.rows]
        np.testing.assert_allclose(ours, wanted[at])
    assert [row.accuracy for row in found.rows] == pytest.approx((told == y).mean(0).tolist())
    assert found.value == pytest.approx(evaluate(program, params, data))


@pytest.mark.parametrize("count", [3, 8, 61])
@pytest.mark.parametrize("text", [CLASSES, LABELS, NUMBERS], ids=["classes", "labels", "numbers"])
def test_samples_count_by_their_weights_as_in_scikit_learn(text: str, count: int) -> None:
    program, params, random = compiled(text)
    x, weights = random.normal(size=(count, 3)).astype(np.float32), random.integers(0, 4, count) + 0.5
    y: Any = {
        CLASSES: random.integers(0, 3, count),
        LABELS: random.integers(0, 2, (count, 2)).astype(np.float32),
        NUMBERS: (random.normal(size=(count, 2)) * [1, 100] + 7).astype(np.float32),
    }[text]
    data = replace(from_arrays(x, y, "data"), weights=weights)
    found = scores(program, params, data)
    output = x @ params["w"] + params["b"]
    assert found.value == pytest.approx(evaluate(program, params, data), rel=1e-6)
    if text == NUMBERS:
        wanted = metrics.r2_score(y, output, sample_weight=weights, multioutput="raw_values")
        assert [row.r2 for row in found.rows] == pytest.approx(wanted.tolist(), rel=1e-3, abs=1e-4)
        wanted = metrics.mean_absolute_error(y, output, sample_weight=weights, multioutput="raw_values")
        assert [row.mean_absolute for row in found.rows] == pytest.approx(wanted.tolist(), rel=1e-4)
        return
    told = output.argmax(1) if text == CLASSES else output > program.targets[0].threshold
    given = {"sample_weight": weights, "labels": [0, 1, 2] if text == CLASSES else None}
    wanted = metrics.precision_recall_fscore_support(y, told, zero_division=np.nan, average=None, **given)
    for at, name in enumerate(("precision", "recall", "f1")):
        ours = [np.nan if getattr(row, name) is None else getattr(row, name) for row in found.rows]
        np.testing.assert_allclose(ours, wanted[at])
    exact = found.value if text == CLASSES else found.exact
    assert exact == pytest.approx(metrics.accuracy_score(y, told, sample_weight=weights))
    assert [row.count for row in found.rows] == (
        np.bincount(y, minlength=3) if text == CLASSES else y.sum(0)
    ).tolist()


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_the_score_of_training_with_weights_is_said_again(tmp_path: Path, run: Run, kind: str) -> None:
    random = np.random.default_rng(8)
    x = random.normal(size=(90, 3))
    y = x[:, :2] + random.normal(size=(90, 2))
    text, target = {"classes": (CLASSES, "kind"), "numbers": (NUMBERS, "p,q")}[kind]
    rows = [[*a, *b, "ab"[int(a[0] > b[1])], 0.5 + i % 4] for i, (a, b) in enumerate(zip(x, y, strict=True))]
    data = table(tmp_path / "data.csv", ["a", "b", "c", "p", "q", "kind", "w"], rows)
    others = "p,q" if kind == "classes" else "kind"
    given = ("--data", data, "--target", target, "--weights", "w", "--ignore", others)
    files = train(tmp_path, text, *given)
    code, out, _ = run("evaluate", files.program, "--params", files.params, "--data", data)
    assert code == 0 and out.splitlines()[-1] == files.said.splitlines()[-1]


# --- what is shown ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("classes", ("aster", "lily", "rose", "precision", "recall", "F1", "confusion")),
        ("numbers", ("price", "size", "rms error", "mean absolute", "R2: ")),
        ("labels", ("accuracy", "precision", "exact match: ")),
        ("characters", ("precision", "confusion")),
    ],
)
def test_tables_have_names(trained: dict[str, Any], run: Run, kind: str, words: tuple[str, ...]) -> None:
    files, data = trained[kind]
    given = ("--params", files.params, "--data", data, "--confusion")
    code, out, err = run("evaluate", files.program, *given)
    assert code == 0 and [word for word in words if word not in out] == []
    assert ("pairs are counted of classes alone" in err) == (kind in ("numbers", "labels"))


@pytest.mark.parametrize("name", ["a\nrose  9", "a\tb", "\n", "[bold]x", "\x1b[31mred"])
def test_a_name_stays_within_its_cell(name: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from pjc.commands.shared import cell

    shown = Table(cell(name), "count", box=None)
    shown.add_row(cell(name), "1")
    console = Console(width=60, file=io.StringIO())
    console.print(shown)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    wanted = name if name.isprintable() else repr(name)[1:-1]
    assert [line.split(wanted)[1].split() for line in lines] == [["count"], ["1"]]


# --- wrong files --------------------------------------------------------------------------------------


WRONG_REQUESTS = (
    '"target": 5',
    '"target": ["kind"]',
    '"target": false',
    '"test_data": 1.5',
    '"test": true',
    '"test": "0.2"',
    '"stride": "x"',
    '"stride": 2.5',
    '"resize": 1',
    '"no_header": "no"',
    '"ignore": 3',
    '"categorical": true',
    '"encoding": 8',
    '"delimiter": 0',
    '"weights": ["w"]',
)
"""Entries of a recipe that are of another type than what pjc asks of data."""


@pytest.mark.parametrize(
    "change",
    [
        {"shift": "[1, 2"},
        {"shift": "[1, 2, 1e999]"},
        {"scale": "[1, 1, 0]"},
        {"scale": "[1, 1]"},
        {"normalize": "other"},
        {"class_names": '["a", "a", "b"]'},
        {"class_names": "[" * 100000},
        {"columns": '{"a": 1}'},
        {"recipe": "null"},
        {"recipe": '{"request": {"data": "x", "unheard": 1}, "checksum": 1}'},
        {"recipe": '{"request": {"data": 7}, "checksum": 1}'},
        {"recipe": '{"request": {"data": "x", "test": -3}, "checksum": 1}'},
        {"recipe": '{"request": {"data": "x"}, "checksum": "no"}'},
        *({"recipe": f'{{"request": {{"data": "x", {each}}}, "checksum": 1}}'} for each in WRONG_REQUESTS),
        {"class_names": r'["a", "\ud800", "b"]'},
        {"columns": r'["a\udfff", "b", "c"]'},
        {"levels": r'{"a": ["\ud800x"]}'},
        {"vocabulary": r'["a", "\udcff"]'},
    ],
)
def test_notes_that_pjc_does_not_write_are_refused(
    trained: dict[str, Any], tmp_path: Path, run: Run, change: dict[str, str | None]
) -> None:
    files, data = trained["classes"]
    wrong = with_notes(files, tmp_path / "wrong.safetensors", change)
    code, out, err = run("evaluate", files.program, "--params", wrong, "--data", data)
    assert (code, out) == (1, "")
    assert err.startswith(
        f"pjc: error[PJC1102]: {wrong} is not a file of parameters by pjc that can be read: "
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "digits"), "has no values for its parameters, as 'w'; name the file"),
        (("--data", "digits", "--params", "PARAMS"), "digits has the class '0', which the network was not"),
        (("--data", "DATA", "--params", "PROGRAM"), "is not a whole safetensors file"),
        (("--data", "DATA", "--params", "nowhere"), "there is no file nowhere"),
        (("--data", "nowhere.csv", "--params", "PARAMS"), "there is no file nowhere.csv"),
        (("--data", "DATA", "--params", "PARAMS", "--batch", "4"), "is compiled, so --batch makes no diff"),
        (("--data", "DATA", "--params", "OTHER"), "the parameters are of another network"),
        (("--data", "DATA", "--params", "PARAMS", "--split", "1,0,0", "--test", "0.1"), "--split names all"),
    ],
)
def test_wrong_arguments_get_a_sentence(
    trained: dict[str, Any], run: Run, arguments: tuple[str, ...], message: str
) -> None:
    files, data = trained["classes"]
    known = {"PARAMS": files.params, "PROGRAM": files.program, "DATA": data}
    known["OTHER"] = trained["characters"][0].params
    code, out, err = run("evaluate", files.program, *(known.get(each, each) for each in arguments))
    assert (code, out) == (1, "") and message in err


def test_a_network_without_a_target_is_not_scored(tmp_path: Path, run: Run) -> None:
    source = tmp_path / "net.pjn"
    source.write_text("input x: f32[batch, 3]\noutput z = relu(x)\n", encoding="utf-8")
    code, _, err = run("evaluate", source, "--data", flowers(tmp_path / "d.csv"), "--target", "kind")
    assert code == 1 and "does not say what its output is compared with; give --loss" in err
