"""Two adapters on one model: what they say, what they learn, and what is left without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from tiny_language import llama, stir, texts, tokenizer

from routed_rl.routing import Parameters, routed
from routed_rl.trl import ablate, dial, export, load, quarantine
from routed_rl.trl.adapters import region_of
from routed_rl.trl.routes import AdapterRoutes

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

RANK = 2
EVERYWHERE = LoraConfig(r=RANK, lora_alpha=4, target_modules="all-linear")
KINDS: dict[str, dict[str, Any]] = {
    "lora": {"config": EVERYWHERE},
    "mlp": {"mlp_units": 3},
    "both": {"config": EVERYWHERE, "mlp_units": 3},
    "embeddings": {"config": LoraConfig(r=RANK, target_modules=["embed_tokens", "q_proj"])},
    "attention": {"config": LoraConfig(r=RANK, target_modules=["q_proj", "v_proj"])},
    "base": {"config": EVERYWHERE, "train_base": True},
}
IDS = texts(5)


def made(kind: str, dtype: torch.dtype = torch.float64) -> Any:
    return quarantine(llama(dtype=dtype), **KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_new_adapters_change_no_bit(kind: str) -> None:
    before = llama(dtype=torch.float64)(IDS).logits
    assert torch.equal(made(kind)(IDS).logits, before)


@pytest.mark.parametrize("kind", KINDS)
def test_regions_cover_what_is_trained(kind: str) -> None:
    trained = [name for name, p in made(kind).named_parameters() if p.requires_grad]
    regions = {region_of(name) for name in trained}
    assert regions == {"default", "quarantine"} | ({"base"} if kind == "base" else set())
    for region in ("default", "quarantine"):  # as many in one as in the other
        assert sum(region_of(name) == region for name in trained) >= len(trained) // 4


@pytest.mark.parametrize("kind", KINDS)
def test_the_dial_weighs_what_the_quarantine_adds(kind: str) -> None:
    model = made(kind)
    stir(model)
    layer = model.base_model.model.model.layers[0]
    adapted = layer.mlp if kind in ("mlp", "both") else layer.self_attn.q_proj
    x = torch.randn(2, 3, 16, dtype=torch.float64, generator=torch.manual_seed(1))
    says = {}
    for scale in (1.0, 0.0, -0.5):
        dial(model, scale)
        says[scale] = adapted(x)
    added = says[1.0] - says[0.0]
    assert float(added.abs().max()) > 1e-3
    torch.testing.assert_close(says[-0.5], says[0.0] - 0.5 * added, atol=1e-12, rtol=1e-12)
    dial(model, 0.0)
    silent = model(IDS).logits
    ablate(model)
    assert torch.equal(model(IDS).logits, silent)
    assert not [name for name, _ in model.named_parameters() if "quarantine" in name]


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_is_a_plain_model_without_the_quarantine(kind: str, tmp_path: Path) -> None:
    model = made(kind)
    stir(model)
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.set_scale("default", 0.5)
    before = {name: p.clone() for name, p in model.named_parameters()}
    plain = export(model, tmp_path / "out", tokenizer())
    dial(model, 0.0)
    torch.testing.assert_close(plain(IDS).logits, model(IDS).logits, atol=1e-12, rtol=1e-12)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert not [name for name, _ in plain.named_parameters() if "lora" in name]
    reference = llama(dtype=torch.float64)
    for name, weight in plain.named_parameters():  # by rank: what was added is the retain's
        if "proj" in name and weight.shape == reference.get_parameter(name).shape:
            change = weight - reference.get_parameter(name)
            assert int(torch.linalg.matrix_rank(change, tol=1e-9)) <= RANK


ALONE = """
import sys
sys.modules["routed_rl"] = sys.modules["peft"] = sys.modules["trl"] = None
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float64)
ids = AutoTokenizer.from_pretrained(sys.argv[1])(["12+3=", "4+5=7"], return_tensors="pt")
written = model.generate(**{k: v for k, v in ids.items() if k != "token_type_ids"},
                         max_new_tokens=6, do_sample=False)
print(written.tolist())
"""


@pytest.mark.parametrize("kind", ["lora", "both"])
def test_an_export_writes_the_same_tokens_in_plain_transformers(kind: str, tmp_path: Path) -> None:
    model = made(kind)
    stir(model)
    export(model, tmp_path / "out", tokenizer())
    dial(model, 0.0)
    ids = tokenizer()(["12+3=", "4+5=7"], return_tensors="pt")
    by_hand = ids["input_ids"]
    for _ in range(6):
        logits = model(input_ids=by_hand, attention_mask=torch.ones_like(by_hand)).logits
        by_hand = torch.cat([by_hand, logits[:, -1:].argmax(-1)], dim=1)
    command = [sys.executable, "-W", "ignore", "-c", ALONE, str(tmp_path / "out")]
    written = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = eval(written.splitlines()[-1])
    for row, own in zip(rows, by_hand.tolist(), strict=True):
        stop = own.index(1, 5) + 1 if 1 in own[5:] else len(own)
        assert row[:stop] == own[:stop]


@pytest.mark.parametrize("kind", ["lora", "mlp", "both"])
def test_saved_adapters_load_again_and_the_retain_alone_by_peft(kind: str, tmp_path: Path) -> None:
    model = made(kind)
    stir(model)
    model.save_pretrained(str(tmp_path))
    again = load(llama(dtype=torch.float64), tmp_path, trainable=True)
    assert torch.equal(again(IDS).logits, model(IDS).logits)
    assert {n for n, p in again.named_parameters() if p.requires_grad} == {
        n for n, p in model.named_parameters() if p.requires_grad
    }
    if kind == "lora":  # whoever knows nothing of a quarantine does not get it
        from peft import PeftModel

        usual = PeftModel.from_pretrained(llama(dtype=torch.float64), str(tmp_path))
        dial(model, 0.0)
        assert torch.equal(usual(IDS).logits, model(IDS).logits)


@settings(max_examples=25, deadline=None)
@given(
    flags=strategies.lists(strategies.booleans(), min_size=1, max_size=6),
    kind=strategies.sampled_from(sorted(KINDS)),
    unflagged=strategies.sampled_from(["both", "retain"]),
    checkpointing=strategies.booleans(),
)
def test_a_mixed_batch_teaches_what_separate_ones_teach(
    flags: list[bool], kind: str, unflagged: str, checkpointing: bool
) -> None:
    model = made(kind)
    stir(model)
    if checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    ids, flagged = texts(len(flags), seed=len(flags)), torch.tensor(flags)
    masks = {"default": ~flagged} | ({"quarantine": flagged} if unflagged == "retain" else {})
    routes = AdapterRoutes(model)

    def gradients(rows: torch.Tensor, by: dict[str, Any]) -> dict[str, torch.Tensor]:
        model.zero_grad()
        with routes.routed(by):
            model(input_ids=ids[rows]).logits.sin().sum().backward()
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in named.items()}

    every = torch.ones_like(flagged)
    mixed = gradients(every, masks)
    of_kind = {
        said: gradients(flagged == said, {}) if (flagged == said).any() else None
        for said in (True, False)
    }
    for name, gradient in mixed.items():
        home = region_of(name) == "quarantine"
        teachers = {(True, "both"): (True, False), (True, "retain"): (True,)}
        expected = torch.zeros_like(gradient)
        for said in teachers.get((home, unflagged), (False,)):
            part = of_kind[said]
            expected = expected + (0.0 if part is None else part[name])
        scale = max(float(expected.abs().max()), 1.0)
        assert float((gradient - expected).abs().max()) <= 1e-12 * scale
        if not home and bool(flagged.all()):
            assert bool((gradient == 0).all())


@settings(max_examples=15, deadline=None)
@given(
    kind=strategies.sampled_from(sorted(KINDS)),
    sure=strategies.lists(strategies.floats(0, 1, width=16), min_size=3, max_size=3),
    tokens=strategies.booleans(),
)
def test_masks_of_floats_and_tokens_are_what_the_library_makes_of_them(
    kind: str, sure: list[float], tokens: bool
) -> None:
    model = made(kind)
    stir(model)
    ids, mask = texts(3, seed=3), torch.tensor(sure, dtype=torch.float64)
    mask = torch.linspace(0, 1, 7, dtype=torch.float64) * mask[:, None] if tokens else mask
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def gradients(block: Any) -> dict[str, torch.Tensor]:
        model.zero_grad()
        with block:
            model(input_ids=ids).logits.sin().sum().backward()
        return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in named.items()}

    own = gradients(AdapterRoutes(model).routed({"default": mask, "quarantine": 1 - mask}))
    rules = {"!*.quarantine*": Parameters(mask), "*.quarantine*": Parameters(1 - mask)}
    for name, expected in gradients(routed(model, rules)).items():
        scale = max(float(expected.abs().max()), 1.0)
        assert float((own[name] - expected).abs().max()) <= 1e-12 * scale


@pytest.mark.parametrize("kind", ["lora", "mlp"])
def test_routing_changes_no_value_and_holds_compiled_and_in_half_precision(kind: str) -> None:
    model = made(kind, torch.float32)
    stir(model)
    flagged = torch.tensor([True, False, True, False, False])
    masks = {"default": ~flagged}
    routes = AdapterRoutes(model)
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def gradients(called: Any, rows: slice | torch.Tensor, by: dict[str, Any]) -> dict[str, Any]:
        model.zero_grad()
        with routes.routed(by):
            called(input_ids=IDS[rows]).logits.float().sin().sum().backward()
        return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in named.items()}

    with routes.routed(masks):
        values = model(IDS).logits
    assert torch.equal(values, model(IDS).logits)
    plain = gradients(model, slice(None), masks)
    compiled = gradients(torch.compile(model, backend="aot_eager"), slice(None), masks)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = gradients(model, slice(None), masks)
        apart = gradients(model, ~flagged, {})
        stopped = gradients(model, slice(None), {"default": torch.zeros(5, dtype=torch.bool)})
    for name in named:
        torch.testing.assert_close(compiled[name], plain[name], atol=1e-5, rtol=1e-4)
        if region_of(name) == "default":
            torch.testing.assert_close(half[name], apart[name], atol=0.1, rtol=0.05)
            assert bool((stopped[name] == 0).all())


def test_a_trained_base_is_saved_and_loaded_with_its_adapters(tmp_path: Path) -> None:
    model = made("base")
    stir(model)
    with torch.no_grad():
        model.get_parameter("base_model.model.model.norm.weight").mul_(2.0)
    for turn in ("trained", "loaded"):
        folder = tmp_path / turn
        model.save_pretrained(str(folder))
        again = load(llama(dtype=torch.float64), folder, trainable=turn == "trained")
        assert torch.equal(again(IDS).logits, model(IDS).logits)
        assert all(p.requires_grad == (turn == "trained") for p in again.parameters())
        model = again
    dial(model, 0.0)
    plain = export(load(llama(dtype=torch.float64), tmp_path / "loaded"), tmp_path / "out")
    torch.testing.assert_close(plain(IDS).logits, model(IDS).logits, atol=1e-12, rtol=1e-12)


def test_an_ablated_model_is_exported_too(tmp_path: Path) -> None:
    model = made("mlp")
    stir(model)
    whole = export(model, tmp_path / "whole")(IDS).logits
    ablate(model)
    assert torch.equal(export(model, tmp_path / "ablated")(IDS).logits, whole)


def test_a_model_given_by_name_is_in_float32_as_with_trl(tmp_path: Path) -> None:
    llama(dtype=torch.bfloat16).save_pretrained(str(tmp_path / "base"))
    model = quarantine(str(tmp_path / "base"), train_base=True)
    model.save_pretrained(str(tmp_path / "adapters"))
    for one in (model, load(tmp_path / "base", tmp_path / "adapters")):
        assert {parameter.dtype for parameter in one.parameters()} == {torch.float32}


def test_a_layer_that_cannot_tell_examples_apart_is_named() -> None:
    model = made("attention")
    wanted = model.base_model.model.model.layers[1].self_attn.v_proj
    wanted.register_forward_pre_hook(lambda _, given: (given[0].flatten(0, 1), *given[1:]))
    with (
        pytest.raises(ValueError, match=r"layers\.1\.self_attn\.v_proj is given \(35, 16\)"),
        AdapterRoutes(model).routed({"default": torch.ones(5, dtype=torch.bool)}),
    ):
        model(IDS)
