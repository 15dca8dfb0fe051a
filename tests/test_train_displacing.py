"""Training by displacements and an outer step, and what is said of a run that learns nothing."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from displacing import program
from test_train import Means, Watch, parts, same

from pjc.runtime.data import Dataset
from pjc.runtime.distributed import MeshShare, sample_mesh
from pjc.runtime.findings import Findings
from pjc.runtime.history import (
    Checkpoint,
    Result,
    read_checkpoint,
    read_parameters,
    write_checkpoint,
    write_history,
)
from pjc.runtime.outer import Outer
from pjc.runtime.stepper import SweepStepper, UpdateStepper, stepper_for
from pjc.runtime.train import Run, TrainError, train

OUTER = Outer("adam", {"": 1e-2}, warmup=0.1)


def few(count: int = 640) -> Dataset:
    return parts()[0].take(np.arange(count), "few")


class Heard(Watch):
    """Also notes what it is warned of."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__(stop_after)
        self.warned: list[str] = []

    def warning(self, text: str) -> None:
        self.warned.append(text)


def test_the_way_to_train_is_that_of_the_solver() -> None:
    assert stepper_for(program(OUTER)) is SweepStepper and stepper_for(Means()) is UpdateStepper
    with pytest.raises(TrainError, match="iterations are of solvers that iterate, found 3"):
        train(program(OUTER), few(), Run(epochs=1, iterations=3))


def test_training_is_steps_of_the_program_over_the_run() -> None:
    data = few(96)
    made = program(replace(OUTER, warmup=0.5), layers=1)
    found = train(made, data, Run(epochs=2, seed=5))
    by_hand = optax.adam(optax.warmup_cosine_decay_schedule(0, 1e-2, 3, 6), eps=1e-8)
    params = made.init(5)
    state = by_hand.init(params)
    demands = []
    for epoch in range(2):
        order = np.random.default_rng([5, epoch]).permutation(96)
        for batch in range(3):
            rows = order[32 * batch : 32 * batch + 32]
            asked, info = made.displacement(params, data.x[rows], data.y[rows])
            demands.append(float(info["demand"]))
            moves, state = by_hand.update(jax.tree.map(jnp.negative, asked), state, params)
            params = optax.apply_updates(params, moves)
    for name, value in params.items():
        np.testing.assert_allclose(found.params[name], value, rtol=1e-4, atol=1e-6)
    assert [row.gap for row in found.history] == pytest.approx([sum(demands[:3]) / 3, sum(demands[3:]) / 3])


def test_training_learns_and_its_history_has_the_demand(tmp_path: Path) -> None:
    data, test = few(), parts()[1]
    heard = Heard()
    result = train(program(OUTER), data, Run(epochs=4, validation=test), heard)
    assert result.history[-1].validation > 0.8 and result.history[-1].gap < 0.5 * result.history[0].gap
    assert heard.warned == []
    write_history(tmp_path / "a.csv", result.history, "accuracy", "demand")
    first, *rows = csv.reader((tmp_path / "a.csv").read_text().splitlines())
    assert first[2] == "demand" and [float(row[2]) for row in rows] == [row.gap for row in result.history]


@pytest.mark.parametrize("outer", [OUTER, Outer("lion", accumulate=3), Outer("none")], ids=lambda o: o.name)
def test_a_run_that_is_resumed_gives_the_same_numbers(outer: Outer, tmp_path: Path) -> None:
    made = program(outer, box=0.3)
    data = few(160)
    run = Run(epochs=3, seed=1)
    whole = train(made, data, run)
    path = tmp_path / "a.safetensors"
    for after in (2, 5):
        stopped = train(made, data, run, Watch(after))
        write_checkpoint(path, Checkpoint(stopped), {})
        assert set(read_parameters(path)) == {"b", "out.w", "layer0.w", "layer1.w"}
        resumed = train(program(outer, box=0.3), data, replace(run, start=read_checkpoint(path).result))
        assert same(resumed, whole)
        assert resumed.latent.keys() == whole.latent.keys()
        assert all(np.array_equal(resumed.latent[name], whole.latent[name]) for name in whole.latent)
    names = {name.partition("/")[0] for name in whole.latent if name.startswith("outer/")}
    assert names == (set() if outer.name == "none" else {"outer"})


def test_on_a_mesh_what_is_remembered_is_on_every_device() -> None:
    made, data = program(Outer("adam", {"": 1e-2}, accumulate=2), box=0.3), few(160)
    alone = train(made, data, Run(epochs=1))
    spread = train(made, data, Run(epochs=1, share=MeshShare(sample_mesh())))
    assert alone.latent.keys() == spread.latent.keys() and len(alone.latent) > 8
    for ours, theirs in ((alone.params, spread.params), (alone.latent, spread.latent)):
        assert all(np.allclose(ours[name], theirs[name], rtol=1e-5, atol=1e-7) for name in ours)


def test_parameters_of_a_result_are_in_their_sets() -> None:
    result = train(program(Outer("sgd", {"": 1.0}), box=0.05), few(160), Run(epochs=1))
    assert max(float(jnp.abs(each).max()) for each in result.params.values()) <= 0.05 + 1e-6
    assert float(jnp.abs(result.latent["out.w"]).max()) > 0.05
    assert result.history[0].violation is None


def test_a_checkpoint_of_another_outer_step_is_refused() -> None:
    data = few(160)
    stopped = train(program(OUTER), data, Run(epochs=2), Watch(5))
    with pytest.raises(TrainError, match=r"training cannot go on from there: the outer step's arrays are of"):
        train(program(Outer("lion")), data, Run(epochs=2, start=stopped))
    alone = replace(stopped, latent={})
    assert train(program(Outer("lion")), data, Run(epochs=2, start=alone)).epoch == 2


def test_more_epochs_follow_the_schedule_of_the_new_length() -> None:
    made, data = program(Outer("sgd", {"": 0.1}, "linear")), few(160)
    ended = train(made, data, Run(epochs=1))
    longer = train(made, data, Run(epochs=2, start=ended))
    straight = train(made, data, Run(epochs=2))
    assert not np.allclose(longer.params["b"], straight.params["b"], atol=1e-5)
    counts = [int(v) for name, v in longer.latent.items() if name.endswith(".count")]
    assert counts == [10]


def test_training_that_diverges_says_so() -> None:
    with pytest.raises(
        TrainError, match=r"diverged: the demand is (nan|inf) in epoch \d; try a smaller --rate, --clip 1"
    ):
        train(program(Outer("sgd", {"": 1e38})), few(), Run(epochs=3))


# --- what is said of a run ----------------------------------------------------------------------------


class Still(Means):
    """Means that do not move."""

    def update(self, params: Any, *data: Any, **asked: Any) -> Any:
        return params, {"gap": jnp.float32(1)}


def test_parameters_that_do_not_move_are_named_once() -> None:
    heard = Heard()
    train(Still(), few(), Run(epochs=3, validation=parts()[1]), heard)
    (said,) = (text for text in heard.warned if "not moved" in text)
    assert said.startswith("not moved in epoch 1: means; what is required does not depend on them")


def test_frozen_parameters_are_not_among_them() -> None:
    outer = replace(OUTER, freeze=("out.*", "layer1.w"))
    heard = Heard()
    result = train(program(outer), few(), Run(epochs=1, validation=parts()[1]), heard)
    start = program(outer).init(0)
    for name in ("out.w", "layer1.w"):
        assert np.array_equal(result.params[name], start[name])
    assert not np.array_equal(result.params["layer0.w"], start["layer0.w"])
    assert not [text for text in heard.warned if "not moved" in text]


def test_a_score_no_better_than_guessing_is_said_once() -> None:
    data, test = few(), parts()[1]
    generator = np.random.default_rng(0)
    blind = replace(data, x=generator.normal(size=data.x.shape).astype(np.float32))
    away = replace(test, x=generator.normal(size=test.x.shape).astype(np.float32))
    for made, advice in ((program(OUTER), "try another --rate"), (Means(), "try more --iterations")):
        heard = Heard()
        train(made, blind, Run(epochs=2, validation=away), heard)
        (said,) = heard.warned
        assert re.match(r"validation accuracy after epoch [12] is ", said)
        assert f"no better than guessing among 10 classes; {advice}" in said


def test_without_validation_the_training_part_is_looked_at_once() -> None:
    heard = Heard()
    train(Still(), few(), Run(epochs=2), heard)
    assert [text.partition(" is ")[0] for text in heard.warned if "guessing" in text] == [
        "training accuracy after epoch 2"
    ]
    counted = []

    def score(params: Any, data: Dataset) -> float:
        counted.append(len(data))
        return 0.9

    findings = Findings(Means(), Result({}), "try")
    result = train(Means(), few(), Run(epochs=1))
    assert findings.after(result, few(), score) == findings.after(result, few(), score) == []
    assert counted == [512]
