from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from clarion.v1 import decision_pb2, feedback_pb2, profile_pb2, send_pb2
from services.common.partitions import partition_of
from services.common.processor.errors import BrokenStoreError
from services.common.processor.ports import Batch, Position, Record, Write
from services.common.processor.store import MemoryStore
from services.common.topics import Topics
from services.router import deciding
from services.router.deciding import Pass
from services.router.decision.model import DAY, HOUR, Control, ControlKind, Policy, Scope
from services.router.indexes import INDEX
from services.router.state import State
from tests.builders import NOON, category, condition, event_type, policy, quiet, rule

TOPICS = Topics(partitions=4)
ANA = b"northwind|ana"
HOME = partition_of(ANA, 4)
PROFILE = {"addresses": {"email": "ana@example.org"}, "timezone": "UTC"}


class Known:
    """A policy in force, or none."""

    def __init__(self, policy: Policy | None) -> None:
        self._policy = policy

    def active(self, tenant: str) -> Policy | None:
        return self._policy if tenant == "northwind" else None

    def tenants(self) -> list[str]:
        return ["northwind"]


class Router:
    """Runs passes one after the other, as the processor does, and keeps what each wrote."""

    def __init__(self, policy: Policy | None = None) -> None:
        self._policy = policy
        self.store = MemoryStore(INDEX)
        self.state = State(self.store)
        self.now = NOON
        self.passes = 0
        self._offsets: dict[str, int] = defaultdict(int)

    def steer(self, *controls: Control) -> None:
        """Put exactly these controls in force."""
        assert self._policy is not None
        self._policy = msgspec.structs.replace(self._policy, controls=controls)

    def lifted(self) -> list[str]:
        return [name for _, name, _ in deciding.lifted(self.state, Known(self._policy), 0, 1)]

    def record(self, topic: str, value: bytes, headers: Mapping[str, str] | None = None) -> Record:
        self._offsets[topic] += 1
        found = tuple((name.replace("__", "-"), text.encode()) for name, text in (headers or {}).items())
        return Record(topic, HOME, self._offsets[topic], self.now, ANA, value, found)

    def event(self, event_id: str, customer: str = "ana", **headers: str) -> Record:
        given = {
            "ce_specversion": "1.0",
            "ce_id": event_id,
            "ce_source": "oms",
            "ce_type": "outage",
            "ce_tenant": "northwind",
            "ce_audience": msgspec.json.encode({"customers": [customer]}).decode(),
            **headers,
        }
        return self.record(TOPICS.events, b"{}", given)

    def change(self, patch: object, customer: str = "ana") -> Record:
        change = profile_pb2.Change(tenant="northwind", customer=customer, merge_patch=msgspec.json.encode(patch))
        key = f"northwind|{customer}".encode()
        return msgspec.structs.replace(self.record(TOPICS.changes, change.SerializeToString()), key=key)

    def take(self, *records: Record) -> dict[str, list[Write]]:
        by_topic: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            by_topic[record.topic].append(record)
        self.passes += 1
        batch = Batch(self.passes, self.now, {topic: tuple(found) for topic, found in by_topic.items()})
        work = Pass(batch, HOME, TOPICS, Known(self._policy), self.state, "")
        work.decide_all()
        self.store.merge(self.state.changes(), Position({}, self.passes, self.now), self.passes)
        self.state.committed()
        written: dict[str, list[Write]] = defaultdict(list)
        for write in work.outputs:
            written[write.topic].append(write)
        return written


def router(**defaults: object) -> Router:
    plan = rule(plan=msgspec.structs.replace(rule().plan, channels=("email",)))
    return Router(policy(plan, defaults=defaults, types=(event_type(),), categories=(category(),)))


def decided(writes: Sequence[Write]) -> list[tuple[str, str]]:
    found = [decision_pb2.Decision.FromString(write.value or b"") for write in writes if write.key != b"@pass"]
    return [
        (
            decision_pb2.Outcome.Name(decision.outcome).removeprefix("OUTCOME_"),
            decision_pb2.Reason.Name(decision.reason).removeprefix("REASON_"),
        )
        for decision in found
    ]


def test_a_change_counts_for_the_events_of_the_same_pass() -> None:
    subject = router()
    written = subject.take(subject.event("e1"), subject.change(PROFILE))
    assert decided(written[TOPICS.decisions]) == [("SEND", "ALLOWED")]


def test_a_send_carries_all_that_the_sender_needs_and_no_address() -> None:
    subject = router()
    (write,) = subject.take(subject.change(PROFILE), subject.event("e1"))[TOPICS.sends("email", "normal")]
    send = send_pb2.Send.FromString(write.value or b"")
    assert (write.key, write.partition) == (ANA, None)
    assert (send.customer, send.channel, send.template, send.policy_hash) == ("ana", "email", "outage", "policy-1")
    assert (send.event.id, send.event.data, send.timezone, send.locale) == ("e1", b"{}", "UTC", "en")
    assert b"example.org" not in (write.value or b"")


def test_a_changed_profile_goes_to_the_profiles() -> None:
    subject = router()
    subject.take(subject.change(PROFILE))
    (write,) = subject.take(subject.change({"timezone": None, "locale": "de"}))[TOPICS.profiles]
    profile = profile_pb2.Profile.FromString(write.value or b"")
    assert (write.key, profile.locale, profile.timezone) == (ANA, "de", "")
    assert dict(profile.addresses) == {"email": "ana@example.org"}


def test_a_misplaced_event_is_forwarded_unchanged_to_its_own_partition() -> None:
    subject = router()
    away = next(f"c{n}" for n in range(100) if partition_of(f"northwind|c{n}".encode(), 4) != HOME)
    given = subject.event("e1", away)
    written = subject.take(given)
    (write,) = written[TOPICS.events]
    assert write.partition == partition_of(f"northwind|{away}".encode(), 4)
    assert (write.key, write.value) == (f"northwind|{away}".encode(), given.value)
    assert set(given.headers) < set(write.headers)
    assert decided(written[TOPICS.decisions]) == []


def test_what_was_forwarded_once_is_not_forwarded_again() -> None:
    subject = router()
    away = next(f"c{n}" for n in range(100) if partition_of(f"northwind|c{n}".encode(), 4) != HOME)
    written = subject.take(subject.event("e1", away, clarion__forwarded="2"))
    assert TOPICS.events not in written
    assert decided(written[TOPICS.decisions]) == [("ERROR", "POISON")]
    assert len(written[TOPICS.dead_letters]) == 1


def test_poison_becomes_a_dead_letter_and_the_rest_goes_on() -> None:
    subject = router()
    subject.take(subject.change(PROFILE))
    poison = subject.record(TOPICS.events, b"\xff\xfe")
    written = subject.take(poison, subject.event("e1"))
    assert decided(written[TOPICS.decisions]) == [("ERROR", "POISON"), ("SEND", "ALLOWED")]
    assert len(written[TOPICS.dead_letters]) == 1


def test_an_event_that_ended_in_error_may_come_again() -> None:
    subject = router()
    unknown = subject.take(subject.event("e1", ce_type="unheard"))
    again = subject.take(subject.change(PROFILE), subject.event("e1"))
    assert decided(unknown[TOPICS.decisions]) == [("ERROR", "UNKNOWN_TYPE")]
    assert decided(again[TOPICS.decisions]) == [("SEND", "ALLOWED")]


def test_the_same_event_again_is_recorded_and_not_sent() -> None:
    subject = router()
    subject.take(subject.change(PROFILE), subject.event("e1"))
    written = subject.take(subject.event("e1"))
    assert decided(written[TOPICS.decisions]) == [("DUPLICATE", "DUPLICATE")]
    assert TOPICS.sends("email", "normal") not in written


def test_an_event_of_a_tenant_without_policy_is_kept_for_later() -> None:
    subject = Router(None)
    written = subject.take(subject.event("e1"))
    assert decided(written[TOPICS.decisions]) == [("ERROR", "POLICY_ERROR")]
    assert len(written[TOPICS.dead_letters]) == 1


def test_a_profile_that_grows_too_large_is_refused_and_the_old_one_stays() -> None:
    subject = router()
    subject.take(subject.change(PROFILE))
    written = subject.take(subject.change({"attributes": {"note": "x" * 70_000}}), subject.event("e1"))
    assert TOPICS.profiles not in written
    assert len(written[TOPICS.dead_letters]) == 1
    assert decided(written[TOPICS.decisions]) == [("SEND", "ALLOWED")]


def test_a_failure_of_our_own_costs_one_event_and_leaves_no_trace_of_it_in_the_state() -> None:
    def fail(_: Scope) -> bool:
        raise ZeroDivisionError

    plan = rule(plan=msgspec.structs.replace(rule().plan, channels=("email",)))
    broken = msgspec.structs.replace(plan, when=condition(lambda scope: scope.event.id == "bad" and fail(scope)))
    subject = Router(policy(broken, plan))
    subject.take(subject.change(PROFILE))
    written = subject.take(subject.event("bad"), subject.event("good"))
    assert decided(written[TOPICS.decisions]) == [("ERROR", "POISON"), ("SEND", "ALLOWED")]
    assert len(written[TOPICS.dead_letters]) == 1
    again = subject.take(subject.event("bad"))
    assert decided(again[TOPICS.decisions]) == [("ERROR", "POISON")], "it occupies no identity"


def test_what_would_make_too_large_a_record_is_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = router()
    subject.take(subject.change(PROFILE))
    monkeypatch.setattr(deciding, "MAX_RECORD_BYTES", 100)
    written = subject.take(subject.event("e1"))
    monkeypatch.undo()
    assert decided(written[TOPICS.decisions]) == [("ERROR", "POISON")]
    assert TOPICS.sends("email", "normal") not in written
    assert decided(subject.take(subject.event("e1"))[TOPICS.decisions]) == [("SEND", "ALLOWED")]


def test_an_opt_out_is_never_too_large() -> None:
    subject = router()
    notes = {f"note{number}": "x" * 900 for number in range(71)}
    assert TOPICS.dead_letters not in subject.take(subject.change({**PROFILE, "attributes": notes}))
    full = subject.take(subject.change({"attributes": {"one_more": "x" * 900, "and_more": "x" * 900}}))
    assert len(full[TOPICS.dead_letters]) == 1
    wishes = [{"category": "outage", "value": "off"}]
    written = subject.take(subject.change({"preferences": wishes * 1}), subject.event("e1"))
    assert TOPICS.dead_letters not in written
    assert decided(written[TOPICS.decisions]) == [("SUPPRESSED", "PREFERENCE_OFF")]


def test_a_change_that_no_door_would_take_is_a_dead_letter() -> None:
    subject = router()
    subject.take(subject.change(PROFILE))
    written = subject.take(subject.change({"preferences": [{"value": "nope"}]}), subject.event("e1"))
    assert len(written[TOPICS.dead_letters]) == 1
    assert TOPICS.profiles not in written
    assert decided(written[TOPICS.decisions]) == [("SEND", "ALLOWED")]


def test_a_wish_has_the_date_of_its_change() -> None:
    subject = router()
    (write,) = subject.take(subject.change({"preferences": [{"category": "outage", "value": "off"}]}))[TOPICS.profiles]
    (wish,) = profile_pb2.Profile.FromString(write.value or b"").preferences
    assert wish.set_time_us == NOON


def test_a_hold_is_decided_again_when_it_is_due_and_not_before() -> None:
    subject = router(quiet_hours=quiet(start="11:00", end="14:00"))
    held = subject.take(subject.change(PROFILE), subject.event("e1"))
    due = subject.state.timers.next_due()
    subject.now = NOON + HOUR
    early = subject.take()
    subject.now = NOON + 2 * HOUR
    released = subject.take()
    assert decided(held[TOPICS.decisions]) == [("HOLD", "QUIET_HOURS")]
    assert due == NOON + 2 * HOUR
    assert decided(early[TOPICS.decisions]) == []
    assert decided(released[TOPICS.decisions]) == [("SEND", "ALLOWED")]


def test_holds_are_decided_in_the_same_order_after_a_restart() -> None:
    """A restart forgets the order in which holds came."""
    subject = router(quiet_hours=quiet(start="11:00", end="14:00"))
    other = next(f"c{n}" for n in range(100) if partition_of(f"northwind|c{n}".encode(), 4) == HOME)
    subject.take(subject.change(PROFILE), subject.change(PROFILE, other))
    subject.take(subject.event("e1", other), *(subject.event(f"e{n}", ce_subject=f"s{n}") for n in range(2, 7)))
    store = MemoryStore(INDEX)
    store.take(subject.store.items(), 1)
    subject.now = NOON + 2 * HOUR
    went_on = subject.take()[TOPICS.decisions]
    subject.store, subject.state, subject.passes = store, State(store), subject.passes - 1
    assert len(went_on) == 7
    assert subject.take()[TOPICS.decisions] == went_on


def test_a_rejected_message_without_another_channel_ends_the_decision() -> None:
    subject = router()
    written = subject.take(subject.change(PROFILE), subject.event("e1"))
    send = send_pb2.Send.FromString(written[TOPICS.sends("email", "normal")][0].value or b"")
    finding = feedback_pb2.Feedback(
        tenant="northwind",
        customer="ana",
        send_id=send.send_id,
        decision_id=send.decision_id,
        channel="email",
        outcome=feedback_pb2.DELIVERY_OUTCOME_REJECTED,
    )
    again = subject.take(subject.record(TOPICS.feedback, finding.SerializeToString()))
    assert decided(again[TOPICS.decisions]) == [("SUPPRESSED", "CHANNEL_FAILED")]


def test_who_was_told_in_vain_that_it_began_is_not_told_of_its_end() -> None:
    subject = router()
    opened = subject.take(subject.change(PROFILE), subject.event("e1", ce_lifecycle="opened", ce_subject="INC-7"))
    send = send_pb2.Send.FromString(opened[TOPICS.sends("email", "normal")][0].value or b"")
    finding = feedback_pb2.Feedback(
        tenant="northwind",
        customer="ana",
        send_id=send.send_id,
        decision_id=send.decision_id,
        source="oms",
        event_id="e1",
        channel="email",
        outcome=feedback_pb2.DELIVERY_OUTCOME_REJECTED,
    )
    subject.take(subject.record(TOPICS.feedback, finding.SerializeToString()))
    resolved = subject.take(subject.event("e2", ce_lifecycle="resolved", ce_subject="INC-7"))
    assert decided(resolved[TOPICS.decisions]) == [("SUPPRESSED", "NEVER_INFORMED")]


def test_every_pass_leaves_a_record_to_replay_it_by() -> None:
    subject = router()
    subject.take(subject.change(PROFILE))
    written = subject.take(subject.event("e1"), subject.event("e2"))
    (write,) = [write for write in written[TOPICS.decisions] if write.key == b"@pass"]
    record = decision_pb2.Pass.FromString(write.value or b"")
    assert (record.number, record.now_us) == (2, NOON)
    assert [(part.topic, part.first_offset, part.last_offset) for part in record.inputs] == [(TOPICS.events, 1, 2)]
    assert [(policy.tenant, policy.policy_hash) for policy in record.policies] == [("northwind", "policy-1")]


DIGEST_WANTED = {**PROFILE, "preferences": [{"category": "outage", "value": "digest"}], "digest": {"at": "13:00"}}


def test_several_messages_go_as_one_digest_at_the_customers_time() -> None:
    subject = router()
    written = subject.take(subject.change(DIGEST_WANTED), subject.event("e1"), subject.event("e2"))
    assert decided(written[TOPICS.decisions]) == [("HOLD", "DIGEST"), ("HOLD", "DIGEST")]
    subject.now += HOUR
    written = subject.take()
    records = [decision_pb2.Decision.FromString(w.value or b"") for w in written[TOPICS.decisions][:2]]
    assert decided(written[TOPICS.decisions]) == [("SEND", "ALLOWED"), ("SEND", "ALLOWED")]
    (write,) = written[TOPICS.sends("email", "normal")]
    send = send_pb2.Send.FromString(write.value or b"")
    assert sorted(item.event.id for item in send.items) == ["e1", "e2"]
    assert {item.decision_id for item in send.items} == {record.decision_id for record in records}
    assert {each for record in records for each in record.send_ids} == {send.send_id}
    assert {record.digest_id for record in records} == {send.decision_id}
    assert not send.HasField("event")


def test_a_digest_that_failed_gives_its_place_under_the_caps_back() -> None:
    subject = router()
    subject.take(subject.change(DIGEST_WANTED), subject.event("e1"))
    subject.now += HOUR
    (write,) = subject.take()[TOPICS.sends("email", "normal")]
    send = send_pb2.Send.FromString(write.value or b"")
    assert len(subject.state.customer("northwind", "ana").admissions) == 1
    feedback = feedback_pb2.Feedback(
        tenant="northwind",
        customer="ana",
        send_id=send.send_id,
        decision_id=send.decision_id,
        channel="email",
        outcome=feedback_pb2.DELIVERY_OUTCOME_REJECTED,
    )
    subject.take(subject.record(TOPICS.feedback, feedback.SerializeToString()))
    assert subject.state.customer("northwind", "ana").admissions == ()


def test_an_erasure_ends_what_waits_and_leaves_a_customer_nobody_writes_to() -> None:
    subject = router()
    subject.take(subject.change(DIGEST_WANTED), subject.event("e1"))
    erase = profile_pb2.Change(tenant="northwind", customer="ana", erase=True)
    written = subject.take(subject.record(TOPICS.changes, erase.SerializeToString()), subject.event("e2"))
    assert decided(written[TOPICS.decisions]) == [("SUPPRESSED", "ADDRESS_SUPPRESSED"), ("SUPPRESSED", "NO_ADDRESS")]
    left = subject.state.customer("northwind", "ana")
    assert (left.admissions, left.holds, left.subjects) == ((), (), {})
    (profile,) = written[TOPICS.profiles]
    wire = profile_pb2.Profile.FromString(profile.value or b"")
    assert dict(wire.addresses) == {}
    assert State(subject.store).customer("northwind", "ana") == left
    subject.take(subject.change({"addresses": PROFILE["addresses"], "suppressed": []}))
    assert decided(subject.take(subject.event("e3"))[TOPICS.decisions]) == [("SUPPRESSED", "ADDRESS_SUPPRESSED")]


def test_what_no_longer_matters_goes_though_nothing_comes_for_the_customer() -> None:
    subject = router()
    subject.take(subject.change(PROFILE), subject.event("e1", ce_lifecycle="opened", ce_subject="INC-7"))
    subject.take(subject.event("e2", ce_subject="INC-8"))
    subject.now += 30 * DAY + HOUR
    subject.take()
    month_later = subject.state.customer("northwind", "ana")
    subject.now += 370 * DAY
    subject.take()
    left = State(subject.store).customer("northwind", "ana")
    assert (month_later.admissions, [name for _, name in month_later.subjects]) == ((), ["INC-7"])
    assert (left.admissions, left.subjects, left.opens) == ((), {}, ())
    assert [key for key, _ in subject.store.items()] == [b"northwind|ana|profile|"]


def test_a_store_that_cannot_be_read_ends_the_pass_and_makes_no_dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise BrokenStoreError

    subject = router(quiet_hours=quiet(start="11:00", end="14:00"))
    subject.take(subject.change(PROFILE), subject.event("e1"))
    subject.state = State(subject.store)
    subject.state._sweep_from = NOON + DAY  # it would end the pass too
    monkeypatch.setattr(subject.state, "_read", broken)
    with pytest.raises(BrokenStoreError):
        subject.take(subject.event("e2"))
    subject.now += 2 * HOUR
    with pytest.raises(BrokenStoreError):
        subject.take()


PAUSE = Control("busy", ControlKind.PAUSE)


def test_what_is_paused_waits_until_the_control_is_lifted() -> None:
    subject = router()
    subject.steer(PAUSE)
    written = subject.take(subject.change(PROFILE), subject.event("e1"), subject.event("e2"))
    assert decided(written[TOPICS.decisions]) == [("HOLD", "PAUSED"), ("HOLD", "PAUSED")]
    assert subject.lifted() == []
    subject.steer(Control("another", ControlKind.PAUSE, rule="other"))
    assert subject.lifted() == ["busy"]
    assert decided(subject.take()[TOPICS.decisions]) == [("SEND", "ALLOWED"), ("SEND", "ALLOWED")]
    assert (subject.lifted(), subject.state.pauses()) == ([], [])


def test_a_router_that_starts_anew_knows_what_was_paused() -> None:
    subject = router()
    subject.steer(PAUSE)
    subject.take(subject.change(PROFILE), subject.event("e1"))
    subject.state = State(subject.store)
    subject.steer()
    assert subject.lifted() == ["busy"]
    assert decided(subject.take()[TOPICS.decisions]) == [("SEND", "ALLOWED")]


def test_what_two_controls_pause_waits_for_both() -> None:
    subject = router()
    subject.steer(PAUSE, Control("calm", ControlKind.PAUSE))
    subject.take(subject.change(PROFILE), subject.event("e1"))
    subject.steer(Control("calm", ControlKind.PAUSE))
    assert decided(subject.take()[TOPICS.decisions]) == [("HOLD", "PAUSED")]
    subject.steer()
    assert decided(subject.take()[TOPICS.decisions]) == [("SEND", "ALLOWED")]


def test_a_hold_that_our_own_code_fails_on_after_a_lift_does_not_keep_the_router_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = router()
    subject.steer(PAUSE)
    subject.take(subject.change(PROFILE), subject.event("e1"))
    subject.steer()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(deciding, "decide", fail)
        subject.take()
    assert subject.lifted() == []
    assert subject.state.holds == 1
