"""Each counterpart says what its model says, and its gradient is exact."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from sklearn.kernel_ridge import KernelRidge as KernelRidgeRegression
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neighbors import NearestCentroid as Centroids
from sklearn.svm import LinearSVC
from torch.nn import functional as F

from sklearn_dd._engine.counterparts import (
    LOGISTIC,
    SQUARED_HINGE,
    GaussianClasses,
    KernelRidge,
    LeastSquares,
    Linear,
    NearestCentroid,
    NearestNeighbours,
    NeighbourMeans,
    Net,
    scaled,
)

COUNTERPARTS = [
    NearestNeighbours(), NearestNeighbours(3), NearestNeighbours(p=1), NearestCentroid(),
    GaussianClasses(smoothing=1e-3), KernelRidge(),
    KernelRidge(C=10, gamma=0.3, per_variance=False), Linear(LOGISTIC, tol=1e-12),
    Linear(SQUARED_HINGE, C=0.3, tol=1e-12),
    LeastSquares(C=2), Net((5,), "tanh"), Net((5,), "tanh", classifies=False),
    NeighbourMeans(2, width=100),
]  # fmt: skip


def samples(n, n_classes=3, seed=0, n_features=4):
    """x, class indices and one-hot labels, in float64."""
    g = torch.Generator().manual_seed(seed)
    index = torch.arange(n) % n_classes
    x = torch.randn(n, n_features, generator=g, dtype=torch.float64)
    x[:, :n_classes] += F.one_hot(index, n_classes)
    return x, index, F.one_hot(index, n_classes).double()


def seeded():
    return torch.Generator().manual_seed(0)


def outputs(counterpart, n_classes=3, n=12):
    x, index, y = samples(n, n_classes)
    new, *_ = samples(200, n_classes, seed=1)
    return x.numpy(), index.numpy(), new.numpy(), counterpart(x, y, new, seeded()).numpy()


@pytest.mark.parametrize("counterpart", COUNTERPARTS)
def test_gradients_are_those_of_finite_differences(counterpart):
    x, _, y = samples(9)
    new, *_ = samples(5, seed=1)

    def logits(x):
        found = counterpart(x, y, new, seeded())
        return found - found.mean(1, keepdim=True)  # what all classes share does not count

    assert torch.autograd.gradcheck(logits, x.requires_grad_(), atol=1e-4, rtol=1e-3)


def test_gradients_in_the_span_of_the_samples_are_those_of_finite_differences():
    x, _, y = samples(6, n_features=9)
    new, *_ = samples(5, seed=1, n_features=9)

    def logits(x):
        return Linear(tol=1e-12)(x, y, new, seeded()).softmax(1)

    assert torch.autograd.gradcheck(logits, x.requires_grad_(), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("p", [1, 2])
def test_the_nearest_neighbour_is_that_of_scikit_learn(p):
    x, index, new, found = outputs(NearestNeighbours(p=p))
    model = KNeighborsClassifier(1, p=p).fit(x, index)
    assert (found.argmax(1) == model.predict(new)).all()


def test_of_two_classes_the_majority_of_k_neighbours_wins():
    x, index, new, found = outputs(NearestNeighbours(5), n_classes=2)
    assert (found.argmax(1) == KNeighborsClassifier(5).fit(x, index).predict(new)).all()


def test_a_class_with_fewer_samples_is_as_far_as_its_last_one():
    x, index, y = samples(6)
    new, *_ = samples(10, seed=1)
    found = NearestNeighbours(9)(x, y, new, seeded())
    far = torch.stack([torch.cdist(new, x[index == c]).max(1).values for c in range(3)], 1)
    assert_allclose(found, -far.square())


@pytest.mark.parametrize("p", [1, 2])
def test_with_a_narrow_kernel_numbers_are_those_of_the_nearest_neighbour(p):
    x, index, new, found = outputs(NeighbourMeans(p=p, width=1e-6))
    model = KNeighborsRegressor(1, p=p).fit(x, np.eye(3)[index])
    assert_allclose(found, model.predict(new), atol=1e-6)


def test_centroids_are_those_of_scikit_learn():
    x, index, new, found = outputs(NearestCentroid())
    assert (found.argmax(1) == Centroids().fit(x, index).predict(new)).all()


def test_normal_distributions_are_those_of_scikit_learn():
    x, index, new, found = outputs(GaussianClasses())
    model = GaussianNB().fit(x, index)
    assert_allclose(found - found[:, :1], differences(model.predict_joint_log_proba(new)))


def differences(a):
    return a - a[:, :1]


def test_the_logistic_regression_is_that_of_scikit_learn():
    x, index, new, found = outputs(Linear(LOGISTIC, C=2, tol=1e-8))
    model = LogisticRegression(C=2, tol=1e-10, max_iter=10_000).fit(x, index)
    assert_allclose(differences(found), differences(model.decision_function(new)), atol=1e-3)


def test_more_features_than_samples_are_seen_in_the_span_of_the_samples():
    x, index, y = samples(12, n_features=40)
    new, *_ = samples(200, seed=1, n_features=40)
    found = Linear(LOGISTIC, C=2, tol=1e-10)(x, y, new, seeded()).numpy()
    model = LogisticRegression(C=2, tol=1e-10, max_iter=10_000).fit(x, index)
    assert_allclose(differences(found), differences(model.decision_function(new)), atol=1e-3)


def test_two_classes_have_two_weight_vectors_and_so_half_of_the_penalty():
    x, index, new, found = outputs(Linear(LOGISTIC, C=1, tol=1e-8), n_classes=2)
    model = LogisticRegression(C=2, tol=1e-10, max_iter=10_000).fit(x, index)
    assert_allclose(found[:, 1] - found[:, 0], model.decision_function(new), atol=1e-3)


def test_least_squares_are_those_of_scikit_learn():
    x, index, new, found = outputs(LeastSquares(C=1 / 0.7))
    model = RidgeClassifier(alpha=0.7).fit(x, index)
    assert_allclose(2 * found - 1, model.decision_function(new), atol=1e-3)


def test_without_a_penalty_they_are_the_least_ones_that_fit():
    x, *_ = samples(6, n_features=20)
    new, *_ = samples(50, seed=1, n_features=20)
    y = torch.randn(6, 1, dtype=torch.float64, generator=seeded())
    found = LeastSquares(C=1e8)(x.float(), y.float(), new.float(), seeded())
    model = LinearRegression().fit(x.numpy(), y.numpy())
    assert_allclose(found, model.predict(new.numpy()), atol=1e-3)


def test_samples_that_are_alike_span_less():
    x, _, y = samples(12, n_features=40)
    x[6:] = x[:6]
    x[:1] *= 30
    found = Linear()(x.float(), y.float(), x.float(), seeded())
    assert found.isfinite().all()


@pytest.mark.parametrize("n_features", [3, 30, 300])
def test_a_net_for_numbers_does_not_diverge(n_features):
    x = torch.randn(20, n_features, generator=seeded())
    y = torch.randn(20, 1, generator=seeded())
    found = Net(classifies=False)(x, y, x, seeded())
    assert (found - y).square().mean() < y.square().mean()


def test_the_linear_support_vector_machine_is_that_of_scikit_learn():
    x, index, new, found = outputs(Linear(SQUARED_HINGE, C=0.5, tol=1e-8))
    # liblinear penalises the intercept, the less the larger its feature is.
    model = LinearSVC(C=0.5, intercept_scaling=100, tol=1e-10, max_iter=1_000_000).fit(x, index)
    assert_allclose(found, model.decision_function(new), atol=1e-2)


def test_the_kernel_ridge_is_that_of_scikit_learn():
    given = {"C": 2, "gamma": 0.3, "per_variance": False}
    x, index, new, found = outputs(KernelRidge(**given, is_centred=False))
    model = KernelRidgeRegression(alpha=1 / 4, kernel="rbf", gamma=0.3)
    labels = np.eye(3)[index]
    assert_allclose(found, model.fit(x, labels).predict(new), rtol=1e-6, atol=1e-9)
    *_, centred = outputs(KernelRidge(**given))
    expected = model.fit(x, labels - 1 / 3).predict(new) + 1 / 3
    assert_allclose(centred, expected, rtol=1e-6, atol=1e-9)


def test_the_width_of_the_kernel_is_that_of_scikit_learn():
    x, *_, found = outputs(KernelRidge())
    *_, same = outputs(KernelRidge(gamma=1 / (4 * x.var()), per_variance=False))
    assert_allclose(found, same)


@pytest.mark.parametrize(
    "counterpart",
    [NearestNeighbours(), NearestCentroid(), GaussianClasses(), KernelRidge(), Linear()],
    ids=lambda c: type(c).__name__,
)
def test_a_class_that_learned_labels_left_without_samples_harms_nothing(counterpart):
    x, _, y = samples(6)
    y[:, 2] = 0
    found = counterpart(x, y, x, seeded())
    assert found.isfinite().all()


# The scale of outputs


def test_outputs_are_scaled_so_that_their_objective_is_lowest():
    outputs, index, _ = samples(40, n_features=3)
    found = scaled(F.cross_entropy, 7 * outputs, index)
    best = minimize_scalar(lambda s: float(F.cross_entropy(s * outputs, index)), (0.1, 1))
    assert_allclose(F.cross_entropy(found, index), best.fun, rtol=1e-6)
    for unit in (1e-6, 1e6):
        assert_allclose(scaled(F.cross_entropy, unit * outputs, index), found, rtol=1e-3)


def test_constant_outputs_stay_as_they_are():
    _, index, _ = samples(6)
    assert torch.isfinite(scaled(F.cross_entropy, torch.zeros(6, 3), index)).all()


def test_the_gradient_at_the_best_scale_is_exact():
    outputs, index, _ = samples(40, n_features=3)

    def lowest(outputs):
        return F.cross_entropy(scaled(F.cross_entropy, outputs, index), index)

    assert torch.autograd.gradcheck(lowest, outputs.requires_grad_(), atol=1e-5)
