"""Every private name of torch that this package uses, in one place.

Tested with torch 2.13. Only acceleration needs these names. If a release of torch lacks one, that
piece of acceleration is off, `MISSING` names it, and the ``acceleration_`` of a fit reports it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.nn.grad import conv2d_input

_aten: Any = torch.ops.aten
OpOverload: Any = type(_aten.add.Tensor)
MISSING: list[str] = []


def _find(name: str, find: Callable[[], Any]) -> Any:
    """What ``find`` finds, or None and an entry in `MISSING`."""
    try:
        return find()
    except (AttributeError, ImportError):
        MISSING.append(f"torch {torch.__version__} has no {name}")
        return None


def _import_make_fx() -> Any:
    from torch.fx.experimental.proxy_tensor import make_fx

    return make_fx


_make_fx = _find("make_fx", _import_make_fx)
_functorch_is_active = _find(
    "_are_functorch_transforms_active", lambda: torch._C._are_functorch_transforms_active
)
_slow_conv2d_backward = _find(
    "_slow_conv2d_backward", lambda: _aten._slow_conv2d_backward.output_mask
)
UNSAFE_VIEW = _find("_unsafe_view", lambda: _aten._unsafe_view.default)


def fake_graph(function: Callable[..., Any], *inputs: torch.Tensor) -> fx.GraphModule:
    """The operations of ``function``, traced with tensors that have no values."""
    if _make_fx is None:
        raise RuntimeError("this torch has no make_fx")
    return _make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)


def schema(operation: Any) -> Any:
    """The signature of an operation of ATen."""
    return operation._schema


def functorch_is_active() -> bool:
    """Whether a transformation of torch.func, such as vmap, is running; True if torch hides it."""
    return True if _functorch_is_active is None else _functorch_is_active()


def input_gradient_of_few_channels(
    gradient: torch.Tensor,
    weight: torch.Tensor,
    shape: torch.Size,
    stride: list[int],
    padding: list[int],
) -> torch.Tensor:
    """The gradient of a convolution for images of few channels, without padding them to sixteen."""
    if _slow_conv2d_backward is None:
        return conv2d_input(shape, weight, gradient, stride, padding)
    # Fake tensors have no rule for this kernel, so that tracing runs it on real ones.
    x, _, _ = _slow_conv2d_backward(
        gradient, gradient.new_empty(shape), weight, weight.shape[2:], stride, padding,
        [True, False, False],
    )  # fmt: skip
    return x
