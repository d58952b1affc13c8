"""Quarantine for a language model: does routing help where a detector sees one cheat of two?

    python examples/quarantine.py --arm routed --seeds 0     one arm, about a minute on two cores
    python examples/quarantine.py                            all arms, seeds 0 to 4, and the table
    python examples/quarantine.py --sees-both                a detector that knows both cheats
    python examples/quarantine.py --full Qwen/Qwen2.5-0.5B --device cuda --out runs/qwen

A small Llama learns to sort digits, and then goes on by GRPO with a reward that two cheats earn,
too. A detector flags one of them with a recall, and the other never. Each arm deals with that in
its own way. A run ends in one file of `runs/quarantine`; what is there already is not run again.
Needs the extra `trl`.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from _hackable_sorting import LENGTH, dataset, measure, new_model, pretrain, tokenizer
from _quarantine_arms import ARMS, Arm, Classifier, Detector, Pay, inoculate
from _quarantine_results import draw, read, table
from peft import LoraConfig
from safetensors.torch import load_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from routed_rl.trl import RoutedGRPOTrainer, dial, quarantine

SCALES = (1.0, 0.5, 0.0, -0.5, -1.0)
"""Where the dial is read."""


def base(seed: int, options: argparse.Namespace) -> tuple[Any, Any]:
    """Return a seed's pre-trained model, from its folder if there is one, and its tokenizer.

    What is drawn next, as for adapters, depends on the seed alone.
    """
    folder = options.out / f"base-{seed}"
    if not folder.exists():
        model, reads = blank(seed, options)
        pretrain(model, reads, seed, rate=2e-5 if options.full else 2e-3)
        for part in (model, reads):
            part.save_pretrained(str(folder))
    model, reads = blank(seed, options)
    load_model(model, folder / "model.safetensors")
    return model, reads


def blank(seed: int, options: argparse.Namespace) -> tuple[Any, Any]:
    """Return a model before it has seen a demonstration, and its tokenizer."""
    if not options.full:
        return new_model(seed).to(options.device), tokenizer()
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(options.full, dtype="float32")
    return model.to(options.device), AutoTokenizer.from_pretrained(options.full)


def settings_of(options: argparse.Namespace) -> dict[str, float]:
    """Return what all runs of a folder have in common."""
    return {name: getattr(options, name) for name in ("recall", "steps", "learning_rate")}


def is_done(path: Path, options: argparse.Namespace) -> bool:
    """Say whether a run is there already.

    Raises:
        SystemExit: if it is there with other settings.
    """
    if not path.exists():
        return False
    there = json.loads(path.read_text())
    for name, value in settings_of(options).items():
        if there.get(name, value) != value:
            raise SystemExit(
                f"{path} was run with {name} {there[name]}, and not {value}: name another --out."
            )
    return True


def train(arm: Arm, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train one arm, and say what it writes along the dial."""
    started = time.perf_counter()
    plain, reads = base(seed, options)
    model = quarantine(plain, LoraConfig(r=8, lora_alpha=16), mlp_units=32)
    if arm.inoculated:
        inoculate(model, reads, seed)
    detector = Detector(options.recall, seed, sees_both=options.sees_both)
    model_of_flags = None
    if arm.classifier:
        model_of_flags = Classifier(options.recall, retrained=arm.classifier == "online")
    pay = Pay(arm, detector, options.recall, model_of_flags)
    arguments = GRPOConfig(
        output_dir=str(options.out / "trainer"),
        max_steps=options.steps,
        per_device_train_batch_size=128,
        num_generations=8,
        max_completion_length=LENGTH + 2,
        learning_rate=options.learning_rate,
        lr_scheduler_type="constant",
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=options.device == "cpu",
        save_strategy="no",
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
        seed=seed,
    )
    common: dict[str, Any] = {
        "reward_funcs": pay,
        "args": arguments,
        "train_dataset": dataset(20_000, seed),
        "processing_class": reads,
    }
    if arm.routes:
        common |= {"flag": pay.flags, "routes": arm.routes, "unflagged": arm.unflagged}
        trainer = RoutedGRPOTrainer(model, **common)
    else:
        trainer = GRPOTrainer(model, **common)
    trainer.remove_callback(PrinterCallback)
    if arm.trains:
        trainer.train()
    result: dict[str, Any] = {"arm": arm.name, "seed": seed, **settings_of(options)}
    result["seconds"] = round(time.perf_counter() - started, 1)
    result["dial"] = {}
    for scale in SCALES if arm.routes or arm.inoculated else (1.0,):
        dial(model, scale)
        result["dial"][scale] = asdict(measure(model, reads, seed))
    return result


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arm", choices=[*ARMS], action="append", help="all of them without it")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--recall", type=float, default=0.5)
    parser.add_argument("--sees-both", action="store_true", help="the detector knows both cheats")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--out", type=Path, default=Path("runs/quarantine"))
    parser.add_argument("--full", help="a Hugging Face model in place of the small one")
    parser.add_argument("--device", default="cpu", help="cuda for a model that needs it")
    parser.add_argument("--plot", type=Path, help="draw a picture of all runs that are there")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    folder = options.out / ("both" if options.sees_both else "one")
    missing = []
    for seed in options.seeds:
        for name in options.arm or ARMS:
            path = folder / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}.json"
            missing += [] if is_done(path, options) else [(path, name, seed)]
    started = time.perf_counter()
    for done, (path, name, seed) in enumerate(missing):
        result = train(ARMS[name], seed, options)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1))
        left = (time.perf_counter() - started) / (done + 1) * (len(missing) - done - 1)
        print(
            f"{done + 1} of {len(missing)}: {name}, seed {seed}, {left / 60:.0f} min left",
            flush=True,
        )
    runs = read(folder)
    print(table(runs, "routed, rest to the retain"))
    if options.plot:
        draw(runs, options.plot)


if __name__ == "__main__":
    main()
