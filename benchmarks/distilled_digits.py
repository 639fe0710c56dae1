"""Make the sets that `load_distilled_digits` loads, and score models on them.

    python benchmarks/distilled_digits.py [--seconds 600]

The digits are those of scikit-learn, 70 % to learn from, 30 % to score on. The files go to
sklearn_dd/_distilled/sets. Without --seconds, those that are there are scored.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from models import MODELS
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import sklearn_dd
from sklearn_dd import DatasetDistiller, load_distilled_digits, save_distilled

FOLDER = Path(sklearn_dd.__file__).parent / "_distilled" / "sets"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, help="of each distillation")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
    for n in (1, 10):
        if args.seconds is not None:
            distiller = DatasetDistiller(n, student="any", max_time=args.seconds, random_state=0)
            FOLDER.mkdir(exist_ok=True)
            save_distilled(FOLDER / f"digits_{n}.safetensors", distiller.fit(X, y))
        data = load_distilled_digits(n)
        for name, model in MODELS.items():
            score = data.evaluate(X_test, y_test, student=model, n_inits=3).mean
            print(f"{n} per class, {name}: {score:.3f}", flush=True)


if __name__ == "__main__":
    main()
