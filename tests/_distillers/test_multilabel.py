"""Several labels a sample, in columns of 0 and 1."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import (
    make_multilabel_classification,
)
from sklearn.model_selection import (
    cross_val_score,
    train_test_split,
)
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from sklearn_dd import (
    MLP,
    DatasetDistiller,
    RandomSamples,
    Ridge,
    TargetedAttack,
    Unrolled,
    compare,
    load_distilled,
    save_distilled,
    train_pool,
)
from sklearn_dd._engine import (
    LABEL_PROBABILITIES,
    DistilledSet,
    binary_cross_entropy,
    multilabel,
)

from .._engine.problems import Problem
from ..helpers import (
    same,
    through_pickle,
    tiny,
)

N_LABELS = 4


@pytest.fixture(scope="module")
def scenes():
    """X, X_test, y, y_test; a sample has 0 to 4 of 4 labels."""
    X, y = make_multilabel_classification(
        600, n_features=12, n_classes=N_LABELS, n_labels=2, random_state=0
    )
    return train_test_split(X, y, random_state=0)


@pytest.fixture(scope="module")
def distiller(scenes) -> DatasetDistiller:
    """Fitted for long enough to distinguish labels. Not to be changed."""
    X, _, y, _ = scenes
    return DatasetDistiller(student=MLP, labels="soft", max_iter=150, random_state=0).fit(X, y)


def test_the_hypergradient_is_that_of_the_plain_loop():
    module = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    p = Problem(module, (5,))
    several = torch.tensor([[1, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=torch.float64)
    real = p.real[0][:3], several
    x, y, lrs = leaves = [t.detach().requires_grad_() for t in (p.x, p.y, p.lrs)]
    theta = {name: q[0].requires_grad_() for name, q in p.params.items()}
    for t, lr in enumerate(lrs.flatten()):
        logits = functional_call(module, theta, (x[t % len(x)],))
        loss = F.binary_cross_entropy_with_logits(logits, y[t % len(x)]) * 3
        gradient = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
        theta = {n: q - lr * g for (n, q), g in zip(theta.items(), gradient, strict=True)}
    outer = multilabel(functional_call(module, theta, (real[0],)), real[1])
    expected = torch.autograd.grad(outer, leaves)
    found = Unrolled()(p.outer(multilabel, loss=binary_cross_entropy, real=real))
    assert_allclose(found.loss, outer.detach(), rtol=1e-12)
    for ours, naive in zip((found.x, found.y, found.lrs), expected, strict=True):
        assert_allclose(ours, naive, rtol=1e-9, atol=1e-12)


def test_the_loss_is_the_cross_entropy_of_each_label():
    g = torch.Generator().manual_seed(0)
    logits = 30 * torch.randn(2, 5, 3, generator=g, dtype=torch.float64)
    y = torch.rand(5, 3, generator=g, dtype=torch.float64)
    by_torch = sum(
        F.binary_cross_entropy_with_logits(of_one, y, reduction="sum") / 5 for of_one in logits
    )
    assert_allclose(binary_cross_entropy(logits, y), by_torch, rtol=1e-12)
    assert_allclose(multilabel(logits[0], y) + multilabel(logits[1], y), by_torch, rtol=1e-12)


def test_there_are_samples_of_each_label_by_step(scenes):
    X, _, y, _ = scenes
    X_syn, y_syn, lrs = tiny(n_per_class=2, n_steps=2, data_init="real").fit(X, y).transform()
    assert X_syn.shape == (2 * N_LABELS, 12)
    assert lrs.shape == (3, 2)
    assert_array_equal(y_syn, np.tile(np.eye(N_LABELS), (2, 1)))


@pytest.mark.parametrize("start", ["real", "mean", "kmeans", "herding", "kcenters", "medoids"])
def test_a_sample_starts_from_those_with_its_label(scenes, start):
    X, _, y, _ = scenes
    still = tiny(data_init=start, outer_lr=1e-9, max_iter=1, validation_fraction=0).fit(X, y)
    for c, x in enumerate(still.X_syn_):
        members = X[y[:, c] == 1]
        if start in ("real", "herding", "kcenters", "medoids"):
            assert np.isclose(members, x, atol=1e-4).all(axis=1).any()
        else:
            assert_allclose(x, members.mean(axis=0), atol=1e-4)


def test_distilled_samples_teach_more_than_random_ones(scenes, distiller):
    X, X_test, y, y_test = scenes

    def score(**changes) -> float:
        other = clone(distiller).set_params(**changes).fit(X, y)
        return other.evaluate(X_test, y_test, n_inits=10).mean

    for seed in range(2):
        start = {"data_init": "real", "random_state": seed}
        assert score(**start) > score(**start, max_iter=1, outer_lr=1e-9) + 0.1


def test_score_is_the_share_of_samples_whose_labels_are_all_right(scenes, distiller):
    _, X_test, _, y_test = scenes
    probabilities, predicted = distiller.predict_proba(X_test), distiller.predict(X_test)
    assert probabilities.shape == predicted.shape == y_test.shape
    assert_array_equal(predicted, probabilities > 0.5)
    assert distiller.score(X_test, y_test) == (predicted == y_test).all(axis=1).mean()
    untrained = distiller.evaluate(X_test, y_test, each_step=True).step_scores[0]
    assert untrained.mean() < distiller.score(X_test, y_test)


@pytest.mark.parametrize("labels", ["hard", "soft", "free"])
def test_a_plain_loop_trains_the_same_student(scenes, labels):
    X, X_test, y, y_test = scenes
    fitted = tiny(n_per_class=2, n_steps=2, labels=labels, init="fixed").fit(X, y)
    X_syn, y_syn, lrs = fitted.transform()
    assert y_syn.shape == (2 * N_LABELS, N_LABELS)
    standardize = fitted.recipe_.units
    net = fitted.recipe_.spec()()
    net.load_state_dict(fitted.recipe_.weights)
    batches = zip(torch.tensor(X_syn).chunk(2), torch.tensor(y_syn).chunk(2), strict=True)
    batches = [*batches] * len(lrs)
    for (x, target), lr in zip(batches, lrs.flatten(), strict=True):
        loss = F.binary_cross_entropy_with_logits(
            net(standardize(x)), target.float(), reduction="none"
        )
        gradient = torch.autograd.grad(loss.sum(1).mean(), net.parameters())
        with torch.no_grad():
            for p, g in zip(net.parameters(), gradient, strict=True):
                p -= lr * g
    by_hand = net(standardize(torch.tensor(X_test, dtype=torch.float32))).sigmoid().detach()
    assert_allclose(fitted.predict_proba(X_test), by_hand, atol=1e-5)
    assert_array_equal(fitted.student_.predict(X_test.astype(np.float32)), fitted.predict(X_test))
    # The net that the engine trains is the same.
    assert fitted.evaluate(X_test, y_test).mean == fitted.score(X_test, y_test)


def test_learned_labels_are_probabilities_of_each(scenes):
    X, _, y, _ = scenes
    y_syn = tiny(labels="soft", max_iter=20).fit(X, y).transform().y
    assert ((y_syn > 0) & (y_syn < 1)).all()
    assert not np.allclose(y_syn.sum(axis=1), 1)


def test_forms_of_y_are_alike(scenes):
    X, _, y, _ = scenes
    first = tiny().fit(X, y).transform()
    for given in (y.astype(bool), y.astype(float), csr_array(y), torch.tensor(y), y.tolist()):
        assert same(tiny().fit(X, given).transform(), first)


def test_files_and_pickles(scenes, distiller, tmp_path):
    _, X_test, _, _ = scenes
    save_distilled(tmp_path / "scenes", distiller)
    loaded = load_distilled(tmp_path / "scenes")
    assert same(loaded, distiller.transform())
    student = loaded.train(MLP, random_state=0)
    assert student.predict(X_test.astype(np.float32)).shape == (len(X_test), N_LABELS)
    assert_array_equal(through_pickle(distiller).predict(X_test), distiller.predict(X_test))


def test_warm_start_and_search(scenes):
    X, _, y, _ = scenes
    warm = tiny(warm_start=True, labels="soft").fit(X, y)
    before = warm.X_syn_
    assert_allclose(warm.set_params(outer_lr=1e-9, max_iter=1).fit(X, y).X_syn_, before, atol=1e-5)
    assert cross_val_score(tiny(), X, y, cv=2).shape == (2,)


def test_learned_labels_that_are_certain_can_still_move():
    distilled = DistilledSet(
        torch.zeros(1, 2, 3), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.ones(1, 1),
        parametrisation=LABEL_PROBABILITIES,
    )  # fmt: skip
    assert distilled.free_y.isfinite().all()
    assert_allclose(distilled.y.detach(), [[[1, 0], [0, 1]]], atol=1e-5)


def test_the_iterate_of_the_lowest_loss_is_kept(scenes):
    """All labels of a sample are seldom right: their share would hardly distinguish iterates."""
    X, _, y, _ = scenes
    scores = tiny(max_iter=30, labels="soft").fit(X, y).history_["validation_score"]
    assert max(scores) < 0
    assert len(set(scores)) == len(scores)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        (
            {"method": "ridge"},
            "method='ridge' takes a .* y, but this y is multilabel. Use method='unrolled'",
        ),
        ({"method": [Ridge()]}, "but this y is multilabel"),
        ({"objective": TargetedAttack(0, 1)}, "objective=Targeted.* takes a multiclass y"),
    ],
)
def test_what_wants_one_class_a_sample(scenes, changes, rule):
    X, _, y, _ = scenes
    with pytest.raises(ValueError, match=rule):
        tiny(**changes).fit(X, y)


def test_labels_that_are_not_0_and_1_or_never_there(scenes, distiller):
    X, X_test, y, y_test = scenes
    with pytest.raises(ValueError, match=r"y must hold 0 or 1 .*holds \[-1, 1\]"):
        tiny().fit(X, 2 * y - 1)
    with pytest.raises(ValueError, match=r"y must hold 0 or 1 .*holds \[0, 1, 2\]"):
        tiny().fit(X, y * np.r_[2, np.ones(len(y) - 1, int)][:, None])
    with pytest.raises(ValueError, match=r"y must hold .* differ in length.*MultiLabelBinarizer"):
        tiny().fit(X, [tuple(np.flatnonzero(labels)) for labels in y])
    with pytest.raises(ValueError, match="y contains NaN"):
        tiny().fit(X, np.where(np.arange(len(y))[:, None] == 0, np.nan, y))
    with pytest.raises(ValueError, match=r"no sample has the labels of columns \[1\]"):
        tiny().fit(X, y * [1, 0, 1, 1])
    with pytest.raises(ValueError, match=r"for each of 150 samples and 4 labels"):
        distiller.evaluate(X_test, y_test[:, :2])


def test_what_has_no_such_form_says_so(scenes, distiller):
    X, X_test, y, y_test = scenes
    with pytest.raises(ValueError, match=r"compare takes a multiclass y.*evaluate"):
        compare(distiller, X, y, X_test, y_test)
    for refuse in (lambda: RandomSamples().fit(X, y), lambda: train_pool(X, y, 1)):
        with pytest.raises(ValueError, match="must hold one class for each sample"):
            refuse()
