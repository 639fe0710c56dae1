"""The built-in students: their shapes, their names, and that one can differentiate them twice."""

from __future__ import annotations

import pytest
import torch

from sklearn_dd import MLP, AlexCifarNet, AlexNet, ConvNet, LeNet, Unrolled
from sklearn_dd.methods import naive_hypergradient

from ._engine.problems import Problem, assert_close

# Of torchvision's alexnet(num_classes=1000), whose weights these are to load.
TORCHVISION = {
    "features.0": (64, 3, 11, 11),
    "features.3": (192, 64, 5, 5),
    "features.6": (384, 192, 3, 3),
    "features.8": (256, 384, 3, 3),
    "features.10": (256, 256, 3, 3),
    "classifier.1": (4096, 9216),
    "classifier.4": (4096, 4096),
    "classifier.6": (1000, 4096),
}


def test_alexnet_has_the_parameters_of_torchvision():
    with torch.device("meta"):  # 244 MB otherwise
        found = {k: tuple(p.shape) for k, p in AlexNet((3, 224, 224), 1000).named_parameters()}
    weights = {f"{layer}.weight": shape for layer, shape in TORCHVISION.items()}
    biases = {f"{layer}.bias": shape[:1] for layer, shape in TORCHVISION.items()}
    assert found == weights | biases


def test_the_last_layer_alone_depends_on_the_number_of_classes():
    with torch.device("meta"):
        thousand, twenty = (AlexNet((3, 224, 224), n).state_dict() for n in (1000, 20))
    other = {name for name in twenty if twenty[name].shape != thousand[name].shape}
    assert other == {name for name in twenty if name.startswith("classifier.6.")}
    assert len(other) == 2


def test_all_classes_are_alike_to_a_new_alexnet():
    with torch.no_grad():
        logits = AlexNet((3, 63, 63), 5)(torch.randn(2, 3, 63, 63))
    assert torch.equal(logits, torch.ones(2, 5))


@pytest.mark.parametrize(("side", "n_values"), [(32, 4096), (30, 4096), (28, 3136)])
def test_alexcifarnet_pools_twice(side, n_values):
    student = AlexCifarNet((3, side, side), 10)
    assert student.classifier[1].in_features == n_values
    assert student(torch.zeros(2, 3, side, side)).shape == (2, 10)


@pytest.mark.parametrize(
    ("student", "shape"),
    [(MLP, (7,)), (LeNet, (1, 28, 28)), (ConvNet, (3, 8, 8)), (AlexCifarNet, (3, 4, 4))],
)
def test_the_hypergradient_goes_through(student, shape):
    torch.manual_seed(0)
    p = Problem(student(shape, 3), shape, batch=3, n_steps=1, n_epochs=2, n_real=5, spread=0.01)
    assert_close(Unrolled()(p.outer()), naive_hypergradient(p.outer()), 1e-10)


@pytest.mark.parametrize(
    ("student", "shape"),
    [(LeNet, (1, 15, 15)), (ConvNet, (3, 1, 8)), (AlexCifarNet, (3, 3, 3)), (AlexNet, (3, 62, 62))],
)
def test_an_image_that_is_too_small(student, shape):
    with pytest.raises(ValueError, match=rf"{student.__name__} takes images .* at least"):
        student(shape, 3)
