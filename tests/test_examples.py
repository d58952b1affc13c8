"""The examples at tiny sizes: their data, what they route, and that one command ends with a table and a picture."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from examples import keyword_unlearning, split_autoencoder, steering_scalar, unlearning
from examples._language import PAD, Transformer, mean_loss, word_losses
from examples._stories import PLACES, RECIPES, Data, Size, Stories, era
from routed_rl.routing import routed

TINY = Size(
    width=8, units=4, animals=3, forget_animals=24, stories=60, held_out=12, steps=2, batch=8, few=4, relearn_steps=5
)


def test_losses_are_of_the_next_word_and_padding_does_not_count() -> None:
    torch.manual_seed(0)
    model = Transformer(7, 5, width=4, layers=1, heads=2)
    texts = torch.tensor([[1, 2, 3, 4, 5], [1, 6, PAD, PAD, PAD]])
    expected = -model(texts[:, :-1]).log_softmax(dim=-1)
    found = word_losses(model, texts)
    assert torch.allclose(found[0], expected[0].gather(1, texts[0, 1:, None]).squeeze(1))
    assert (found[1, 1:] == 0).all()
    assert torch.allclose(mean_loss(model, texts), (found[0].sum() + found[1, 0]) / 5)
    counted = torch.zeros_like(texts, dtype=torch.bool)
    counted[0, 2] = counted[1, 3] = True
    assert torch.allclose(mean_loss(model, texts, counted), found[0, 1])


def test_a_word_does_not_see_what_comes_after_it() -> None:
    model = Transformer(7, 5, width=4, layers=2, heads=2)
    texts = torch.tensor([[1, 2, 3, 4, 5]])
    changed = texts.clone()
    changed[0, 3] = 6
    assert torch.equal(model(texts)[:, :3], model(changed)[:, :3])
    assert not torch.equal(model(texts)[:, 3:], model(changed)[:, 3:])


def test_stories_tell_their_topics_animals_and_always_the_same_facts() -> None:
    stories = Stories(TINY, seed=3)
    names = [animal for animals in stories.animals.values() for animal in animals]
    assert len(set(names)) == len(names) == 24 + 4 * 3
    told = [stories.tell("farm") for _ in range(50)]
    for topic in set(PLACES) - {"farm"}:
        assert not any(
            word in story.split() for story in told for word in [*stories.animals[topic], *PLACES[topic].split()]
        )
    animal = stories.animals["farm"][0]
    foods = {
        line.split()[line.split().index("eats") + 1]
        for story in told
        for line in story.split(" . ")
        if animal in line and "eats" in line
    }
    assert foods == {stories.facts[animal]["food"]}
    assert torch.equal(Stories(TINY, seed=3).texts(PLACES), Stories(TINY, seed=3).texts(PLACES))


@pytest.mark.parametrize("kind", RECIPES)
def test_era_leaves_nothing_behind_and_deletes_its_branches(kind: str) -> None:
    data = Data(TINY, seed=0)
    marked = data.forget[:, None].expand(-1, data.texts.shape[1] - 1)
    model, ablated = era(data, marked, kind)
    assert set(ablated.state_dict()) == set(data.model().state_dict())
    assert any("branch" in name for name in model.state_dict())
    assert not any("forward" in vars(module) for module in model.modules())


def test_what_is_unlabelled_trains_all_methods_alike_until_a_story_is_labelled() -> None:
    data, nobody = Data(TINY, seed=0), torch.zeros(TINY.stories, dtype=torch.bool)
    base, filtered = unlearning.base(data, nobody), unlearning.filtering(data, nobody)
    for name, value in base.state_dict().items():
        assert torch.equal(value, filtered.state_dict()[name]), name


def test_labelled_stories_do_not_train_the_expert_that_demix_keeps() -> None:
    data = Data(TINY, seed=0)
    everyone = torch.ones(TINY.stories, dtype=torch.bool)
    kept, start = unlearning.demix(data, everyone).state_dict(), data.model().state_dict()
    for name, value in start.items():
        assert torch.equal(value, kept[name]) == (".mlp." in name), name


def test_keywords_are_in_stories_of_the_topic_alone_and_touch_their_lines_only() -> None:
    data = Data(replace(TINY, stories=500), seed=0)
    keyword = keyword_unlearning.chosen(data)
    assert keyword.sum() == keyword_unlearning.KEYWORDS
    assert not keyword[data.texts[~data.forget]].any()
    stop, texts = 9, torch.tensor([[1, 2, 9, 3, 5, 9, 4, 9]])
    lines = keyword_unlearning.touched(texts, torch.arange(10) == 5, stop)
    assert lines.tolist() == [[False, False, False, True, True, True, False, False]]


def test_only_dimension_0_carries_the_words_gradient() -> None:
    size = steering_scalar.Size(width=8, layers=4, steps=1, batch=4, samples=3)
    corpus = steering_scalar.Corpus()
    texts = corpus.texts(40, torch.Generator().manual_seed(0))
    predicts = texts[:, 1:] == corpus.index[steering_scalar.WORD]
    assert predicts.any()
    model = Transformer(len(corpus.words), corpus.length, width=8, layers=4)
    streams = {}

    def keep(layer: int) -> None:
        def hook(_module: object, _args: object, stream: torch.Tensor) -> None:
            stream.retain_grad()
            streams[layer] = stream

        model.blocks[layer].register_forward_hook(hook)

    for layer in range(4):
        keep(layer)
    with routed(model, steering_scalar.rules(size, predicts)):
        mean_loss(model, texts).backward()
    for layer, stream in streams.items():
        gradient = stream.grad[predicts[:, : stream.shape[1]]]
        assert (gradient[:, 0] != 0).any()
        assert (gradient[:, 1:] == 0).all() == (layer in steering_scalar.middle(size)), layer


def test_digits_train_only_their_half_of_the_code() -> None:
    size = split_autoencoder.Size(widths=(8,), code=4, steps=1, batch=60, weight_decay=0.0)
    setting = replace(split_autoencoder.SETTINGS[0], sparsity=0.0, correlation=0.0)
    images, low = torch.rand(60, 16), torch.ones(60, dtype=torch.bool)
    torch.manual_seed(0)
    start = split_autoencoder.network(16, 8, 4)[-1].weight
    encoder, _ = split_autoencoder.train(images, low, setting, size, seed=0)
    changed = (encoder[-1].weight != start).any(dim=1)
    assert changed.tolist() == [True, True, False, False]
    encoder, _ = split_autoencoder.train(images, ~low, setting, size, seed=0)
    assert (encoder[-1].weight != start).any(dim=1).tolist() == [False, False, True, True]


def test_the_correlation_of_halves_by_hand() -> None:
    a = torch.tensor([[1.0, 0.0], [2.0, 1.0], [3.0, 0.0]])
    b = torch.tensor([[2.0], [4.0], [6.0]])
    assert torch.allclose(split_autoencoder.correlation(a, b), torch.tensor(0.5), atol=1e-5)  # 1 and 0


def test_mnist_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, 2, 2, 2) + bytes([0, 51, 102, 255] * 2))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, 2) + bytes([7, 3]))
    images, labels = split_autoencoder.digits(tmp_path)
    assert torch.allclose(images, torch.tensor([[0.0, 0.2, 0.4, 1.0]] * 2))
    assert labels.tolist() == [7, 3]


def test_a_steered_model_is_left_as_it_was() -> None:
    size = steering_scalar.Size(width=8, layers=4, steps=1, batch=4, samples=3)
    model, corpus = steering_scalar.trained(size, 0, route=True)
    texts = steering_scalar.sample(model, corpus, size, push=5.0, seed=0)
    assert texts.shape == (3, corpus.length - 1)
    assert not any(module._forward_hooks for module in model.modules())


def test_the_push_is_along_dimension_0_behind_the_first_routed_layer_where_later_ones_read_it() -> None:
    size = steering_scalar.Size(width=8, layers=4, steps=1, batch=4, samples=3)
    model, corpus = steering_scalar.trained(size, 0, route=True)
    first, seen = steering_scalar.middle(size)[0], {}
    for layer in (first, first + 1):
        model.blocks[layer].register_forward_pre_hook(
            lambda _module, args, layer=layer: seen.setdefault(layer, []).append(args[0][:, 0].clone())
        )
    for push in (0.0, 5.0):  # the first position is the same text in both
        steering_scalar.sample(model, corpus, size, push=push, seed=0)
    count = corpus.length - 1
    assert torch.equal(seen[first][0], seen[first][count]), "before it nothing has changed"
    change = seen[first + 1][count] - seen[first + 1][0]
    torch.testing.assert_close(change, 5.0 * torch.eye(8)[:1].expand(3, 8))


def in_this_process(job: Callable[..., Any], settings: Sequence[tuple[Any, ...]], jobs: int) -> list[Any]:
    return [job(*setting) for setting in settings]


@pytest.mark.parametrize("example", [unlearning, keyword_unlearning, steering_scalar])
def test_one_command_ends_with_a_table_and_a_picture(
    example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = steering_scalar.Size(width=8, layers=4, steps=2, batch=4, samples=3) if example is steering_scalar else TINY
    monkeypatch.setattr(example, "Size", lambda **_: tiny)
    monkeypatch.setattr(example, "run", in_this_process)
    path = tmp_path / "new" / "picture.png"
    few = ["--fractions", "0.5"] if example is unlearning else []
    monkeypatch.setattr(sys, "argv", ["example", "--seeds", "2", "--out", str(path), *few])
    example.main()
    assert path.stat().st_size > 10_000
    table = capsys.readouterr().out
    assert "2 seeds" in table and "nan" not in table


def test_the_split_autoencoder_ends_with_a_table_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = split_autoencoder.Size(widths=(8,), code=4, steps=2, certificate_steps=2)
    monkeypatch.setattr(split_autoencoder, "Size", lambda: tiny)
    monkeypatch.setattr(split_autoencoder, "run", in_this_process)
    monkeypatch.setattr(split_autoencoder, "digits", lambda _path: (torch.rand(200, 64), torch.arange(200) % 10))
    monkeypatch.setattr(sys, "argv", ["example", "--seeds", "2", "--out", str(tmp_path / "picture.png")])
    split_autoencoder.main()
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    assert all(setting.name in capsys.readouterr().out for setting in split_autoencoder.SETTINGS[:1])


@pytest.mark.parametrize("flags", [["--seeds", "0"], ["--seeds", "x"], ["--fractions", "1.5"], ["--fractions", "half"]])
def test_a_wrong_flag_is_named_in_one_line(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["unlearning.py", *flags])
    with pytest.raises(SystemExit):
        unlearning.main()
    assert repr(flags[1]) in capsys.readouterr().err.splitlines()[-1]
