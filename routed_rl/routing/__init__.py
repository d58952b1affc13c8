"""Gradient routing: decide, sample by sample, what a gradient may train.

Cloud et al., "Gradient Routing: Masking Gradients to Localize Computation in Neural Networks",
arXiv 2410.04332. Needs torch only: nothing here knows about reinforcement learning.
"""

from routed_rl.routing.block import UnusedRuleError, routed
from routed_rl.routing.gradients import attach_loss, route
from routed_rl.routing.masks import Mask
from routed_rl.routing.regions import (
    Expanded,
    delete,
    delete_units,
    expand,
    gradient_mass,
    metrics,
    mlp_branch,
    partition,
)
from routed_rl.routing.rules import Activations, Parameters, Rule, Values
from routed_rl.routing.verify import Verification, verify

__all__ = [
    "Activations",
    "Expanded",
    "Mask",
    "Parameters",
    "Rule",
    "UnusedRuleError",
    "Values",
    "Verification",
    "attach_loss",
    "delete",
    "delete_units",
    "expand",
    "gradient_mass",
    "metrics",
    "mlp_branch",
    "partition",
    "route",
    "routed",
    "verify",
]
