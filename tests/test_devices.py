"""The same on every device. ``make gpu`` runs all that wants a GPU, where there is one."""

from __future__ import annotations

import joblib
import numpy as np
import pytest
import torch

from sklearn_dd.engine.cuda_graph import CudaGraph
from sklearn_dd.engine.hypergradient import Unrolled
from sklearn_dd.modules import MLP, ConvNet

from .conftest import net, tiny, tiny_for_images
from .engine.problems import PROBLEMS

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("make", PROBLEMS)
@pytest.mark.parametrize("wrap", [lambda estimator: estimator, CudaGraph], ids=["plain", "graph"])
def test_the_hypergradient_is_the_cpus(make, device, wrap):
    torch.manual_seed(0)
    p = make()
    # A recording is replayed the second time.
    tasks = [{"x": p.x, "nets": p.params}]
    tasks += [{"x": p.x / 2, "nets": {name: q / 2 for name, q in p.params.items()}}]
    on_cpu = [Unrolled()(p.task(**task)) for task in tasks]
    p.module.to(device)
    p.y, p.lrs, *p.real = (t.to(device) for t in (p.y, p.lrs, *p.real))
    estimator = wrap(Unrolled())
    for task, wanted in zip(tasks, on_cpu, strict=True):
        nets = {name: q.to(device) for name, q in task["nets"].items()}
        found = estimator(p.task(x=task["x"].to(device), nets=nets))
        for a, b in zip(found, wanted, strict=True):
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
