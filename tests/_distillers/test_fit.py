"""What a fit gives back, and what it leaves as it was."""

from __future__ import annotations

import os
import signal
import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.datasets import (
    load_digits,
)
from sklearn.model_selection import (
    train_test_split,
)
from skorch import NeuralNetClassifier

from sklearn_dd import (
    DatasetDistiller,
    train_pool,
)

from ..helpers import (
    FROZEN,
    same,
    tiny,
    tiny_for_images,
    tiny_regressor,
)


def test_what_fit_leaves_behind(table):
    X, y = table
    distiller = tiny(n_per_class=2, n_steps=2, max_iter=6)
    assert distiller.fit(X, y) is distiller
    X_syn, y_syn, lrs = distiller.transform()
    assert_array_equal(distiller.X_syn_, X_syn)
    assert_array_equal(distiller.y_syn_, y_syn)
    assert_array_equal(distiller.lrs_, lrs)
    assert_array_equal(distiller.classes_, [0, 1, 2])
    assert distiller.n_features_in_ == 13
    assert distiller.sample_shape_ == (13,)
    assert distiller.n_iter_ == 6
    assert isinstance(distiller.student_, NeuralNetClassifier)
    history = distiller.history_
    assert len(history["loss"]) == len(history["gradient_norm"]) == distiller.n_iter_
    assert history["validation_iter"] == [1, 2, 3]  # the finish learns from what was held out
    assert len(history["validation_score"]) == len(history["dead_share"]) == 3
    assert distiller.stop_reason_ == "max_iter"
    assert distiller.plan_["max_iter"] == 6


def test_X_and_y_stay_as_they_are(table, images):
    for distiller, (X, y) in ((tiny(), table), (tiny_for_images(), images)):
        before = X.copy(), y.copy()
        distiller.fit(X, y)
        distiller.predict(X)
        distiller.evaluate(X, y, n_inits=2)
        distiller.transform(X)
        assert_array_equal(X, before[0])
        assert_array_equal(y, before[1])


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


def test_the_outer_loss_falls(table):
    # One known net and all real samples in each iteration: nothing but progress moves the loss.
    distiller = tiny(init="fixed", batch_size=1000, max_iter=30, distill_lr=0.5).fit(*table)
    loss = distiller.history_["loss"]
    assert loss[-1] < 0.8 * loss[0]


def test_one_distilled_image_a_class_teaches_more_than_ten_real_images():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
    distiller = DatasetDistiller(max_iter=150, n_inits=4, random_state=0).fit(X, y)
    distilled = distiller.evaluate(X_test, y_test)
    # The same students on ten random images, with as many steps as they have any use for.
    real = DatasetDistiller(data_init="real", n_epochs=100, random_state=0, **FROZEN).fit(X, y)
    assert distilled.mean > real.evaluate(X_test, y_test).mean + 0.2


def test_gradients_may_be_switched_off_around_it(table, images):
    X, y = table
    fitted = tiny().fit(X, y)
    for switched_off in (torch.no_grad, torch.inference_mode):
        with switched_off():
            again = tiny().fit(X, y)
            assert_array_equal(again.evaluate(X, y).scores, fitted.evaluate(X, y).scores)
            again.transform().train()
        assert_array_equal(again.X_syn_, fitted.X_syn_)


def test_fit_changes_no_parameter(table):
    distiller = tiny(sample_shape=[13], n_per_class={0: 1, 1: 2, 2: 1})
    before = {n: repr(p) for n, p in distiller.get_params(deep=False).items()}
    distiller.fit(*table)
    assert {n: repr(p) for n, p in distiller.get_params(deep=False).items()} == before


def test_another_seed_gives_another_result(table):
    one, two = (tiny(random_state=seed).fit_transform(*table) for seed in (0, 1))
    assert not np.array_equal(one.X, two.X)


def test_a_random_state_object_is_a_seed_too(table):
    one, two = (tiny(random_state=np.random.RandomState(3)).fit_transform(*table) for _ in range(2))
    assert same(one, two)


def test_the_global_generators_stay_as_they_are(table):
    X, y = table
    torch.manual_seed(5)

    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()  # noqa: NPY002

    before = states()

    distiller = tiny().fit(X, y)
    assert states() == before, "by fit"
    distiller.evaluate(X, y, n_inits=2, random_state=1)
    assert states() == before, "by evaluate"
    distiller.transform().train(random_state=1)
    assert states() == before, "by train"
    distiller.predict(X)
    assert states() == before, "by predict"


def test_the_global_generators_decide_nothing(table):
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        distiller = tiny().fit(*table)
        results.append(
            (
                distiller.transform(),
                distiller.evaluate(*table, n_inits=2, each_step=True).step_scores,
            )
        )
    assert same(results[0][0], results[1][0])
    assert_array_equal(results[0][1], results[1][1])


def state_of_the_process():
    return {
        "environment": dict(os.environ),
        "process group": torch.distributed.is_initialized(),
        "torch generator": torch.get_rng_state().tolist(),
        "numpy generator": [str(part) for part in np.random.get_state()],  # noqa: NPY002
        "threads": torch.get_num_threads(),
        "interop threads": torch.get_num_interop_threads(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "backends": (torch.backends.cudnn.benchmark, torch.backends.mkldnn.enabled),
        "warnings": warnings.filters[:],
        "signals": signal.getsignal(signal.SIGINT),
        "folder": os.getcwd(),
        "errors of NumPy": np.geterr(),
    }


@pytest.mark.parametrize("environment", [{}, {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}])
def test_fit_leaves_the_process_as_it_was(table, images, monkeypatch, environment):
    """Also under torchrun: joining a process group is up to the user's script."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    before = state_of_the_process()
    for make, (X, y) in ((tiny, table), (tiny_for_images, images), (tiny_regressor, table)):
        distiller = make(labels="free").fit(X, y)
        distiller.predict(X)
        distiller.evaluate(X, y, n_inits=2)
        distiller.transform().train(random_state=0)
    train_pool(*table, 2, n_epochs=1, random_state=0)
    assert state_of_the_process() == before
    with torch.no_grad():
        tiny().fit(*table)
        assert not torch.is_grad_enabled()


def test_a_fit_that_fails_leaves_the_process_as_it_was(table):
    def refuse(problem):
        raise ZeroDivisionError

    before = state_of_the_process()
    with pytest.raises(ZeroDivisionError):
        tiny(method=refuse).fit(*table)
    assert state_of_the_process() == before
