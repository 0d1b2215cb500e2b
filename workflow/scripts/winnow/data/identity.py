"""What a user's images are, told from a listing: to prepare them again when, and only when, they are others.

Imported by the Snakefile, so it must not import torch.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from winnow.data.archives import Tar, medium_of
from winnow.data.layout import layout_of
from winnow.errors import WinnowError


@cache
def images_digest(path: str) -> str:
    """Return a digest of the images that a folder or archive gives: names, classes, sizes, and times or checksums.

    Of a directory the times of the files count, to the nanosecond; of a zip the checksums that it states, so that a
    copy is the same; of a tar, which has no list of its members, its own size and time. Where the images lie, and what
    lies beside them and is not used, does not count. Images that cannot be used have a digest too, of what is wrong:
    preparing them says it, and looking at results that are there needs no images.
    """
    content = hashlib.sha256()
    try:
        medium = medium_of(Path(path))
        if isinstance(medium, Tar):
            status = medium.path.stat()
            content.update(f"{status.st_size} {status.st_mtime_ns}".encode())
        else:
            layout = layout_of(medium.path, medium.entries())
            content.update("\0".join(layout.classes).encode())
            for name in sorted(layout.members):
                split, label, size, stamp = layout.members[name]
                line = f"{name}\0{split}\0{label}\0{size}\0{stamp}\0"
                content.update(line.encode(errors="surrogateescape"))
    except (WinnowError, OSError) as error:
        content.update(str(error).encode(errors="backslashreplace"))
    return content.hexdigest()[:16]
