"""From template to text: no holes, no injection, no runaway."""

import json
import resource
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from services.policy import formats
from services.policy.mistakes import PolicyError
from services.policy.schemas import Field, Kind, Schema
from services.policy.template_walk import Names, faults
from services.policy.templates import Content, RenderError, Templates, compile_templates
from tests.support import policies

EVENT = {
    "id": "o1",
    "source": "oms",
    "type": "acme.order",
    "subject": "INC 7/8",
    "time": "2026-03-28T21:30:00Z",
    "lifecycle": "opened",
    "severity": "major",
    "tenant": "acme",
}


def templates(**parts: str) -> Templates:
    wording = policies.FILES["templates/order/en.yaml"].splitlines()
    lines = [line for line in wording if line.partition(":")[0] not in parts]
    lines += [f"{part}: {text}" for part, text in parts.items() if text]
    return compile_templates(policies.with_file("templates/order/en.yaml", "\n".join(lines) + "\n"))


def rendered(channel: str = "email", locale: str = "en", zone: str = "Europe/Berlin", /, **data: Any) -> Content:
    return compile_templates(policies.whole()).render("order", channel, locale, context(zone, **data))


def context(zone: str = "Europe/Berlin", /, **data: Any) -> dict[str, Any]:
    return {"event": EVENT, "data": {"order": "A1", "count": 1200, **data}, "customer": {"timezone": zone}}


def test_all_parts_make_the_text_and_the_html() -> None:
    content = rendered(due_at="2026-03-29T05:00:00Z")
    assert content.headline == "Order A1"
    assert content.text == "1,200 parts.\n\nBy 7:00 AM.\n\nSee it: https://acme.example/A1\n"
    assert dict(content.parts) == {
        "headline": "Order A1",
        "what": "1,200 parts.",
        "next": "By 7:00 AM.",
        "action.label": "See it",
        "action.url": "https://acme.example/A1",
    }
    for text in content.parts.values():
        assert text in content.html


def test_an_absent_optional_value_leaves_no_hole() -> None:
    for content in (rendered(), rendered(due_at=None)):
        assert content.text == "1,200 parts.\n\nSee it: https://acme.example/A1\n"
        assert "None" not in content.html


def test_a_value_that_is_missing_at_send_time_is_an_error() -> None:
    with pytest.raises(RenderError, match=r"^order/en: headline, line 1: a value is missing$"):
        compile_templates(policies.whole()).render("order", "email", "en", {"event": EVENT, "data": {"count": 1}})


def test_a_value_of_another_kind_is_an_error_that_does_not_tell_it() -> None:
    with pytest.raises(RenderError, match=r"^order/en: what: this is not a number$"):
        rendered(count="secret")
    with pytest.raises(RenderError, match=r"^order/en: next: this is not an instant$"):
        rendered(due_at="secret")


def test_a_filter_never_prints_something_for_nothing() -> None:
    engine = formats.environment()
    for name in [*formats.FILTERS, "length", "lower", "upper", "trim"]:
        argument = {"money": "('EUR')", "plural": "('a', 'b')"}.get(name, "")
        engine.add_template("x", f"{{{{ data.missing | {name}{argument} }}}}")
        with pytest.raises((formats.FormatError, RuntimeError)):
            engine.render_template("x", data={}, clarion_locale="en", clarion_zone="UTC")


def test_customer_text_is_never_a_template_and_never_markup() -> None:
    content = rendered(order="{{7*7}} <script>alert('x')</script> {% raw %}")
    assert content.headline == "Order {{7*7}} <script>alert('x')</script> {% raw %}"
    assert "<script>" not in content.html
    assert "{{7*7}} &lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in content.html
    assert "49" not in content.html


def test_every_part_of_a_mail_is_escaped() -> None:
    wordings = dict.fromkeys(("what", "next", "closing"), '"{{ data.order }}"')
    for parts in (wordings, {"email": '"{{ data.order }}"'}):
        html = templates(**parts).render("order", "email", "en", context(order="<b>&")).html
        assert "<b>" not in html
        assert "<p" in html
        assert "&lt;b&gt;&amp;</p>" in html


def test_null_is_absent_and_never_written() -> None:
    asking = templates(what='"x{% if data.note is defined %}{{ data.note }}{% endif %}"')
    assert asking.render("order", "email", "en", context(note=None)).parts["what"] == "x"


def test_the_engine_tells_no_values() -> None:
    engine = formats.environment()
    engine.add_template("x", "{{ data.order }} {{ data.missing.more }}")
    with pytest.raises(RuntimeError) as caught:
        engine.render_template("x", data={"order": "secret"})
    assert "secret" not in f"{caught.value!s} {caught.value!r}"


def test_values_in_a_link_are_encoded() -> None:
    content = rendered(order='../x?y=1&z="/ä')
    assert content.parts["action.url"] == "https://acme.example/..%2Fx%3Fy%3D1%26z%3D%22%2F%C3%A4"


def test_a_headline_is_one_line_whatever_the_data() -> None:
    assert rendered(order="A1\r\nBcc: x@example.org\t\x00 \x1b[2J  2").headline == "Order A1 Bcc: x@example.org [2J 2"


def test_an_override_replaces_the_text_of_its_channel() -> None:
    assert rendered("sms").text == "Order A1 https://acme.example/A1"
    assert rendered("push").text == "Order A1. 1,200 parts. https://acme.example/A1"
    content = templates(email='"Short: {{ what }}\\n\\nBye."').render("order", "email", "en", context())
    assert content.text == "Short: 1,200 parts.\n\nBye."
    assert "Short: 1,200 parts.</p>" in content.html


@pytest.mark.parametrize(
    ("locale", "zone", "expected"),
    [
        ("en", "Europe/Berlin", "March 29, 2026 7:00 AM March 29, 2026, 7:00 AM 1,200 €12.50 parts"),
        ("de-AT", "Europe/Vienna", "29. März 2026 07:00 29. März 2026, 07:00 1.200 €\u00a012,50 parts"),
        ("de", "America/New_York", "29. März 2026 01:00 29. März 2026, 01:00 1.200 12,50\u00a0€ parts"),
    ],
)
def test_formats_are_those_of_the_customer(locale: str, zone: str, expected: str) -> None:
    what = (
        "{{ data.due_at | date }} {{ data.due_at | time }} {{ data.due_at | datetime }} {{ data.count | number }} "
        "{{ '12.50' | money('EUR') }} {{ data.count | plural('part', 'parts') }}"
    )
    engine = formats.environment()
    engine.add_template("x", what)
    data = {"due_at": "2026-03-29T05:00:00Z", "count": 1200}
    assert engine.render_template("x", data=data, clarion_locale=locale, clarion_zone=zone) == expected


def test_an_amount_keeps_its_cents() -> None:
    assert formats.FILTERS["money"](_State(), "0.10", "EUR") == "€0.10"
    assert formats.FILTERS["money"](_State(), "12345678901234567.89", "EUR") == "€12,345,678,901,234,567.89"


def test_a_date_and_an_instant_of_python_are_written() -> None:
    assert formats.FILTERS["date"](_State(), "2026-04-01") == "April 1, 2026"
    assert formats.FILTERS["time"](_State(), datetime.fromisoformat("2026-04-01T10:00:00+02:00")) == "8:00 AM"


@pytest.mark.parametrize(
    ("value", "zone", "expected"),
    [
        ("9999-12-31T23:59:59Z", "Pacific/Kiritimati", "December 31, 9999, 11:59 PM"),
        ("9999-12-31T23:59:59Z", "America/New_York", "December 31, 9999, 6:59 PM"),
        ("0001-01-01T00:00:00Z", "America/New_York", "January 1, 1, 12:00 AM"),
        (datetime.fromisoformat("9999-12-31T23:59:59-05:00"), "UTC", "December 31, 9999, 11:59 PM"),
    ],
)
def test_an_instant_at_the_end_of_the_calendar_is_written(value: object, zone: str, expected: str) -> None:
    state = _State(zone)
    assert formats.FILTERS["datetime"](state, value) == expected
    assert formats.FILTERS["date"](state, value) == expected.rpartition(", ")[0]
    assert formats.FILTERS["time"](state, value) == expected.rpartition(", ")[2]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+4915112345678", "+49 151 123 456 78"),
        ("+12025550123", "+1 202 555 012 3"),
        ("+35312345678", "+353 123 456 78"),
    ],
)
def test_a_phone_number_is_grouped(number: str, expected: str) -> None:
    assert formats.format_phone(number) == expected


class _State:
    def __init__(self, zone: str = "UTC") -> None:
        self._zone = zone

    def lookup(self, name: str) -> str:
        return {formats.LOCALE: "en", formats.ZONE: self._zone}[name]


def test_a_locale_falls_back_to_its_language_and_then_to_the_default() -> None:
    german = policies.FILES["templates/order/en.yaml"].replace("Order {{", "Auftrag {{")
    both = compile_templates(policies.with_file("templates/order/de.yaml", german))
    assert [both.render("order", "email", locale, context()).locale for locale in ("de-AT", "de", "fr", "", "x!")] == [
        "de",
        "de",
        "en",
        "en",
        "en",
    ]
    assert both.render("order", "email", "de-AT", context()).headline == "Auftrag A1"


def test_the_zone_of_the_tenant_serves_who_has_none() -> None:
    assert rendered("email", "en", "", due_at="2026-03-29T05:00:00Z").parts["next"] == "By 7:00 AM."


@pytest.mark.parametrize(
    "data",
    [
        {"order": "x" * 70_000},
        {"items": [{"name": "x"}] * 40_000},
        {"order": json.loads("[" * 40 + "]" * 40)},
    ],
)
def test_what_goes_in_is_bounded(data: dict[str, Any]) -> None:
    with pytest.raises(RenderError):
        rendered(**data)


def test_what_comes_out_is_bounded() -> None:
    listed = templates(what='"x{% if data.items %}{% for x in data.items %}{{ x.name }}{% endfor %}{% endif %}"')
    with pytest.raises(RenderError, match="longer than"):
        listed.render("order", "email", "en", context(items=[{"name": "x" * 100}] * 999))


def test_a_part_that_comes_out_empty_is_left_out_but_not_the_mandatory_ones() -> None:
    blank = templates(what='"{% if data.note %}{{ data.note }}{% endif %}"')
    with pytest.raises(RenderError, match=r"^order/en: what is empty$"):
        blank.render("order", "email", "en", context())


@pytest.mark.parametrize(("name", "channel"), [("nope", "email"), ("order", "fax")])
def test_an_unknown_template_or_channel_is_an_error(name: str, channel: str) -> None:
    with pytest.raises(RenderError):
        compile_templates(policies.whole()).render(name, channel, "en", context())


def test_a_policy_with_mistakes_has_no_templates() -> None:
    with pytest.raises(PolicyError):
        compile_templates(policies.changed("templates/order/en.yaml", "data.count", "data.cuont"))


DATA = Schema(
    {
        "type": "object",
        "required": ["a", "n", "list"],
        "properties": {
            "a": {"type": "string"},
            "n": {"type": "integer"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
            "maybe": {"type": "string"},
            "place": {"type": "object", "properties": {"zip": {"type": "string"}}},
        },
    }
).type


def said(source: str) -> list[str]:
    names = Names({"data": DATA, "event": Field(Kind.OBJECT, fields={"subject": Field(Kind.STRING)})}, "events/x.yaml")
    return [f"{fault.offset}: {fault.message}" for fault in faults(source, names)]


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 100000000 }}",
        "{{ data.a * 100000000 }}",
        "{{ range(100000000) }}",
        "{{ data.list.append(1) }}",
        "{{ data.a.replace('', 'xxxxxxxx') }}",
        "{{ data.a | safe }}",
        "{{ data.a | replace('', 'x') }}",
        "{{ data | tojson }}",
        "{% set x = data.a %}",
        "{% macro m() %}{% endmacro %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% for x in data.list %}{% for y in data.list %}{{ y.name or '' }}{% endfor %}{% endfor %}",
        "{% for x in range(10) %}{% endfor %}",
        "{{ data['a'] }}",
        "{{ data.__class__ }}",
        "{{ clarion_locale }}",
        "{{ 2 ** 100000000 }}",
        "{% filter upper %}x{% endfilter %}",
        "{{ debug() }}",
        "{{ self }}",
        "{{ loop.index }}",
        "{{ " + "(" * 2_000 + "1" + ")" * 2_000 + " }}",
    ],
)
def test_what_could_grow_or_leave_the_template_is_refused(source: str) -> None:
    assert said(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% if data.maybe %}{{ data.maybe }}{% endif %}",
        "{% if not data.maybe %}-{% else %}{{ data.maybe }}{% endif %}",
        "{% if data.maybe is defined %}{{ data.maybe | upper }}{% endif %}",
        "{{ data.maybe if data.maybe else 'nothing' }}",
        "{{ data.maybe | default('nothing') }}",
        "{% if data.place and data.place.zip %}{{ data.place.zip }}{% endif %}",
        "{% if data.n > 1 and data.maybe %}{{ data.maybe }}{% elif data.n == 1 %}{{ data.a }}{% endif %}",
        "{% if not data.maybe or data.n > 3 %}x{% elif data.maybe == 'y' %}{{ data.maybe }}{% endif %}",
        "{% for x in data.list %}{% if x.name %}{{ x.name }}{% endif %}{% endfor %}",
        "{{ data.list | length }} {{ (data.n - 1) | number }} {{ data.n | plural('a', 'b') }}",
        "{% if event.subject in ['a', 'b'] %}x{% endif %}",
        "{{ data.a ~ '!' }}",
    ],
)
def test_what_asks_first_is_allowed(source: str) -> None:
    assert said(source) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ data.maybe }}", "3: 'data.maybe' may be absent: ask first, {% if data.maybe %}"),
        (
            "{% if data.a %}{{ data.maybe }}{% endif %}",
            "18: 'data.maybe' may be absent: ask first, {% if data.maybe %}",
        ),
        ("{% if data.maybe %}{% endif %}{{ data.maybe }}", "33: 'data.maybe' may be absent"),
        ("{% if data.place.zip %}x{% endif %}", "6: 'data.place' may be absent: ask first, {% if data.place %}"),
        ("{% if data.maybe == 'x' %}x{% endif %}", "6: 'data.maybe' may be absent"),
        ("{% if data.maybe or data.n > 3 %}{{ data.maybe }}{% endif %}", "36: 'data.maybe' may be absent"),
        ("{% for x in data.list %}{{ x.name }}{% endfor %}", "27: 'x.name' may be absent: ask first, {% if x.name %}"),
        ("{% for x in data.list %}{{ x.nme }}{% endfor %}", "27: 'x.nme' is not in x"),
        ("a\nb {{ data.b }}", "7: 'data.b' is not in events/x.yaml"),
        ("{{ data.a | date }}", "10: the filter 'date' can't take text"),
        ("{{ data.n + data.a }}", "0: '+' and '-' take numbers, not text"),
        ("äö {{ data.a. }}", "14: syntax error: unexpected end of variable block, expected identifier or integer"),
    ],
)
def test_what_does_not_ask_is_a_mistake_with_its_place(source: str, expected: str) -> None:
    found = said(source)
    assert len(found) == 1
    assert found[0].startswith(expected)


HOSTILE = """
import resource, sys
from services.policy.check import check
from tests.support import policies
text = policies.FILES["templates/order/en.yaml"].replace("{{ data.count | number }}", sys.argv[1])
found = check(policies.with_file("templates/order/en.yaml", text)).mistakes
assert found, "no mistake"
print(found[0].path)
"""


def _small() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 29, 1 << 29))


@pytest.mark.parametrize("source", ["{{ 'x' * 4000000000 }}", "{{ range(9999999) | join }}", "{{ 9 ** 9 ** 9 }}"])
def test_the_check_of_a_hostile_template_needs_little_memory_and_time(source: str) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, source],
        capture_output=True,
        cwd=root,
        timeout=30,
        preexec_fn=_small,
        check=False,
    )
    assert (done.stdout, done.returncode) == (b"templates/order/en.yaml\n", 0)
