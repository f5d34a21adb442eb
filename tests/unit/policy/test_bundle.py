"""The files of a policy."""

from pathlib import Path

import pytest

from services.policy import bundle
from services.policy.bundle import FILE_LIMIT, Bundle, read_folder
from services.policy.mistakes import PolicyError


def test_the_hash_does_not_depend_on_the_order_of_files() -> None:
    one = Bundle({"a.yaml": b"1", "b.yaml": b"2"})
    assert one.hash == Bundle({"b.yaml": b"2", "a.yaml": b"1"}).hash
    assert one.hash == Bundle.from_files(one.files).hash
    assert len(bytes.fromhex(one.hash)) == 20


@pytest.mark.parametrize(
    "files",
    [{"a.yaml": b"1", "b.yaml": b"3"}, {"a.yaml": b"1", "c.yaml": b"2"}, {"a.yaml": b"1b.yaml2"}, {"a.yaml": b"1"}],
)
def test_the_hash_depends_on_every_path_and_byte(files: dict[str, bytes]) -> None:
    assert Bundle(files).hash != Bundle({"a.yaml": b"1", "b.yaml": b"2"}).hash


def test_a_folder_is_read_with_its_paths(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "10.yaml").write_bytes(b"rules: []\n")
    (tmp_path / "clarion.yaml").write_bytes(b"tenant: x\n")
    (tmp_path / "README.md").write_bytes(b"for people")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yaml").write_bytes(b"not ours")
    assert read_folder(tmp_path).files == {"clarion.yaml": b"tenant: x\n", "rules/10.yaml": b"rules: []\n"}


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"x")
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    assert read_folder(tmp_path).files == {"a.yaml": b"x", "b.yaml": b"x"}


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside.yaml", "/etc"])
def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "policy"
    folder.mkdir()
    (tmp_path / "outside.yaml").write_bytes(b"secret")
    (folder / "link.yaml").symlink_to(target)
    with pytest.raises(PolicyError, match=r"^link.yaml:1:1: the link leaves the folder of the policy$"):
        read_folder(folder)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "big.yaml").open("wb") as file:
        file.truncate(FILE_LIMIT + 1)
    with pytest.raises(PolicyError, match=r"^big.yaml:1:1: the file is larger than 1048576 bytes$"):
        read_folder(tmp_path)


def test_a_policy_that_is_too_large_is_refused(tmp_path: Path) -> None:
    for number in range(11):
        with (tmp_path / f"{number:02}.yaml").open("wb") as file:
            file.truncate(FILE_LIMIT)
    with pytest.raises(PolicyError, match=r"10.yaml:1:1: the policy is larger than 10485760 bytes up to here"):
        read_folder(tmp_path)


def test_a_folder_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="there is no such folder"):
        read_folder(tmp_path / "nowhere")


def test_a_folder_with_far_too_much_in_it_is_refused_and_not_read_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "_ENTRY_LIMIT", 3)
    (tmp_path / ".git").mkdir()
    for number in range(5):
        (tmp_path / ".git" / f"{number}").write_bytes(b"")
    (tmp_path / "clarion.yaml").write_bytes(b"tenant: x\n")
    assert read_folder(tmp_path).files == {"clarion.yaml": b"tenant: x\n"}
    for number in range(2):
        (tmp_path / f"{number}.txt").write_bytes(b"")
    with pytest.raises(PolicyError, match=r"^clarion.yaml:1:1: the folder has more than 3 files and folders$"):
        read_folder(tmp_path)


def test_a_file_of_just_the_limit_is_taken(tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_bytes(b"x" * (FILE_LIMIT + 1))
    (tmp_path / "full.yaml").write_bytes(b"x" * FILE_LIMIT)
    with pytest.raises(PolicyError) as caught:
        read_folder(tmp_path)
    assert [mistake.path for mistake in caught.value.mistakes] == ["big.yaml"]
