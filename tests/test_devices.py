"""The same on every device. ``make gpu`` runs all that wants a GPU, where there is one."""

from __future__ import annotations

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_dd import MLP, ConvNet, CudaGraph, Unrolled
from sklearn_dd._student import replay_student

from ._engine.problems import PROBLEMS
from .helpers import net, start_of, tiny, tiny_for_images

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]


@needs_cuda
@pytest.mark.parametrize("make", PROBLEMS)
@pytest.mark.parametrize("wrap", [lambda method: method, CudaGraph], ids=["plain", "graph"])
def test_the_hypergradient_is_the_cpus(make, wrap):
    p = make()
    # A recording is replayed the second time.
    changes = [{"x": p.x, "params": p.params}]
    changes += [{"x": p.x / 2, "params": {name: q / 2 for name, q in p.params.items()}}]
    on_cpu = [Unrolled()(p.outer(**change)) for change in changes]
    p.module.to("cuda")
    p.y, p.lrs, *p.real = (t.to("cuda") for t in (p.y, p.lrs, *p.real))
    method = wrap(Unrolled())
    for change, wanted in zip(changes, on_cpu, strict=True):
        params = {name: q.to("cuda") for name, q in change["params"].items()}
        found = method(p.outer(x=change["x"].to("cuda"), params=params))
        for a, b in zip(found, wanted, strict=True):
            assert a.device.type == "cuda"
            torch.testing.assert_close(a.cpu(), b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("make", "student"), [(tiny, MLP), (tiny_for_images, ConvNet)], ids=["table", "images"]
)
def test_a_fit_travels_between_devices(make, student, device, table, images, tmp_path):
    X, y = table if student is MLP else images
    distiller = make(device=device, n_per_class=2, student=net(student)).fit(X, y)
    there = distiller.predict_proba(X)
    scores = distiller.evaluate(X, y, n_inits=2, each_step=True).step_scores
    assert distiller.recipe_.units.shift.device.type == "cpu"
    joblib.dump(distiller, tmp_path / "d.joblib")
    back = joblib.load(tmp_path / "d.joblib").set_params(device="cpu")
    recipe = back.recipe_
    here = replay_student(
        recipe.spec(), start_of(back.student_), recipe.units, recipe.targets, *back.transform(),
        torch.device("cpu"),
    )  # fmt: skip
    assert_allclose(here.predict_proba(X.reshape(len(X), -1)), there, atol=1e-4)
    there, here = scores, back.evaluate(X, y, n_inits=2, each_step=True).step_scores
    assert here.shape == (4, 2)
    assert_allclose(here, there, atol=0.02)  # a sample on the boundary may fall to either side


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("open_", [{}, {"data_init": "auto", "distill_lr": None, "student": None}])
def test_the_result_is_numpy_and_finite(open_, device, table):
    X_syn, y_syn, lrs = tiny(device=device, **open_).fit(*table).transform()
    assert {type(part) for part in (X_syn, y_syn, lrs)} == {np.ndarray}
    assert np.isfinite(X_syn).all()
    assert np.isfinite(lrs).all()


@needs_cuda
def test_a_device_is_chosen_where_there_is_one(table):
    on_cuda, chosen = (tiny(device=device).fit(*table) for device in ("cuda", "auto"))
    assert_array_equal(chosen.X_syn_, on_cuda.X_syn_)
