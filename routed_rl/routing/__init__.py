"""Gradient routing: decide, sample by sample, what a gradient may train.

Cloud et al., "Gradient Routing: Masking Gradients to Localize Computation in Neural Networks",
arXiv 2410.04332. Needs torch only: nothing here knows about reinforcement learning.
"""

from routed_rl.routing.gradients import attach_loss, linear, route
from routed_rl.routing.regions import (
    Expanded,
    delete,
    delete_units,
    expand,
    gradient_mass,
    mlp_branch,
    partition,
)
from routed_rl.routing.rules import Activations, Parameters, Rule, Values, routed

__all__ = [
    "Activations",
    "Expanded",
    "Parameters",
    "Rule",
    "Values",
    "attach_loss",
    "delete",
    "delete_units",
    "expand",
    "gradient_mass",
    "linear",
    "mlp_branch",
    "partition",
    "route",
    "routed",
]
