"""A student as a pure function: several at once, and accelerated."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_dd import ConvNet
from sklearn_dd._engine.fast import tracing
from sklearn_dd._engine.fast.span import Span
from sklearn_dd._engine.hypergradients import unrolled
from sklearn_dd._student import Acceleration

from ..helpers import (
    OneAtATime,
    Wide,
    evaluated_students,
    net,
    same,
    tiny,
    tiny_for_images,
)


def test_a_student_that_vmap_refuses_learns_the_same(table):
    X, y = table
    together, in_turn = (tiny(student=student).fit(X, y) for student in (Wide, OneAtATime))
    assert_allclose(in_turn.transform().X, together.transform().X, rtol=1e-3)
    assert_allclose(
        in_turn.evaluate(X, y, n_inits=3, each_step=True).step_scores,
        together.evaluate(X, y, n_inits=3, each_step=True).step_scores,
        atol=0.02,
    )


@pytest.mark.parametrize("make", [tiny, tiny_for_images], ids=["table", "images"])
def test_students_at_once_do_as_one_after_the_other(table, images, make):
    X, y = table if make is tiny else images
    distiller = make(n_per_class=2, n_steps=2).fit(X, y)
    together = distiller.evaluate(X, y, n_inits=4)
    for student, score in zip(evaluated_students(distiller, 4), together.scores, strict=True):
        assert score == pytest.approx(np.mean(student.predict(X) == y))
    assert_array_equal(distiller.evaluate(X, y, n_inits=2).scores, together.scores[:2])


def test_only_zero_turns_acceleration_off(monkeypatch):
    monkeypatch.delenv("SKLEARN_DD_ACCELERATE", raising=False)
    assert Acceleration.from_environment() == (True, True, True, True)
    for value, on in (("0", False), ("1", True), ("", True)):
        monkeypatch.setenv("SKLEARN_DD_ACCELERATE", value)
        assert Acceleration.from_environment() == (on, on, on, on)
    assert Acceleration(tracing=True, convolution=False, pooling=False).kernels() == {}


@pytest.mark.parametrize("make", [tiny, tiny_for_images], ids=["table", "images"])
def test_traced_steps_give_the_same_bits(table, images, make, monkeypatch):
    X, y = table if make is tiny else images
    # Traced on a CPU, convolutions of a size are computed as autograd computes them.
    student = net() if make is tiny else net(ConvNet, width=4, depth=1)
    settings = {"student": student, "n_per_class": 2, "n_steps": 2, "labels": "soft"}
    monkeypatch.setattr(tracing, "TRACE_AFTER", 4)
    traced = make(**settings).fit(X, y)
    monkeypatch.setattr(tracing, "TRACE_AFTER", 10**9)
    by_autograd = make(**settings).fit(X, y)
    assert traced.acceleration_["traced_steps"] > 0
    assert by_autograd.acceleration_["traced_steps"] == 0
    assert by_autograd.acceleration_["autograd_steps"] > 0
    assert same(traced.transform(), by_autograd.transform())
    assert traced.history_ == by_autograd.history_


def test_all_steps_are_counted(table, monkeypatch):
    settings = {"n_per_class": 2, "n_steps": 2, "validation_fraction": 0, "n_inits": 1}
    monkeypatch.setattr(tracing, "TRACE_AFTER", 4)
    found = tiny(**settings).fit(*table).acceleration_
    # Three iterations of one student, and four trainings of many in the end, of 3 x 2 steps each;
    # all but the first three of each kind by a program.
    assert found == {"traced_steps": 15 + 21, "autograd_steps": 3 + 3, "refusals": []}


class Branching(OneAtATime):
    """A student whose step depends on a value, so that it cannot be traced."""


def test_steps_in_the_span_are_counted(monkeypatch):
    """Samples of many values; the iterations and the last looks train in their span."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 200)), np.arange(60) % 2
    settings = {"validation_fraction": 0, "n_inits": 1}
    spans = []
    monkeypatch.setattr(unrolled, "Span", lambda *args: spans.append(Span(*args)) or spans[-1])
    monkeypatch.setattr(tracing, "TRACE_AFTER", 4)
    found = tiny(**settings).fit(X, y).acceleration_
    assert len(spans) == 3
    # As above, but with 3 steps each, and the 64 students of a look go one by one.
    steps = 3 * (3 + 4 * 64)
    assert found == {"traced_steps": steps - 6, "autograd_steps": 3 + 3, "refusals": []}


def test_a_refusal_says_why(table, monkeypatch):
    monkeypatch.setattr(tracing, "TRACE_AFTER", 4)
    found = tiny(student=Branching).fit(*table).acceleration_
    assert found["traced_steps"] == 0
    assert found["autograd_steps"] > 0
    assert len(found["refusals"]) > 0


def test_without_acceleration_the_same_is_learned(table, monkeypatch):
    monkeypatch.setattr(tracing, "TRACE_AFTER", 4)
    fast = tiny().fit(*table)
    assert fast.acceleration_["traced_steps"] > 0
    monkeypatch.setenv("SKLEARN_DD_ACCELERATE", "0")
    plain = tiny().fit(*table)
    assert plain.acceleration_ == {
        "traced_steps": 0, "autograd_steps": None, "refusals": ["acceleration is off"],
    }  # fmt: skip
    assert same(plain.transform(), fast.transform())
    assert_array_equal(plain.predict_proba(table[0]), fast.predict_proba(table[0]))
