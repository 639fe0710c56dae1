"""The same on every device. ``make gpu`` runs all that wants a GPU, where there is one."""

from __future__ import annotations

import joblib
import numpy as np
import pytest
import torch

from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.modules import MLP, ConvNet

from .conftest import net, tiny, tiny_for_images
from .engine.problems import PROBLEMS

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("make", PROBLEMS)
def test_the_hypergradient_is_the_cpus(make, device):
    torch.manual_seed(0)
    p = make()
    on_cpu = Unrolled()(p.task())
    p.module.to(device)
    nets = {name: q.to(device) for name, q in p.params.items()}
    moved = {name: getattr(p, name).to(device) for name in ("x", "y", "lrs")}
    real = tuple(t.to(device) for t in p.real)
    found = Unrolled()(p.task(nets=nets, real=real, **moved))
    for a, b in zip(found, on_cpu, strict=True):
        assert a.device.type == device
        torch.testing.assert_close(a.cpu(), b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("make", "student"), [(tiny, MLP), (tiny_for_images, ConvNet)], ids=["table", "images"]
)
def test_a_fit_travels_between_devices(make, student, device, table, images, tmp_path):
    X, y = table if student is MLP else images
    distiller = make(device=device, n_per_class=2, student=net(student)).fit(X, y)
    there = distiller.predict_proba(X)
    assert distiller.evaluate(X, y, n_inits=2).step_scores.shape == (4, 2)
    assert distiller.recipe_.standardize.shift.device.type == "cpu"
    joblib.dump(distiller, tmp_path / "d.joblib")
    back = joblib.load(tmp_path / "d.joblib").set_params(device="cpu")
    module = back.student_.get_params_for("module")
    here = back.transform().train_from(module["build"], module["weights"], torch.device("cpu"))
    np.testing.assert_allclose(here.predict_proba(X.reshape(len(X), -1)), there, atol=1e-4)
    assert back.evaluate(X, y, n_inits=2).step_scores.shape == (4, 2)


@pytest.mark.parametrize("device", DEVICES)
def test_the_result_is_numpy_and_finite(device, table):
    X_syn, _, lrs = tiny(device=device).fit(*table).transform()
    assert isinstance(X_syn, np.ndarray)
    assert np.isfinite(X_syn).all()
    assert (lrs > 0).all()
