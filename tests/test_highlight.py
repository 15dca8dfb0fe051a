"""Texts of the language and of the IR are coloured by what they say, in Pygments and in editors alike."""

from __future__ import annotations

import json
import re
import runpy
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path

import pytest
from pygments.token import Comment, Keyword, Name, Number, String, Text, Token

from pjc.driver import compile_file
from pjc.frontends.layout import STATEMENTS
from pjc.highlight import IrLexer, PjnLexer, Rule, ir_rules, pjn_rules
from pjc.options import Options

ROOT = Path(__file__).parent.parent
EDITORS = ROOT / "editors"
NETWORKS = sorted([*(ROOT / "examples").glob("*.pjn"), *(ROOT / "pjc" / "library").glob("*.pjn")])

SMALL = """
input x: f32[batch, 6]
target y: class[batch, 3]
param w: f32[6, 3] = 0.5 * he_normal  # drawn
for i in 0..2 {
  param v: f32[6, 6] = uniform(-1, 1)
  x = relu(x @ v)
}
output z = x @ w
require cross_entropy(z, y, strength = 1e-2)
"""


def tokens(lexer: type[PjnLexer] | type[IrLexer], text: str) -> list[tuple[type, str]]:
    return [(token, value) for token, value in lexer().get_tokens(text) if value.strip()]


def scopes(grammar: dict[str, object], text: str) -> list[tuple[str, str]]:
    """Return what an editor makes of a text: line by line, the first pattern of those that match first."""
    patterns = [(re.compile(each["match"]), each["name"]) for each in grammar["patterns"]]  # type: ignore
    found = []
    for line in text.splitlines():
        at = 0
        while matches := [(m, name) for each, name in patterns if (m := each.search(line, at)) and m[0]]:
            match, name = min(matches, key=lambda each: each[0].start())
            found.append((name, match[0]))
            at = match.end()
    return found


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.name)
def test_every_character_of_a_network_has_a_meaning(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = list(PjnLexer().get_tokens(text))
    assert "".join(value for _, value in found).strip() == text.strip()
    assert not [value for token, value in found if token in (Text, Token.Error)]


def test_words_of_the_language_are_told_apart() -> None:
    found = tokens(PjnLexer, SMALL)
    for token, value in [
        *((Keyword, word) for word in ("input", "target", "param", "for", "in", "output", "require")),
        (Keyword.Type, "f32"),
        (Keyword.Type, "class"),
        (Name.Constant, "he_normal"),
        (Name.Builtin, "relu"),
        (Name.Builtin, "cross_entropy"),
        (Name, "strength"),
        (Number, "1e-2"),
        (Number, "0"),
        (Comment.Single, "# drawn"),
    ]:
        assert (token, value) in found
    assert set(STATEMENTS) <= set(re.findall(r"\w+", pjn_rules()[2].pattern))


@pytest.mark.parametrize(
    "text", ["inputs = params", "h = input_weight @ relu_0", "x.shape_in", "def2 = fort"]
)
def test_a_name_that_holds_a_word_is_a_name(text: str) -> None:
    assert {token for token, value in tokens(PjnLexer, text) if value[0].isalpha()} == {Name}


@pytest.mark.parametrize("stage", ["net", "feas", "proj"])
def test_every_character_of_a_dump_has_a_meaning(stage: str, tmp_path: Path) -> None:
    (tmp_path / "small.pjn").write_text(SMALL)
    text = str(compile_file(str(tmp_path / "small.pjn"), Options(batch=4, solver="dr")).at(stage))
    found = tokens(IrLexer, text)
    assert not [value for token, value in found if token in (Text, Token.Error)]
    dialect = {"net": "net.network", "feas": "feas.problem", "proj": "proj.program"}[stage]
    assert (Keyword, dialect) in found and (Keyword.Type, "tensor") in found
    assert (Name.Variable, "%x") in found or stage == "proj"
    assert any(token is String and value == '"cross_entropy"' for token, value in found)


@pytest.mark.parametrize(("name", "lexer"), [("pjn", PjnLexer), ("pjc-ir", IrLexer)])
def test_pygments_finds_the_lexers(name: str, lexer: type) -> None:
    (found,) = entry_points(group="pygments.lexers", name=name)
    assert found.load() is lexer


def test_grammars_of_editors_are_as_the_code_says() -> None:
    files = runpy.run_path(str(ROOT / "docs" / "reference.py"))["grammar_files"]()
    for name, text in files.items():
        assert (EDITORS / name).read_text(encoding="utf-8") == text, "run python docs/reference.py"
    package = json.loads((EDITORS / "package.json").read_text())["contributes"]
    named = [each["path"] for each in package["grammars"]]
    named += [each["configuration"] for each in package["languages"]]
    assert {each.removeprefix("./") for each in named} >= set(files)
    assert all(json.loads((EDITORS / each).read_text()) for each in named)


@pytest.mark.parametrize(
    ("file", "rules", "lexer"),
    [("pjn", pjn_rules, PjnLexer), ("pjc-ir", ir_rules, IrLexer)],
    ids=["pjn", "ir"],
)
def test_editors_see_what_pygments_sees(file: str, rules: object, lexer: type, tmp_path: Path) -> None:
    grammar = json.loads((EDITORS / f"{file}.tmLanguage.json").read_text())
    kinds: dict[str, type] = {f"{rule.scope}.{file}": rule.token for rule in rules()}  # type: ignore
    texts = [SMALL, *(path.read_text() for path in NETWORKS)]
    if file == "pjc-ir":
        (tmp_path / "small.pjn").write_text(SMALL)
        compilation = compile_file(str(tmp_path / "small.pjn"), Options(batch=4))
        texts = [str(compilation.at(stage)) for stage in ("net", "feas", "proj")]
    for text in texts:
        assert [(kinds[name], value) for name, value in scopes(grammar, text)] == tokens(lexer, text)


def test_rules_are_read_alike_by_both_kinds_of_expressions() -> None:
    """Oniguruma and Python part on named groups, flags, lookbehinds of several lengths, and ``\\Z``."""
    rules: list[Rule] = [*pjn_rules(), *ir_rules()]
    assert not [rule for rule in rules if re.search(r"\(\?P|\(\?[a-z]|\\[AZ]", rule.pattern)]
    assert all(rule.pattern for rule in rules) and all(one != other for one, other in pairwise(rules))
