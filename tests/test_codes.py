"""Each kind of mistake has a code, which examples make; whatever raises a mistake has one, and it stays."""

from __future__ import annotations

import ast
import builtins
import contextlib
import json
import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import imports
import pytest

import pjc
from pjc.cli import main
from pjc.codes import Example, code_of_place, kinds, subjects
from pjc.commands.explain import kind_of
from pjc.diagnostics import CommandError, DiagnosticError, PjcError, code_of, mistake

CODE = re.compile(r"PJC\d{4}")
TAKES_LONG = re.compile(r"pjc train|pjc\.train|-o \w|\bcompile\(|--solver dr|sklearn|pjc\.operator")
"""Examples that compile to the end, or train."""
LISTED = (Path(__file__).parent / "codes.txt").read_text(encoding="utf-8").split()
"""Every code that there ever was: codes are added here, and none is taken away."""


def test_no_code_goes_and_each_has_a_subject() -> None:
    assert LISTED == sorted(set(LISTED)) == list(kinds())
    assert {code[3:5] for code in kinds()} == set(subjects())


def test_kinds_say_what_they_are() -> None:
    places = [place for kind in kinds().values() for place in kind.raised]
    assert len(places) == len(set(places))
    assert len({kind.title for kind in kinds().values()}) == len(kinds())
    for kind in kinds().values():
        assert kind.means.strip() and kind.mend.strip(), kind.code
        assert (kind.example is None) == bool(kind.why_no_example), kind.code
        assert not (kind.retired and kind.raised), kind.code
    assert sum(kind.example is not None for kind in kinds().values()) > 85


def test_kinds_are_the_same_read_again() -> None:
    assert kinds.__wrapped__() == kinds() and kinds()["PJC1011"].raised
    assert code_of_place("pjc.runtime.epoch", "Step.layout") == "PJC1011"


@cache
def inside(module: str) -> tuple[tuple[str, ast.AST], ...]:
    """Return the definitions and raises of a module, with the qualified names of what they stand in."""
    tree = ast.parse(imports.modules()[module].read_text(encoding="utf-8"))
    kept = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Raise)
    return tuple(each for each in functions(tree) if isinstance(each[1], kept))


def functions(tree: ast.AST, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ast.AST]]:
    """Yield each node of a module with the qualified name of what it stands in."""
    for node in ast.iter_child_nodes(tree):
        inner = names
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = (*names, node.name)
        yield ".".join(inner), node
        yield from functions(node, inner)


def test_places_that_kinds_name_are_there() -> None:
    lost = []
    for kind in kinds().values():
        for place in kind.raised:
            module, _, name = place.partition(":")
            known = imports.modules()
            if module not in known and not any(each.startswith(f"{module}.") for each in known):
                lost.append(place)
            elif name:
                there = {each for each, _ in inside(module)}
                if not any(each == name or each.endswith(f".{name}") for each in there):
                    lost.append(place)
    assert not lost


OTHERS = {"Interrupted", "AttributeError", "KeyError"}
"""What is raised that is no mistake of a user's: an interrupt, and what Python's protocols ask for."""
INSIDE = (
    "pjc.runtime.emit",
    "pjc.runtime.projections",
    "pjc.runtime.steps",
    "pjc.runtime.combination",
    "pjc.runtime.collectives",
    "pjc.commands.doctor",
    "pjc.numerals",
    "pjc.passes.lowering.frame",
)
"""Where what Python raises is caught by pjc, or tells of a mistake in it."""
PASSED_ON = {
    ("pjc.driver", "Compilation._run"),
    ("pjc.frontends.expressions", "Evaluator._named"),
    ("pjc.frontends.report", "Report.finish"),
    ("pjc.commands.arguments", "_reader.read"),
    ("pjc.commands.failures", "report"),
    ("pjc.interrupts", "Watch.handle"),
}
"""Where a mistake is raised that has the code of where it was found."""


def raised(module: str) -> Iterator[tuple[str, str]]:
    """Yield the function of each raise of a module, and the name of what it raises."""
    for function, node in inside(module):
        if isinstance(node, ast.Raise) and node.exc is not None:
            made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            yield function, ast.unparse(made).rpartition(".")[2]


def test_whatever_is_raised_has_a_code() -> None:
    found = [(module, *each) for module in imports.modules() for each in raised(module)]
    without = [
        f"{module}:{function} raises {what}; name it under a kind in pjc/codes.toml"
        for module, function, what in found
        if code_of_place(module, function) is None
        and what not in OTHERS
        and not (module.startswith(INSIDE) and hasattr(builtins, what))
        and (module, function) not in PASSED_ON
    ]
    assert len(found) > 1000 and not without


def test_codes_in_the_source_are_registered() -> None:
    named = {
        code: module
        for module, path in imports.modules().items()
        for code in CODE.findall(path.read_text(encoding="utf-8"))
    }
    assert named and not named.keys() - kinds().keys()


def made(example: Example, text: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the codes that the text of an example says, or raises, in the current folder."""
    for name, content in {**example.needed()}.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content.lstrip(), encoding="utf-8")
    if example.python is not None:
        try:
            exec(compile(text, "example.py", "exec"), {"pjc": pjc})
        except (PjcError, ValueError) as error:  # the latter is what scikit-learn asks of estimators
            return [str(code_of(error))]
        return []
    if example.network is not None:
        Path("example.pjn").write_text(text.lstrip(), encoding="utf-8")
        text = "pjc example.pjn --emit net"
    with contextlib.suppress(SystemExit):
        main(shlex.split(text)[1:])
    return re.findall(r"error\[(\w+)\]", capsys.readouterr().err)


def weighed(name: str) -> list[object]:
    """Return the kinds that have an example, or a mended one; those that take long are slow tests."""
    found: list[object] = []
    for kind in kinds().values():
        text = getattr(kind.example, name, None)
        text = text() if callable(text) else text
        if text is not None:
            slow = [pytest.mark.slow] if TAKES_LONG.search(text) else []
            found.append(pytest.param(kind.code, text, id=kind.code, marks=slow))
    return found


Run = Callable[[str, str], list[str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(code: str, text: str) -> list[str]:
        example = kinds()[code].example
        assert example is not None
        return made(example, text, capsys)

    return run


@pytest.mark.parametrize(("code", "text"), weighed("text"))
def test_an_example_makes_its_mistake(code: str, text: str, run: Run) -> None:
    assert set(run(code, text)) == {code}


@pytest.mark.parametrize(("code", "text"), weighed("mended"))
def test_what_is_mended_makes_none(code: str, text: str, run: Run) -> None:
    assert run(code, text) == []


# --- what errors say ------------------------------------------------------------------------------------


def test_an_error_has_the_code_of_where_it_was_raised() -> None:
    with pytest.raises(DiagnosticError) as found:
        pjc.mesh.parse_mesh("sampel=2")
    assert found.value.code == "PJC0501" and "error[PJC0501]: unknown mesh axis" in str(found.value)
    assert (
        DiagnosticError([]).code is None and mistake("no").code is None and str(mistake("no")) == "error: no"
    )


def test_every_diagnostic_of_a_file_has_its_own(run: Run) -> None:
    text = "input x: f32[batch, 2]\na = rellu(x)\nb = relu(x, x)\nc = x +\noutput d = x @ x\n"
    Path("several.pjn").write_text(text, encoding="utf-8")
    with pytest.raises(DiagnosticError) as found:
        pjc.compile("several.pjn")
    assert [each.code for each in found.value.diagnostics] == ["PJC0102"]
    Path("several.pjn").write_text(text.replace("c = x +\n", ""), encoding="utf-8")
    with pytest.raises(DiagnosticError) as found:
        pjc.compile("several.pjn")
    assert [each.code for each in found.value.diagnostics] == ["PJC0105", "PJC0114", "PJC0202"]
    assert found.value.code == "PJC0105"


def test_what_python_raises_elsewhere_has_no_code() -> None:
    with pytest.raises(ZeroDivisionError) as found:
        1 / 0  # noqa: B018
    assert code_of(found.value) is None


# --- pjc explain ------------------------------------------------------------------------------------------


def test_explain_lists_all_and_tells_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    listed = capsys.readouterr().out
    assert CODE.findall(listed) == list(kinds()) and all(each in listed for each in subjects().values())
    for word in ("PJC0105", "pjc0105", "0105", "error[PJC0105]"):
        assert main(["explain", word]) == 0
        told = capsys.readouterr().out
        assert told.startswith("PJC0105: a name that means nothing here\n") and "rellu(x)" in told
    assert main(["explain", "PJC0306"]) == 0
    told = capsys.readouterr().out
    assert "With plain.pjn:" in told and "param w" in told


def test_explain_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--json"]) == 0
    (codes,) = json.loads(capsys.readouterr().out).values()
    assert [each["code"] for each in codes] == list(kinds())
    assert codes[0]["subject"] == "The language" and codes[0]["example"]["network"]


@pytest.mark.parametrize(("word", "advice"), [("PJC0195", "did you mean PJC"), ("what", "lists all")])
def test_an_unknown_code_is_refused(word: str, advice: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match=advice):
        kind_of(word)
    assert main(["explain", word]) == 1
    assert capsys.readouterr().err.startswith("pjc: error[PJC1203]: there is no code ")
