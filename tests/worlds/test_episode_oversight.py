from __future__ import annotations

from typing import Any

import pytest
import torch

from routed_rl.worlds.episode_oversight import EpisodeOversight, OversightConfig
from routed_rl.worlds.oversight import Oversight


def drawn(num_envs: int, overseer: Oversight, *, every_step: bool = False) -> EpisodeOversight:
    generator = torch.Generator().manual_seed(0)
    return EpisodeOversight(overseer, num_envs, 2, generator, every_step=every_step)


def test_episodes_are_overseen_at_their_rate_and_renewed_only_where_they_are_done() -> None:
    oversight = drawn(20_000, Oversight(0.3))
    before = oversight.overseen
    assert before.float().mean() == pytest.approx(0.3, abs=0.01)
    done = torch.arange(20_000) % 2 == 0
    oversight.renew(done)
    assert torch.equal(oversight.overseen[~done], before[~done])
    assert not torch.equal(oversight.overseen[done], before[done])
    assert oversight.overseen[done].float().mean() == pytest.approx(0.3, abs=0.015)


def test_whatever_an_overseen_episode_reaches_is_reported() -> None:
    oversight = drawn(6, Oversight(0.5))
    oversight.overseen = torch.tensor([True, True, True, False, False, False])
    overseen, reported = oversight.see(torch.tensor([0, 1, 2, 0, 1, 2]))
    assert overseen.tolist() == [False, True, True, False, False, False]
    assert reported.tolist() == [0, 1, 2, 0, 0, 0]


def test_it_can_look_at_every_step_of_an_overseen_episode() -> None:
    oversight = drawn(6, Oversight(0.5), every_step=True)
    oversight.overseen = torch.tensor([True, True, True, False, False, False])
    overseen, reported = oversight.see(torch.tensor([0, 1, 2, 0, 1, 2]))
    assert overseen.tolist() == [True, True, True, False, False, False]
    assert reported.tolist() == [0, 1, 2, 0, 0, 0]
    oversight.renew(torch.ones(6, dtype=torch.bool))
    assert overseen.tolist() == [True, True, True, False, False, False], "it is not written over"


def test_where_it_looks_at_every_step_reports_can_be_wrong_too() -> None:
    overseer = Oversight(1.0, false_positive=1.0, false_negative=1.0)
    overseen, reported = drawn(4, overseer, every_step=True).see(torch.tensor([0, 1, 2, 1]))
    assert overseen.all()
    assert reported.tolist() == [0, 2, 1, 2]


@pytest.mark.parametrize(("rate", "columns"), [(0.0, 0), (1.0, 2)])
def test_only_what_is_needed_is_drawn(rate: float, columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    overseer = Oversight(0.5, false_positive=rate)
    oversight = EpisodeOversight(overseer, 4, 2, generator)
    oversight.see(torch.tensor([0, 1, 2, 1]))
    twin = torch.Generator().manual_seed(0)
    torch.rand(4, 1, generator=twin)
    torch.rand(4, columns, generator=twin)
    assert torch.equal(generator.get_state(), twin.get_state())


def test_unless_told_otherwise_a_tenth_is_overseen_and_shown_and_only_outcomes_are_looked_at() -> (
    None
):
    config = OversightConfig()
    assert (config.oversight, config.show_oversight) == (0.1, True)
    assert config.overseer == Oversight(0.1)
    oversight = EpisodeOversight(Oversight(1.0), 2, 2, torch.Generator())
    assert oversight.see(torch.tensor([0, 1]))[0].tolist() == [False, True]


def test_reports_can_be_wrong() -> None:
    oversight = drawn(4, Oversight(1.0, false_positive=1.0, false_negative=1.0))
    overseen, reported = oversight.see(torch.tensor([0, 1, 2, 1]))
    assert overseen.tolist() == [False, True, True, True]
    assert reported.tolist() == [0, 2, 1, 2]


def test_it_is_shown_as_one_more_number_or_channel() -> None:
    oversight = drawn(2, Oversight(0.5))
    oversight.overseen = torch.tensor([True, False])
    assert oversight.show(torch.full((2, 2), 7.0)).tolist() == [[7, 7, 1], [7, 7, 0]]
    shown = oversight.show(torch.full((2, 3, 4, 5), 7.0))
    assert shown.shape == (2, 4, 4, 5)
    assert (shown[:, :3] == 7).all()
    assert (shown[0, 3] == 1).all()
    assert (shown[1, 3] == 0).all()


def test_the_overseer_has_the_rates_of_the_flags() -> None:
    config = OversightConfig(oversight=0.2, false_positive=0.3, false_negative=0.4)
    assert config.overseer == Oversight(0.2, false_positive=0.3, false_negative=0.4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"oversight": 2.0}, "oversight is 2"),
        ({"false_negative": -1.0}, "false-negative is -1"),
        ({"recall": 2.0}, "recall is 2"),
    ],
)
def test_wrong_flags_are_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OversightConfig(**settings)
