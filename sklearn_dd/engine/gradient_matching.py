"""Matching of gradients: distilled samples that pull a net where real ones do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import cycle, islice

import torch
from torch import Tensor

from .hypergradient import Hypergradient, Task, outer_gradient
from .inner_loop import Learner, schedule, train
from .optimizers import Params, as_leaves


@dataclass(eq=False)
class GradientMatching:
    """The distance between the gradients of a net's weights on real and on distilled samples.

    Class by class and weight by weight, it is Σ 1 − cos(∇L, ∇ℓ) over the rows that lead to one
    output each, with the outer objective L on real samples and the inner loss ℓ on distilled ones.
    The class of a distilled sample is that of its largest label; a class that is absent from either
    side is skipped. Step sizes get no gradient: `Unrolled` learns them afterwards.

    The gradients are to agree all along a training. Where the paper trains one net as the outer
    iterations go by, nets are here trained anew in each of them, for a random number of steps:
    nothing is carried over (DC; Zhao, Mopuri and Bilen 2021, arXiv:2006.05929).

    Parameters
    ----------
    max_age : int
        The most steps that a net is trained on the distilled set, over and over if that has fewer.
    """

    max_age: int = 10

    def __call__(self, task: Task) -> Hypergradient:
        learner, real = task.learner, task.real
        steps = schedule(task.x, task.y, task.lrs)
        age = int(torch.randint(self.max_age + 1, (), generator=task.generator))
        samples, labels = (t.detach().flatten(0, 1) for t in (task.x, task.y))
        classes = labels.argmax(-1)
        shared = sorted(set(classes.tolist()) & set(real[1].tolist()))
        total = task.no_gradient()
        dx, dy = total.x.view_as(samples), total.y.view_as(labels)  # what is added here is there
        for group in learner.groups(task.nets):
            net = train(learner, learner.optimizer.start(group), islice(cycle(steps), age))[0]
            for c in shared:
                ours, theirs = classes == c, real[1] == c
                _, wanted = outer_gradient(learner, net, task.objective, *(t[theirs] for t in real))
                part = _match(learner, net, samples[ours], labels[ours], wanted, task.nets)
                total.loss.add_(part[0])
                dx[ours] += part[1]
                dy[ours] += part[2]
        n_nets = len(next(iter(task.nets.values())))
        return Hypergradient(*(part / n_nets for part in total))


def _match(
    learner: Learner,
    net: Params,
    x: Tensor,  # (batch, *sample_shape), of one class
    y: Tensor,  # (batch, n_classes)
    wanted: list[Tensor],
    stacked: Params,
) -> tuple[Tensor, Tensor, Tensor]:
    """The distance between the gradient at ``net`` and the wanted one, and its slope for x and y.

    It is a sum over stacked nets.
    """
    leaves, x, y = as_leaves(net), x.detach().requires_grad_(), y.detach().requires_grad_()
    with torch.enable_grad():
        gradient = torch.autograd.grad(
            learner.objective(leaves, x, y),
            list(leaves.values()),
            create_graph=True,
            materialize_grads=True,
        )
        distances = []
        for a, b, p in zip(gradient, wanted, stacked.values(), strict=True):
            width = math.prod(p.shape[2:])
            if width > 1:  # a row of one number, as in a bias, has no direction
                distances.append(angular(a.reshape(-1, width), b.reshape(-1, width)))
        distance = torch.stack(distances).sum()
        dx, dy = torch.autograd.grad(distance, (x, y))
    return distance.detach(), dx, dy


def angular(a: Tensor, b: Tensor) -> Tensor:
    """Σ 1 − cos(a_i, b_i) over the rows i of two matrices; a row of zeros adds nothing."""
    norms = a.norm(dim=1) * b.norm(dim=1)
    cosines = (a * b).sum(1) / norms.where(norms > 0, 1)
    return (1 - cosines).where(norms > 0, 0).sum()
