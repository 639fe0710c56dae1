"""From a specification to the pure functions that the engine takes."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from .._engine import (
    CONVOLUTION,
    POOLING,
    ConvNd,
    Drawing,
    Kernels,
    Loss,
    StudentFn,
    Traced,
    generator,
    pure,
    pure_features,
    with_kernels,
)
from .spec import StudentSpec


class Acceleration(NamedTuple):
    """Which pieces of acceleration a student uses; each is measured in docs/measured/ablation.rst.

    Attributes
    ----------
    tracing : bool
        Repeat a traced step in place of planning each by autograd.
    convolution : bool
        Fast derivatives of convolutions on a CPU.
    pooling : bool
        Fast 2 × 2 pooling on a CPU.
    """

    tracing: bool = True
    convolution: bool = True
    pooling: bool = True

    @classmethod
    def from_environment(cls) -> Acceleration:
        """All pieces, or none where ``SKLEARN_DD_ACCELERATE`` is 0."""
        on = os.environ.get("SKLEARN_DD_ACCELERATE", "1") != "0"
        return cls(on, on, on)

    def kernels(self) -> Kernels:
        """The kernels in place of torch's."""
        return {**(CONVOLUTION if self.convolution else {}), **(POOLING if self.pooling else {})}


def student_fn(
    spec: StudentSpec, device: torch.device, loss: Loss, acceleration: Acceleration | None = None
) -> StudentFn:
    """The student as the engine takes it. Dropout is off, as in evaluation."""
    acceleration = acceleration or Acceleration.from_environment()
    with Drawing(generator(0)):
        module = spec().to(device).eval().requires_grad_(False)
    samples = torch.zeros(2, *spec.sample_shape, device=device)
    student = StudentFn(
        pure(module),
        spec.optimizer,
        loss,
        stackable=False,
        features=pure_features(copy.deepcopy(module), samples),
        accelerated=Traced(spec.optimizer) if acceleration.tracing else None,
    )
    if device.type == "cpu" and any(isinstance(layer, ConvNd) for layer in module.modules()):
        # Stacked convolutions are grouped ones, which are slow on a CPU.
        kernels = acceleration.kernels()
        return replace(
            student,
            apply=with_kernels(student.apply, kernels),
            features=student.features and with_kernels(student.features, kernels),
        )
    twice = {name: torch.stack([p, p]) for name, p in module.named_parameters()}
    try:
        student.apply(twice, samples)
    except Exception:  # vmap refuses what it cannot batch with errors of many types
        return student
    return replace(student, stackable=True)


def acceleration(student: StudentFn) -> dict[str, Any]:
    """How the steps of a student were taken, for ``acceleration_`` and ``verbose=2``."""
    traced = student.accelerated
    if not isinstance(traced, Traced):
        return {"traced_steps": 0, "autograd_steps": None, "refusals": ["acceleration is off"]}
    return {
        "traced_steps": traced.n_traced,
        "autograd_steps": traced.n_autograd,
        "refusals": list(traced.refusals),
    }
