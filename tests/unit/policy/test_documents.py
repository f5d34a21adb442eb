"""YAML with places: strict, and safe against hostile files."""

from time import process_time

import pytest

from services.policy.check import check
from services.policy.documents import read
from tests.support import policies


def said(text: str | bytes) -> list[str]:
    return [str(mistake) for mistake in read("f.yaml", text if isinstance(text, bytes) else text.encode()).mistakes]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("yes", "yes"),
        ("true", True),
        ("~", None),
        ("17", 17),
        ("017", 17),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        ("22:00", "22:00"),
        ("2026-03-28", "2026-03-28"),
        ('"17"', "17"),
        ("0x1F", "0x1F"),
    ],
)
def test_scalars_have_the_types_of_yaml_1_2(text: str, value: object) -> None:
    root = read("f.yaml", f"key: {text}\n".encode()).root
    assert root is not None
    assert root.plain() == {"key": value}


def test_keys_are_text_as_written() -> None:
    root = read("f.yaml", b"on: 1\n1: 2\nnull: 3\n").root
    assert root is not None
    assert root.plain() == {"on": 1, "1": 2, "null": 3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", "f.yaml:2:1: a: the key 'a' stands here twice (first on line 1)"),
        ("b:\n  - {c: 1, c: 2}\n", "f.yaml:2:12: b[0].c: the key 'c' stands here twice (first on line 2)"),
        ("a: !!python/object:os.system x\n", "f.yaml:1:4: tags such as 'tag:yaml.org,2002:python/object:os.syste' are"),
        ("a: &x {b: 1}\nc: {<<: *x}\n", "f.yaml:2:5: merge keys are not allowed"),
        ("a: *nope\n", "f.yaml:1:4: there is no '&nope' before this"),
        ("a: &x [*x]\n", "f.yaml:1:8: there is no '&x' before this"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a file holds one document"),
        ("? [a]\n: 1\n", "f.yaml:1:3: a key must be text"),
        ("a: [1\nb: 2\n", "f.yaml:2:2: this is not YAML: "),
        ("a:\n\t- 1\n", "f.yaml:2:1: this is not YAML: "),
        ("", "f.yaml:1:1: the file is empty"),
        ("# nothing\n", "f.yaml:1:1: the file is empty"),
        (b"a: 1\nb: \xff\n", "f.yaml:2:1: the file is not UTF-8"),
        ("a: \x00\n", "f.yaml:1:1: this is not YAML: "),
    ],
)
def test_what_is_not_strict_yaml_is_a_mistake(text: str | bytes, expected: str) -> None:
    found = said(text)
    assert len(found) == 1
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "headline: {{ data.parcel }} is late\n",
            "1:12: a key must be text: put the whole text in quotes, one with {{ ... }} needs them",
        ),
        ("on: *\n", "1:6: this is not YAML: a text that begins with '*' or '&' needs quotes, such as \"*\""),
        ("on: *all\n", "1:5: there is no '&all' before this: a text that begins with '*' needs quotes"),
        (
            "rules:\n  - name: a\n   on: b\n",
            "3:4: this is not YAML: the indentation fits no line above: keys of one mapping begin in the same column",
        ),
        (
            "rules:\n  name: a\n  - b\n",
            "3:3: this is not YAML: this '-' does not fit the lines above: mend the indentation; a list has no keys",
        ),
        ("- a\nb: 1\n", "2:1: this is not YAML: a key where a list goes on: a '-' is missing, or mend the indentation"),
        ("a: now: b\n", "1:7: this is not YAML: a second ':' here: quote a text that has one, or mend the indentation"),
        ("a: 'it's'\n", "1:8: this is not YAML: more text after a quoted text: put the whole in quotes"),
        ("a:\n\tb: 1\n", "2:1: this is not YAML: a tab can't indent: use blanks"),
        ("a: @b\n", "1:4: this is not YAML: a text with '@' here needs quotes around the whole"),
        ('a: 1\nb: "c\nd: 2\n', "2:4: this is not YAML: this quote is never closed"),
        (
            "a: 1\nb\nc: 2\n",
            "2:1: this is not YAML: a key needs a ':' behind it; a text of several lines needs quotes or '|'",
        ),
        ("a: [1\nb: 2\n", "2:2: this is not YAML: a ',' or the closing ']' is missing before this"),
        (
            "a: > 5\n",
            "1:6: this is not YAML: a text that begins with '|' or '>' stands in the lines below, or needs quotes",
        ),
        (
            "a: - b\n",
            "1:4: this is not YAML: a list begins on the line below its key; a text that begins with '-' needs quotes",
        ),
    ],
)
def test_what_is_not_yaml_is_said_in_plain_words(text: str, expected: str) -> None:
    assert said(text) == [f"f.yaml:{expected}"]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BOMB, "stands for more than 20000 values"),
        ("a: " + "[" * 50_000, "nested more than 32 deep"),
        ("a: " + "{b: " * 50_000, "nested more than 32 deep"),
        ("a: [" + "x, " * 200_000 + "]", "stands for more than 20000 values"),
        ("- " * 20_000 + "x", "nested more than 32 deep"),
    ],
)
def test_a_hostile_file_is_refused_quickly(text: str, expected: str) -> None:
    begin = process_time()
    found = said(text)
    assert process_time() - begin < 5
    assert len(found) == 1
    assert expected in found[0]


def test_a_hostile_file_is_a_mistake_of_the_policy() -> None:
    found = check(policies.with_file("rules/20.yaml", BOMB)).mistakes
    assert [mistake.path for mistake in found] == ["rules/20.yaml"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("k: abc X\n", (1, 8)),
        ("k: 'it''s X'\n", (1, 11)),
        ('k: "a\\tb\\u00e9 X"\n', (1, 16)),
        ("k: |\n  abc\n   X\n", (3, 4)),
        ("k: >-\n  abc\n  def X\n", (3, 7)),
        ("k: abc\n  def\n  X\n", (3, 3)),
        ('k: "abc\n  def \\\n  X"\n', (3, 3)),
    ],
)
def test_a_place_inside_a_text_is_found_in_every_style(text: str, place: tuple[int, int]) -> None:
    document = read("f.yaml", text.encode())
    root = document.root
    assert root is not None
    mistake = document.mistake_inside(["k"], root.value["k"].value.index("X"), 1, "here")
    assert (mistake.line, mistake.column) == place
