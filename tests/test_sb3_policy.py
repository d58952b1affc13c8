from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.wrappers import TransformObservation
from helpers import CPU, world
from sb3_corridor import Corridor, corridors, ppo
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import NatureCNN
from torch import Tensor, nn

from routed_rl import sb3
from routed_rl.batch import Batch, Inputs
from routed_rl.labels import Label, routes
from routed_rl.learner import Learner, LearnerConfig
from routed_rl.networks import FirstLayer
from routed_rl.policy import Blueprint
from routed_rl.sb3.buffer import RoutedObs
from routed_rl.sb3.export import copy_layers
from routed_rl.steering import ablate, export, load

RELU = {"activation_fn": nn.ReLU}


def gridworld_ppo(**settings: Any) -> PPO:
    env = sb3.ReachedReward(sb3.RoutedVecEnv(world(32, oversight=0.5)))
    return ppo(env, ("diamond", "ghost"), n_steps=32, policy_kwargs=RELU, **settings)


def trained(model: PPO, rollouts: int = 1) -> PPO:
    assert model.env is not None
    return model.learn(rollouts * model.n_steps * model.env.num_envs, callback=sb3.RoutedCallback())


def differing(model: PPO) -> PPO:
    """Give all parameters another value, so that experts differ and the gate has a mind."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


def layers(*modules: nn.Module) -> list[nn.Module]:
    return [m for module in modules for m in module.modules() if isinstance(m, nn.Linear | FirstLayer)]


def gradients(*modules: nn.Module) -> list[Tensor]:
    """List the gradients of linear layers, weights as nn.Linear has them."""
    found = []
    for layer in layers(*modules):
        weight, bias = layer.weight.grad, layer.bias.grad
        assert isinstance(weight, Tensor) and isinstance(bias, Tensor)
        found += [weight.t() if isinstance(layer, FirstLayer) else weight, bias]
    return found


def test_the_gradients_of_their_train_are_those_of_our_learner(monkeypatch: pytest.MonkeyPatch) -> None:
    model = differing(trained(gridworld_ppo(ent_coef=0.12)))
    policy: Any = model.policy
    samples: Any = next(model.rollout_buffer.get())
    monkeypatch.setattr(policy.optimizer, "step", lambda: None)
    model.train()
    extractor = policy.mlp_extractor
    theirs = gradients(extractor.torso, policy.action_net, extractor.critic, policy.value_net)

    config = LearnerConfig(hidden=(16, 16), entropy=0.12, value=0.5, clip=0.2)
    blueprint = Blueprint((4, 5, 5), 4, ("diamond", "ghost"), (16, 16), gate=True)
    learner = Learner(blueprint, config, discount=0.99, gate_coefficient=0.1, seed=0, device=CPU)
    learner.policy = sb3.categorical(policy).requires_grad_(True)
    copy_layers(nn.ModuleList([extractor.critic, policy.value_net]), learner.critic)
    obs, label = samples.observations
    assert {Label.UNKNOWN, Label.KNOWN, Label.KNOWN + 1} <= set(label.tolist())
    advantage = (samples.advantages - samples.advantages.mean()) / (samples.advantages.std() + 1e-8)
    batch = Batch(
        Inputs(obs, routes(label, 2)),
        which=torch.arange(len(obs)),
        action=samples.actions.long().flatten(),
        log_prob=samples.old_log_prob,
        advantage=advantage,
        target=samples.returns,
        weight=torch.ones(len(obs)),
        expert=label - Label.KNOWN,
    )

    def ours(batch: Batch) -> list[Tensor]:
        learner.policy.zero_grad(), learner.critic.zero_grad()
        learner.loss(batch)[0].backward()
        return gradients(learner.policy.torso, learner.policy.head, learner.critic)

    def distance(mine: list[Tensor]) -> float:
        return max(float((a - b).norm() / b.norm()) for a, b in zip(mine, theirs, strict=True))

    assert distance(ours(batch)) < 1e-5
    assert distance(ours(batch._replace(inputs=Inputs(obs)))) > 1e-2, "the routes matter"
    assert distance(ours(batch._replace(expert=None))) > 1e-2, "the gate's loss matters"


@pytest.mark.parametrize("known", [0, 1])
def test_a_labelled_sample_trains_its_expert_and_gives_the_other_exactly_zero(known: int) -> None:
    model = differing(ppo(corridors(2), policy_kwargs={"gate_loss": 0.0}))
    policy: Any = model.policy
    obs = RoutedObs(torch.eye(5), torch.full((5,), Label.KNOWN + known))
    values, log_prob, entropy = policy.evaluate_actions(obs, torch.tensor([0, 1, 0, 1, 1]))
    (values.sum() + log_prob.sum() + entropy.sum()).backward()
    experts = policy.mlp_extractor.torso.experts.values()
    zero = [all((p.grad == 0).all() for p in expert.parameters()) for expert in experts]
    assert zero == [e != known for e in range(2)]
    assert all((p.grad == 0).all() for p in policy.mlp_extractor.torso.gate.parameters())
    assert all((p.grad != 0).any() for p in (*policy.action_net.parameters(), *policy.value_net.parameters()))


def test_an_expert_without_a_route_is_not_moved_by_train() -> None:
    model = trained(gridworld_ppo(), 2)  # momentum is warm
    policy: Any = model.policy
    buffer: Any = model.rollout_buffer
    buffer._labels[:] = Label.KNOWN
    experts = policy.mlp_extractor.torso.experts
    before = {name: [p.clone() for p in expert.parameters()] for name, expert in experts.items()}
    model.train()
    moved = {
        name: [not torch.equal(p, q) for p, q in zip(before[name], experts[name].parameters(), strict=True)]
        for name in experts
    }
    assert moved == {"diamond": [True] * 4, "ghost": [False] * 4}


def test_it_acts_as_the_mixture_while_it_learns_and_as_steered_in_predict() -> None:
    model = differing(ppo(corridors(2)))
    policy: Any = model.policy
    obs, action = torch.eye(5), torch.ones(5)

    def of_predict() -> Tensor:
        return policy.get_distribution(obs).distribution.logits

    def of_learning() -> Tensor:
        return policy.evaluate_actions(RoutedObs(obs, torch.zeros(5).long()), action)[1]

    def alone(name: str) -> Tensor:
        return policy.action_net(policy.mlp_extractor.torso.experts[name](obs)).log_softmax(dim=1)

    mixture, learning = of_predict(), of_learning()
    assert torch.allclose(learning, mixture[:, 1])
    policy.steer({"good": 1.0})
    assert torch.allclose(of_predict(), alone("good"))
    assert not torch.allclose(of_predict(), mixture)
    assert torch.equal(of_learning(), learning)
    greedy = model.predict(np.eye(5, dtype=np.float32), deterministic=True)[0]
    assert greedy.tolist() == alone("good").argmax(dim=1).tolist()
    policy.steer({"good": -0.5, "bad": 1.5})
    both = -0.5 * policy.mlp_extractor.torso.experts["good"](obs) + 1.5 * policy.mlp_extractor.torso.experts["bad"](obs)
    assert torch.allclose(of_predict(), policy.action_net(both).log_softmax(dim=1), atol=1e-6)
    policy.steer(None)
    assert torch.equal(of_predict(), mixture)
    with pytest.raises(ValueError, match=r"no expert 'god'\. Did you mean 'good'\?"):
        policy.steer({"god": 1.0})
    with pytest.raises(ValueError, match="give at least one expert a weight"):
        policy.steer({"good": 0.0})


def test_equal_start_and_random_start() -> None:
    for equal in (True, False):
        policy: Any = ppo(corridors(1), policy_kwargs={"equal_start": equal}).policy
        torso = policy.mlp_extractor.torso
        good, bad = (torch.cat([p.flatten() for p in e.parameters()]) for e in torso.experts.values())
        assert torch.equal(good, bad) == equal
        assert bool((torso(torch.eye(5)).gate_logits == 0).all()) == equal


def test_every_parameter_is_in_one_group_and_continuous_actions_have_their_deviation_in_the_heads() -> None:
    model = ppo(corridors(2, continuous=True))
    policy: Any = model.policy
    groups = [{id(p) for p in group["params"]} for group in policy.optimizer.param_groups]
    assert len(groups) == 5
    assert sum(map(len, groups)) == len({id(p) for p in policy.parameters()}) == len(set.union(*groups))
    assert groups[-1] == {id(p) for p in (*policy.action_net.parameters(), policy.log_std)}
    trained(model)


def test_images_give_each_module_a_cnn_of_its_own_and_labels_route_them() -> None:
    kwargs = {"features_extractor_class": NatureCNN, "net_arch": [], "features_extractor_kwargs": {"features_dim": 8}}
    model = trained(ppo(corridors(2, image=True), policy_kwargs=kwargs))
    policy: Any = model.policy
    assert sum(isinstance(m, NatureCNN) for m in policy.modules()) == 4  # two experts, gate, critic
    policy.optimizer.zero_grad()
    obs = RoutedObs(torch.randint(255, (4, 3, 36, 36)), torch.full((4,), Label.KNOWN))
    policy.evaluate_actions(obs, torch.zeros(4))[1].sum().backward()
    good, bad = policy.mlp_extractor.torso.experts.values()
    assert all((p.grad == 0).all() for p in bad.parameters())
    assert any((p.grad != 0).any() for p in good.parameters())


def test_a2c_trains_too() -> None:
    policy_kwargs = {"outcomes": ("good", "bad")}
    model = A2C(
        sb3.RoutedActorCriticPolicy,
        corridors(4),
        max_grad_norm=float("inf"),
        use_rms_prop=False,
        rollout_buffer_class=sb3.RoutedRolloutBuffer,
        policy_kwargs=policy_kwargs,
        device="cpu",
    )
    model.learn(200, callback=sb3.RoutedCallback())
    assert isinstance(model.policy.optimizer, sb3.RoutedAdam)


@pytest.mark.parametrize("steered", [False, True])
def test_saved_and_loaded_it_predicts_the_same_and_learns_on(tmp_path: Path, *, steered: bool) -> None:
    model = differing(trained(gridworld_ppo()))
    if steered:
        model.policy.steer({"diamond": 1.0})  # type: ignore[operator]
    obs = np.random.default_rng(0).random((50, 4, 5, 5), dtype=np.float32)
    model.save(tmp_path / "model.zip")
    again = PPO.load(tmp_path / "model.zip", env=model.env, device="cpu")
    model.policy.save(str(tmp_path / "policy.pt"))
    alone = sb3.RoutedActorCriticPolicy.load(str(tmp_path / "policy.pt"), device="cpu")
    actions = model.predict(obs, deterministic=True)[0]
    assert len(set(actions.tolist())) > 1
    for other in (again, alone):
        assert np.array_equal(other.predict(obs, deterministic=True)[0], actions)
    frames: Any = torch.as_tensor(obs)
    logits = [p.get_distribution(frames).distribution.logits for p in (model.policy, again.policy, alone)]  # type: ignore[union-attr]
    assert torch.equal(logits[0], logits[1]) and torch.equal(logits[0], logits[2])
    trained(again)


def test_export_without_the_unwanted_expert(tmp_path: Path) -> None:
    model = differing(gridworld_ppo())
    policy: Any = model.policy
    obs = torch.rand(20, 4, 5, 5)
    assert torch.allclose(
        sb3.categorical(policy).probabilities(obs), policy.get_distribution(obs).distribution.probs, atol=1e-6
    )
    export(ablate(sb3.categorical(policy), {"diamond": 1.0}), tmp_path / "policy.safetensors")
    policy.steer({"diamond": 1.0})
    deployed = load(tmp_path / "policy.safetensors")
    assert torch.allclose(deployed.probabilities(obs), policy.get_distribution(obs).distribution.probs, atol=1e-6)
    assert not any("ghost" in name or "gate" in name for name in deployed.state_dict())


def test_what_cannot_be_converted_or_built_is_named() -> None:
    with pytest.raises(ValueError, match=r"activation_fn=nn\.ReLU is needed"):
        sb3.categorical(ppo(corridors(1)).policy)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Box and Discrete are needed"):
        sb3.categorical(ppo(corridors(1, continuous=True), policy_kwargs=RELU).policy)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="observations are a Dict: flatten them"):
        space = Corridor().observation_space
        ppo(make_vec_env(lambda: TransformObservation(Corridor(), lambda x: {"x": x}, spaces.Dict({"x": space})), 1))
    for outcomes in (("good",), ("good", "bad", "good")):
        with pytest.raises(ValueError, match="name two or more"):
            ppo(corridors(1), outcomes)
