"""What is known of a data set before its images are loaded, for checks of a configuration."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """The facts of one data set. Settings that differ only in where the data are have the same fingerprint."""

    image_shape: tuple[int, int, int]  # height, width, channels
    class_names: tuple[str, ...]
    train_images: int
    fingerprint: str  # SHA-256 of what defines the data
    has_groups: bool = False  # whether it is known which images have the same source

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)
