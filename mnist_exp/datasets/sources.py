"""What defines a data set, and where its files are; quick to import."""

from dataclasses import dataclass
from pathlib import Path

from mnist_exp.datasets import places
from mnist_exp.datasets.description import Description
from mnist_exp.datasets.facts import Facts


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
        return [*found, places.fetched(self.name, self.description)] if self.fetch and self.roots else found

    @property
    def facts(self) -> Facts:
        """The facts, which are all in the description."""
        described = self.description
        return Facts(described.image_shape, len(described.class_names), described.train.used_count, described.fingerprint)
