"""The checker: right where routing is right, and it tells where it is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from routed_rl.routing import Activations, Parameters, Rule, Values, frames, verify

SOME = torch.tensor([True, False, True])


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        y += x
        return self.relu(y)


def resnet() -> nn.Module:
    stem = [nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)]
    return nn.Sequential(*stem, Residual(4), Residual(4), *head)


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 8, padding_idx=0)
        self.lstm = nn.LSTM(8, 8, num_layers=2, bidirectional=True)
        self.head = nn.Linear(16, 3)

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        _, (state, _) = self.lstm(self.table(ids).transpose(0, 1))
        return {"logits": self.head(torch.cat([state[-2], state[-1]], dim=1))}


MODELS: dict[str, tuple[Any, Any, dict[str, Rule]]] = {
    "resnet": (
        resnet,
        torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
        {
            "3": Parameters(SOME),
            "4.body": Activations(SOME.double() / 2),
            "0": Values(SOME, units=[1, 2]),
        },
    ),
    "lstm": (
        Classifier,
        torch.randint(11, (3, 6), generator=torch.Generator().manual_seed(0)),
        {"lstm": Parameters(SOME), "table": Parameters(~SOME, rows=[1, 2]), "head": Values(SOME)},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_are_right_rule_by_rule(name: str) -> None:
    make, batch, rules = MODELS[name]
    torch.manual_seed(0)
    model = make()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = verify(model, rules, batch)
    assert found.ok, f"\n{found}"
    assert [row.rule for row in found.checked] == ["no rule", *rules, "all together"]
    assert all(row.governed > 0 for row in found.checked[1:])
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_wrong_gradient_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    make, batch, rules = MODELS["resnet"]
    monkeypatch.setattr(
        frames.Frames, "leave", lambda self, module, args, output: _left(self, module, output)
    )
    found = verify(make(), rules, batch)
    verdicts = {row.rule: row.verdict for row in found.checked}
    assert not found.ok
    assert "governed nothing" in verdicts["3"]
    assert verdicts["4.body"] == "right"
    assert "all together" in str(found)


def _left(self: Any, module: nn.Module, output: Any) -> Any:
    """Take aliases away, and forget the tap."""
    self._close(module)
    return output


def test_samples_that_depend_on_one_another_are_told() -> None:
    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.layer(x)
            return y - y.mean(dim=0, keepdim=True)

    found = verify(Centred(), {"layer": Parameters(SOME)}, torch.randn(3, 4))
    assert found.checked[0].verdict == "samples are not independent of one another"


def test_what_cannot_be_checked_or_run_is_told() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    x = torch.randn(3, 5, 4)
    found = verify(model, {"0": Parameters(torch.ones(3, 5).bool())}, x)
    assert found.checked[1].verdict.startswith("not checked")
    found = verify(model, {"0": Activations(torch.ones(4).bool())}, x)
    assert "the mask has shape (4,)" in found.checked[1].verdict
    with pytest.raises(ValueError, match="no submodule or parameter is called 'x'"):
        verify(model, {"x": Parameters(SOME)}, x)


class Narrow(nn.Module):
    """Computes in float32, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).float().softmax(dim=-1).to(x.dtype)


def test_a_models_own_precision_is_no_fault() -> None:
    torch.manual_seed(0)
    found = verify(Narrow(), {"layer": Parameters(SOME)}, torch.randn(3, 64, 4))
    assert found.ok, f"\n{found}"
    single = verify(Narrow(), {"layer": Parameters(SOME)}, torch.randn(3, 4), dtype=torch.float32)
    assert single.ok, f"\n{single}"
