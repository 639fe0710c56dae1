"""Random streams that depend only on their purpose, not on earlier draws."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Stream(IntEnum):
    """The purpose of a draw. Seeds differ by purpose: held-out students are never trained on."""

    BATCH = 1
    INIT = 2
    HELD_OUT = 3
    EVALUATE = 4
    STUDENT = 5
    FIXED = 6
    START = 7
    WINDOW = 8


_MASK = (1 << 64) - 1


def fold(*keys: int) -> int:
    """Combine several integers into one seed (SplitMix64; Steele, Lea and Flood 2014)."""
    state = 0
    for key in keys:
        state = (state + key + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1  # torch takes a signed 64-bit seed


def generator(*keys: int) -> torch.Generator:
    """A CPU generator for one purpose, such as (seed, stream, iteration, index)."""
    return torch.Generator().manual_seed(fold(*keys))


_SAMPLERS = {
    torch.Tensor.bernoulli, torch.Tensor.bernoulli_, torch.Tensor.cauchy_,
    torch.Tensor.exponential_, torch.Tensor.geometric_, torch.Tensor.log_normal_,
    torch.Tensor.multinomial, torch.Tensor.normal_, torch.Tensor.random_, torch.Tensor.uniform_,
    torch.bernoulli, torch.binomial, torch.multinomial, torch.normal, torch.poisson, torch.rand,
    torch.randint, torch.randn, torch.randperm,
}  # fmt: skip


_LIKE = {
    torch.rand_like: torch.rand,
    torch.randn_like: torch.randn,
    torch.randint_like: torch.randint,
}


class Drawing(TorchFunctionMode):
    """Inside this context torch draws from ``generator`` and leaves the global one alone.

    The constructor of a module takes no generator, so each of its draws is passed one here. A few
    functions, such as dropout, accept no generator and still draw from the global one.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _LIKE:  # these accept no generator
            like, *rest = args or (kwargs.pop("input"),)
            kwargs.pop("memory_format", None)
            kwargs = {"dtype": like.dtype, "device": like.device} | kwargs
            func, args = _LIKE[func], (*rest, like.shape)
        # Functions of nn.init always pass the keyword; those of _SAMPLERS accept it.
        if (func in _SAMPLERS or "generator" in kwargs) and kwargs.get("generator") is None:
            kwargs["generator"] = self.generator
        return func(*args, **kwargs)
