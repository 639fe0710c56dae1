"""
Several processes
=================

One fit by several processes, each with its share of the students::

    OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node=2 examples/distributed.py

The same file runs with plain ``python`` as one process, to the same result up to rounding. On
machines with CUDA each process takes one GPU. A run that was killed goes on from its checkpoint.
"""

import os
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_dd import DatasetDistiller

CHECKPOINT = Path("distributed.checkpoint")

rank = int(os.environ.get("RANK", "0"))
if torch.cuda.is_available():
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)

distiller = DatasetDistiller(
    n_per_class=1, n_inits=8, max_iter=200, random_state=0, checkpoint=CHECKPOINT, verbose=1
)
distiller.fit(X_train, y_train, resume_from=CHECKPOINT if CHECKPOINT.exists() else None)

if rank == 0:
    CHECKPOINT.unlink()
    result = distiller.evaluate(X_test, y_test)
    print(f"{len(distiller.X_syn_)} images: {result.mean:.3f} ± {result.std:.3f}")
if torch.distributed.is_initialized():
    torch.distributed.destroy_process_group()
