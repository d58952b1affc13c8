from __future__ import annotations

import numpy as np
import torch
from helpers import world

from routed_rl.sb3.vec_env import RoutedVecEnv


def test_it_says_what_our_environment_says() -> None:
    ours, theirs = world(32, seed=1), RoutedVecEnv(world(32, seed=1))
    assert np.array_equal(theirs.reset(), ours.reset().numpy())
    generator = torch.Generator().manual_seed(0)
    ends = 0
    for _ in range(40):
        actions = torch.randint(4, (32,), generator=generator)
        step = ours.step(actions)
        obs, rewards, dones, infos = theirs.step(actions.numpy())
        assert np.array_equal(obs, step.obs.numpy())  # type: ignore[arg-type]
        assert np.array_equal(rewards, step.reward.numpy())
        assert np.array_equal(dones, (step.terminated | step.truncated).numpy())
        for i in range(32):
            if not dones[i]:
                assert infos[i] == {}
                continue
            ends += 1
            assert np.array_equal(infos[i]["terminal_observation"], step.final_obs[i].numpy())
            assert infos[i]["TimeLimit.truncated"] == step.truncated[i]
            assert infos[i]["outcome"] == ("none", "diamond", "ghost")[step.outcome[i]]
            assert infos[i]["overseen"] == step.overseen[i]
    assert ends > 50
