"""Gradient matching: distilled samples whose gradients point where those of real samples do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import cycle, islice

import torch
from torch import Tensor

from ..carry import Params, as_leaves
from ..inner_loop import inner_steps, train
from ..student_fn import StudentFn
from .outer_pass import outer_gradient
from .problem import Hypergradient, Method, OuterProblem, TargetKind


@dataclass(eq=False)
class GradientMatching(Method):
    """The distance between a student's gradients on real and on distilled samples.

    For each class and each weight it is Σ 1 − cos(∇L, ∇ℓ) over the rows of the weight that lead to
    one output, with the outer objective L on real samples and the inner loss ℓ on distilled ones. A
    distilled sample belongs to the class of its largest label; a class that is absent from either
    side is skipped. Step sizes get no gradient; `Unrolled` learns them afterwards.

    The gradients should agree all along a training. The paper trains one student as the outer
    iterations go by. Here students are trained anew in each iteration, for a random number of
    steps, so that nothing is carried over.

    Parameters
    ----------
    max_age : int, default=10
        Largest number of steps that a student is trained for on the distilled set, over and over if
        the schedule has fewer.

    References
    ----------
    Zhao, Mopuri and Bilen (2021), Dataset condensation with gradient matching (DC),
    arXiv:2006.05929.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, GradientMatching
    >>> X, y = load_wine(return_X_y=True)
    >>> method = GradientMatching(max_age=5)
    >>> DatasetDistiller(method=method, max_iter=20, random_state=0).fit(X, y).n_iter_
    20
    """

    max_age: int = 10

    learns_step_sizes = False
    targets = frozenset({TargetKind.MULTICLASS})

    def __call__(self, problem: OuterProblem) -> Hypergradient:
        """Return the distance and its gradient with respect to samples and labels."""
        student, (x_real, y_real) = problem.student, problem.real
        steps = inner_steps(problem.x, problem.y, problem.lrs)
        age = int(torch.randint(self.max_age + 1, (), generator=problem.generator))
        samples, labels = (t.detach().flatten(0, 1) for t in (problem.x, problem.y))
        classes = labels.argmax(-1)
        shared = sorted(set(classes.tolist()) & set(y_real.tolist()))
        total = problem.zeros()
        dx, dy = total.x.view_as(samples), total.y.view_as(labels)  # views into total
        for group in student.groups(problem.params):
            start = student.optimizer.start(group)
            params = train(student, start, islice(cycle(steps), age))[0]
            for c in shared:
                distilled, real = classes == c, y_real == c
                _, wanted = outer_gradient(
                    student, params, problem.objective, x_real[real], y_real[real]
                )
                part = _distance(
                    student, params, samples[distilled], labels[distilled], wanted, problem.params
                )
                total.loss.add_(part[0])
                dx[distilled] += part[1]
                dy[distilled] += part[2]
        n_inits = len(next(iter(problem.params.values())))
        return Hypergradient(*(part / n_inits for part in total))


def _distance(
    student: StudentFn,
    params: Params,
    x: Tensor,  # (batch, *sample_shape), of one class
    y: Tensor,  # (batch, n_classes)
    wanted: list[Tensor],
    stacked: Params,
) -> tuple[Tensor, Tensor, Tensor]:
    """The distance between the gradient at ``params`` and ``wanted``, and its slope for x and y.

    It is a sum over stacked students.
    """
    leaves, x, y = as_leaves(params), x.detach().requires_grad_(), y.detach().requires_grad_()
    with torch.enable_grad():
        gradient = torch.autograd.grad(
            student.inner_loss(leaves, x, y),
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
