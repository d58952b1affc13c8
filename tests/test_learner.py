from __future__ import annotations

import pytest
import torch
from helpers import CPU, world
from torch import Tensor
from torch.nn import functional

from routed_rl import labels, rewards
from routed_rl.batch import Batch
from routed_rl.labels import Label
from routed_rl.learner import Learner, LearnerConfig, Lesson
from routed_rl.policy import Blueprint
from routed_rl.rollout import Rollout, collect


def learner(**kwargs: object) -> Learner:
    blueprint = Blueprint((4, 5, 5), 4, ("diamond", "ghost"), (16, 16), gate=True)
    config = LearnerConfig(hidden=(16, 16), **kwargs)  # type: ignore[arg-type]
    return Learner(blueprint, config, discount=0.97, gate_coefficient=0.01, seed=0, device=CPU)


def overseen_rollout(learning: Learner, num_envs: int = 32, steps: int = 32, **settings: object) -> Rollout:
    env = world(num_envs, **{"oversight": 0.5} | settings)
    return labels.hide(collect(env, learning.act, env.reset(), steps), env.spec.outcome_rewards)


def routed_batch(learning: Learner, rollout: Rollout) -> Batch:
    assert rollout.label is not None
    keep, expert = labels.routes(rollout.label, 2), rollout.label - Label.KNOWN
    return learning.prepare(rollout, Lesson(rewards.reached(rollout), keep=keep, expert=expert))


def flat_gradient(learning: Learner) -> Tensor:
    parameters = [*learning.policy.parameters(), *learning.critic.parameters()]
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])


def papers_loss(learning: Learner, batch: Batch) -> Tensor:
    """Write the paper's loss out: a forward for each of three groups, each group's mean times its share of samples."""
    policy, obs = learning.policy, batch.inputs.obs[batch.which]
    diamond, ghost = (expert(obs) for expert in policy.torso.experts.values())
    assert policy.torso.gate is not None
    logit = policy.torso.gate.network(obs)
    g = torch.sigmoid(logit)
    assert batch.expert is not None
    groups = {
        "diamond": (batch.expert == 0, g.detach() * diamond + (1 - g.detach()) * ghost.detach()),
        "ghost": (batch.expert == 1, g.detach() * diamond.detach() + (1 - g.detach()) * ghost),
        "both": (batch.expert < 0, g * diamond + (1 - g) * ghost),
    }
    value = learning.critic(obs).squeeze(1)
    advantage = batch.target - value.detach()
    loss = torch.tensor(0.0, dtype=obs.dtype)
    for members, features in groups.values():
        distribution = torch.distributions.Categorical(logits=policy.head(features)[members])
        share = members.to(obs.dtype).mean()
        loss = loss - share * (distribution.log_prob(batch.action[members]) * advantage[members]).mean()
        loss = loss - learning.config.entropy * share * distribution.entropy().mean()
    loss = loss + learning.config.value * ((value - batch.target) ** 2).mean()
    known = batch.expert >= 0
    is_diamond = (batch.expert[known] == 0).to(obs.dtype)
    return loss + 0.01 * functional.binary_cross_entropy_with_logits(logit[known].squeeze(1), is_diamond)


def test_the_routed_mean_is_the_papers_three_group_loss() -> None:
    learning = learner(algorithm="reinforce", entropy=0.1)
    batch = routed_batch(learning, overseen_rollout(learning))
    assert batch.expert is not None
    assert all((batch.expert == e).any() for e in (0, 1)), "all groups are there"
    learning.policy.double(), learning.critic.double()
    inputs = batch.inputs._replace(obs=batch.inputs.obs.double())
    batch = Batch(inputs, *(x.double() if x is not None and x.is_floating_point() else x for x in batch[1:]))
    value = learning.critic(inputs.obs).squeeze(1).detach()[batch.which]
    batch = batch._replace(advantage=batch.target - value)
    ours, _ = learning.loss(batch)
    ours.backward()
    gradient = flat_gradient(learning)
    for module in (learning.policy, learning.critic):
        module.zero_grad()
    theirs = papers_loss(learning, batch)
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    assert torch.allclose(gradient, flat_gradient(learning), rtol=1e-9, atol=1e-14)
    assert gradient.abs().max() > 1e-4


def test_before_the_first_step_the_ratio_of_the_whole_rollout_is_one() -> None:
    learning = learner()
    rollout = overseen_rollout(learning)
    batch = routed_batch(learning, rollout)
    logits = learning.policy(batch.inputs.obs, batch.inputs.keep).actions[batch.which]
    log_prob = logits.log_softmax(1).gather(1, batch.action[:, None]).squeeze(1)
    assert ((log_prob - batch.log_prob).exp() - 1).abs().max() < 1e-5


def test_the_same_holds_where_some_environments_were_steered() -> None:
    learning = learner()
    env = world(32)
    steer = torch.full((32, 2), float("nan"))
    steer[:16] = torch.tensor([1.0, 0.0])
    rollout = collect(env, lambda obs: learning.act(obs, steer), env.reset(), 8)
    batch = learning.prepare(rollout, Lesson(rewards.reached(rollout)))
    obs, _, steers = batch.inputs
    logits = learning.policy(obs, steer=steers).actions[batch.which]
    log_prob = logits.log_softmax(1).gather(1, batch.action[:, None]).squeeze(1)
    assert ((log_prob - batch.log_prob).exp() - 1).abs().max() < 1e-5
    unsteered = learning.policy(obs).actions[batch.which].log_softmax(1).gather(1, batch.action[:, None]).squeeze(1)
    assert ((unsteered - batch.log_prob).exp() - 1).abs().max() > 1e-3


def test_an_expert_without_a_route_does_not_move_with_warm_adam_and_weight_decay() -> None:
    learning = learner(weight_decay=0.1)
    batch = routed_batch(learning, overseen_rollout(learning))
    learning.step(batch)  # Adam has momentum for every parameter now
    experts = learning.policy.torso.experts
    before = {name: [p.clone() for p in expert.parameters()] for name, expert in experts.items()}
    assert learning.policy.torso.gate is not None
    gate_before = [p.clone() for p in learning.policy.torso.gate.parameters()]
    only_diamond = torch.zeros(len(batch.inputs.obs), 3).bool()
    only_diamond[:, 0] = True
    learning.step(batch._replace(inputs=batch.inputs._replace(keep=only_diamond)))
    assert all(torch.equal(p, q) for p, q in zip(before["ghost"], experts["ghost"].parameters(), strict=True))
    assert not any(torch.equal(p, q) for p, q in zip(before["diamond"], experts["diamond"].parameters(), strict=True))
    moved = [not torch.equal(p, q) for p, q in zip(gate_before, learning.policy.torso.gate.parameters(), strict=True)]
    assert any(moved), "the gate's own loss trains it on labelled samples"


def test_a_gate_that_nothing_trains_does_not_move() -> None:
    learning = learner(weight_decay=0.1)
    batch = routed_batch(learning, overseen_rollout(learning))
    learning.step(batch)
    gate = learning.policy.torso.gate
    assert gate is not None
    before = [p.clone() for p in gate.parameters()]
    no_gate = torch.ones(len(batch.inputs.obs), 3).bool()
    no_gate[:, 2] = False
    inputs = batch.inputs._replace(keep=no_gate)
    learning.step(batch._replace(inputs=inputs, expert=torch.full_like(batch.action, -1)))
    assert all(torch.equal(p, q) for p, q in zip(before, gate.parameters(), strict=True))


def test_weight_zero_is_as_if_the_sample_were_not_there() -> None:
    learning = learner(algorithm="reinforce")
    batch = routed_batch(learning, overseen_rollout(learning))
    half = len(batch.action) // 2
    weight = torch.ones_like(batch.weight)
    weight[half:] = 0
    all_samples, _ = learning.loss(batch._replace(weight=weight, expert=None))
    first_half, _ = learning.loss(batch.take(torch.arange(half))._replace(expert=None))
    assert all_samples.item() == pytest.approx(first_half.item() / 2, rel=1e-5)


def test_clipping_scales_each_module_on_its_own() -> None:
    learning = learner(max_grad_norm=1e-3)
    batch = routed_batch(learning, overseen_rollout(learning))
    learning.step(batch)
    for module in learning.modules:
        norm = torch.stack([p.grad.norm() for p in module.parameters() if p.grad is not None]).norm()
        assert norm <= 1e-3 * 1.001


def test_ppo_sees_every_sample_once_an_epoch_and_reinforce_once() -> None:
    for config, times in (({"epochs": 3, "minibatch": 100}, 3), ({"algorithm": "reinforce"}, 1)):
        learning = learner(**config)
        batch = routed_batch(learning, overseen_rollout(learning, 8, 16))
        numbered = batch._replace(target=torch.arange(128.0))
        seen = torch.cat([samples.target for samples in learning._minibatches(numbered)])
        assert seen.long().bincount().tolist() == [times] * 128


@pytest.mark.parametrize(("name", "value"), [("learning_rate", 0.0), ("minibatch", 0), ("trace", 1.1), ("hidden", ())])
def test_a_wrong_setting_is_told(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name.replace('_', '-')} is"):
        LearnerConfig(**{name: value})  # type: ignore[arg-type]


def test_it_acts_on_what_it_learnt_and_not_on_what_it_remembers() -> None:
    learning = learner(learning_rate=0.1)
    rollout = overseen_rollout(learning)
    obs = rollout.obs[0]
    learning.act(obs)
    learning.update(rollout, Lesson(rewards.reached(rollout)))
    decision = learning.act(obs)
    log_probs = learning.policy(obs).actions.log_softmax(dim=1)
    assert torch.allclose(decision.log_prob, log_probs.gather(1, decision.action[:, None]).squeeze(1), atol=1e-6)
    assert torch.allclose(decision.value, learning.value(obs), atol=1e-6)
    other = learner()
    other.act(obs)
    other.load_state_dict(learning.state_dict())
    assert torch.equal(other.act(obs).value, learning.act(obs).value)
