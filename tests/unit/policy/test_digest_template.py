"""Many messages as one: what the template `digest` sees, and what happens when they are too many."""

from typing import Any

import pytest

from services.policy.bundle import Bundle
from services.policy.check import check
from services.policy.templates import ITEM_LIMIT, OUTPUT_LIMIT, RenderError, Templates, compile_templates
from tests.support import policies

DIGEST = """\
headline: "{{ items | length }} {{ items | length | plural('message', 'messages') }} for you"
what: |
  {% for item in items %}- {{ item.headline }}: {{ item.what }}{% if item.next %} {{ item.next }}{% endif %}
  {% endfor %}{% if more > 0 %}And {{ more | number }} more.{% endif %}
impact: "{% for item in items %}{% if item.action %}{{ item.action.url }} {% endif %}{% endfor %}"
closing: "{{ customer.timezone }}{% for item in items %} {{ item.event.subject }}{% endfor %}"
"""


def policy(digest: str = DIGEST, **more: str) -> Bundle:
    files = {**policies.FILES, "templates/digest/en.yaml": digest, **more}
    return Bundle({path: text.encode() for path, text in files.items()})


def item(order: str = "A1", **data: Any) -> tuple[str, dict[str, Any]]:
    return "order", {"event": {"subject": f"INC-{order}"}, "data": {"order": order, "count": 2, **data}}


def templates(digest: str = DIGEST) -> Templates:
    return compile_templates(policy(digest))


def test_the_finished_parts_of_each_message_are_seen() -> None:
    items = [item("A1", due_at="2026-03-29T05:00:00Z"), item("B2")]
    content = templates().render_digest("email", "en", items, {"customer": {"timezone": "Europe/Berlin"}})
    assert dict(content.parts) == {
        "headline": "2 messages for you",
        "what": "- Order A1: 2 parts. By 7:00 AM.\n- Order B2: 2 parts.",
        "impact": "https://acme.example/A1 https://acme.example/B2",
        "closing": "Europe/Berlin INC-A1 INC-B2",
    }
    assert "- Order B2: 2 parts." in content.html


def test_an_item_is_written_in_the_language_of_the_digest() -> None:
    german = policies.FILES["templates/order/en.yaml"].replace("Order {{", "Auftrag {{")
    both = compile_templates(
        policy(**{"templates/order/de.yaml": german, "templates/digest/de.yaml": DIGEST.replace("for you", "heute")})
    )
    content = both.render_digest("email", "de-AT", [item(count=1200)], {})
    assert (content.headline, content.locale) == ("1 message heute", "de")
    assert content.parts["what"] == "- Auftrag A1: 1.200 parts."


def test_what_is_in_an_item_is_never_a_template_and_never_markup() -> None:
    content = templates().render_digest("email", "en", [item("{{ 7*7 }}<b>")], {})
    assert "Order {{ 7*7 }}<b>" in content.text
    assert "<b>" not in content.html
    assert "Order {{ 7*7 }}&lt;b&gt;" in content.html


def test_more_items_than_are_shown_are_counted() -> None:
    digest = 'headline: "{{ items | length }}, {{ more }} more"\nwhat: "{% for item in items %}.{% endfor %}"\n'
    content = templates(digest).render_digest("email", "en", [item()] * (ITEM_LIMIT + 7), {})
    assert content.headline == "500, 7 more"
    assert content.parts["what"] == "." * 500


def test_a_digest_of_many_steps_is_written_whole() -> None:
    asked = "{% if item.why or item.next or item.apology or item.impact %}{{ item.headline }}{% endif %}"
    digest = f'headline: "{{{{ more }}}} more"\nwhat: "x{{% for item in items %}}{asked * 5}{{% endfor %}}"\n'
    assert templates(digest).render_digest("email", "en", [item()] * ITEM_LIMIT, {}).headline == "0 more"


def test_items_that_have_no_room_are_left_out_at_the_end_and_counted() -> None:
    digest = 'headline: "{{ more }} more"\nwhat: "{% for item in items %}{{ item.headline }}{% endfor %}"\n'
    items = [item(f"{number:03}-" + "x" * 90) for number in range(300)]  # a headline of 100 characters each
    content = templates(digest).render_digest("email", "en", items, {})
    assert content.headline == "100 more"
    assert len(content.parts["what"]) == OUTPUT_LIMIT
    assert content.parts["what"].startswith("Order 000-")
    assert "Order 199-" in content.parts["what"]


def test_a_digest_that_is_too_long_without_any_item_is_an_error() -> None:
    digest = f'headline: x\nwhat: "{{{{ customer.timezone }}}}{"y" * (OUTPUT_LIMIT - 30)}"\n'
    content = templates(digest).render_digest("email", "en", [item()], {})
    assert content.parts["what"].startswith("Europe/Berlin")
    with pytest.raises(RenderError, match=r"^digest/en: what is longer than 20000 characters$"):
        templates(digest).render_digest("email", "en", [item()], {"customer": {"timezone": "z" * 31}})


def test_an_item_that_can_not_be_written_is_an_error_that_names_it() -> None:
    with pytest.raises(RenderError, match=r"^order/en: headline, line 1: a value is missing$"):
        templates().render_digest("email", "en", [item(), ("order", {"data": {"count": 1}})], {})


def test_a_policy_without_a_digest_template_makes_none() -> None:
    with pytest.raises(RenderError, match="there is no template 'digest'"):
        compile_templates(policies.whole()).render_digest("email", "en", [item()], {})


@pytest.mark.parametrize("channel", ["sms", "push"])
def test_an_override_sees_the_items_and_the_parts(channel: str) -> None:
    digest = (
        DIGEST + f'{channel}: "{{{{ headline }}}}: {{% for item in items %}}{{{{ item.headline }}}} {{% endfor %}}"\n'
    )
    assert templates(digest).render_digest(channel, "en", [item()], {}).text == "1 message for you: Order A1"


def test_a_digest_template_that_is_right_is_no_mistake_and_counts_as_used() -> None:
    assert check(policy()) == check(policies.whole())


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("{% for i in items %}{{ i.why }}{% endfor %}", "2:31: what: 'i.why' may be absent: ask first, {% if i.why %}"),
        ("{% for i in items %}{{ i.hedline }}{% endfor %}", "2:31: what: 'i.hedline' is not in i"),
        ("{% for i in items %}{{ i.action.url }}{% endfor %}", "2:31: what: 'i.action' may be absent"),
        ("{% for i in items %}{{ i.event.id }}{{ i.data }}{% endfor %}", "2:47: what: 'i.data' is not in i"),
        ("{{ data.order }}", "2:11: what: unknown name 'data'"),
        ("{{ event.id }}", "2:11: what: unknown name 'event'"),
        ("{% for i in items %}{% for j in items %}{% endfor %}{% endfor %}", "2:8: what: a loop inside a loop"),
        ("{{ items }}", ""),
    ],
)
def test_names_of_a_digest_are_typed(what: str, expected: str) -> None:
    mistakes = [str(mistake) for mistake in check(policy(f'headline: "x"\nwhat: "{what}"\n')).mistakes]
    assert len(mistakes) == (1 if expected else 0)
    assert all(mistake.startswith(f"templates/digest/en.yaml:{expected}") for mistake in mistakes)


def test_a_rule_can_not_use_the_digest_template() -> None:
    text = policies.FILES["rules/10.yaml"].replace("template: order", "template: digest", 1)
    mistakes = check(policy(**{"rules/10.yaml": text})).mistakes
    assert [str(mistake) for mistake in mistakes] == [
        "rules/10.yaml:10:15: rules[0].template: the template 'digest' is for digests: it sees no event"
    ]
