"""Sizes of what goes into the image, as a report for the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest

from ...core.metering.reading import file_count
from ..settings.data_settings import proposed_name
from .large_data import LeftOut
from .project_file import ProjectFile

LARGEST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class SizeReport:
    """Number and size of the files that go into the image, and the large data that doesn't.

    Attributes:
        files: Number of files.
        size: Bytes.
        largest: Path and bytes of the ten largest files.
        left_out: Large data; `include` in the settings takes them along.
    """

    files: int
    size: int
    largest: tuple[tuple[str, int], ...]
    left_out: tuple[LeftOut, ...]

    @classmethod
    def of(cls, files: Sequence[ProjectFile], left_out: Sequence[LeftOut] = ()) -> SizeReport:
        """The report on these files, sorted by path."""
        sizes = [file.size for file in files]
        largest = nlargest(LARGEST_SHOWN, range(len(sizes)), key=sizes.__getitem__)
        shown = tuple((files[place].path, sizes[place]) for place in largest)
        return cls(len(files), sum(sizes), shown, tuple(left_out))

    def lines(self) -> Iterator[str]:
        """One line for all files, and one for each file or folder that was left out."""
        largest = f"; the largest is {self.largest[0][0]} with {megabytes(self.largest[0][1])}" if self.largest else ""
        yield f"{file_count(self.files)} with {megabytes(self.size)}{largest}"
        for item in self.left_out:
            what = f"{item.files:,} data files" if item.path.endswith("/") else "data"
            yield (
                f"left out: {item.path}, {megabytes(item.size)} of {what}; the job won't have them."
                f' To send them as a data set: {proposed_name(item.path)} = "{item.path}"'
                " under [tool.vertex-training.data];"
                f' into the image: include = ["/{item.path}"] under [tool.vertex-training]'
            )


def megabytes(size: int) -> str:
    """A number of bytes in MB (10^6 bytes), or in kB if it is below 1 MB."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"
