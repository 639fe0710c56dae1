"""A student as pure functions: those of its module, for one or for several, stacked."""

from __future__ import annotations

import copy

import torch
from torch import nn

from sklearn_dd._engine import StudentFn, mean_squared_error, pure, pure_features

from .problems import mlp, mlp_of_three_inits, two_layers


def parameters(module: nn.Module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


class Tied(nn.Module):
    """One weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x).tanh())


def test_outputs_are_the_modules():
    for module, x in ((two_layers(), torch.randn(7, 5)), (Tied(), torch.randn(7, 4))):
        params, expected = parameters(module), module(x)
        with torch.no_grad():
            for p in module.parameters():
                p.zero_()  # they do not depend on the module's own parameters
        torch.testing.assert_close(pure(module)(params, x), expected)


def test_stacked_outputs_are_each_students():
    for build, n_in in ((two_layers, 5), (Tied, 4)):
        modules, x = [build() for _ in range(3)], torch.randn(7, n_in)
        each = [parameters(module) for module in modules]
        stacked = {name: torch.stack([params[name] for params in each]) for name in each[0]}
        expected = torch.stack([module(x) for module in modules])
        torch.testing.assert_close(pure(build())(stacked, x), expected)


def test_stackable_students_go_together_and_others_one_by_one():
    problem = mlp_of_three_inits()
    (together,) = problem.student.groups(problem.params)
    assert together is problem.params
    apart = problem.outer(stackable=False).student.groups(problem.params)
    for group, init in zip(apart, problem.each_init(), strict=True):
        assert all(torch.equal(group[name], init[name]) for name in init)
    alone = mlp()
    (group,) = alone.student.groups(alone.params)
    assert all(group[name].shape == p.shape[1:] for name, p in alone.params.items())


def test_the_inner_loss_is_that_of_the_outputs():
    module, x, y = two_layers(), torch.randn(7, 5), torch.randn(7, 3)
    student = StudentFn(pure(module), loss=mean_squared_error)
    expected = nn.functional.mse_loss(module(x), y)
    torch.testing.assert_close(student.inner_loss(parameters(module), x, y), expected)


def test_features_are_the_input_of_the_last_linear_layer(problem):
    linear = [layer for layer in problem.module.modules() if isinstance(layer, nn.Linear)][-1]
    name = next(name for name, layer in problem.module.named_modules() if layer is linear)
    for group in problem.student.groups(problem.params):
        weight, bias = group[f"{name}.weight"], group[f"{name}.bias"]
        stacked = weight.ndim > 2
        features = problem.student.features(group, problem.real[0])
        logits = features @ weight.mT + (bias[:, None] if stacked else bias)
        torch.testing.assert_close(logits, problem.student.apply(group, problem.real[0]))


def test_features_are_found_by_a_run_and_not_by_the_order_of_layers():
    class Reversed(nn.Module):
        """Its last layer comes first."""

        def __init__(self) -> None:
            super().__init__()
            self.head, self.body = nn.Linear(6, 3), nn.Linear(5, 6)

        def forward(self, x):
            return self.head(self.body(x).tanh())

    module, x = Reversed(), torch.randn(7, 5)
    features = pure_features(copy.deepcopy(module), x)
    torch.testing.assert_close(features(parameters(module), x), module.body(x).tanh())


def test_a_student_that_does_not_end_in_a_linear_layer_has_no_features():
    module = nn.Sequential(nn.Linear(5, 3), nn.Tanh())
    assert pure_features(module, torch.zeros(2, 5)) is None
