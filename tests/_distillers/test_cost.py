"""estimate_cost measures what a fit will take, and leaves the distiller as it is."""

from __future__ import annotations

from itertools import chain, repeat

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from sklearn_dd import ConvNet, Unrolled
from sklearn_dd._distillers import cost as module

from ..helpers import (
    Watched,
    net,
    same,
    scaled,
    tiny,
    tiny_for_images,
    tiny_regressor,
)


@pytest.fixture
def clock(monkeypatch):
    """Iterations that take the seconds that are given, one value for each phase."""

    def set_clock(*seconds):
        readings = chain(*(repeat(s, module._TIMED) for s in seconds))
        monkeypatch.setattr(module, "_seconds", lambda loop: next(readings))

    return set_clock


# ---------------------------------------------------------------------------- nothing is changed


def test_an_estimate_leaves_the_distiller_unfitted_and_unchanged(table, tmp_path):
    distiller = tiny(checkpoint=tmp_path / "c", checkpoint_every=1, class_weight={0: 2})
    before = dict(vars(distiller))
    distiller.estimate_cost(*table)
    assert vars(distiller).keys() == before.keys()
    assert all(vars(distiller)[name] is value for name, value in before.items())
    assert not [*tmp_path.iterdir()]
    with pytest.raises(NotFittedError):
        distiller.transform()


@pytest.mark.parametrize("warm_start", [False, True])
def test_an_estimate_leaves_a_result_as_it_is(table, warm_start):
    distiller = tiny(warm_start=warm_start).fit(*table)
    before, result = dict(vars(distiller)), distiller.transform()
    distiller.set_params(n_epochs=2).estimate_cost(*table)
    assert same(distiller.transform(), result)
    assert vars(distiller).keys() == before.keys()


def test_an_estimate_changes_no_fit_that_follows(table):
    expected = [tiny(random_state=np.random.RandomState(3)).fit_transform(*table)]
    distiller = tiny(random_state=np.random.RandomState(3))
    distiller.estimate_cost(*table)
    assert same(distiller.fit_transform(*table), expected[0])


def test_an_estimate_leaves_the_global_generator_of_torch_alone(table):
    before = torch.get_rng_state()
    tiny().estimate_cost(*table)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_estimate_does_not_touch_the_data(table):
    X, y = table
    kept = X.copy(), y.copy()
    tiny().estimate_cost(X, y)
    assert np.array_equal(X, kept[0])
    assert np.array_equal(y, kept[1])


# ---------------------------------------------------------------------------------- parameters


def test_the_weights_of_a_student_are_counted(table, images):
    X, y = table
    assert tiny().estimate_cost(X, y).n_parameters == (13 + 1) * 8 + (8 + 1) * 3
    assert tiny(student=net(width=20)).estimate_cost(X, y).n_parameters == 14 * 20 + 21 * 3
    labels = np.column_stack([y == 0, y > 0]).astype(int)
    assert tiny().estimate_cost(X, labels).n_parameters == 14 * 8 + 9 * 2
    assert tiny_regressor(n_samples=2).estimate_cost(X, y).n_parameters == 14 * 8 + 9
    by_hand = sum(p.numel() for p in ConvNet((1, 8, 8), 3, width=4, depth=1).parameters())
    assert tiny_for_images().estimate_cost(*images).n_parameters == by_hand


def test_the_plan_chooses_the_student_as_in_a_fit(table):
    open_one = {"student": None, "n_epochs": None, "max_time": 20.0, "max_iter": None}
    found = tiny(**open_one).estimate_cost(*table).n_parameters
    chosen = tiny(**open_one | {"max_iter": 2}).fit(*table).student_.module_
    assert found == sum(p.numel() for p in chosen.parameters())


# ------------------------------------------------------------------------------------- seconds


def test_without_a_limit_nobody_knows_how_long_a_fit_takes(table):
    assert tiny(max_iter=None).estimate_cost(*table).seconds is None


def test_a_time_limit_is_the_time_of_the_fit(table):
    assert tiny(max_iter=None, max_time=90).estimate_cost(*table).seconds == 90.0


def test_the_time_grows_with_the_number_of_iterations(table, clock):
    found = []
    for max_iter in (10_000, 20_000, 40_000):
        clock(2.0)
        found.append(tiny(max_iter=max_iter).estimate_cost(*table).seconds)
    assert found == pytest.approx([20_000, 40_000, 80_000], abs=100)


def test_of_two_limits_the_one_that_is_reached_first_counts(table, clock):
    clock(2.0)
    assert tiny(max_iter=10**6, max_time=7).estimate_cost(*table).seconds == 7.0
    clock(2.0)
    found = tiny(max_iter=1000, max_time=10**6).estimate_cost(*table)
    assert found.seconds == pytest.approx(2000, abs=100)


def test_an_iteration_takes_the_mean_of_the_phases_by_their_shares(table, clock):
    clock(1.0, 4.0)
    found = tiny(method="ridge", max_iter=10_000).estimate_cost(*table)
    assert found.seconds_per_iteration == pytest.approx(2.5)
    assert found.seconds == pytest.approx(25_000, abs=100)


def test_the_median_of_the_iterations_is_taken(table, monkeypatch):
    readings = iter([1.0, 100.0, 1.0, 1.0, 1.0])
    monkeypatch.setattr(module, "_seconds", lambda loop: next(readings))
    assert tiny().estimate_cost(*table).seconds_per_iteration == 1.0


@pytest.mark.system
def test_a_longer_training_takes_longer(table):
    short, long = (tiny(n_epochs=n).estimate_cost(*table).seconds_per_iteration for n in (1, 200))
    assert 0 < 5 * short < long


# -------------------------------------------------------------------------------------- memory


def test_the_memory_of_an_iteration_is_the_same_in_each_estimate(table):
    one, other = (tiny().estimate_cost(*table).memory for _ in range(2))
    assert one == other > 0


class Hungry:
    """A method that holds 40 million bytes more."""

    def __call__(self, problem):
        held = torch.zeros(10_000_000)
        found = Unrolled()(problem)
        del held
        return found


def test_the_bytes_that_an_iteration_holds_are_counted(table):
    plain = tiny(method=Unrolled()).estimate_cost(*table).memory
    hungry = tiny(method=Hungry()).estimate_cost(*table).memory
    assert hungry == plain + 40_000_000


def test_unrolling_holds_all_steps(table):
    few, many = (tiny(n_epochs=n).estimate_cost(*table).memory for n in (10, 100))
    assert many > 5 * few


def test_the_phase_that_holds_most_decides(table):
    plain = tiny(method=Unrolled()).estimate_cost(*table).memory
    found = tiny(method=[Hungry(), Unrolled()]).estimate_cost(*table).memory
    assert found == plain + 40_000_000


# ------------------------------------------------------------------------------ errors and guards


def test_bad_data_are_refused_as_in_a_fit(table):
    X, y = table
    with pytest.raises(ValueError, match="NaN"):
        tiny().estimate_cost(X * np.nan, y)


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_epochs", -1), ("max_iter", -3), ("labels", "magic"), ("class_weight", "heavy")],
)
def test_bad_parameters_are_refused_as_in_a_fit(table, name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        tiny(**{name: value}).estimate_cost(*table)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_an_estimate_may_be_asked_for_where_gradients_are_off(table, mode):
    with mode():
        found = tiny().estimate_cost(*table)
    assert found.n_parameters == 139


def test_a_fit_that_diverges_has_a_cost_as_well(table):
    diverging = Watched(lambda call, found: scaled(found, float("nan")))
    assert tiny(method=diverging).estimate_cost(*table).n_parameters == 139


def test_a_method_object_that_counts_its_calls_stays_as_it_was(table):
    method = Watched()
    tiny(method=method).estimate_cost(*table)
    assert method.seen == []


def test_a_student_that_is_given_stays_untrained(table):
    student = net(activation=nn.Tanh)
    tiny(student=student).estimate_cost(*table)
    assert not student.initialized_
