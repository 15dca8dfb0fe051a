"""2,000 mutants of every format that pjc reads give a result or a sentence, within 10 s and 2 GB each."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz.formats import FORMATS
from fuzz.worker import judge, mutant, seeds_of
from fuzz_files import fuzz


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_mutants_give_a_result_or_a_sentence(name: str, tmp_path: Path) -> None:
    found = fuzz(name, 2000, tmp_path)
    failed = {number: record["said"] for number, record in found.items() if record["outcome"] == "failure"}
    assert failed == {}
    outcomes = [record["outcome"] for record in found.values()]
    assert min(outcomes.count("result"), outcomes.count("sentence")) > 40  # some reach each end


def test_a_mutant_of_a_number_is_the_same_every_time(tmp_path: Path) -> None:
    seeds = seeds_of("npz", tmp_path)
    assert seeds_of("npz", tmp_path) == seeds
    made = [mutant("npz", number, seeds) for number in range(20)]
    assert made == [mutant("npz", number, seeds) for number in range(20)]
    assert len({*made, *seeds}) > 20


@pytest.mark.parametrize(
    ("code", "said", "outcome"),
    [
        (0, "", "result"),
        (0, "pjc: error[PJC9901]: internal error, KeyError: 'x'", "failure"),
        (1, "pjc: error[PJC0904]: x.npz is not a whole .npz file", "sentence"),
        (1, "", "failure"),
        (1, "pjc: error[PJC9901]: internal error, KeyError: 'x'", "failure"),
        (1, "pjc: error[PJC9902]: out of memory; give a smaller --batch", "failure"),
        (1, "x.csv: no column \x1b[2J", "failure"),
    ],
)
def test_what_counts_as_a_failure(code: int, said: str, outcome: str) -> None:
    assert judge(code, said)[0] == outcome


@pytest.mark.slow
def test_a_mutant_that_ends_its_process_is_named_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "npy.jsonl"
    log.write_text('{"format": "npy", "number": 0, "outcome": "result", "said": ""}\n{"format": "npy", "nu')
    found = fuzz("npy", 6, tmp_path)
    assert [record["number"] for record in found.values()] == [0, 1, 2, 3, 4, 5]
    assert "seconds" not in found[0]  # what a log has is not done again
