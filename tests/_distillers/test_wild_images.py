"""Images of any size, number of channels and contrast: no student starts dead, and all learn."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sklearn_dd import ConvNet, DatasetDistiller, LeNet


def enlarged(height, width, channels, scale, offset):
    """Digits of another size, some of the pixels repeated."""
    images, y = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8)[:400]
    rows, columns = (np.arange(side) * 8 // side for side in (height, width))
    X = images[:, None, rows][..., columns].repeat(channels, axis=1)
    return (offset + scale * X).astype(np.float32), y[:400]


@pytest.mark.parametrize("student", [LeNet, partial(ConvNet, width=4)], ids=["LeNet", "ConvNet"])
@pytest.mark.parametrize(
    ("shape", "scale", "offset"),
    [((17, 23, 3), 1, 0), ((16, 16, 1), 1e-4, 0), ((16, 16, 2), 1e-2, 1000), ((16, 16, 1), 1e6, 0)],
    ids=["odd size", "dark", "little contrast", "huge"],
)
def test_students_learn_whatever_the_image(student, shape, scale, offset):
    X, y = enlarged(*shape, scale, offset)
    distiller = DatasetDistiller(
        student=student, n_per_class=1, n_epochs=20, data_init="kmeans", distill_lr=0.01,
        max_iter=10, random_state=0,
    ).fit(X, y)  # fmt: skip
    assert distiller.history_["dead_share"] == [0.0] * len(distiller.history_["dead_share"])
    assert np.isfinite(distiller.X_syn_).all()
    assert distiller.score(X, y) > 0.3  # chance is 0.1
