"""The reference pages say what the code says, and the README's Python runs."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_page_of_passes_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "reference.py"))["page"]()
    assert (ROOT / "docs" / "passes.md").read_text() == page, "run python docs/reference.py"


def test_the_page_of_options_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "reference.py"))["options_page"]()
    assert (ROOT / "docs" / "options.md").read_text() == page, "run python docs/reference.py"


def test_the_example_in_the_readme_is_the_example() -> None:
    example = (ROOT / "examples" / "digits_mlp.pjn").read_text().strip()
    assert example in (ROOT / "README.md").read_text()


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "examples").mkdir()
    source = ROOT / "examples" / "digits_mlp.pjn"
    (tmp_path / "examples" / source.name).write_bytes(source.read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert "feas.problem @digits_mlp" in capsys.readouterr().out
    assert (tmp_path / "digits.pjx").stat().st_size > 1000
