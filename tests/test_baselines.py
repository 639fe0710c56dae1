"""What the baselines choose, and that they are scored as a distilled set is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier

from sklearn_dd import (
    Baseline,
    ClassMeans,
    ConvNet,
    Herding,
    KCenters,
    KMeansCenters,
    Medoids,
    RandomSamples,
    load_distilled,
    save_distilled,
)
from sklearn_dd._baselines import base

from .helpers import (
    BASELINES,
    net,
    standardised,
    tiny,
)
from .helpers import small_baseline as small

OF_REAL_SAMPLES = [RandomSamples, KCenters, Herding, Medoids]


def of_class(baseline, data, c):
    """Standardised samples that were chosen for class ``c``."""
    return standardised(baseline, data.X[data.y == c]).numpy()


@pytest.mark.parametrize("baseline", BASELINES)
def test_samples_are_ordered_by_step_and_class_within_step(baseline, table):
    data = small(baseline, n_per_class={0: 2, 1: 4, 2: 2}, n_steps=2).fit_transform(*table)
    assert data.X.shape == (8, 13)
    assert_array_equal(data.y, [0, 1, 1, 2] * 2)
    assert data.lrs.shape == (3, 2)


@pytest.mark.parametrize("baseline", OF_REAL_SAMPLES)
def test_real_samples_are_of_their_class_and_different(baseline, table):
    X, y = table
    data = small(baseline, n_per_class=4).fit_transform(X, y)
    distances = np.abs(data.X[:, None] - X[None]).max(axis=2)
    nearest = distances.argmin(axis=1)
    assert (distances.min(axis=1) < 1e-3).all()
    assert_array_equal(y[nearest], data.y)
    assert len(set(nearest)) == len(data.X)


def test_random_samples_follow_the_seed(table):
    first, again, other = (
        small(RandomSamples, random_state=seed).fit_transform(*table).X for seed in (0, 0, 1)
    )
    assert_array_equal(first, again)
    assert (first != other).any()


def test_the_class_mean_serves_in_every_step(table):
    X, y = table
    data = small(ClassMeans, n_per_class=2, n_steps=2).fit_transform(X, y)
    means = [X[y == c].mean(axis=0) for c in range(3)]
    assert_allclose(data.X, means * 2, rtol=1e-4)


def test_a_k_means_centre_is_the_mean_of_the_samples_that_are_closest_to_it(table):
    X, y = table
    baseline = small(KMeansCenters, n_per_class=3).fit(X, y)
    for c in range(3):
        z, centers = (
            standardised(baseline, X[y == c]).numpy(),
            of_class(baseline, baseline.transform(), c),
        )
        own = ((z[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
        assert_allclose(centers, [z[own == k].mean(axis=0) for k in range(3)], atol=1e-4)


def test_k_centre_takes_the_farthest_sample_next(table):
    X, y = table
    baseline = small(KCenters, n_per_class=4).fit(X, y)
    for c in range(3):
        z, chosen = (
            standardised(baseline, X[y == c]).numpy(),
            of_class(baseline, baseline.transform(), c),
        )
        to_mean = np.linalg.norm(z - z.mean(axis=0), axis=1)
        assert_allclose(chosen[0], z[to_mean.argmin()], atol=1e-4)
        for n in range(1, 4):
            nearest = np.linalg.norm(z[:, None] - chosen[None, :n], axis=2).min(axis=1)
            assert_allclose(chosen[n], z[nearest.argmax()], atol=1e-4)


def test_herding_brings_the_mean_closest_to_the_class_mean(table):
    X, y = table
    baseline = small(Herding, n_per_class=4).fit(X, y)
    for c in range(3):
        z, chosen = (
            standardised(baseline, X[y == c]).numpy(),
            of_class(baseline, baseline.transform(), c),
        )
        for n in range(4):
            means = (chosen[:n].sum(axis=0) + z) / (n + 1)
            best = np.linalg.norm(means - z.mean(axis=0), axis=1).argmin()
            assert_allclose(chosen[n], z[best], atol=1e-4)


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_class_of_few_samples_repeats_them(baseline, table):
    X, y = table[0][:62], table[1][:62]  # three samples of class 1
    data = small(baseline, n_per_class=5).fit_transform(X, y)
    few = data.X[data.y == 1]
    assert len(few) == 5
    assert len(np.unique(few, axis=0)) == (1 if baseline is ClassMeans else 3)


@pytest.mark.parametrize("step_sizes", [[1e-6, 0.1], [0.1, 1e-6]])
def test_the_fixed_step_size_is_the_better_one_on_training_data(step_sizes, table):
    baseline = small(ClassMeans, step_sizes=step_sizes).fit(*table)
    assert_allclose(baseline.lrs_, 0.1, rtol=1e-5)


def test_a_step_size_at_which_students_diverge_is_not_chosen(table):
    X, y = table
    X, y = X[:65], y[:65]  # of which 59 are of class 0
    settings = {"step_sizes": [0.1, 1e30], "n_per_class": 5}
    baseline = small(RandomSamples, **settings).fit(X, y)
    assert_allclose(baseline.lrs_, 0.1, rtol=1e-5)
    dead = small(RandomSamples, **(settings | {"step_sizes": [1e30]})).fit(X, y)
    assert np.isnan(dead.predict_proba(X)).all()  # of which "not a number" the first is the largest
    assert dead.evaluate(X, y).mean == 0


def test_large_samples_are_all_looked_at_where_they_are_wanted(table, monkeypatch):
    monkeypatch.setattr(base, "_MAX_VALUES", 13 * 4)
    X_real, y_real, _ = small(RandomSamples, n_per_class=20).fit_transform(*table)
    assert len(np.unique(X_real[y_real == 0], axis=0)) == 20


def test_the_best_of_many_sets_beats_the_first_of_them(table):
    X, y = table
    best, first = (small(RandomSamples, n_sets=n).fit(X, y) for n in (10, 1))
    assert best.evaluate(X, y).mean > first.evaluate(X, y).mean + 0.02


def test_a_learned_schedule_moves_the_step_sizes_alone(table):
    X, y = table
    settings = {"step_sizes": [0.1], "n_per_class": 2, "n_steps": 2}
    fixed = small(Herding, **settings).fit(X, y)
    learned = small(Herding, schedule="learned", max_iter=60, **settings).fit(X, y)
    assert_array_equal(learned.X_syn_, fixed.X_syn_)
    assert_array_equal(learned.y_syn_, fixed.y_syn_)
    assert len(np.unique(learned.lrs_)) == learned.lrs_.size
    assert learned.evaluate(X, y).mean > fixed.evaluate(X, y).mean + 0.02


def test_a_baseline_knows_the_same_net_as_a_distiller_of_its_seed(table):
    baseline = small(RandomSamples, init="fixed").fit(*table)
    distiller = tiny(init="fixed").fit(*table)
    for name, weights in distiller.recipe_.weights.items():
        assert_array_equal(baseline.recipe_.weights[name], weights)


def test_a_baseline_is_scored_trained_and_saved_as_a_distilled_set_is(table, tmp_path):
    X, y = table[0], np.array(["barolo", "grignolino", "barbera"])[table[1]]
    baseline = small(KMeansCenters, step_sizes=[0.3], n_epochs=10).fit(X, y)
    assert baseline.score(X, y) > 0.8
    assert baseline.evaluate(X, y, n_inits=5, each_step=True).step_scores.shape == (11, 5)
    save_distilled(tmp_path / "centres.safetensors", baseline)
    data = load_distilled(tmp_path / "centres.safetensors")
    assert data.recipe.description["distiller"] == "KMeansCenters"
    student = data.train(net(), random_state=1)
    assert (student.predict(X.astype(np.float32)) == y).mean() > 0.8
    assert KNeighborsClassifier(1).fit(data.X, data.y).score(X, y) > 0.6


def test_images_keep_their_layout_and_frames_their_names(images, table):
    X, y = images
    student = net(ConvNet, width=4, depth=1)
    data = small(Herding, student=student).fit_transform(X, y)
    assert data.X.shape == (3, 8, 8)
    frame = pd.DataFrame(table[0], columns=[f"f{i}" for i in range(13)])
    baseline = small(Herding).fit(frame, table[1]).set_output(transform="pandas")
    assert list(baseline.transform().X.columns) == list(frame.columns)


def test_a_baseline_has_no_parameter_of_learning_samples():
    parameters = clone(small(RandomSamples, n_sets=3)).get_params()
    assert parameters["n_sets"] == 3
    assert not {"data_init", "labels", "method", "distill_lr", "objective"} & set(parameters)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"schedule": "cosine"}, "schedule"),
        ({"step_sizes": [0.1, 0]}, "step_sizes must be a sequence of positive numbers"),
        ({"step_sizes": ["a"]}, "step_sizes must be a sequence of positive numbers"),
        ({"step_sizes": []}, "step_sizes must be a sequence of positive numbers"),
        ({"n_sets": 0}, "n_sets"),
        ({"n_per_class": 3, "n_steps": 2}, "n_steps=2 must divide"),
    ],
)
def test_a_wrong_parameter_is_named(wrong, message, table):
    with pytest.raises(ValueError, match=message):
        small(RandomSamples, **wrong).fit(*table)


class Extremes(Baseline):
    """A baseline of a user: the samples farthest from the mean, and as few as there are."""

    @staticmethod
    def choose(z, wanted, rng):
        return z[np.linalg.norm(z - z.mean(axis=0), axis=1).argsort()[::-1][: min(2, wanted)]]


def test_a_baseline_of_ones_own_chooses_the_samples(table):
    X, y = table
    own = small(Extremes, n_per_class=4).fit(X, y)
    for c in range(3):
        z, chosen = standardised(own, X[y == c]).numpy(), of_class(own, own.transform(), c)
        far = z[np.linalg.norm(z - z.mean(axis=0), axis=1).argsort()[::-1][:2]]
        assert_allclose(chosen, np.tile(far, (2, 1)), atol=1e-4)  # fewer are repeated
    assert own.evaluate(X, y, n_inits=3).scores.shape == (3,)
    assert clone(own).get_params()["n_per_class"] == 4
    learned = small(Extremes, schedule="learned", max_iter=4).fit(X, y)
    assert len(np.unique(learned.lrs_)) == 3
    assert learned.n_iter_ == 4


def test_choosing_counts_as_an_iteration(table):
    baseline = small(RandomSamples).fit(*table)
    assert baseline.n_iter_ == 1
    assert baseline.history_["loss"] == []


@pytest.mark.parametrize(
    "choose",
    [
        lambda z, wanted, rng: rng.permutation(len(z))[:wanted],  # indices in place of samples
        lambda z, wanted, rng: z[:wanted] * np.nan,
        lambda z, wanted, rng: z,
        lambda z, wanted, rng: z[:0],
    ],
    ids=["indices", "nan", "too many", "none"],
)
def test_what_choose_returns_is_checked(choose, table):
    class Own(Baseline):
        pass

    Own.choose = staticmethod(choose)
    with pytest.raises(ValueError, match=r"Own\.choose must return at most 1 finite samples"):
        Own(random_state=0).fit(*table)


def test_a_fixed_schedule_shows_no_progress(table, capsys):
    small(RandomSamples, verbose=1).fit(*table)
    assert not capsys.readouterr().err
