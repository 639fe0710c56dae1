"""Students of few units, distillers that fit in a moment, and what tests compare."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from safetensors import safe_open
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import Tensor, nn

from sklearn_dd import (
    MLP,
    ConvNet,
    DatasetDistiller,
    DatasetDistillerRegressor,
    Unrolled,
    train_pool,
)
from sklearn_dd import _baselines as baselines
from sklearn_dd._distillers.monitor import Monitor
from sklearn_dd._engine import Stream, draw
from sklearn_dd._student import replay_student
from sklearn_dd.methods import Hypergradient, OuterProblem

Array = NDArray[Any]

BASELINES = [getattr(baselines, name) for name in baselines.__all__ if name != "Baseline"]

# --------------------------------------------------------------------------------- small things


def net(module: Any = MLP, width: int = 8, **arguments: Any) -> NeuralNetClassifier:
    """An unfitted student of few units."""
    named = {f"module__{name}": value for name, value in arguments.items()}
    return NeuralNetClassifier(module, module__width=width, **named)


_SMALL = {
    "n_steps": 1,
    "method": "unrolled",
    "labels": "hard",
    "data_init": "kmeans",
    "distill_lr": 0.3,
    "outer_lr": 0.05,
    "step_size_rate": 0.2,
    "n_epochs": 3,
    "max_iter": 3,
    "batch_size": 32,
    "n_inits": 2,
    "random_share": 0.0,
    "device": "cpu",
    "random_state": 0,
}


def tiny(**changes: Any) -> DatasetDistiller:
    """A distiller that fits in a fraction of a second."""
    return DatasetDistiller(**(_SMALL | {"student": net()} | changes))


def tiny_for_images(**changes: Any) -> DatasetDistiller:
    """The same with a convolutional student."""
    return tiny(**({"student": net(ConvNet, width=4, depth=1)} | changes))


def tiny_regressor(**changes: Any) -> DatasetDistillerRegressor:
    """The same for regression."""
    own = {"labels": "free", "data_init": "real", "distill_lr": 0.03}
    student = NeuralNetRegressor(MLP, module__width=8)
    return DatasetDistillerRegressor(**(_SMALL | own | {"student": student} | changes))


def small_baseline(baseline: Any, **changes: Any) -> Any:
    """A baseline that fits in a moment: nothing to choose its step size from."""
    settings = {"n_epochs": 3, "step_sizes": [0.1], "student": net(), "device": "cpu"}
    return baseline(**(settings | {"random_state": 0} | changes))


def small_pool(X: Any, y: Any, n_nets: int, **changes: Any) -> list[dict[str, Tensor]]:
    """A pool that is trained in a moment."""
    settings = {"student": net(), "n_epochs": 2, "device": "cpu", "random_state": 0}
    return train_pool(X, y, n_nets, **(settings | changes))


def pretrained(seed: int, X: Array, y: Array) -> NeuralNetClassifier:
    """A skorch net that was trained on real samples."""
    torch.manual_seed(seed)
    known = net(sample_shape=(13,), n_classes=3).set_params(
        criterion=nn.CrossEntropyLoss, max_epochs=2, verbose=0, train_split=None
    )
    return known.fit(((X - X.mean(0)) / X.std(0)).astype(np.float32), y.astype(np.int64))


# The result is the start, to float32, and all samples may be looked at.
FROZEN = {"outer_lr": 1e-9, "max_iter": 1, "validation_fraction": 0.0}

LAYOUTS = {
    "flat": (lambda X: X.reshape(len(X), -1), (64,)),
    "grey": (lambda X: X, (1, 8, 8)),
    "one channel first": (lambda X: X[:, None], (1, 8, 8)),
    "one channel last": (lambda X: X[..., None], (1, 8, 8)),
    "colours first": (lambda X: np.stack([X, 16 - X, X // 2], axis=1), (3, 8, 8)),
    "colours last": (lambda X: np.stack([X, 16 - X, X // 2], axis=-1), (3, 8, 8)),
}
"""Name -> how images (n, 8, 8) are laid out, and how a student sees one."""

# ------------------------------------------------------------------------------------- students


class Linear(nn.Linear):
    """A student that knows neither shape nor classes."""

    def __init__(self) -> None:
        super().__init__(13, 3)


class Wide(nn.Module):
    """A student that asks for what it needs."""

    def __init__(self, n_classes: int, sample_shape: tuple[int, ...], dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(sample_shape[0], 20), nn.Dropout(dropout), nn.Linear(20, n_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class OneAtATime(Wide):
    """The same, written so that torch.func.vmap cannot go over it."""

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return logits if bool(logits.isfinite().all()) else logits * 0


# -------------------------------------------------------------------------------------- methods


class Watched:
    """The exact hypergradient; notes each set that it is given, and changes what ``act`` says."""

    def __init__(
        self, act: Callable[[int, Hypergradient], Hypergradient] = lambda call, found: found
    ) -> None:
        self.act, self.seen = act, []

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        self.seen.append(tuple(t.detach().clone() for t in (problem.x, problem.y, problem.lrs)))
        return self.act(len(self.seen) - 1, Unrolled()(problem))


def scaled(hypergradient: Hypergradient, factor: float) -> Hypergradient:
    return Hypergradient(hypergradient.loss, *(factor * g for g in hypergradient[1:]))


def interrupt_after(n: int) -> Callable[[int, Hypergradient], Hypergradient]:
    """For `Watched`: Ctrl-C at call ``n``."""

    def act(call: int, hypergradient: Hypergradient) -> Hypergradient:
        if call == n:
            raise KeyboardInterrupt
        return hypergradient

    return act


class Killed(Exception):
    """A process that died."""


def killed(
    make: Callable[..., Any], X: Array, y: Array, path: Any, after: int, monkeypatch: Any
) -> None:
    """A fit that dies in the iteration after ``after``, and leaves a checkpoint."""
    calls = 0
    update = Monitor.update

    def update_or_die(monitor: Any, iteration: Any) -> float | None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise Killed
        return update(monitor, iteration)

    with monkeypatch.context() as patch:
        patch.setattr(Monitor, "update", update_or_die)
        with pytest.raises(Killed):
            make(checkpoint=path, checkpoint_every=2).fit(X, y)


# ---------------------------------------------------------------------------------- comparisons


def same(one: Any, other: Any) -> bool:
    """Whether two triples are equal to the bit, types included."""
    return all(
        np.array_equal(p, q) and p.dtype == q.dtype and p.shape == q.shape
        for p, q in zip(one, other, strict=True)
    )


def assert_same_triple(found: Any, expected: Any) -> None:
    """The same, said in detail."""
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)
        assert a.dtype == b.dtype


def assert_same_fit(one: Any, other: Any) -> None:
    for a, b in zip(one.transform(), other.transform(), strict=True):
        assert_array_equal(a, b)
    assert one.history_ == other.history_


def assert_same_weights(one: Any, other: Any, atol: float = 1e-5) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert_allclose(one[name], other[name], atol=atol, err_msg=name)


def start_of(student: Any) -> dict[str, Tensor]:
    """The weights that a trained student started from."""
    return student.get_params_for("module")["weights"]


def evaluated_students(distiller: Any, n: int) -> list[Any]:
    """The students that ``evaluate`` trains, each as skorch trains it."""
    recipe, seed, data = distiller.recipe_, distiller.seed_, distiller.transform()
    spec = recipe.spec()
    starts = draw(recipe.prior(spec, seed), range(n), seed, Stream.EVALUATE)
    return [
        replay_student(
            spec, {name: p[i] for name, p in starts.items()}, recipe.units, recipe.targets, *data,
            torch.device("cpu"),
        )
        for i in range(n)
    ]  # fmt: skip


def weights_of(student: Any) -> dict[str, Tensor]:
    """The weights that it ended with."""
    return {name: p.detach() for name, p in student.module_.net.named_parameters()}


def standardised(distiller: Any, X: Any) -> Tensor:
    return distiller.recipe_.units(torch.tensor(np.asarray(X)))


def through_pickle(estimator: Any) -> Any:
    return pickle.loads(pickle.dumps(estimator))


def through_joblib(estimator: Any) -> Any:
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


def file_metadata(path: Any) -> dict[str, str]:
    """The header of a safetensors file."""
    with safe_open(path, framework="numpy") as f:
        return f.metadata()


def named(value: Any) -> str:
    """A short name of a parameter for the name of a test."""
    if isinstance(value, dict):
        return "-".join(f"{name}={named(of)}" for name, of in value.items()) or "default"
    return getattr(value, "__name__", None) or str(value)


# -------------------------------------------------------------------- scikit-learn's own checks

_TRIPLE = "transform returns (X, y, lrs), which "
EXPECTED_FAILURES = {
    "check_pipeline_consistency": _TRIPLE + "is compared as if it were one array",
    "check_estimators_pickle": _TRIPLE + "is compared as if it were one array",
    "check_fit_idempotent": _TRIPLE + "is compared as if it were one array",
    "check_transformer_general": _TRIPLE + "has not as many rows as the X that was passed",
    "check_transformer_data_not_an_array": _TRIPLE + "has not as many rows as the X passed",
    "check_methods_sample_order_invariance": _TRIPLE + "has no row for each row of X",
    "check_methods_subset_invariance": _TRIPLE + "does not depend on the X that was passed",
    "check_sample_weight_equivalence_on_dense_data": "real batches are drawn at random, so that "
    "weights and repeated samples do the same on average only",
}
# Samples that start from the class means distinguish scikit-learn's blobs in a few iterations.
CHECKED = tiny(student=MLP, data_init="mean", n_epochs=10, distill_lr=0.5)
