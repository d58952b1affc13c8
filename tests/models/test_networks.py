from __future__ import annotations

import math

import torch

from routed_rl.models.networks import SMALLEST_IMAGE, Cells, DropChannel, cnn, mlp


def test_mlp_has_the_widths_asked_for_and_biases_at_zero() -> None:
    net = mlp((2, 3, 3), (7, 5), 4)
    shapes = [tuple(p.shape) for p in net.parameters()]
    assert shapes == [(18, 7), (7,), (5, 7), (5,), (4, 5), (4,)]
    assert all((p == 0).all() for p in net.parameters() if p.ndim == 1)
    assert net(torch.zeros(6, 2, 3, 3)).shape == (6, 4)


def test_a_torso_ends_in_features_that_are_not_negative() -> None:
    assert (mlp((4,), (8,))(torch.randn(50, 4)) >= 0).all()


def test_tanh_follows_each_hidden_layer_if_it_is_asked_for() -> None:
    net = mlp((2,), (1, 1), 1, activation="tanh")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)
    inner = math.tanh(2.0 + 3.0 + 1.0)
    answer = net(torch.tensor([[2.0, 3.0]]))
    torch.testing.assert_close(answer, torch.tensor([[math.tanh(inner + 1.0) + 1.0]]))


def test_drop_channel_leaves_one_out() -> None:
    obs = torch.arange(3.0).view(1, 3, 1, 1).expand(2, 3, 2, 2)
    for dropped, left in (
        ((1,), [0, 2]),
        ((0,), [1, 2]),
        ((2,), [0, 1]),
        ((2, 0), [1]),
        ((), [0, 1, 2]),
    ):
        assert DropChannel(3, *dropped)(obs)[:, :, 0, 0].tolist() == [left, left]


def test_cells_give_the_same_answer_wherever_a_thing_stands() -> None:
    net = Cells(2, (4,), 3)
    board = torch.zeros(2, 2, 3, 3)
    board[0, :, 0, 1] = 1.0
    board[1, :, 2, 2] = 1.0
    answer = net(board)
    torch.testing.assert_close(answer[0], answer[1])
    alone = net.network(torch.ones(1, 2))
    empty = net.network(torch.zeros(1, 2))
    torch.testing.assert_close(answer[:1], alone + 8 * empty)


def test_cnn_has_the_published_convolutions_and_takes_the_smallest_picture() -> None:
    net = cnn((4, 84, 84), (16,), 5)
    shapes = [tuple(p.shape) for p in net.parameters() if p.ndim > 1]
    assert shapes == [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3), (64 * 7 * 7, 16), (5, 16)]
    assert all((p == 0).all() for p in net.parameters() if p.ndim == 1)
    smallest = cnn((1, SMALLEST_IMAGE, SMALLEST_IMAGE), (16,))
    assert smallest(torch.zeros(2, 1, 36, 36)).shape == (2, 16)
