"""Networks and data of the user's own, by the name under which Python imports them."""

from __future__ import annotations

import copy
import hashlib
import importlib
import inspect
import operator
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]
POOLING = {"padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": False}
"""What max pooling does if it is not told otherwise."""


class ImportedError(ValueError):
    """What a name stands for cannot be used; the message says why and what would do."""


def find(target: str) -> Any:
    """Import what ``package.module.Name`` or ``package.module:Name`` stands for.

    Raises
    ------
    ImportedError
        If there is no such module, no such name, or importing it raises.
    """
    dotted = target.replace(":", ".")
    module, _, name = dotted.rpartition(".")
    if not module or not all(part.isidentifier() for part in dotted.split(".")):
        raise ImportedError(f"{target!r} is no name such as package.module.Name")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ImportedError(f"{target}: {error}; is its folder on PYTHONPATH?") from error
    except AttributeError as error:
        raise ImportedError(f"{target}: {error}") from error
    # Whatever the user's module raises is what is wrong with it.
    except Exception as error:
        raise ImportedError(f"{target}: {type(error).__name__}: {error}") from error


def digest_of(thing: Any) -> str:
    """Stand for the source of a function, class or module: other source makes other runs."""
    return hashlib.sha256(inspect.getsource(thing).encode()).hexdigest()[:16]


def source_digest(target: str) -> str:
    """Stand for the source of what a name stands for, its whole module where it has none."""
    thing = find(target)
    try:
        return digest_of(thing)
    except (OSError, TypeError):
        return digest_of(importlib.import_module(target.replace(":", ".").rpartition(".")[0]))


def make_network(target: str) -> nn.Module:
    """Make a network: a class or a function is called without arguments.

    Raises
    ------
    ImportedError
        If it wants arguments, raises, or makes no ``torch.nn.Module`` with parameters.
    """
    from torch import nn

    thing = find(target)
    try:
        made = thing()
    except Exception as error:
        raise ImportedError(f"{target}(): {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise ImportedError(f"{target}() is a {type(made).__name__}, not a torch.nn.Module")
    if not any(True for _ in made.parameters()):
        raise ImportedError(f"{target}() has no parameters to train")
    return made


@cache
def _outline(target: str, example: Shape) -> tuple[Shape, int, float]:
    """Output shape, number of parameters, and FLOPs of a forward pass an example."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network = make_network(target).eval()
        counter = FlopCounterMode(display=False)
        try:
            with counter:
                output = network(torch.zeros(2, *example))
        except Exception as error:
            what = f"{target} on a batch of shape (2, {', '.join(map(str, example))})"
            raise ImportedError(f"{what}: {type(error).__name__}: {error}") from error
    if not isinstance(output, torch.Tensor):
        raise ImportedError(f"{target} returns a {type(output).__name__}, not a tensor")
    size = sum(it.numel() for it in network.parameters())
    return tuple(output.shape[1:]), size, counter.get_total_flops() / 2


def output_shape(target: str, example: Shape) -> Shape:
    """Shape of a network's output for one example."""
    return _outline(target, example)[0]


def parameters(target: str, example: Shape) -> int:
    """Number of a network's parameters."""
    return _outline(target, example)[1]


def flops(target: str, example: Shape) -> float:
    """Floating-point operations of a forward pass, per example."""
    return _outline(target, example)[2]


# --- a forward pass as a chain of layers -----------------------------------------------------


def as_sequential(network: nn.Module, example: Shape) -> nn.Module:
    """Return a network that is a chain of layers as an ``nn.Sequential`` of them, else itself.

    The layers are the network's own modules, so its weights and their initial values are too. What
    is not a chain (a branch, a sum, a layer used twice) is left alone. That both compute the same
    is seen from a random batch.
    """
    from torch import nn

    layers = _flat(network) if isinstance(network, nn.Sequential) else _traced(network)
    if layers is None:
        return network
    chain = nn.Sequential(*layers)
    return chain if _alike(network, chain, example) else network


def _alike(network: nn.Module, chain: nn.Module, example: Shape) -> bool:
    """Whether two networks give the same, while training and afterwards."""
    import torch

    dtype = next(network.parameters()).dtype
    for training in (True, False):
        found = []
        for one in (network, chain):
            # Copies: what running statistics learn here is not to be kept.
            copied = copy.deepcopy(one).train(training)
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(0)
                found.append(copied(torch.randn(4, *example, dtype=dtype)))
        if not torch.equal(*found):
            return False
    return True


def _flat(network: nn.Module) -> list[nn.Module]:
    """Layers of nested sequences, in order."""
    from torch import nn

    if isinstance(network, nn.Sequential):
        return [layer for child in network for layer in _flat(child)]
    return [network]


def _traced(network: nn.Module) -> list[nn.Module] | None:
    """Layers of a forward pass that is a chain, None if it is none or cannot be traced."""
    from torch import fx

    try:
        graph = fx.symbolic_trace(network).graph
    # Control flow that hangs on values, and whatever else a forward pass may do.
    except Exception:
        return None
    layers: list[nn.Module] = []
    before: fx.Node | None = None
    used: set[str] = set()
    sizes: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder":
            if before is not None:
                return None
        elif node.op == "output":
            return layers if node.args == (before,) else None
        elif _is_size(node, before):
            # What view(x.size(0), -1) asks for.
            sizes.add(node)
            continue
        elif not node.args or node.args[0] is not before:
            return None
        elif node.op == "call_module":
            if str(node.target) in used or len(node.args) != 1:
                return None
            used.add(str(node.target))
            layers += _flat(network.get_submodule(str(node.target)))
        else:
            layer = _layer_of(node, sizes)
            if layer is None:
                return None
            layers.append(layer)
        before = node
    return None


def _is_size(node: Any, before: Any) -> bool:
    if node.op == "call_method" and node.target == "size":
        return bool(node.args and node.args[0] is before)
    if node.op == "call_function" and node.target is getattr:
        return bool(node.args == (before, "shape"))
    return node.op == "call_function" and node.target is operator.getitem


def _layer_of(node: Any, sizes: set[Any]) -> nn.Module | None:
    """Return the layer that a function or method of a forward pass is, None if it is none."""
    import torch
    from torch import nn
    from torch.nn import functional

    rest, named = node.args[1:], dict(node.kwargs)
    named.pop("inplace", None)
    plain: dict[Any, Callable[[], nn.Module]] = {
        torch.relu: nn.ReLU,
        functional.relu: nn.ReLU,
        "relu": nn.ReLU,
        torch.sigmoid: nn.Sigmoid,
        functional.sigmoid: nn.Sigmoid,
        "sigmoid": nn.Sigmoid,
        torch.tanh: nn.Tanh,
        functional.tanh: nn.Tanh,
        "tanh": nn.Tanh,
    }
    if node.target in plain:
        return plain[node.target]() if not rest and not named else None
    if node.target in (torch.flatten, "flatten"):
        return nn.Flatten() if rest == (1,) or named == {"start_dim": 1} else None
    if node.target in ("view", "reshape"):
        flattens = len(rest) == 2 and rest[0] in sizes and rest[1] == -1
        return nn.Flatten() if flattens else None
    if node.target is functional.max_pool2d:
        size = rest[0] if len(rest) == 1 else named.pop("kernel_size", None)
        stride = named.pop("stride", None)
        # With defaults only, whether they are said or not.
        plainly = stride in (None, size) and all(
            named.get(name, usual) == usual for name, usual in POOLING.items()
        )
        return nn.MaxPool2d(size) if isinstance(size, int) and plainly else None
    return None
