import msgspec
import pytest

from clarion.v1 import event_pb2
from services.policy.bundle import read_folder
from services.policy.templates import PolicyError, Templates, compile_templates
from services.senders import codec, render
from services.senders.message import Letter
from services.senders.outcome import Kind, Outcome, Reason
from services.senders.send import Item, Recipient, Send
from tests.support.sending import HOUR, send
from tests.support.stack import POLICY

ANA = Recipient("ana", "ana@example.org", attributes={"feeder": "F-17"})
LATE = {"order": "O-1", "problem": "delayed", "fixed_by": "2027-01-01T00:00:00Z"}


class Known:
    """The example policy, whatever hash is asked for."""

    def __init__(self) -> None:
        self._templates = compile_templates(read_folder(POLICY))

    def templates(self, tenant: str, policy_hash: str) -> Templates | None:
        _ = tenant, policy_hash
        return self._templates


class Unknown:
    """No policy yet, or none that can be compiled."""

    def __init__(self, error: PolicyError | None = None) -> None:
        self._error = error

    def templates(self, tenant: str, policy_hash: str) -> Templates | None:
        _ = tenant, policy_hash
        if self._error:
            raise self._error
        return None


@pytest.fixture(scope="module")
def known() -> Known:
    return Known()


def late_order(data: bytes = msgspec.json.encode(LATE), number: int = 1, **changes: object) -> Send:
    event = event_pb2.Event(id="e1", source="oms", type="com.northwind.order.error", subject="O-1", data=data)
    return send(number, event=event.SerializeToString(), **changes)


def letter(sent: Send, policies: render.Policies) -> Letter:
    made = render.letter(sent, ANA, policies)
    assert isinstance(made, Letter)
    return made


def test_a_letter_says_what_the_template_says(known: Known) -> None:
    made = letter(late_order(), known)
    assert made.headline == "Your order O-1: it comes later"
    assert "Your order O-1 is late." in made.text
    assert "Your order O-1 is late." in made.html
    assert (made.address, made.name, made.time) == (ANA.address, codec.name(send().send_id), send().decided)


def test_a_letter_speaks_the_language_of_the_send(known: Known) -> None:
    assert letter(late_order(locale="de"), known).headline != letter(late_order(), known).headline


@pytest.mark.parametrize("data", [b"{}", b"not JSON", b"\xff", b"[1, 2]"])
def test_data_that_makes_a_hole_makes_no_letter(known: Known, data: bytes) -> None:
    assert render.letter(late_order(data), ANA, known) == Outcome(Kind.REJECTED, Reason.RENDER_ERROR)


def test_a_template_that_is_not_there_makes_no_letter(known: Known) -> None:
    assert render.letter(late_order(template="no_such"), ANA, known) == Outcome(Kind.REJECTED, Reason.RENDER_ERROR)


@pytest.mark.parametrize("policies", [Unknown(), Unknown(PolicyError(()))])
def test_a_policy_that_cannot_be_used_yet_is_waited_for(policies: Unknown) -> None:
    assert render.letter(late_order(), ANA, policies) == Outcome(Kind.RETRY, Reason.NO_POLICY)


def test_messages_of_one_subject_share_a_thread_and_others_do_not(known: Known) -> None:
    threads = [
        letter(late_order(subject="O-1"), known).thread,
        letter(late_order(subject="O-1", number=2), known).thread,
        letter(late_order(subject="O-2"), known).thread,
        letter(late_order(subject="O-1", customer="ben"), known).thread,
        letter(late_order(subject=""), known).thread,
        letter(late_order(subject="", number=2), known).thread,
    ]
    assert threads[0] == threads[1]
    assert len(set(threads)) == 5


def test_templates_see_the_event_as_rules_do() -> None:
    event = event_pb2.Event(id="e1", lifecycle=event_pb2.LIFECYCLE_OPENED, sequence=0, data=b'{"a": null}')
    event.time.FromMicroseconds(1_800_000_000_000_000)
    seen = codec.context(send(), ANA, event.SerializeToString())
    assert seen["event"]["lifecycle"] == "opened"
    assert seen["event"]["severity"] == "info"
    assert seen["event"]["sequence"] == 0
    assert seen["event"]["time"] == "2027-01-15T08:00:00Z"
    assert seen["data"] == {"a": None}
    assert seen["customer"] == {
        "id": "ana",
        "locale": "en",
        "timezone": "Europe/Berlin",
        "attributes": {"feeder": "F-17"},
    }


def test_a_digest_holds_every_message(known: Known) -> None:
    first, second = late_order(), late_order(msgspec.json.encode({**LATE, "order": "O-2"}))
    items = tuple(
        Item("order-problem", "order", False, False, "order_problem", HOUR, sent.event)  # noqa: FBT003
        for sent in (first, second)
    )
    made = letter(send(rule="digest", template="digest", event=b"", subject="", items=items), known)
    assert "O-1" in made.text
    assert "O-2" in made.text
    assert "O-2" in made.html


def test_a_digest_with_a_message_that_cannot_be_written_is_not_sent(known: Known) -> None:
    item = Item("order-problem", "order", False, False, "order_problem", HOUR, late_order(b"{}").event)  # noqa: FBT003
    sent = send(rule="digest", template="digest", event=b"", subject="", items=(item,))
    assert render.letter(sent, ANA, known) == Outcome(Kind.REJECTED, Reason.RENDER_ERROR)
