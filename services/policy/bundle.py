"""The files of a policy, as they are.

A bundle is paths and bytes, nothing else; its hash depends on these alone, so that the same policy has the same hash
everywhere. Only the kinds of files that a policy knows are read; a file with another name in a place of the policy is
a mistake, not ignored. A folder that reaches outside itself, or is far too big to be a policy, is refused at once.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from itertools import islice
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
    mistakes: list[Mistake] = []
    files: dict[str, bytes] = {}
    size = 0
    for file, name in islice(_files(root), FILE_COUNT_LIMIT + 1):
        mistake = _refusal(file, root)
        if mistake:
            mistakes.append(Mistake(name.encode(errors="replace").decode(), 1, 1, "", mistake))
            continue
        content = file.read_bytes()
        size += len(content)
        if size > BUNDLE_LIMIT:
            mistakes.append(Mistake(name, 1, 1, "", f"the policy is larger than {BUNDLE_LIMIT} bytes up to here"))
            break
        files[name] = content
    if mistakes:
        raise PolicyError(mistakes)
    return Bundle(files)


def _files(root: Path) -> list[tuple[Path, str]]:
    # Hidden files (.git, .swp) belong to tools. Folders that are links aren't walked by rglob, hence listed as files.
    found = []
    # Bounded before it is sorted: the folder may be a whole disk.
    for file in sorted(islice(root.rglob("*"), _ENTRY_LIMIT)):
        relative = file.relative_to(root)
        if any(part.startswith(".") for part in relative.parts) or (file.is_dir() and not file.is_symlink()):
            continue
        if file.suffix in {".yaml", ".yml"} or file.is_symlink():
            found.append((file, relative.as_posix()))
    return found


def _refusal(file: Path, root: Path) -> str:
    try:
        file.name.encode()
        target = file.resolve()
    except (UnicodeEncodeError, OSError, RuntimeError):
        return "the name is not UTF-8, or the link leads nowhere"
    if not target.is_relative_to(root):
        return "the link leaves the folder of the policy"
    if not target.is_file():
        return "this is not a regular file"
    if target.stat().st_size > FILE_LIMIT:
        return f"the file is larger than {FILE_LIMIT} bytes"
    return ""
