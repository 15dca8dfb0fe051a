"""The estimators with scikit-learn's interface: scikit-learn's own checks, and what is ours."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, make_blobs
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import pjc
from pjc.sklearn import ProjectionClassifier, ProjectionRegressor

WEIGHTS = (
    "how often samples come is drawn in every epoch, so that a weight is no repetition to the last digit"
)
SMALL = {"hidden_layer_sizes": (8,), "epochs": 20, "batch_size": 16, "rate": 3e-2}
"""A network that learns what is asked in the checks within a few epochs."""


def expected_failed(estimator: Any) -> dict[str, str]:
    return {"check_sample_weight_equivalence_on_dense_data": WEIGHTS}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@parametrize_with_checks(
    [ProjectionClassifier(**SMALL), ProjectionRegressor(**SMALL)], expected_failed_checks=expected_failed
)
def test_what_scikit_learn_asks_of_estimators(estimator: Any, check: Any) -> None:
    check(estimator)


QUICK = {"epochs": 30, "rate": 3e-2, "random_state": 0}
SOURCE = """
input x: f32[batch, 4]
target y: class[batch, 3]
param w: f32[4, 3] = he_normal
require w in ball(4)
output logits = x @ w
require cross_entropy(logits, y)
"""


@pytest.fixture(scope="module")
def iris() -> tuple[np.ndarray, np.ndarray]:
    data = load_iris()
    return data.data, data.target_names[data.target]


def test_a_classifier_tells_classes_by_their_names(iris: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = iris
    net = ProjectionClassifier((16,), **QUICK).fit(x, y)
    assert net.score(x, y) > 0.95
    assert list(net.classes_) == ["setosa", "versicolor", "virginica"]
    likely = net.predict_proba(x)
    np.testing.assert_allclose(likely.sum(axis=1), 1)
    np.testing.assert_allclose(np.log(likely), net.predict_log_proba(x), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(net.classes_[net.decision_function(x).argmax(1)], net.predict(x))
    assert net.n_iter_ == 30 and len(net.fit_.history) == 30


def test_estimators_go_into_pipelines_searches_and_pickles(iris: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = iris
    line = make_pipeline(StandardScaler(), ProjectionClassifier((16,), normalize="none", **QUICK))
    assert cross_val_score(line, x, y, cv=3).mean() > 0.9
    search = GridSearchCV(line, {"projectionclassifier__rate": [1e-9, 3e-2]}, cv=2).fit(x, y)
    assert search.best_params_ == {"projectionclassifier__rate": 3e-2}
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict_proba(x), search.best_estimator_.predict_proba(x))


def test_sets_hold_for_the_weights(iris: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = iris
    net = ProjectionClassifier((16,), sets=pjc.levels(-1, 0, 1), **QUICK).fit(x, y)
    params = net.fit_.params
    assert all(set(np.unique(params[name])) <= {-1, 0, 1} for name in ("hidden_1", "out"))
    assert net.score(x, y) > 0.8
    sets = {"hidden*": [pjc.nonneg(), pjc.ball(2)], "out": pjc.box(-1, 1)}
    net = clone(ProjectionClassifier((8, 8), sets=sets, epochs=2, random_state=0)).fit(x, y)
    for name in ("hidden_1", "hidden_2"):
        assert net.fit_.params[name].min() >= 0 and np.linalg.norm(net.fit_.params[name]) < 2.001
    assert np.abs(net.fit_.params["out"]).max() <= 1


@pytest.mark.parametrize("kind", ["text", "path", "network"])
def test_a_source_takes_the_place_of_layers(
    kind: str, tmp_path: Any, iris: tuple[np.ndarray, np.ndarray]
) -> None:
    x, y = iris
    (tmp_path / "net.pjn").write_text(SOURCE)
    shape = np.zeros((4, 3), np.float32)
    given = {
        "text": SOURCE,
        "path": tmp_path / "net.pjn",
        "network": pjc.network(
            lambda w, x: x @ w,
            shape,
            pjc.f32["batch", 4],
            loss=pjc.cross_entropy(),
            sets={"": pjc.ball(4)},
            name="net",
        ),
    }[kind]
    net = ProjectionClassifier(source=given, options={"schedule": "constant"}, **QUICK).fit(x, y)
    assert net.score(x, y) > 0.8
    (weight,) = net.fit_.params.values()
    assert np.linalg.norm(weight) < 4.001
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.predict(x), net.predict(x))


def test_a_regressor_tells_numbers_in_their_units() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 3)) * [1, 10, 100]
    y = np.stack([x @ [3, 0.2, 0.01], 1000 + x @ [-1, 0.5, 0]], axis=1)
    net = ProjectionRegressor((32,), random_state=0).fit(x, y)
    assert net.predict(x).shape == (120, 2) and net.score(x, y) > 0.95
    one = ProjectionRegressor((), epochs=400, random_state=0).fit(x, y[:, 1])
    assert one.predict(x).shape == (120,) and one.score(x, y[:, 1]) > 0.95


def test_weights_of_samples_and_classes_count() -> None:
    x, y = make_blobs(centers=[[0, 0], [0, 0.5]], cluster_std=1, n_samples=90, random_state=0)
    plain = ProjectionClassifier((8,), **QUICK).fit(x, y).predict(x).mean()
    by_sample = ProjectionClassifier((8,), **QUICK).fit(x, y, sample_weight=np.where(y == 1, 20, 1))
    by_class = ProjectionClassifier((8,), class_weight={0: 20, 1: 1}, **QUICK).fit(x, y)
    assert by_class.predict(x).mean() < 0.2 < plain < 0.8 < by_sample.predict(x).mean()
    none = np.where(np.arange(90) < 60, 1, 0)
    wrong = np.where(none == 1, y, 1 - y)
    same = ProjectionClassifier((8,), **QUICK).fit(x, wrong, sample_weight=none)
    assert same.score(x[:60], y[:60]) > 0.5


def test_early_stopping_ends_a_fit(iris: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = iris
    net = ProjectionClassifier((16,), early_stopping=True, n_iter_no_change=3, epochs=200, random_state=0)
    assert net.fit(x, y).n_iter_ < 200
    assert net.fit_.history[-1]["validation_accuracy"] is not None


def test_few_samples_are_not_validated_on_copies_of_what_is_trained_on() -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(size=(20, 5)), random.integers(0, 2, 20)  # nothing to learn but by heart
    settings = {"early_stopping": True, "n_iter_no_change": 40, "validation_fraction": 0.3}
    net = ProjectionClassifier((64,), epochs=40, rate=3e-2, random_state=0, **settings).fit(x, y)
    scores = np.array(net.fit_.history["validation_accuracy"])
    np.testing.assert_allclose(scores * 6, np.round(scores * 6), atol=1e-4)
    assert scores.max() < 0.9


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"hidden_layer_sizes": (0,)}, "whole numbers from 1"),
        ({"hidden_layer_sizes": "64"}, "whole numbers from 1"),
        ({"epochs": 0}, "whole number from 1"),
        ({"batch_size": 0}, "batch"),
        ({"sets": {"middle": pjc.ball(1)}}, "there is no layer 'middle'"),
        ({"sets": "levels"}, "sets takes sets"),
        ({"source": SOURCE, "sets": pjc.ball(1)}, "there is a source"),
        ({"source": SOURCE.replace("class[batch, 3]", "class[batch, 5]").replace("4, 3", "4, 5")}, "tells 5"),
        ({"source": "nothing.pjn"}, "nothing.pjn"),
        ({"solver": "best"}, "best"),
        ({"options": {"speed": 3}}, "speed"),
        ({"normalize": "both"}, "both"),
    ],
)
def test_parameters_that_do_not_fit_are_value_errors(
    arguments: dict[str, Any], told: str, iris: tuple[np.ndarray, np.ndarray]
) -> None:
    x, y = iris
    with pytest.raises(ValueError, match=told):
        ProjectionClassifier(**{"epochs": 1, **arguments}).fit(x, y)
