"""The hypergradient as one would write it first: one graph through all steps of training.

Memory and time grow with the whole graph. `Unrolled` computes the same; the tests compare them.
"""

from __future__ import annotations

import torch

from ..carry import as_leaves
from .problem import Hypergradient, OuterProblem


@torch.enable_grad()
def naive_hypergradient(
    problem: OuterProblem, *, first: int = 0, end: int | None = None
) -> Hypergradient:
    """Differentiate through the steps from ``first`` to ``end`` of training, by default all.

    Parameters
    ----------
    problem : OuterProblem
        What is differentiated.
    first : int, default=0
        The steps before this one are taken as given.
    end : int or None, default=None
        Training stops after this many steps.

    Returns
    -------
    Hypergradient
        The outer loss and its gradients.
    """
    student, optimizer = problem.student, problem.student.optimizer
    x, y, lrs = leaves = [t.detach().requires_grad_() for t in (problem.x, problem.y, problem.lrs)]
    losses = []
    for i in range(len(next(iter(problem.params.values())))):
        params = as_leaves({name: p[i] for name, p in problem.params.items()})
        carry = optimizer.start(params)
        for t, lr in enumerate(lrs.flatten()[:end]):
            k = t % len(x)
            loss = student.inner_loss(carry[0], x[k], y[k])
            inputs = list(carry[0].values())
            gradient = torch.autograd.grad(loss, inputs, create_graph=True, materialize_grads=True)
            carry = optimizer.update(carry, dict(zip(carry[0], gradient, strict=True)), lr)
            if t < first:
                carry = tuple(as_leaves(part) for part in carry)
        losses.append(problem.objective(student.apply(carry[0], problem.real[0]), problem.real[1]))
    loss = torch.stack(losses).mean()
    gradients = torch.autograd.grad(loss, leaves, materialize_grads=True)
    return Hypergradient(loss.detach(), *gradients)
