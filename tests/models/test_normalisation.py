"""Statistics that go on as data comes, and observations normalised by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from routed_rl.models.build import build_policy
from routed_rl.models.networks import DropChannel
from routed_rl.models.normalisation import Normaliser, RunningMoments
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.models.sparse import Sparse


def test_statistics_of_parts_are_those_of_the_whole() -> None:
    data = np.random.default_rng(0).normal([1e4, 0.0, -3.0], [1.0, 2.0, 1e-3], (9000, 3))
    moments = RunningMoments((3,))
    assert (moments.mean.tolist(), moments.variance.tolist()) == ([0, 0, 0], [1, 1, 1])
    for part in np.split(data, [1, 5, 77, 5000]):
        moments.update(torch.tensor(part))
    assert moments.count == 9000
    np.testing.assert_allclose(moments.mean.numpy(), data.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.variance.numpy(), data.var(axis=0), rtol=1e-8)


def test_numbers_are_normalised_by_hand() -> None:
    normaliser = Normaliser(nn.Identity(), (2,))
    obs = torch.tensor([[0.0, 2.0], [4.0, 2.0]])
    assert torch.equal(normaliser(obs), obs), "before there are statistics"
    normaliser.update(obs)  # means 2 and 2, deviations 2 and 0
    assert normaliser(obs).tolist() == [[-1, 0], [1, 0]]
    beyond = torch.tensor([[-100.0, 3.0]])
    assert normaliser(beyond).tolist() == [[-10, 10]], "clipped"
    assert normaliser.moments.count == 2, "to look changes nothing"


def test_a_picture_is_normalised_by_channel() -> None:
    obs = torch.rand(7, 2, 5, 6, generator=torch.Generator().manual_seed(0))
    normaliser = Normaliser(nn.Identity(), (2, 5, 6), image=True)
    normaliser.update(obs)
    assert normaliser.moments.mean.shape == (2,)
    mean = obs.mean(dim=(0, 2, 3), keepdim=True)
    deviation = obs.std(dim=(0, 2, 3), keepdim=True, correction=0)
    assert torch.allclose(normaliser(obs), (obs - mean) / deviation, atol=1e-5)


def test_a_board_is_normalised_number_by_number_and_one_channel_left_as_it_is() -> None:
    obs = torch.rand(7, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    normaliser = Normaliser(nn.Identity(), (3, 2, 2), untouched=1)
    normaliser.update(obs)
    normaliser.update(2 * obs)
    seen = normaliser(obs)
    assert torch.equal(seen[:, 1], obs[:, 1]), "to the bit"
    whole = torch.cat((obs, 2 * obs))
    expected = (obs - whole.mean(dim=0)) / whole.std(dim=0, correction=0)
    assert torch.allclose(seen[:, [0, 2]], expected[:, [0, 2]], atol=1e-5)


def test_a_dropped_channel_is_dropped_before() -> None:
    obs = torch.rand(7, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    without = obs[:, [0, 2]]
    dropping = Normaliser(DropChannel(3, 1), (2, 2, 2))
    plain = Normaliser(nn.Identity(), (2, 2, 2))
    dropping.update(obs)
    plain.update(without)
    assert torch.equal(dropping(obs), plain(without))


@pytest.mark.parametrize("normalize", [False, True])
def test_nothing_that_is_normalised_is_made_sparse(normalize: bool) -> None:
    policy = build_policy(PolicySpec((100,), 2, ("policy",), (8,), normalize_obs=normalize))
    assert isinstance(policy.encode(torch.eye(100)), Sparse) is not normalize


def test_the_number_of_the_oversight_is_left_as_it_is_unless_it_is_dropped() -> None:
    obs = torch.rand(5, 3)
    for dropped, untouched in ((None, [2]), (2, [])):
        spec = PolicySpec((3,), 2, ("policy",), (8,), dropped_channel=dropped, oversight_channel=2)
        policy = build_policy(replace(spec, normalize_obs=True))
        policy.update_statistics(obs)
        same = policy.preprocess(obs) == obs[:, : spec.visible_shape[0]]
        assert same.all(dim=0).nonzero().flatten().tolist() == untouched
