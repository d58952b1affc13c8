from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import CPU, copies, moved, world
from torch import Tensor
from torch.nn import functional

from routed_rl.algorithms.batch import Batch
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.learner import Learner
from routed_rl.algorithms.signal import RewardScaler, TrainingSignal
from routed_rl.models.normalisation import Normaliser
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import VisibleRollout, collect
from routed_rl.worlds.outcomes import expert_of


def learner(**settings: Any) -> Learner:
    spec = PolicySpec((4, 5, 5), 4, ("diamond", "ghost"), (16, 16), gate=True)
    config = LearnerConfig(hidden=(16, 16), **settings)
    return Learner(spec, config, discount=0.97, gate_coefficient=0.01, seed=0, device=CPU)


def played(learning: Learner, num_envs: int = 32, steps: int = 32) -> VisibleRollout:
    """Let a learner play where half of all ends are overseen."""
    env = world(num_envs, oversight=0.5)
    return labels.hide(collect(env, learning.act, env.reset(), steps), env.spec)


def test_building_one_leaves_every_global_generator_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also those of GPUs, which forking the CPU's does not bring back."""
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    before = torch.get_rng_state()
    learner()
    assert torch.equal(torch.get_rng_state(), before)
    assert seeded == []


def routed_signal(rollout: VisibleRollout) -> TrainingSignal:
    """Make of a rollout what the paper does."""
    return TrainingSignal(
        rollout.reward,
        grad_mask=labels.routes(rollout.label, 2),
        gate_target=expert_of(rollout.label),
    )


def routed_batch(learning: Learner) -> Batch:
    rollout = played(learning)
    return learning.prepare(rollout, routed_signal(rollout))


def log_prob_of(learning: Learner, batch: Batch, expert_weights: Tensor | None = None) -> Tensor:
    """Compute the log-probability of each sample's action as the policy has it now."""
    mask = batch.inputs.grad_mask
    logits = learning.policy(batch.inputs.obs, mask, expert_weights).actions[batch.input_index]
    return logits.log_softmax(dim=1).gather(1, batch.action[:, None]).squeeze(1)


def flat_gradient(learning: Learner) -> Tensor:
    parameters = [*learning.policy.parameters(), *learning.critic.parameters()]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    return torch.cat([gradient.flatten() for gradient in gradients])


def papers_loss(learning: Learner, batch: Batch) -> Tensor:
    """Write the paper's loss out: for each of three groups its mean times its share of samples."""
    config = learning.config
    policy = learning.policy
    obs = batch.inputs.obs[batch.input_index]
    diamond, ghost = (expert(obs) for expert in policy.torso.experts.values())
    assert policy.torso.gate is not None
    logit = policy.torso.gate.network(obs)
    g = torch.sigmoid(logit)
    fixed = g.detach()
    target = batch.gate_target
    assert target is not None
    groups = {
        "diamond": (target == 0, fixed * diamond + (1 - fixed) * ghost.detach()),
        "ghost": (target == 1, fixed * diamond.detach() + (1 - fixed) * ghost),
        "both": (target < 0, g * diamond + (1 - g) * ghost),
    }
    value = learning.critic(obs).squeeze(1)
    advantage = batch.value_target - value.detach()
    loss = torch.tensor(0.0, dtype=obs.dtype)
    for members, features in groups.values():
        distribution = torch.distributions.Categorical(logits=policy.head(features)[members])
        share = members.to(obs.dtype).mean()
        log_prob = distribution.log_prob(batch.action[members])
        loss = loss - share * (log_prob * advantage[members]).mean()
        loss = loss - config.ent_coef * share * distribution.entropy().mean()
    loss = loss + config.vf_coef * ((value - batch.value_target) ** 2).mean()
    known = target >= 0
    is_diamond = (target[known] == 0).to(obs.dtype)
    return loss + 0.01 * functional.binary_cross_entropy_with_logits(
        logit[known].squeeze(1), is_diamond
    )


def test_the_routed_mean_is_the_papers_three_group_loss() -> None:
    learning = learner(algorithm="reinforce", ent_coef=0.1)
    batch = routed_batch(learning)
    assert batch.gate_target is not None
    assert all((batch.gate_target == e).any() for e in (0, 1)), "all groups are there"
    assert (batch.gate_target < 0).any(), "all groups are there"
    learning.policy.double()
    learning.critic.double()
    inputs = batch.inputs._replace(obs=batch.inputs.obs.double())
    value = learning.critic(inputs.obs).squeeze(1).detach()[batch.input_index]
    value_target = batch.value_target.double()
    batch = batch._replace(
        inputs=inputs,
        log_prob=batch.log_prob.double(),
        advantage=value_target - value,
        value_target=value_target,
        weight=batch.weight.double(),
    )
    ours, _ = learning.loss(batch)
    ours.backward()
    gradient = flat_gradient(learning)
    learning.policy.zero_grad()
    learning.critic.zero_grad()
    theirs = papers_loss(learning, batch)
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    assert torch.allclose(gradient, flat_gradient(learning), rtol=1e-9, atol=1e-14)
    assert gradient.abs().max() > 1e-4


def test_before_the_first_step_the_ratio_of_the_whole_rollout_is_one() -> None:
    learning = learner()
    batch = routed_batch(learning)
    ratio = (log_prob_of(learning, batch) - batch.log_prob).exp()
    assert (ratio - 1).abs().max() < 1e-5


def test_the_same_holds_where_some_environments_acted_with_other_expert_weights() -> None:
    learning = learner()
    env = world(32)
    expert_weights = torch.full((32, 2), float("nan"))
    expert_weights[:16] = torch.tensor([1.0, 0.0])
    rollout = collect(env, lambda obs: learning.act(obs, expert_weights), env.reset(), 8)
    batch = learning.prepare(rollout, TrainingSignal(rollout.reward))
    ratio = (log_prob_of(learning, batch, batch.inputs.expert_weights) - batch.log_prob).exp()
    assert (ratio - 1).abs().max() < 1e-5
    by_the_gate = (log_prob_of(learning, batch) - batch.log_prob).exp()
    assert (by_the_gate - 1).abs().max() > 1e-3


def test_an_expert_without_a_route_does_not_move_with_warm_adam_and_weight_decay() -> None:
    learning = learner(weight_decay=0.1)
    batch = routed_batch(learning)
    learning.step(batch)  # Adam has momentum for every parameter now
    torso = learning.policy.torso
    assert torso.gate is not None
    modules = {"diamond": torso.experts["diamond"], "ghost": torso.experts["ghost"]}
    modules["gate"] = torso.gate
    before = {name: copies(module) for name, module in modules.items()}
    only_diamond = torch.zeros(len(batch.inputs.obs), 3).bool()
    only_diamond[:, 0] = True
    learning.step(batch._replace(inputs=batch.inputs._replace(grad_mask=only_diamond)))
    assert not any(moved(modules["ghost"], before["ghost"]))
    assert all(moved(modules["diamond"], before["diamond"]))
    assert any(moved(modules["gate"], before["gate"])), "its own loss trains it on labelled samples"


def test_a_gate_that_nothing_trains_does_not_move() -> None:
    learning = learner(weight_decay=0.1)
    batch = routed_batch(learning)
    learning.step(batch)
    gate = learning.policy.torso.gate
    assert gate is not None
    before = copies(gate)
    no_gate = torch.ones(len(batch.inputs.obs), 3).bool()
    no_gate[:, 2] = False
    inputs = batch.inputs._replace(grad_mask=no_gate)
    learning.step(batch._replace(inputs=inputs, gate_target=torch.full_like(batch.action, -1)))
    assert not any(moved(gate, before))


def test_weight_zero_is_as_if_the_sample_were_not_there() -> None:
    learning = learner(algorithm="reinforce")
    batch = routed_batch(learning)
    half = len(batch.action) // 2
    weight = torch.ones_like(batch.weight)
    weight[half:] = 0
    all_samples, _ = learning.loss(batch._replace(weight=weight, gate_target=None))
    first_half, _ = learning.loss(batch.take(torch.arange(half))._replace(gate_target=None))
    assert all_samples.item() == pytest.approx(first_half.item() / 2, rel=1e-5)


def test_clipping_scales_each_module_on_its_own() -> None:
    learning = learner(max_grad_norm=1e-3)
    learning.step(routed_batch(learning))
    for module in learning.modules:
        norms = [p.grad.norm() for p in module.parameters() if p.grad is not None]
        assert torch.stack(norms).norm() <= 1e-3 * 1.001


@pytest.mark.parametrize(
    ("settings", "times"),
    [({"n_epochs": 3, "batch_size": 100}, 3), ({"algorithm": "reinforce"}, 1)],
)
def test_ppo_sees_every_sample_once_an_epoch_and_reinforce_once(
    settings: dict[str, Any], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning = learner(**settings)
    # The log-probability of each sample is its number.
    numbered = replace(played(learning, 8, 16), log_prob=torch.arange(128.0).view(16, 8))
    seen: list[Tensor] = []

    def step(samples: Batch) -> dict[str, Tensor]:
        seen.append(samples.log_prob)
        return {}

    monkeypatch.setattr(learning, "step", step)
    learning.update(numbered, routed_signal(numbered))
    assert torch.cat(seen).long().bincount().tolist() == [times] * 128


def test_it_acts_on_what_it_learnt_and_not_on_what_it_remembers() -> None:
    learning = learner(learning_rate=0.1)
    rollout = played(learning)
    obs = rollout.obs[0]
    learning.act(obs)
    learning.update(rollout, TrainingSignal(rollout.reward))
    decision = learning.act(obs)
    log_probs = learning.policy(obs).actions.log_softmax(dim=1)
    taken = log_probs.gather(1, decision.action[:, None]).squeeze(1)
    assert torch.allclose(decision.log_prob, taken, atol=1e-6)
    assert torch.allclose(decision.value, learning.value(obs), atol=1e-6)
    other = learner()
    other.act(obs)
    other.load_state_dict(learning.state_dict())
    assert torch.equal(other.act(obs).value, learning.act(obs).value)


def test_a_whole_rollout_is_normalised_by_the_statistics_of_those_before_it() -> None:
    learning = learner(normalize_obs=True)
    seen = []
    for _ in range(2):
        rollout = played(learning)
        batch = learning.prepare(rollout, TrainingSignal(rollout.reward))
        actions = learning.policy.forward_encoded(batch.inputs.obs).actions[batch.input_index]
        log_prob = learning.policy.distribution.log_prob(actions, batch.action)
        assert ((log_prob - batch.log_prob).exp() - 1).abs().max() < 1e-5
        values = learning.critic(batch.inputs.obs).squeeze(1)[batch.input_index]
        assert torch.allclose(values, rollout.value.flatten(), atol=1e-5)
        learning.update(rollout, TrainingSignal(rollout.reward))
        seen.append(rollout.obs.flatten(0, 1))
        preprocess = learning.policy.preprocess
        assert isinstance(preprocess, Normaliser)
        data = torch.cat(seen).double()
        assert torch.allclose(preprocess.moments.mean, data.mean(dim=0))
        assert torch.allclose(preprocess.moments.variance, data.var(dim=0, correction=0))


def test_what_was_remembered_is_forgotten_when_the_statistics_change() -> None:
    learning = learner(normalize_obs=True, learning_rate=1e-30)  # no weight moves
    rollout = played(learning)
    before = learning.act(rollout.obs[0])
    learning.update(rollout, TrainingSignal(rollout.reward))
    after = learning.act(rollout.obs[0])
    assert torch.allclose(after.value, learning.value(rollout.obs[0]), atol=1e-6)
    assert not torch.allclose(after.value, before.value, atol=1e-3)


@pytest.mark.parametrize(
    "settings", [{}, {"normalize_obs": True}, {"normalize_reward": True, "vf_coef": 0.1}]
)
def test_it_goes_on_to_the_same_bits(settings: dict[str, Any]) -> None:
    first = learner(**settings)
    rollouts = [played(first) for _ in range(2)]
    first.update(rollouts[0], TrainingSignal(rollouts[0].reward))
    second = learner(**settings)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for learning in (first, second):
        learning.update(rollouts[1], TrainingSignal(rollouts[1].reward))
    assert torch.equal(first.value(rollouts[0].obs[0]), second.value(rollouts[0].obs[0]))
    states = [learning.policy.state_dict() for learning in (first, second)]
    assert all(map(torch.equal, states[0].values(), states[1].values()))


def test_the_reward_is_scaled_before_advantages_are_made_of_it() -> None:
    rollout = played(learner())
    reward = 1000 * rollout.reward
    scaled = RewardScaler(0.97, CPU)(reward, rollout.done)
    assert 0 < scaled.max() <= 10
    one = learner(normalize_reward=True)
    other = learner()
    one.update(rollout, TrainingSignal(reward))
    other.update(rollout, TrainingSignal(scaled))
    obs = rollout.obs[0]
    assert torch.equal(one.value(obs), other.value(obs))
    assert "scaler" not in other.state_dict()


def test_the_step_size_goes_by_its_schedule() -> None:
    rollout = played(learner())
    moves = []
    for progress in (0.0, 0.75):
        learning = learner(
            learning_rate=1e-2, learning_rate_schedule="linear", n_epochs=1, batch_size=10_000
        )
        assert learning.optimizer.learning_rate == 1e-2
        learning.set_progress(progress)
        before = torch.cat([p.flatten() for p in copies(learning.critic)])
        learning.update(rollout, TrainingSignal(rollout.reward))
        after = torch.cat([p.flatten() for p in copies(learning.critic)])
        moves.append((after - before).abs().max().item())
    # The first step of Adam is the step size, whatever the gradient.
    assert moves == pytest.approx([1e-2, 2.5e-3], rel=1e-3)


@pytest.mark.parametrize("progress", [-0.1, 1.1, float("nan")])
def test_progress_is_a_share(progress: float) -> None:
    with pytest.raises(ValueError, match=r"progress is .*: give a share of the run, from 0 to 1"):
        learner().set_progress(progress)
