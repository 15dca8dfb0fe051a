"""The site builds without a warning, names no page that is not there, and fetches nothing from elsewhere."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
NEEDED = ("mkdocs", "material", "mkdocstrings")
FETCHING = {"script": "src", "link": "href", "img": "src", "iframe": "src"}


class Page(HTMLParser):
    """The names on a page, what it links to, and what a browser fetches for it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names |= {str(given[key]) for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        if given.get(FETCHING.get(tag, "")) and given.get("rel") != "canonical":
            self.fetched.append(str(given[FETCHING[tag]]))


def lost(pages: dict[Path, Page], root: Path) -> list[str]:
    """Return the links, and what is fetched, that lead nowhere."""
    found = []
    for path, page in pages.items():
        for link in [*page.links, *page.fetched]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            name = unquote(parts.fragment)
            if path.name == "404.html":  # its links are from the root of wherever the site stands
                continue
            if not target.exists() or (name and target in pages and name not in pages[target].names):
                found.append(f"{path.relative_to(root)}: {link}")
    return found


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<h1 id="top">A</h1><a href="b.html#here">b</a><img src="no.png">')
    (tmp_path / "b.html").write_text('<a id="there" href="a.html#top">a</a><a href="#none">c</a>')
    pages = {path: Page(path) for path in tmp_path.glob("*.html")}
    assert sorted(lost(pages, tmp_path)) == ["a.html: b.html#here", "a.html: no.png", "b.html: #none"]


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(find_spec, NEEDED)), reason="needs mkdocs-material and mkdocstrings: pip install -e '.[docs]'"
)
def test_the_site_builds_without_warnings_and_dead_links(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    pages = {path: Page(path) for path in tmp_path.rglob("*.html")}
    assert len(pages) > 30
    assert not lost(pages, tmp_path)
    fetched = [each for page in pages.values() for each in page.fetched if urlsplit(each).netloc]
    assert not fetched
    text = (tmp_path / "api.html").read_text() + (tmp_path / "dialects.html").read_text()
    assert all(word in text for word in ("pjc.api.compile", "class_weight", "op.sum_relu", "proj.iterate"))


def test_ci_builds_the_site_as_the_guide_says() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for words in ("pip install -q -e '.[docs]'", ".venv/bin/mkdocs build --strict"):
        assert words in guide and words in ci


def test_the_navigation_names_every_page() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2].partition("\n\n")[0]
    named = set(re.findall(r": (\S+\.md)$", nav, re.MULTILINE))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= named


# --- figures ------------------------------------------------------------------------------------------


def test_the_figure_of_two_curves_shows_what_its_page_says() -> None:
    """ap rests where the curves nearly touch; the others come to a point of both."""
    figures = runpy.run_path(str(ROOT / "docs" / "figures.py"))
    for solver, met in (("ap", False), ("dr", True), ("rrr{step=0.5}", True)):
        points, ends = figures["path_of"](solver)
        one, other = ends[-1]
        gap = np.linalg.norm(one - other)
        assert points.shape == (figures["STEPS"] + 1, 2)
        assert (gap < figures["MET"]) == met
        if met:
            assert abs(np.linalg.norm(other) - 1) < 0.01 and abs(1.6 - 1.5 * other[0] - other[1]) < 0.01
        else:
            assert gap == pytest.approx(0.15, abs=0.01)


def test_copies_vanish_as_the_figure_says() -> None:
    copies = runpy.run_path(str(ROOT / "docs" / "figures.py"))["copies"]
    assert copies("dr", 0) == copies("ap", 0) > 10 * copies("dr", 2) > 0
    assert copies("ap", 0) > 10 * copies("ap", 1) and copies("sweep", 0) == 0


def test_the_figure_of_fusion_is_what_pjc_draws() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "figures.py"))["fusion"]()
    assert drawn == (ROOT / "docs" / "figures" / "fusion.svg").read_text(), "run python docs/figures.py"


def test_every_figure_is_shown() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert not [path.name for path in (ROOT / "docs" / "figures").iterdir() if path.name not in text]
