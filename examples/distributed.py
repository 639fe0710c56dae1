"""
Several processes
=================

Several processes share one fit. Each process trains some of the students of an iteration::

    OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node=2 examples/distributed.py

With plain ``python`` the same file runs as one process. The result is the same up to rounding. On
machines with CUDA each process takes one GPU. A run that was killed continues from its checkpoint
when it is started again.
"""

import os
from pathlib import Path

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_dd import DatasetDistiller

CHECKPOINT = Path("distributed.checkpoint")

if torch.cuda.is_available():
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
if dist.is_torchelastic_launched():
    dist.init_process_group()  # fit shares its work within this group
is_main = not dist.is_initialized() or dist.get_rank() == 0

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)

distiller = DatasetDistiller(
    n_per_class=1, n_inits=8, max_iter=200, random_state=0, checkpoint=CHECKPOINT, verbose=1
)
distiller.fit(X_train, y_train, resume_from=CHECKPOINT if CHECKPOINT.exists() else None)

if is_main:
    CHECKPOINT.unlink()
    result = distiller.evaluate(X_test, y_test)
    print(f"{len(distiller.X_syn_)} images: {result.mean:.3f} ± {result.std:.3f}")
if dist.is_initialized():
    dist.destroy_process_group()
