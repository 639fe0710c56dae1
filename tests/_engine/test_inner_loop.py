"""The inner loop takes the steps of a schedule, one after the other."""

from __future__ import annotations

import torch

from sklearn_dd._engine import inner_steps, train, unroll
from sklearn_dd._engine.carry import flat

from .problems import assert_equal, empty_memory, inner_gradient, mlp, naive_direction


def test_each_epoch_goes_through_all_mini_batches():
    x, y = torch.arange(3.0).reshape(3, 1, 1), torch.arange(3.0, 6.0).reshape(3, 1, 1)
    lrs = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], requires_grad=True)
    steps = inner_steps(x, y, lrs)
    assert [float(images) for images, _, _ in steps] == [0, 1, 2] * 2
    assert [float(labels) for _, labels, _ in steps] == [3, 4, 5] * 2
    assert torch.equal(torch.stack([lr for _, _, lr in steps]), lrs.detach().flatten())
    assert not any(part.requires_grad for step in steps for part in step)


def test_training_equals_a_loop_written_out_by_hand(optimizer):
    problem = mlp()
    student = problem.outer(optimizer=optimizer).student
    (theta,) = problem.each_init()
    start, memory = optimizer.start(theta), empty_memory(theta)
    found = train(student, start, inner_steps(problem.x, problem.y, problem.lrs))
    for t, lr in enumerate(problem.lrs.flatten()):
        gradient = inner_gradient(problem, theta, problem.x[t % 2], problem.y[t % 2])
        theta = {
            name: p - lr * naive_direction(optimizer, memory, name, gradient[name], t)
            for name, p in theta.items()
        }
    torch.testing.assert_close(found[0], theta, rtol=1e-12, atol=1e-14)


def test_unrolling_yields_the_start_and_the_carry_after_each_step(optimizer):
    problem = mlp()
    student = problem.outer(optimizer=optimizer).student
    (init,) = problem.each_init()
    start, steps = optimizer.start(init), inner_steps(problem.x, problem.y, problem.lrs)
    seen = [[t.clone() for t in flat(carry)] for carry in unroll(student, start, steps)]
    assert len(seen) == len(steps) + 1
    assert_equal(seen[0], flat(start))
    for n_steps, carry in enumerate(seen):
        assert_equal(carry, flat(train(student, start, steps[:n_steps])))
    assert not torch.equal(seen[-1][0], seen[0][0])


def test_what_is_given_is_not_overwritten(optimizer):
    problem = mlp()
    student = problem.outer(optimizer=optimizer).student
    (init,) = problem.each_init()
    start = optimizer.start(init)
    before = [t.clone() for t in (*flat(start), *problem.inputs())]
    after = train(student, start, inner_steps(problem.x, problem.y, problem.lrs))
    assert_equal((*flat(start), *problem.inputs()), before)
    assert not any(t.requires_grad for t in flat(after))


def test_no_steps_are_a_copy_of_the_start():
    problem = mlp()
    (init,) = problem.each_init()
    start = problem.student.optimizer.start(init)
    found = train(problem.student, start, [])
    assert_equal(flat(found), flat(start))
    assert all(t is not other for t, other in zip(flat(found), flat(start), strict=True))
