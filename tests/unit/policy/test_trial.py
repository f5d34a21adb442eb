"""Trying templates with sample data: what takes too much is said, what depends on the data is not."""

from typing import Any

import pytest

from services.policy.bundle import Bundle
from services.policy.compile import examine
from services.policy.trial import Trial, Wording, Work, work_of
from tests.support import policies

LIST = {"l": ["xx"] * 100}
LOOP = "{% for x in data.l %}"


def reasons(*wordings: Wording, data: Any = LIST) -> list[str]:
    trial = Trial(Work("en", "UTC", wordings, {"t": (data,)}, {}))
    return [trial.reason(index) for index in range(len(wordings))]


def wording(what: str, name: str = "x", **parts: str) -> Wording:
    return Wording(name, "en", {"headline": "x", "what": what, **parts}, ("t",))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("{{ data.l | join }}", ""),
        (f"{LOOP}{{{{ x }}}}{{% endfor %}}", ""),
        (f"{LOOP * 2}{{{{ x }}}}{'{% endfor %}' * 2}", "what, line 1: it takes too many steps"),
        (f"{LOOP}{'y' * 300}{{% endfor %}}", "what is longer than 20000 characters"),
        ("{{ data.l | money('x') }}", ""),
        ("{{ data.nothing }}", ""),
    ],
)
def test_what_takes_too_much_is_said(what: str, expected: str) -> None:
    assert reasons(wording(what)) == [expected]


def test_an_override_is_tried_too() -> None:
    assert reasons(wording("y", sms=f"{LOOP * 3}{{{{ x }}}}{'{% endfor %}' * 3}")) == [
        "sms, line 1: it takes too many steps"
    ]


def test_one_that_takes_too_much_does_not_hide_another() -> None:
    bomb = f"{LOOP * 3}{{{{ x }}}}{'{% endfor %}' * 3}"
    assert reasons(wording(bomb, "a"), wording("fine", "b"), wording(bomb, "c")) == [
        "what, line 1: it takes too many steps",
        "",
        "what, line 1: it takes too many steps",
    ]


def test_long_data_is_no_fault_of_the_template_but_too_many_steps_are() -> None:
    trial = Trial(Work("en", "UTC", (wording("{{ data.l | join }}"),), {"t": (LIST, {"l": ["x" * 999] * 99})}, {}))
    assert trial.reason(0) == ""
    steps = wording(f"{LOOP}{'{% if x %}{{ x }}{% endif %}' * 9}{{% endfor %}}")
    assert Trial(Work("en", "UTC", (steps,), {"t": ({"l": ["x"]}, {"l": [""] * 9_999})}, {})).reason(0) == (
        "what, line 1: it takes too many steps"
    )


def test_the_digest_is_tried_with_many_messages() -> None:
    item = wording("y" * 100, "item")
    digest = Wording("digest", "en", {"headline": "{{ more }}", "what": "{% for i in items %}{{ i.what }}{% endfor %}"})
    assert reasons(item, digest) == ["", ""]
    endless = Wording("digest", "en", {"headline": "x", "what": f"{'z' * 19_920}{digest.parts['what']}"})
    assert reasons(item, endless) == ["", "what is longer than 20000 characters"]


def test_the_work_is_the_templates_without_mistakes() -> None:
    files = {**policies.FILES, "templates/bad/en.yaml": "headline: '{{ data.x'\nwhat: x\n"}
    work = work_of(examine(Bundle({path: text.encode() for path, text in files.items()})))
    assert [(each.name, each.locale, each.types) for each in work.wordings] == [("order", "en", ("acme.order",))]
    assert work.customer["attributes"] == {"plan": "sample", "since": "2026-03-28"}
    assert work.samples["acme.order"][0] == {"order": "x", "count": 1}
    assert Trial(work).reason(0) == ""


def test_a_policy_that_can_not_be_read_leaves_nothing_to_try() -> None:
    assert work_of(examine(policies.changed("clarion.yaml", "tenant: acme", "tenant: 3"))).wordings == ()
