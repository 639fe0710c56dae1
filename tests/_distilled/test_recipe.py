"""Which student and which weights distilled data are trained with."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from skorch import NeuralNetClassifier

from sklearn_dd import (
    MLP,
    ConvNet,
    load_distilled,
    save_distilled,
)
from sklearn_dd._student import rebuilt

from ..helpers import (
    Wide,
    net,
    small_pool,
    tiny,
)


@pytest.mark.parametrize(
    "optimizer",
    [
        {"optimizer": torch.optim.Adam, "optimizer__betas": (0.8, 0.99), "optimizer__eps": 1e-3},
        {"optimizer__momentum": 0.5},
        {},
    ],
    ids=["Adam", "momentum", "descent"],
)
def test_a_class_is_trained_by_the_optimizer_that_the_data_were_distilled_for(
    optimizer, table, path
):
    X, y = table
    student = NeuralNetClassifier(MLP, **optimizer)
    distiller = tiny(student=student, init="fixed", distill_lr=0.02).fit(X, y)
    save_distilled(path, distiller)
    wanted = distiller.predict_proba(X)
    for data in (distiller.transform(), load_distilled(path)):
        for given in (None, MLP, student):
            assert_array_equal(data.train(given).predict_proba(X), wanted)
    own = distiller.evaluate(X, y, each_step=True).step_scores
    assert_array_equal(distiller.evaluate(X, y, student=MLP, each_step=True).step_scores, own)
    other = NeuralNetClassifier(MLP, optimizer__momentum=0.9)  # brings its own
    assert not np.array_equal(distiller.transform().train(other).predict_proba(X), wanted)


def test_train_warns_where_a_file_leaves_the_student_open(table, path):
    X, y = table
    save_distilled(path, tiny(student=Wide, init="fixed").fit(X, y))
    loaded = load_distilled(path)
    with (
        pytest.warns(UserWarning, match=r"distilled for Wide .*, and MLP .* its place"),
        pytest.warns(UserWarning, match="weights do not fit this MLP"),
    ):
        loaded.train()
    with pytest.warns(UserWarning, match="weights do not fit this MLP"):
        loaded.train(MLP)


@pytest.mark.parametrize(
    "student",
    [MLP, partial(MLP, width=5), net(width=5, depth=2), partial(ConvNet, width=4, depth=1)],
    ids=["class", "partial", "skorch", "convolutional"],
)
@pytest.mark.parametrize("init", ["random", "fixed"])
def test_a_file_builds_a_student_of_this_package_again(student, init, images, path, recwarn):
    X, y = images
    distiller = tiny(student=student, init=init).fit(X, y)
    save_distilled(path, distiller)
    loaded = load_distilled(path)
    assert loaded.recipe.student is None
    spec, own = loaded.recipe.spec(), distiller.recipe_.spec()
    assert (spec.module, spec.arguments) == (own.module, own.arguments)
    assert_array_equal(
        loaded.train(random_state=0).predict_proba(X),
        distiller.transform().train(random_state=0).predict_proba(X),
    )
    scores = loaded.evaluate(X, y, n_inits=2, random_state=0).scores
    assert_array_equal(scores, distiller.evaluate(X, y, n_inits=2, random_state=0).scores)
    assert not [w for w in recwarn if "student" in str(w.message)]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Wide", {"width": 5}), ("", {}), ("partial", {"width": 5}),
        ("MLP", {"activation": "torch.nn.modules.activation.Tanh"}),
    ],
)  # fmt: skip
def test_a_file_builds_no_other_student(name, arguments):
    """Not a class of another package, and not with arguments of which it holds only the name."""
    assert rebuilt(name, arguments) is None


def test_train_starts_from_the_weights_that_it_is_given(table, tmp_path):
    X, y = table
    pool = small_pool(X, y, 3, n_epochs=30, lr=0.02)
    distiller = tiny(init=pool, distill_lr=1e-6, max_iter=1).fit(X, y)
    save_distilled(tmp_path / "d.safetensors", distiller)
    for data in (distiller.transform(), load_distilled(tmp_path / "d.safetensors")):
        student = data.train(net(), init=pool[1])
        for name, p in student.module_.net.named_parameters():
            assert_allclose(p.detach(), pool[1][name], atol=1e-3)


def test_train_takes_the_pool_for_its_own_students_and_says_where_it_cannot(table, tmp_path):
    X, y = table
    pool = small_pool(X, y, 3, n_epochs=30, lr=0.02)
    distiller = tiny(init=pool, distill_lr=1e-6, max_iter=1).fit(X, y)
    for student in (None, net()):
        assert (distiller.transform().train(student).predict(X) == y).mean() > 0.9
        assert distiller.evaluate(X, y, student=student).mean > 0.9
    with pytest.warns(UserWarning, match="a pool of nets that do not fit this MLP"):
        distiller.transform().train(MLP)
    save_distilled(tmp_path / "d.safetensors", distiller)
    with pytest.warns(UserWarning, match="weights that a file does not hold"):
        load_distilled(tmp_path / "d.safetensors").train(net())
