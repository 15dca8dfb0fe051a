"""Estimators with the interface of scikit-learn: in pipelines, grid searches, cross validation.

>>> ProjectionClassifier((64,), random_state=0).fit(x, y).score(x, y)                # doctest: +SKIP
0.99
"""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from pjc.callbacks import EarlyStopping, TrainingWarning
from pjc.diagnostics import PjcError, mistake
from pjc.driver import Compilation, again
from pjc.fields import require_known
from pjc.fit import Fit
from pjc.options import Options
from pjc.runtime.data.errors import DataError
from pjc.runtime.data.splitting import split
from pjc.runtime.data.weights import weighted
from pjc.runtime.history import Result
from pjc.runtime.outer_settings import is_transformation
from pjc.runtime.program import Program
from pjc.runtime.standardize import can_standardize
from pjc.runtime.streams import dataset
from pjc.runtime.trainable import TrainError, specs
from pjc.runtime.units import Units
from pjc.sources import source_of
from pjc.tracing.asks import Set
from pjc.training import train

__all__ = ["ProjectionClassifier", "ProjectionRegressor"]


class _Projection(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What classifier and regressor have in common."""

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (64,),
        *,
        source: Any = None,
        sets: Any = None,
        solver: str | None = None,
        rate: float | None = None,
        options: Mapping[str, Any] | None = None,
        epochs: int = 200,
        batch_size: int = 32,
        normalize: str = "standard",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.source = source
        self.sets = sets
        self.solver = solver
        self.rate = rate
        self.options = options
        self.epochs = epochs
        self.batch_size = batch_size
        self.normalize = normalize
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.verbose = verbose

    @property
    def fit_(self) -> Fit:
        """What :func:`pjc.train` returned: the program, parameters and history.

        It takes and tells classes by the names that they have as text, unless they are numbers from 0, and
        numbers in the units that they were given in; scores in its history are of standardized numbers.
        """
        return self._fit_in(self._units())

    def _units(self) -> Mapping[str, Units]:
        """Return the units of targets that were moved for training, if the network may have any."""
        return {}

    def _fit_in(self, units: Mapping[str, Units]) -> Fit:
        check_is_fitted(self, "result_")
        program = _compiled(self.network_)
        program = program.rescaled(units) if units and can_standardize(program) else program
        return Fit(program, self.result_, int(self.epochs), notes=self.notes_)

    @property
    def n_iter_(self) -> int:
        """How many epochs were trained."""
        check_is_fitted(self, "result_")
        return int(self.result_.epoch)

    def _train(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        target: str,
        weight: NDArray[Any] | None = None,
        class_weight: Any = None,
        names: tuple[str, ...] = (),
    ) -> None:
        """Train on samples; ``target`` declares y in the language, where there is no source.

        ``names`` are those of classes that are not called by their numbers.
        """
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        with _values():
            self.network_ = self._network(x.shape[1], y.shape[1] if y.ndim > 1 else 1, target)
            program = _compiled(self.network_)
            program.require_trainable()
            samples = replace(dataset(x, y, "the data", specs(program)[1]), class_names=names)
            if weight is not None:
                samples = weighted(samples, weight)
            aside = None
            if self.early_stopping:
                samples, aside = split(samples, self.validation_fraction, "validation")
            # Fewer samples than a batch has are taken several times, all as often: no other size is compiled.
            times = -(-int(program.batch or 1) // len(samples))
            if times > 1:
                samples = samples.take(np.tile(np.arange(len(samples)), times), samples.name)
            found = train(
                program,
                samples,
                class_weight=class_weight,
                epochs=self.epochs,
                validation=aside,
                callbacks=[EarlyStopping(self.n_iter_no_change)] if self.early_stopping else (),
                seed=seed,
                normalize=self.normalize,
                normalize_targets="none",
                verbose=bool(self.verbose),
            )
        result = found.result
        params = {name: np.asarray(value) for name, value in found.kept.params.items()}
        self.result_ = Result(params, result.history, result.epoch, seconds=result.seconds)
        self.notes_ = dict(found.notes)

    def _network(self, features: int, columns: int, target: str) -> str:
        """Return the record of the network and its options, from which it is compiled, as text."""
        given = {"batch": self.batch_size, "solver": self.solver, "rate": self.rate, **(self.options or {})}
        given = {name: value for name, value in given.items() if value is not None}
        require_known(Options, given)
        if is_transformation(given.get("outer")):
            raise mistake(
                "an estimator takes an outer step by its name, found an optax transformation of your own",
                "train with pjc.train, which takes it",
            )
        network = self.source
        if network is None:
            width = columns if target == "numbers" else int(target)
            network = _text(_sizes(self.hidden_layer_sizes), features, width, target == "numbers", self.sets)
        elif self.sets is not None:
            raise mistake("sets are those of the weights of hidden_layer_sizes, and there is a source")
        compilation = Compilation(source_of(network), Options(**given))
        if self.source is not None:
            _ = compilation.start  # which finds the libraries that are recorded
        return json.dumps(compilation.record(), sort_keys=True)

    def _outputs(self, x: Any) -> NDArray[Any]:
        """Return the outputs for samples, in float64, a row each."""
        check_is_fitted(self, "result_")
        samples = validate_data(self, x, dtype=[np.float64, np.float32], reset=False)
        with _values():
            found = self._fit_in({}).outputs(samples)
        return found.reshape(len(samples), -1).astype(np.float64)


class ProjectionClassifier(ClassifierMixin, _Projection):  # type: ignore[misc]
    """A network that tells classes, trained by projections.

    Args:
        hidden_layer_sizes: how wide the hidden layers are; none for a linear classifier.
        source: a network in place of them: what :func:`pjc.compile` takes. Its one input takes the features,
            its one target the class numbers.
        sets: what the weights of the layers are required to be in: ``pjc.levels(-1, 0, 1)``, or a dict of
            sets by name of layer, ``hidden_1``, ``hidden_2``, .., ``out``; ``*`` stands for anything.
        solver: the solver; by default the compiler's.
        rate: the rate of the outer step; by default the compiler's.
        options: more options of :func:`pjc.compile`, by name.
        epochs: how many times all samples are gone through.
        batch_size: how many samples a batch has.
        normalize: what is done to each feature: "standard", "unit" or "none".
        early_stopping: whether to stop once a part of the samples, not trained on, is told no better.
        validation_fraction: how large that part is.
        n_iter_no_change: after how many epochs without a better score.
        random_state: a seed, or a random state of NumPy.
        verbose: whether to print a line for each epoch.
        class_weight: how much classes count, a dict by class, or "balanced": as if each had as many samples.

    Attributes:
        classes_: the classes.
        fit_: the :class:`pjc.Fit`: program, parameters, history.
        n_iter_: how many epochs were trained.
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (64,),
        *,
        source: Any = None,
        sets: Any = None,
        solver: str | None = None,
        rate: float | None = None,
        options: Mapping[str, Any] | None = None,
        epochs: int = 200,
        batch_size: int = 32,
        normalize: str = "standard",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        random_state: Any = None,
        verbose: bool = False,
        class_weight: Any = None,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            source=source,
            sets=sets,
            solver=solver,
            rate=rate,
            options=options,
            epochs=epochs,
            batch_size=batch_size,
            normalize=normalize,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on samples ``[n, features]`` and their classes ``[n]``; see the class for how.

        Args:
            X: the samples.
            y: their classes: numbers or text.
            sample_weight: how much each counts, from 0; see ``docs/python.md``.

        Raises:
            ValueError: for samples, classes or parameters that do not fit.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
        self.classes_, labels = np.unique(y, return_inverse=True)
        weight, by_class = _weight(sample_weight, X), self.class_weight
        counts = compute_sample_weight(by_class, y) > 0
        counted = labels[counts if weight is None else counts & (weight > 0)]
        if len(np.unique(counted)) < 2:
            raise ValueError(
                "a classifier needs samples of at least two classes that count, found "
                f"{len(np.unique(counted))} class"
            )
        names = _names(self.classes_)
        if isinstance(by_class, Mapping):
            called = dict(zip(self.classes_, names or range(len(self.classes_)), strict=True))
            by_class = {own: by_class[each] for each, own in called.items() if each in by_class}
        self._train(X, labels, str(len(self.classes_)), weight, by_class, names)
        classes = _compiled(self.network_).targets[0].classes
        if classes != len(self.classes_):
            raise ValueError(f"the source tells {classes} classes apart, and y has {len(self.classes_)}")
        return self

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return the logits ``[n, classes]``; of two classes by how much the second's is larger, ``[n]``."""
        logits = self._outputs(X)
        return logits if len(self.classes_) > 2 else logits[:, 1] - logits[:, 0]

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the softmax of the logits, ``[n, classes]``."""
        logits = self._outputs(X)
        likely = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: NDArray[Any] = likely / likely.sum(axis=1, keepdims=True)
        return found

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Return the logarithm of :meth:`predict_proba`."""
        logits = self._outputs(X)
        above = logits - logits.max(axis=1, keepdims=True)
        found: NDArray[Any] = above - np.log(np.exp(above).sum(axis=1, keepdims=True))
        return found

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class of each sample."""
        logits = self._outputs(X)
        found: NDArray[Any] = self.classes_[logits.argmax(axis=1)]
        return found


class ProjectionRegressor(RegressorMixin, _Projection):  # type: ignore[misc]
    """A network that tells numbers, one or several for each sample, trained by projections.

    Args:
        hidden_layer_sizes: how wide the hidden layers are; none for a linear function.

    The other arguments are those of :class:`ProjectionClassifier`, but for ``class_weight``. Targets are
    brought to mean 0 and variance 1 for training; predictions are in their own units.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on samples ``[n, features]`` and numbers ``[n]`` or ``[n, columns]``.

        Args:
            X: the samples.
            y: their numbers.
            sample_weight: how much each counts, from 0; see ``docs/python.md``.

        Raises:
            ValueError: for samples, numbers or parameters that do not fit.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True)
        y = np.asarray(y, np.float64)
        self.mean_ = y.mean(axis=0)
        spread = y.std(axis=0)
        self.scale_ = np.where(spread > 1e-12 * np.abs(self.mean_), spread, 1.0)
        moved = ((y - self.mean_) / self.scale_).reshape(len(y), -1)
        self._is_column = y.ndim == 1
        self._train(X, moved, "numbers", _weight(sample_weight, X))
        return self

    def _units(self) -> Mapping[str, Units]:
        check_is_fitted(self, "result_")
        scale, offset = (tuple(np.ravel(each).tolist()) for each in (self.scale_, self.mean_))
        return {each.name: Units(scale, offset) for each in _compiled(self.network_).targets}

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the numbers of each sample, in the units of those that were trained on."""
        found = self._outputs(X)
        numbers: NDArray[Any] = (found[:, 0] if self._is_column else found) * self.scale_ + self.mean_
        return numbers

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@functools.lru_cache(maxsize=32)
def _compiled(record: str) -> Program:
    """Return the program of a record; estimators of the same network share it, and what is compiled of it."""
    return again(json.loads(record)).program()


@contextmanager
def _values() -> Iterator[None]:
    """Within it mistakes are ValueErrors, as scikit-learn has them, and nothing is said of single epochs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        try:
            yield
        except (DataError, TrainError) as error:
            raise ValueError(str(error)) from error
        except PjcError as error:
            raise error if isinstance(error, ValueError) else ValueError(str(error)) from error


def _names(classes: NDArray[Any]) -> tuple[str, ...]:
    """Return what classes are called as text; nothing where they are the numbers from 0 on."""
    if classes.dtype.kind in "biu" and np.array_equal(classes, range(len(classes))):
        return ()
    whole = classes.dtype.kind == "f" and np.array_equal(classes, np.floor(classes))
    return tuple(map(str, (classes.astype(np.int64) if whole else classes).tolist()))


def _weight(given: Any, x: NDArray[Any]) -> NDArray[Any] | None:
    if given is None:
        return None
    found: NDArray[Any] = _check_sample_weight(given, x, ensure_non_negative=True)
    return found


def _sizes(given: Any) -> tuple[int, ...]:
    sizes = (
        tuple(given) if isinstance(given, Sequence | np.ndarray) and not isinstance(given, str) else (given,)
    )
    if not all(isinstance(each, int | np.integer) and each is not True and each > 0 for each in sizes):
        raise mistake(f"hidden_layer_sizes takes whole numbers from 1, as in (64, 32), found {given!r}")
    return tuple(int(each) for each in sizes)


def _text(sizes: tuple[int, ...], features: int, outputs: int, numbers: bool, sets: Any) -> str:
    """Return a network of layers one after another, in the language."""
    layers = [*(f"hidden_{at}" for at in range(1, len(sizes) + 1)), "out"]
    required = _sets(sets, layers)
    lines = [
        f"input x: f32[batch, {features}]",
        f"target y: f32[batch, {outputs}]" if numbers else f"target y: class[batch, {outputs}]",
    ]
    value, width = "x", features
    for layer, size in zip(layers, (*sizes, outputs), strict=True):
        asked = required[layer]
        lines.append(f"param {layer}: f32[{width}, {size}] = {_drawn(asked)}")
        lines += [f"require {layer} in {each}" for each in asked]
        last = layer == "out"
        if not last or numbers:
            lines.append(f"param {layer}_bias: f32[{size}] = zeros")
        product = f"{value} @ {layer}"
        if last:
            value = f"{product} + {layer}_bias" if numbers else product
        else:
            lines.append(f"h_{layer} = sum_relu({product}, {layer}_bias)")
            value, width = f"h_{layer}", size
    loss = "squared_error" if numbers else "cross_entropy"
    return "\n".join([*lines, f"output logits = {value}", f"require {loss}(logits, y)", ""])


def _drawn(sets: Sequence[Set]) -> str:
    """Return how a weight is drawn: as far apart as levels are, where it has some."""
    for each in sets:
        if each.name == "levels":
            return f"uniform({float(min(each.values))}, {float(max(each.values))})"
    return "he_normal"


def _sets(given: Any, layers: Sequence[str]) -> dict[str, list[Set]]:
    """Return the sets of each layer's weights."""
    found: dict[str, list[Set]] = {layer: [] for layer in layers}
    if given is None:
        return found
    for pattern, asked in (given if isinstance(given, Mapping) else {"*": given}).items():
        matching = [layer for layer in layers if fnmatchcase(layer, pattern)]
        if not matching:
            raise mistake(f"sets: there is no layer {pattern!r}", f"layers are {', '.join(layers)}")
        for each in asked if isinstance(asked, list | tuple) else [asked]:
            if not isinstance(each, Set):
                raise mistake(f"sets takes sets, found {type(each).__name__}", "as in pjc.levels(-1, 0, 1)")
            for layer in matching:
                found[layer].append(each)
    return found
