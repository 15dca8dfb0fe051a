"""pjc plot: which columns of which runs are drawn, and what is no history."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from running import Run, runner

from pjc.commands.plot import drawn, labels, panels_of
from pjc.commands.plot_runs import drawn_runs, panels_of_runs
from pjc.runtime.curves import read_curves

pytest.importorskip("matplotlib")

SWEPT = "epoch,seconds,demand,validation_accuracy,largest_t,violation\n1,0.5,0.4,0.8,,\n2,1.0,0.2,0.9,,\n"
ITERATED = (
    "epoch,seconds,gap,validation_accuracy,largest_t,violation\n1,2.5,1e-3,0.7,3,\n2,5.0,1e-6,0.75,4,\n"
)
SCORED = "epoch,seconds,demand,training_rms_error,validation_rms_error,what\n1,1,1,0.5,0.6,\n2,2,0.5,0.4,,7\n"


@pytest.fixture
def pjc_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return a function that runs the command line in a folder with three histories."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("a", SWEPT), ("b", ITERATED), ("c", SCORED)):
        Path(f"{name}.history.csv").write_text(text)
    return runner(capsys)


def panels(*names: str, asked: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Return the panels of histories, with the columns of each."""
    runs = [read_curves(Path(f"{name}.history.csv")) for name in names]
    return {each.title: list(each.columns) for each in panels_of(runs, asked)}


def test_scores_and_measures_are_found_by_name(pjc_run: Run) -> None:
    assert panels("a") == {"accuracy": ["validation_accuracy"], "demand": ["demand"]}
    assert panels("a", "b") == {
        "accuracy": ["validation_accuracy"],
        "gap": ["gap"],
        "demand": ["demand"],
    }
    assert panels("c") == {
        "rms error": ["training_rms_error", "validation_rms_error"],
        "demand": ["demand"],
    }
    assert panels("b", "c", asked=("largest_t", "what")) == {"largest_t": ["largest_t"], "what": ["what"]}


def test_what_is_drawn_is_what_is_written(pjc_run: Run) -> None:
    runs = [read_curves(Path(f"{name}.history.csv")) for name in "ab"]
    axes = drawn(runs, panels_of(runs)).axes
    assert [(each.get_xlabel(), each.get_ylabel()) for each in axes] == [
        (over, what) for what in ("accuracy", "gap", "demand") for over in ("epoch", "seconds")
    ]
    lines = [[list(line.get_xydata()[:, at]) for at in (0, 1)] for line in axes[1].lines]
    assert lines == [[[0.5, 1.0], [0.8, 0.9]], [[2.5, 5.0], [0.7, 0.75]]]
    assert [text.get_text().strip() for text in axes[0].get_legend().get_texts()] == ["a", "b"]
    assert axes[2].get_yscale() == "log" and axes[0].get_yscale() == "linear"


def test_training_and_validation_are_told_apart(pjc_run: Run) -> None:
    runs = [read_curves(Path("c.history.csv"))]
    axis = drawn(runs, panels_of(runs)).axes[0]
    assert [line.get_linestyle() for line in axis.lines] == ["--", "-"]
    assert [text.get_text().strip() for text in axis.get_legend().get_texts()] == [
        "c, training",
        "c, validation",
    ]


@pytest.mark.parametrize(("ending", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PNG", b"\x89PNG")])
def test_pictures_are_written_and_written_again(pjc_run: Run, ending: str, head: bytes) -> None:
    for _ in range(2):
        assert pjc_run("plot", "a.history.csv", "b.history.csv", "-o", f"p.{ending}") == (
            0,
            f"wrote p.{ending}\n",
            "",
        )
        assert Path(f"p.{ending}").read_bytes().startswith(head)


def test_the_usual_name_is_the_historys(pjc_run: Run) -> None:
    assert pjc_run("plot", "c.history.csv")[:2] == (0, "wrote c.history.png\n")
    assert Path("c.history.png").is_file() and Path("c.history.csv").read_text() == SCORED


def test_what_is_no_picture_of_its_own_takes_force(pjc_run: Run) -> None:
    Path("photo.png").write_bytes(b"a photo")
    code, _, err = pjc_run("plot", "a.history.csv", "-o", "photo.png")
    assert code == 1 and "photo.png would be overwritten, which is no picture of pjc plot" in err
    assert pjc_run("plot", "a.history.csv", "-o", "photo.png", "--force")[0] == 0
    assert Path("photo.png").read_bytes().startswith(b"\x89PNG")
    assert pjc_run("plot", "a.history.csv", "-o", "new/folder/p.svg")[0] == 0


@pytest.mark.parametrize("name", ["_hidden", "$x^{", "a b", "größe", "名前"])
def test_any_name_is_a_label(pjc_run: Run, name: str) -> None:
    Path(f"{name}.history.csv").write_text(SWEPT)
    code, _, err = pjc_run("plot", f"{name}.history.csv", "-o", "p.svg")
    assert (code, err) == (0, "")


def test_files_of_one_name_are_labelled_by_their_path() -> None:
    found = labels([Path("x/a.history.csv"), Path("y/a.history.csv"), Path("y/b.csv")])
    assert found == ["x/a.history.csv", "y/a.history.csv", "b"]


WRONG: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is no history of a run"),
    "other_table": (b"a,b\n1,2\n", "is no history of a run"),
    "no_rows": (b"epoch,seconds,gap\n", "has no epochs yet"),
    "short_row": (b"epoch,seconds,gap\n1,2,3\n2,3\n", "w.csv:3: expected 3 values, found 2"),
    "word": (b"epoch,seconds,gap\n1,2,3\n2,3,x\n", "w.csv:3: the column 'gap': expected a number, found 'x'"),
    "no_epoch": (b"epoch,seconds,gap\n1,2,3\n,3,4\n", "some of its rows have no epoch"),
    "twice": (b"epoch,gap,gap\n1,2,3\n", "is no history of a run"),
    "bytes": (bytes(range(256)), "is not a history of pjc train that can be read"),
    "quote": (b'epoch,"gap\n1,2\n', "is not a history"),
    "nothing_told": (
        b"epoch,seconds,gap\n1,2,\n",
        "has nothing to draw; its columns are epoch, seconds, gap",
    ),
    "not_finite": (b"epoch,seconds,gap\n1,2,nan\n2,3,inf\n", "has nothing to draw"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_files_that_are_no_history(pjc_run: Run, kind: str) -> None:
    text, message = WRONG[kind]
    Path("w.csv").write_bytes(text)
    code, out, err = pjc_run("plot", "w.csv")
    assert (code, out) == (1, "") and err.startswith("pjc: error[PJC") and "]: w" in err and message in err
    assert not Path("w.png").exists()


REFUSED = {
    ("-o", "p.txt"): "expected a name that ends in .png or .svg",
    ("-o", "a.history.csv"): "expected a name that ends in .png or .svg",
    ("-o", "photo.png"): "photo.png would be overwritten",
    ("-o", "folder.png"): "folder.png cannot be written: Is a directory",
    ("-o", "a.history.csv/p.png"): "a.history.csv cannot be made a directory",
    ("--column", "larges_t"): "did you mean largest_t?",
    ("--column", "xyz"): "there are epoch, seconds",
    ("none.csv",): "there is no file none.csv",
    (".",): ". is a directory",
}


@pytest.mark.parametrize("more", REFUSED, ids=" ".join)
def test_what_is_refused_changes_nothing(pjc_run: Run, more: tuple[str, ...]) -> None:
    Path("photo.png").write_bytes(b"a photo")
    Path("folder.png").mkdir()
    code, out, err = pjc_run("plot", "a.history.csv", *more)
    assert (code, out) == (1, "") and re.search(re.escape(REFUSED[more]), err), err
    assert Path("photo.png").read_bytes() == b"a photo" and Path("a.history.csv").read_text() == SWEPT
    assert not Path("a.history.png").exists()


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, pjc_run: Run) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    code, out, err = pjc_run("plot", "a.history.csv")
    assert (code, out) == (1, "") and "pip install 'pjc[plot]'" in err


def test_a_history_of_a_real_writer_is_read(pjc_run: Run, tmp_path: Path) -> None:
    from pjc.runtime.history import Row, write_history

    write: Callable[..., None] = write_history
    write(
        tmp_path / "w.history.csv",
        [Row(epoch=1, seconds=0.25, gap=0.5, validation=0.75)],
        "accuracy",
        "demand",
    )
    found = read_curves(tmp_path / "w.history.csv").columns
    assert found["seconds"] == (0.25,) and found["demand"] == (0.5,)
    assert found["validation_accuracy"] == (0.75,)


RUNS = "seed,epochs,seconds,epoch,validation,test,seconds_to_99\n"
TABLE = RUNS + "0,3,0.5,3,0.95,0.9,0.4\n1,3,0.6,2,0.85,0.8,0.5\n2,3,0.7,3,0.9,0.85,0.3\n"


@pytest.fixture
def tables(pjc_run: Run) -> Run:
    """Return a function that runs the command line in a folder with two tables of runs, one without tests."""
    Path("a.runs.csv").write_text(TABLE)
    Path("b.runs.csv").write_text(RUNS + "7,1,0.5,1,0.5,,0.5\n")
    return pjc_run


def test_of_tables_each_run_is_a_dot_beside_their_mean(tables: Run) -> None:
    read = [read_curves(Path(f"{name}.runs.csv")) for name in "ab"]
    left, right = drawn_runs(read, ["a", "b"], panels_of_runs(read)).axes
    dots = [line for line in left.lines if line.get_marker() in "os" and len(line.get_ydata())]
    assert [list(line.get_ydata()) for line in dots] == [[0.95, 0.85, 0.9], [0.5], [0.9, 0.8, 0.85]]
    means = [bar.lines[0].get_ydata()[0] for bar in left.containers]
    assert means == pytest.approx([0.9, 0.85])  # of one run there is none
    (bar,) = right.containers
    assert bar.lines[0].get_ydata()[0] == pytest.approx(0.4)
    (segment,) = bar.lines[2][0].get_segments()
    assert segment[:, 1] == pytest.approx([0.3, 0.5])
    assert [each.get_text() for each in left.get_xticklabels()] == [" a", " b"]


@pytest.mark.parametrize(
    "given", [("a.runs.csv",), ("a.runs.csv", "b.runs.csv"), ("b.runs.csv",)], ids=" ".join
)
@pytest.mark.parametrize("name", ["p.png", "p.svg"])
def test_tables_are_drawn(tables: Run, given: tuple[str, ...], name: str) -> None:
    assert tables("plot", *given, "-o", name)[0] == 0 and Path(name).stat().st_size > 5000
    assert tables("plot", *given, "-o", name, "--column", "seconds", "--column", "epoch")[0] == 0


def test_tables_that_cannot_be_drawn(tables: Run) -> None:
    Path("none.runs.csv").write_text(RUNS)
    for given, message in {
        ("none.runs.csv",): "has no runs yet",
        (
            "a.runs.csv",
            "a.history.csv",
        ): "a.history.csv is the history of a run, and a.runs.csv a table of several",
        ("c.history.csv", "b.runs.csv"): "draw one kind",
        ("b.runs.csv", "--column", "test"): "has nothing to draw",
        ("b.runs.csv", "--column", "tests"): "did you mean test?",
    }.items():
        code, out, err = tables("plot", *given, "-o", "p.png")
        assert (code, out) == (1, "") and message in err and not Path("p.png").exists()


def test_info_of_a_table_has_means(tables: Run) -> None:
    code, out, _ = tables("info", "a.runs.csv", "--json")
    found = json.loads(out)
    assert (code, found["what"], found["runs"]) == (0, "runs with several seeds", 3)
    assert found["validation"] == pytest.approx({"mean": 0.9, "standard deviation": 0.05})
    assert found["seconds to 99"]["mean"] == pytest.approx(0.4) and found["test"]["mean"] == pytest.approx(
        0.85
    )
