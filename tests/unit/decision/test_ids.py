import pytest

from services.router.decision import ids
from tests.builders import NOON, event


def test_an_id_is_twenty_bytes_and_its_text_lower_case_base32() -> None:
    decision = ids.decision_id(event(), NOON, "outage", "ana")
    assert len(decision) == 20
    assert len(ids.text(decision)) == 32
    assert ids.text(decision) == ids.text(decision).lower()
    assert ids.parse(ids.text(decision)) == decision


@pytest.mark.parametrize("text", ["", "abc", "A" * 32, "1" * 32, "a" * 40])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ids.parse(text)


def test_every_part_of_a_decision_makes_another_id() -> None:
    all_ids = {
        ids.decision_id(event(), NOON, "outage", "ana"),
        ids.decision_id(event(tenant="southwind"), NOON, "outage", "ana"),
        ids.decision_id(event(source="crm"), NOON, "outage", "ana"),
        ids.decision_id(event(id="e2"), NOON, "outage", "ana"),
        ids.decision_id(event(content_hash=b"other"), NOON, "outage", "ana"),
        ids.decision_id(event(), NOON + 1, "outage", "ana"),
        ids.decision_id(event(), NOON, "other", "ana"),
        ids.decision_id(event(), NOON, "outage", "ben"),
        ids.decision_id(event(), NOON, "", ""),
        ids.record_id(event(), NOON, (0, 1)),
        ids.record_id(event(), NOON, (1, 0)),
    }
    assert len(all_ids) == 11


def test_parts_cannot_flow_into_each_other() -> None:
    assert ids.decision_id(event(), NOON, "ab", "c") != ids.decision_id(event(), NOON, "a", "bc")
    assert ids.send_id(b"ab", "c", 0) != ids.send_id(b"a", "bc", 0)


def test_each_step_and_channel_is_a_send_of_its_own() -> None:
    sends = {ids.send_id(b"decision", c, step) for c in ("sms", "email") for step in (0, 1)}
    assert len(sends) == 4


def test_ids_do_not_change_between_versions() -> None:
    decision = ids.decision_id(event(), NOON, "outage", "ana")
    assert ids.text(decision) == "dexnio3ydx3rzyavnxyfq3ewvn2jgugu"
    assert ids.text(ids.send_id(decision, "sms", 0)) == "ah74jx2xyyds4ac2q6x5svucnpb7kwnf"
