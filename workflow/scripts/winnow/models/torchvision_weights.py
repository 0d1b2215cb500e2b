"""Weights that torchvision has, downloaded and verified like its data sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.hub import download_url_to_file

from winnow.config.catalog import DOWNLOADS
from winnow.data.stated import weights_entry
from winnow.errors import WinnowError
from winnow.files import content_digest

_DOTTED = re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.([12]\.)")


def weights_file(name: str, where: str) -> Path:
    """Return the file of weights by their name in torchvision, downloaded if it is not there yet.

    Args:
        name: e.g. `ResNet18_Weights.IMAGENET1K_V1`.
        where: begins errors.

    Raises:
        WinnowError: torchvision has none of this name, or the file cannot be downloaded or is damaged; says which file
            to put where.
    """
    url = str(weights_entry(name, where).url)
    path = Path(DOWNLOADS) / url.rpartition("/")[2]
    checksum = path.stem.rpartition("-")[2]  # the first digits of its SHA-256
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            download_url_to_file(url, str(path), hash_prefix=checksum, progress=False)
    except (OSError, RuntimeError) as error:
        raise WinnowError(
            f"{where}: cannot be downloaded ({str(error).splitlines()[0]}); offline, put {path.name} from {url} into "
            f"{DOWNLOADS}/ and run again"
        ) from error
    if not content_digest(path).startswith(checksum):
        raise WinnowError(f"{where}: {path} is damaged (its SHA-256 does not begin with {checksum}); delete it")
    return path


def names_of_today(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of such a file by the names that torchvision's networks have today.

    Those of DenseNets are older than the rule that a module's name has no dot, `norm.1` for `norm1`.
    """
    return {_DOTTED.sub(r"\1\2", name): value for name, value in state.items()}
