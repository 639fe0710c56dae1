"""Distribution matching: the class means of features, with nothing trained or unrolled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .problem import Hypergradient, Method, OuterProblem, TargetKind


@dataclass(eq=False)
class DistributionMatching(Method):
    """The distance Σ_c ‖φ̄_c − φ̃_c‖² between class means of real and of distilled features.

    The features are the inputs of the last linear layer of students whose parameters come from the
    weight prior and are usually random. A distilled sample belongs to the class of its largest
    label; a class that is absent from either side is skipped. The outer objective is not used.
    Labels and step sizes get no gradient; `Unrolled` learns step sizes afterwards.

    References
    ----------
    Zhao and Bilen (2023), Dataset condensation with distribution matching (DM), arXiv:2110.04181.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, DistributionMatching
    >>> X, y = load_wine(return_X_y=True)
    >>> method = DistributionMatching()
    >>> distiller = DatasetDistiller(method=method, data_init="noise", max_iter=20, random_state=0)
    >>> distiller.fit(X, y).lrs_.shape
    (10, 1)
    """

    learns_step_sizes = False
    needs_features = True
    targets = frozenset({TargetKind.MULTICLASS})

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the distance and its gradient with respect to the samples."""
        student, x, (x_real, y_real) = problem.student, problem.x, problem.real
        assert student.features is not None
        x = x.detach().requires_grad_()
        distilled, real = (
            class_means(c, problem.y) for c in (problem.y.argmax(-1).flatten(), y_real)
        )
        shared = distilled.any(1) & real.any(1)
        distilled, real = distilled[shared], real[shared]
        total = problem.zeros()
        groups = student.groups(problem.params)
        for group in groups:
            with torch.no_grad():
                wanted = real @ student.features(group, x_real)
            with torch.enable_grad():
                gap = distilled @ student.features(group, x.flatten(0, 1)) - wanted
                # ([n_inits,] n_classes, d): a mean over the students, a sum over the rest.
                distance = gap.square().sum((-2, -1)).mean()
            total.x.add_(torch.autograd.grad(distance, x)[0])
            total.loss.add_(distance.detach())
        return Hypergradient(*(part / len(groups) for part in total))


def class_means(
    classes: Tensor,  # (n,)
    y: Tensor,  # (..., n_classes); for its width, dtype and device
) -> Tensor:
    """The matrix (n_classes, n) that maps samples to class means; zeros for an absent class."""
    members = F.one_hot(classes, y.shape[-1]).mT.to(y)
    return members / members.sum(1, keepdim=True).clamp(min=1)
