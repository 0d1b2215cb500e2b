"""The training split, cut into augmented batches."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.config.extras import AUGMENTATION
from winnow.config.settings import TrainingSettings
from winnow.data.batches import Split, augment, epoch_order, training_batches
from winnow.data.dataset import ImageDataset
from winnow.errors import WinnowError
from winnow.rng import generator, seeded


@dataclass(frozen=True)
class Batch:
    """What one optimizer step is taken on.

    Attributes:
        inputs: float32 [N, C, H, W], normalized.
        targets: int64 [N], or the shares of the classes in mixed images, float32 [N, classes].
        places: int64 [N], of the images in the training split.
    """

    inputs: Tensor
    targets: Tensor
    places: Tensor

    def __len__(self) -> int:
        return len(self.places)

    @property
    def labels(self) -> Tensor:
        """Return int64 [N]; of a mixed image, the class with the largest share."""
        return self.targets if self.targets.dim() == 1 else self.targets.argmax(1)

    def parts(self, count: int) -> Iterator[Batch]:
        """Yield the batch in so many parts, or fewer: a batch norm needs two images in each."""
        count = max(1, min(count, len(self) // 2))
        columns = (tensor.tensor_split(count) for tensor in (self.inputs, self.targets, self.places))
        for inputs, targets, places in zip(*columns, strict=True):
            yield Batch(inputs, targets, places)


class Augmentation:
    """What happens to images beside the crop after padding and the mirroring: by itself, nothing."""

    def of_pixels(self, images: Tensor) -> Tensor:
        """Change images, uint8 [N, C, H, W], each by itself."""
        return images

    def of_batch(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images, float32 [N, C, H, W], and labels, int64 [N]; returns the inputs and targets of a `Batch`."""
        return inputs, labels


class TrainingImages:
    """The training split on a device. Its batches are functions of (seed, epoch, step), so that resuming replays none.

    Args:
        label: begins the error.

    Raises:
        WinnowError: there is only one image.
    """

    def __init__(
        self, data: ImageDataset, settings: TrainingSettings, device: torch.device, seed: int, label: str
    ) -> None:
        self._split = Split.of(data, "train", device)
        self._settings, self._seed = settings, seed
        self._augmentation = Augmentation()
        count = len(self._split)
        if count < 2:
            raise WinnowError(f"{label}: the training split has {count} image; training needs at least 2: add images")
        if settings.augmented:
            self._augmentation = importlib.import_module(AUGMENTATION).augmentation(settings, data)
        self._batches = training_batches(count, settings.batch_size)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._split)

    @property
    def steps(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._batches)

    @property
    def always_the_same(self) -> bool:
        """Whether an image goes into the network as it is, in every epoch."""
        settings = self._settings
        return not (settings.crop_padding or settings.flip or settings.augmented)

    def epoch(self, number: int, first: int) -> Iterator[tuple[int, Batch]]:
        """Yield the steps of an epoch, all counted from 0, from a first one on, with their batches, augmented."""
        order = epoch_order(len(self), self._seed, number)
        places = [order[batch] for batch in self._batches[first:]]
        for step, (images, labels) in enumerate(self._split.ahead(places), first):
            random = generator(self._seed, number, step)
            yield step, self._augmented(images, labels, places[step - first].to(labels.device), random)

    def plain(self, size: int) -> Iterator[Tensor]:
        """Yield the images as they are, normalized, in stored order: float32 [N, C, H, W], N at most `size`."""
        for inputs, _ in self._split.batches(size):
            yield inputs

    def _augmented(self, images: Tensor, labels: Tensor, places: Tensor, random: torch.Generator) -> Batch:
        settings, normalized = self._settings, self._split.normalized
        padding = 0 if settings.resized_crop else settings.crop_padding
        images = augment(images, padding=padding, flip=settings.flip, random=random)
        if not settings.augmented:
            return Batch(normalized(images), labels, places)
        with seeded(int(torch.randint(2**62, (), generator=random))):
            inputs = normalized(self._augmentation.of_pixels(images))
            return Batch(*self._augmentation.of_batch(inputs, labels), places)
