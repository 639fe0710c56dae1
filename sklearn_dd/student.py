"""Students: from what the user names to a pure function, and back to a skorch net.

The only file that knows skorch.
"""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from skorch import NeuralNet, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import LRScheduler
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import UninitializedParameter
from torch.optim.lr_scheduler import LambdaLR

from .data import Array, Standardize
from .engine import priors
from .engine.inner_loop import Learner, pure, pure_features
from .engine.kernels import with_fast_kernels
from .engine.optimizers import SGD, Adam, Momentum, Optimizer
from .engine.priors import Prior, Weights
from .engine.seeds import Drawing, Stream, generator
from .engine.traced import Traced
from .files import load_pool
from .modules import MLP, ConvNet, LeNet


@dataclass(frozen=True)
class Network:
    """A network that can be built anew as often as wanted, and the optimiser that trains it."""

    module: Callable[..., nn.Module]
    arguments: dict[str, Any]
    sample_shape: tuple[int, ...]
    optimizer: Optimizer = field(default_factory=SGD)

    def __call__(self) -> nn.Module:
        return self.module(**self.arguments)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter."""
        with Drawing(generator(0)):
            return {name: tuple(p.shape) for name, p in self().named_parameters()}

    @property
    def name(self) -> str:
        """The name of the class."""
        return getattr(self.module, "__name__", type(self.module).__name__)


def choose_network(
    student: Any, sample_shape: tuple[int, ...], n_classes: int, optimizer: Optimizer | None = None
) -> Network:
    """The network that ``student`` stands for, checked on two samples.

    Parameters
    ----------
    student : None, nn.Module class or unfitted skorch net
        ``None`` chooses by the shape of a sample. A constructor that names ``sample_shape`` or
        ``n_classes`` is given them, unless the user has.
    sample_shape : tuple of int
        Shape of one sample, as the network sees it.
    n_classes : int
        Number of logits.
    optimizer : Optimizer or None
        What trains a student that is no skorch net; ``None`` is gradient descent.
    """
    module, arguments, optimizer = student, {}, optimizer or SGD()
    if student is None:
        module = _default_module(sample_shape)
    elif isinstance(student, NeuralNet):
        module, arguments = student.module, student.get_params_for("module")
        optimizer = _inner_optimizer(student.optimizer, student.get_params_for("optimizer"))
    if isinstance(module, nn.Module) or not callable(module):
        raise TypeError(
            "student must be None, an nn.Module class or an unfitted skorch net, such as "
            f"NeuralNetClassifier, around a class, but got {student!r}. An instance cannot be "
            "built anew for each initialisation: pass its class."
        )
    if torch.get_default_dtype() != torch.float32:
        raise ValueError(
            f"torch's default dtype must be float32, in which students compute, but it is "
            f"{torch.get_default_dtype()}: call torch.set_default_dtype(torch.float32)."
        )
    known = {"sample_shape": sample_shape, "n_classes": n_classes}
    names = inspect.signature(module).parameters
    arguments = {k: v for k, v in known.items() if k in names} | arguments
    network = Network(module, arguments, sample_shape, optimizer)
    _check(network, n_classes)
    return network


def _default_module(sample_shape: tuple[int, ...]) -> type[nn.Module]:
    if len(sample_shape) != 3:
        return MLP
    return LeNet if sample_shape[1:] in ((28, 28), (32, 32)) else ConvNet


def _check(network: Network, n_classes: int) -> None:
    """Build the network once and run two samples through it."""
    with Drawing(generator(0)):
        try:
            module = network()
        except TypeError as error:
            raise TypeError(
                f"student {network.name} cannot be built: {error}. Its constructor may name "
                "sample_shape and n_classes; give other arguments a default, or pass them in a "
                "skorch net as module__name."
            ) from error
        if not isinstance(module, nn.Module):
            raise TypeError(f"student {network.name} must build an nn.Module, got {type(module)}.")
        _check_parameters(module, network.name)
        before = {name: b.clone() for name, b in module.named_buffers()}
        # In training mode, to see which buffers that changes; dropout knows no other generator.
        try:
            x = torch.randn(2, *network.sample_shape)
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                logits = module(given := x.clone())
        except Exception as error:
            raise ValueError(
                f"student {network.name} cannot take samples of sample_shape="
                f"{network.sample_shape}: {error} Give the sample_shape that it expects, or "
                "another student."
            ) from error
    if not isinstance(logits, Tensor) or logits.shape != (2, n_classes):
        shape = tuple(getattr(logits, "shape", ()))
        raise ValueError(
            f"student {network.name} must return logits of shape (batch, {n_classes}), one for "
            f"each class of y, or one number, but two samples gave an output of shape {shape}. Let "
            "its constructor take n_classes as the size of its last layer."
        )
    if not torch.equal(given, x):
        raise ValueError(
            f"student {network.name} changes the samples that it is given. Let its forward work on "
            "a copy, x = x * 2 in place of x *= 2."
        )
    if n_classes > 1 and (logits >= 0).all() and torch.allclose(logits.sum(1), torch.ones(2)):
        raise ValueError(
            f"student {network.name} returns probabilities, but the loss takes logits. "
            "Leave out its last softmax."
        )
    for name, buffer in module.named_buffers():
        if not torch.equal(buffer, before[name]):
            raise ValueError(
                f"student {network.name} has the buffer {name!r} that training changes, such as "
                "the running statistics of BatchNorm; a student must be a pure function of its "
                "parameters. Use GroupNorm or InstanceNorm, or track_running_stats=False."
            )


def _check_parameters(module: nn.Module, name: str) -> None:
    parameters = dict(module.named_parameters())
    if not parameters:
        raise ValueError(f"student {name} has no parameters, so there is nothing to train.")
    for key, p in parameters.items():
        if isinstance(p, UninitializedParameter):
            raise ValueError(
                f"student {name} has the lazy parameter {key!r}: give its layers their sizes, "
                "which the constructor can take from sample_shape."
            )
        if not p.requires_grad:
            raise ValueError(
                f"student {name} has the frozen parameter {key!r}, but every parameter is trained: "
                "register it as a buffer."
            )


def _inner_optimizer(optimizer: Any, arguments: dict[str, Any]) -> Optimizer:
    """The engine's optimiser for torch's."""
    make = _OPTIMIZERS.get(optimizer)
    # 0 and False: not used. An eps of 0 is, though, and no step could be differentiated.
    arguments = {name: value for name, value in arguments.items() if value or name == "eps"}
    try:
        if make is None:
            raise TypeError("it is neither torch.optim.SGD nor torch.optim.Adam")
        return make(**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"student has the optimizer {getattr(optimizer, '__name__', optimizer)} with "
            f"{arguments}, which cannot be differentiated through: {error}. Use torch.optim.SGD, "
            "with optimizer__momentum if wanted, or torch.optim.Adam with optimizer__betas and "
            "optimizer__eps."
        ) from error


def _sgd(momentum: float = 0.0) -> Optimizer:
    return Momentum(momentum) if momentum else SGD()


_OPTIMIZERS: dict[Any, Callable[..., Optimizer]] = {torch.optim.SGD: _sgd, torch.optim.Adam: Adam}


def learner(network: Network, device: torch.device) -> Learner:
    """The network as the engine takes it. Dropout is off, as in evaluation."""
    with Drawing(generator(0)):
        module = network().to(device).eval().requires_grad_(False)
    samples = torch.zeros(2, *network.sample_shape, device=device)
    alone = Learner(
        pure(module),
        Traced(network.optimizer),
        at_once=False,
        features=pure_features(copy.deepcopy(module), samples),
    )
    if device.type == "cpu" and any(isinstance(layer, _ConvNd) for layer in module.modules()):
        # Together, the convolutions of several nets are grouped ones, which are slow on a CPU.
        return replace(
            alone,
            apply=with_fast_kernels(alone.apply),
            features=alone.features and with_fast_kernels(alone.features),
        )
    twice = {name: torch.stack([p, p]) for name, p in module.named_parameters()}
    try:
        alone.apply(twice, samples)
    except Exception:  # vmap refuses what it cannot batch with errors of many types
        return alone
    return replace(alone, at_once=True)


def known_nets(init: Any) -> Any:
    """``init``, but a folder as the list of its nets, and one state dict as a list of one."""
    if isinstance(init, os.PathLike):
        return load_pool(init)
    return [init] if isinstance(init, Mapping) else init


def state_of(net: Any) -> dict[str, Any] | None:
    """The weights of a fitted skorch net or a state dict, by name; None of what is neither."""
    if isinstance(net, NeuralNet) and net.initialized_:
        module = net.module_
        net = (module.net if isinstance(module, Standardized) else module).state_dict()
    if isinstance(net, Mapping) and all(isinstance(p, Tensor | np.ndarray) for p in net.values()):
        return dict(net)
    return None


def weight_prior(init: Any, network: Network, seed: int) -> Prior:
    """The prior that ``init`` stands for.

    Parameters
    ----------
    init : {"random", "fixed"}, callable, list, dict or path-like
        The module's own initialisation, one draw of it, an in-place initialiser of a module, or
        what `known_nets` makes a pool of.
    network : Network
        What is initialised.
    seed : int
        Decides the draw of ``"fixed"``.
    """
    init = known_nets(init)
    if isinstance(init, nn.Module | type):
        raise TypeError(
            "init must be 'random', 'fixed', a callable that initialises a module, a list of nets "
            f"or a pathlib.Path to a folder of them, got {init!r}: give its state_dict()."
        )
    if isinstance(init, str):
        if init not in ("random", "fixed"):
            raise ValueError(
                "init must be 'random', 'fixed', a callable, a list of nets or a pathlib.Path to a "
                f"folder of them, got {init!r}."
            )
        prior = priors.random(network)
        return priors.Pool([prior(generator(seed, Stream.FIXED, 0))]) if init == "fixed" else prior
    if callable(init):

        def build() -> nn.Module:
            module = network()
            init(module)
            return module

        return priors.random(build)
    if not isinstance(init, list | tuple):
        raise TypeError(
            "init must be 'random', 'fixed', a callable, a list of nets, a state dict or a "
            f"pathlib.Path to a folder, got {type(init).__name__}. Wrap one net in a list."
        )
    if not init:
        raise ValueError("init is an empty list: give at least one state dict or fitted net.")
    return priors.Pool([_weights(member, network, i) for i, member in enumerate(init)])


def _weights(member: Any, network: Network, index: int) -> Weights:
    """The parameters of one member of a pool, checked against the network's."""
    if isinstance(member, NeuralNet) and not member.initialized_:
        raise ValueError(
            f"init[{index}] is a skorch net that is not fitted: fit it first. In the grid of a "
            "search, which clones it, give its state dict."
        )
    state = state_of(member)
    if state is None:
        raise TypeError(
            f"init[{index}] must be a state dict or a fitted skorch net, got {member!r}. Of a "
            "module give its state_dict()."
        )
    wanted = network.shapes()
    given = {k: tuple(v.shape) for k, v in state.items() if k in wanted}
    if given != wanted:
        name = next(k for k in wanted if given.get(k) != wanted[k])
        raise ValueError(
            f"init[{index}] does not fit the student {network.name}: its parameter {name!r} has "
            f"shape {wanted[name]}, but the pool's net has {given.get(name, 'none of that name')}. "
            "Give nets of the student's own class and size."
        )
    weights = {n: torch.as_tensor(state[n]).detach().cpu().float().clone() for n in wanted}
    if not all(w.isfinite().all() for w in weights.values()):
        raise ValueError(f"init[{index}] has weights that are not finite: leave this net out.")
    return weights


class Standardized(nn.Module):
    """A network behind the affine map that takes samples in the units of X.

    Parameters
    ----------
    build : callable
        Builds the network.
    standardize : Standardize
        Its first layer.
    weights : dict or None
        Initial parameters; ``None`` keeps what ``build`` draws.
    """

    def __init__(
        self, build: Callable[[], nn.Module], standardize: Standardize, weights: Weights | None
    ) -> None:
        super().__init__()
        self.standardize = copy.deepcopy(standardize)  # skorch moves it to the device
        self.net = build()
        if weights is not None:
            self.net.load_state_dict(weights, strict=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) of samples in the units and the layout of X."""
        return self.net(self.standardize(x))


class StepSizes:
    """The learned step sizes as a schedule; past its end the last one holds."""

    def __init__(self, lrs: Sequence[float]) -> None:
        self.lrs = lrs

    def __call__(self, step: int) -> float:
        return self.lrs[min(step, len(self.lrs) - 1)]


class Replayed(torch.optim.Optimizer):
    """An inner optimiser of the engine as a torch optimiser.

    Parameters
    ----------
    params : iterable of Parameter
        What is trained.
    lr : float
        Step size; a schedule changes it.
    rule : Optimizer
        The engine's optimiser.
    """

    def __init__(self, params: Any, lr: float, rule: Optimizer) -> None:
        super().__init__(params, {"lr": lr})
        self.rule = rule
        self.carry = rule.start(self._named("data"))

    def _named(self, what: str) -> dict[str, Tensor]:
        parameters = [p for group in self.param_groups for p in group["params"]]
        return {str(i): getattr(p, what) for i, p in enumerate(parameters)}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step along the gradients that ``closure`` leaves behind."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        params, *state = self.carry
        gradient = {
            k: torch.zeros_like(params[k]) if g is None else g
            for k, g in self._named("grad").items()
        }
        lr = torch.tensor(self.param_groups[0]["lr"], device=next(iter(params.values())).device)
        after, *state = self.rule.update((params, *state), gradient, lr)
        for name, p in params.items():
            p.copy_(after[name])
        self.carry = (params, *state)
        return loss


class _Replay(NeuralNet):
    """A skorch net whose ``fit`` repeats the distilled schedule step by step.

    It takes gradient steps on the distilled mini-batches in their order with the learned step
    sizes. As in the engine, the module is in evaluation mode throughout: dropout is off.
    """

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Take a DataFrame as an array: to skorch its columns were arguments of the module."""
        return super().get_dataset(np.array(X) if hasattr(X, "columns") else X, y)

    def _set_training(self, training: bool = True) -> None:
        super()._set_training(False)


class ReplayClassifier(_Replay, NeuralNetClassifier):
    """A skorch classifier that repeats the distilled schedule."""


class ReplayMultilabel(_Replay, NeuralNetClassifier):
    """The same with several labels a sample; it predicts those that are likelier than not."""

    def predict(self, X: Any) -> Array:
        """Return labels (n, n_labels) as 1 and 0."""
        return (self.predict_proba(X) > 0.5).astype(np.int64)


class ReplayRegressor(_Replay, NeuralNetRegressor):
    """The same in a regression: it learns standardised numbers, and predicts in the units of y.

    Parameters
    ----------
    *args, **kwargs
        Those of skorch.
    decode : callable
        Outputs (n, 1) -> numbers (n,).
    """

    def __init__(self, *args: Any, decode: Callable[[Tensor], Array], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.decode = decode

    def predict(self, X: Any) -> Array:
        """Return numbers (n,) for samples in the units of X."""
        return self.decode(torch.from_numpy(self.predict_proba(X)))


S = TypeVar("S", ReplayClassifier, ReplayMultilabel, ReplayRegressor)


def replay_student(
    make: type[S],
    network: Network,
    standardize: Standardize,
    weights: Weights,
    X: Array,  # (n, *input_shape)
    y: Array,  # (n,) class indices, (n, n_outputs) labels or (n, 1) standardised numbers
    lrs: Array,  # (n_epochs, n_steps)
    device: torch.device,
    **options: Any,
) -> S:
    """Train a skorch student of the class ``make``, with more ``options``, from given weights."""
    n_epochs, n_steps = lrs.shape
    student = make(
        Standardized,
        module__build=network,
        module__standardize=standardize,
        module__weights=weights,
        optimizer=Replayed,
        optimizer__rule=network.optimizer,
        lr=1.0,
        max_epochs=n_epochs,
        batch_size=len(X) // n_steps,
        iterator_train__shuffle=False,
        iterator_valid__batch_size=1024,
        train_split=None,
        callbacks=[
            LRScheduler(LambdaLR, lr_lambda=StepSizes(lrs.ravel().tolist()), step_every="batch")
        ],
        callbacks__print_log=None,
        verbose=0,
        device=str(device),
        **options,
    )
    targets = y.astype(np.int64 if y.ndim == 1 else np.float32)
    # The constructor draws weights that are replaced at once; the global generator stays as it is.
    with Drawing(generator(0)):
        return student.fit(X, targets)
