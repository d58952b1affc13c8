"""A run is put together from flags, from a yaml file, from dataclasses, or from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ROOT

from routed_rl import Named
from routed_rl.agents import naive
from routed_rl.envs import gridworld, point
from routed_rl.gym import from_gym
from routed_rl.training import builder
from routed_rl.training.settings import RunConfig, RunNames, RunSettings
from routed_rl.utils.errors import UserError
from routed_rl.utils.settings import write_yaml


def build(*flags: str) -> RunConfig:
    return builder.build(flags).config


@pytest.fixture
def yaml(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(
        "steps: 64\n"
        "env: {name: gridworld, rows: 3, oversight: 0.5}\n"
        "agent: {name: naive, hidden: [8], penalty: 3.0}\n"
    )
    return path


def test_without_flags_it_is_the_default_run() -> None:
    config = build()
    assert config.names == RunNames("gridworld", "routed", ())
    assert config.settings == RunSettings()
    assert config.env == gridworld.Config()


def test_flags_win_over_yaml(yaml: Path) -> None:
    config = build("--config", str(yaml), "--env.oversight", "0.25", "--seed", "3")
    assert (config.settings.steps, config.settings.seed) == (64, 3)
    assert config.names == RunNames("gridworld", "naive", ())
    assert config.env == gridworld.Config(rows=3, oversight=0.25)
    assert config.agent == naive.Config(hidden=(8,), penalty=3.0)


def test_settings_of_another_agent_than_the_one_wanted_are_left_out(yaml: Path) -> None:
    config = build("--config", str(yaml), "--agent", "routed")
    assert config.names.agent == "routed"
    assert config.agent.hidden == (64, 64)
    assert config.env == gridworld.Config(rows=3, oversight=0.5)


def test_a_yaml_file_with_older_names_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "older.yaml"
    path.write_text(
        "trace: true\nagent: {name: absorbing, entropy: 0.03, trace: 0.9, told: true}\n"
    )
    config = build("--config", str(path))
    agent: Any = config.agent
    assert config.settings.episode_log is True
    assert (agent.ent_coef, agent.gae_lambda, agent.conditioned) == (0.03, 0.9, True)


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("--agent.entropy", "--agent.ent-coef"),
        ("--agent.value=0.3", "--agent.vf-coef"),
        ("--agent.trace", "--agent.gae-lambda"),
        ("--agent.told", "--agent.conditioned"),
        ("--agent.minibatch", "--agent.batch-size"),
        ("--trace", "--episode-log"),
    ],
)
def test_an_older_flag_is_told_its_name_of_now(flag: str, name: str) -> None:
    with pytest.raises(UserError) as caught:
        build("--agent", "absorbing", flag, "0.3")
    assert str(caught.value) == f"there is no flag '{flag}' any more. It is called '{name}' now."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("env: gridworld\n", "write it as 'env: {name: gridworld}'"),
        ("env: {name: gridwrld}\n", "Did you mean 'gridworld'"),
        ("agent: {penalty: 2.0}\n", "there is no flag '--agent.penalty'"),
        ("steps\n", "holds no settings"),
    ],
)
def test_a_wrong_yaml_file_is_told(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        build("--config", str(path))


def test_the_papers_settings_are_valid() -> None:
    config = build("--config", str(ROOT / "configs" / "paper.yaml"))
    assert config.agent.algorithm == "reinforce"
    assert config.agent.learning_rate == 5e-5
    assert config.settings.steps == 1500 * 512 * 32


@pytest.mark.parametrize("name", ["board", "vector", "image"])
def test_settings_for_a_kind_of_environment_suit_every_agent(name: str) -> None:
    for agent in ("naive", "routed", "absorbing"):
        config = build("--config", name, "--agent", agent, "--env", "CartPole-v1")
        assert (config.names.agent, config.names.env) == (agent, "CartPole-v1")
        assert config.agent.learning_rate_schedule == "linear"
        assert config.agent.normalize_obs is (name == "vector")


def test_a_config_is_found_by_its_name_unless_a_file_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    usual = build("--config", str(ROOT / "configs" / "vector.yaml"))
    assert build("--config", "vector") == build("--config", "vector.yaml") == usual
    assert build("--config", "vector", "--seed", "7").settings.seed == 7
    (tmp_path / "vector").mkdir()
    assert build("--config", "vector") == usual, "a folder is no file"
    (tmp_path / "vector.yaml").write_text("seed: 3")
    assert build("--config", "vector.yaml").settings.seed == 3
    told = "^there is no file 'vectr', and no config of ours. Did you mean 'vector'\\?$"
    with pytest.raises(UserError, match=told):
        build("--config", "vectr")
    with pytest.raises(UserError, match=r"Known: board, image, paper, vector\.$"):
        build("--config", "nonesuch.yaml")


def test_from_dataclasses_names_and_both() -> None:
    env = gridworld.Config(rows=3)
    agent = naive.Config(penalty=3.0)
    own = RunSettings(steps=5)
    config = builder.from_configs(env, agent, own).config
    assert config == RunConfig(RunNames("gridworld", "naive"), env, agent, own)
    config = builder.from_configs("point", "naive", own).config
    assert config == RunConfig(RunNames("point", "naive"), point.Config(), naive.Config(), own)
    lake = Named("FrozenLake-v1", from_gym.Config(oversight=0.3))
    config = builder.from_configs(lake, Named("naive", agent), own).config
    assert config.names == RunNames("FrozenLake-v1", "naive")
    assert (config.env.oversight, config.agent) == (0.3, agent)


def test_a_config_of_a_file_elsewhere_brings_its_file(tmp_path: Path) -> None:
    path = tmp_path / "meadow.py"
    path.write_text(
        "from dataclasses import dataclass\n"
        "from routed_rl.envs import gridworld\n"
        "@dataclass(frozen=True)\n"
        "class Config(gridworld.Config):\n"
        "    rows: int = 4\n"
        "make = gridworld.make\n"
    )
    given = builder.build(("--plugin", str(path), "--env", "meadow"))
    setup = builder.from_configs(given.config.env, "naive", RunSettings())
    assert setup.config.names == RunNames("meadow", "naive", (str(path),))
    again = builder.assemble(setup.config.to_plain(), (), "train.py")
    assert again.config == setup.config
    assert again.make_env(2, seed=0).spec.obs_shape == (4, 4, 5)


def test_settings_that_are_nobodys_are_told() -> None:
    @dataclass(frozen=True)
    class Mine:
        oversight: float = 0.1

    with pytest.raises(UserError, match=r"does not say which environment.*Named\(name, config\)"):
        builder.from_configs(Mine(), "naive", RunSettings())
    with pytest.raises(UserError, match="Did you mean 'naive'"):
        builder.from_configs("gridworld", "naiv", RunSettings())


def test_settings_from_keywords() -> None:
    found = builder.run_settings(steps=5, num_envs=4)
    assert found == RunSettings(steps=5, num_envs=4)
    with pytest.raises(UserError, match=r"no setting 'num_env'\. Did you mean 'num_envs'"):
        builder.run_settings(num_env=4)
    with pytest.raises(UserError, match="steps is 0"):
        builder.run_settings(steps=0)


def test_a_folder_gives_back_what_it_was_made_from(tmp_path: Path) -> None:
    config = build("--agent", "naive", "--env.rows", "3", "--good", "ghost", "--steps", "5")
    write_yaml(tmp_path / "config.yaml", config.to_plain())
    assert builder.reopen(tmp_path).config == config
    longer = builder.reopen(tmp_path, ("--steps", "7")).config
    assert longer.settings.steps == 7
    assert longer.env == config.env
    with pytest.raises(UserError, match="is no run"):
        builder.reopen(tmp_path / "none")


@pytest.mark.parametrize(
    ("flag", "name"),
    [("--no-trace", "--no-episode-log"), ("--agent.no-told", "--agent.no-conditioned")],
)
def test_a_switch_that_was_renamed_is_told_with_its_no(flag: str, name: str) -> None:
    with pytest.raises(UserError, match=f"is called '{name}' now"):
        builder.build([flag])


def test_a_plugin_with_a_former_name_of_ours_keeps_it(tmp_path: Path) -> None:
    plugin = tmp_path / "told.py"
    plugin.write_text(
        "from dataclasses import dataclass\nfrom routed_rl.agents import naive\n"
        "@dataclass(frozen=True)\nclass Config(naive.Config):\n    told: float = 0.5\n"
        "class Agent(naive.Agent): ...\n"
    )
    setup = builder.build(["--plugin", str(plugin), "--agent", "told", "--agent.told", "0.9"])
    write_yaml(tmp_path / "config.yaml", setup.config.to_plain())
    assert builder.reopen(tmp_path).config == setup.config
    assert builder.settings_of(tmp_path)["agent"]["told"] == 0.9


def test_several_plugins_follow_one_flag() -> None:
    wanted, rest = builder.choose(["--plugin", "a.py", "b.py", "--steps", "3", "--plugin", "c.py"])
    assert list(wanted.plugin) == ["a.py", "b.py", "c.py"]
    assert rest == ["--steps", "3"]


@pytest.mark.parametrize(
    "kwargs",
    ["{is_slippery: false, map_name: 8x8}", "[is_slippery=false, map_name=8x8]"],
)
def test_arguments_of_a_gymnasium_environment_may_be_a_mapping(tmp_path: Path, kwargs: str) -> None:
    path = tmp_path / "lake.yaml"
    path.write_text(f"env: {{name: FrozenLake-v1, kwargs: {kwargs}}}\n")
    config = build("--config", str(path))
    assert config.env.kwargs == ("is_slippery=false", "map_name=8x8")
    write_yaml(tmp_path / "config.yaml", config.to_plain())
    assert builder.reopen(tmp_path).config == config
    none = build("--config", str(path), "--env.kwargs")
    assert none.env.kwargs == (), "flags win"


def test_a_file_of_a_yaml_file_is_the_same_by_another_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rooms.py").write_text("from routed_rl.envs.gridworld import Config, make\n")
    (tmp_path / "rooms.yaml").write_text(f"env: {{name: {tmp_path}/rooms.py, rows: 3}}\n")
    monkeypatch.chdir(tmp_path)
    assert build("--config", "rooms.yaml", "--env", "rooms.py").env.rows == 3
    assert build("--config", "rooms.yaml", "--env", "gridworld").env.rows == 5


def test_what_the_current_folder_has_is_found_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, name, source in (
        ("envs", "rooms_here", "from routed_rl.envs.gridworld import Config, make\n"),
        ("agents", "agent_here", "from routed_rl.agents.naive import Agent, Config\n"),
    ):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / f"{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    files = (f"{tmp_path}/envs/rooms_here.py", f"{tmp_path}/agents/agent_here.py")
    config = build("--env", "rooms_here", "--agent", "agent_here")
    assert config.names == RunNames("rooms_here", "agent_here", files)
    named = Named("rooms_here", gridworld.Config(rows=3))
    of_api = builder.from_configs(named, "agent_here", RunSettings()).config
    assert of_api.names == config.names
    write_yaml(tmp_path / "config.yaml", config.to_plain())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert builder.reopen(tmp_path).config == config


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--agnet", "naive"), "Did you mean '--agent'"),
        (("--rundir", "x"), "Did you mean '--run-dir'"),
        (("--sed", "1"), "Did you mean '--seed'"),
        (("--agent.gat",), "Did you mean '--agent.gate'"),
    ],
)
def test_the_flag_that_was_meant_is_any_of_the_commands(flags: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        builder.build(flags)


@pytest.mark.parametrize("name", ["run_dir", "resume", "list"])
def test_a_file_says_nothing_of_where_a_run_goes(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.yaml").write_text(f"{name}: x\n")
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')} belongs on the command line"):
        builder.build(("--config", str(tmp_path / "a.yaml")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("agent: {name: 0.5}", r"agent's name is 0\.5 in the yaml file: give a word"),
        ("env: {name: {a: 1}}", r"env's name is \{'a': 1\} in the yaml file"),
        ("plugins: 3", "plugins are 3 in the yaml file: give a list"),
        ("plugins: [[]]", r"plugins are \[\[\]\] in the yaml file"),
    ],
)
def test_a_name_in_a_file_is_a_word(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match=words):
        builder.build(("--config", str(tmp_path / "a.yaml")))


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        (3, r"^last\.pt does not fit config\.yaml"),
        ({"seed": torch.zeros(2)}, r"^last\.pt does not fit config\.yaml"),
        ({"seed": "x" * 500}, r"was saved with seed x{80}, and config\.yaml says 0: put"),
        ({"more": 1}, r"^config\.yaml lacks more, which was 1 when last\.pt was saved: put"),
    ],
)
def test_what_a_checkpoint_says_of_its_settings_may_be_anything(saved: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        builder.check_settings({"seed": 0}, {"settings": saved}, Path("last.pt"))


def test_settings_may_lie_in_another_folder_by_now() -> None:
    saved = {"settings": {"env": {"name": "old/rooms.py:Env"}, "steps": 5, "plugins": ["a.py"]}}
    there = {"env": {"name": "new/rooms.py:Env"}, "steps": 9}
    builder.check_settings(there, saved, Path("last.pt"))
