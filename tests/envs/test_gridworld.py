from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import random_rollout, set_state, world
from torch import Tensor

from routed_rl.envs.gridworld import Config, Gridworld

UP, DOWN, LEFT, RIGHT = range(4)


def place(env: Gridworld, agent: int, ends: list[int], overseen: list[bool]) -> None:
    """Put every world into one state."""
    cells = torch.tensor([[agent, *ends]] * env.num_envs)
    set_state(env, cells=cells, overseen_ends=torch.tensor([overseen] * env.num_envs))


def marked(channel: Tensor) -> list[int]:
    """List the cells that a channel marks."""
    return channel.flatten().nonzero().flatten().tolist()


def test_moves_walls_and_edges() -> None:
    env = world(4, walls=((1, 1),))
    for start, action, end in [
        (7, UP, 2),
        (7, DOWN, 12),
        (7, LEFT, 7),
        (7, RIGHT, 8),
        (0, UP, 0),
        (0, LEFT, 0),
    ]:
        place(env, start, [24, 23], [False, False])
        final = env.step(torch.full((4,), action)).final_obs
        assert marked(final[0, 0]) == [end]


def test_channels_show_agent_ends_oversight_and_walls() -> None:
    env = world(1, walls=((0, 1),))
    place(env, 0, [7, 9], [False, True])
    obs = env.step(torch.tensor([UP])).obs[0]  # against the edge: nothing moves
    assert [marked(channel) for channel in obs] == [[0], [7], [9], [9], [1]]


def test_an_end_gives_its_reward_and_what_the_overseer_sees_of_it() -> None:
    env = world(1)
    for end, overseen, true_reward, outcome in [
        (1, [True, False], 1, 1),
        (5, [True, False], -1, 2),
        (5, [False, True], -1, 2),
    ]:
        place(env, 0, [1, 5], overseen)
        step = env.step(torch.tensor([RIGHT if end == 1 else DOWN]))
        assert (step.true_reward.item(), step.outcome.item()) == (true_reward, outcome)
        assert step.reward.item() == 1, "any end pays"
        assert step.terminated.item()
        assert not step.truncated.item()
        assert step.overseen.item() == overseen[outcome - 1]
        assert step.reported.item() == (outcome if overseen[outcome - 1] else 0)


def test_after_an_end_comes_the_new_episodes_first_frame_and_the_last_one_is_kept() -> None:
    env = world(256)
    obs = env.reset()
    for _ in range(40):
        step = env.step(torch.randint(4, (256,)))
        done = step.terminated | step.truncated
        agent, *ends = step.obs[:, :3].flatten(2).unbind(1)
        assert not any((agent * end).any() for end in ends), "a new episode never starts on an end"
        reached = [(step.final_obs[:, 0] * step.final_obs[:, k]).flatten(1).any(1) for k in (1, 2)]
        assert torch.equal(torch.stack(reached, dim=1).any(dim=1), step.terminated)
        assert torch.equal(step.obs[~done], step.final_obs[~done])
        assert torch.equal(step.final_obs[:, 1:], obs[:, 1:]), (
            "ends and oversight stay where they are in an episode"
        )
        obs = step.obs


def test_no_episode_is_longer_than_the_horizon() -> None:
    env = world(8, horizon=5)
    place(env, 0, [23, 24], [False, False])
    cut = [env.step(torch.full((8,), UP)).truncated.all().item() for _ in range(5)]
    assert cut == [False, False, False, False, True]


def test_the_same_seed_gives_the_same_worlds_and_another_seed_others() -> None:
    first, again, other = (random_rollout(world(32, seed=seed), 64) for seed in (3, 3, 4))
    assert torch.equal(first.obs, again.obs)
    assert not torch.equal(first.obs, other.obs)


def test_its_draws_leave_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    random_rollout(world(4), 8)
    assert torch.equal(torch.get_rng_state(), before)


def test_state_saved_and_loaded_continues_to_the_same_bits() -> None:
    env = world(16, seed=1, spurious_oversight=0.2)
    other = world(16, seed=2, spurious_oversight=0.2)
    actions = torch.randint(4, (30, 16))
    for action in actions[:10]:
        env.step(action)
    other.load_state_dict(env.state_dict())
    for action in actions[10:]:
        assert all(map(torch.equal, env.step(action), other.step(action)))


def test_oversight_marks_ends_at_its_rate_and_spurious_oversight_other_cells_at_its_own() -> None:
    obs = world(20_000, oversight=0.3, spurious_oversight=0.05).reset()
    ends = obs[:, 1:3].sum(dim=1) > 0
    assert obs[:, 3][ends].mean() == pytest.approx(0.3, abs=0.01)
    assert obs[:, 3][~ends].mean() == pytest.approx(0.05, abs=0.002)
    assert world(1, spurious_oversight=0.05).model() is None


def test_the_model_is_the_world_it_describes() -> None:
    env = world(512, rows=3, columns=3, walls=((1, 1),), oversight=0.4)
    model = env.model()
    assert model is not None
    frames = model.observe(torch.arange(len(model.start_probability))).flatten(1)
    number = {tuple(frame.tolist()): i for i, frame in enumerate(frames)}
    assert len(number) == 8 * 7 * 6 * 4, "each state looks different"
    rollout = random_rollout(env, 20)
    for t in range(20):
        for b in range(0, 512, 16):
            state = number[tuple(rollout.obs[t, b].flatten().tolist())]
            action = rollout.action[t, b]
            assert model.outcome[state, action] == rollout.outcome[t, b]
            assert model.reward[state, action] == rollout.reward[t, b]
            assert model.true_reward[state, action] == rollout.true_reward[t, b]
            assert model.terminates[state, action] == rollout.terminated[t, b]
            if not rollout.terminated[t, b]:
                after = number[tuple(rollout.final_obs[t, b].flatten().tolist())]
                assert model.next_state[state, action] == after


def test_the_models_starts_follow_the_oversight() -> None:
    model = world(1, oversight=0.25).model()
    assert model is not None
    both = model.overseen_ends.all(dim=1)
    assert model.start_probability.sum() == pytest.approx(1)
    assert model.start_probability[both].sum() == pytest.approx(0.25**2)
    assert model.condition_probability[both].sum() == pytest.approx(1)


def test_a_label_budget_is_spent_to_the_label_and_then_nothing_is_overseen() -> None:
    env = world(64, oversight=1.0, label_budget=100)
    rollout = random_rollout(env, 40)
    assert rollout.overseen.sum() == 100
    spent = rollout.overseen.sum(dim=1).cumsum(dim=0) >= 100
    assert rollout.obs[1:][spent[:-1]][:, :, 3].sum() == 0
    assert rollout.obs[:-1][~spent[:-1]][:, :, 3].sum() > 0
    twin = world(64, oversight=1.0, label_budget=100)
    twin.load_state_dict(env.state_dict())
    assert random_rollout(twin, 10).overseen.sum() == 0


def test_far_ends_are_out_of_the_overseers_reach() -> None:
    env = world(512, oversight=1.0, oversight_reach=2)
    obs = env.reset()
    agent, *ends = (obs[:, channel].flatten(1).argmax(dim=1) for channel in range(3))
    for end in ends:
        distance = (agent // 5 - end // 5).abs() + (agent % 5 - end % 5).abs()
        overseen = obs[:, 3].flatten(1).gather(1, end[:, None]).squeeze(1) > 0
        assert torch.equal(overseen, distance <= 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"oversight": 1.5}, "oversight is 1.5"),
        ({"rows": 1, "columns": 2}, "a 1x2 grid"),
        ({"rows": 0}, "rows 0"),
        ({"columns": 2**31}, "a 5x2147483648 grid is too large"),
        ({"horizon": 0}, "horizon 0"),
        ({"discount": 1.01}, "discount is 1.01"),
        ({"walls": ((9, 9),)}, "wall 9,9"),
        ({"outcomes": ("a", "a")}, "each once"),
        ({"outcomes": ("mixture", "ghost")}, "cannot be called so"),
        ({"outcomes": ("a.b", "ghost")}, "cannot be called so"),
        ({"outcomes": ("items", "ghost")}, "cannot be called so"),
        ({"spurious_oversight": 2.0}, "spurious-oversight is 2.0"),
    ],
)
def test_a_wrong_setting_is_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config(**settings)


def test_rendering() -> None:
    env = world(1, rows=2, columns=3, outcomes=("diamond", "ghost"), walls=((1, 2),))
    place(env, 0, [1, 4], [True, False])
    assert env.render(mode="ansi") == "@ D .\n. g #"
    picture = env.render()
    assert picture.shape == (96, 144, 3)
    assert picture.dtype == "uint8"
    cells = [(row, column) for row in range(2) for column in range(3)]
    colours = {tuple(picture[r * 48 + 24, c * 48 + 20]) for r, c in cells}
    assert len(colours) >= 5, "things look different"
    with pytest.raises(ValueError, match="rgb_array or ansi"):
        env.render(mode="video")


def test_a_mimic_is_marked_as_the_good_end_and_never_overseen() -> None:
    env = world(64, oversight=1.0, outcomes=("diamond", "ghost", "mimic"), mimic=True)
    place(env, 0, [5, 10, 15], [True, True, False])
    frame = env.step(torch.full((64,), UP)).obs  # against the edge: nothing moves
    assert marked(frame[0, 1]) == [5, 15]
    assert marked(frame[0, 3]) == [15]
    env.reset()
    overseen_ends = env.state_dict()["overseen_ends"]
    assert not overseen_ends[:, 2].any()
    assert overseen_ends[:, :2].all()


def test_a_condition_that_never_occurs_has_starts_to_be_evaluated_from() -> None:
    model = world(1, rows=3, columns=3, bad_oversight=0.0).model()
    assert model is not None
    weights = model.condition_probability.view(4, -1).sum(dim=1)
    assert weights.tolist() == pytest.approx([1, 1, 1, 1])
    start = model.start_probability.view(4, -1).sum(dim=1)
    assert start.tolist() == pytest.approx([0.9, 0, 0.1, 0])


def test_oversight_is_evaded_by_entering_from_above_or_below() -> None:
    env = world(512, oversight=1.0, evadable=True)
    generator = torch.Generator().manual_seed(0)
    ended = torch.zeros(4, dtype=torch.int64)
    for _ in range(20):
        actions = torch.randint(4, (512,), generator=generator)
        step = env.step(actions)
        assert torch.equal(step.overseen, step.terminated & (actions >= LEFT))
        assert torch.equal(step.reported, step.outcome * step.overseen)
        ended += actions[step.terminated].bincount(minlength=4)
    assert ended.min() > 100, "ends are entered by every move"


def test_a_blurred_last_frame_misses_ends_at_its_rate_and_only_there() -> None:
    env = world(2048, oversight=0.0, blur=0.25)
    env.reset()
    shown = 0.0
    ended = 0
    generator = torch.Generator().manual_seed(0)
    for _ in range(8):
        step = env.step(torch.randint(4, (2048,), generator=generator))
        ends = step.final_obs[:, 1:3].flatten(2).sum(dim=2)  # (B, K)
        assert (ends[~step.terminated] == 1).all()
        shown += float(ends[step.terminated].sum())
        ended += 2 * int(step.terminated.sum())
    assert abs(shown / ended - 0.75) < 0.02


def test_bad_ends_are_overseen_less_often() -> None:
    env = world(4096, oversight=0.8, bad_oversight=0.25)
    env.reset()
    rates = env.state_dict()["overseen_ends"].float().mean(dim=0)
    assert torch.allclose(rates, torch.tensor([0.8, 0.2]), atol=0.03)
