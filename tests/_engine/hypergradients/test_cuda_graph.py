"""A recorded estimator is the estimator: here with a recording that only copies its inputs."""

import copy
import dataclasses
import pickle

import pytest
import torch

from sklearn_dd.engine import cuda_graph
from sklearn_dd.engine.cuda_graph import CudaGraph
from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.engine.optimizers import Momentum
from sklearn_dd.engine.ridge import Ridge

from .problems import mlp_of_three_inits


@pytest.fixture
def problem():
    torch.manual_seed(0)
    return mlp_of_three_inits()


@pytest.fixture
def recorded(monkeypatch):
    """Shapes of the samples of each recording; as in one on CUDA, inputs keep their places."""
    shapes = []

    def record(function, *inputs):
        shapes.append(inputs[-5].shape)
        static = [t.clone() for t in inputs]

        def replay(*inputs):
            for place, t in zip(static, inputs, strict=True):
                place.copy_(t)
            return tuple(t.clone() for t in function(*static))

        return replay

    monkeypatch.setattr(cuda_graph, "record", record)
    return shapes


def assert_same(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


def test_replays_what_is_new(problem, recorded):
    graph = CudaGraph()
    for scale in (1, 2, 3):
        task = problem.task(
            x=scale * problem.x,
            lrs=problem.lrs / scale,
            nets={name: scale * p for name, p in problem.params.items()},
            real=(scale * problem.real[0], problem.real[1].roll(scale)),
        )
        assert_same(graph.replayed(task), Unrolled()(task))
    assert recorded == [problem.x.shape]


def test_other_shapes_have_a_recording_of_their_own(problem, recorded):
    graph = CudaGraph()
    for x, y in ((problem.x, problem.y), (problem.x[:, :2], problem.y[:, :2])) * 2:
        task = problem.task(x=x, y=y)
        assert_same(graph.replayed(task), Unrolled()(task))
    assert recorded == [problem.x.shape, problem.x[:, :2].shape]


def test_another_learner_or_objective_has_recordings_of_its_own(problem, recorded):
    graph = CudaGraph()

    def squares(logits, y):
        return logits.square().mean()

    learner = dataclasses.replace(problem.learner, optimizer=Momentum(0.5))
    tasks = [problem.task(), problem.task(learner=learner), problem.task(squares)]
    for task in tasks:
        assert_same(graph.replayed(task), Unrolled()(task))
    assert len(recorded) == 3


@pytest.mark.parametrize("estimator", [Unrolled(window=2), Ridge(), CudaGraph()])
def test_only_what_is_the_same_each_time_is_taken(estimator):
    with pytest.raises(ValueError, match="CudaGraph records Unrolled without a window"):
        CudaGraph(estimator)


def test_what_cannot_be_recorded_is_called_as_it_is(problem, monkeypatch):
    def refuse(function, *inputs):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(cuda_graph, "record", refuse)
    graph = CudaGraph()
    with pytest.warns(UserWarning, match="cannot be recorded .* not permitted"):
        first = graph.replayed(problem.task())
    assert_same(first, Unrolled()(problem.task()))
    assert_same(graph.replayed(problem.task()), first)


def test_is_the_estimator_on_a_cpu(problem, recorded):
    assert_same(CudaGraph()(problem.task()), Unrolled()(problem.task()))
    assert not recorded


def test_a_copy_has_no_recordings(problem, recorded):
    graph = CudaGraph()
    graph.replayed(problem.task())
    for twin in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        twin.replayed(problem.task())
    assert len(recorded) == 3
    assert repr(graph) == f"CudaGraph(estimator={Unrolled()!r})"
