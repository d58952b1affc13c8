"""Models and adapters of Hugging Face, with random weights, by the checker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from routed_rl.routing import Activations, Parameters, Rule, Values, routed, verify

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

SOME = torch.tensor([True, False, True])
TEXTS = torch.randint(11, (3, 6), generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SMALL |= {"intermediate_size": 32}
WORDS = {"vocab_size": 11, "max_position_embeddings": 8}


def bert() -> nn.Module:
    import transformers as hf

    return hf.BertForSequenceClassification(hf.BertConfig(**SMALL, **WORDS))


def gpt2() -> nn.Module:
    import transformers as hf

    size = {"n_layer": 2, "n_head": 2, "n_embd": 16, "vocab_size": 11, "n_positions": 8}
    return hf.GPT2LMHeadModel(hf.GPT2Config(**size, bos_token_id=0, eos_token_id=0))


def llama() -> nn.Module:
    import transformers as hf

    return hf.LlamaForCausalLM(hf.LlamaConfig(**SMALL, **WORDS, num_key_value_heads=1))


def vit() -> nn.Module:
    import transformers as hf

    return hf.ViTForImageClassification(hf.ViTConfig(**SMALL, image_size=8, patch_size=4))


def t5() -> nn.Module:
    import transformers as hf

    size = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    return hf.T5ForConditionalGeneration(
        hf.T5Config(**size, vocab_size=11, decoder_start_token_id=0)
    )


WRITES = {"input_ids": TEXTS, "use_cache": False}
MODELS: dict[str, tuple[Callable[[], nn.Module], Any, dict[str, Rule]]] = {
    "bert": (
        bert,
        {"input_ids": TEXTS},
        {
            "bert.encoder.layer.*.intermediate": Parameters(SOME),
            "bert.encoder.layer.0.attention": Activations(SOME),
            "bert.embeddings": Parameters(SOME.double() / 2),
        },
    ),
    "gpt2": (
        gpt2,
        WRITES,
        {
            "transformer.h.*.mlp": Parameters(SOME),
            "transformer.w[tp]e": Parameters(~SOME),  # tied to the head, and positions
            "transformer.h.1": Values(SOME),
        },
    ),
    "llama": (
        llama,
        WRITES,
        {
            "model.layers.*.mlp": Parameters(SOME),
            "model.layers.0.self_attn.o_proj": Activations(SOME, units=slice(0, 8), at="input"),
            "*norm*": Parameters(SOME.double()),
        },
    ),
    "vit": (
        vit,
        {"pixel_values": IMAGES},
        {
            "vit.embeddings": Parameters(SOME),
            "*.mlp": Parameters(~SOME),
            "classifier": Activations(SOME),
        },
    ),
    "t5": (
        t5,
        WRITES | {"decoder_input_ids": TEXTS},
        {
            "encoder.block.*.layer.1": Parameters(SOME),
            "decoder.block.0.layer.1": Activations(SOME, output=0),
            "shared": Parameters(SOME),
        },
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns_what_its_rules_say(name: str) -> None:
    make, batch, rules = MODELS[name]
    torch.manual_seed(0)
    found = verify(make(), rules, batch)
    assert found.ok, f"\n{found}"


def test_an_output_that_is_no_batch_is_told_with_the_remedy() -> None:
    with (
        pytest.raises(ValueError, match=r"at output\[1\] .* name what is, as in output=0"),
        routed(t5(), {"decoder.block.0.layer.1": Activations(SOME)}) as model,
    ):
        model(**WRITES, decoder_input_ids=TEXTS)


ADAPTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "lora": ("LoraConfig", {"r": 2}),
    "dora": ("LoraConfig", {"r": 2, "use_dora": True}),
    "ia3": ("IA3Config", {"feedforward_modules": ["down_proj"]}),
    "vera": ("VeraConfig", {}),
    "loha": ("LoHaConfig", {}),
    "oft": ("OFTConfig", {"oft_block_size": 4}),
}


def adapted(kind: str, *names: str) -> nn.Module:
    import peft

    config, options = ADAPTERS[kind]
    torch.manual_seed(0)
    model: Any = None
    for name in names:
        made = getattr(peft, config)(target_modules=["q_proj", "v_proj", "down_proj"], **options)
        if model is None:
            model = peft.get_peft_model(llama(), made, adapter_name=name)
        else:
            model.add_adapter(name, made)
    model.base_model.set_adapter(list(names))
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("kind", ADAPTERS)
def test_adapters_of_every_kind(kind: str) -> None:
    model = adapted(kind, "good")
    found = verify(model, {"*_proj": Parameters(SOME), "*.layers.0.mlp": Activations(SOME)}, WRITES)
    assert found.ok, f"\n{found}"


@pytest.mark.parametrize("kind", ["lora", "dora", "ia3"])
def test_two_adapters_in_one_layer_each_for_its_own_samples(kind: str) -> None:
    model = adapted(kind, "good", "bad")
    rules = {"*.good*": Parameters(SOME), "*.bad*": Parameters(~SOME)}
    found = verify(model, rules, WRITES)
    assert found.ok, f"\n{found}"
