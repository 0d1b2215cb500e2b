"""Images per second of training: Winnow's loop beside the usual one, and quantization-aware steps beside plain ones.

    .venv/bin/python benchmarks/training.py results/data/<dataset>.safetensors --model resnet18 --stem cifar

The last result: images a second, median (least to most) of 3, AMD EPYC with AVX512-BF16, 2 logical CPUs, 2 threads,
torch 2.14.1, batch 128, 32 x 32 pixels, nothing else computing:

    |  | resnet20, 1,280 images | resnet18, ImageNet stem, 1,280 images | CIFAR stem, 384 images |
    |---|---|---|---|
    | usual, the best number of workers (0) | 464 (460 to 484) | 621 (565 to 644) | 49 (45 to 49) |
    | the network alone | 993 (945 to 1012) | 995 (978 to 1074) | 106 (105 to 118) |
    | Winnow | 962 (962 to 966) | 782 (711 to 807) | 96 (95 to 99) |
    | Winnow, half pruned | 888 (875 to 932) | (see below) | 94 (92 to 99) |
    | Winnow, fp32 | 590 (564 to 634) | 542 (488 to 620) | 51 (50 to 52) |
    | Winnow, qat |  | 465 (417 to 470) |  |
    | Winnow, qat, fp32 |  | 439 (361 to 457) |  |

So 2.1, 1.3 and 2.0 times the usual loop; in float32 1.3, 0.9 and 1.0 times: with convolutions as slow as here, bf16 is
most of the gain. Of the larger network, what is not the network is mostly the state that is saved after each of these
short epochs. With longer ones (n = 5, other runs, on a machine less even): resnet20, 2,560 images, 916 (the network
alone), 894, and 863 half pruned; resnet18, 5,504 images, 762, 700 and 703; so 2 to 8 % of a step, masks included. An
aware step takes 1.2 times a plain one in float32, 1.7 times in bf16.

Test accuracy of resnet18 (5,520 images, 8 epochs, 4,000 test images, mean and standard deviation of 3 seeds): usual
50.02 (0.07) %, Winnow 49.62 (2.45), Winnow in fp32 48.29 (1.08).

The usual loop is what tutorials write: torchvision's transforms on PIL images, a `DataLoader` with 0 to 4 workers, the
best of which counts, and float32, torch's default. Winnow's is its own `train`, as a study runs it: bf16 where the
processor multiplies it natively, images as one tensor, channels last; validation, history and state are written as
ever. All train the same network from the same weights with the same optimizer and rates on the same images. *The
network alone* is forward, loss and backward in Winnow's arithmetic: what Winnow takes longer is augmentation, the
optimizer, validation and what it writes, and masks where half is pruned. Each round runs every way once, in random
order; the first round warms up. With `--seeds`, both loops then train for `--epochs`, Winnow also in fp32, and are
scored on the test images.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import mean, median, stdev

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from winnow.config.resolve import resolve
from winnow.config.settings import PLAIN_NORMALIZATION, ModelSettings, QatSettings, TrainingSettings
from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset, load_dataset
from winnow.deploy.export import example_images
from winnow.measure.machine import machine
from winnow.models.build import build_model
from winnow.prune.masks import Masks
from winnow.quantize.aware import AwareTraining
from winnow.study.recipe import Recipe
from winnow.train.arithmetic import autocast, resolve_precision
from winnow.train.loop import Job, Trainee, train
from winnow.train.optimizer import learning_rate
from winnow.train.resume import ResumeFile
from winnow.train.validation import score

CPU = torch.device("cpu")
WORKERS = (0, 1, 2, 4)


class Images(Dataset[tuple[Tensor, int]]):
    """The training split as the usual loop has it: PIL images, augmented one by one."""

    def __init__(self, data: ImageDataset) -> None:
        split = Split.of(data, "train", CPU)
        images = split.take(torch.arange(len(split)))
        to_pil = transforms.ToPILImage()
        self._images = [to_pil(image) for image in images]
        self._labels = split.labels.tolist()
        pixels = images.float() / 255
        mean_of, std_of = pixels.mean((0, 2, 3)).tolist(), pixels.std((0, 2, 3)).tolist()
        crop = transforms.RandomCrop(images.shape[-1], padding=4)
        steps = [crop, transforms.RandomHorizontalFlip(), transforms.ToTensor(), transforms.Normalize(mean_of, std_of)]
        self._transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self._transform(self._images[position]), self._labels[position]


def usual(model: nn.Module, images: Images, how: TrainingSettings, workers: int) -> None:
    """Train as tutorials do."""
    loader = DataLoader(
        images, how.batch_size, shuffle=True, num_workers=workers, persistent_workers=bool(workers), drop_last=True
    )
    optimizer = torch.optim.SGD(
        model.parameters(), lr=how.lr, momentum=how.momentum, weight_decay=how.weight_decay, nesterov=True
    )
    rates = [learning_rate(step / len(loader), how) / how.lr for step in range(how.epochs * len(loader) + 1)]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rates.__getitem__)
    model.train()
    for _ in range(how.epochs):
        for inputs, labels in loader:
            optimizer.zero_grad()
            functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
            schedule.step()
    model.eval()


def winnow(trainee: Trainee, data: ImageDataset, how: TrainingSettings, seed: int = 0) -> None:
    """Train as a study does."""
    with tempfile.TemporaryDirectory() as folder:
        resume = ResumeFile(Path(folder) / "weights.resume", "benchmark")
        train(trainee, data, how, Job("benchmark", seed, resume, Path(folder) / "history.csv", {}, 65.0))


def network_alone(model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]], precision: str) -> None:
    """Forward, loss and backward of these batches, and nothing of what else a step does."""
    model = model.train().to(memory_format=torch.channels_last)
    for inputs, labels in batches:
        model.zero_grad()
        with autocast(CPU, precision):
            output = model(inputs)
        functional.cross_entropy(output, labels).backward()


def half_masked(model: nn.Module) -> Trainee:
    """A network that is retrained with half of its weights pruned."""
    random_order = torch.Generator().manual_seed(0)
    wide = {name: weight for name, weight in model.named_parameters() if weight.ndim > 1}
    masks = Masks({name: torch.rand(weight.shape, generator=random_order) < 0.5 for name, weight in wide.items()})
    masks.apply(model)
    return Trainee(model, after_step=masks.enforcer(model))


def ways(
    settings: ModelSettings, data: ImageDataset, images: Images, how: TrainingSettings, qat: QatSettings
) -> dict[str, Callable[[], None]]:
    """Return what is timed, by name: each trains a network of its own for `how.epochs` more."""

    def new() -> nn.Module:
        return build_model(settings, data.task, seed=0)

    def aware() -> Trainee:
        return AwareTraining(new().eval(), example_images(data), qat, Recipe("qat")).trainee

    found: dict[str, Callable[[], None]] = {
        f"usual, {workers} workers": partial(usual, new(), images, how, workers) for workers in WORKERS
    }
    batches = list(Split.of(data, "train", CPU).batches(how.batch_size))
    found["the network alone"] = partial(network_alone, new(), batches, resolve_precision(how.precision, CPU))
    found["Winnow, half pruned"] = partial(winnow, half_masked(new()), data, how)
    for name, make in {"Winnow": lambda: Trainee(new()), "Winnow, qat": aware}.items():
        found[name] = partial(winnow, make(), data, how)
        found[f"{name}, fp32"] = partial(winnow, make(), data, replace(how, precision="fp32"))
    return found


def alternate(found: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every round but the first, which warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    order = list(found)
    for number in range(rounds + 1):
        random.shuffle(order)
        for name in order:
            start = time.perf_counter()
            found[name]()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def accuracies(
    settings: ModelSettings, data: ImageDataset, images: Images, how: TrainingSettings, seeds: int
) -> dict[str, list[float]]:
    """Train by both loops, each seed with the same initial weights, and return test accuracy in percent."""
    test = Split.of(data, "test", CPU)
    loops: dict[str, Callable[[nn.Module, int], None]] = {
        "usual": lambda model, _: usual(model, images, how, workers=0),
        "Winnow": lambda model, seed: winnow(Trainee(model), data, how, seed),
        "Winnow, fp32": lambda model, seed: winnow(Trainee(model), data, replace(how, precision="fp32"), seed),
    }
    found: dict[str, list[float]] = {name: [] for name in loops}
    for seed in range(seeds):
        for name, trained in loops.items():
            model = build_model(settings, data.task, seed=seed)
            torch.manual_seed(seed)
            trained(model, seed)
            found[name].append(100 * score(model, test, CPU, "fp32")[1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="prepared data set")
    parser.add_argument("--model", default="resnet18", help="built-in network (default: %(default)s)")
    parser.add_argument("--stem", help="of networks that have one")
    parser.add_argument("--images", type=int, default=1280, help="of the training split (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="ways that are timed, by their names (default: all)")
    parser.add_argument("--seeds", type=int, default=0, help="compare accuracy over so many")
    parser.add_argument("--epochs", type=int, default=5, help="of these training runs (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/training.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    training = {"epochs": 1, "batch_size": 128, "lr": 0.1, "warmup_epochs": 0.3, "device": "cpu"}
    network = {"name": options.model} | ({"stem": options.stem} if options.stem else {})
    study = resolve(
        {
            "study": "training",
            "datasets": {"digits": {"source": "digits"}},
            "models": {options.model: network},
            "training": training,
            "quantization": {"methods": ["qat"], "qat": {"epochs": 1}},
        }
    )
    settings, how = ModelSettings.of(study.models[options.model]), TrainingSettings.of(study.training[options.model])
    qat = QatSettings.of(study.qat[options.model])
    whole = load_dataset(options.data, PLAIN_NORMALIZATION)
    data = whole.few(options.images, 100, 100)
    found = ways(settings, data, Images(data), how, qat)
    chosen = {name: found[name] for name in options.only or found}
    result = {"machine": asdict(machine()), "threads": options.threads, "model": options.model, "stem": options.stem}
    shown = f"{options.model}, stem {options.stem}" if options.stem else options.model
    print(f"| {shown} | images/s, median (least to most) | n |", "|---" * 3 + "|", sep="\n")
    result["images_per_second"] = {}
    for name, seconds in alternate(chosen, options.rounds).items():
        rates = [len(data.train_index) / some for some in seconds]
        result["images_per_second"][name] = rates
        print(f"| {name} | {median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f}) | {len(rates)} |", flush=True)
    if options.seeds:
        longer = replace(how, epochs=options.epochs, warmup_epochs=0.3 * options.epochs)
        result["accuracy"] = accuracies(settings, whole, Images(whole), longer, options.seeds)
        for name, scores in result["accuracy"].items():
            print(f"{name}: {mean(scores):.2f} ± {stdev(scores):.2f} %, {len(scores)} seeds, {options.epochs} epochs")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["machine"]))


if __name__ == "__main__":
    main()
