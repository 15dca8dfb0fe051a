"""The documents say what the code says, and name nothing that is not there."""

from __future__ import annotations

import ast
import json
import re
import runpy
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pjc
from pjc.commands import COMMANDS
from pjc.runtime.projections import REGISTERED

ROOT = Path(__file__).parent.parent
FOLDERS = ("pjc", "dialects", "passes", "runtime", "tests", "examples", "docs", "benchmarks", "editors")
MARKDOWN = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
PYTHON = [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]

LINK = re.compile(r"\]\(([^()\s]+)\)")
MENTION = re.compile(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w./-]*\w\.(?:\w+)(?:#[\w-]+)?")
"""A path to a file as prose has it: one of the folders, a name with an extension, and perhaps a heading."""
OUTSIDE = re.compile(r"\b(?:RE)?DESIGN\b|docs/design\.md,? (?:section|chapter)")
"""References to documents that are not here, or by numbers that headings do not have."""


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def anchors(path: Path) -> set[str]:
    """Return the names by which links reach the headings of a page."""
    headings = re.findall(
        r"^#+ +(.+?)\s*$", re.sub(r"```.*?```", "", read(path), flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_there(reference: str, folder: Path) -> bool:
    """Return whether ``path#heading``, seen from a folder or from a page, is a file and a heading of it."""
    name, _, anchor = reference.partition("#")
    path = folder / name if name else folder
    return path.exists() and (not anchor or anchor in anchors(path.resolve()))


def docstrings(path: Path) -> Iterator[str]:
    """Give every text of a file that stands by itself: of modules, classes, functions and attributes."""
    for node in ast.walk(ast.parse(read(path))):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.value.value


def test_references_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# A page\n\n## Forms, and `copies`\n\n```\n# no heading\n```\n")
    assert is_there("page.md", tmp_path) and is_there("page.md#forms-and-copies", tmp_path)
    assert not is_there("page.md#no-heading", tmp_path) and not is_there("other.md", tmp_path)
    assert MENTION.findall("see docs/design.md#meaning, tests/ir and (runtime/emit.py).") == [
        "docs/design.md#meaning",
        "runtime/emit.py",
    ]
    assert OUTSIDE.search("see DESIGN.md section 2") and not OUTSIDE.search("docs/design.md#meaning")


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths_of_a_page_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", read(path), flags=re.DOTALL)
    links = [link for link in LINK.findall(text) if "://" not in link]
    lost = [link for link in links if not is_there(link, path if link.startswith("#") else path.parent)]
    lost += [name for name in MENTION.findall(LINK.sub("]", text)) if not is_there(name, ROOT)]
    assert not lost


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_in_docstrings_lead_somewhere(path: Path) -> None:
    named = [name for text in docstrings(path) for name in MENTION.findall(text)]
    named += [name for name in MENTION.findall(read(path)) if name.startswith("docs/")]
    assert not [name for name in named if not is_there(name, ROOT)]


@pytest.mark.parametrize("path", [*MARKDOWN, *PYTHON], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_reference_to_a_document_that_is_not_here(path: Path) -> None:
    if path != Path(__file__):
        assert not OUTSIDE.findall(read(path))


def test_every_page_can_be_reached_from_the_readme() -> None:
    linked = set(LINK.findall(read(ROOT / "README.md")))
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= {
        link.partition("#")[0] for link in linked
    }


def test_every_decision_has_a_reason() -> None:
    text = read(ROOT / "docs" / "design.md")
    decisions = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert len(decisions) > 40
    for decision in decisions:
        assert "- **Decision.** " in decision and "- **Reason.** " in decision


def test_the_page_of_passes_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "reference.py"))["page"]()
    assert read(ROOT / "docs" / "passes.md") == page, "run python docs/reference.py"


@pytest.mark.parametrize(("name", "make"), [("options", "options_page"), ("constraints", "constraints_page")])
def test_generated_pages_are_as_the_code_says(name: str, make: str) -> None:
    page = runpy.run_path(str(ROOT / "docs" / "reference.py"))[make]()
    assert (ROOT / "docs" / f"{name}.md").read_text() == page, "run python docs/reference.py"


def test_the_table_of_sources_is_up_to_date() -> None:
    with_table = runpy.run_path(str(ROOT / "docs" / "reference.py"))["with_table"]
    text = read(ROOT / "docs" / "data.md")
    assert "| `FILE.npz` |" in text and with_table(text) == text, "run python docs/reference.py"


def test_the_table_of_primitives_is_up_to_date() -> None:
    with_primitives = runpy.run_path(str(ROOT / "docs" / "reference.py"))["with_primitives"]
    text = read(ROOT / "docs" / "python.md")
    assert "| `scan` | a loop |" in text and with_primitives(text) == text, "run python docs/reference.py"


def test_the_table_of_functions_that_are_not_there_is_that_of_the_code() -> None:
    with_standins = runpy.run_path(str(ROOT / "docs" / "reference.py"))["with_standins"]
    text = read(ROOT / "docs" / "language.md")
    assert "| `tanh` | use clip(x, -1, 1)" in text and with_standins(text) == text, (
        "run python docs/reference.py"
    )


def test_the_table_of_sets_is_that_of_the_code() -> None:
    with_sets = runpy.run_path(str(ROOT / "docs" / "reference.py"))["with_sets"]
    text = read(ROOT / "docs" / "language.md")
    assert "| `nonneg` | entries of at least 0 |" in text and with_sets(text) == text, (
        "run python docs/reference.py"
    )


def python_of(page: Path) -> list[str]:
    """Return the blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", read(page), re.DOTALL | re.MULTILINE)


PYTHON_PAGE = ROOT / "docs" / "python.md"


@pytest.mark.slow
@pytest.mark.parametrize("at", range(len(python_of(PYTHON_PAGE))))
def test_each_example_of_the_page_on_python_runs(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = python_of(PYTHON_PAGE)[at]
    for library in re.findall(r"(?:from|import) (flax|equinox)\b", code):
        pytest.importorskip(library)
    (tmp_path / "page.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    before = dict(REGISTERED)
    try:
        runpy.run_path("page.py")
    finally:
        REGISTERED.clear()
        REGISTERED.update(before)
    printed = capsys.readouterr().out
    if "except pjc" in code:
        shown = read(PYTHON_PAGE).partition(code)[2].split("```\n")[2]
        assert printed == shown


def test_the_example_in_the_tour_is_the_example() -> None:
    assert read(ROOT / "examples" / "digits_mlp.pjn").strip() in read(ROOT / "docs" / "tour.md")


@pytest.mark.parametrize(
    ("page", "stages"), [("tour.md", [["net"], ["feas"], ["proj"]]), ("training.md", [["proj"]])]
)
def test_the_dumps_of_a_page_are_what_pjc_prints(page: str, stages: list[list[str]]) -> None:
    dumps = runpy.run_path(str(ROOT / "docs" / "dumps.py"))
    assert ROOT / "docs" / page in dumps["PAGES"]
    found = list(dumps["DUMP"].finditer(read(ROOT / "docs" / page)))
    assert [re.findall(r"--emit (\w+)", match["command"]) for match in found] == stages
    for match in found:
        whole = dumps["printed"](match["command"])
        if dumps["SHORTENED"] not in match["text"]:
            assert match["text"] == whole, "run python docs/dumps.py"
            continue
        rest = iter(whole.splitlines())
        for line in match["text"].splitlines():
            assert line.strip() == dumps["SHORTENED"] or line in rest, f"not printed, or not here: {line}"


def test_the_network_of_the_readme_is_an_example() -> None:
    (name,) = re.findall(r"^`(examples/\w+\.pjn)`, .*?:$", read(ROOT / "README.md"), re.MULTILINE)
    lines = [line for line in read(ROOT / name).splitlines() if not line.startswith("#")]
    assert len(lines) == 10
    assert "```pjn\n" + "\n".join(lines) + "\n```" in read(ROOT / "README.md")


def test_the_times_of_the_page_are_those_of_the_file_beside_the_benchmark() -> None:
    table = [line.split() for line in read(ROOT / "docs" / "speed.md").splitlines()]
    for row in json.loads(read(ROOT / "benchmarks" / "results.json"))["rows"]:
        ratios = (row[name] for name in ("ratio_to_products", "ratio_to_adam") if name in row)
        times = (
            f"{row['median_ms']:.2f}",
            *(f"{ratio:.2f}" for ratio in ratios),
            f"{row['compile_seconds']:.1f}",
        )
        assert [row["case"], *row["name"].split(), *times, f"{row['temp_megabytes']:.1f}"] in table


def test_the_page_of_examples_has_them_all() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", read(ROOT / "docs" / "examples.md"), re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "examples").glob("*.pjn"))


def test_the_page_of_examples_has_those_in_python() -> None:
    listed = set(re.findall(r"^\| `(\w+\.py)` \|", read(ROOT / "docs" / "examples.md"), re.MULTILINE))
    assert listed == {path.name for path in (ROOT / "examples").glob("*.py")} - {"winner.py"}


def test_the_page_of_commands_has_them_all() -> None:
    rows = [line for line in read(ROOT / "docs/commands.md").splitlines() if line.startswith("| `pjc ")]
    listed = [line.removeprefix("| `pjc ").split(" ")[0].strip("`") for line in rows]
    assert sorted(listed) == sorted("MODEL" if name == "compile" else name for name in COMMANDS)


def test_version_and_changelog_agree() -> None:
    version = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["version"]
    assert pjc.__version__ == version
    assert read(ROOT / "CHANGELOG.md").startswith(f"# Changelog\n\n## {version} (")
