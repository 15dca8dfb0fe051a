"""``pjc predict``: what a network says of samples without targets, by name, in the data's own units."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import imports
import numpy as np
import pytest
from running import Run, runner
from safetensors.numpy import load_file
from trained_files import CLASSES, Files, table, train

import pjc


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def rows(text: str) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns of a table, and its rows."""
    head, *found = list(csv.reader(io.StringIO(text)))
    return head, found


def logits(files: Files, x: Any) -> Any:
    """Return what the network says of samples as they were, by NumPy."""
    params = load_file(files.params)
    return np.asarray(x) @ params["w"] + params["b"]


def columns(data: str, names: tuple[str, ...]) -> np.ndarray:
    with open(data, encoding="utf-8", newline="") as stream:
        return np.array([[float(row[name]) for name in names] for row in csv.DictReader(stream)])


def normalized(files: Files, x: np.ndarray) -> np.ndarray:
    """Return samples transformed by the numbers that stand beside the parameters."""
    from safetensors import safe_open

    with safe_open(files.params, framework="numpy") as file:
        notes = file.metadata()
    found: np.ndarray = (x - json.loads(notes["shift"])) / json.loads(notes["scale"])
    return found


# --- right values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("a", "b", "c"), ("c", "a", "b"), ("b", "c", "id", "a")])
def test_classes_are_told_by_name_of_columns_in_any_order(
    trained: dict[str, Any], tmp_path: Path, run: Run, names: tuple[str, ...]
) -> None:
    files, data = trained["classes"]
    x = columns(data, ("a", "b", "c"))[:20]
    at = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "id": np.arange(20)}
    new = table(tmp_path / "new.csv", list(names), zip(*(at[name] for name in names), strict=True))
    code, out, err = run("predict", files.program, "--params", files.params, "--data", new, "--scores")
    head, found = rows(out)
    assert code == 0 and ("training had no column id" in err) == ("id" in names)
    assert head == ["prediction", "score_aster", "score_lily", "score_rose"]
    wanted = logits(files, normalized(files, x))
    assert [row[0] for row in found] == [("aster", "lily", "rose")[each] for each in wanted.argmax(1)]
    np.testing.assert_allclose(np.array([row[1:] for row in found], float), wanted, rtol=1e-3, atol=1e-4)


def test_the_column_of_targets_may_be_there_and_is_not_looked_at(
    trained: dict[str, Any], tmp_path: Path, run: Run
) -> None:
    files, data = trained["classes"]
    given = ("--params", files.params, "--data")
    said = run("predict", files.program, *given, data)
    assert said[0] == 0 and len(rows(said[1])[1]) == 90
    text = Path(data).read_text(encoding="utf-8")
    for name in ("rose", "aster", "lily"):
        text = text.replace(name, "")  # which training would refuse
    (tmp_path / "blank.csv").write_text(text, encoding="utf-8")
    assert run("predict", files.program, *given, tmp_path / "blank.csv") == said


@pytest.mark.parametrize("model", [".pjx", ".pjn"])
def test_numbers_are_in_the_units_of_the_data(trained: dict[str, Any], run: Run, model: str) -> None:
    files, data = trained["numbers"]
    source = files.program.with_suffix(model)
    code, out, _ = run("predict", source, "--params", files.params, "--data", data)
    head, found = rows(out)
    assert code == 0 and head == ["price", "size"]
    arrays = load_file(files.params)
    inside = logits(files, normalized(files, columns(data, ("a", "b", "c"))))
    wanted = inside * arrays["units/y/scale"] + arrays["units/y/offset"]
    np.testing.assert_allclose(np.array(found, float), wanted, rtol=1e-3)
    assert wanted[:, 0].mean() > 500


def test_labels_are_0_and_1(trained: dict[str, Any], tmp_path: Path, run: Run) -> None:
    files, data = trained["labels"]
    with np.load(data) as archive:
        x = archive["x"]
    code, _, _ = run(
        "predict",
        files.program,
        "--params",
        files.params,
        "--data",
        data,
        "-o",
        tmp_path / "o.npz",
        "--scores",
    )
    with np.load(tmp_path / "o.npz") as found:
        assert code == 0 and set(found) == {"prediction", "scores"}
        np.testing.assert_allclose(found["scores"], logits(files, x), rtol=1e-4, atol=1e-5)
        threshold = pjc.load(files.program).targets[0].threshold
        np.testing.assert_array_equal(found["prediction"], found["scores"] > threshold)


# --- data without targets -----------------------------------------------------------------------------


def given_as(kind: str, folder: Path, x: np.ndarray) -> str:
    """Write samples without targets and return what names them."""
    if kind == "csv":
        return str(table(folder / "x.csv", ["a", "b", "c"], x))
    if kind in ("npz", "keras:"):
        np.savez(folder / "x.npz", x=x)
        return f"{kind.removesuffix('npz')}{folder / 'x.npz'}"
    np.save(folder / "x.npy", x)
    return {"npy": str(folder / "x.npy"), "npy:": f"npy:{folder / 'x.npy'}", "npy:FOLDER": f"npy:{folder}"}[
        kind
    ]


@pytest.mark.parametrize("kind", ["csv", "npz", "keras:", "npy", "npy:", "npy:FOLDER"])
@pytest.mark.parametrize("count", [1, 8, 21])
def test_samples_alone_will_do(
    trained: dict[str, Any], tmp_path: Path, run: Run, kind: str, count: int
) -> None:
    files, data = trained["classes"]
    x = columns(data, ("a", "b", "c"))[:count]
    spec = given_as(kind, tmp_path, x)
    out = tmp_path / "said.npz"
    code, said, err = run("predict", files.program, "--params", files.params, "--data", spec, "-o", out)
    assert (code, said, err) == (0, "", "")
    with np.load(out) as found:
        assert found["classes"].tolist() == ["aster", "lily", "rose"]
        wanted = found["classes"][logits(files, normalized(files, x)).argmax(1)]
        np.testing.assert_array_equal(found["prediction"], wanted)


@pytest.mark.parametrize("folders", [False, True])
def test_images_need_no_folders_of_classes(tmp_path: Path, run: Run, folders: bool) -> None:
    image = pytest.importorskip("PIL.Image")
    text = CLASSES.replace("f32[batch, 3]", "f32[batch, 4]").replace("f32[3, 3]", "f32[4, 3]")
    for number in range(30):
        (tmp_path / f"data/{'pqr'[number % 3]}").mkdir(parents=True, exist_ok=True)
        array = np.full((2, 2), 100 * (number % 3), np.uint8)
        image.fromarray(array).save(tmp_path / f"data/{'pqr'[number % 3]}/{number:02}.png")
    files = train(tmp_path, text, "--data", f"images:{tmp_path / 'data'}", "--epochs", 60)
    new = tmp_path / "new"
    for name, shade in (("2.png", 200), ("0.png", 0), ("1.png", 0)):
        place = new / ("any" if folders else "")
        place.mkdir(parents=True, exist_ok=True)
        image.fromarray(np.full((2, 2), shade, np.uint8)).save(place / name)
    code, out, _ = run("predict", files.program, "--params", files.params, "--data", f"images:{new}")
    assert code == 0
    head, found = rows(out)
    assert head == ["prediction"] and [row[0] for row in found] == ["p", "p", "r"]


# --- outputs ------------------------------------------------------------------------------------------


def test_a_table_on_stdout_and_in_a_file_is_the_same(
    trained: dict[str, Any], tmp_path: Path, run: Run
) -> None:
    for kind in ("classes", "numbers", "labels", "characters"):
        files, data = trained[kind]
        given = (files.program, "--params", files.params, "--data", data)
        _, out, _ = run("predict", *given)
        for _ in range(2):
            assert run("predict", *given, "-o", tmp_path / f"{kind}.csv")[0] == 0
        assert (tmp_path / f"{kind}.csv").read_text(encoding="utf-8") == out and len(rows(out)[1]) >= 80
        code, out_json, _ = run("predict", *given, "--json")
        assert code == 0 and len(json.loads(out_json)["prediction"]) == len(rows(out)[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "DATA", "-o", "o.parquet"), "name a file that ends in .csv or .npz"),
        (("--data", "DATA", "-o", "DATA"), "would overwrite what is read"),
        (("--data", "DATA", "--sample", "3"), "name the samples with --data, or go on with a text"),
        ((), "name the samples with --data, or go on with a text"),
        (("--data", "DATA", "--seed", "3"), "go with --sample"),
        (("--sample", "3"), "--sample goes with --prompt TEXT"),
        (("--sample", "3", "--prompt", "a"), "a text needs an input"),
        (("--data", "digits"), "takes [3], 3 entries"),
        (("--data", "text:DATA"), "a text needs an input"),
    ],
)
def test_wrong_arguments_get_a_sentence(
    trained: dict[str, Any], run: Run, arguments: tuple[str, ...], message: str
) -> None:
    files, data = trained["classes"]
    given = [each.replace("DATA", data) for each in arguments]
    code, out, err = run("predict", files.program, "--params", files.params, *given)
    assert (code, out) == (1, "") and message in err


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("data.csv", b"a,b,c,kind\n1,2,3,rose\n"),
        ("named.csv", b"price,size\n1,2\n"),
        ("noise.csv", bytes(range(256))),
        ("x.npz", b"PK no"),
    ],
)
def test_no_other_file_is_overwritten(
    trained: dict[str, Any], tmp_path: Path, run: Run, name: str, contents: bytes
) -> None:
    files, data = trained["classes"]
    output = tmp_path / name
    output.write_bytes(contents)
    given = (files.program, "--params", files.params, "--data", data, "-o", output)
    code, out, err = run("predict", *given)
    assert (code, out) == (1, "") and f"{output} would be overwritten, which is" in err
    assert output.read_bytes() == contents
    assert run("predict", *given, "--force")[0] == 0 and output.read_bytes() != contents
    assert run("predict", *given, "--scores")[0] == 0  # its own
    assert run("predict", *given[:-1], tmp_path / "new/folder" / name)[0] == 0


def test_no_other_text_is_overwritten(trained: dict[str, Any], tmp_path: Path, run: Run) -> None:
    files, _ = trained["characters"]
    output = tmp_path / "o.txt"
    given = (files.program, "--params", files.params, "--sample", 5, "-o", output)
    assert [run("predict", *given, "--prompt", "ab", "--seed", seed)[0] for seed in (0, 1)] == [0, 0]
    before = output.read_bytes()
    code, _, err = run("predict", *given, "--prompt", "ca")
    assert code == 1 and "o.txt would be overwritten, which is another text" in err
    assert output.read_bytes() == before
    assert run("predict", *given, "--prompt", "ca", "--force")[0] == 0


def test_an_archive_by_another_name_is_not_overwritten(
    trained: dict[str, Any], tmp_path: Path, run: Run
) -> None:
    files, _ = trained["classes"]
    path = tmp_path / "own.npz"
    np.savez(path, x=np.zeros((4, 3), np.float32), y=np.arange(4) % 3)
    for spec in (path, f"keras:{path}"):
        code, _, err = run("predict", files.program, "--params", files.params, "--data", spec, "-o", path)
        assert code == 1 and "would overwrite what is read" in err


def test_scores_of_numbers_are_the_numbers(trained: dict[str, Any], run: Run) -> None:
    files, data = trained["numbers"]
    code, _, err = run("predict", files.program, "--params", files.params, "--data", data, "--scores")
    assert code == 1 and "--scores is for classes and labels" in err


# --- text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["a", "cab", "abcabc\nabc"])
def test_a_text_goes_on_as_it_was_learned(trained: dict[str, Any], run: Run, prompt: str) -> None:
    files, _ = trained["characters"]
    given = (files.program, "--params", files.params, "--sample", 40, "--prompt", prompt)
    code, out, _ = run("predict", *given, "--temperature", 0)
    assert code == 0 and out.startswith(prompt) and len(out) == len(prompt) + 41
    said = out[len(prompt) - 1 : -1]
    assert all(
        said[at + 1] == {"a": "b", "b": "c"}.get(each, said[at + 1]) for at, each in enumerate(said[:-1])
    )


def test_a_seed_gives_the_same_text_again_and_temperature_another(
    trained: dict[str, Any], tmp_path: Path, run: Run
) -> None:
    files, _ = trained["characters"]
    given = (files.program, "--params", files.params, "--sample", 60, "--prompt", "ab", "--temperature", 3)
    first, again, other = (run("predict", *given, "--seed", seed)[1] for seed in (1, 1, 2))
    assert first == again != other and set(first) <= set("abc\n")
    assert run("predict", *given, "--seed", 1, "-o", tmp_path / "o.txt")[0] == 0
    assert (tmp_path / "o.txt").read_text(encoding="utf-8") + "\n" == first


@pytest.mark.parametrize(("prompt", "message"), [("", "has no characters"), ("aXb", "'X'"), ("é", "'é'")])
def test_a_prompt_of_other_characters_is_refused(
    trained: dict[str, Any], run: Run, prompt: str, message: str
) -> None:
    files, _ = trained["characters"]
    given = ("--params", files.params, "--sample", 5, "--prompt", prompt)
    code, out, err = run("predict", files.program, *given)
    assert (code, out) == (1, "") and message in err


# --- tables that are written otherwise ----------------------------------------------------------------


def lacking(folder: Path) -> tuple[str, np.ndarray]:
    """Write a table that lacks some values; return its name and the features, NaN where they are missing."""
    random = np.random.default_rng(5)
    number = np.arange(60) % 3
    x = random.normal(size=(60, 3)) + number[:, None] * [2, 0, 1]
    x[[4, 9, 20], [0, 1, 2]] = np.nan
    x[33, :2] = np.nan
    names = np.array(["rose", "aster", "lily"])[number]
    shown = [["" if np.isnan(each) else each for each in row] for row in x]
    entries = [[*row, name] for row, name in zip(shown, names, strict=True)]
    return str(table(folder / "lacking.csv", ["a", "b", "c", "kind"], entries)), x


@pytest.fixture(scope="module")
def filling(tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, str, np.ndarray]:
    """A network whose training filled in means, the table that it was trained on, and its features."""
    folder = tmp_path_factory.mktemp("lacking")
    data, x = lacking(folder)
    return train(folder, CLASSES, "--data", data, "--target", "kind", "--missing", "mean"), data, x


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("taken", [range(60), range(4, 5), range(20, 40), range(33, 34)])
def test_what_is_missing_is_the_mean_of_training(
    filling: tuple[Files, str, np.ndarray], tmp_path: Path, run: Run, labelled: bool, taken: range
) -> None:
    from safetensors import safe_open

    files, data, x = filling
    with safe_open(files.params, framework="numpy") as file:
        means = json.loads(file.metadata()["fill"])
    head, found = rows(Path(data).read_text(encoding="utf-8"))
    width = 4 if labelled else 3
    new = table(tmp_path / "new.csv", head[:width], [found[at][:width] for at in taken])
    code, out, err = run("predict", files.program, "--params", files.params, "--data", new, "--scores")
    assert (code, err) == (0, "")
    said = np.array([row[1:] for row in rows(out)[1]], float)
    filled = np.where(np.isnan(x), means, x)[list(taken)]
    np.testing.assert_allclose(said, logits(files, filled), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("delimiter", "decimal", "encoding", "given"),
    [
        (";", ".", "utf-8", ["--delimiter", ";"]),
        (",", ",", "utf-8", ["--decimal", ","]),
        ("|", ",", "utf-16-be", ["--encoding", "utf-16-be"]),
        ("\t", ",", "utf-16-le", ["--encoding", "utf-16-le", "--delimiter", "tab", "--decimal", ","]),
    ],
)
def test_a_table_may_be_written_otherwise_than_that_of_training(
    filling: tuple[Files, str, np.ndarray],
    tmp_path: Path,
    run: Run,
    delimiter: str,
    decimal: str,
    encoding: str,
    given: list[str],
) -> None:
    files, data, _ = filling
    new = tmp_path / "new.csv"
    head, found = rows(Path(data).read_text(encoding="utf-8"))
    with new.open("w", newline="", encoding=encoding) as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerows([head, *([each.replace(".", decimal) for each in row] for row in found)])
    known = (files.program, "--params", files.params)
    ours, theirs = (run("predict", *known, "--scores", "--data", *each) for each in ((new, *given), (data,)))
    assert ours == theirs and ours[0] == 0
    ours, theirs = (run("evaluate", *known, "--json", "--data", *each) for each in ((new, *given), (data,)))
    assert json.loads(ours[1]) | {"data": ""} == json.loads(theirs[1]) | {"data": ""}
    code, out, _ = run("info", new, "--target", "kind", "--missing", "mean", "--json", *given)
    assert code == 0 and json.loads(out)["classes"] == {"aster": 20, "lily": 20, "rose": 20}


def test_rows_that_are_left_out_are_told(filling: tuple[Files, str, np.ndarray], run: Run) -> None:
    files, data, x = filling
    known = ("--params", files.params, "--data", data, "--missing", "drop")
    whole = int((~np.isnan(x).any(1)).sum())
    code, out, err = run("predict", files.program, *known)
    assert code == 0 and len(rows(out)[1]) == whole
    assert err.startswith(f"pjc: warning: {data}: {60 - whole} of 60 rows are left out, as values lack: ")
    assert run("evaluate", files.program, *known)[2] == err


@pytest.mark.parametrize(
    ("given", "columns"),
    [
        (["--no-header"], ["1", "2", "3", "4", "5"]),
        (["--no-header", "--ignore", "1,3"], ["2", "4", "5"]),
        (["--no-header", "--categorical", "2", "--ignore", "3,4,5"], ["1", "2=4", "2=7", "2=8"]),
    ],
)
def test_info_reads_a_table_as_training_would(
    tmp_path: Path, run: Run, given: list[str], columns: list[str]
) -> None:
    data = tmp_path / "bare.csv"
    data.write_text("1,4,7,0.5,3\n2,7,7,1.5,3\n3,8,1,2.5,1\n", encoding="utf-8")
    code, out, err = run("info", data, "--json", *given)
    assert (code, err) == (0, "") and json.loads(out)["columns"] == columns


# --- what is read is kept -----------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["FILE", "text:FILE", "keras:FILE", "npy:FILE,other.npy", "npy:x.npy,FILE"])
@pytest.mark.parametrize("name", ["data.csv", "link.csv", "data.npz"])
def test_no_way_to_name_data_lets_predictions_replace_them(
    trained: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, spec: str, name: str
) -> None:
    files, _ = trained["classes"]
    monkeypatch.chdir(tmp_path)
    for each in ("data.csv", "data.npz"):
        Path(each).write_text("kept", encoding="utf-8")
    Path("link.csv").symlink_to("data.csv")
    data = spec.replace("FILE", "data.csv" if name == "link.csv" else name)
    code, out, err = run("predict", files.program, "--params", files.params, "--data", data, "-o", name)
    assert (code, out, err) == (
        1,
        "",
        f"pjc: error[PJC1105]: {name} would overwrite what is read; name another file with -o\n",
    )
    assert Path(name).read_text(encoding="utf-8") == "kept"


@pytest.mark.parametrize("option", ["--data", "--test-data"])
@pytest.mark.parametrize("ending", ["history.csv", "runs.csv", "best.safetensors", "params.safetensors"])
@pytest.mark.parametrize("linked", [False, True])
def test_training_writes_over_no_data_even_with_force(
    trained: dict[str, Any], tmp_path: Path, run: Run, option: str, ending: str, linked: bool
) -> None:
    files, data = trained["classes"]
    output = tmp_path / f"mine.{ending}"
    kept = tmp_path / "flowers.csv" if linked else output
    kept.write_text(Path(data).read_text(encoding="utf-8"), encoding="utf-8")
    if linked:
        output.symlink_to(kept)
    given = {"--data": data, "--target": "kind", option: kept, "-o": tmp_path / "mine", "--epochs": 1}
    code, out, err = run(
        "train", files.program, *(each for pair in given.items() for each in pair), "--force"
    )
    assert (code, out) == (1, "") and "which is the same file; name a folder or another prefix with -o" in err
    assert kept.read_text(encoding="utf-8") == Path(data).read_text(encoding="utf-8")


# --- start-up -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_of_a_compiled_network_nothing_is_compiled_again(trained: dict[str, Any], command: str) -> None:
    """The compiler is not even loaded."""
    files, data = trained["classes"]
    arguments = [command, str(files.program), "--params", str(files.params), "--data", data]
    code = (
        "import sys\n"
        "from pjc.cli import main\n"
        f"code = main({arguments!r})\n"
        "heavy = {'xdsl', 'lark', 'networkx', 'pjc.driver', 'optax'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=imports.ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout


@pytest.mark.parametrize("name", ["data,kind.csv", "o.csv,data.csv", "text:o.csv"])
def test_a_comma_or_colon_in_a_path_is_no_other_file(
    trained: dict[str, Any], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The table is not ``o.csv``, though its name has that in it; itself it is not written over."""
    files, data = trained["classes"]
    monkeypatch.chdir(tmp_path)
    where = f"./{name}"
    Path(where).write_bytes(Path(data).read_bytes())
    given = ("predict", files.program, "--params", files.params, "--data", where)
    Path("o.csv").write_text("prediction\nrose\n")
    if name.endswith("data.csv") or name.startswith("data"):
        assert run(*given, "-o", "o.csv")[0] == 0 and len(Path("o.csv").read_text().splitlines()) > 3
    code, _, err = run(*given, "-o", name)
    assert code == 1 and "would overwrite what is read" in err
