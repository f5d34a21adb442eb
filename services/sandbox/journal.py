"""The messages on disk, one JSON object a line, so that a restart keeps them.

A line is handed to the system before the message is answered: killing the process loses nothing that was answered.
A last line that was cut short belongs to a message that nobody was told about: it is removed.
Lines are in files of ten thousand, named by their first message, so that old ones go by removing a file.
"""

import errno
from collections.abc import Iterator
from io import FileIO
from itertools import pairwise
from pathlib import Path

import msgspec

from services.sandbox.message import Record

LINES_IN_A_FILE = 10_000


class DamagedJournalError(Exception):
    """A line in the middle of the data is not what was written."""


class Journal:
    """Appends messages to files in a folder and reads them back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: FileIO | None = None
        self._encoder = msgspec.json.Encoder()
        self._lines = 0
        folder.mkdir(parents=True, exist_ok=True)

    def read(self) -> Iterator[Record]:
        """Read all messages, oldest first; raise DamagedJournalError where the data are not what was written."""
        decoder = msgspec.json.Decoder(Record)
        files = self._files()
        for path in files:
            good = 0
            with path.open("rb") as lines:
                for line in lines:
                    if not line.endswith(b"\n") and path == files[-1]:
                        break
                    try:
                        yield decoder.decode(line)
                    except msgspec.MsgspecError as error:
                        message = f"{path} is damaged after byte {good}: move it away to start without its messages"
                        raise DamagedJournalError(message) from error
                    good += len(line)
            if good < path.stat().st_size:
                with path.open("r+b") as file:
                    file.truncate(good)

    def append(self, record: Record) -> None:
        """Write a message; it outlives the process when this returns."""
        if self._file is None or self._lines >= LINES_IN_A_FILE:
            self.close()
            self._file = FileIO(self._path(record.message.number), "a")
            self._lines = 0
        line = self._encoder.encode(record) + b"\n"
        written = self._file.write(line)
        if written < len(line):  # the disk is full: no half lines in the middle
            self._file.truncate(self._file.tell() - written)
            raise OSError(errno.ENOSPC, "the message could not be written whole")
        self._lines += 1

    def forget_before(self, number: int) -> None:
        """Remove the files that hold only messages before this one."""
        for path, following in pairwise(self._files()):
            if int(following.stem.rpartition("-")[2]) <= number:
                path.unlink()

    def clear(self) -> None:
        """Remove all messages."""
        self.close()
        for path in self._files():
            path.unlink()

    def close(self) -> None:
        """Close the file that is written to."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _path(self, number: int) -> Path:
        return self._folder / f"messages-{number:012d}.jsonl"

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("messages-*.jsonl"))
