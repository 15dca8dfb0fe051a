"""The report of a network in a browser: what is drawn, what keys and clicks do, that no name runs anything.

Skipped where there is no Chromium, or no playwright that drives it (pip install 'pjc[browser]').
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reports import HOSTILE, LAYERS, LOOP, compiled, deep, hostile

from pjc.report.page import page
from pjc.report.record import Picture, record
from pjc.report.traced import traced
from pjc.runtime.curves import read_curves
from pjc.runtime.trace import Column, Trace

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = os.environ.get("PJC_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: neither on PATH nor as PJC_CHROMIUM"),
]
OFFLINE = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
SIZES = {"wide": {"width": 1400, "height": 900}, "narrow": {"width": 420, "height": 800}}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Return a headless browser."""
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield found
        found.close()


class Shown:
    """A page in the browser, and all that it asked for and complained of."""

    def __init__(self, chromium: Any, path: Path, size: str = "wide", scheme: str = "light") -> None:
        self.page = chromium.new_page(viewport=SIZES[size], color_scheme=scheme)
        self.size = path.stat().st_size
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready=yes]")

    def lit(self) -> dict[str, list[str]]:
        """Return the lines that are lit in each text."""
        return dict(
            self.page.evaluate(
                "panes.map(pane => [pane.whole.querySelector('h3').textContent,"
                " pane.rows.filter(row => row.classList.contains('lit')).map(row => row.textContent)])"
            )
        )

    def chosen(self) -> list[str]:
        """Return the labels of the nodes that are chosen."""
        return list(
            self.page.evaluate(
                "graph.nodes.flatMap((n, at) => n.classList.contains('chosen') ? [data.nodes[at].label] : [])"
            )
        )


@pytest.fixture
def open_report(chromium: Any, tmp_path: Path) -> Iterator[Any]:
    """Return a function that shows the report of a compilation."""
    opened: list[Shown] = []

    def show(compilation: Any, size: str = "wide", scheme: str = "light", **history: Any) -> Shown:
        path = tmp_path / "report.html"
        path.write_text(page(record(compilation, **history)), encoding="utf-8")
        opened.append(Shown(chromium, path, size, scheme))
        return opened[-1]

    yield show
    for each in opened:
        each.page.close()


def test_a_node_lights_up_its_lines_and_a_line_its_node(open_report: Any) -> None:
    shown = open_report(compiled(LAYERS))
    shown.page.locator(".node", has_text="dense_1.matmul").click()
    assert shown.chosen() == ["dense_1.matmul"]
    lit = shown.lit()
    assert lit["net.pjn"] == ["  return x @ weight"]
    assert len(lit["net"]) == len(lit["feas"]) == 1 and '"dense_1.matmul"' in lit["feas"][0]
    assert len(lit["proj"]) > 2 and all("dense_0.matmul" not in line for line in lit["proj"])
    assert "sum_n" in shown.page.locator("#details").inner_text()
    shown.page.locator(".row", has_text="op.cross_entropy").first.click()
    assert shown.chosen() == ["cross_entropy"]
    assert shown.lit()["net.pjn"] == ["require cross_entropy(logits, y)"]
    dumped = shown.page.get_by_role("listbox", name="feas").inner_text()
    assert dumped == str(compiled(LAYERS).at("feas"))  # as it is copied out of the page
    shown.page.locator(".row", has_text="return x @ weight").click()
    assert shown.chosen() == ["dense_0.matmul", "dense_1.matmul"]
    assert len(shown.lit()["net"]) == 2
    assert len(shown.asked) == 1 and shown.said == []


def test_keys_do_what_the_mouse_does(open_report: Any) -> None:
    shown = open_report(compiled(LAYERS))
    press = shown.page.keyboard.press
    shown.page.locator(".node", has_text="dense_0.matmul").focus()
    for key in ("ArrowDown", "Enter"):
        press(key)
    assert shown.chosen() == ["sum_relu"]
    for key in ("ArrowUp", "Enter"):
        press(key)
    assert shown.chosen() == ["dense_0.matmul"]
    scale = shown.page.evaluate("graph.scale")
    press("+")
    assert shown.page.evaluate("graph.scale") > scale
    press("Escape")
    assert shown.chosen() == [] and not any(shown.lit().values())
    text = shown.page.get_by_role("listbox", name="feas")
    text.focus()
    press("End")
    for key in ("ArrowUp", "ArrowUp", "Enter"):
        press(key)
    assert shown.chosen() == ["cross_entropy"]
    current = text.get_attribute("aria-activedescendant")
    assert "op.cross_entropy" in shown.page.locator(f"#{current}").inner_text()
    assert shown.page.locator(".node[tabindex='0']").count() == 1


def test_a_screen_reader_is_told_what_is_drawn(open_report: Any) -> None:
    shown = open_report(compiled(LOOP))
    button = shown.page.get_by_role("button", name="dot matmul, [48, 4] f32, 6 of a loop")
    assert button.count() == 1 and button.get_attribute("aria-pressed") == "false"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    for role, name in (
        ("searchbox", "Search"),
        ("combobox", "Color by"),
        ("button", "Zoom in"),
        ("listbox", "proj"),
        ("group", "Shown stages"),
        ("table", "All nodes"),
    ):
        assert shown.page.get_by_role(role, name=name).count() == 1, name


def test_search_finds_and_goes_from_one_to_the_next(open_report: Any) -> None:
    shown = open_report(compiled(LAYERS))
    field = shown.page.get_by_label("Search")
    field.fill("matmul")
    assert shown.page.locator("#found").inner_text() == "2 found"
    assert shown.page.locator(".node.hit").count() == 2 and shown.page.locator(".node.dim").count() > 2
    field.press("Enter")
    field.press("Enter")
    assert shown.chosen() == ["dense_1.matmul"]
    field.press("Escape")
    assert shown.page.locator(".node.dim").count() == 0


def test_no_name_runs_anything_or_breaks_the_page(open_report: Any, tmp_path: Path) -> None:
    table = f'epoch,seconds,"training_{HOSTILE[1]}",demand\n1,1,0.5,2\n2,2,0.6,1\n'
    history = tmp_path / "<i>run.csv"
    history.write_text(table)
    pictures = [Picture(HOSTILE[1], [f"training_{HOSTILE[1]}", "demand"])]
    harmless = open_report(compiled(LAYERS)).page.evaluate("document.scripts.length")
    shown = open_report(hostile(tmp_path), curves=read_curves(history), pictures=pictures)
    for at in range(shown.page.evaluate("data.nodes.length")):
        shown.page.evaluate("at => chooseNode(at)", at)
    assert shown.page.evaluate("window.hit") is None and shown.said == [] and len(shown.asked) == 1
    assert shown.page.locator("img, iframe, object, b, i, [onclick], [onload], [onerror]").count() == 0
    assert shown.page.evaluate("document.scripts.length") == harmless
    assert shown.page.locator("h1").inner_text() == "network"
    drawn = shown.page.evaluate("graph.nodes.map(n => n.getAttribute('aria-label'))")
    assert sum("window.hit" in each or "long" * 3000 in each for each in drawn) >= 5
    assert not any("\u202e" in each for each in drawn) and any("\\u{202e}" in each for each in drawn)
    width = shown.page.evaluate("document.documentElement.scrollWidth")
    assert width <= SIZES["wide"]["width"]


def test_a_script_that_is_not_of_the_page_is_refused(open_report: Any) -> None:
    shown = open_report(compiled(LAYERS))
    shown.page.evaluate(
        "() => { const s = document.createElement('script'); try { s.textContent = 'window.hit=1'; "
        "document.body.append(s); } catch {} }"
    )
    assert shown.page.evaluate("window.hit") is None


WIDER = """graph.nodes.filter((node) =>
  node.querySelector("text").getBBox().width > node.querySelector(".box").getBBox().width).length"""
BOXES = "graph.layout.boxes.map(b => [b.x, b.y, b.x + b.width, b.y + b.height])"


@pytest.mark.parametrize("layers", [32, 250])
def test_boxes_of_deep_networks_are_apart_and_readable(open_report: Any, layers: int) -> None:
    shown = open_report(compiled(deep(layers)))
    boxes = shown.page.evaluate(BOXES)
    assert len(boxes) == shown.page.locator(".node").count() == 4 * layers + 6
    rows: dict[int, list[list[float]]] = {}
    for box in boxes:
        for band in range(int(box[1] // 100), int(box[3] // 100) + 1):
            rows.setdefault(band, []).append(box)
    for together in rows.values():
        for one, other in combinations(together, 2):
            beside = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert beside, (one, other)
    across, down = (max(box[side + 2] for box in boxes) - min(box[side] for box in boxes) for side in (0, 1))
    assert 0.5 < across / down < 4  # columns, and no thread
    assert shown.page.evaluate("graph.scale") * 12 > 6  # pixels of a letter
    assert shown.size < 5e6 and not shown.said
    assert shown.page.evaluate(WIDER) == 0


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (color) => {
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((each) => each / 255)
      .map((each) => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const between = (one, other) => {
    const [bright, dim] = [light(one), light(other)].sort((a, b) => b - a);
    return (bright + 0.05) / (dim + 0.05);
  };
  const style = (element, name) => getComputedStyle(element)[name];
  const all = (root, selector) => [...root.querySelectorAll(selector)];
  const paper = style(document.body, "backgroundColor");
  return [
    ...graph.nodes.flatMap((node) => all(node, "text").map((text) =>
      between(style(text, "fill"), style(node.querySelector(".box"), "fill")))),
    ...all(document, ".hint, #facts, td, dt, dd").map((each) => between(style(each, "color"), paper)),
    ...all(document, ".row.lit, .row.near").map((each) =>
      between(style(each, "color"), style(each, "backgroundColor"))),
  ];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_letters_stand_out_from_what_is_behind_them(open_report: Any, size: str, scheme: str) -> None:
    shown = open_report(compiled(LAYERS, "dr"), size, scheme)
    shown.page.evaluate("chooseNode(3)")
    for at in range(shown.page.locator("#colors option").count()):
        shown.page.select_option("#colors", index=at)
        found = shown.page.evaluate(CONTRAST)
        assert len(found) > 30 and min(found) >= 4.5
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    theme = "document.documentElement.dataset.theme"
    assert shown.page.evaluate(theme) == scheme
    shown.page.locator("#theme").click()
    assert {scheme, shown.page.evaluate(theme)} == {"light", "dark"}


def test_on_paper_there_is_all_of_it_in_black_on_white(open_report: Any) -> None:
    shown = open_report(compiled(LAYERS), scheme="dark")
    shown.page.emulate_media(media="print")
    shown.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.page.locator(".screen:visible").count() == 0
    hidden = "panes.filter(p => p.text.scrollHeight > p.text.clientHeight + 2).length"
    assert shown.page.evaluate(hidden) == 0
    assert shown.page.evaluate("graph.svg.getAttribute('viewBox')") is not None
    assert shown.page.pdf()[:4] == b"%PDF"


def test_curves_are_drawn_over_epochs_and_seconds(open_report: Any, tmp_path: Path) -> None:
    history = tmp_path / "run.csv"
    history.write_text("epoch,seconds,demand,training_accuracy\n1,0.5,300,0.25\n2,1,nan,0.5\n3,2,1,0.75\n")
    pictures = [Picture("accuracy", ["training_accuracy"]), Picture("demand", ["demand"])]
    shown = open_report(compiled(LAYERS), curves=read_curves(history), pictures=pictures)
    charts = shown.page.get_by_role("img")
    assert charts.count() == 4 and shown.page.locator(".chart circle").count() == 2 * (3 + 2)
    told = [charts.nth(at).get_attribute("aria-label") for at in range(4)]
    assert told[0] == "accuracy over epoch: training_accuracy from 0.25 to 0.75"
    assert told[3] == "demand over seconds: demand from 300 to 1"
    assert shown.page.get_by_text("logarithmic").count() == 2
    shown.page.evaluate("chooseNode(3)")
    assert "last demand" in shown.page.locator("#details").inner_text()


def trace_of(compilation: Any, moments: int = 40) -> Any:
    """Return what a page is given of a trace in which one node after another demands the most."""
    labels = [each["label"] for each in record(compilation)["nodes"]]
    columns = tuple(Column(label, "dot", "") for label in labels)
    numbers = np.full((moments, len(labels)), 0.01, np.float32)
    for moment in range(moments):
        numbers[moment, moment * len(labels) // moments] = 1
    steps = 10 * np.arange(moments)
    return traced(Trace(steps, np.zeros_like(steps), columns, {"demand": numbers}, 5, "sweep"), "t.npz")


def test_a_trace_colors_the_graph_and_has_curves_of_each_node(open_report: Any) -> None:
    shown = open_report(compiled(LAYERS), trace=trace_of(compiled(LAYERS)))
    labels = shown.page.evaluate("data.nodes.map(node => node.label)")
    hues = "graph.nodes.map(node => Number(node.style.getPropertyValue('--hue')))"
    for moment, most in ((0, labels[0]), (39, labels[-1])):
        shown.page.locator("#moment").fill(str(moment))
        found = dict(zip(labels, shown.page.evaluate(hues), strict=True))
        assert {name for name, hue in found.items() if hue == 0} == {most} and set(found.values()) == {0, 215}
        said = shown.page.locator("#legend").inner_text()
        assert f"at update {10 * moment}," in said and f"the largest is 1, of {most}" in said
    shown.page.locator("#colors").select_option(label="operator")
    assert shown.page.locator("#moment").is_hidden()
    shown.page.locator(".node", has_text="dense_1.matmul").click()
    assert "last demand" in shown.page.locator("#details").inner_text()
    assert shown.page.locator("#details .chart").count() == 1
    assert shown.page.locator("#findings li").count() == 1
    shown.page.locator(".heat").nth(2).click()
    assert len(shown.chosen()) == 1 and len(shown.asked) == 1 and shown.said == []


def test_names_in_a_trace_run_nothing_and_large_ones_stay_small(open_report: Any, tmp_path: Path) -> None:
    for compilation, size in ((hostile(tmp_path), 5e6), (compiled(deep(160)), 5e6)):
        shown = open_report(compilation, trace=trace_of(compilation))
        assert shown.page.evaluate("window.hit") is None and shown.said == [] and shown.size < size
        assert shown.page.locator(".heat").count() > 5
