"""The pure functions that the engine needs, from the specification of a student."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from .._engine import (
    CONVOLUTION,
    MISSING,
    POOLING,
    ConvNd,
    Drawing,
    Kernels,
    Loss,
    StudentFn,
    Traced,
    first_layer,
    generator,
    pure,
    pure_features,
    with_kernels,
)
from .spec import StudentSpec

_OFF = {"0", "false", "no", "off"}


class Acceleration(NamedTuple):
    """The kinds of acceleration that a student uses; docs/measured/ablation.rst measures each.

    Attributes
    ----------
    tracing : bool
        Repeat the operations of a traced step, without the bookkeeping of autograd.
    convolution : bool
        Use fast derivatives of convolutions on a CPU.
    pooling : bool
        Use fast 2 × 2 pooling on a CPU.
    span : bool
        Train students that begin with a linear layer in the span of the samples.
    """

    tracing: bool = True
    convolution: bool = True
    pooling: bool = True
    span: bool = True

    @classmethod
    def from_environment(cls) -> Acceleration:
        """All kinds, or none if the environment variable ``SKLEARN_DD_ACCELERATE`` is 0."""
        on = os.environ.get("SKLEARN_DD_ACCELERATE", "1").lower() not in _OFF
        return cls(on, on, on, on)

    def kernels(self) -> Kernels:
        """The kernels that replace those of torch."""
        return {**(CONVOLUTION if self.convolution else {}), **(POOLING if self.pooling else {})}


def student_fn(
    spec: StudentSpec, device: torch.device, loss: Loss, acceleration: Acceleration | None = None
) -> StudentFn:
    """Build the student as pure functions, in evaluation mode: dropout is off."""
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
    if acceleration.span:
        random = torch.randn(samples.shape, generator=generator(0)).to(device)
        student = replace(student, first=first_layer(module, student, random))
    two_students = {name: torch.stack([p, p]) for name, p in module.named_parameters()}
    try:
        student.apply(two_students, samples)
    except Exception:  # vmap raises errors of many types for what it cannot batch
        return student
    return replace(student, stackable=True)


def acceleration(nets: Iterable[StudentFn]) -> dict[str, Any]:
    """Count how the steps of nets were taken, for ``acceleration_`` and ``verbose=2``."""
    students = [s for net in nets for s in (net, net.first and net.first.in_span) if s is not None]
    traced = [s.accelerated for s in students if isinstance(s.accelerated, Traced)]
    if not traced:
        return {"traced_steps": 0, "autograd_steps": None, "refusals": ["acceleration is off"]}
    return {
        "traced_steps": sum(steps.n_traced for steps in traced),
        "autograd_steps": sum(steps.n_autograd for steps in traced),
        "refusals": [*MISSING, *(why for steps in traced for why in steps.refusals)],
    }
