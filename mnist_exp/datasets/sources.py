"""What defines a data set, and where its files are; quick to import."""

from dataclasses import dataclass
from pathlib import Path

from mnist_exp.datasets import places
from mnist_exp.datasets.description import Description
from mnist_exp.datasets.facts import Facts

MAX_SIDE = 256  # pixels of an image that is trained on


@dataclass(frozen=True)
class DescribedSet:
    """A name, a description, and where to look for the files."""

    name: str
    description: Description
    roots: tuple[str, ...] = ()  # directories; empty: the usual places
    fetch: bool = False  # whether missing files are downloaded

    @property
    def directories(self) -> list[Path]:
        """The directories in which the files are looked for."""
        found = places.directories(self.name, self.description, self.roots)
        own = places.fetched(self.name, self.description)
        return [*found, own] if self.fetch and own not in found else found

    @property
    def facts(self) -> Facts:
        """The facts, which are all in the description."""
        described = self.description
        return Facts(
            described.image_shape,
            described.class_names,
            described.train.used_count,
            described.fingerprint,
            has_groups=described.group_column is not None,
        )


@dataclass(frozen=True)
class OwnSet:
    """Where the data are and how they are read: the settings of the options folder, idx, npz and csv."""

    kind: str  # folder, idx, npz or csv
    path: str
    size: tuple[int, int] | None  # height and width to resize to; None: as they are
    background: int  # grey value behind transparent pixels, and at the sides of images of another aspect
    class_names: str | None  # a file with a name on each line
    test_share: float  # of all images, where the data have no test images
    test_seed: int
    channels: int | None  # of a folder: 1 or 3; None: 1 if all images are grey, else 3
    max_unreadable: int  # images of a folder that may be left out
    groups: str | None = None  # of a folder: a pattern of names, or a CSV file, that says which images belong together

    @property
    def groups_file(self) -> str | None:
        """The CSV file with the groups, if `groups` is not a pattern."""
        return self.groups if self.groups is not None and self.groups.lower().endswith(".csv") else None
