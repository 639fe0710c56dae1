"""What a recording takes and refuses, and what is done without one; replays need a GPU."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import warnings

import pytest
import torch

from sklearn_dd._engine import SGD, CudaGraph, Momentum, OuterProblem, Ridge, Traced, Unrolled
from sklearn_dd._engine.hypergradients import cuda_graph

from ..problems import Problem, assert_equal, mlp_of_three_inits


@pytest.fixture
def problem() -> Problem:
    return mlp_of_three_inits()


@pytest.fixture
def recordings(monkeypatch):
    """Records nothing, but notes the shapes of the samples of each recording."""
    shapes = []

    def record(function, *inputs):
        *_, x, y, lrs, _, _ = inputs
        shapes.append(x.shape)
        loss = torch.tensor(float(len(shapes)))
        return lambda *inputs: (loss, x, y, lrs)

    monkeypatch.setattr(cuda_graph, "record", record)
    return shapes


@pytest.mark.parametrize("method", [Unrolled(window=2), Ridge(), CudaGraph()], ids=repr)
def test_only_what_is_the_same_each_time_is_taken(method):
    with pytest.raises(ValueError, match="CudaGraph records Unrolled without a window"):
        CudaGraph(method)


def test_on_a_cpu_the_method_is_called_as_it_is(problem, monkeypatch):
    def refuse(function, *inputs):
        raise AssertionError("There is nothing to record.")

    monkeypatch.setattr(cuda_graph, "record", refuse)
    outer = problem.outer()
    assert_equal(CudaGraph()(outer), Unrolled()(outer))


def test_what_cannot_be_recorded_is_called_as_it_is_after_one_warning(problem, monkeypatch):
    def refuse(function, *inputs):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(cuda_graph, "record", refuse)
    graph, outer = CudaGraph(), problem.outer()
    with pytest.warns(UserWarning, match=r"cannot be recorded .* not permitted"):
        first = graph.replayed(outer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = graph.replayed(outer)
    assert_equal(first, Unrolled()(outer))
    assert_equal(second, first)


def test_each_shape_is_recorded_once(problem, recordings):
    graph, student = CudaGraph(), problem.student
    few = {"x": problem.x[:, :2], "y": problem.y[:, :2]}
    outers = [problem.outer(), problem.outer(**few)._replace(student=student)] * 2
    losses = [float(graph.replayed(outer._replace(student=student)).loss) for outer in outers]
    assert losses == [1, 2, 1, 2]
    assert recordings == [problem.x.shape, problem.x[:, :2].shape]


def test_another_student_or_objective_has_recordings_of_its_own(problem, recordings):
    def squares(logits, y):
        return logits.square().mean()

    graph, outer = CudaGraph(), problem.outer()
    other = dataclasses.replace(problem.student, optimizer=Momentum(0.5))
    for given in (outer, outer._replace(student=other), outer._replace(objective=squares)):
        graph.replayed(given), graph.replayed(given)
    assert len(recordings) == 3


def test_a_recording_takes_its_steps_by_autograd(problem, monkeypatch):
    """Traced steps would save nothing, and must not be traced while a graph is recorded."""
    monkeypatch.setattr(cuda_graph, "record", lambda function, *inputs: function)
    traced = Traced(SGD())
    outer = problem.outer(accelerated=traced)
    found = CudaGraph().replayed(outer)
    assert (traced.n_traced, traced.n_autograd) == (0, 0)
    assert found.x.shape == problem.x.shape


def test_a_copy_has_no_recordings(problem, recordings):
    graph, outer = CudaGraph(Unrolled(micro_batch=3)), problem.outer()
    graph.replayed(outer)
    for twin in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert twin.method.micro_batch == 3
        twin.replayed(outer)
    assert len(recordings) == 3
    assert repr(graph) == f"CudaGraph(method={Unrolled(micro_batch=3)!r})"


@pytest.mark.system
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_a_replay_is_the_method(problem):
    graph, student = CudaGraph(), problem.outer().student
    for scale in (1, 2, 3):
        outer = on_a_gpu(problem.outer(
            student=student, x=scale * problem.x, lrs=problem.lrs / scale,
            params={name: scale * p for name, p in problem.params.items()},
            real=(scale * problem.real[0], problem.real[1].roll(scale)),
        ))  # fmt: skip
        for found, expected in zip(graph(outer), Unrolled()(outer), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)
    (recorded,) = graph._recorded.values()
    assert recorded is not None


def on_a_gpu(outer: OuterProblem) -> OuterProblem:
    return outer._replace(
        params={name: p.cuda() for name, p in outer.params.items()},
        x=outer.x.cuda(), y=outer.y.cuda(), lrs=outer.lrs.cuda(),
        real=tuple(part.cuda() for part in outer.real),
    )  # fmt: skip
