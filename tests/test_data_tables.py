"""Tables as people have them: delimiters, decimal marks, encodings, categories, values that are missing."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from pjc.cli import main
from pjc.commands.training.arguments import Delimiter
from pjc.runtime.data import DataError, Rows, fit, load, split, tables
from pjc.runtime.data.prepare import Request, prepare
from pjc.runtime.data.tables import releveled


@dataclass(frozen=True)
class Wanted:
    """A TensorSpec, as far as data is concerned."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    classes: int | None = None
    threshold: float | None = None
    channels: int | None = None


def x(width: int) -> Wanted:
    return Wanted("x", (2, width))


Y = Wanted("y", (2,), "int32", 2)


def refused(pattern: str) -> Any:
    """Expect a DataError whose text has ``pattern``."""
    return pytest.raises(DataError, match=pattern)


@pytest.fixture
def table(tmp_path: Path) -> Any:
    """Return a function that writes a table, and returns its path."""

    def write(text: str | bytes, encoding: str = "utf-8", name: str = "a.csv") -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return str(path)

    return write


# --- delimiters and decimal marks -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "features"),
    [
        ("a,b,t\n1.5,2,0\n", [1.5, 2]),
        ("a;b;t\n1,5;2;0\n", [1.5, 2]),
        ("a;b;t\n1.5;2e3;0\n", [1.5, 2000]),
        ("a\tb\tt\n-0,25\t1,5e2\t0\n", [-0.25, 150]),
        ("a|b|t\n1|2|0\n", [1, 2]),
        ("sep=;\na;b;t\n1,5;2;0\n", [1.5, 2]),
        ('"a;1";b;t\n1;2;0\n', [1, 2]),
        ("a, b, t\n1, 2, 0\n", [1, 2]),
        ("a;b;t\r\n1,5;2;0\r\n", [1.5, 2]),
    ],
)
def test_delimiter_and_decimal_mark_are_seen(table: Any, text: str, features: list[float]) -> None:
    found = load(table(text), "t")
    assert found.x.tolist() == [features] and found.y.tolist() == [0]


@pytest.mark.parametrize(
    ("rows", "features"),
    [
        ("1,5;2,5;0\n3,5;4;1", [[1.5, 2.5], [3.5, 4]]),
        ("1;2;0\n3;4;1", [[1, 2], [3, 4]]),
        ("1,5\t2,5\t0\n2,5\t1,5\t1", [[1.5, 2.5], [2.5, 1.5]]),
    ],
)
def test_commas_in_numbers_are_no_delimiters(table: Any, rows: str, features: list[list[float]]) -> None:
    assert load(table(rows), "3", no_header=True).x.tolist() == features


@pytest.mark.parametrize(
    ("text", "said", "options", "features"),
    [
        (
            "a,b;c,t\n1,2;3,4\n",
            "a comma or a semicolon; say which with --delimiter",
            {"delimiter": ","},
            None,
        ),
        ("a|b,t\n1|2,4\n", "a comma or a bar; say which with --delimiter", {"delimiter": "|"}, None),
        ("a;t\n1,234;0\n2,500;1\n", "decimal, or set thousands apart", {"decimal": ","}, [[1.234], [2.5]]),
        ('a,t\n"1,5",0\n', "'1,5', which is not a number; --decimal ,", {"decimal": ","}, [[1.5]]),
        ("a;t\n1,5;0\n2.5;1\n", "'2.5', which is not a number; --decimal .", {"decimal": "."}, None),
        ("a b t\n1 2 0\n", "only column is 'a b t'; --delimiter says", {"delimiter": " "}, [[1, 2]]),
        ("a:t\n1:0\n", "--delimiter", {"delimiter": ":"}, [[1]]),
    ],
)
def test_what_may_mean_two_things_is_refused(
    table: Any, text: str, said: str, options: dict[str, str], features: Any
) -> None:
    """The option that the message names says which; where it does not go with the file, it is refused."""
    path = table(text)
    with refused(said):
        load(path, "t")
    if features is None:
        with refused("no column 't'|not a number|columns, expected"):
            load(path, "t", **options)
    else:
        assert load(path, "t", **options).x.tolist() == features


@pytest.mark.parametrize("text", ["1.234,5", "1,234.5", "1'000", "-12.345.678,9", "1 234,5"])
def test_thousands_that_are_set_apart_are_not_read(table: Any, text: str) -> None:
    with refused(":2: column 'a' holds .* not a number; marks that set thousands apart are not read"):
        load(table(f"a;t\n{text};0\n"), "t")


@pytest.mark.parametrize(
    ("text", "targets"), [("a;t\n1;1,5\n2;2\n", [1.5, 2]), ("a\tt\n0,5\t1,25\n", [1.25]), ("a;t\n1;2\n", [2])]
)
def test_targets_have_the_decimal_mark_of_the_table(table: Any, text: str, targets: list[float]) -> None:
    assert load(table(text), "t").y.tolist() == targets


def test_a_target_with_another_decimal_mark(table: Any) -> None:
    path = table('a,t\n1,"1,5"\n2,"2,5"\n')
    with refused("the target 't' holds '1,5', .*--decimal , reads it as one, --decimal . as a name"):
        load(path, "t")
    assert load(path, "t", decimal=",").y.tolist() == [1.5, 2.5]
    assert load(path, "t", decimal=".").class_names == ("1,5", "2,5")


# --- the first line -------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["5.1,3.5,0", "1,2,3", "-1e3,.5,7", "5,1;3,5;0"])
def test_a_first_line_of_numbers_is_no_header(table: Any, first: str) -> None:
    path = table(first + "\n" + first + "\n")
    with refused(":1: the first line holds numbers .* has the file no header. --no-header"):
        load(path, "3")
    found = load(path, "3", no_header=True)
    assert found.columns == ("1", "2") and len(found) == 2


@pytest.mark.parametrize(
    ("text", "target"), [("5.1,3.5,setosa\n4.9,3,virginica\n", "species"), ("1,1,a\n2,2,b\n", "3")]
)
def test_a_header_that_may_be_none(table: Any, text: str, target: str) -> None:
    with refused("has the file no header. --no-header"):
        load(table(text), target)


@pytest.mark.parametrize("first", ["0,1,2", "0,1,2,3", ",0,1,2"])
def test_columns_that_pandas_has_numbered_have_names(table: Any, first: str) -> None:
    rows = "\n".join(",".join(str(row) for _ in first.split(",")) for row in (0, 1))
    found = load(table(f"{first}\n{rows}\n"), "1")
    assert found.y.tolist() == [0, 1] and found.columns[:2] == ("0", "2")


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (",a,t\n0,5,1\n1,6,0\n", "the first column is left out: it has no name"),
        ('"",a,t\n"7",5,1\n"3",6,0\n', "the first column is left out"),
        ("Unnamed: 0,a,t\n0,5,1\n0,6,0\n", "'Unnamed: 0' is left out"),
    ],
)
def test_an_index_is_left_out(table: Any, text: str, remark: str) -> None:
    found = load(table(text), "t")
    assert found.x.tolist() == [[5], [6]] and found.columns == ("a",)
    assert len(found.remarks) == 1 and remark in found.remarks[0]


@pytest.mark.parametrize(
    ("text", "columns", "places"),
    [
        ("a,b,t,\n1,2,0,\n3,4,1,\n", ("a", "b"), [4]),
        ("a;b;t; ;\n1;2;0;;\n3;4;1; ;\n", ("a", "b"), [4, 5]),
        ("|a|t|\n|1|0|\n|2|1|\n", ("a",), [1, 4]),
        ("a,,t\n1,,0\n2,,1\n", ("a",), [2]),
    ],
)
def test_empty_columns_without_a_name_are_left_out(
    table: Any, text: str, columns: tuple[str, ...], places: list[int]
) -> None:
    found = load(table(text), "t")
    assert found.columns == columns and found.y.tolist() == [0, 1] and not found.lacks
    assert [each.partition(": ")[2] for each in found.remarks] == [
        f"column {place} is left out: it has no name, and is empty" for place in places
    ]


@pytest.mark.parametrize("text", ["a,t,\n1,0,\n2,1,7\n", ",a,t\n,1,0\n5,2,1\n", "a,,t\n1,x,0\n2,,1\n"])
def test_columns_without_a_name_that_hold_something_are_refused(table: Any, text: str) -> None:
    with refused(":1: column [123] has no name"):
        load(table(text), "t")


def test_columns_are_left_out_as_asked(table: Any) -> None:
    path = table("a,b,t,c\n1,x,0,4\n2,y,1,5\n")
    assert load(path, "t", ignore="b").x.tolist() == [[1, 4], [2, 5]]
    assert load(path, "t", ignore="b, c").x.tolist() == [[1], [2]]
    with refused("no column 'd'"):
        load(path, "t", ignore="d")
    with refused("--ignore names the column 't', which is no feature"):
        load(path, "t", ignore="t")
    with refused("no column besides the target"):
        load(path, "t", ignore="a,b,c")


# --- encodings ------------------------------------------------------------------------------------

NAMES = "größe,t\n1,café\n2,thé\n"


@pytest.mark.parametrize(
    ("encoding", "asked", "remarks"),
    [
        ("utf-8", None, 0),
        ("utf-8-sig", None, 0),
        ("utf-16", None, 0),
        ("utf-32", None, 0),
        ("cp1252", None, 1),
        ("latin-1", "latin-1", 0),
        ("utf-16-le", "utf-16-le", 0),
        ("utf-8-sig", "utf-8", 0),
        ("mac-roman", "mac_roman", 0),
    ],
)
def test_encodings(table: Any, encoding: str, asked: str | None, remarks: int) -> None:
    found = load(table(NAMES, encoding), "t", encoding=asked)
    assert found.columns == ("größe",) and found.class_names == ("café", "thé")
    assert [("read as cp1252" in each) for each in found.remarks] == [True] * remarks


@pytest.mark.parametrize("name", ["hex", "punycode", "nothing", "utf-7", "", "rot13"])
def test_encodings_that_are_none(table: Any, name: str) -> None:
    with refused("--encoding .* is no encoding of text that is known; expected"):
        load(table(NAMES), "t", encoding=name)


@pytest.mark.parametrize(
    ("encoding", "content"), [("ascii", NAMES), ("utf-16", "abc"), ("utf-8", b"a,t\n1,\xff")]
)
def test_text_of_another_encoding(table: Any, encoding: str, content: str | bytes) -> None:
    with refused("a.csv is not .* text"):
        load(table(content), "t", encoding=encoding)


# --- categories -----------------------------------------------------------------------------------

COLOURS = "size,colour,t\n1,red,0\n2,green,1\n3,blue,1\n4,red,0\n"


@pytest.mark.parametrize(
    ("text", "columns", "features"),
    [
        (COLOURS, ("size", "colour=blue", "colour=green", "colour=red"), [[1, 0, 0, 1], [2, 0, 1, 0]]),
        ("c,n,t\nb,1,0\na,2,1\n", ("c=a", "c=b", "n"), [[0, 1, 1], [1, 0, 2]]),
        ("c,d,t\nTrue,é,0\nFalse,é,1\n", ("c=False", "c=True", "d=é"), [[0, 1, 1], [1, 0, 1]]),
        ("c;n;t\nx, y;1,5;0\nz;2,5;1\n", ("c=x, y", "c=z", "n"), [[1, 0, 1.5], [0, 1, 2.5]]),
    ],
)
def test_categories_become_features(table: Any, text: str, columns: Any, features: Any) -> None:
    found = load(table(text), "t")
    assert found.columns == columns and found.x[:2].tolist() == features
    assert json.loads(found.notes()["columns"]) == list(columns)
    assert {name: tuple(own) for name, own in json.loads(found.notes()["levels"]).items()} == found.levels


def test_many_categories_are_made_batch_by_batch(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(COLOURS)
    whole = load(path, "t")
    monkeypatch.setattr(tables, "_DENSE", 8)
    found = load(path, "t")
    assert isinstance(found.x, Rows) and found.x[:].tolist() == whole.x.tolist()
    fitted = fit(found, x(4), Y)
    assert fitted.x[np.array([3, 0])].tolist() == [[4, 0, 0, 1], [1, 0, 0, 1]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,t\nred,0\n5,1\n", ":3: column 'a' holds '5', among names such as 'red'; --categorical 'a'"),
        ("a,t\n5,0\nred,1\n", ":3: column 'a' holds 'red', which is not a number; --categorical 'a'"),
        ("a,t\n2020-01-02,0\n2020-01-03,1\n", ":2: column 'a' holds '2020-01-02', which is not a number"),
        ("a,t\nJan 3 2020,0\nMay 9 2020,1\n", ":2: column 'a' holds 'Jan 3 2020', which is not a number"),
        ("a,t\n$5,0\nred,1\n", ":2: column 'a' holds '.5', which is not a number"),
    ],
)
def test_numbers_and_names_in_a_column(table: Any, text: str, said: str) -> None:
    path = table(text)
    with refused(said):
        load(path, "t")
    found = load(path, "t", categorical="a")
    assert sorted(found.x.tolist()) == [[0, 1], [1, 0]] and len(found.levels["a"]) == 2


def test_names_that_begin_like_months_are_categories(table: Any) -> None:
    found = load(table("a,t\ndecile 1,0\nMarket-2,1\nmarie 3,0\n"), "t")
    assert found.columns == ("a=Market-2", "a=decile 1", "a=marie 3")


def test_numbers_that_are_categories(table: Any) -> None:
    found = load(table("zip,n,t\n100,1,0\n20,2,1\n100,3,1\n"), "t", categorical="zip")
    assert found.columns == ("zip=100", "zip=20", "n")
    assert found.x.tolist() == [[1, 0, 1], [0, 1, 2], [1, 0, 3]]


def test_too_many_categories(table: Any) -> None:
    path = table("name,n,t\n" + "".join(f"u{row},{row},{row % 2}\n" for row in range(1001)))
    with refused(":1002: column 'name' has more than 1000 different texts, .*; --ignore 'name'"):
        load(path, "t")
    assert load(path, "t", ignore="name").x.shape == (1001, 1)


@pytest.mark.parametrize("width", [1, 3, 5])
def test_a_network_of_another_size_is_told_the_features(table: Any, width: int) -> None:
    with refused(rf"a.csv has 4 features .*: size, colour \(3\); but 'x' of the network takes \[{width}\]"):
        prepare(Request(table(COLOURS), target="t"), x(width), Y)


@pytest.mark.parametrize(
    ("text", "features"),
    [
        ("size,colour,t\n7,red,0\n8,blue,1\n", [[7, 0, 0, 1], [8, 1, 0, 0]]),
        ("size,colour,t\n7,green,1\n", [[7, 0, 1, 0]]),
        (COLOURS, [[1, 0, 0, 1], [2, 0, 1, 0], [3, 1, 0, 0], [4, 0, 0, 1]]),
    ],
)
def test_other_tables_get_the_categories_of_the_first(table: Any, text: str, features: Any) -> None:
    request = Request(table(COLOURS), table(text, name="b.csv"), target="t", validation=0)
    parts = prepare(request, x(4), Y)
    assert parts.test is not None and parts.test.x.tolist() == features
    assert json.loads(parts.notes["levels"]) == {"colour": ["blue", "green", "red"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "size,colour,t\n7,pink,0\n",
            "column 'colour' of .*b.csv holds 'pink', .*: there it is blue, green, red",
        ),
        ("size,colour,t\n7,3,0\n", "column 'colour' of .*b.csv holds numbers, but in .*a.csv it holds names"),
        (
            "size,colour,t\nbig,red,0\n",
            "column 'size' of .*b.csv holds names, but in .*a.csv it holds numbers",
        ),
        ("colour,size,t\nred,7,0\n", "the columns of .*b.csv are not those of .*a.csv, in the same order"),
    ],
)
def test_other_tables_with_other_categories(table: Any, text: str, said: str) -> None:
    with refused(said):
        prepare(Request(table(COLOURS), table(text, name="b.csv"), target="t"), x(4), Y)


def test_a_column_without_values_goes_with_names(table: Any) -> None:
    first, second = load(table(COLOURS), "t"), load(table("size,colour,t\n7,,0\n"), "t", missing="mean")
    found = releveled(second, first.columns, first.levels, "a")
    assert np.isnan(found.x[:, 1:]).all() and found.x[0, 0] == 7 and found.levels == first.levels


# --- values that are missing ----------------------------------------------------------------------

GAPS = "a,c,t\n1,u,0\n,v,1\n4,,0\nNA,u,1\n7,?,0\n"


def test_missing_values_are_counted(table: Any) -> None:
    with refused(
        "a.csv lacks values: 2 in column 'a', 2 in column 'c', the first in line 3; "
        "--missing mean fills in means, --missing drop leaves out the 4 of 5 rows"
    ):
        load(table(GAPS), "t")


@pytest.mark.parametrize("word", ["", "NA", "nan", "NaN", "?", "null", "N/A", "None", "<NA>"])
def test_what_stands_for_a_missing_number(table: Any, word: str) -> None:
    path = table(f"a,b,t\n{word},1,0\n2,{word},1\n3,4,{word}\n5,6,1\n")
    found = load(path, "t", missing="drop")
    assert found.x.tolist() == [[5, 6]] and found.y.tolist() == [1]
    assert "3 of 4 rows are left out" in found.remarks[0]


@pytest.mark.parametrize("texts", [("None", "mild"), ("mild", "None"), ("None", "None")])
def test_none_may_be_the_name_of_a_category(table: Any, texts: tuple[str, str]) -> None:
    first, second = texts
    found = load(table(f"a,t\n{first},{second}\n{second},{first}\n"), "t")
    names = tuple(sorted(set(texts)))
    assert found.levels == {"a": names} and found.class_names == names


def test_means_are_those_of_the_training_part(table: Any) -> None:
    rows = [(row if row % 3 else None, "uv"[row % 2] if row % 5 else None, row % 2) for row in range(40)]
    text = "".join(f"{'' if a is None else a},{c or ''},{t}\n" for a, c, t in rows)
    request = Request(table("a,c,t\n" + text), target="t", missing="mean")
    parts = prepare(request, x(3), Y)
    fill = json.loads(parts.notes["fill"])
    whole = load(request.data, "t", missing="mean")
    train = split(split(whole, 0.2, "test")[0], 0.1, "validation")[0]
    assert np.isnan(train.x).any(axis=0).all() and np.isnan(whole.x).sum() == 14 + 2 * 8
    np.testing.assert_allclose(fill, np.nanmean(train.x, axis=0))
    np.testing.assert_allclose(parts.train.x, np.where(np.isnan(train.x), fill, train.x), rtol=1e-6)
    assert parts.test is not None and not np.isnan(parts.test.x).any() and parts.notes["missing"] == "mean"
    left = prepare(replace(request, missing="drop", test=0, validation=0), x(3), Y)
    assert len(left.train) == sum(a is not None and c is not None for a, c, _ in rows)


@pytest.mark.parametrize(
    ("text", "missing", "said"),
    [
        (
            "a,t\n1,0\n2,\n",
            "mean",
            "lacks values: 1 in the target 't', .*; --missing drop leaves out the 1 of 2",
        ),
        ("a,w,t\n1,1,0\n2,,1\n", "mean", "1 in the weights, .*--missing drop"),
        ("a,b,t\n1,,0\n,2,1\n", "drop", "lacks values in every row, so that none is left"),
        ("a,t,u\n1,2,3\n1,,3\n", "refuse", "1 in the target 't'"),
    ],
)
def test_missing_values_that_cannot_be_filled_in(table: Any, text: str, missing: str, said: str) -> None:
    target, weights = ("t,u" if "u" in text else "t"), ("w" if "w" in text else None)
    with refused(said):
        load(table(text), target, missing=missing, weights=weights)


def test_a_column_that_lacks_all_values(table: Any) -> None:
    path = table("a,b,t\n" + "".join(f"{row},,{row % 2}\n" for row in range(20)))
    with refused("the feature 'b' has no value in any sample .*leave it out with --ignore"):
        prepare(Request(path, target="t", missing="mean"), x(2), Y)
    assert prepare(Request(path, target="t", ignore="b"), x(1), Y).train.x.shape[1] == 1


@pytest.mark.parametrize("row", ["1,,u,0", ",2,v,1", "3,4,,0"])
def test_gaps_are_filled_in_where_samples_are_their_own_targets(table: Any, row: str) -> None:
    rows = [f"{at},{at % 3},{'uv'[at % 2]},{at % 2}" for at in range(20)]
    path = table("\n".join(["a,b,c,t", *rows, row, row, ""]))
    for missing, count in (("mean", 22), ("drop", 20)):
        asked = Request(path, target="t", missing=missing, test=0, validation=0)
        parts = prepare(asked, spec := x(4), spec)
        found = fit(parts.train, spec, spec)
        assert found.y.shape == (count, 4) and found.y.tolist() == found.x.tolist() == parts.train.x.tolist()


def test_gaps_are_not_trained_on(table: Any) -> None:
    found = load(table(GAPS), "t", missing="mean")
    assert found.lacks
    with refused("lack values; fill them in first"):
        fit(found, x(3), Y)
    with refused("takes the numbers of rows, and .* lacks values"):
        prepare(Request(table(GAPS), target="t", missing="mean"), Wanted("i", (2, 3), "int32"), Y)


# --- asked for ------------------------------------------------------------------------------------

NET = """
input x: f32[batch, 4]
target y: class[batch, 2]
param w: f32[4, 2] = normal(0.4)
output z = x @ w
require cross_entropy(z, y)
"""
ASKED = """
--no-header --target 4 --delimiter tab --decimal , --encoding latin-1 --weights 5 --ignore 1 --categorical 2
--missing drop --class-weight balanced --normalize standard
"""


def test_the_command_line_asks_for_all_of_it(
    table: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(
        f"{row},5\t{'uvw'[row % 3]}\t{'' if row == 3 else row}\t{row % 2}\t1\n" for row in range(40)
    )
    path = table(rows.replace("u", "é"), "latin-1", "rows.tsv")
    (tmp_path / "net.pjn").write_text(NET)
    words = [
        "train",
        str(tmp_path / "net.pjn"),
        "--data",
        path,
        "--batch",
        "4",
        "--epochs",
        "1",
        *ASKED.split(),
    ]
    assert main([*words, "-o", f"{tmp_path}/"]) == 0
    said = "".join(capsys.readouterr().out.split())
    assert "1of40rowsareleftout" in said and "testaccuracy" in said
    with safe_open(tmp_path / "net.params.safetensors", framework="numpy") as file:
        notes = file.metadata()
    assert json.loads(notes["levels"]) == {"2": ["v", "w", "é"]}
    assert json.loads(notes["columns"]) == ["2=v", "2=w", "2=é", "3"]


@pytest.mark.parametrize(
    ("word", "character"), [("tab", "\t"), ("\\t", "\t"), (";", ";"), ("comma", ","), ("space", " ")]
)
def test_how_a_delimiter_is_written(word: str, character: str) -> None:
    assert Delimiter().read(word) == character


@pytest.mark.parametrize("word", ["", ";;", "a", "5", ".", '"', "\n", "-"])
def test_what_is_no_delimiter(word: str) -> None:
    with pytest.raises(ValueError):
        Delimiter().read(word)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("missing", "median"),
        ("decimal", ":"),
        ("class_weight", "even"),
        ("delimiter", "tab"),
        ("delimiter", ""),
    ],
)
def test_requests_from_python_are_checked(table: Any, option: str, value: str) -> None:
    with refused(f"--{option.replace('_', '-')} is '{value}'; expected"):
        prepare(replace(Request(table(COLOURS), target="t"), **{option: value}), x(4), Y)


# --- weights --------------------------------------------------------------------------------------


def test_a_column_of_weights(table: Any) -> None:
    path = table("a,w,t\n1,0.5,0\n2,2,1\n3,0,1\n")
    found = load(path, "t", weights="w")
    assert found.weights is not None and found.weights.tolist() == [0.5, 2, 0] and found.columns == ("a",)
    assert found.take(np.array([2, 1]), "b").weights.tolist() == [0, 2]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (("1", "-1"), "the weight of sample 1 .* is -1; weights are finite numbers from 0"),
        (("0", "0"), "are all 0"),
        (("inf", "1"), "the weight of sample 0 .* is inf"),
        (("1", "x"), ":3: column 'w' holds 'x', which is not a number"),
        (("1", ""), "lacks values: 1 in the weights"),
    ],
)
def test_weights_that_are_none(table: Any, column: tuple[str, str], said: str) -> None:
    path = table("a,w,t\n" + "".join(f"1,{weight},0\n" for weight in column))
    with refused(said):
        load(path, "t", weights="w")
    with refused("--weights names the column 't', which holds the targets"):
        load(path, "t", weights="t")
