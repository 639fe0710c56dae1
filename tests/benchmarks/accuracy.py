"""Accuracy of distilled sets beside real samples, as the table docs/accuracy.rst.

    python tests/benchmarks/accuracy.py [digits] [MNIST]

Digits come with scikit-learn. MNIST comes from the folder that SKLEARN_DD_DATA names, from
../shared/data, or from OpenML. Nothing is chosen on test data: every row is one run of the
distiller with the parameters it names, and the test part is scored once at its end.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_dd import DatasetDistiller
from sklearn_dd.data import Standardize, student_shape
from sklearn_dd.modules import MLP, LeNet

ROOT = Path(__file__).resolve().parents[2]
SEED = 0

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Row = tuple[str, str, str, str, str]


def digits() -> Split:
    """X, X_test, y, y_test: 30 % held out, flat samples."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, test_size=0.3, random_state=SEED, stratify=y)


def mnist() -> Split:
    """The standard split, (n, 28, 28) uint8."""
    file = Path(os.environ.get("SKLEARN_DD_DATA", ROOT.parent / "shared" / "data")) / "mnist.npz"
    if file.exists():
        with np.load(file) as f:
            return f["x_train"], f["x_test"], f["y_train"], f["y_test"]
    X, y = fetch_openml("mnist_784", return_X_y=True, as_frame=False)
    X, y = X.reshape(-1, 28, 28).astype(np.uint8), y.astype(int)
    return X[:60000], X[60000:], y[:60000], y[60000:]


def baselines(name: str, module: type[nn.Module], sizes: list[int], load: Callable[[], Split]):
    """Nets that Adam trained on random real samples until they are learned, a row for each size.

    Units and layout are the distiller's, so that only the samples differ.
    """
    X, X_test, y, y_test = load()
    shape = student_shape(X.shape[1:], None)
    standardize = Standardize.fit(X.reshape(len(X), -1), X.shape[1:], shape)
    z, z_test = (np.concatenate([c.numpy() for c in standardize.chunks(a)]) for a in (X, X_test))

    def score(n_per_class: int, seed: int) -> float:
        rng = np.random.default_rng(seed)
        members = [np.flatnonzero(y == c) for c in np.unique(y)]
        rows = np.concatenate([rng.choice(m, n_per_class, replace=False) for m in members])
        torch.manual_seed(seed)
        net = NeuralNetClassifier(
            module,
            module__sample_shape=shape,
            module__n_classes=len(members),
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=3e-3,
            batch_size=min(len(rows), 128),
            max_epochs=200,
            iterator_valid__batch_size=1024,
            train_split=None,
            verbose=0,
        )
        return net.fit(z[rows], y[rows].astype(np.int64)).score(z_test, y_test)

    for n in sizes:
        scores = [score(n, seed) for seed in range(20)]
        yield name, f"{n} real", f"{np.mean(scores):.3f} ± {np.std(scores):.3f}", "20 draws", ""


def distilled(name: str, load: Callable[[], Split], **parameters: object) -> Iterator[Row]:
    X, X_test, y, y_test = load()
    start = time.perf_counter()
    distiller = DatasetDistiller(random_state=SEED, verbose=1, **parameters).fit(X, y)
    seconds = time.perf_counter() - start
    result = distiller.evaluate(X_test, y_test, n_inits=20)
    named = ", ".join(f"{k}={getattr(v, '__name__', repr(v))}" for k, v in parameters.items())
    score = f"{result.mean:.3f}"
    inits = "one known net"
    if len(result.scores) > 1:
        score, inits = f"{score} ± {result.std:.3f}", f"{len(result.scores)} fresh inits"
    yield name, f"distilled: ``{named}``", score, inits, f"{seconds:.0f} s"


def digits_rows() -> Iterator[Row]:
    torch.set_num_threads(1)  # so small a net gains nothing from more
    yield from baselines("digits", MLP, [1, 10, 100], digits)
    yield from distilled("digits", digits, n_per_class=1, init="fixed")
    yield from distilled("digits", digits, n_per_class=1, init="random")
    yield from distilled("digits", digits, n_per_class=10, init="random")


def mnist_rows() -> Iterator[Row]:
    torch.set_num_threads(os.cpu_count() or 1)
    yield from baselines("MNIST", LeNet, [1, 10], mnist)
    yield from distilled("MNIST", mnist, n_per_class=1, init="fixed", **MNIST_FIXED)


# Chosen on 10,000 held-out training images.
MNIST_FIXED = {
    "student": LeNet,
    "labels": "soft",
    "n_epochs": 3,
    "data_init": "noise",
    "max_iter": 6000,
}

ROWS = {"digits": digits_rows, "MNIST": mnist_rows}

HEAD = f"""\
How accurate
============

Measured by ``python tests/benchmarks/accuracy.py`` with seed {SEED} on a CPU
({os.cpu_count()} cores; digits on one thread, MNIST on all), Python {platform.python_version()},
torch {torch.__version__}, scikit-learn {sklearn.__version__}. Accuracy is on the held-out test
part: 30 % of digits, the 10,000 test images of MNIST. ± is one standard deviation. Real samples are
drawn anew for each run, as many of each class as the row says, and trained on with Adam for 200
epochs by the student of the distilled rows. What a row does not name is at its default.

.. list-table::
   :header-rows: 1

   * - data
     - trained on (samples of each class)
     - test accuracy
     - over
     - fit
"""


def main() -> None:
    lines = [HEAD]
    chosen = sys.argv[1:] or ["digits", "MNIST"]
    for row in (row for name in chosen for row in ROWS[name]()):
        print(*row, sep=" | ", flush=True)
        lines += [f"   {'*' if i == 0 else ' '} - {cell}\n" for i, cell in enumerate(row)]
        (ROOT / "docs" / "accuracy.rst").write_text("".join(lines))  # an end too early loses no row


if __name__ == "__main__":
    main()
