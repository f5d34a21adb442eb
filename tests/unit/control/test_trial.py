"""Templates are tried in a child: a bomb ends the child, and is named."""

from pathlib import Path

import pytest
import typer

from services.control import trial
from services.control.commands_policy import check as policy_check
from services.control.errors import ClarionError
from services.control.policies import read_checked
from services.control.trial import tried, try_templates
from services.control.trial_child import DONE, WIDTH
from services.policy.check import check
from services.policy.compile import examine
from services.policy.mistakes import Mistake
from services.policy.trial import Wording, Work
from tests.support import policies

LOOP = "{% for a in range(9999) %}"
# The lint refuses all of these; here they come past it.
DOUBLING = "{% set x = namespace(v='xxxxxxxxxx') %}{% for a in range(60) %}{% set x.v = x.v ~ x.v %}{% endfor %}"


def work(*whats: str) -> Work:
    wordings = tuple(Wording(f"t{at}", "en", {"headline": "x", "what": what}) for at, what in enumerate(whats))
    return Work("en", "UTC", wordings, {}, {})


def mistake(name: str, reason: str) -> Mistake:
    return Mistake(f"templates/{name}/en.yaml", 1, 1, "", f"tried with sample data: {reason}")


@pytest.mark.parametrize(
    ("bomb", "reason"),
    [
        (DOUBLING, "it takes too much memory"),
        (LOOP + "{{ ('x' * 1000000) | upper | length }}{% endfor %}", "it takes too many steps"),
        (LOOP + "{% for b in range(9999) %}.{% endfor %}{% endfor %}", "it takes too many steps"),
        ("{{ range(9999) | list | join }}", "what is longer than 20000 characters"),
    ],
)
def test_a_bomb_is_named_and_the_others_are_tried(bomb: str, reason: str) -> None:
    (found,) = tried(work("fine", bomb, "fine"))
    # Whether the engine counts the steps or the kernel the time first is up to the machine; the engine names a line.
    whole, in_line = f"tried with sample data: {reason}", f"tried with sample data: what, line 1: {reason}"
    assert found.path == "templates/t1/en.yaml"
    assert found.message in (whole, in_line)


def test_several_bombs_are_named() -> None:
    assert tried(work(DOUBLING, "fine", DOUBLING)) == [
        mistake("t0", "it takes too much memory"),
        mistake("t2", "it takes too much memory"),
    ]


@pytest.mark.parametrize(
    "refused", ["{{ 'x' * 4000000000 }}", "{{ 9 ** 9 ** 9 }}", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"]
)
def test_what_the_engine_refuses_itself_harms_nobody(refused: str) -> None:
    assert tried(work(refused, "fine")) == []


def test_a_policy_that_is_right_passes() -> None:
    assert try_templates(examine(policies.whole())) == []
    assert check(policies.whole(), try_templates) == check(policies.whole())


def test_nothing_to_try_starts_no_child() -> None:
    assert tried(work(), run=_never) == []


def _never(_work: Work) -> tuple[int, bytes]:
    raise AssertionError


def number(index: int) -> bytes:
    return index.to_bytes(WIDTH, "big")


def test_what_a_trial_finds_is_a_mistake_of_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = number(0) + number(DONE) + b"\x81\x00\xa3bad"
    monkeypatch.setattr(trial, "_run", lambda _work: (0, answer))
    assert check(policies.whole(), try_templates).mistakes == (mistake("order", "bad"),)


def test_only_so_many_bombs_are_looked_for() -> None:
    asked: list[int] = []

    def run(left: Work) -> tuple[int, bytes]:
        asked.append(len(left.wordings))
        return -6, number(0)

    assert [found.path for found in tried(work(*["bomb"] * 9), run)] == [
        f"templates/t{at}/en.yaml" for at in range(trial.CULPRITS)
    ]
    assert asked == [9, 8, 7]


def test_a_child_that_ends_otherwise_is_not_taken_for_a_pass() -> None:
    answers = iter([(1, number(0)), (0, number(0) + number(DONE) + b"\x80")])
    assert tried(work("a", "b"), lambda _: next(answers)) == [mistake("t0", "its process ended with 1")]
    answers = iter([(0, number(0)), (0, number(0) + number(DONE) + b"\x80")])
    assert tried(work("a", "b"), lambda _: next(answers)) == [mistake("t0", "its process ended with 0")]
    with pytest.raises(ClarionError, match="the templates could not be tried: the process for it ended with -9"):
        tried(work("a"), lambda _: (-9, b""))


def folder(path: Path) -> Path:
    for name, text in policies.FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def test_a_bomb_is_found_before_a_policy_is_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_run", lambda _work: (0, number(0) + number(DONE) + b"\x81\x00\xa3bad"))
    with pytest.raises(ClarionError, match=r"templates/order/en.yaml:1:1: tried with sample data: bad"):
        read_checked(folder(tmp_path))


def test_a_bomb_is_found_by_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trial, "_run", lambda _work: (0, number(0) + number(DONE) + b"\x81\x00\xa3bad"))
    with pytest.raises(typer.Exit):
        policy_check(folder(tmp_path))
    assert capsys.readouterr().out.startswith("templates/order/en.yaml:1:1: tried with sample data: bad\n")
