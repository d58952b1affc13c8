from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
import walk
from helpers import BY_HAND, CPU, OPEN, on_the_way, random_rollout, two_open_episodes, world
from torch import Tensor

from routed_rl.algorithms.config import OutcomeModelConfig
from routed_rl.algorithms.outcome_model import OutcomeModel
from routed_rl.models.networks import Cells
from routed_rl.rollouts import labels
from routed_rl.rollouts.frame_ring import FrameRing
from routed_rl.rollouts.rollout import Decision, Rollout, VisibleRollout, collect
from routed_rl.worlds.spec import EnvSpec


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
    kept = model.state_dict()
    assert kept["seen"] == int(seen.sum()) > 50
    newest = rollout.final_obs[seen][-1]
    assert torch.equal(kept["frames"][(kept["seen"] - 1) % 50], newest)
    assert "quiet" not in kept, "where outcomes end episodes nothing need not be told apart"
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
    assert model.state_dict()["seen"] < 150
    truth = random_rollout(env, 64, seed=99)
    probability = model.infer(labels.hide(truth, env.spec))[truth.terminated]
    right = probability.argmax(dim=1) + 1 == truth.outcome[truth.terminated]
    assert right.float().mean() > 0.98


def test_no_frame_shows_it_the_oversight_and_all_others_count() -> None:
    env = world(4)
    config = OutcomeModelConfig(hidden=(8,), frames=3)
    model = OutcomeModel(env.spec, config, seed=0, device=CPU)
    frames = torch.rand(4, 12, *env.spec.obs_shape[1:])  # four channels each, the last a flag
    for channel in range(12):
        other = frames.clone()
        other[:, channel] = 0
        same = torch.equal(model.probabilities(frames), model.probabilities(other))
        assert same == (channel in (3, 7, 11))


def test_two_frames_show_what_the_last_alone_does_not() -> None:
    right = {}
    for frames in (1, 2):
        env = world(256, oversight=0.5, blur=1.0)
        config = OutcomeModelConfig(hidden=(32,), by_cell=True, frames=frames)
        model = OutcomeModel(env.spec, config, seed=0, device=CPU)
        for seed in range(8):
            model.learn(labels.hide(random_rollout(env, 64, seed=seed), env.spec))
        truth = random_rollout(env, 64, seed=99)
        probability = model.infer(labels.hide(truth, env.spec))
        asked = truth.terminated & ~truth.overseen
        found = probability[asked].argmax(dim=1) + 1 == truth.outcome[asked]
        right[frames] = float(found.float().mean())
    assert right[1] < 0.7 < 0.95 < right[2]


def test_members_begin_and_learn_differently_and_the_mean_is_inferred() -> None:
    rollout = labels.hide(two_open_episodes(), OPEN)
    model = model_of(members=3)
    alone = model_of()
    assert torch.equal(model.network[0][1][0].weight, alone.network[0][1][0].weight)
    before = [member[1][0].weight.detach().clone() for member in model.network]
    assert not torch.equal(before[0], before[1])
    model.learn(rollout)
    assert all(
        not torch.equal(old, member[1][0].weight)
        for old, member in zip(before, model.network, strict=True)
    )
    each = model.infer_each(rollout)
    assert each.shape == (3, 5, 2, 2)
    assert (each[:, :, 0] == each[:1, :, 0]).all(), "of what was seen all are certain"
    assert (each[:, :, 1].std(dim=0) > 0).all()
    assert torch.equal(model.infer(rollout), each.mean(dim=0))


def test_members_draw_minibatches_of_their_own() -> None:
    model = model_of(members=2, steps=1, learning_rate=0.0, weight_decay=0.0)
    model.network[1].load_state_dict(model.network[0].state_dict())
    model.learn(labels.hide(two_open_episodes(), OPEN))
    first, second = (
        torch.cat([p.grad.flatten() for p in member.parameters()]) for member in model.network
    )
    assert not torch.equal(first, second), "equal networks, so only the minibatches differ"


def even(model: OutcomeModel) -> OutcomeModel:
    """Let a model know nothing about frames: each class is as probable as another."""
    for parameter in model.network.parameters():
        torch.nn.init.zeros_(parameter)
    return model


def model_of(spec: EnvSpec = OPEN, seed: int = 0, **settings: Any) -> OutcomeModel:
    config = OutcomeModelConfig(hidden=(8,), **settings)
    return OutcomeModel(spec, config, seed=seed, device=CPU)


def test_where_anything_may_happen_it_says_nothing_before_the_first_report() -> None:
    model = model_of()
    frames = torch.rand(5, 1)
    assert torch.equal(model.probabilities(frames), torch.zeros(5, 2))
    quiet = labels.hide(on_the_way([[0, 2]] * 3, [[1, 0]] * 3, [[0, 0]] * 3), OPEN)
    metrics = model.learn(quiet)
    assert metrics == {"outcome_model/loss": 0, "outcome_model/error_on_new_labels": 0}
    assert torch.equal(model.infer(quiet), torch.zeros(3, 2, 2))
    assert model.state_dict()["quiet"]["seen"] == 3, "it keeps what was seen of nothing"
    model.learn(labels.hide(two_open_episodes(), OPEN))
    assert (model.probabilities(frames) > 0).all()


def test_what_it_says_is_corrected_for_how_rare_outcomes_are() -> None:
    model = model_of()
    model.learn(labels.hide(two_open_episodes(), OPEN))
    assert (model.state_dict()["seen"], model.state_dict()["quiet"]["seen"]) == (2, 3)
    # Each outcome : nothing = 1 : 3 / 2, as it met 3 frames of nothing and 2 of outcomes.
    assert torch.allclose(even(model).probabilities(torch.rand(4, 1)), torch.tensor(1 / 3.5))
    model = model_of()
    model.learn(labels.hide(on_the_way([[2]] + [[0]] * 9, [[1]] * 10, [[0]] * 10), OPEN))
    # More frames than are looked at together.
    found = even(model).probabilities(torch.rand(5000, 1))
    assert found.shape == (5000, 2)
    assert torch.allclose(found, torch.tensor(1 / 11))


def test_what_was_seen_is_certain_be_it_nothing() -> None:
    rollout = labels.hide(two_open_episodes(), OPEN)
    model = model_of()
    model.learn(rollout)
    probability = even(model).infer(rollout)
    # Reported are a ghost in step 1 and a diamond in step 2 of the first environment.
    assert probability[:, 0].tolist() == [[0, 0], [0, 1], [1, 0], [0, 0], [0, 0]]
    assert torch.allclose(probability[:, 1], torch.tensor(1 / 3.5)), "the end of an episode too"


def rarely(env: walk.Walk, steps: int) -> Rollout:
    """Walk to and fro; pass the ghost, and take the diamond, once in ten times."""
    generator = torch.Generator().manual_seed(0)

    def act(obs: Tensor) -> Decision:
        one_in_ten = torch.rand(len(obs), generator=generator) < 0.1
        place = obs[:, :3].argmax(dim=1)
        action = torch.where(place == 1, ~one_in_ten, one_in_ten & (place == 0)).long()
        return Decision(action, torch.zeros(len(obs)), torch.zeros(len(obs)))

    return collect(env, act, env.reset(), steps)


def test_rare_outcomes_have_the_probability_that_they_have() -> None:
    env = walk.make(walk.Config(), 256, seed=0, device=CPU)
    config = OutcomeModelConfig(hidden=(16,), steps=100)
    model = OutcomeModel(env.spec, config, seed=0, device=CPU)
    for _ in range(20):
        model.learn(labels.hide(rarely(env, 32), env.spec))
    kept = model.state_dict()
    assert kept["quiet"]["seen"] > 5 * kept["seen"], "uncorrected they would seem far likelier"
    # A frame of place 1 has passed the ghost once in ten times; one of place 2 shows that the
    # diamond was taken; and to place 0 leads nothing that has a name, seen or unseen.
    for overseen in (0.0, 1.0):
        frames = torch.cat((torch.eye(3), torch.full((3, 1), overseen)), dim=1)
        expected = torch.tensor([[0.0, 0.0], [0.0, 0.1], [1.0, 0.0]])
        assert torch.allclose(model.probabilities(frames), expected, atol=0.03)


@pytest.mark.parametrize("members", [1, 2])
def test_with_frames_of_nothing_it_goes_on_to_the_same_bits(members: int) -> None:
    rollout = labels.hide(two_open_episodes(), OPEN)
    model = model_of(capacity=2, members=members)
    model.learn(rollout)
    quiet = model.state_dict()["quiet"]
    assert quiet["outcomes"].tolist() == [2, 2], "nothing is the class behind the two outcomes"
    assert sorted(quiet["frames"].flatten().tolist()) == [6, 8], "the newest over the oldest"
    twin = model_of(seed=1, capacity=2, members=members)
    twin.load_state_dict(deepcopy(model.state_dict()))
    for one in (model, twin):
        one.learn(rollout)
    frames = torch.rand(9, 1)
    assert torch.equal(twin.probabilities(frames), model.probabilities(frames))


def test_what_it_says_are_probabilities_and_the_mean_of_its_members() -> None:
    for spec, expected in ((BY_HAND, 1 / 2), (OPEN, 1 / 3.5)):
        model = model_of(spec, members=2)
        model.learn(labels.hide(two_open_episodes(), OPEN))
        found = even(model).probabilities(torch.rand(3, 1))
        assert torch.allclose(found, torch.full((3, 2), expected))
        assert not model_of(spec).probabilities(torch.rand(3, 1)).requires_grad
        assert not found.requires_grad


def test_its_seed_alone_decides_it_and_no_other_draw_is_changed() -> None:
    frames = torch.rand(3, 1)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        model = model_of(BY_HAND)
        assert torch.equal(torch.get_rng_state(), state)
        found.append(model.probabilities(frames))
    assert torch.equal(*found)
    assert not torch.equal(found[0], model_of(BY_HAND, seed=1).probabilities(frames))


def only_outcomes(outcome: list[list[int]]) -> VisibleRollout:
    """Make a rollout of which everything was seen, and something happened in every step."""
    ones = [[1] * len(row) for row in outcome]
    return labels.hide(on_the_way(outcome, ones, [[0] * len(row) for row in outcome]), OPEN)


def test_weights_decay_by_their_own_step() -> None:
    model = model_of(learning_rate=0.25, weight_decay=2.0, steps=1)
    rollout = only_outcomes([[1], [2]])
    weight = model.network[0][1][0].weight
    before = weight.detach().clone()
    # Frames of zeros: the gradient of the first weights is 0, and 1 - 0.25 * 2 of them is left.
    model.learn(replace(rollout, final_obs=torch.zeros_like(rollout.final_obs)))
    assert torch.equal(weight, before / 2)


def test_errors_are_counted_among_the_new_labels() -> None:
    for outcome, expected in (([[1], [2], [2]], 2 / 3), ([[2]], 1.0), ([[1]], 0.0), ([[0]], 0.0)):
        # It knows nothing, and so it guesses the first outcome.
        metrics = even(model_of(members=2)).learn(only_outcomes(outcome))
        assert float(metrics["outcome_model/error_on_new_labels"]) == pytest.approx(expected)


def test_the_loss_is_a_mean_over_members_and_steps() -> None:
    model = even(model_of(BY_HAND, members=2, steps=3, learning_rate=0.0))
    loss = model.learn(only_outcomes([[1]]))["outcome_model/loss"]
    assert float(loss) == pytest.approx(math.log(2))
    assert not loss.requires_grad


def test_one_report_is_enough_to_learn_from_though_nothing_else_was_seen() -> None:
    model = model_of()
    assert model.learn(only_outcomes([[2]]))["outcome_model/loss"] > 0
    model.learn(only_outcomes([[1]]))
    # Of nothing it saw no frame, which counts as one: each outcome : nothing = 1 : 1 / 2.
    assert torch.allclose(even(model).probabilities(torch.rand(4, 1)), torch.tensor(0.4))


def test_half_of_a_minibatch_are_frames_of_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = FrameRing.draw
    monkeypatch.setattr(
        FrameRing, "draw", lambda ring, count, rng: drawn.append(count) or draw(ring, count, rng)
    )
    model_of(BY_HAND, batch_size=10, steps=1).learn(only_outcomes([[2]]))
    assert drawn == [10]
    model_of(batch_size=10, steps=1).learn(labels.hide(two_open_episodes(), OPEN))
    assert drawn == [10, 5, 5]


def test_frames_of_the_rollout_before_count_also_after_it_was_loaded() -> None:
    first, second = (only_outcomes([[0], [0]]) for _ in range(2))
    second = replace(second, obs=first.last_obs[None] + second.obs - second.obs[:1])
    ask = (torch.tensor([0]), torch.tensor([0]))
    model = model_of(frames=3)
    model.learn(first)
    twin = model_of(frames=3)
    twin.load_state_dict(deepcopy(model.state_dict()))
    for one in (model, twin):
        one.learn(second)
    kept = model.state_dict()["quiet"]["frames"]
    # What the first step of the second rollout led to, what it acted on, and what came before.
    newest = second.final_obs[ask].flatten().tolist()
    assert kept[2].tolist() == [*first.obs[1, 0].tolist(), *second.obs[0, 0].tolist(), *newest]
    assert torch.equal(twin.state_dict()["quiet"]["frames"], kept)


def test_its_state_has_what_there_is_and_no_more() -> None:
    assert {"others", "past", "quiet"}.isdisjoint(model_of(BY_HAND).state_dict())
    assert len(model_of(BY_HAND, members=3).state_dict()["others"]) == 2


@pytest.mark.parametrize(
    ("shape", "image", "by_cell", "parts"),
    [
        ((1,), False, True, (False, False)),
        ((2, 3, 3), False, False, (False, False)),
        ((2, 3, 3), False, True, (True, False)),
        ((3, 36, 36), True, True, (False, True)),
        ((3, 36, 36), True, False, (False, True)),
    ],
)
def test_boards_are_looked_at_by_cell_if_asked_and_pictures_by_convolutions(
    shape: tuple[int, ...], image: bool, by_cell: bool, parts: tuple[bool, bool]
) -> None:
    model = model_of(replace(BY_HAND, obs_shape=shape, image=image), by_cell=by_cell)
    kinds = {type(module) for module in model.network.modules()}
    assert (Cells in kinds, torch.nn.Conv2d in kinds) == parts
    assert model.probabilities(torch.zeros(2, *shape)).shape == (2, 2)
