from __future__ import annotations

import torch
from helpers import CPU, random_rollout, world

from routed_rl.algorithms.outcome_model import OutcomeModel, OutcomeModelConfig
from routed_rl.rollouts import labels


def test_it_learns_which_end_a_frame_shows_and_is_certain_of_what_was_reported() -> None:
    env = world(256, oversight=0.5)
    model = OutcomeModel(env.spec, OutcomeModelConfig(hidden=(64,)), seed=0, device=CPU)
    for _ in range(16):
        metrics = model.learn(labels.hide(random_rollout(env, 64), env.spec))
    assert metrics["outcome_model/error_on_new_labels"] < 0.1
    truth = random_rollout(env, 32, seed=1)
    probability = model.infer(labels.hide(truth, env.spec))
    assert (probability[~truth.terminated] == 0).all()
    assert (probability[truth.overseen].max(dim=1).values == 1).all()
    reported = probability[truth.overseen].argmax(dim=1) + 1
    assert torch.equal(reported, truth.reported[truth.overseen])
    guessed = truth.terminated & ~truth.overseen
    right = probability[guessed].argmax(dim=1) + 1 == truth.outcome[guessed]
    assert right.float().mean() > 0.9


def test_it_does_not_see_the_oversight_and_forgets_the_oldest() -> None:
    env = world(64, oversight=1.0)
    config = OutcomeModelConfig(hidden=(8,), capacity=50)
    model = OutcomeModel(env.spec, config, seed=0, device=CPU)
    frames = env.reset()
    unseen = frames.clone()
    unseen[:, 3] = 0
    assert torch.equal(model.probabilities(frames), model.probabilities(unseen))
    rollout = labels.hide(random_rollout(env, 40), env.spec)
    model.learn(rollout)
    seen = rollout.reported > 0
    assert model.seen == int(seen.sum()) > 50
    newest = rollout.final_obs[seen][-1]
    assert torch.equal(model.frames[(model.seen - 1) % 50], newest)
    twin = OutcomeModel(env.spec, config, seed=1, device=CPU)
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin.probabilities(frames), model.probabilities(frames))


def test_by_cell_a_few_dozen_labels_tell_the_ends_apart_everywhere() -> None:
    env = world(64, oversight=0.02)
    config = OutcomeModelConfig(hidden=(32,), by_cell=True)
    model = OutcomeModel(env.spec, config, seed=0, device=CPU)
    for seed in range(20):
        rollout = random_rollout(env, 64, seed=seed)
        model.learn(labels.hide(rollout, env.spec))
    assert model.seen < 150
    truth = random_rollout(env, 64, seed=99)
    probability = model.infer(labels.hide(truth, env.spec))[truth.terminated]
    right = probability.argmax(dim=1) + 1 == truth.outcome[truth.terminated]
    assert right.float().mean() > 0.98
