"""The policy: its gradients are ours, it learns as the mixture, and predicts as steered."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from corridor import Corridor, corridors, differing, gridworld_ppo, ppo, trained
from gymnasium import spaces
from helpers import CPU, copies, moved
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import NatureCNN
from torch import Tensor, nn

from routed_rl import sb3
from routed_rl.algorithms.batch import Batch, Inputs
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.learner import Learner
from routed_rl.models.networks import FirstLayer
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.rollouts.labels import routes
from routed_rl.sb3.buffer import RoutedObs
from routed_rl.sb3.export import copy_layers
from routed_rl.sb3.extractors import NetworkBuilder
from routed_rl.worlds.outcomes import Label, expert_of


def gradients(*modules: nn.Module) -> list[Tensor]:
    """List the gradients of linear layers, weights as nn.Linear has them."""
    found = []
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, nn.Linear | FirstLayer):
                weight: Any = layer.weight.grad
                bias: Any = layer.bias.grad
                found += [weight.t() if isinstance(layer, FirstLayer) else weight, bias]
    return found


def test_the_gradients_of_their_train_are_those_of_our_learner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = differing(trained(gridworld_ppo(ent_coef=0.12)))
    policy: Any = model.policy
    samples: Any = next(model.rollout_buffer.get())
    monkeypatch.setattr(policy.optimizer, "step", lambda: None)
    model.train()
    extractor = policy.mlp_extractor
    theirs = gradients(extractor.torso, policy.action_net, extractor.critic, policy.value_net)

    config = LearnerConfig(hidden=(16, 16), ent_coef=0.12, vf_coef=0.5, clip_range=0.2)
    spec = PolicySpec((4, 5, 5), 4, ("diamond", "ghost"), (16, 16), gate=True)
    learner = Learner(spec, config, discount=0.99, gate_coefficient=0.1, seed=0, device=CPU)
    learner.policy = sb3.categorical(policy).requires_grad_(True)
    copy_layers(nn.ModuleList([extractor.critic, policy.value_net]), learner.critic)
    obs, label = samples.observations
    assert {Label.UNKNOWN, 1, 2} <= set(label.tolist())
    advantage = (samples.advantages - samples.advantages.mean()) / (samples.advantages.std() + 1e-8)
    batch = Batch(
        inputs=Inputs(obs, routes(label, 2)),
        input_index=torch.arange(len(obs)),
        action=samples.actions.long().flatten(),
        log_prob=samples.old_log_prob,
        advantage=advantage,
        value_target=samples.returns,
        weight=torch.ones(len(obs)),
        gate_target=expert_of(label),
    )

    def distance(batch: Batch) -> float:
        """Return how far our gradients are from theirs."""
        learner.policy.zero_grad()
        learner.critic.zero_grad()
        learner.loss(batch)[0].backward()
        ours = gradients(learner.policy.torso, learner.policy.head, learner.critic)
        return max(float((a - b).norm() / b.norm()) for a, b in zip(ours, theirs, strict=True))

    assert distance(batch) < 1e-5
    assert distance(batch._replace(inputs=Inputs(obs))) > 1e-2, "the routes matter"
    assert distance(batch._replace(gate_target=None)) > 1e-2, "the gate's loss matters"


@pytest.mark.parametrize("expert", [0, 1])
def test_a_labelled_sample_trains_its_expert_and_gives_the_other_exactly_zero(expert: int) -> None:
    policy: Any = differing(ppo(corridors(2), policy_kwargs={"gate_loss": 0.0})).policy
    obs = RoutedObs(torch.eye(5), torch.full((5,), expert + 1))
    values, log_prob, entropy = policy.evaluate_actions(obs, torch.tensor([0, 1, 0, 1, 1]))
    (values.sum() + log_prob.sum() + entropy.sum()).backward()
    torso = policy.mlp_extractor.torso
    zero = [all((p.grad == 0).all() for p in one.parameters()) for one in torso.experts.values()]
    assert zero == [number != expert for number in range(2)]
    assert all((p.grad == 0).all() for p in torso.gate.parameters())
    for p in (*policy.action_net.parameters(), *policy.value_net.parameters()):
        assert (p.grad != 0).any()


def test_an_expert_without_a_route_is_not_moved_by_train() -> None:
    model = trained(gridworld_ppo(), 2)  # momentum is warm
    policy: Any = model.policy
    buffer: Any = model.rollout_buffer
    buffer.label(np.full((32, 32), 1))  # every step is of an episode that reached a diamond
    experts = policy.mlp_extractor.torso.experts
    before = {name: copies(expert) for name, expert in experts.items()}
    model.train()
    assert moved(experts["diamond"], before["diamond"]) == [True] * 4
    assert moved(experts["ghost"], before["ghost"]) == [False] * 4


def test_it_acts_as_the_mixture_while_it_learns_and_as_steered_in_predict() -> None:
    model = differing(ppo(corridors(2)))
    policy: Any = model.policy
    obs = torch.eye(5)
    experts = policy.mlp_extractor.torso.experts

    def of_predict() -> Tensor:
        return policy.get_distribution(obs).distribution.logits

    def of_learning() -> Tensor:
        unlabelled = RoutedObs(obs, torch.full((5,), Label.UNKNOWN))
        return policy.evaluate_actions(unlabelled, torch.ones(5))[1]

    def of_features(features: Tensor) -> Tensor:
        return policy.action_net(features).log_softmax(dim=1)

    mixture = of_predict()
    learning = of_learning()
    assert torch.allclose(learning, mixture[:, 1])
    policy.steer({"good": 1.0})
    alone = of_features(experts["good"](obs))
    assert torch.allclose(of_predict(), alone)
    assert not torch.allclose(of_predict(), mixture)
    assert torch.equal(of_learning(), learning)
    greedy = model.predict(np.eye(5, dtype=np.float32), deterministic=True)[0]
    assert greedy.tolist() == alone.argmax(dim=1).tolist()
    policy.steer({"good": -0.5, "bad": 1.5})
    both = of_features(-0.5 * experts["good"](obs) + 1.5 * experts["bad"](obs))
    assert torch.allclose(of_predict(), both, atol=1e-6)
    policy.steer(None)
    assert torch.equal(of_predict(), mixture)


def test_wrong_weights_are_told() -> None:
    policy: Any = ppo(corridors(1)).policy
    with pytest.raises(ValueError, match=r"no expert 'god'\. Did you mean 'good'\?"):
        policy.steer({"god": 1.0})
    with pytest.raises(ValueError, match="give at least one expert a weight"):
        policy.steer({"good": 0.0})
    policy.steer({"good": 0.0, "bad": 2.0})
    assert policy.steering.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("settings", "equal"),
    [({}, True), ({"equal_start": True}, True), ({"equal_start": False}, False)],
)
def test_equal_start_and_random_start(settings: dict[str, bool], equal: bool) -> None:
    policy: Any = ppo(corridors(1), policy_kwargs=settings).policy
    torso = policy.mlp_extractor.torso
    good, bad = (nn.utils.parameters_to_vector(e.parameters()) for e in torso.experts.values())
    assert torch.equal(good, bad) == equal
    assert bool((torso(torch.eye(5)).gate_logits == 0).all()) == equal


def test_every_parameter_is_in_one_group_and_deviations_are_in_the_heads() -> None:
    model = ppo(corridors(2, continuous=True))
    policy: Any = model.policy
    groups = [{id(p) for p in group["params"]} for group in policy.optimizer.param_groups]
    assert len(groups) == 5  # two experts, gate, critic, head
    everything = {id(p) for p in policy.parameters()}
    assert set.union(*groups) == everything
    assert sum(map(len, groups)) == len(everything)
    assert groups[-1] == {id(p) for p in (*policy.action_net.parameters(), policy.log_std)}
    trained(model)


def test_the_optimizer_gets_the_first_step_size_and_its_settings() -> None:
    model = ppo(
        corridors(1),
        learning_rate=lambda progress: 0.25 * progress,
        policy_kwargs={"optimizer_kwargs": {"weight_decay": 0.5}},
    )
    policy: Any = model.policy
    for group in policy.optimizer.param_groups:
        assert (group["lr"], group["weight_decay"]) == (0.25, 0.5)


def test_parameters_are_loaded_all_of_them_and_in_their_place() -> None:
    policy: Any = ppo(corridors(1)).policy
    before = policy.action_net.weight
    policy.load_state_dict(policy.state_dict())
    assert policy.action_net.weight is before, "the optimizer would train another"
    with pytest.raises(RuntimeError, match="Missing key"):
        policy.load_state_dict({})


def test_networks_have_the_widths_and_the_extractor_that_were_asked_for() -> None:
    space = spaces.Box(0, 255, (3, 36, 36), np.uint8)
    builder = NetworkBuilder(space, NatureCNN, {"features_dim": 7}, nn.ReLU)
    for hidden, outputs, width in (([5], 0, 5), ([], 0, 7), ([5], 2, 2)):
        network = builder.network(hidden, outputs)
        assert network.width == width
        assert network.module(torch.zeros(2, 3, 36, 36)).shape == (2, width)


def test_images_give_each_module_a_cnn_of_its_own_and_labels_route_them() -> None:
    kwargs = {
        "features_extractor_class": NatureCNN,
        "net_arch": [],
        "features_extractor_kwargs": {"features_dim": 8},
    }
    model = trained(ppo(corridors(2, image=True), policy_kwargs=kwargs))
    policy: Any = model.policy
    assert sum(isinstance(m, NatureCNN) for m in policy.modules()) == 4  # two experts, gate, critic
    policy.optimizer.zero_grad()
    obs = RoutedObs(torch.randint(255, (4, 3, 36, 36)), torch.full((4,), 1))
    policy.evaluate_actions(obs, torch.zeros(4))[1].sum().backward()
    good, bad = policy.mlp_extractor.torso.experts.values()
    assert all((p.grad == 0).all() for p in bad.parameters())
    assert any((p.grad != 0).any() for p in good.parameters())


def test_a2c_trains_too() -> None:
    model = A2C(
        sb3.RoutedActorCriticPolicy,
        corridors(4),
        max_grad_norm=math.inf,
        use_rms_prop=False,
        rollout_buffer_class=sb3.RoutedRolloutBuffer,
        policy_kwargs={"outcomes": ("good", "bad")},
        device="cpu",
    )
    before = copies(model.policy)
    model.learn(200, callback=sb3.RoutedCallback())
    assert isinstance(model.policy.optimizer, sb3.RoutedAdam)
    assert all(moved(model.policy, before))


@pytest.mark.parametrize("steered", [False, True])
def test_saved_and_loaded_it_predicts_the_same_and_learns_on(
    tmp_path: Path, *, steered: bool
) -> None:
    model = differing(trained(gridworld_ppo()))
    policy: Any = model.policy
    if steered:
        policy.steer({"diamond": 1.0})
    obs = np.random.default_rng(0).random((50, 4, 5, 5), dtype=np.float32)
    model.save(tmp_path / "model.zip")
    again = PPO.load(tmp_path / "model.zip", env=model.env, device="cpu")
    policy.save(str(tmp_path / "policy.pt"))
    alone: Any = sb3.RoutedActorCriticPolicy.load(str(tmp_path / "policy.pt"), device="cpu")
    actions = model.predict(obs, deterministic=True)[0]
    assert len(set(actions.tolist())) > 1
    logits = policy.get_distribution(torch.as_tensor(obs)).distribution.logits
    for other in (again.policy, alone):
        assert np.array_equal(other.predict(obs, deterministic=True)[0], actions)
        theirs = other.get_distribution(torch.as_tensor(obs)).distribution.logits
        assert torch.equal(theirs, logits)
    trained(again)


def in_a_dict() -> gymnasium.Env[Any, Any]:
    env = Corridor()
    space = spaces.Dict({"x": env.observation_space})
    return gymnasium.wrappers.TransformObservation(env, lambda x: {"x": x}, space)


def test_what_cannot_be_built_is_named() -> None:
    with pytest.raises(ValueError, match="observations are a Dict: flatten them"):
        ppo(make_vec_env(in_a_dict, 1))
    for outcomes in (("good",), ("good", "bad", "good")):
        with pytest.raises(ValueError, match="name two or more"):
            ppo(corridors(1), outcomes)
    with pytest.raises(ValueError, match="outcome 'to be' cannot be called so"):
        ppo(corridors(1), ("to be", "not"))
