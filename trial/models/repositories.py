"""Repositories of Hugging Face's hub as networks, in timm's notation: hf-hub:ORG/NAME or .../NAME@REVISION.

They are kept in a folder in the layout of Hugging Face's own cache: the files of a commit, and the commit
that each revision was when it was fetched. So a name stays with that commit, and reading needs no hub.
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import UsageError
from common.image_size import Size

PREFIX, FORM = "hf-hub:", "hf-hub:ORG/NAME, or hf-hub:ORG/NAME@REVISION"
NAME = re.compile(
    rf"{PREFIX}([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(\w[\w.-]*))?",
    re.ASCII,
)
CONFIG, WEIGHTS = "config.json", ("model.safetensors", "pytorch_model.bin")  # timm's, in its order


class Config(NamedTuple):
    """What a repository's config.json says. `architecture`: timm's name of the network; `size`: the (height,
    width) that it was trained with, None if it is not stated; `patch`: the side of its patches in pixels (of
    oblong ones a common multiple of both), None if it is the architecture's."""

    architecture: str
    size: Size | None
    patch: int | None = None


@dataclass(frozen=True)
class Repository:
    """`id`: ORG/NAME. `revision`: a branch, tag or commit; None: the main branch."""

    id: str
    revision: str | None

    @property
    def folder(self) -> str:
        """The name of its folder in a cache."""
        return f"models--{self.id.replace('/', '--')}"

    def file(self, cache: Path, *names: str) -> Path | None:
        """The first of the files `names` that was fetched into `cache`; None if none was. Its folder is named
        by the commit."""
        from huggingface_hub import try_to_load_from_cache

        found = (try_to_load_from_cache(self.id, name, cache, self.revision) for name in names)
        return next((Path(path) for path in found if isinstance(path, str)), None)

    def fetch_config(self, cache: Path) -> Path:
        """Download config.json of the revision; its path. UsageError if there is none."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            return Path(hf_hub_download(self.id, CONFIG, revision=self.revision, cache_dir=cache))
        except EntryNotFoundError:
            raise UsageError(
                f"{self.id} has no {CONFIG}; timm can load those that have one of timm's"
            ) from None

    def fetch_weights(self, cache: Path, commit: str) -> str:
        """Download the weights of `commit`; the licence that the repository's card states, '' if none.
        UsageError if there are no weights that timm can load."""
        from huggingface_hub import HfApi, hf_hub_download

        about = HfApi().model_info(self.id, revision=commit)
        files = [file.rfilename for file in about.siblings or ()]
        name = next((name for name in WEIGHTS if name in files), None)
        if name is None:
            raise UsageError(f"{self.id} has no weights that timm can load ({' or '.join(WEIGHTS)})")
        hf_hub_download(self.id, name, revision=commit, cache_dir=cache)
        return str((about.card_data and about.card_data.get("license")) or "")


def repository_of(name: str) -> Repository | None:
    """The repository that is named; None if `name` is not of its form."""
    found = NAME.fullmatch(name)
    return Repository(*found.groups()) if found else None


def read_config(path: Path) -> Config:
    """The content of a config.json of timm's. UsageError if it is none, or its photos have not 3 channels."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        architecture = read["architecture"]
        own: dict[str, Any] = read.get("pretrained_cfg", read)  # timm's first form has a single level
        arguments: dict[str, Any] = read.get("model_args", {})
        channels, *size = own.get("input_size") or (3,)
        channels, size = arguments.get("in_chans", channels), arguments.get("img_size", size)
        height, width = (size, size) if isinstance(size, int) else size or (0, 0)
        patch = arguments.get("patch_size")
        sides = [patch] if isinstance(patch, int) else list(patch or ())
        config = Config(
            str(architecture),
            (int(height), int(width)) if height else None,
            math.lcm(*sides) if sides else None,
        )
    except KeyError as error:
        raise UsageError(f"{CONFIG} names no {error}, so it is none of timm's") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{CONFIG} can't be read ({error})") from None
    if not own.get("classifier"):
        raise UsageError(f"{CONFIG} names no 'classifier', the network's last layer")
    if channels != 3:
        raise UsageError(f"its network takes {channels} channels, and photos have 3")
    return config
