"""AlexNet on images of 224 x 224: what one outer iteration takes.

The paper, section 4.3: AlexNet with ImageNet weights and a new last layer, one image per class, one
step, three epochs, 20 classes (PASCAL-VOC) or 200 (CUB-200). These data and weights are the user's
own. Here, images of noise show memory and time, next to those of the plain loop that keeps the
graph of every step; and a fit by ``DatasetDistiller`` takes one known net and images that have
several of 20 labels each, as those of PASCAL-VOC do.

    python examples/paper/alexnet.py [--quick] [--seed 0]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate

import numpy as np
import torch
from paper import Cell, Experiment, main
from torch.func import functional_call
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from sklearn_dd import DatasetDistiller
from sklearn_dd.engine.hypergradient import Task, Unrolled
from sklearn_dd.engine.objectives import classification
from sklearn_dd.modules import AlexNet
from sklearn_dd.student import Network, learner

SHAPE = (3, 224, 224)
N_EPOCHS, N_REAL, N_ITER = 3, 32, 2


def measure(run: Experiment) -> Iterator[Cell]:
    """Seconds and gigabytes of ours and of the plain loop."""
    for n_classes in run.pick([20], [20, 200]):
        task, module = made_up(n_classes, run.seed)
        runs = {
            "kept graphs": partial(Unrolled(memory=1 << 40), task),
            "rebuilt graphs": partial(Unrolled(memory=0), task),
            "plain loop": partial(plain, task, module),
        }
        for name, once in runs.items():
            seconds, peak = cost(once)
            yield Cell(f"{n_classes} classes, {name}: time", "", seconds, 0.0, 1, unit="s")
            yield Cell(f"{n_classes} classes, {name}: memory", "", peak / 1e9, 0.0, 1, unit="GB")
    seconds = fit_several_labels(20, run.seed) / N_ITER
    yield Cell("20 labels, several an image, by fit: time", "", seconds, 0.0, 1, unit="s")


def fit_several_labels(n_labels: int, seed: int) -> float:
    """Seconds of a fit of images of noise, from one known net."""
    rng = np.random.default_rng(seed)
    X = rng.integers(256, size=(2 * n_labels, *SHAPE), dtype=np.uint8)
    others = rng.random((2 * n_labels, n_labels)) < 0.1
    y = np.tile(np.eye(n_labels, dtype=bool), (2, 1)) | others
    torch.manual_seed(seed)
    distiller = DatasetDistiller(
        student=AlexNet, init=AlexNet(SHAPE, n_labels).state_dict(), n_epochs=N_EPOCHS,
        distill_lr=1e-3, data_init="real", batch_size=N_REAL, max_iter=N_ITER,
        validation_fraction=0, random_state=seed,
    )  # fmt: skip
    start = time.monotonic()
    distiller.fit(X, y)
    return time.monotonic() - start


def made_up(n_classes: int, seed: int) -> tuple[Task, torch.nn.Module]:
    """One image of noise per class, one known net, and some real images."""
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = Network(AlexNet, {"sample_shape": SHAPE, "n_classes": n_classes}, SHAPE)
    module = network().to(device).eval()
    nets = {name: p.detach()[None].clone() for name, p in module.named_parameters()}
    x = torch.randn(1, n_classes, *SHAPE, device=device)
    y = torch.eye(n_classes, device=device)[None]
    lrs = torch.full((N_EPOCHS, 1), 1e-3, device=device)
    real = (
        torch.randn(N_REAL, *SHAPE, device=device),
        torch.randint(n_classes, (N_REAL,), device=device),
    )
    generator = torch.Generator()
    return Task(learner(network, device), nets, x, y, lrs, classification, real, generator), module


def plain(task: Task, module: torch.nn.Module) -> tuple[torch.Tensor, ...]:
    """The hypergradient by one graph of the whole training."""
    leaves = [t.detach().requires_grad_() for t in (task.x, task.y, task.lrs)]
    x, y, lrs = leaves
    theta = {name: p[0].detach().requires_grad_() for name, p in task.nets.items()}
    for lr in lrs.flatten():
        logits = functional_call(module, theta, (x[0],))
        loss = -(y[0] * F.log_softmax(logits, -1)).sum(1).mean()
        gradient = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
        theta = {n: p - lr * g for (n, p), g in zip(theta.items(), gradient, strict=True)}
    outer = task.objective(functional_call(module, theta, (task.real[0],)), task.real[1])
    return torch.autograd.grad(outer, leaves)


def cost(run: Callable[[], object]) -> tuple[float, int]:
    """Seconds of one call, and most bytes of tensors that it held at one time."""
    peak = peak_bytes(run)  # first: a call to warm up is needed anyway
    start = time.monotonic()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.monotonic() - start, peak


def peak_bytes(run: Callable[[], object]) -> int:
    """Most bytes of tensors that a call holds at one time, above those at its start."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - held
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = profiler.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    return max(accumulate(nbytes for _, nbytes in sorted(changes)))


if __name__ == "__main__":
    main(__file__, __doc__, measure)
