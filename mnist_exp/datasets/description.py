"""The description of a data set: its files with their hashes, its classes, and how its labels and images are stored.

It is the section `description` of a YAML file in `conf/dataset/`. A key with a default is a fact that not every set has.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

# No part of a path begins with a dot, so none leads out of a directory.
RelativePath = Annotated[
    str,
    Field(
        pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$",
        max_length=200,
        description="a relative path of letters, digits, '.', '_', '-' and '/'",
    ),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="32 hexadecimal digits")]
Address = Annotated[
    str,
    Field(
        pattern=r"^https?://[A-Za-z0-9._-]+(:\d{1,5})?/([A-Za-z0-9._~/-]*/)?$",
        max_length=500,
        description="the address of a directory, such as https://example.org/data/",
    ),
]
Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,1000}$", description="text on one line")]
ClassName = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,100}$", description="text on one line")]
Side = Annotated[int, Field(ge=1, le=256)]
Channels = Annotated[int, Field(ge=1, le=3)]


def integers(count: int, least: int) -> WithJsonSchema:
    """Return the schema of a list of integers; Pydantic's own schema of a tuple does not describe its items as such."""
    return WithJsonSchema(
        {"type": "array", "items": {"type": "integer", "minimum": least}, "minItems": count, "maxItems": count}
    )


class Fact(BaseModel):
    """The base class of all parts of a description: no conversion of types, no changes, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class OfferedFile(Fact):
    """A file as it is offered: its path below each address, its size, and a published hash."""

    path: RelativePath
    bytes: Annotated[int, Field(ge=1, le=2**36)] | None = None
    sha256: Sha256 | None = None
    md5: Md5 | None = None  # where no SHA-256 is published

    @property
    def name(self) -> str:
        """The name of the file, without directories."""
        return self.path.rpartition("/")[2]


class DataFile(OfferedFile):
    """An IDX file, usually compressed. In an archive: its path in the archive, and no size or hash of its own."""

    content_sha256: Sha256 | None = None  # of the uncompressed content, where it is published

    @property
    def content_path(self) -> str:
        """The path of the uncompressed file."""
        return self.path.removesuffix(".gz")


class Part(Fact):
    """The training or the test images."""

    count: Annotated[int, Field(ge=2, le=2**28)]  # images in the file
    use: Annotated[tuple[int, int], Field(strict=False), integers(2, 0)] | None = (
        None  # first image, and the one after the last
    )
    images: DataFile
    labels: DataFile

    @property
    def used(self) -> slice:
        """The images used."""
        return slice(*(self.use or (0, self.count)))

    @property
    def used_count(self) -> int:
        """The number of images used."""
        return self.used.stop - self.used.start  # type: ignore[no-any-return]

    @model_validator(mode="after")
    def _check_use(self) -> "Part":
        if self.use is not None and not 0 <= self.use[0] < self.use[1] <= self.count:
            raise ValueError(f"use must be two numbers from 0 to {self.count}, the second larger")
        return self


class Description(Fact):
    """All facts about a data set that its files do not contain."""

    licence: Text
    attribution: Text
    addresses: Annotated[tuple[Address, ...], Field(strict=False, max_length=16)]  # of the files, tried in order
    directory: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,59}$")] | None = None  # of sets that share files
    archive: OfferedFile | None = None  # a ZIP file that contains all files
    image_shape: Annotated[tuple[Side, Side, Channels], Field(strict=False), integers(3, 1)]  # height, width, channels
    transposed: bool  # whether images are stored column by column
    ink: bool = True  # whether grey images are ink on paper, and are shown dark on light
    handwriting: bool = False  # whether the images are handwriting in the form of MNIST's: pictures can be normalised to it
    labels_from: Annotated[int, Field(ge=0, le=1000)]  # the label of the first class
    label_column: Annotated[int, Field(ge=0, le=63)] | None  # of labels that are rows of numbers; null: they are numbers
    group_column: Annotated[int, Field(ge=0, le=63)] | None = None  # of labels: the group of the image, such as its writer
    class_names: Annotated[tuple[ClassName, ...], Field(strict=False, min_length=2, max_length=1000)]
    train: Part
    test: Part

    def part_of(self, file: DataFile) -> Part:
        """Return the part to which a file belongs."""
        return self.train if file.path in (self.train.images.path, self.train.labels.path) else self.test

    @property
    def files(self) -> tuple[DataFile, DataFile, DataFile, DataFile]:
        """Training images, training labels, test images, test labels."""
        return self.train.images, self.train.labels, self.test.images, self.test.labels

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all facts that define the data; the places and names of the files are not among them."""
        return hashlib.sha256(json.dumps(list(self._defining()), separators=(",", ":")).encode()).hexdigest()

    def _defining(self) -> Iterator[Any]:
        yield [self.image_shape, self.transposed, self.labels_from, self.label_column, self.class_names]
        if self.group_column is not None:
            yield {"group_column": self.group_column}
        yield [[part.used.start, part.used.stop] for part in (self.train, self.test)]
        for file in self.files:
            yield file.content_sha256 or file.sha256 or file.md5 or [self.archive and self.archive.sha256, file.path]

    @model_validator(mode="after")
    def _check_files(self) -> "Description":
        if len({file.content_path for file in self.files}) < len(self.files):
            raise ValueError("two files have the same path")
        if self.group_column is not None and self.label_column is None:
            raise ValueError("group_column needs label_column: the labels must be rows of numbers")
        for file in self.files if self.archive is None else (self.archive,):
            if not (file.sha256 or file.md5 or getattr(file, "content_sha256", None)):
                raise ValueError(
                    f"{file.path} needs sha256, md5 or content_sha256: a file without a hash cannot be verified"
                )
        return self
