"""Each of several students counts by its own measure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from sklearn_dd import DatasetDistiller
from sklearn_dd._distillers.look import examine
from sklearn_dd._distillers.measure import first_set
from sklearn_dd._distillers.problem import Problem
from sklearn_dd._engine import Stream, draw
from sklearn_dd._evaluation import Training

STUDENTS = [KNeighborsClassifier(1), LogisticRegression()]


@pytest.fixture(scope="module")
def data():
    """Three classes that overlap, of which the third is far from the others."""
    rng = np.random.default_rng(0)
    y = np.arange(1500) % 3
    return rng.normal(size=(1500, 4)) + np.diag([1, 1, 4, 0])[y], y


def problem_of(data, student, **changes):
    distiller = DatasetDistiller(2, student=student, **changes)
    return Problem.from_parameters(distiller, *data, None, 0, None)


def losses(problem, start, student):
    """The held-out loss of each student alone."""
    params = draw(problem.training_prior, range(4), problem.seed, Stream.START)
    own = {
        name.removeprefix(f"{student}."): p
        for name, p in params.items() if name.startswith(f"{student}.")
    }  # fmt: skip
    training = Training(problem.student.members[student], own, start.x, start.y, start.lrs)
    return float(examine(training, problem.held_out, problem.real.targets, None).losses.mean())


def test_the_measure_of_a_student_is_its_least_loss_on_a_start(data):
    problem = problem_of(data, STUDENTS)
    found = first_set(problem, None).losses
    kinds = "kmeans", "mean", "real", "herding", "kcenters", "medoids"
    starts = [first_set(problem_of(data, STUDENTS, data_init=kind), None).first for kind in kinds]
    least = [min(losses(problem, start, student) for start in starts) for student in range(2)]
    assert_allclose(found, least, rtol=1e-5)


def test_a_problem_weighs_students_by_their_measures(data):
    problem = problem_of(data, STUDENTS)
    weighed = problem.weighing(torch.tensor([0.5, 2.0]))
    assert weighed.student.weights == [2.0, 0.5]
    assert problem.student.weights is None
    alone = problem_of(data, STUDENTS[0])
    assert alone.weighing(first_set(alone, None).losses) is alone


def test_an_objective_of_the_users_own_is_not_weighed(data):
    def negative(outputs, y):
        return torch.nn.functional.cross_entropy(outputs, y) - 10

    problem = problem_of(data, STUDENTS, objective=negative)
    assert first_set(problem, None).losses is None


def test_a_perfect_start_does_not_outweigh_all_others(data):
    X, y = data
    students = [LogisticRegression(), KNeighborsClassifier(1), RandomForestClassifier()]
    apart = np.column_stack([X, 100 * y])
    found = first_set(problem_of((apart, y), students), None).losses
    assert float(found.min()) >= np.log(3) / 20 - 1e-9
