from __future__ import annotations

from typing import Any

import torch
from helpers import CPU

from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import VecEnv
from routed_rl.worlds.wrapper import VecEnvWrapper


class Recorder(VecEnv):
    """Answers to each method with its name, and notes what it was asked."""

    spec = EnvSpec((1,), 2, ("good",), "good", (1.0,), 0.9, 99)
    num_envs = 3
    device = CPU

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def answer(self, *asked: Any) -> Any:
        self.asked.append(asked)
        return asked[0]

    def reset(self) -> Any:
        return self.answer("reset")

    def step(self, actions: Any) -> Any:
        return self.answer("step", actions)

    def model(self) -> Any:
        return self.answer("model")

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        return self.answer("render", index, mode, final)

    def scenes(self) -> Any:
        return self.answer("scenes")

    def state_dict(self) -> Any:
        return self.answer("state_dict")

    def reseed(self, env_steps: int) -> Any:
        return self.answer("reseed", env_steps)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.answer("load_state_dict", state)


def test_a_wrapper_hands_everything_on() -> None:
    env = Recorder()
    wrapper = VecEnvWrapper(env)
    assert (wrapper.spec, wrapper.num_envs, wrapper.device) == (env.spec, 3, CPU)
    actions = torch.zeros(3)
    state = {"age": 7}
    assert wrapper.reset() == "reset"
    assert wrapper.step(actions) == "step"
    assert wrapper.model() == "model"
    assert wrapper.render() == "render"
    assert wrapper.render(2, "ansi", final=True) == "render"
    assert wrapper.scenes() == "scenes"
    assert wrapper.state_dict() == "state_dict"
    assert wrapper.reseed(640) == "reseed"
    wrapper.load_state_dict(state)
    assert env.asked == [
        ("reset",),
        ("step", actions),
        ("model",),
        ("render", 0, "rgb_array", False),
        ("render", 2, "ansi", True),
        ("scenes",),
        ("state_dict",),
        ("reseed", 640),
        ("load_state_dict", state),
    ]


def test_nothing_that_a_world_has_is_left_to_the_base_class() -> None:
    public = {name: value for name, value in vars(VecEnv).items() if name[0] != "_"}
    methods = {name for name, value in public.items() if callable(value)}
    assert methods >= {"reset", "step", "model"}
    assert methods <= set(vars(VecEnvWrapper))
