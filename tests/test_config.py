"""Options in a file: what it may say, what wins, and how mistakes in it are told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from running import runner

from pjc.commands import compile as compiling
from pjc.commands.arguments import parse
from pjc.commands.config import names_of
from pjc.commands.train import USAGE
from pjc.commands.training.arguments import Arguments
from pjc.diagnostics import CommandError
from pjc.fields import options_of, parts_of

FULL = """\
epochs = 3
keep_best = true
model = "net.pjn"

[data]
data = "digits"
split = [0.8, 0.1, 0.1]
test-data = "more.npz"

[outer-step]
rate = ["1e-3", "out.*=1e-4"]
freeze = "emb.*"

[Network]
define = { hidden = 32 }
operators = ["a.py", "b.py"]

[solver]
solver = "sweep{weight=0.2}"
"""


def given(text: str, *arguments: str) -> Arguments:
    """Return what a file says, with more of the command line."""
    Path("a.toml").write_text(text)
    return parse(Arguments, USAGE, ["--config", "a.toml", *arguments])


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_file_says_what_a_command_line_says() -> None:
    words = ["net.pjn", "--epochs", "3", "--keep-best", "--data", "digits", "--split", "0.8,0.1,0.1"]
    words += ["--test-data", "more.npz", "--rate", "1e-3", "--rate", "out.*=1e-4", "--freeze", "emb.*"]
    words += ["-D", "hidden=32", "--operators", "a.py", "--operators", "b.py", "--weight", "0.2"]
    assert given(FULL.replace("[Network]", "[network]")) == parse(Arguments, USAGE, words)


def test_the_command_line_wins() -> None:
    found = given(
        FULL.replace("[Network]", "[network]"),
        *("other.pjn", "--epochs", "7", "--rate", "0.5", "--data", "iris.csv", "--operators", "c.py"),
    )
    assert (found.model, found.run.epochs, found.data.data) == ("other.pjn", 7, "iris.csv")
    assert found.session.operators == ("c.py",) and found.run.keep_best
    assert (
        found.options
        == given(
            f"{FULL.split('[outer')[0]}[network]\ndefine.hidden = 32\n[solver]\n"
            'weight = 0.2\n[outer-step]\nrate = 0.5\nfreeze = ["emb.*"]\n'
        ).options
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "a.toml:1: there is no option 'epoch'; did you mean 'epochs'?"),
        ("# a\n\nbtach = 3", "a.toml:3: there is no option 'btach'; did you mean 'batch'?"),
        ("zzzzzz = 3", "a.toml:1: there is no option 'zzzzzz'; --help lists the options"),
        ("[rum]\nepochs = 3", "a.toml:1: there is no group of options 'rum'; did you mean 'run'?"),
        ("\n[data]\nepochs = 3", "a.toml:3: 'epochs' is not of [data] but of [run]"),
        ("[run]\nmodel = 'a'", "a.toml:2: 'model' is not of [run] but of the lines before the first table"),
        ("seed = 1\nepochs = '3'", "a.toml:2: epochs: expected a whole number from 1, found '3'"),
        ("seed = 1\n[run]\nepochs = 1.5", "a.toml:3: epochs: expected a whole number from 1, found 1.5"),
        ("epochs = true", "a.toml:1: epochs: expected a whole number from 1, found True"),
        ("epochs = [3]", "a.toml:1: epochs: expected a whole number from 1, found [3]"),
        ("epochs = 1979-05-27", "a.toml:1: epochs: expected a whole number from 1, found"),
        ("keep-best = 1", "a.toml:1: keep-best: expected True or False, found 1"),
        ("keep-best = true\nkeep_best = true", "'keep_best' is given twice"),
        ("normalize = 'unti'", "a.toml:1: normalize: unknown normalize 'unti'"),
        ("data = 3", "a.toml:1: data: expected a text, found 3"),
        ("split = [0.8, 0.1]", "a.toml:1: split: expected three fractions that add up to 1"),
        ("split = 0.5", "a.toml:1: split: expected three fractions that add up to 1"),
        ("operators = [1]", "a.toml:1: operators: expected a list of texts"),
        ("epochs = ", "a.toml is not a TOML file that can be read: Invalid value"),
        ("config = 'b.toml'", "there is no option 'config'"),
    ],
)
def test_mistakes_in_a_file(text: str, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        given(text, "net.pjn", "--data", "digits")
    assert message in str(caught.value)


def test_files_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    run = runner(capsys)
    Path("folder").mkdir()
    Path("bytes").write_bytes(b"\xff\xfe")
    os.mkfifo("pipe")
    for name, said in (
        ("none.toml", "there is no file none.toml"),
        ("folder", "folder is a directory"),
        ("bytes", "bytes is not a TOML file"),
        ("pipe", "pipe is no file but a pipe"),
    ):
        for command in (["train"], [], ["export"], ["check-operator"]):
            code, _, err = run(*command, "net.pjn", "--config", name)
            assert code == 1 and said in err, (command, err)
    code, _, err = run("train", "net.pjn", "--config")
    assert code == 2 and "expected one argument" in err


def test_every_option_of_every_command_has_a_name() -> None:
    def all_of(cls: type) -> list[Any]:
        return [*options_of(cls), *(each for part in parts_of(cls).values() for each in all_of(part))]

    for cls in (Arguments, compiling.Arguments):
        names = [name for each in all_of(cls) for name in names_of(each)]
        assert len(names) == len(set(names))
        assert all(names_of(each) for each in all_of(cls))


def test_what_is_required_may_be_in_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert given("model = 'net.pjn'\ndata = 'digits'").model == "net.pjn"
    with pytest.raises(SystemExit):
        given("model = 'net.pjn'")
    assert "the following arguments are required: --data" in capsys.readouterr().err
