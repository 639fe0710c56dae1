"""Matching of distributions: the class means of features, with nothing trained or unrolled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .hypergradient import Hypergradient, Task


@dataclass(eq=False)
class DistributionMatching:
    """The distance Σ_c ‖φ̄_c − φ̃_c‖² between class means of real and of distilled features.

    The features are what nets from the prior give to their last linear layer, mostly with random
    weights. The class of a distilled sample is that of its largest label; a class that is absent
    from either side is skipped. The outer objective has no say. Labels and step sizes get no
    gradient: `Unrolled` learns step sizes afterwards (DM; Zhao and Bilen 2023, arXiv:2110.04181).
    """

    def __call__(self, task: Task) -> Hypergradient:
        features, x, (x_real, y_real) = task.learner.features, task.x, task.real
        assert features is not None
        x = x.detach().requires_grad_()
        ours, theirs = (averages(c, task.y) for c in (task.y.argmax(-1).flatten(), y_real))
        shared = ours.any(1) & theirs.any(1)
        ours, theirs = ours[shared], theirs[shared]
        total = task.no_gradient()
        groups = task.learner.groups(task.nets)
        for group in groups:
            with torch.no_grad():
                wanted = theirs @ features(group, x_real)
            with torch.enable_grad():
                gap = ours @ features(group, x.flatten(0, 1)) - wanted
                # ([n_nets,] n_classes, d): a mean over the nets, a sum over the rest.
                distance = gap.square().sum((-2, -1)).mean()
            total.x.add_(torch.autograd.grad(distance, x)[0])
            total.loss.add_(distance.detach())
        return Hypergradient(*(part / len(groups) for part in total))


def averages(
    classes: Tensor,  # (n,)
    y: Tensor,  # (..., n_classes); for its width, dtype and device
) -> Tensor:
    """The matrix (n_classes, n) that maps samples to class means; zeros for an absent class."""
    members = F.one_hot(classes, y.shape[-1]).mT.to(y)
    return members / members.sum(1, keepdim=True).clamp(min=1)
