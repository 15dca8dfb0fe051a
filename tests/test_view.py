"""The report of a network: what it holds is right, its dumps are sources, and no name can break it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from quick import some_quick
from reports import HOSTILE, LAYERS, LOOP, compiled, deep, hostile, report
from running import Run, runner

from pjc.driver import Compilation
from pjc.options import Options
from pjc.report.page import data_of, page
from pjc.report.record import record
from pjc.sources import IrSource

NETWORKS = {"layers": LAYERS, "loop": LOOP, "deep": deep(4)}


@pytest.fixture
def pjc_run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command line and returns code, stdout and stderr."""
    return runner(capsys)


class Tags(HTMLParser):
    """The tags of a page with their attributes, and the texts of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag in self.texts:
            self.inside = tag
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = None

    def handle_data(self, data: str) -> None:
        if self.inside is not None:
            self.texts[self.inside][-1] += data


def node(data: Any, label: str) -> Any:
    """Return the one node of a label."""
    (found,) = [each for each in data["nodes"] if each["label"] == label]
    return found


def edges(data: Any) -> dict[tuple[str, str], list[str]]:
    """Return the views on each edge, by labels."""
    names = [each["label"] for each in data["nodes"]]
    return {(names[one], names[other]): views for one, other, views in data["edges"]}


def test_the_graph_has_nodes_edges_and_what_is_known_of_them() -> None:
    data = report(LAYERS, "dr")
    assert {(each["label"], each["kind"]) for each in data["nodes"]} >= {
        ("x", "given"),
        ("y", "given"),
        ("b", "parameter"),
        ("dense_0.matmul", "constraint"),
        ("cross_entropy", "requirement"),
        ("logits", "output"),
    }
    found = edges(data)
    assert found["x", "dense_0.matmul"] == [] and found["y", "cross_entropy"] == []
    assert found["b", "sum_relu"] == ["broadcast"] and ("b", "dense_0.matmul") not in found
    dot = node(data, "dense_1.matmul")
    assert (dot["operator"], dot["shape"], dot["operands"]) == (
        "dot",
        "[8, 3] f32",
        ["[8, 5] f32", "[5, 3] f32"],
    )
    assert dot["set"].startswith("{(a, w, z) : z[.., k, m] = sum_n") and dot["form"] and dot["reason"]
    assert {each["part"] for each in data["nodes"] if each["kind"] == "constraint"} == {"A", "B"}
    assert node(data, "b")["bytes"] == 5 * 4 and node(data, "b.ball")["operator"] == "ball"


def test_what_was_fused_is_told_by_what_it_became_part_of() -> None:
    data = report(LAYERS)
    labels = {each["label"] for each in data["nodes"]}
    fused = [each for each in data["nodes"] if each["fused"]]
    assert [each["label"] for each in fused] == ["sum_relu"]
    assert len(fused[0]["fused"]) == 1 and not set(fused[0]["fused"]) & labels
    assert f'"{fused[0]["fused"][0]}"' in data["stages"][0]["text"]
    assert not any(each["fused"] for each in report(LOOP)["nodes"])


def test_levels_count_the_products_to_a_requirement() -> None:
    data = report(deep(4))
    levels = [node(data, f"w{layer}")["level"] for layer in range(4)]
    assert levels == [5, 4, 3, 2] and node(data, "last")["level"] == 1
    assert node(data, "cross_entropy")["level"] == 0 and node(data, "logits")["level"] is None


def test_a_loop_is_one_family_however_often_it_repeats() -> None:
    few, many = report(LOOP), report(LOOP.replace("T = 6", "T = 1024"))
    assert [each["count"] for each in (few["loops"] + many["loops"])] == [6, 1024]
    assert [each["label"] for each in few["nodes"]] == [each["label"] for each in many["nodes"]]
    assert few["edges"] == many["edges"]
    assert [len(each["lines"]) for each in few["stages"]] == [len(each["lines"]) for each in many["stages"]]
    inside = [each["label"] for each in few["nodes"] if each["loop"] == 0]
    assert "matmul" in inside and "cross_entropy" not in inside
    assert ("sum_relu", "matmul") in edges(few) and ("matmul", "sum_relu") in edges(few)


@pytest.mark.parametrize("solver", ["sweep", "dr"])
@pytest.mark.parametrize("name", some_quick(NETWORKS))
def test_dumps_compile_to_the_same_program(name: str, solver: str) -> None:
    text = NETWORKS[name]
    stages = {each["name"]: each["text"] for each in report(text, solver)["stages"]}
    assert list(stages) == ["net", "feas", "proj"]
    for stage, dumped in stages.items():
        assert dumped == str(compiled(text, solver).at(stage))
        options = Options() if stage == "proj" else Options(solver=solver)
        again = Compilation(IrSource._of(dumped, f"{stage}.mlir"), options)
        assert str(again.at("proj")) == stages["proj"]


@pytest.mark.parametrize("name", some_quick(NETWORKS))
def test_lines_belong_to_their_nodes_and_places(name: str) -> None:
    data = report(NETWORKS[name])
    source = data["texts"][0]["text"].splitlines()
    lit: dict[str, set[int]] = {}
    for stage in data["stages"]:
        lines = stage["text"].splitlines()
        for at, place, label in stage["lines"]:
            if label >= 0 and stage["name"] != "proj":
                assert f'"{data["labels"][label]}"' in lines[at]
            if place >= 0:
                text, line = data["places"][place]
                assert text == 0 and source[line - 1].strip()
                lit.setdefault(stage["name"], set()).add(line)
    required = next(n for n, line in enumerate(source, 1) if "cross_entropy" in line)
    product = next(n for n, line in enumerate(source, 1) if "@" in line)
    assert all({required, product} <= lines for lines in lit.values()) and len(lit) == 3


def test_libraries_are_sources_too() -> None:
    text = "use nn\ninput x: f32[batch, 4]\ntarget y: class[batch, 3]\noutput z = nn.dense(x, 3)\n"
    data = record(compiled(text + "require cross_entropy(z, y)\n"))
    assert [each["file"] for each in data["texts"]] == ["net.pjn", "pjc/library/nn.pjn"]
    assert any(text == 1 for text, _ in data["places"])


@pytest.mark.parametrize("stage", ["net", "feas", "proj"])
def test_what_starts_behind_the_source_shows_what_there_is(stage: str) -> None:
    text = str(compiled(LAYERS).at(stage))
    data = record(Compilation(IrSource._of(text, "folder/net.mlir"), Options()))
    names = ["net", "feas", "proj"]
    assert [each["name"] for each in data["stages"]] == names[names.index(stage) :]
    assert data["texts"] == [] and data["file"] == "net.mlir"
    assert bool(data["nodes"]) == (stage != "proj")


def test_the_page_takes_nothing_from_elsewhere_and_runs_its_own_scripts_alone() -> None:
    text = page(record(compiled(LAYERS)))
    tags = Tags(text)
    (policy,) = [each["content"] for _, each in tags.found if each.get("http-equiv")]
    assert policy is not None and "default-src 'none'" in policy and "unsafe" not in policy
    named = set(re.findall(r"'sha256-([^']+)'", policy))
    scripts = [each for each in tags.texts["script"] if not each.startswith("{")]
    texts = [*scripts, *tags.texts["style"]]
    assert named == {base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in texts}
    assert not any("src" in each or "style" in each for _, each in tags.found)
    assert all((each.get("href") or "#").startswith("#") for _, each in tags.found)
    assert not any(word in tags.texts["style"][0] for word in ("url(", "@import"))
    own = "".join(scripts[1:])
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|fetch\(", own)


def test_names_are_data_and_no_tags(tmp_path: Path) -> None:
    text = page(record(hostile(tmp_path)))
    usual, tags = Tags(page(record(compiled(LAYERS)))), Tags(text)
    assert [tag for tag, _ in tags.found] == [tag for tag, _ in usual.found]
    data = data_of(text)
    assert {each["label"] for each in data["nodes"]} >= set(HOSTILE)
    assert data["file"].startswith("<b onclick")
    for stage in data["stages"]:
        again = Compilation(IrSource._of(stage["text"], "again.mlir"), Options())
        assert str(again.at("proj")) == data["stages"][-1]["text"]


HISTORY = "epoch,seconds,demand,training_accuracy,validation_accuracy\n1,0.5,3.0,0.25,\n2,1.0,nan,0.5,0.4\n"


def test_the_command_draws_a_history_and_writes_over_reports_alone(tmp_path: Path, pjc_run: Run) -> None:
    model, history, output = tmp_path / "net.pjn", tmp_path / "run.csv", tmp_path / "net.report.html"
    model.write_text(LAYERS)
    history.write_text(HISTORY)
    assert pjc_run("view", model, "--batch", 8)[0] == 0
    assert data_of(output.read_text())["history"] is None
    assert pjc_run("view", model, "--batch", 8, "--history", history)[0] == 0
    drawn = data_of(output.read_text())["history"]
    assert drawn["columns"]["demand"] == [3.0, None] and drawn["columns"]["validation_accuracy"] == [
        None,
        0.4,
    ]
    assert [each["title"] for each in drawn["pictures"]] == ["accuracy", "demand"]
    output.write_text("<p>mine</p>")
    code, _, err = pjc_run("view", model, "--batch", 8)
    assert code == 1 and "which is no report of pjc view" in err and output.read_text() == "<p>mine</p>"
    assert pjc_run("view", model, "--batch", 8, "--force")[0] == 0
