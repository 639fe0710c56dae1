"""The iterate that the evidence speaks for is kept, and a fit ends when nothing gets better."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sklearn_dd._distillers.look import Look
from sklearn_dd._distillers.measure import first_set
from sklearn_dd._distillers.monitor import Monitor
from sklearn_dd._distillers.problem import Problem
from sklearn_dd._engine import DistilledSet, Iteration

from ..helpers import (
    FROZEN,
    Watched,
    interrupt_after,
    scaled,
    standardised,
    tiny,
)

# The rule, with looks whose losses are known

ALTERNATING = torch.tensor([1.0, -1.0] * 8)
ONE = 1 + 0.1 * ALTERNATING
ERROR = float(ALTERNATING.std() / 4)  # the standard error of the mean of the sixteen


def watched(looks, patience=None, max_iter=20, falls_back=False):
    """A monitor whose set holds the number of iterations, after all looks but the last.

    Look 0 is at the start; the last one is for ``keep``. If there is another set to fall back to,
    it holds -1, and look 1 is at that.
    """
    distilled = DistilledSet(torch.zeros(1, 1, 1), torch.ones(1, 1, 1), torch.ones(1, 1))
    found = [Look(torch.as_tensor(losses, dtype=torch.float64), 0.5, 0.0) for losses in looks]
    found.reverse()
    look = lambda: found.pop() if len(found) > 1 else found[0]  # noqa: E731
    start = distilled.snapshot()
    if falls_back:
        start[0].fill_(-1)
    monitor = Monitor(distilled, start, look, max_iter, patience)
    monitor.begin(is_last=True)
    for i in range(1, len(looks) - 1 - falls_back):
        iterate(monitor, i)
    return monitor


def iterate(monitor, i, loss=1.0):
    monitor.distilled.free_x.data.fill_(i)
    return monitor.update(Iteration(i, loss, 1.0, 0))


def held(monitor):
    """The iteration that the set is from."""
    return int(monitor.distilled.free_x)


def test_the_last_iterate_is_kept_where_none_was_better():
    monitor = watched([3 * ONE, 2 * ONE, ONE, ONE / 2])
    assert monitor.keep()
    assert held(monitor) == monitor.kept_iter == 2


@pytest.mark.parametrize(("errors", "kept"), [(0.2, 5), (0.47, 5), (0.53, 1), (5, 1)])
def test_the_last_iterates_are_left_if_they_are_worse_by_half_a_standard_error(errors, kept):
    worse = ONE + errors * ERROR + ALTERNATING
    monitor = watched([3 * ONE, ONE, *4 * [worse], worse])
    assert monitor.keep()
    assert held(monitor) == monitor.kept_iter == kept


@pytest.mark.parametrize(
    ("fallback", "last", "held_in_the_end"),
    [
        (2 * ONE, 7 * ONE, -1),
        (2 * ONE, 3 * ONE, 2),  # it has got better, and goes on in the finish
        (6 * ONE, 7 * ONE, 0),  # the fallback is worse than where the search began
    ],
)
def test_a_search_falls_back_to_the_other_start(fallback, last, held_in_the_end):
    monitor = watched([5 * ONE, fallback, last, last, last], falls_back=True)
    monitor.keep()
    assert held(monitor) == held_in_the_end
    assert monitor.returns_start == (held_in_the_end <= 0)


@pytest.mark.parametrize(("score", "held_in_the_end"), [(0.4, -1), (0.6, 2)])
def test_a_finish_that_is_worse_than_the_start_by_loss_and_score_is_undone(score, held_in_the_end):
    monitor = watched([5 * ONE, 2 * ONE, 3 * ONE, 3 * ONE, 3 * ONE], falls_back=True)
    monitor.keep()
    monitor.look = lambda: Look(3 * ONE, score, 0.0)  # that of the start is 0.5
    monitor.end()
    assert held(monitor) == held_in_the_end
    assert monitor.returns_start == (held_in_the_end < 0)


@pytest.mark.parametrize(
    ("fallback", "last", "lags"), [(2, 3, True), (2, 1, False), (6, 5.5, False), (4, 4.5, True)]
)
def test_a_search_lags_until_it_beats_the_other_start(fallback, last, lags):
    monitor = watched([5 * ONE, fallback * ONE, *4 * [last * ONE]], falls_back=True)
    assert monitor.lags == lags


def test_a_search_that_begins_anew_has_its_other_start_to_beat():
    monitor = watched([5 * ONE, 2 * ONE, 3 * ONE, 3 * ONE, 3 * ONE], falls_back=True)
    monitor.restart()
    assert not monitor.lags, "it begins anew once"
    monitor.distilled.restore(monitor.start)
    monitor.look = lambda: Look(1.9 * ONE, 0.5, 0.0)
    iterate(monitor, 3)
    monitor.keep()
    assert held(monitor) == 3
    assert not monitor.returns_start


def test_a_search_that_begins_anew_in_vain_returns_the_start():
    monitor = watched([5 * ONE, 2 * ONE, 3 * ONE, 3 * ONE, 3 * ONE], falls_back=True)
    monitor.restart()
    monitor.look = lambda: Look(2.5 * ONE, 0.5, 0.0)
    iterate(monitor, 3)
    monitor.keep()
    assert held(monitor) == -1
    assert monitor.returns_start


@pytest.mark.parametrize("end", [Monitor.keep, Monitor.end])
def test_without_a_search_it_falls_back_too(end):
    monitor = watched([5 * ONE, ONE], falls_back=True)
    end(monitor)
    assert held(monitor) == -1
    assert not monitor.returns_start, "this is no verdict on the search"


def test_a_last_iterate_that_is_worse_on_all_parts_alike_is_left():
    monitor = watched([3 * ONE, ONE, 0.001 + ONE, 0.001 + ONE])
    assert monitor.keep()
    assert held(monitor) == 1


def test_an_iterate_that_is_better_on_all_parts_alike_is_kept():
    monitor = watched(torch.tensor([3.0, 2.0, 1.0, 1.0])[:, None].expand(4, 16))
    assert monitor.keep()
    assert held(monitor) == 2


@pytest.mark.parametrize("seed", range(20))
def test_noise_leads_not_astray(seed):
    """Iterates get slowly better, and looks are noisy: the best look is not the best iterate."""
    rng = np.random.default_rng(seed)
    truth = np.linspace(1.2, 1.0, 20)
    looks = truth[:, None] + rng.normal(scale=0.5, size=(20, 16))
    monitor = watched([3 * ONE, *looks, looks[-1]])
    best = 1 + int(looks.mean(1).argmin())
    monitor.keep()
    by_rule, by_best = truth[held(monitor) - 1], truth[best - 1]
    assert by_rule <= by_best


def test_over_many_fits_the_rule_does_better_than_the_best_look():
    """And far better than the last iterate where fits go astray at times."""
    rng = np.random.default_rng(0)
    by_rule, by_best, by_last = [], [], []
    for fit in range(200):
        truth = np.linspace(1.2, 1.0, 20)
        if fit % 4 == 0:
            truth[-4:] += 1.0  # it went astray
        looks = truth[:, None] + rng.normal(scale=0.3, size=(20, 16))
        monitor = watched([3 * ONE, *looks, looks[-1]])
        monitor.keep()
        by_rule.append(truth[held(monitor) - 1])
        by_best.append(truth[looks.mean(1).argmin()])
        by_last.append(truth[-1])
    assert np.mean(by_rule) < np.mean(by_best) < np.mean(by_last)


def test_the_start_is_returned_where_nothing_is_better():
    monitor = watched([ONE, 2 * ONE, 3 * ONE, 3 * ONE])
    assert not monitor.keep()
    assert held(monitor) == monitor.kept_iter == 0


def test_a_search_that_fits_the_samples_too_well_is_left_early():
    """The truth gets better, then slowly worse, and looks are noisy."""
    rng = np.random.default_rng(0)
    by_rule, by_last = [], []
    for _ in range(200):
        truth = 1 + 0.1 * np.abs(np.linspace(-0.5, 1.5, 20))
        looks = truth[:, None] + rng.normal(scale=0.3, size=(20, 16))
        monitor = watched([3 * ONE, *looks, looks[-1]])
        monitor.keep()
        by_rule.append(truth[held(monitor) - 1])
        by_last.append(truth[-1])
    assert np.mean(by_rule) < 1.04
    assert np.mean(by_last) > 1.14


@pytest.mark.parametrize(("errors", "kept"), [(0.47, 1), (0.53, 0)])
def test_an_iterate_may_be_worse_than_the_start_by_half_a_standard_error(errors, kept):
    worse = ONE + errors * ERROR + ALTERNATING
    monitor = watched([ONE, worse, worse])
    assert monitor.keep() == kept
    assert held(monitor) == monitor.kept_iter == kept


@pytest.mark.parametrize(
    "nothing",
    [
        np.inf,
        np.nan,
    ],
)
def test_an_iterate_that_is_not_finite_is_not_kept(nothing):
    monitor = watched([3 * ONE, ONE, nothing * ONE, nothing * ONE, ONE])
    assert monitor.best_iter == 1
    assert monitor.is_astray
    assert monitor.keep()
    assert held(monitor) == 1


def test_whatever_is_finite_is_better_than_a_start_that_is_not():
    monitor = watched([np.nan * ONE, 2 * ONE, ONE, ONE])
    assert monitor.keep()
    assert held(monitor) == 2


def test_before_the_first_iteration_there_is_only_the_start():
    monitor = watched([ONE, ONE])
    assert monitor.keep() == 0
    assert held(monitor) == 0


def test_a_finish_without_a_search_is_not_the_start():
    """Checks and plan may take more than half of the time."""
    monitor = watched([3 * ONE, ONE])
    monitor.keep()
    monitor.update(Iteration(1, 1.0, 1.0, 0))
    assert not monitor.returns_start


def test_without_held_out_samples_the_last_iterate_is_all_that_is_known():
    distilled = DistilledSet(torch.zeros(1, 1, 1), torch.ones(1, 1, 1), torch.ones(1, 1))
    monitor = Monitor(distilled, distilled.snapshot(), None, 20, None)
    monitor.begin(is_last=True)
    assert [iterate(monitor, i, loss) for i, loss in enumerate((3.0, 2.0, 9.0), 1)] == [None] * 3
    assert monitor.keep()
    monitor.end()
    assert held(monitor) == monitor.kept_iter == 3
    assert monitor.history["validation_score"] == []


@pytest.mark.parametrize(("errors", "held_in_the_end"), [(-5, 9), (0.9, 9), (1.1, 2)])
def test_a_finish_that_made_the_set_worse_is_undone(errors, held_in_the_end):
    after = ONE + errors * ERROR + ALTERNATING
    monitor = watched([3 * ONE, 2 * ONE, ONE, ONE])
    monitor.keep()
    monitor.distilled.free_x.data.fill_(9)
    monitor.look = lambda: Look(after, 0.5, 0.0)
    monitor.end()
    assert held(monitor) == held_in_the_end


def test_nothing_is_looked_at_in_the_finish():
    monitor = watched([3 * ONE, ONE, ONE])
    monitor.keep()
    assert iterate(monitor, 2) is None
    assert monitor.history["validation_iter"] == [1]
    assert len(monitor.history["loss"]) == 2


def test_looks_begin_with_the_last_phase():
    """What was best before it does not count: those students could not yet learn."""
    looks = iter([ONE, 2 * ONE, 1.5 * ONE])
    distilled = DistilledSet(torch.zeros(1, 1, 1), torch.ones(1, 1, 1), torch.ones(1, 1))
    look = lambda: Look(next(looks), 0.5, 0.0)  # noqa: E731
    monitor = Monitor(distilled, distilled.snapshot(), look, 20, None)
    monitor.begin(is_last=False)
    assert iterate(monitor, 1) is None
    monitor.begin(is_last=True)
    assert monitor.best_iter == 1
    assert iterate(monitor, 2) == 0.5
    assert monitor.best_iter == 2
    assert_allclose(monitor.start_losses, ONE)


@pytest.mark.parametrize(
    ("max_iter", "patience", "every"),
    [
        (3, None, 1), (20, None, 1), (21, None, 2), (400, None, 20), (10**6, None, 25),
        (None, None, 25), (None, 4, 4), (400, 7, 7),
    ],
)  # fmt: skip
def test_a_look_is_due_twenty_times_in_a_fit_and_at_least_at_each_25th_iteration(
    max_iter, patience, every
):
    monitor = watched([ONE] * 101, patience, max_iter)
    assert monitor.history["validation_iter"] == list(range(every, 100, every))


def test_looks_become_rarer_in_a_long_fit():
    monitor = watched([ONE] * 8001, None, None)
    at = np.array(monitor.history["validation_iter"])
    between = np.diff(at)
    assert (between[at[1:] <= 500] == 25).all()
    assert (between <= np.maximum(25, at[:-1] / 20)).all()
    assert between.max() == 200
    impatient = watched([ONE] * 2001, 90, None)
    assert np.diff(impatient.history["validation_iter"]).max() == 30


@pytest.mark.parametrize(("errors", "astray"), [(2.9, False), (3.1, True)])
def test_a_set_is_astray_that_is_worse_by_three_standard_errors(errors, astray):
    monitor = watched([3 * ONE, ONE, ONE + errors * ERROR + ALTERNATING, ONE])
    assert monitor.is_astray == astray
    monitor.keep()
    assert not monitor.is_astray


@pytest.mark.parametrize("patience", [3, 10])
def test_a_search_is_settled_after_so_many_iterations_without_a_better_iterate(patience):
    assert not watched([3 * ONE] + [ONE] * (patience + 1), patience).is_settled
    assert watched([3 * ONE] + [ONE] * (patience + 2), patience).is_settled


@pytest.mark.parametrize(("best", "settled"), [(10, 160), (100, 250), (300, 500)])
def test_patience_grows_with_the_search(best, settled):
    """150 iterations, or 0.4 of those so far."""
    monitor = watched([ONE, ONE])
    monitor.look = lambda: Look(0.5 ** min(monitor.done, best) * ONE.double(), 0.5, 0.0)
    while not monitor.is_settled:
        iterate(monitor, monitor.done + 1)
    assert monitor.done == settled


def test_a_hair_is_no_progress():
    """Looks that get better by less than one in a hundred in all leave a search settled."""
    monitor = watched([ONE, ONE], patience=5)
    monitor.look = lambda: Look((1 - monitor.done / 10_000) * ONE.double(), 0.5, 0.0)
    while not monitor.is_settled and monitor.done < 100:
        iterate(monitor, monitor.done + 1)
    assert monitor.done == monitor.best_iter == 5


def test_what_is_remembered_survives_a_file():
    monitor = watched([3 * ONE, 2.5 * ONE, ONE, 2 * ONE, 2 * ONE], falls_back=True)
    tensors = {name: t.clone() for name, t in monitor.state_dict().items()}
    metadata = json.loads(json.dumps(monitor.metadata()))
    again = watched([5 * ONE, 4 * ONE, 2 * ONE])
    again.distilled.free_x.data.fill_(2)
    again.load(tensors, metadata)
    assert again.metadata() == monitor.metadata()
    assert all(map(torch.equal, again.start, monitor.start))
    assert torch.equal(again.start_losses, 2.5 * ONE)
    assert again.done == 2
    for m in (monitor, again):
        m.look = lambda: Look(2 * ONE, 0.5, 0.0)
        assert m.keep()
        assert held(m) == m.kept_iter == 1


# Whole fits


def there_and_away(call, hypergradient):
    """Follow the gradient for a while, then go against it."""
    return scaled(hypergradient, 1 if call < 8 else -1)


def kept_of(distiller):
    """The first iterate whose samples are those that the fit returned."""
    found = standardised(distiller, distiller.transform().X)
    same = [torch.allclose(found, x.flatten(0, 1), atol=1e-4) for x, _, _ in distiller.method.seen]
    return same.index(True) if any(same) else None


def test_a_clearly_worse_last_iterate_is_left_for_the_best_one(table):
    distiller = tiny(
        method=Watched(there_and_away), max_iter=30, outer_lr=0.3, validation_fraction=0.3,
        data_init="noise",
    ).fit(*table)  # fmt: skip
    kept = kept_of(distiller)
    assert 0 < kept <= 12


@pytest.mark.parametrize("seed", range(3))
def test_where_there_is_nothing_to_learn_the_fit_does_not_go_on(seed):
    """Labels are random: whatever is learned fits the real samples too well."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(300, 20)), rng.integers(2, size=300)
    fitted = tiny(n_per_class=10, max_iter=400, validation_fraction=0.3).fit(X, y)
    assert fitted.n_iter_ < 400
    assert fitted.stop_reason_ in ("no longer improved", "no better than the start")


def test_without_a_held_out_part_the_last_iterate_is_kept(table):
    method = Watched()
    distiller = tiny(method=method, max_iter=5, validation_fraction=0, outer_lr=0.3).fit(*table)
    assert distiller.history_["validation_score"] == []
    shorter = tiny(method=Watched(), max_iter=5, validation_fraction=0, outer_lr=0.3)
    shorter.method.act = lambda call, h: interrupt_after(4)(call, h)
    with pytest.warns(UserWarning, match="Interrupted"):
        shorter.fit(*table)
    found = standardised(shorter, shorter.transform().X)
    assert_allclose(found, method.seen[4][0].flatten(0, 1), atol=1e-4)
    assert not np.allclose(shorter.X_syn_, distiller.X_syn_)


def no_progress(call, hypergradient):
    return scaled(hypergradient, 0.0)


def away(call, hypergradient):
    return scaled(hypergradient, -1.0)


@pytest.mark.filterwarnings("ignore:Distillation did not improve")
def test_a_search_that_gets_no_better_ends_early(table):
    settings = {"max_iter": 25, "n_iter_no_change": 4}
    distiller = tiny(method=Watched(no_progress), **settings).fit(*table)
    assert distiller.n_iter_ == 4
    assert len(distiller.history_["loss"]) == 4
    assert distiller.history_["validation_iter"] == [2, 4]
    patient = tiny(method=Watched(no_progress), max_iter=25, n_iter_no_change=None).fit(*table)
    assert patient.n_iter_ == 13  # half of the budget, and nothing to finish
    assert patient.stop_reason_ == distiller.stop_reason_ == "no better than the start"


def test_no_change_is_looked_for_as_often_as_it_is_asked_for(table):
    distiller = tiny(max_iter=100, n_iter_no_change=2).fit(*table)
    assert distiller.history_["validation_iter"][0] <= 2


def test_a_fit_without_a_limit_ends_when_nothing_gets_better(table):
    """After a finish of as many iterations as the search took."""
    distiller = tiny(max_iter=None, n_iter_no_change=5, outer_lr=1e-9).fit(*table)
    assert distiller.n_iter_ == 10
    assert distiller.stop_reason_ == "no longer improved"


def test_a_fit_that_always_retreats_to_its_start_says_so(table):
    """Each look is clearly worse than the start."""
    distiller = tiny(method=Watched(away), max_iter=20, outer_lr=0.3, validation_fraction=0.5)
    with pytest.warns(UserWarning, match="not improve on its start"):
        distiller.fit(*table)
    assert distiller.stop_reason_ == "no better than the start"


def test_a_fit_that_does_no_better_than_its_start_returns_it(table):
    # After each third iteration comes a look, and a retreat. The search ends with the 25th.
    distiller = tiny(method=Watched(away), max_iter=50, outer_lr=3.0, validation_fraction=0.5)
    with pytest.warns(UserWarning, match="not improve on its start"):
        distiller.fit(*table)
    assert kept_of(distiller) == 0
    assert distiller.stop_reason_ == "no better than the start"
    assert distiller.n_iter_ == 25, "there is nothing to finish"


def test_what_it_returns_then_is_the_best_of_all_starts(table):
    """The search begins from another one, with longer steps."""
    open_ = {"data_init": "auto", "distill_lr": None, "n_epochs": 10}
    distiller = tiny(
        method=Watched(away), max_iter=600, outer_lr=3.0, validation_fraction=0.5, **open_
    )
    with pytest.warns(UserWarning, match="not improve on its start") as caught:
        distiller.fit(*table)
    assert f"a mean step size of {distiller.lrs_.mean():.3g} " in str(caught[0].message)
    problem = Problem.from_parameters(distiller, *table, None, distiller.seed_, None)
    first, fallback, *_ = first_set(problem, None)
    assert not torch.equal(first.lrs, fallback.lrs)
    x = problem.recipe.units.inverse(fallback.x.detach().flatten(0, 1))
    assert_allclose(distiller.X_syn_, x, rtol=1e-5)
    ratio = torch.tensor(distiller.lrs_) / fallback.lrs.detach()
    assert_allclose(ratio, ratio[0, 0], rtol=1e-5)
    assert 0.5 <= ratio[0, 0] <= 1 + 1e-5, "in the end, all may be shortened alike"


def test_a_search_that_leads_nowhere_begins_anew_from_the_best_start(table):
    """At half of it, which is a quarter of the iterations; until then all iterates are worse."""

    def act(call, hypergradient):
        return scaled(hypergradient, -5 if call <= 150 else 1)

    open_ = {"data_init": "auto", "distill_lr": None, "n_epochs": 10}
    distiller = tiny(
        method=Watched(act), max_iter=600, outer_lr=0.1, validation_fraction=0.5, **open_
    ).fit(*table)
    assert distiller.stop_reason_ != "no better than the start"
    scores = np.array(distiller.history_["validation_score"])
    looked_at = np.array(distiller.history_["validation_iter"])
    assert scores[looked_at > 175].min() > scores[looked_at < 150].mean()


def test_ctrl_c_in_the_search_keeps_what_was_learned(table):
    X, y = table
    distiller = tiny(method=Watched(interrupt_after(6)), max_iter=20)
    with pytest.warns(UserWarning, match="[Ii]nterrupted"):
        distiller.fit(X, y)
    assert distiller.n_iter_ == len(distiller.history_["validation_score"]) == 6
    assert distiller.stop_reason_ == "interrupted"
    assert kept_of(distiller) in range(1, 7)
    assert distiller.predict(X).shape == y.shape


def test_ctrl_c_in_the_search_leaves_a_bad_iterate_for_the_best_one(table):
    def act(call, hypergradient):
        return interrupt_after(9)(call, scaled(hypergradient, 1 if call < 8 else -5))

    distiller = tiny(method=Watched(act), max_iter=20, outer_lr=0.3, data_init="noise")
    with pytest.warns(UserWarning, match="[Ii]nterrupted"):
        distiller.fit(*table)
    assert distiller.stop_reason_ == "interrupted"
    assert 0 < kept_of(distiller) <= 9


def test_ctrl_c_in_the_finish_keeps_the_last_iterate(table):
    distiller = tiny(method=Watched(interrupt_after(8)), max_iter=10, data_init="noise")
    with pytest.warns(UserWarning, match="[Ii]nterrupted"):
        distiller.fit(*table)
    assert distiller.n_iter_ == 8
    assert distiller.stop_reason_ == "interrupted"
    assert kept_of(distiller) == 8


def test_ctrl_c_in_a_finish_that_made_the_set_worse_keeps_the_iterate_of_the_search(table):
    def act(call, hypergradient):
        return interrupt_after(9)(call, scaled(hypergradient, 1 if call < 6 else -1))

    distiller = tiny(method=Watched(act), max_iter=12, data_init="noise", outer_lr=0.3)
    with pytest.warns(UserWarning, match="[Ii]nterrupted"):
        distiller.fit(*table)
    assert 0 < kept_of(distiller) <= 6


def test_ctrl_c_before_the_first_iteration_keeps_the_start(table):
    distiller = tiny(method=Watched(interrupt_after(0)), validation_fraction=0.0)
    with pytest.warns(UserWarning, match="Interrupted"):
        distiller.fit(*table)
    start = tiny(**FROZEN).fit(*table)
    assert distiller.n_iter_ == 0
    assert distiller.stop_reason_ == "interrupted"
    assert_allclose(distiller.transform().X, start.transform().X, rtol=1e-4)


def test_ctrl_c_before_the_first_validation_keeps_what_was_learned(table):
    # Of 1,000 iterations only every 25th is validated.
    distiller = tiny(method=Watched(interrupt_after(10)), max_iter=1000)
    with pytest.warns(UserWarning, match="Interrupted"):
        distiller.fit(*table)
    assert kept_of(distiller) == 10


def test_a_fit_that_is_no_longer_finite_ends_with_what_it_learned(table):
    X, y = table
    method = Watched(lambda call, h: scaled(h, 1 if call < 4 else np.nan))
    distiller = tiny(method=method, max_iter=25)
    with pytest.warns(RuntimeWarning, match="not finite.*Lower distill_lr or outer_lr"):
        distiller.fit(X, y)
    assert distiller.n_iter_ < 25
    assert distiller.stop_reason_ == "not finite"
    assert np.isfinite(distiller.transform().X).all()
    assert np.isfinite(distiller.transform().lrs).all()
    assert np.isfinite(distiller.predict_proba(X)).all()


def test_a_fit_recovers_from_a_few_iterations_that_are_not_finite(table, recwarn):
    method = Watched(lambda call, h: scaled(h, np.nan if call in (2, 3) else 1))
    distiller = tiny(method=method, max_iter=10).fit(*table)
    assert distiller.n_iter_ == 10
    assert distiller.stop_reason_ == "max_iter"
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


@pytest.mark.system
def test_a_fit_that_time_ends_says_so(table):
    distiller = tiny(max_iter=None, max_time=0.5).fit(*table)
    assert distiller.stop_reason_ in ("max_time", "no longer improved")
    assert tiny(max_iter=10**6, max_time=0.3).fit(*table).stop_reason_ == "max_time"
