import pytest

from services.senders.outcome import Kind, Outcome, Reason
from services.senders.recheck import lateness, objection, remaining
from services.senders.send import Choice, Item, Recipient, Send, Wish
from tests.support.sending import HOUR, START, send

OFF, INSTANT = Choice.OFF, Choice.INSTANT


def ana(**changes: object) -> Recipient:
    fields: dict[str, object] = {"customer": "ana", "address": "ana@example.org", **changes}
    return Recipient(**fields)  # type: ignore[arg-type]


def wishes(*all_of: tuple[str, str, Choice]) -> tuple[Wish, ...]:
    return tuple(Wish(category, channel, choice) for category, channel, choice in all_of)


@pytest.mark.parametrize(
    ("sent", "recipient", "reason"),
    [
        (send(), None, Reason.NO_ADDRESS),
        (send(), ana(address=""), Reason.NO_ADDRESS),
        (send(), ana(suppressed=True), Reason.ADDRESS_SUPPRESSED),
        (send(), ana(suppressed=True, address=""), Reason.ADDRESS_SUPPRESSED),
        (send(required=True), ana(suppressed=True), Reason.ADDRESS_SUPPRESSED),
        (send(), ana(wishes=wishes(("order", "", OFF))), Reason.PREFERENCE_OFF),
        (send(), ana(wishes=wishes(("", "email", OFF))), Reason.PREFERENCE_OFF),
        (send(), ana(wishes=wishes(("order", "email", OFF), ("order", "", INSTANT))), Reason.PREFERENCE_OFF),
        (send(marketing=True), ana(), Reason.NO_CONSENT),
    ],
)
def test_what_forbids_a_call(sent: Send, recipient: Recipient | None, reason: Reason) -> None:
    assert objection(sent, recipient) == Outcome(Kind.SUPPRESSED, reason)


@pytest.mark.parametrize(
    ("sent", "recipient"),
    [
        (send(), ana()),
        (send(), ana(wishes=wishes(("order", "email", INSTANT), ("order", "", OFF), ("", "email", OFF)))),
        (send(), ana(wishes=wishes(("offers", "", OFF), ("", "sms", OFF)))),
        (send(required=True), ana(wishes=wishes(("order", "", OFF), ("", "email", OFF)))),
        (send(marketing=True), ana(consents=True)),
        (send(marketing=True, required=True), ana()),
    ],
)
def test_what_may_go(sent: Send, recipient: Recipient) -> None:
    assert objection(sent, recipient) is None


def test_a_send_expires_at_its_instant() -> None:
    late = Outcome(Kind.EXPIRED, Reason.EXPIRED)
    assert lateness(send(expires=START), START) == late
    assert lateness(send(expires=START), START + HOUR) == late
    assert lateness(send(expires=START + 1), START) is None


def item(category: str, **changes: object) -> Item:
    fields: dict[str, object] = {
        "rule": category,
        "category": category,
        "marketing": False,
        "required": False,
        "template": category,
        "expires": START + HOUR,
        "event": category.encode(),
        **changes,
    }
    return Item(**fields)  # type: ignore[arg-type]


def digest(*items: Item) -> Send:
    return send(category="", rule="digest", template="digest", event=b"", items=items)


NO_NEWS = ana(wishes=wishes(("news", "", OFF)))


def test_a_digest_loses_what_the_customer_opted_out_of() -> None:
    both = digest(item("news"), item("order"))
    assert objection(both, NO_NEWS) is None
    assert [i.category for i in remaining(both, NO_NEWS, START).items] == ["order"]
    assert remaining(both, ana(), START) is both


def test_a_digest_loses_what_is_too_late_or_without_consent() -> None:
    mixed = digest(item("late", expires=START), item("offers", marketing=True), item("order"))
    assert [i.category for i in remaining(mixed, ana(), START).items] == ["order"]


def test_a_digest_of_which_nothing_is_left_is_not_sent() -> None:
    assert objection(digest(item("news")), NO_NEWS) == Outcome(Kind.SUPPRESSED, Reason.PREFERENCE_OFF)
    assert objection(digest(item("news", required=True)), NO_NEWS) is None
    assert objection(digest(item("news")), ana(suppressed=True)) == Outcome(Kind.SUPPRESSED, Reason.ADDRESS_SUPPRESSED)
