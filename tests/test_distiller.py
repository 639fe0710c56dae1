"""What the distiller takes, does and gives back."""

from __future__ import annotations

import copy
import inspect
import re
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn import functional as F

from sklearn_dd import DatasetDistiller, DistilledData
from sklearn_dd.engine.hypergradient import Hypergradient, Unrolled
from sklearn_dd.engine.inner_loop import schedule, train
from sklearn_dd.engine.priors import draw, xavier_normal
from sklearn_dd.engine.seeds import Stream
from sklearn_dd.modules import MLP, ConvNet, LeNet
from sklearn_dd.student import choose_network, learner, weight_prior

from .conftest import named, net, tiny, tiny_for_images


class Watched:
    """The exact hypergradient; notes each set that it is given, and changes what ``act`` says."""

    def __init__(self, act=lambda call, hypergradient: hypergradient):
        self.act, self.seen = act, []

    def __call__(self, task):
        self.seen.append(tuple(t.detach().clone() for t in (task.x, task.y, task.lrs)))
        return self.act(len(self.seen) - 1, Unrolled()(task))


def scaled(hypergradient: Hypergradient, factor: float) -> Hypergradient:
    return Hypergradient(hypergradient.loss, *(factor * g for g in hypergradient[1:]))


def weights_of(student) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in student.module_.net.named_parameters()}


def assert_same_weights(one, other, atol=1e-5):
    assert one.keys() == other.keys()
    for name in one:
        assert_allclose(one[name], other[name], atol=atol, err_msg=name)


def standardised(distiller, X) -> torch.Tensor:
    return distiller.recipe_.standardize(torch.tensor(X))


# ------------------------------------------------------------------------------- what it takes

LAYOUTS = {
    "flat": (lambda X: X.reshape(len(X), -1), (64,)),
    "grey": (lambda X: X, (1, 8, 8)),
    "one channel first": (lambda X: X[:, None], (1, 8, 8)),
    "one channel last": (lambda X: X[..., None], (1, 8, 8)),
    "colours first": (lambda X: np.stack([X, 16 - X, X // 2], axis=1), (3, 8, 8)),
    "colours last": (lambda X: np.stack([X, 16 - X, X // 2], axis=-1), (3, 8, 8)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_come_back_in_the_layout_they_came_in(images, layout):
    lay_out, sample_shape = LAYOUTS[layout]
    X, y = lay_out(images[0]), images[1]
    distiller = (tiny if layout == "flat" else tiny_for_images)(n_per_class=2).fit(X, y)
    X_syn, y_syn, lrs = distiller.transform()
    assert X_syn.shape == (6, *X.shape[1:])
    assert X_syn.dtype == np.float32
    assert_array_equal(y_syn, [0, 0, 1, 1, 2, 2])
    assert lrs.shape == (3, 1)
    assert distiller.sample_shape_ == sample_shape
    assert distiller.n_features_in_ == X[0].size
    assert distiller.predict(X).shape == y.shape
    assert distiller.predict_proba(X).shape == (len(X), 3)


def test_the_layout_of_the_samples_changes_nothing_else(images):
    X, y = images
    grey = tiny_for_images().fit(X, y)
    flat = tiny_for_images(sample_shape=(1, 8, 8)).fit(X.reshape(len(X), -1), y)
    assert_array_equal(flat.transform().X.reshape(-1, 8, 8), grey.transform().X)
    assert_array_equal(flat.predict_proba(X.reshape(len(X), -1)), grey.predict_proba(X))

    (first, _), (last, _) = LAYOUTS["colours first"], LAYOUTS["colours last"]
    first, last = first(X), last(X)
    of_first, of_last = tiny_for_images().fit(first, y), tiny_for_images().fit(last, y)
    assert_allclose(of_last.transform().X.transpose(0, 3, 1, 2), of_first.transform().X, atol=1e-5)
    assert_allclose(of_last.predict_proba(last), of_first.predict_proba(first), atol=1e-5)


def test_sample_shape_overrides_the_guess(images):
    X, y = images
    # A stack of eight channels of 8 x 1 pixels, as the user may well mean it.
    distiller = tiny(sample_shape=(8, 8, 1)).fit(X[..., None], y)
    assert distiller.sample_shape_ == (8, 8, 1)
    assert_allclose(standardised(distiller, X[..., None].astype(float)).shape, (len(X), 8, 8, 1))


KINDS = {
    "uint8": lambda X: X.astype(np.uint8),
    "uint16": lambda X: X.astype(np.uint16),
    "int64": lambda X: X.astype(np.int64),
    "float16": lambda X: X.astype(np.float16),
    "float32": lambda X: X.astype(np.float32),
    "columns in memory": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "list": lambda X: X.tolist(),
    "tensor": torch.from_numpy,
    "uint8 tensor": lambda X: torch.from_numpy(X.astype(np.uint8)),
    "tensor of a graph": lambda X: torch.from_numpy(X).requires_grad_() * 1,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flat", [True, False], ids=["flat", "images"])
def test_the_kind_of_array_changes_nothing(images, kind, flat):
    X, y = images[0].astype(float), images[1]
    X = X.reshape(len(X), -1) if flat else X
    make = tiny if flat else tiny_for_images
    expected, found = make().fit(X, y), make().fit(KINDS[kind](X), y)
    assert_array_equal(found.transform().X, expected.transform().X)
    assert_array_equal(found.predict_proba(KINDS[kind](X)), expected.predict_proba(X))
    assert found.score(KINDS[kind](X), y) == expected.score(X, y)
    assert_array_equal(
        found.evaluate(KINDS[kind](X), y, n_inits=2).scores,
        expected.evaluate(X, y, n_inits=2).scores,
    )


def test_labels_in_a_tensor(table):
    X, y = table
    distiller, expected = tiny().fit(X, torch.from_numpy(y)), tiny().fit(X, y)
    assert_array_equal(distiller.transform().X, expected.transform().X)
    assert_array_equal(
        distiller.evaluate(X, torch.from_numpy(y), n_inits=2).scores,
        expected.evaluate(X, y, n_inits=2).scores,
    )


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_data_frames(table, library):
    X, y = table
    frame = library.DataFrame({f"f{i}": column for i, column in enumerate(X.T)})
    labels = library.Series(np.array(["red", "rosé", "white"])[y].tolist())
    distiller = tiny().fit(frame, labels)
    assert_array_equal(distiller.transform().X, tiny().fit_transform(X, y).X)
    assert_array_equal(distiller.transform().y, ["red", "rosé", "white"])
    assert distiller.score(frame, labels) == tiny().fit(X, y).score(X, y)
    assert distiller.evaluate(frame, labels, n_inits=2).scores.shape == (2,)
    student = distiller.transform().train(random_state=0)
    assert_array_equal(student.predict(frame), student.predict(X))


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_a_memory_map_is_never_copied_to_float_as_a_whole(tmp_path, dtype):
    shape = (6000, 32, 32, 3)
    X = np.memmap(tmp_path / "images", dtype, "w+", shape=shape)
    X[:] = np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)
    X.flush()
    X = np.memmap(tmp_path / "images", dtype, "r", shape=shape)
    y = np.arange(len(X)) % 3
    size_as_float = X.size * np.dtype(np.float32).itemsize
    tiny_for_images().fit(X[:30], y[:30])  # what is imported on the way is not to be counted
    tracemalloc.start()
    try:
        distiller = tiny_for_images().fit(X, y)
        distiller.predict(X)
        distiller.evaluate(X[:100], y[:100], n_inits=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size_as_float / 2
    assert distiller.transform().X.shape == (3, 32, 32, 3)


@pytest.mark.parametrize(
    "names",
    [
        np.array([0, 1, 2]),
        np.array([-7, 3, 100]),
        np.array([0, 1, 2], dtype=np.uint8),
        np.array([1.0, 2.0, 3.0]),
        np.array(["b", "a", "cc"]),
        np.array(["b", "a", "cc"], dtype=object),
    ],
    ids=lambda names: f"{names.dtype}",
)
def test_classes_of_any_name(table, names):
    X, y = table
    distiller = tiny().fit(X, names[y])
    assert_array_equal(distiller.classes_, np.sort(names))
    assert distiller.transform().y.dtype == names.dtype
    assert_array_equal(distiller.transform().y, np.sort(names))
    assert set(distiller.predict(X)) <= set(names)
    # The names decide no more than the order of the classes.
    ranks = np.searchsorted(distiller.classes_, names)
    encoded = tiny().fit(X, ranks[y])
    assert_array_equal(distiller.transform().X, encoded.transform().X)
    assert distiller.score(X, names[y]) == encoded.score(X, ranks[y])
    assert (
        distiller.evaluate(X, names[y], n_inits=2).mean
        == encoded.evaluate(X, ranks[y], n_inits=2).mean
    )


def test_two_classes(table):
    X, y = table
    few = y < 2
    distiller = tiny().fit(X[few], y[few] == 1)
    assert_array_equal(distiller.transform().y, [False, True])
    assert distiller.predict_proba(X).shape == (len(X), 2)
    assert distiller.predict(X).dtype == bool


def test_many_classes():
    rng = np.random.default_rng(0)
    y = np.arange(200) % 40
    X = rng.normal(size=(200, 5))
    distiller = tiny().fit(X, y)
    assert_array_equal(distiller.transform().y, np.arange(40))
    assert distiller.predict_proba(X).shape == (200, 40)


def test_X_and_y_stay_as_they_are(table, images):
    for distiller, (X, y) in ((tiny(), table), (tiny_for_images(), images)):
        before = X.copy(), y.copy()
        distiller.fit(X, y)
        distiller.predict(X)
        distiller.evaluate(X, y, n_inits=2)
        distiller.transform(X)
        assert_array_equal(X, before[0])
        assert_array_equal(y, before[1])


# --------------------------------------------------------------------------- what it gives back


@pytest.mark.parametrize("n_per_class", [4, {0: 2, 1: 6, 2: 4}], ids=["int", "dict"])
@pytest.mark.parametrize("n_steps", [1, 2])
def test_rows_are_ordered_by_step_and_by_class_within_a_step(table, n_per_class, n_steps):
    X, y = table
    distiller = tiny(n_per_class=n_per_class, n_steps=n_steps, n_epochs=2).fit(X, y)
    X_syn, y_syn, lrs = distiller.transform()
    counts = [n_per_class[c] if isinstance(n_per_class, dict) else n_per_class for c in range(3)]
    one_step = np.repeat([0, 1, 2], np.array(counts) // n_steps)
    assert_array_equal(y_syn, np.tile(one_step, n_steps))
    assert X_syn.shape == (sum(counts), 13)
    assert lrs.shape == (2, n_steps)
    assert (lrs > 0).all()


def test_n_per_class_names_classes_as_y_does(table):
    X, y = table
    names = np.array(["red", "rosé", "white"])
    distilled = tiny(n_per_class={"white": 1, "red": 2, "rosé": 1}).fit_transform(X, names[y])
    assert_array_equal(distilled.y, ["red", "red", "rosé", "white"])


DATA_INITS = ["noise", "real", "kmeans", "mean"]


@pytest.mark.parametrize("data_init", DATA_INITS)
def test_fewer_real_samples_than_asked_for(data_init):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 4)), np.array([0, 0, 0, 1, 1])
    X_syn, y_syn, _ = tiny(n_per_class=6, n_steps=2, data_init=data_init).fit_transform(X, y)
    assert_array_equal(y_syn, [0, 0, 0, 1, 1, 1] * 2)
    assert np.isfinite(X_syn).all()
    assert len(np.unique(X_syn, axis=0)) == 12, "no two synthetic samples start alike"


@pytest.mark.parametrize("data_init", DATA_INITS)
def test_imbalanced_classes_and_a_class_of_one_sample(table, data_init):
    X, y = table
    rows = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:4], [177]])
    distiller = tiny(n_per_class=2, data_init=data_init).fit(X[rows], y[rows])
    assert_array_equal(distiller.transform().y, [0, 0, 1, 1, 2, 2])
    assert np.isfinite(distiller.transform().X).all()
    assert 0 <= distiller.score(X, y) <= 1


def test_constant_features(table):
    X, y = table
    X = np.column_stack([X, np.full(len(X), 7.0)])
    distiller = tiny(data_init="real").fit(X, y)
    assert np.isfinite(distiller.transform().X).all()
    assert np.isfinite(distiller.predict_proba(X)).all()


def test_hard_labels_stay_and_soft_labels_are_learned_probabilities(table):
    X, y = table
    hard = tiny(n_per_class=2).fit_transform(X, y)
    assert hard.y.shape == (6,)
    distiller = tiny(n_per_class=2, labels="soft", outer_lr=0.2).fit(X, y)
    soft = distiller.transform().y
    assert soft.shape == (6, 3)
    assert (soft > 0).all()
    assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
    assert_array_equal(soft.argmax(axis=1), hard.y, "labels start from the hard ones")
    start = tiny(n_per_class=2, labels="soft", outer_lr=1e-9).fit_transform(X, y).y
    assert np.abs(soft - start).max() > 1e-2
    assert distiller.predict(X).shape == y.shape


def test_free_labels_are_numbers_of_either_sign(table):
    X, y = table
    start = tiny(labels="free", outer_lr=1e-9).fit_transform(X, y).y
    assert_allclose(start, np.eye(3), atol=1e-6)
    free = tiny(labels="free", outer_lr=0.2).fit_transform(X, y).y
    assert (free < 0).any()
    assert np.abs(free.sum(axis=1) - 1).max() > 1e-2


def test_what_fit_leaves_behind(table):
    X, y = table
    distiller = tiny(n_per_class=2, n_steps=2)
    assert distiller.fit(X, y) is distiller
    X_syn, y_syn, lrs = distiller.transform()
    assert_array_equal(distiller.X_syn_, X_syn)
    assert_array_equal(distiller.y_syn_, y_syn)
    assert_array_equal(distiller.lrs_, lrs)
    assert_array_equal(distiller.classes_, [0, 1, 2])
    assert distiller.n_features_in_ == 13
    assert distiller.sample_shape_ == (13,)
    assert distiller.n_iter_ == 3
    assert isinstance(distiller.student_, NeuralNetClassifier)
    history = distiller.history_
    assert len(history["loss"]) == len(history["gradient_norm"]) == distiller.n_iter_
    assert history["validation_iter"] == [1, 2, 3]
    assert len(history["validation_score"]) == 3


def test_transform_returns_a_named_triple_of_copies(fitted):
    distilled = fitted.transform()
    assert isinstance(distilled, DistilledData)
    X_syn, y_syn, lrs = distilled
    assert X_syn is distilled.X
    assert y_syn is distilled.y
    assert lrs is distilled.lrs
    before = X_syn.copy(), y_syn.copy(), lrs.copy()
    for a in distilled:
        a[...] = 0
    for a, b in zip(fitted.transform(), before, strict=True):
        assert_array_equal(a, b)


def test_samples_are_in_the_units_of_X(table):
    X, y = table
    unit, offset = 1000.0, -50.0
    one, other = tiny().fit(X, y), tiny().fit(unit * X + offset, y)
    assert_allclose(other.transform().X, unit * one.transform().X + offset, rtol=1e-3)
    assert_allclose(other.predict_proba(unit * X + offset), one.predict_proba(X), atol=1e-3)
    z = (one.transform().X - X.mean(axis=0)) / X.std(axis=0)
    assert np.abs(z).max() < 6


def test_without_standardisation_students_see_X_as_it_is(table):
    X, y = table
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    distiller = tiny(standardize=False, n_per_class=2).fit(X, y)
    assert_allclose(standardised(distiller, X), X, rtol=1e-6)
    assert_array_equal(standardised(distiller, distiller.transform().X), distiller.transform().X)


# -------------------------------------------------------------------------------- where it starts

# The result is the start, to float32, and all samples may be looked at.
FROZEN = {"outer_lr": 1e-9, "max_iter": 1, "validation_fraction": 0.0}


def test_real_samples_are_the_start(table):
    X, y = table
    X_syn, y_syn, _ = tiny(data_init="real", n_per_class=4, n_steps=2, **FROZEN).fit_transform(X, y)
    nearest = [np.abs(X - x).sum(axis=1).argmin() for x in X_syn]
    assert len(set(nearest)) == 12, "each real sample is taken once"
    assert_allclose(X_syn, X[nearest], rtol=1e-3, atol=1e-3)
    assert_array_equal(y[nearest], y_syn)


@pytest.mark.parametrize("data_init", ["real", "mean", "kmeans"])
def test_repeated_rows_do_not_start_at_one_point(table, data_init):
    """Samples that are equal, labels too, would stay so, for they have equal gradients."""
    X, y = table
    X = np.repeat(X[::30], 30, axis=0)[: len(y)]  # two distinct rows a class, or three
    X_syn, y_syn, _ = tiny(data_init=data_init, n_per_class=4, **FROZEN).fit_transform(X, y)
    assert len(np.unique(np.column_stack([X_syn, y_syn]), axis=0)) == 12


def test_real_samples_that_come_more_than_once_start_once_as_they_are():
    rng = np.random.default_rng(0)
    X = rng.integers(2, size=(100, 6)).astype(float)
    y = np.arange(100) % 2
    X_syn, y_syn, _ = tiny(data_init="real", n_per_class=10, **FROZEN).fit_transform(X, y)
    for c in (0, 1):
        assert len(np.unique(X_syn[y_syn == c].round(5), axis=0)) == 10
    assert_allclose(X_syn, X_syn.round(), atol=1e-5)


def test_gradients_may_be_switched_off_around_it(table, images):
    X, y = table
    fitted = tiny().fit(X, y)
    for switched_off in (torch.no_grad, torch.inference_mode):
        with switched_off():
            again = tiny().fit(X, y)
            assert_array_equal(again.evaluate(X, y).scores, fitted.evaluate(X, y).scores)
            again.transform().train()
        assert_array_equal(again.X_syn_, fitted.X_syn_)


@pytest.mark.parametrize("data_init", ["mean", "kmeans"])
def test_one_sample_starts_at_the_mean_of_its_class(table, data_init):
    X, y = table
    X_syn = tiny(data_init=data_init, **FROZEN).fit_transform(X, y).X
    assert_allclose(X_syn, [X[y == c].mean(axis=0) for c in range(3)], rtol=1e-3)


def test_kmeans_starts_at_the_clusters_of_each_class():
    corners = np.array([[-9.0, 0.0], [9.0, 0.0], [0.0, -9.0], [0.0, 9.0]])
    X = np.repeat(corners, 20, axis=0) + 0.1 * np.random.default_rng(0).normal(size=(80, 2))
    y = np.repeat([0, 1], 40)
    X_syn = tiny(data_init="kmeans", n_per_class=2, **FROZEN).fit_transform(X, y).X
    for c in range(2):
        found = X_syn[2 * c : 2 * c + 2]
        expected = corners[2 * c : 2 * c + 2]
        assert_allclose(found[found.sum(axis=1).argsort()], expected, atol=0.2)


def test_noise_is_of_the_size_of_the_data(table):
    X, y = table
    distiller = tiny(data_init="noise", n_per_class=50, **FROZEN).fit(X, y)
    z = standardised(distiller, distiller.transform().X)
    assert abs(float(z.mean())) < 0.1
    assert abs(float(z.std()) - 1) < 0.1


@pytest.mark.parametrize("layout", ["flat", "grey", "colours last"])
def test_an_array_is_the_start(images, layout):
    lay_out, _ = LAYOUTS[layout]
    X, y = lay_out(images[0]), images[1]
    start = np.concatenate([X[y == c][:2] for c in (0, 1, 2)])[[0, 2, 4, 1, 3, 5]]
    before = start.copy()
    make = tiny if layout == "flat" else tiny_for_images
    distiller = make(data_init=start, n_per_class=2, n_steps=2, **FROZEN).fit(X, y)
    assert_allclose(distiller.transform().X, start, atol=1e-3)
    assert_array_equal(distiller.transform().y, [0, 1, 2, 0, 1, 2])
    assert_array_equal(start, before)


def test_step_sizes_start_at_distill_lr_and_are_learned(table):
    start = tiny(distill_lr=0.3, n_epochs=2, **FROZEN).fit_transform(*table).lrs
    assert_allclose(start, np.full((2, 1), 0.3), rtol=1e-5)
    learned = tiny(distill_lr=0.3, n_epochs=2, max_iter=10).fit_transform(*table).lrs
    assert np.abs(learned - 0.3).min() > 1e-4


# ------------------------------------------------------------------------- the kept iterate


def there_and_away(call, hypergradient):
    """Follow the gradient for a while, then go against it."""
    return scaled(hypergradient, 1 if call < 8 else -1)


def test_the_best_iterate_on_the_held_out_part_is_kept(table):
    method = Watched(there_and_away)
    distiller = tiny(
        method=method, max_iter=25, outer_lr=0.3, validation_fraction=0.3, data_init="noise"
    ).fit(*table)
    scores = distiller.history_["validation_score"]
    assert distiller.history_["validation_iter"] == list(range(1, 26))
    best = max(scores)
    assert scores[-1] < best, "the last iterate must not be the best, or this shows nothing"
    # Call i of the method is given the iterate after i iterations.
    candidates = [method.seen[i + 1] for i, s in enumerate(scores[:-1]) if s == best]
    found = standardised(distiller, distiller.transform().X)
    assert any(
        torch.allclose(found, x.flatten(0, 1), atol=1e-4)
        and np.allclose(distiller.lrs_, lrs, atol=1e-6)
        for x, _, lrs in candidates
    )


def test_without_a_held_out_part_the_last_iterate_is_kept(table):
    method = Watched()
    distiller = tiny(method=method, max_iter=5, validation_fraction=0, outer_lr=0.3).fit(*table)
    assert distiller.history_["validation_score"] == []
    shorter = tiny(method=Watched(), max_iter=5, validation_fraction=0, outer_lr=0.3)
    shorter.method.act = lambda call, h: interrupt_after(4)(call, h)
    with pytest.warns(UserWarning, match="Interrupted"):
        shorter.fit(*table)
    found = standardised(shorter, shorter.transform().X)
    assert_allclose(found, method.seen[4][0].flatten(0, 1), atol=1e-4)
    assert not np.allclose(shorter.X_syn_, distiller.X_syn_)


def test_the_held_out_part_is_never_trained_on(table):
    X, y = table
    sizes = set()

    def note(logits, targets):
        if logits.requires_grad:  # else the iterate is validated
            sizes.add(len(targets))
        return F.cross_entropy(logits, targets)

    tiny(objective=note, validation_fraction=0.5, batch_size=10_000).fit(X, y)
    assert sizes == {len(X) - sum(int(0.5 * (y == c).sum()) for c in range(3))}


def no_progress(call, hypergradient):
    return scaled(hypergradient, 0.0)


def test_a_fit_that_gets_no_better_ends_early(table):
    distiller = tiny(method=Watched(no_progress), max_iter=25, n_iter_no_change=4).fit(*table)
    assert distiller.n_iter_ == 1 + 4
    assert len(distiller.history_["loss"]) == 5
    patient = tiny(method=Watched(no_progress), max_iter=25, n_iter_no_change=None).fit(*table)
    assert patient.n_iter_ == 25


# ------------------------------------------------------------------------------ interruptions


def interrupt_after(n):
    def act(call, hypergradient):
        if call == n:
            raise KeyboardInterrupt
        return hypergradient

    return act


def test_ctrl_c_keeps_the_best_iterate_so_far(table):
    X, y = table
    distiller = tiny(method=Watched(interrupt_after(6)), max_iter=20, outer_lr=0.3)
    with pytest.warns(UserWarning, match="[Ii]nterrupted.*best iterate"):
        distiller.fit(X, y)
    assert distiller.n_iter_ == 6
    scores = distiller.history_["validation_score"]
    assert len(scores) == 6
    found = standardised(distiller, distiller.transform().X)
    iterates = [x.flatten(0, 1) for x, _, _ in distiller.method.seen[1:]]
    assert any(
        torch.allclose(found, x, atol=1e-4)
        for x, s in zip(iterates, scores, strict=True)
        if s == max(scores)
    )
    assert distiller.predict(X).shape == y.shape


def test_ctrl_c_before_the_first_iteration_keeps_the_start(table):
    distiller = tiny(method=Watched(interrupt_after(0)), validation_fraction=0.0)
    with pytest.warns(UserWarning, match="Interrupted"):
        distiller.fit(*table)
    start = tiny(**FROZEN).fit(*table)
    assert distiller.n_iter_ == 0
    assert_allclose(distiller.transform().X, start.transform().X, rtol=1e-4)


def test_ctrl_c_before_the_first_validation_keeps_what_was_learned(table):
    # Of 1,000 iterations only every 40th is validated.
    distiller = tiny(method=Watched(interrupt_after(10)), max_iter=1000, outer_lr=0.3)
    with pytest.warns(UserWarning, match="Interrupted"):
        distiller.fit(*table)
    found = standardised(distiller, distiller.transform().X)
    assert not torch.allclose(found, distiller.method.seen[0][0].flatten(0, 1), atol=1e-2)


def test_a_fit_that_is_no_longer_finite_ends_with_its_best_iterate(table):
    X, y = table
    method = Watched(lambda call, h: scaled(h, 1 if call < 4 else np.nan))
    distiller = tiny(method=method, max_iter=25)
    with pytest.warns(RuntimeWarning, match="not finite.*Lower distill_lr or outer_lr"):
        distiller.fit(X, y)
    assert distiller.n_iter_ < 25
    assert np.isfinite(distiller.transform().X).all()
    assert np.isfinite(distiller.transform().lrs).all()
    assert np.isfinite(distiller.predict_proba(X)).all()


def test_a_fit_recovers_from_a_few_iterations_that_are_not_finite(table, recwarn):
    method = Watched(lambda call, h: scaled(h, np.nan if call in (2, 3) else 1))
    distiller = tiny(method=method, max_iter=10).fit(*table)
    assert distiller.n_iter_ == 10
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


# ---------------------------------------------------------------------------------- warm start


@pytest.mark.parametrize("labels", ["hard", "soft", "free"])
@pytest.mark.parametrize("container", ["default", "pandas"])
def test_warm_start_goes_on_from_the_last_fit(table, labels, container):
    X, y = table
    distiller = tiny(warm_start=True, labels=labels, n_per_class=2, n_steps=2, outer_lr=0.3)
    first = distiller.set_output(transform=container).fit_transform(X, y)
    again = distiller.set_params(**FROZEN).fit_transform(X, y)
    for a, b in zip(again, first, strict=True):
        assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    anew = distiller.set_params(warm_start=False).fit_transform(X, y)
    assert not np.allclose(anew.X, first.X, rtol=1e-3)


def test_warm_start_goes_on_with_images(images):
    distiller = tiny_for_images(warm_start=True, outer_lr=0.3)
    first = distiller.fit_transform(*images)
    again = distiller.set_params(**FROZEN).fit_transform(*images)
    assert_allclose(again.X, first.X, atol=1e-3)


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_warm_start_refuses_other_numbers_of_the_classes(labels, table):
    X, y = table
    distiller = tiny(warm_start=True, labels=labels, n_per_class={0: 1, 1: 2, 2: 1}).fit(X, y)
    with pytest.raises(ValueError, match=r"warm_start=True continues.*n_per_class"):
        distiller.set_params(n_per_class={0: 2, 1: 1, 2: 1}).fit(X, y)
    distiller = tiny(warm_start=True, labels=labels, n_per_class=2).fit(X, y)
    distiller.set_params(n_per_class={0: 2, 1: 2, 2: 2}).fit(X, y)


@pytest.mark.parametrize(
    "changes",
    [{"n_per_class": 4}, {"n_steps": 1}, {"n_epochs": 4}, {"labels": "soft"}, {"labels": "free"}],
    ids=named,
)
def test_warm_start_refuses_another_size(table, changes):
    X, y = table
    distiller = tiny(warm_start=True, n_per_class=2, n_steps=2).fit(X, y)
    with pytest.raises(ValueError, match=r"warm_start=True continues.*Set warm_start=False"):
        distiller.set_params(**changes).fit(X, y)


@pytest.mark.parametrize(("before", "now"), [("soft", "free"), ("free", "soft")])
def test_warm_start_refuses_labels_learned_otherwise(table, before, now):
    distiller = tiny(warm_start=True, labels=before).fit(*table)
    with pytest.raises(ValueError, match=f"must stay .*'{before}'.* but this fit has .*'{now}'"):
        distiller.set_params(labels=now).fit(*table)


def test_warm_start_refuses_other_classes(table):
    X, y = table
    distiller = tiny(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="warm_start=True continues"):
        distiller.fit(X, y + 1)


def test_warm_start_refuses_another_kind_of_sample(table, images):
    distiller = tiny(warm_start=True).fit(images[0].reshape(120, -1), images[1])
    with pytest.raises(ValueError, match="warm_start=True continues"):
        distiller.fit(table[0], table[1])


@pytest.mark.parametrize("random_state", [0, None])
def test_warm_start_goes_on_with_the_same_known_net(table, random_state):
    distiller = tiny(warm_start=True, init="fixed", random_state=random_state).fit(*table)
    before = distiller.recipe_.weights
    assert_same_weights(distiller.fit(*table).recipe_.weights, before, atol=0)


# ------------------------------------------------------------------------------------- verbose


def test_verbose_0_is_silent(table, capfd):
    tiny(verbose=0).fit(*table)
    assert capfd.readouterr() == ("", "")


def test_verbose_1_shows_a_bar(table, capsys):
    tiny(verbose=1).fit(*table)
    out, err = capsys.readouterr()
    assert out == ""
    last = err.replace("\n", "\r").strip("\r").split("\r")[-1]
    assert re.search(r"3/3 .*loss=\d.*val=\d", last)
    assert re.search(r"\d\d:\d\d<\d\d:\d\d", last), "time left"


def test_the_bar_ends_where_the_time_does(table, capsys):
    distiller = tiny(verbose=1, max_iter=10**6, max_time=0.5).fit(*table)
    *_, last = capsys.readouterr().err.split("\r")
    done, of = re.search(r"(\d+)/(\d+) ", last).groups()
    assert int(done) == distiller.n_iter_
    assert int(done) <= int(of) <= int(done) + 2


def test_verbose_2_prints_a_line_for_each_validation(table, capsys):
    distiller = tiny(verbose=2).fit(*table)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for i, line in enumerate(lines):
        assert f"iteration {i + 1}:" in line
        assert f"loss {distiller.history_['loss'][i]:.4f}" in line
        assert f"validation score {distiller.history_['validation_score'][i]:.4f}" in line


# ------------------------------------------------------------------------------------ students


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((20,), MLP),
        ((8, 8), ConvNet),
        ((3, 16, 16), ConvNet),
        ((16, 16, 3), ConvNet),
        ((28, 28), LeNet),
        ((1, 28, 28), LeNet),
        ((32, 32, 3), LeNet),
    ],
)
def test_the_student_is_chosen_by_the_shape_of_a_sample(shape, expected):
    X = np.random.default_rng(0).normal(size=(12, *shape))
    distiller = tiny(student=None, max_iter=1, n_epochs=1).fit(X, np.arange(12) % 2)
    assert type(distiller.student_.module_.net) is expected


class Linear(nn.Linear):
    """A student that knows neither shape nor classes."""

    def __init__(self):
        super().__init__(13, 3)


class Wide(nn.Module):
    """A student that asks for what it needs."""

    def __init__(self, n_classes, sample_shape, dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(sample_shape[0], 20), nn.Dropout(dropout), nn.Linear(20, n_classes)
        )

    def forward(self, x):
        return self.layers(x)


class OneAtATime(Wide):
    """The same, written so that torch.func.vmap cannot go over it."""

    def forward(self, x):
        logits = super().forward(x)
        return logits if bool(logits.isfinite().all()) else logits * 0


@pytest.mark.parametrize(
    "student", [Linear, Wide, OneAtATime, NeuralNetClassifier(Wide), net(MLP, 5, depth=2)],
    ids=["class", "class with arguments", "class without vmap", "skorch", "skorch with arguments"],
)  # fmt: skip
def test_any_module_may_be_the_student(table, student):
    X, y = table
    distiller = tiny(student=student, n_per_class=2, n_steps=2).fit(X, y)
    module = student.module if isinstance(student, NeuralNetClassifier) else student
    assert type(distiller.student_.module_.net) is module
    assert distiller.evaluate(X, y, n_inits=2).scores.shape == (2,)


def test_a_student_that_vmap_refuses_learns_the_same(table):
    X, y = table
    together, in_turn = (tiny(student=student).fit(X, y) for student in (Wide, OneAtATime))
    assert_allclose(in_turn.transform().X, together.transform().X, rtol=1e-3)
    assert_allclose(
        in_turn.evaluate(X, y, n_inits=3).step_scores,
        together.evaluate(X, y, n_inits=3).step_scores,
        atol=0.02,
    )


def test_dropout_is_off(table):
    X, y = table
    wet, dry = (
        tiny(student=NeuralNetClassifier(Wide, module__dropout=p)).fit(X, y) for p in (0.5, 0.0)
    )
    assert_array_equal(wet.transform().X, dry.transform().X)
    assert_array_equal(wet.predict_proba(X), dry.predict_proba(X))


REPLAYED = {
    "steps": (tiny, {"n_per_class": 4, "n_steps": 2, "distill_lr": 0.5}),
    "classes of several sizes": (tiny, {"n_per_class": {0: 2, 1: 6, 2: 4}, "n_steps": 2}),
    "soft labels": (tiny, {"n_per_class": 2, "n_steps": 2, "labels": "soft"}),
    "free labels": (tiny, {"n_per_class": 2, "n_steps": 2, "labels": "free", "outer_lr": 0.2}),
    "fixed": (tiny, {"init": "fixed", "n_epochs": 20}),
    "momentum": (tiny, {"student": net().set_params(optimizer__momentum=0.9)}),
    "Adam": (
        tiny,
        {
            "student": net().set_params(optimizer=torch.optim.Adam, optimizer__betas=(0.8, 0.9)),
            "distill_lr": 0.01,
        },
    ),
    "units of X": (tiny, {"standardize": False, "distill_lr": 1e-3}),
    "images": (tiny_for_images, {"n_per_class": 2, "n_steps": 2}),
    "colours last": (tiny_for_images, {"n_per_class": 2, "n_steps": 2}),
}


@pytest.mark.parametrize("case", REPLAYED)
def test_the_student_ends_with_the_parameters_of_the_engine(table, images, case):
    make, changes = REPLAYED[case]
    X, y = table if make is tiny else images
    if case == "units of X":
        X = X - X.mean(axis=0)
    if case == "colours last":
        X = LAYOUTS[case][0](X)
    distiller = make(**changes).fit(X, y)
    network = choose_network(distiller.student, distiller.sample_shape_, 3)
    start = distiller.student_.get_params_for("module")["weights"]
    x, y_syn, lrs = distiller.transform().as_tensors()
    end, *_ = train(
        learner(network, torch.device("cpu")),
        network.optimizer.start(start),
        schedule(x, y_syn, lrs),
    )
    assert_same_weights(weights_of(distiller.student_), end)
    assert not torch.equal(next(iter(start.values())), next(iter(end.values())))


def test_the_triple_is_trained_on_as_its_docstring_says(fitted):
    X_syn, y_syn, lrs = fitted.transform()
    start = fitted.student_.get_params_for("module")["weights"]
    module = MLP((13,), 3, width=8)
    module.load_state_dict(start)
    n, (n_epochs, n_steps) = len(X_syn), lrs.shape
    for t in range(n_epochs * n_steps):
        k = t % n_steps
        rows = slice(k * n // n_steps, (k + 1) * n // n_steps)
        x = standardised(fitted, X_syn[rows])
        loss = F.cross_entropy(module(x), torch.as_tensor(y_syn[rows]))
        gradients = torch.autograd.grad(loss, list(module.parameters()))
        with torch.no_grad():
            for p, g in zip(module.parameters(), gradients, strict=True):
                p -= float(lrs.ravel()[t]) * g
    assert_same_weights(weights_of(fitted.student_), module.state_dict())


# ------------------------------------------------------------------------------ weight priors


def pretrained(seed: int, X, y) -> NeuralNetClassifier:
    """A skorch net that was trained on real samples."""
    torch.manual_seed(seed)
    known = net(sample_shape=(13,), n_classes=3).set_params(
        criterion=nn.CrossEntropyLoss, max_epochs=2, verbose=0, train_split=None
    )
    return known.fit(((X - X.mean(0)) / X.std(0)).astype(np.float32), y.astype(np.int64))


def test_fixed_is_one_net_and_random_are_many(table):
    X, y = table
    fixed = tiny(init="fixed").fit(X, y)
    assert_same_weights(
        fixed.student_.get_params_for("module")["weights"], fixed.recipe_.weights, atol=0
    )
    assert fixed.evaluate(X, y).scores.shape == (1,)
    assert fixed.evaluate(X, y, random_state=3).mean == fixed.score(X, y)
    random = tiny(init="random").fit(X, y)
    assert random.recipe_.weights is None
    assert len(set(random.evaluate(X, y).step_scores[0])) > 1


def test_a_callable_prior_initialises_the_module(table):
    X, y = table
    distiller = tiny(init=xavier_normal).fit(X, y)
    start = distiller.student_.get_params_for("module")["weights"]
    assert (start["1.bias"] == 0).all()
    assert (start["1.weight"] != 0).all()
    assert not np.allclose(distiller.transform().X, tiny().fit_transform(X, y).X)


@pytest.mark.parametrize("kind", ["state dicts", "skorch nets", "students"])
def test_a_pool_of_known_nets(table, kind):
    X, y = table
    if kind == "students":
        members = [tiny(random_state=seed).fit(X, y).student_ for seed in (1, 2)]
        weights = [weights_of(member) for member in members]
    else:
        members = [pretrained(seed, X, y) for seed in (1, 2)]
        weights = [dict(member.module_.named_parameters()) for member in members]
    if kind == "state dicts":
        members = [member.module_.state_dict() for member in members]
    distiller = tiny(init=members).fit(X, y)
    start = distiller.student_.get_params_for("module")["weights"]
    assert any(all(torch.equal(start[n], w[n]) for n in start) for w in weights)
    # Before the first step a student is one of the pool's two nets.
    assert len(set(distiller.evaluate(X, y, n_inits=12).step_scores[0])) == 2


def test_one_known_net_is_evaluated_once(table):
    X, y = table
    known = pretrained(1, X, y)
    before = {name: p.clone() for name, p in known.module_.state_dict().items()}
    distiller = tiny(init=[known]).fit(X, y)
    assert_same_weights(distiller.student_.get_params_for("module")["weights"], before, atol=0)
    assert distiller.evaluate(X, y).scores.shape == (1,)
    assert distiller.evaluate(X, y).mean == distiller.score(X, y)
    as_state_dict = tiny(init=dict(known.module_.state_dict())).fit(X, y)
    assert_array_equal(as_state_dict.X_syn_, distiller.X_syn_)
    assert_same_weights(known.module_.state_dict(), before, atol=0)


# ------------------------------------------------------------------------ objective and method


def test_a_callable_objective_is_given_logits_and_classes(table):
    X, y = table
    seen = []

    def objective(logits, targets):
        seen.append((tuple(logits.shape), targets.dtype, set(targets.tolist())))
        return F.multi_margin_loss(logits, targets)

    distiller = tiny(objective=objective, batch_size=50, validation_fraction=0).fit(X, y)
    assert {(shape, dtype) for shape, dtype, _ in seen} == {((50, 3), torch.int64)}
    assert set().union(*(classes for *_, classes in seen)) == {0, 1, 2}
    assert not np.allclose(distiller.transform().X, tiny(batch_size=50).fit_transform(X, y).X)


def test_the_named_method_is_the_exact_hypergradient(table):
    by_name = tiny().fit_transform(*table)
    by_object = tiny(method=Unrolled()).fit_transform(*table)
    assert_allclose(by_object.X, by_name.X, rtol=1e-4)


def test_estimators_in_a_list_follow_one_another(table):
    first, second = Watched(), Watched()
    listed = tiny(method=[first, second], max_iter=6, validation_fraction=0).fit(*table)
    assert (len(first.seen), len(second.seen)) == (3, 3)
    assert listed.n_iter_ == 6
    # Each has a cosine of its own, and the second begins where the first ended.
    alone = tiny(method=Watched(), max_iter=3, validation_fraction=0).fit(*table)
    for mine, theirs in zip(first.seen, alone.method.seen, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
    end, _, _ = alone.transform().as_tensors()
    assert_allclose(second.seen[0][0], end, atol=1e-5)
    assert not np.allclose(listed.X_syn_, alone.X_syn_)


def test_the_outer_loss_falls(table):
    # One known net and all real samples in each iteration: nothing but progress moves the loss.
    distiller = tiny(init="fixed", batch_size=1000, max_iter=30, distill_lr=0.5).fit(*table)
    loss = distiller.history_["loss"]
    assert loss[-1] < 0.8 * loss[0]


# ------------------------------------------------------------------------------------ evaluate


def test_evaluate_tells_mean_deviation_and_the_accuracy_after_each_step(fitted, table):
    found = fitted.evaluate(*table, n_inits=5)
    assert found.scores.shape == (5,)
    assert found.step_scores.shape == (3 * 2 + 1, 5)
    assert_array_equal(found.step_scores[-1], found.scores)
    assert found.mean == pytest.approx(found.scores.mean())
    assert found.std == pytest.approx(found.scores.std())
    assert isinstance(found.mean, float)
    assert ((found.step_scores >= 0) & (found.step_scores <= 1)).all()


def test_scoring_at_the_end_alone_changes_no_score(fitted, table):
    whole = fitted.evaluate(*table, n_inits=5)
    end = fitted.evaluate(*table, n_inits=5, each_step=False)
    assert_array_equal(end.scores, whole.scores)
    assert_array_equal(end.step_scores, whole.step_scores[-1:])


def test_another_number_of_epochs(fitted, table):
    learned = fitted.evaluate(*table, n_inits=3).step_scores
    fewer = fitted.evaluate(*table, n_inits=3, n_epochs=1).step_scores
    more = fitted.evaluate(*table, n_inits=3, n_epochs=5).step_scores
    n_steps = fitted.n_steps
    assert_array_equal(fewer, learned[: n_steps + 1])
    assert_array_equal(more[: len(learned)], learned)
    assert len(more) == 5 * n_steps + 1
    # The step sizes of the last epoch hold.
    longer = copy.copy(fitted)
    longer.lrs_ = np.concatenate([fitted.lrs_, *[fitted.lrs_[-1:]] * (5 - len(fitted.lrs_))])
    assert_array_equal(longer.evaluate(*table, n_inits=3).step_scores, more)


def test_evaluate_takes_20_students(fitted):
    assert inspect.signature(fitted.evaluate).parameters["n_inits"].default == 20


@pytest.mark.parametrize("make", [tiny, tiny_for_images], ids=["table", "images"])
def test_students_at_once_do_as_one_after_the_other(table, images, make):
    X, y = table if make is tiny else images
    distiller = make(n_per_class=2, n_steps=2).fit(X, y)
    together = distiller.evaluate(X, y, n_inits=4)
    network = choose_network(distiller.student, distiller.sample_shape_, 3)
    prior = weight_prior("random", network, distiller.seed_)
    starts = draw(prior, range(4), distiller.seed_, Stream.EVALUATE)
    data = distiller.transform()
    for i, score in enumerate(together.scores):
        student = data.train_from(network, {n: p[i] for n, p in starts.items()}, "cpu")
        assert score == pytest.approx(np.mean(student.predict(X) == y))
    assert_array_equal(distiller.evaluate(X, y, n_inits=2).scores, together.scores[:2])


def test_evaluate_is_reproducible_and_its_seed_can_be_chosen(fitted, table):
    def evaluate(**options):
        return fitted.evaluate(*table, n_inits=6, **options).step_scores

    assert_array_equal(evaluate(), evaluate())
    assert_array_equal(evaluate(random_state=1), evaluate(random_state=1))
    assert not np.array_equal(evaluate(random_state=1), evaluate(random_state=2))
    assert not np.array_equal(evaluate(), evaluate(random_state=2))


def test_evaluate_another_architecture(images):
    X, y = images
    distiller = tiny_for_images().fit(X, y)
    for student in (MLP, net(MLP, 5), ConvNet):
        found = distiller.evaluate(X, y, n_inits=3, student=student)
        assert found.step_scores.shape == (4, 3)
    for init in ("fixed", [distiller.student_]):  # nobody knows another architecture's net
        known = tiny_for_images(init=init).fit(X, y)
        assert known.evaluate(X, y, n_inits=3, student=MLP).scores.shape == (3,)


def test_evaluate_another_prior(fitted, table):
    own = fitted.evaluate(*table, n_inits=4).step_scores
    assert_array_equal(fitted.evaluate(*table, n_inits=4, init="random").step_scores, own)
    other = fitted.evaluate(*table, n_inits=4, init=xavier_normal).step_scores
    assert other.shape == own.shape
    assert not np.array_equal(other, own)
    assert fitted.evaluate(*table, n_inits=4, init="fixed").scores.shape == (1,)
    assert fitted.evaluate(*table, init=[fitted.student_]).scores.shape == (1,)


def test_evaluate_leaves_the_distiller_as_it_is(fitted, table):
    before = {name: id(value) for name, value in vars(fitted).items()}
    fitted.evaluate(*table, n_inits=2, student=Wide, init=xavier_normal, random_state=0)
    assert {name: id(value) for name, value in vars(fitted).items()} == before


# ------------------------------------------------------------------------------- the main job


def test_one_distilled_image_a_class_teaches_more_than_ten_real_images():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
    distiller = DatasetDistiller(max_iter=150, n_inits=4, random_state=0).fit(X, y)
    distilled = distiller.evaluate(X_test, y_test)
    # The same students on ten random images, with as many steps as they have any use for.
    real = DatasetDistiller(data_init="real", n_epochs=100, random_state=0, **FROZEN).fit(X, y)
    assert distilled.mean > real.evaluate(X_test, y_test).mean + 0.2


def test_no_change_is_looked_for_as_often_as_it_is_asked_for(table):
    distiller = tiny(max_iter=100, n_iter_no_change=2).fit(*table)
    assert distiller.history_["validation_iter"][0] <= 2


def test_two_channels_last_with_their_sample_shape(images):
    X, y = images
    two = np.stack([X, 2 * X], axis=-1)
    last = tiny_for_images(sample_shape=(2, 8, 8)).fit(two, y)
    first = tiny_for_images().fit(np.moveaxis(two, -1, 1), y)
    assert_array_equal(np.moveaxis(last.X_syn_, -1, 1), first.X_syn_)


def test_a_warm_start_keeps_seed_and_known_net(table):
    distiller = tiny(init="fixed", warm_start=True, random_state=1).fit(*table)
    seed, weights = distiller.seed_, distiller.recipe_.weights
    distiller.set_params(random_state=2).fit(*table)
    assert distiller.seed_ == seed
    assert all(torch.equal(w, weights[k]) for k, w in distiller.recipe_.weights.items())


def test_evaluate_measures_what_was_fitted(table):
    distiller = tiny(init="fixed").fit(*table)
    before = distiller.evaluate(*table)
    distiller.set_params(student=net(width=3), init="random")
    assert_array_equal(distiller.evaluate(*table).step_scores, before.step_scores)


def test_trained_students_start_from_the_prior_of_the_fit(table):
    def zeros(module):
        for p in module.parameters():
            nn.init.zeros_(p)

    distiller = tiny(init=zeros).fit(*table)
    start = distiller.transform().train(random_state=3).get_params_for("module")["weights"]
    assert not any(w.any() for w in start.values())


def test_another_objective_judges_the_iterates_as_well(table):
    """Minus the objective, by whose best the iterate is kept."""

    def margin(logits, y):
        return (1 - logits[torch.arange(len(y)), y] + logits.mean(1)).relu().mean()

    scores = tiny(objective=margin, max_iter=20).fit(*table).history_["validation_score"]
    assert max(scores) <= 0
    assert scores[-1] > scores[0]
    assert all(score > -5 for score in scores)
