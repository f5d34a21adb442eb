"""The files of a policy, as they are.

A bundle is paths and bytes, nothing else; its hash depends on these alone, so that the same policy has the same hash
everywhere. Only the kinds of files that a policy knows are read; a file with another name in a place of the policy is
a mistake, not ignored. A folder that reaches outside itself, or is far too big to be a policy, is refused at once.
"""

import hashlib
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from services.policy.mistakes import Mistake, PolicyError

FILE_LIMIT = 1 << 20
BUNDLE_LIMIT = 10 << 20
FILE_COUNT_LIMIT = 2_000
_ENTRY_LIMIT = 20_000


class Bundle:
    """The files of one policy by their path inside the folder."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files: Mapping[str, bytes] = {path: bytes(files[path]) for path in sorted(files)}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> "Bundle":
        """Build a bundle of what a record or a test holds."""
        return cls(files)

    @cached_property
    def hash(self) -> str:
        """Content hash in hex: the same for the same paths and bytes, in whatever order they came."""
        digest = hashlib.blake2b(digest_size=20)
        for path, content in self.files.items():
            name = path.encode()
            digest.update(len(name).to_bytes(8, "big") + name + len(content).to_bytes(8, "big") + content)
        return digest.hexdigest()

    def mistakes(self) -> list[Mistake]:
        """Return what is wrong with the files as files."""
        found = [
            Mistake(path, 1, 1, "", f"the file is larger than {FILE_LIMIT} bytes")
            for path, content in self.files.items()
            if len(content) > FILE_LIMIT
        ]
        if sum(map(len, self.files.values())) > BUNDLE_LIMIT:
            found.append(Mistake("clarion.yaml", 1, 1, "", f"the policy is larger than {BUNDLE_LIMIT} bytes"))
        if len(self.files) > FILE_COUNT_LIMIT:
            found.append(Mistake("clarion.yaml", 1, 1, "", f"the policy has more than {FILE_COUNT_LIMIT} files"))
        return found


def read_folder(path: Path | str) -> Bundle:
    """Read a policy from a folder; raise PolicyError when it can't be taken as files."""
    root = Path(path).resolve()
    if not root.is_dir():
        raise PolicyError([Mistake(str(path), 1, 1, "", "there is no such folder")])
    found, mistakes = _files(root)
    files: dict[str, bytes] = {}
    size = 0
    for file, name in found[: FILE_COUNT_LIMIT + 1]:
        try:
            content = _content(file, root)
        except _RefusedError as refused:
            mistakes.append(Mistake(_shown(name), 1, 1, "", str(refused)))
            continue
        size += len(content)
        if size > BUNDLE_LIMIT:
            mistakes.append(Mistake(name, 1, 1, "", f"the policy is larger than {BUNDLE_LIMIT} bytes up to here"))
            break
        files[name] = content
    if mistakes:
        raise PolicyError(mistakes)
    return Bundle(files)


class _RefusedError(Exception):
    """A file can't be part of a policy; the text says why."""


def _files(root: Path) -> tuple[list[tuple[Path, str]], list[Mistake]]:
    """Return the files that matter, sorted, and what could not be looked at; links are files, wherever they lead."""
    found: list[tuple[Path, str]] = []
    mistakes: list[Mistake] = []
    folders, seen = [root], 0
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    seen += 1
                    if seen > _ENTRY_LIMIT:  # the folder may be a whole disk
                        message = f"the folder has more than {_ENTRY_LIMIT} files and folders"
                        return [], [Mistake("clarion.yaml", 1, 1, "", message)]
                    file = folder / entry.name
                    if entry.name.startswith("."):  # .git, .swp: these belong to tools
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(file)
                    elif file.suffix in {".yaml", ".yml"} or entry.is_symlink():
                        found.append((file, file.relative_to(root).as_posix()))
        except OSError as error:
            name = _shown(folder.relative_to(root).as_posix())
            mistakes.append(Mistake(name, 1, 1, "", f"the folder can't be read: {error.strerror}"))
    return sorted(found), mistakes


def _content(file: Path, root: Path) -> bytes:
    try:
        file.name.encode()
        target = file.resolve()
    except (UnicodeEncodeError, OSError, RuntimeError):
        raise _RefusedError("the name is not UTF-8, or the link leads nowhere") from None
    if not target.is_relative_to(root):
        raise _RefusedError("the link leaves the folder of the policy")
    try:
        if not target.is_file():
            raise _RefusedError("this is not a regular file")
        with target.open("rb") as opened:
            content = opened.read(FILE_LIMIT + 1)
    except OSError as error:
        raise _RefusedError(f"the file can't be read: {error.strerror}") from None
    if len(content) > FILE_LIMIT:
        raise _RefusedError(f"the file is larger than {FILE_LIMIT} bytes")
    return content


def _shown(name: str) -> str:
    # What is not UTF-8 in a name is half characters here, which nobody can write.
    return name.encode(errors="replace").decode()
