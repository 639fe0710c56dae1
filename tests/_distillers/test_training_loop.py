"""Distilled for ordinary training loops too: which methods, which targets, and what it gains."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional as F

from sklearn_dd import MLP, DatasetDistiller, OrdinaryLoops, Ridge, Unrolled

from ..helpers import Linear, OneAtATime, net, same, tiny, tiny_for_images, tiny_regressor


def test_by_default_nothing_changes(table):
    assert same(tiny(training_loop="learned").fit_transform(*table), tiny().fit_transform(*table))


def test_the_name_stands_for_the_method(table):
    by_name = tiny(training_loop="any").fit_transform(*table)
    assert same(by_name, tiny(method=OrdinaryLoops()).fit_transform(*table))
    assert not same(by_name, tiny().fit_transform(*table))


def test_the_same_seed_gives_the_same_to_the_bit(table):
    first, again = (tiny(training_loop="any").fit_transform(*table) for _ in range(2))
    assert same(first, again)


def test_step_sizes_are_learned_for_the_learned_schedule(table):
    # The samples of the first iteration are the same, and so are its step sizes.
    assert_array_equal(
        tiny(training_loop="any", max_iter=1).fit(*table).lrs_, tiny(max_iter=1).fit(*table).lrs_
    )


@pytest.mark.parametrize("labels", ["hard", "soft", "free"])
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_all_labels_and_students_with_an_optimizer(table, labels, optimizer):
    student = net().set_params(optimizer=optimizer)
    fit = tiny(training_loop="any", labels=labels, student=student, n_per_class=2, n_steps=2)
    found = fit.fit_transform(*table)
    assert np.isfinite(found.X).all()
    plain = tiny(labels=labels, student=student, n_per_class=2, n_steps=2).fit_transform(*table)
    assert np.array_equal(found.y, plain.y) == (labels == "hard")


@pytest.mark.parametrize("student", [Linear, OneAtATime])
def test_students_that_are_trained_one_by_one(table, student):
    tiny(training_loop="any", student=student).fit(*table)


def test_labels_and_numbers(table):
    X, y = table
    tiny(training_loop="any").fit(X, np.eye(3)[y])
    fitted = tiny_regressor(training_loop="any").fit(X, X[:, 0])
    assert np.isfinite(fitted.y_syn_).all()


def test_images_under_augmentation(images):
    fitted = tiny_for_images(training_loop="any", augment="shift", method="ridge").fit(*images)
    assert np.isfinite(fitted.X_syn_).all()


def test_a_method_without_a_schedule_is_left_as_it_is(table):
    first_half = tiny(method="ridge", max_iter=6)
    any_loop = tiny(method="ridge", max_iter=6, training_loop="any")
    losses = [each.fit(*table).history_["loss"] for each in (first_half, any_loop)]
    assert losses[0][:4] == losses[1][:4]  # the fourth is that of the samples before it
    assert losses[0] != losses[1]


@pytest.mark.parametrize("method", [[Ridge()], [Ridge(), Ridge()]], ids=len)
def test_a_fit_that_trains_by_no_schedule_is_refused(table, method):
    with pytest.raises(ValueError, match=r"training_loop='any' needs .*\[Ridge.*Add Unrolled"):
        tiny(method=method, training_loop="any").fit(*table)
    tiny(method=[*method, Unrolled()], training_loop="any").fit(*table)


def by_hand(distiller, X, y, make, n_epochs, seed):
    """The accuracy after an ordinary loop of PyTorch."""
    units = distiller.recipe_.units
    x, x_new = (units(torch.tensor(part)).float() for part in (distiller.X_syn_, X))
    labels = torch.tensor(distiller.y_syn_)
    torch.manual_seed(seed)
    student = MLP(x.shape[1:], 10)
    optimizer = make(student.parameters())
    for _ in range(n_epochs):
        for rows in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            F.cross_entropy(student(x[rows]), labels[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        return float((student(x_new).argmax(1).numpy() == y).mean())


@pytest.mark.slow
def test_free_labels_serve_ordinary_loops_and_the_schedule_loses_little():
    X, y = load_digits(return_X_y=True)
    X, X_new, y, y_new = train_test_split(X, y, test_size=0.3, random_state=1)
    small = {
        "labels": "free", "n_epochs": 3, "distill_lr": 0.3, "max_iter": 150,
        "validation_fraction": 0,
    }  # fmt: skip
    learned, prepared = (
        DatasetDistiller(10, training_loop=loop, random_state=1, **small).fit(X, y)
        for loop in ("learned", "any")
    )

    def gain(make, n_epochs):
        scores = [
            np.mean([by_hand(fitted, X_new, y_new, make, n_epochs, seed) for seed in range(3)])
            for fitted in (learned, prepared)
        ]
        return scores[1] - scores[0]

    assert gain(partial(torch.optim.SGD, lr=0.01, momentum=0.9), 100) > 0.2
    assert gain(partial(torch.optim.Adam, lr=0.01), 100) > 0.005
    own = [fitted.evaluate(X_new, y_new, n_inits=5).mean for fitted in (learned, prepared)]
    assert own[1] > own[0] - 0.02
