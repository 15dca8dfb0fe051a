"""How texts of the language and of the IR are coloured: lexers of Pygments, and grammars of TextMate.

Both are made of one list of rules for each text. The words are those of the grammar (``pjn.lark``) and of the
registered dialects. ``python docs/reference.py`` writes the grammars into ``editors/``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lark.lexer import PatternStr
from pygments.lexer import RegexLexer
from pygments.token import (
    Comment,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Text,
    Whitespace,
    _TokenType,
)

from pjc.dialects.ops import INITIALIZERS
from pjc.frontends.builtins import FUNCTIONS
from pjc.frontends.losses import LOSSES
from pjc.frontends.pjn import grammar
from pjc.frontends.reserved import TYPES
from pjc.frontends.sets import SETS
from pjc.universe import DIALECTS, dialect_factory


@dataclass(frozen=True)
class Rule:
    """A pattern, in the syntax that Python's and TextMate's expressions share, and what it matches is."""

    pattern: str
    token: _TokenType
    scope: str


def pjn_rules() -> list[Rule]:
    """Return the rules of the language, the first that matches counting: its terminals, and builtin names."""
    terminals = {each.name: each.pattern for each in grammar().terminals}
    fixed = [each.value for each in terminals.values() if isinstance(each, PatternStr)]
    space, comment = (terminals[str(name)].value for name in grammar().ignore_tokens)
    words = (each for each in fixed if each.isalpha())
    signs = [each for each in fixed if not each.isalpha()]
    return [
        Rule(space + r"|\n", Whitespace, ""),
        Rule(comment, Comment.Single, "comment.line.number-sign"),
        _words(words, Keyword, "keyword.control"),
        _words(TYPES, Keyword.Type, "storage.type"),
        _words(INITIALIZERS, Name.Constant, "support.constant"),
        _words((*LOSSES, *SETS), Name.Builtin, "support.function.requirement"),
        _words(FUNCTIONS, Name.Builtin, "support.function"),
        Rule(terminals["NUMBER"].value, Number, "constant.numeric"),
        Rule(terminals["NAME"].value, Name, "variable.other"),
        _signs((each for each in signs if each in "+-*//@="), Operator, "keyword.operator"),
        _signs((each for each in signs if each not in "+-*//@="), Punctuation, "punctuation"),
    ]


def ir_rules() -> list[Rule]:
    """Return the rules of the IR as it prints, the first that matches counting."""
    dialects = [dialect_factory(name)() for name in DIALECTS]
    operations = [each.name for dialect in dialects for each in dialect.operations]
    attributes = [each.name for dialect in dialects for each in dialect.attributes]
    builtin = ("array", "dense", "f16", "f32", "f64", "i1", "i32", "i64", "index", "tensor")
    return [
        Rule(r"[ \t\r\n]+", Whitespace, ""),
        Rule(r"//[^\n]*", Comment.Single, "comment.line.double-slash"),
        Rule(r'"(?:[^"\\\n]|\\.)*"', String, "string.quoted.double"),
        Rule(r"->", Operator, "keyword.operator"),
        Rule(r"%[\w$.-]+(?:#[0-9]+)?", Name.Variable, "variable.other"),
        Rule(r"@[\w$.-]+", Name.Label, "entity.name.function"),
        Rule(r"\^\w+", Name.Label, "entity.name.label"),
        Rule(r"[#!](?:" + _any(attributes) + r")(?![\w.])", Name.Decorator, "support.type"),
        Rule(r"[#!][\w.]+", Name.Decorator, "support.type"),
        Rule(r"[0-9]+x", Number.Integer, "constant.numeric.dimension"),
        Rule(r"-?[0-9]+(?:\.[0-9]*(?:[eE][+-]?[0-9]+)?)?(?!\w)", Number, "constant.numeric"),
        _words(operations, Keyword, "keyword.control", more="."),
        _words(builtin, Keyword.Type, "storage.type", more="."),
        Rule(r"[A-Za-z_][\w.$]*", Name, "meta.word"),
        Rule(r"[=*+]|-", Operator, "keyword.operator"),
        Rule(r"[\[\](){}<>,:;]", Punctuation, "punctuation"),
    ]


def _any(words: Iterable[str]) -> str:
    """Return a pattern for any of the words, the longer first."""
    return "|".join(map(re.escape, sorted(set(words), key=lambda each: (-len(each), each))))


def _words(words: Iterable[str], token: _TokenType, scope: str, more: str = "") -> Rule:
    """Return the rule of whole words; ``more`` are characters that go on a word beside letters and digits."""
    return Rule(rf"(?<![\w{more}])(?:{_any(words)})(?![\w{more}])", token, scope)


def _signs(signs: Iterable[str], token: _TokenType, scope: str) -> Rule:
    return Rule(_any(signs), token, scope)


class _Lexer(RegexLexer):  # type: ignore[misc]  # Pygments has no types
    """A lexer whose rules are made when it is first used, for they import the compiler."""

    rules: ClassVar[Callable[[], list[Rule]]]

    @classmethod
    def get_tokendefs(cls) -> dict[str, list[tuple[str, _TokenType]]]:
        """Return the rules as Pygments takes them."""
        return {"root": [*((rule.pattern, rule.token) for rule in cls.rules()), (r".", Text)]}


class PjnLexer(_Lexer):
    """Colours the language of .pjn files."""

    name = "pjn"
    aliases: ClassVar[list[str]] = ["pjn"]
    filenames: ClassVar[list[str]] = ["*.pjn"]
    rules = staticmethod(pjn_rules)


class IrLexer(_Lexer):
    """Colours pjc's IR in the syntax of MLIR."""

    name = "pjc IR"
    aliases: ClassVar[list[str]] = ["mlir", "pjc-ir"]
    filenames: ClassVar[list[str]] = ["*.mlir"]
    rules = staticmethod(ir_rules)


def textmate(name: str, endings: Sequence[str], rules: Iterable[Rule]) -> dict[str, Any]:
    """Return a TextMate grammar of these rules, as its JSON holds it."""
    return {
        "name": name,
        "scopeName": f"source.{name}",
        "fileTypes": list(endings),
        "patterns": [{"match": rule.pattern, "name": f"{rule.scope}.{name}"} for rule in rules if rule.scope],
    }


def textmate_grammars() -> dict[str, dict[str, Any]]:
    """Return the TextMate grammars by the names of their files."""
    return {
        "pjn.tmLanguage.json": textmate("pjn", ["pjn"], pjn_rules()),
        "pjc-ir.tmLanguage.json": textmate("pjc-ir", ["mlir"], ir_rules()),
    }
