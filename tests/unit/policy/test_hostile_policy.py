"""Hostile policies: a clear mistake, and bounded memory, whatever a file contains.

The check of all of them runs in one process whose memory is limited, so that a bomb ends these tests and not the run.
"""

import resource
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from services.policy.bundle import Bundle, read_folder
from services.policy.check import check
from services.policy.mistakes import PolicyError
from tests.support import policies

ROOT = Path(__file__).parents[3]
CHECK = """
import sys
import msgspec
from services.policy.check import check
from tests.support import policies
said = []
for path, content in msgspec.msgpack.decode(sys.stdin.buffer.read()):
    said.append([str(mistake) for mistake in check(policies.with_file(path, content)).mistakes[:20]])
sys.stdout.buffer.write(msgspec.msgpack.encode(said))
"""
TEMPLATE = policies.FILES["templates/order/en.yaml"]


def _small() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 29, 1 << 29))


ITEMS = "{% if data.items %}{% for x in data.items %}"
LAUGHS = "lol: &a [lol, lol]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

TEMPLATES = [
    (f"{ITEMS}{{% for y in data.items %}}.{{% endfor %}}{{% endfor %}}{{% endif %}}", "a loop inside a loop"),
    ("{% for x in range(100000000) %}xxxxxxxx{% endfor %}", "'call' is not allowed"),
    ("{{ 'x' * 4000000000 }}", "'mul' is not allowed"),
    ("{% set x = 'xx' %}{% set x = x ~ x %}", "'assign' is not allowed"),
    ("{{ range(100000000) | join }}", "'call' is not allowed"),
    ("{{ [1, 2, 3] | join }}", "'list' is not allowed"),
    ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "'macro' is not allowed"),
    ("{% include 'order/en/what' %}", "'include' is not allowed"),
    ("{% if data.count %}" * 4_000 + "{% endif %}" * 4_000, "longer than 20000 characters"),
    ("{% if data.count %}" * 600 + "{% endif %}" * 600, ""),
    ("{{ " + "(" * 4_000 + "1" + ")" * 4_000 + " }}", ""),
    ("{{ " + "-" * 9_000 + "1 }}", ""),
    ("{{ " + "not " * 4_000 + "data.count }}", ""),
    ("{{ data" + ".a" * 4_000 + " }}", ""),
    ("{{ data.count " + "| number " * 2_000 + "}}", ""),
    ("{% if data.order in [" + "'x', " * 3_000 + "] %}x{% endif %}", None),
    ("{{ '" + "x" * 19_000 + "' }}", None),
]


FILES: list[tuple[str, str | bytes, str]] = [
    ("rules/20.yaml", b"a: " + b"x" * (9 << 20), "rules/20.yaml:1:1: the file is larger than 1048576 bytes"),
    ("rules/20.yaml", b"- a\n" * 250_000, "the file stands for more than 20000 values"),
    ("rules/20.yaml", LAUGHS, "the file stands for more than 20000 values"),
    ("rules/20.yaml", "a: &a [*a]\n", "there is no '&a' before this"),
    ("rules/20.yaml", "[" * 200_000, "values are nested more than 32 deep"),
    ("rules/20.yaml", "{a: " * 200_000, "values are nested more than 32 deep"),
    ("rules/20.yaml", "\n".join(" " * depth + "a:" for depth in range(1_000)), "values are nested more than 32 deep"),
    ("rules/20.yaml", "rules: []\n".encode("utf-16"), "rules/20.yaml:1:1: the file is not UTF-8"),
    ("rules/20.yaml", "rules: []\n".encode("utf-16-le"), "rules/20.yaml:1:1: this is not YAML: "),
    ("rules/20.yaml", "rules: [] # größer\n".encode("latin-1"), "rules/20.yaml:1:1: the file is not UTF-8"),
    ("rules/20.yaml", b"rules: [] # \x00\n", "rules/20.yaml:1:1: this is not YAML: "),
    ("rules/20.yaml", b"rules: [] # \x1b[2J\n", "rules/20.yaml:1:1: this is not YAML: "),
    ("rules/20.yaml", b"rules: []\n\xed\xa0\x80", "rules/20.yaml:2:1: the file is not UTF-8"),
]


@pytest.fixture(scope="module")
def said() -> list[list[str]]:
    """Return what the check says of the small policy with each template, then with each file, in little memory."""
    bombs = [TEMPLATE.replace("{{ data.count | number }}", source) for source, _ in TEMPLATES]
    cases = [("templates/order/en.yaml", text.encode()) for text in bombs]
    cases += [(path, text if isinstance(text, bytes) else text.encode()) for path, text, _ in FILES]
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        input=msgspec.msgpack.encode(cases),
        capture_output=True,
        cwd=ROOT,
        timeout=120,
        preexec_fn=_small,
        check=False,
    )
    assert (done.stderr, done.returncode) == (b"", 0)
    return msgspec.msgpack.decode(done.stdout, type=list[list[str]])


@pytest.mark.parametrize("index", range(len(TEMPLATES)))
def test_a_template_bomb_is_a_mistake_of_its_file(said: list[list[str]], index: int) -> None:
    found, expected = said[index], TEMPLATES[index][1]
    if expected is None:  # long, but harmless
        assert found == []
        return
    assert found
    assert all(line.startswith("templates/order/en.yaml:") for line in found)
    assert any(expected in line for line in found)


@pytest.mark.parametrize("index", range(len(FILES)))
def test_a_hostile_file_is_a_mistake_of_that_file(said: list[list[str]], index: int) -> None:
    path, _, expected = FILES[index]
    (line,) = [line for line in said[len(TEMPLATES) + index] if line.startswith(f"{path}:")]
    assert expected in line


def test_a_byte_order_mark_is_taken_as_what_it_is() -> None:
    marked = b"\xef\xbb\xbf" + policies.FILES["clarion.yaml"].encode()
    assert check(policies.with_file("clarion.yaml", marked)).mistakes == ()


@pytest.mark.parametrize("target", ["/etc/hostname", "../secret.yaml", "../secret", "loop.yaml"])
def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "policy"
    (folder / "rules").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "10.yaml").write_text("password: 1")
    (tmp_path / "secret.yaml").write_text("password: 1")
    (folder / "loop.yaml").symlink_to(target if target != "loop.yaml" else folder / "loop.yaml")
    with pytest.raises(PolicyError) as caught:
        read_folder(folder)
    (mistake,) = caught.value.mistakes
    assert (mistake.path, mistake.line) == ("loop.yaml", 1)
    assert mistake.message in {
        "the link leaves the folder of the policy",
        "the name is not UTF-8, or the link leads nowhere",
    }


def test_a_folder_with_too_many_files_is_refused() -> None:
    files = {f"rules/{number:05}.yaml": b"rules: []\n" for number in range(2_001)}
    assert "the policy has more than 2000 files" in [mistake.message for mistake in check(Bundle(files)).mistakes]
