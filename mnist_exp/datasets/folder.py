"""A folder for each class, in train/ and test/ or in one tree, with an image in each file."""

import os
from pathlib import Path

import numpy as np

from mnist_exp.datasets import decoding, image_groups, pictures
from mnist_exp.datasets.classes import MAX_CLASSES, SHOWN, natural, normalize
from mnist_exp.datasets.content import Content, Part, check_exists, reading
from mnist_exp.datasets.sources import OwnSet
from mnist_exp.errors import InputError
from mnist_exp.terminal.messages import join_some, pluralize

TRAIN, TEST = "train", "test"
IGNORED = frozenset({"thumbs.db", "desktop.ini", "__macosx"})  # files of systems; names that begin with a dot too
MAX_DEPTH = 50  # folders within the folder of a class
LAYOUT = "allowed: a folder for each class, or train/ and test/ with a folder for each class"


class Folder:
    """The image files of a folder in natural order, those for training first."""

    def __init__(self, source: OwnSet) -> None:
        """Find all files; a directory that is not a class is reported.

        Raises:
            InputError: the folders are not those of classes.
        """
        self.source = source
        self.root = Path(source.path)
        self.warnings: list[str] = []
        check_exists(self.root, True, "a directory with a folder for each class")
        top, _ = self._entries(str(self.root), images_allowed=False)
        if TEST in top and TRAIN not in top:
            raise InputError(f"{self.root}: has test/ but no train/", LAYOUT)
        if TRAIN in top:
            if others := [name for name in top if name not in (TRAIN, TEST)]:
                self.warnings.append(f"{self.root}: not used, beside train/ and test/: {join_some(others, SHOWN)}")
            classes = self._classes(top[TRAIN])
            test_classes = self._classes(top[TEST]) if TEST in top else None
        else:
            classes, test_classes = self._classes(str(self.root)), None
        self.class_names = tuple(classes)
        if test_classes is not None:
            _check_same_classes(self.root, classes, test_classes)
        others = []
        train = [self._images(directory, others) for directory in classes.values()]
        test = [self._images(test_classes[name], others) for name in classes] if test_classes is not None else []
        if others:
            names = join_some([relative(path, self.root) for path in others], SHOWN)
            self.warnings.append(f"{pluralize(len(others), 'file')} without a name of {pictures.names()}, not used: {names}")
        self.images = [path for paths in [*train, *test] for path in paths]
        self.labels = np.repeat(np.arange(len(train + test)) % max(1, len(train)), [len(paths) for paths in [*train, *test]])
        self.train_count = sum(map(len, train))
        self.has_test = test_classes is not None
        self.files = [*self.images, *classes.values(), *(test_classes or {}).values()]

    def read(self) -> Content:
        """Read all images.

        Raises:
            InputError: their sizes differ, or they cannot be used.
            IntegrityError: more of them cannot be read than the settings allow.
        """
        images, kept, warnings = decoding.read(self.source, self.images)
        names = [relative(self.images[index], self.root) for index in kept]
        labels, count = self.labels[kept], int((kept < self.train_count).sum())
        rule = self.source.groups
        groups = None if rule is None else image_groups.numbers(rule, [name.replace(os.sep, "/") for name in names])

        def part(chosen: slice) -> Part:
            return Part(images[chosen], labels[chosen], names[chosen], None if groups is None else groups[chosen])

        test = part(slice(count, None)) if self.has_test else None
        train = part(slice(count))
        return Content(train, test, self.class_names, [*self.warnings, *warnings])

    def _entries(self, directory: str, images_allowed: bool) -> tuple[dict[str, str], list[str]]:
        """Return the folders, by name, and the files of a directory, both in natural order."""
        folders, others = {}, []
        with reading(directory), os.scandir(directory) as entries:
            for entry in sorted(entries, key=lambda entry: natural(entry.name)):
                if entry.name.startswith(".") or entry.name.lower() in IGNORED:
                    continue
                if entry.is_dir():
                    folders[entry.name] = entry.path
                else:
                    others.append(entry.path)
        loose = [path for path in others if path.lower().endswith(pictures.SUFFIXES)]
        if loose and not images_allowed:
            name = relative(loose[0], self.root)
            raise InputError(f"{directory}: {pluralize(len(loose), 'image')} in no class, such as {name}", LAYOUT)
        return folders, others

    def _classes(self, directory: str) -> dict[str, str]:
        """Return the folder of each class."""
        folders, _ = self._entries(directory, images_allowed=False)
        if not folders:
            raise InputError(f"{directory}: contains no folders", LAYOUT)
        if len(folders) > MAX_CLASSES:
            raise InputError(f"{directory}: has {len(folders):,} classes", f"allowed: 2 to {MAX_CLASSES:,} classes")
        classes = {normalize(name): path for name, path in folders.items()}
        if len(classes) < len(folders):  # an é may be one character or two
            same = next(name for name in folders if name not in classes)
            raise InputError(f"{directory}: two folders have the name {normalize(same)}", "move their images into one")
        return classes

    def _images(self, directory: str, others: list[str], above: tuple[tuple[int, int], ...] = ()) -> list[str]:
        """Return the image files in a folder and the folders in it; other files are added to `others`."""
        with reading(directory):
            status = os.stat(directory)  # noqa: PTH116  (of thousands of folders)
        this = status.st_dev, status.st_ino
        if this in above:
            raise InputError(f"{directory}: is a link to a folder that contains it", "remove the link")
        if len(above) >= MAX_DEPTH:
            raise InputError(f"{directory}: is in {MAX_DEPTH} folders within a class", "move its images to the class")
        folders, files = self._entries(directory, images_allowed=True)
        found = [path for path in files if path.lower().endswith(pictures.SUFFIXES)]
        others += [path for path in files if not path.lower().endswith(pictures.SUFFIXES)]
        for folder in folders.values():
            found += self._images(folder, others, (*above, this))
        return found


def _check_same_classes(root: Path, train: dict[str, str], test: dict[str, str]) -> None:
    """Refuse classes that only the training images or only the test images have."""
    if unknown := [name for name in test if name not in train]:
        raise InputError(
            f"{root}: {join_some(unknown, SHOWN)} in test/, but not in train/",
            f"use the same folders in both; train/ has {join_some(list(train), SHOWN)}",
        )
    if lacking := [name for name in train if name not in test]:
        raise InputError(
            f"{root}: no test images of class {join_some(lacking, SHOWN)}",
            "add them to test/; or remove test/, and test images are drawn: dataset.test_share",
        )


def relative(path: str, root: Path) -> str:
    """Return a path below the folder, for messages."""
    return os.path.relpath(path, root)
