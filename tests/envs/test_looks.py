from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import CPU

from routed_rl.envs.looks import BAD, GOOD, Config, kinds, make


def test_as_many_looks_are_good_as_asked_for_by_a_rule_that_does_not_change() -> None:
    kind = kinds(Config(bits=8, good_share=0.25))
    assert kind.bincount(minlength=3).tolist() == [0, 64, 192]
    assert (GOOD, BAD) == (1, 2)
    assert torch.equal(kind, kinds(Config(bits=8, good_share=0.25)))
    assert not torch.equal(kind, kinds(Config(bits=8, good_share=0.25, rule=1)))


def test_an_end_is_what_its_look_says_and_is_reported_where_it_is_overseen() -> None:
    config = Config(side=3, bits=4, ends=3, oversight=0.5)
    env = make(config, 256, seed=0, device=CPU)
    kind = kinds(config)
    generator = torch.Generator().manual_seed(0)
    reached = torch.zeros(3, dtype=torch.int64)
    seen = 0
    for _ in range(10):
        step = env.step(torch.randint(4, (256,), generator=generator))
        channels = step.final_obs.flatten(2)  # (B, C, cells)
        own = channels.gather(2, channels[:, :1].argmax(dim=2, keepdim=True).expand(-1, 7, -1))
        agent, *bits, end, overseen = own.squeeze(2).unbind(1)
        assert (agent == 1).all()
        look = sum(bit.long() << number for number, bit in enumerate(bits))
        expected = torch.where(end == 1, kind[look], 0)
        assert torch.equal(step.outcome, expected)
        assert torch.equal(step.true_reward, torch.tensor([0.0, 1.0, -1.0])[expected])
        assert torch.equal(step.reward, end), "any end pays"
        assert torch.equal(step.overseen, overseen == 1)
        assert torch.equal(step.reported, expected * step.overseen)
        reached += expected.bincount(minlength=3)
        seen += int(step.overseen.sum())
    assert reached.min() > 100
    assert seen == pytest.approx(int(reached[1:].sum()) / 2, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"side": 2, "ends": 4}, "side 2 has no room"),
        ({"bits": 17}, "bits is 17"),
        ({"good_share": 1.5}, "good-share 1.5"),
        ({"oversight": 2.0}, "oversight is 2.0"),
        ({"horizon": 0}, "horizon is 0"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config(**settings)
