"""A model that two processes train together; it imports no more than they need."""

from __future__ import annotations

import datetime
import faulthandler
import os
import socket

import torch
from torch import Tensor, nn

from routed_rl.routing import Activations, Parameters, routed


def network(seed: int, width: int = 5) -> nn.Sequential:
    torch.manual_seed(seed)
    embed = nn.Sequential(nn.Linear(4, width), nn.LayerNorm(width))
    return nn.Sequential(
        embed, nn.Tanh(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
    ).double()


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in model.named_parameters()
    }


def loss_of(y: Tensor) -> Tensor:
    return (y.square().sum(dim=-1) + y.sum(dim=-1).sin()).sum()


def eight_samples() -> tuple[Tensor, Tensor]:
    """Make a batch, and which of its samples may train what is routed."""
    x = torch.linspace(-1, 1, 32, dtype=torch.float64).view(8, 4)
    return x, torch.arange(8) % 3 > 0


def one_of_two_processes(rank: int, folder: str) -> None:
    """Route a model on half of a batch, as `DistributedDataParallel` does; save its gradients."""
    import torch.distributed as dist

    faulthandler.dump_traceback_later(100, exit=True)  # rather than to wait for ever
    if "lo" in dict(map(reversed, socket.if_nameindex())):
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # no name is to be looked up
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=2,
        timeout=datetime.timedelta(seconds=60),
    )
    model = network(0)
    x, grad_mask = eight_samples()
    half = slice(4 * rank, 4 * rank + 4)
    parallel = nn.parallel.DistributedDataParallel(model)
    with routed(model, {"2": Parameters(grad_mask[half]), "0": Activations(grad_mask[half])}):
        loss_of(parallel(x[half])).backward()
    torch.save(gradients(model), f"{folder}/{rank}.pt")
    # To take the group apart, torch may hold a lock that a thread of its own waits for.
    os._exit(0)
