"""Events for many at the level of passes: two partitions, one store each, what one writes the other reads."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from clarion.v1 import decision_pb2, fanout_pb2
from services.common.partitions import partition_of
from services.common.processor.ports import Write
from services.router import fanout, fanout_records
from services.router.decision.model import Control, ControlKind, MessageClass, Scope
from services.router.state import State
from tests.builders import NOON, condition, event, first, policy, quiet, rule
from tests.support.routers import PARTITIONS, TOPICS, Cluster

EMAIL = first("email")
EVERYONE: Mapping[str, Any] = {"everyone": True}


def cluster(*rules: Any, **changes: Any) -> Cluster:
    return Cluster(policy(*(rules or (rule(plan=EMAIL),)), attributes={"feeder": "string"}, **changes))


def names(count: int) -> list[str]:
    return [f"c{number}" for number in range(count)]


ALLOWED, OPENED, RESOLVED = "ALLOWED", {"lifecycle": "opened"}, {"lifecycle": "resolved"}


def test_everyone_with_a_profile_is_told_once_on_every_partition() -> None:
    subject = cluster()
    subject.put(*names(30))
    subject.publish("e1", EVERYONE)
    subject.run()
    assert subject.became("e1") == dict.fromkeys(names(30), ALLOWED)
    assert sorted(write.partition or 0 for write in subject.fan_outs()) == [0, 1]
    assert all(not len(owner.state.fanouts) for owner in subject.owners)


def test_all_partitions_agree_on_the_ids_of_an_event_for_many() -> None:
    subject = cluster()
    subject.put(*names(10))
    subject.publish("e1", EVERYONE)
    subject.run()
    assert len({report.fan_out_id for report in subject.reports()}) == 1
    assert len({each.decision_id for each in subject.decisions()}) == 10


def test_a_list_goes_only_where_its_names_live_and_nobody_learns_the_others() -> None:
    subject = cluster()
    here = [name for name in names(20) if partition_of(f"northwind|{name}".encode(), PARTITIONS) == 0][:3]
    subject.put(*names(20))
    subject.publish("e1", {"customers": here})
    subject.run()
    assert subject.became("e1") == dict.fromkeys(here, ALLOWED)
    assert [write.partition for write in subject.fan_outs()] == [0]
    assert [list(send.event.audience.customers.ids) for send in subject.sends("normal")] == [
        [send.customer] for send in subject.sends("normal")
    ]


def test_a_named_customer_without_a_profile_gets_his_decision() -> None:
    subject = cluster()
    subject.put("ana")
    subject.publish("e1", {"customers": ["ana", "nobody"]})
    subject.run()
    assert subject.became("e1") == {"ana": ALLOWED, "nobody": "NO_ADDRESS"}


def test_a_selector_finds_those_with_the_attribute_by_the_index() -> None:
    subject = cluster()
    subject.put("ana", "ben", attributes={"feeder": "F-17"})
    subject.put(*names(10), attributes={"feeder": "F-18"})
    subject.publish("e1", {"select": 'customer.attributes.feeder == "F-17" && customer.id != "ben"'})
    subject.run()
    assert subject.became("e1") == {"ana": ALLOWED}
    assert sum(report.judged for report in subject.reports()) == 2, "nobody else was looked at"


def test_a_selector_without_an_equality_looks_at_everyone() -> None:
    subject = cluster()
    subject.put("ana", locale="de")
    subject.put("ben", locale="en")
    subject.publish("e1", {"select": 'customer.locale == "de"'})
    subject.run()
    assert subject.became("e1") == {"ana": ALLOWED}
    assert sum(report.judged for report in subject.reports()) == 2


def test_a_selector_that_does_not_compile_is_an_error_with_its_place() -> None:
    subject = cluster()
    subject.publish("e1", {"select": "customer.attributes.feedr == 'F-17'"})
    subject.run()
    (decision,) = subject.decisions()
    assert (decision.customer, decision_pb2.Reason.Name(decision.reason)) == ("", "REASON_INVALID_DATA")
    assert "feedr" in decision.detail
    assert [write.topic for _, write in subject.written].count(TOPICS.dead_letters) == 1
    assert subject.fan_outs() == []


def test_the_same_event_again_is_one_duplicate_without_customer() -> None:
    subject = cluster()
    subject.put(*names(4))
    subject.publish("e1", EVERYONE)
    subject.run()
    before = len(subject.decisions())
    subject.publish("e1", EVERYONE)
    subject.run()
    assert [(each.customer, each.outcome) for each in subject.decisions()[before:]] == [
        ("", decision_pb2.OUTCOME_DUPLICATE)
    ]


def test_an_event_that_no_rule_is_for_fans_out_to_nobody() -> None:
    subject = cluster(rule(plan=EMAIL, when=condition(lambda _: False)))
    subject.put(*names(4))
    subject.publish("e1", EVERYONE)
    subject.run()
    assert [(each.customer, each.outcome) for each in subject.decisions()] == [("", decision_pb2.OUTCOME_NO_RULE)]
    assert subject.fan_outs() == []


def test_an_event_for_many_on_another_partition_is_forwarded_and_taken_once() -> None:
    subject = cluster()
    subject.put(*names(4))
    subject.publish("e1", EVERYONE, "northwind|INC-7", subject="INC-7")
    subject.run()
    assert subject.became("e1") == dict.fromkeys(names(4), ALLOWED)


def test_a_fan_out_goes_on_where_the_last_pass_left_it() -> None:
    subject = cluster()
    subject.put(*names(1_000))
    subject.publish("e1", EVERYONE)
    subject.run()
    chunks = [
        chunk
        for number, write in subject.written
        if write.key == b"@pass" and number == 0
        for chunk in decision_pb2.Pass.FromString(write.value or b"").chunks
    ]
    assert len(chunks) > 5
    assert [chunk.after for chunk in chunks[1:]] == [chunk.last for chunk in chunks[:-1]]
    assert subject.became("e1") == dict.fromkeys(names(1_000), ALLOWED)


@pytest.mark.parametrize("committed", [True, False])
def test_a_crash_between_chunks_gives_each_member_exactly_one_decision(*, committed: bool) -> None:
    subject = cluster()
    subject.put(*names(600))
    subject.publish("e1", EVERYONE)
    while any(subject.waits(number) for number in range(PARTITIONS)):
        for number in range(PARTITIONS):
            outputs, changes = subject.begin(number)
            if committed:
                subject.finish(number, outputs, changes)
            subject.crash(number)
            if not committed:
                subject.step(number)
    assert subject.became("e1") == dict.fromkeys(names(600), ALLOWED)
    assert sum(report.judged for report in subject.reports()) == 600


def test_a_crash_before_the_first_chunk_loses_no_fan_out() -> None:
    subject = cluster()
    subject.put(*names(8))
    subject.publish("e1", EVERYONE)
    subject.publish("e2", {"customers": names(8)}, subject="INC-1")
    for number in range(PARTITIONS):
        subject.step(number)
        subject.crash(number)
    subject.run()
    assert subject.became("e1") == dict.fromkeys(names(8), ALLOWED)
    assert subject.became("e2") == dict.fromkeys(names(8), ALLOWED)


def test_who_was_told_and_left_the_audience_is_told_of_the_end() -> None:
    subject = cluster(rule(plan=EMAIL))
    subject.put("ana", "ben", attributes={"feeder": "F-17"})
    subject.put("new", attributes={"feeder": "F-18"})
    select = {"select": 'customer.attributes.feeder == "F-17"'}
    subject.publish("open", select, subject="INC-7", **OPENED)
    subject.run()
    subject.put("ana", attributes={"feeder": "F-20"})
    subject.put("new", attributes={"feeder": "F-17"})
    subject.publish("over", select, subject="INC-7", **RESOLVED)
    subject.run()
    assert subject.became("open") == {"ana": ALLOWED, "ben": ALLOWED}
    assert subject.became("over") == {"ana": "CLOSURE", "ben": "CLOSURE", "new": "NEVER_INFORMED"}


def test_the_end_waits_for_the_beginning_on_each_partition() -> None:
    subject = cluster()
    subject.put(*names(500))
    subject.publish("open", EVERYONE, subject="INC-7", **OPENED)
    subject.publish("over", EVERYONE, subject="INC-7", **RESOLVED)
    subject.publish("other", EVERYONE, subject="INC-8", **OPENED)
    subject.run()
    assert subject.became("over") == dict.fromkeys(names(500), "CLOSURE")
    for number in range(PARTITIONS):
        order = [
            decision_pb2.Decision.FromString(write.value or b"").event_id
            for owner, write in subject.written
            if owner == number and write.topic == TOPICS.decisions and not write.key.startswith(b"@")
        ]
        assert order.index("over") > max(place for place, each in enumerate(order) if each == "open")
        assert order.index("other") < order.index("over"), "other subjects take turns with it"


def test_a_small_fan_out_does_not_wait_for_a_large_one() -> None:
    subject = cluster()
    subject.put(*names(2_000))
    subject.publish("large", EVERYONE)
    for number in range(PARTITIONS):
        subject.step(number)
        subject.step(number)
    subject.publish("small", {"customers": names(10)})
    for _ in range(2):
        for number in range(PARTITIONS):
            subject.step(number)
    assert subject.became("small") == dict.fromkeys(names(10), ALLOWED)
    assert 0 < len(subject.became("large")) < 2_000


def test_members_have_a_small_share_of_passes_that_have_events_and_urgent_ones_their_own() -> None:
    critical = rule(name="alarm", plan=EMAIL, when=condition(_is("urgent")), message_class=MessageClass.CRITICAL)
    subject = cluster(critical, rule(plan=EMAIL))
    subject.put(*names(1_500))
    subject.publish("bulk", EVERYONE)
    subject.publish("urgent", EVERYONE)
    for number in range(PARTITIONS):
        subject.step(number)
    for number in range(PARTITIONS):
        subject.step(number)
    before = Counter(each.event_id for each in subject.decisions())
    single = names(1)[0]
    home = partition_of(f"northwind|{single}".encode(), PARTITIONS)
    subject.publish("single", {"customers": [single]})
    outputs = subject.step(home)
    order = [
        decision_pb2.Decision.FromString(write.value or b"").event_id
        for write in outputs
        if write.topic == TOPICS.decisions and not write.key.startswith(b"@")
    ]
    assert before["urgent"] > 0
    assert order == ["urgent"] * fanout.CHUNK + ["single"] + ["bulk"] * fanout.SHARE


def test_passes_stay_short_for_a_second_after_a_single_event() -> None:
    subject = cluster()
    subject.put(*names(2_000))
    subject.publish("e1", EVERYONE)
    single = names(1)[0]
    home = partition_of(f"northwind|{single}".encode(), PARTITIONS)
    for number in (0, 1, 0, 1):
        subject.step(number)
    subject.now += fanout.LULL
    subject.publish("single", {"customers": [single]})
    taken = [_members(subject.step(home))]
    for wait in (1, fanout.LULL - 2, 1):
        subject.now += wait
        taken.append(_members(subject.step(home)))
    assert taken == [fanout.SHARE, fanout.SHARE, fanout.SHARE, fanout.CHUNK]


def test_between_chunks_a_partition_rests_while_single_events_come_but_not_from_urgent_ones() -> None:
    critical = rule(name="alarm", plan=EMAIL, when=condition(_is("urgent")), message_class=MessageClass.CRITICAL)
    subject = cluster(critical, rule(plan=EMAIL))
    subject.put(*names(2_000))
    single = names(1)[0]
    home = partition_of(f"northwind|{single}".encode(), PARTITIONS)

    def due() -> int | None:
        return fanout.next_due(subject.owners[home].state, subject.known, subject.now)

    subject.publish("bulk", EVERYONE)
    for number in (0, 1, 0, 1):
        subject.step(number)
    at_once = due()
    subject.publish("single", {"customers": [single]})
    subject.step(home)
    resting = due()
    subject.publish("urgent", EVERYONE)
    for number in (0, 1, 0, 1):
        subject.step(number)
    assert (at_once, resting, due()) == (0, subject.now + fanout.REST, 0)


def _members(outputs: list[Write]) -> int:
    (record,) = [write for write in outputs if write.key == b"@pass"]
    return sum(chunk.members for chunk in decision_pb2.Pass.FromString(record.value or b"").chunks)


def test_a_pass_makes_out_what_a_few_fan_outs_are_about_and_the_next_ones_the_others() -> None:
    subject = cluster()
    subject.put("ana")
    home = partition_of(b"northwind|ana", PARTITIONS)
    for number in range(2 * fanout.LOOKS + 5):
        subject.publish(f"e{number}", EVERYONE)
    for number in (0, 1):
        subject.step(number)
    subject.step(home)
    assert len(subject.owners[home].state.fanouts.views) <= fanout.LOOKS
    subject.run()
    assert [subject.became(f"e{number}") for number in range(2 * fanout.LOOKS + 5)] == [{"ana": ALLOWED}] * (
        2 * fanout.LOOKS + 5
    )


def _is(event_id: str) -> Callable[[Scope], bool]:
    return lambda scope: scope.event.id == event_id


def test_a_pass_of_large_decisions_ends_its_chunk_early(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = cluster()
    subject.put(*names(100))
    subject.publish("e1", EVERYONE)
    monkeypatch.setattr("services.router.deciding.MAX_WRITTEN", 20)
    monkeypatch.setattr("services.router.deciding.LEAST_WRITTEN", 20)
    largest = 0
    while any(subject.waits(number) for number in range(PARTITIONS)):
        for number in range(PARTITIONS):
            outputs = subject.step(number)
            largest = max(largest, sum(write.topic == TOPICS.decisions for write in outputs))
    assert largest <= 20
    assert subject.became("e1") == dict.fromkeys(names(100), ALLOWED)


def test_a_chunk_is_decided_under_the_policy_then_in_force() -> None:
    subject = cluster()
    subject.put(*names(900))
    subject.publish("e1", EVERYONE)
    for number in (0, 1, 0, 1):
        subject.step(number)
    done = len(subject.became("e1"))
    renamed = rule(name="outage-2", plan=EMAIL)
    subject.known.policy = replace(policy(renamed), hash="policy-2")
    subject.run()
    rules = Counter((each.rule, each.policy_hash) for each in subject.decisions())
    assert 0 < done < 900
    assert rules == {("outage", "policy-1"): done, ("outage-2", "policy-2"): 900 - done}
    assert set(subject.became("e1")) == set(names(900))


def test_a_fan_out_whose_rules_are_gone_ends_and_says_so() -> None:
    subject = cluster()
    subject.put(*names(900))
    subject.publish("e1", EVERYONE)
    for number in (0, 1, 0, 1):
        subject.step(number)
    subject.known.policy = replace(policy(rule(when=condition(lambda _: False))), hash="policy-2")
    subject.run()
    assert {report.detail for report in subject.reports()} == {"no rule applies any more"}


@pytest.mark.parametrize(("customers", "lane"), [(10, "normal"), (200, "bulk")])
def test_what_goes_to_very_many_goes_in_the_lane_bulk(
    customers: int, lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "SMALL", 100)
    subject = cluster()
    subject.put(*names(customers))
    subject.publish("e1", EVERYONE)
    subject.run()
    assert len(subject.sends(lane)) == customers


def test_neither_what_is_critical_nor_a_list_of_names_is_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "SMALL", 2)
    critical = rule(name="alarm", plan=EMAIL, when=condition(_is("urgent")), message_class=MessageClass.CRITICAL)
    subject = cluster(critical, rule(plan=EMAIL))
    subject.put(*names(20))
    subject.publish("urgent", EVERYONE)
    subject.publish("list", {"customers": names(20)})
    subject.run()
    assert [len(subject.sends(lane)) for lane in ("urgent", "normal", "bulk")] == [20, 20, 0]


def test_what_a_large_fan_out_held_is_bulk_when_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "SMALL", 2)
    subject = cluster(defaults={"quiet_hours": quiet(start="11:00", end="13:00")})
    subject.put(*names(10))
    subject.publish("e1", EVERYONE)
    subject.run()
    for owner in subject.owners:
        owner.state = State(owner.store)
    subject.now += 3_600_000_000
    for number in range(PARTITIONS):
        subject.step(number)
    assert [len(subject.sends(lane)) for lane in ("normal", "bulk")] == [0, 10]


def test_the_report_says_what_became_of_all_members() -> None:
    subject = cluster()
    subject.put(*names(20))
    subject.put("off", preferences=[{"category": "outage", "value": "off"}])
    subject.publish("e1", EVERYONE, subject="INC-7")
    subject.run()
    reports = subject.reports()
    counts: Counter[str] = Counter()
    for report in reports:
        for each in report.counts:
            counts[decision_pb2.Reason.Name(each.reason)] += each.count
    assert counts == {"REASON_ALLOWED": 20, "REASON_PREFERENCE_OFF": 1}
    assert {report.partition for report in reports} == {0, 1}
    assert {(report.partitions, report.state, report.pending, report.audience) for report in reports} == {
        (2, fanout_pb2.FAN_OUT_STATE_FINISHED, 0, "everyone")
    }
    assert {(report.start_time_us, report.finish_time_us) for report in reports} == {(NOON, NOON)}


def steer(kind: ControlKind, **match: Any) -> Control:
    return Control("halt", kind, author="mia", reason="wrong data", **match)


def test_a_paused_fan_out_waits_and_goes_on_when_it_is_lifted() -> None:
    subject = cluster(controls=(steer(ControlKind.FANOUT_PAUSE, event="e1"),))
    subject.put(*names(20))
    subject.publish("e1", EVERYONE)
    subject.publish("e2", EVERYONE)
    subject.run()
    paused = subject.became("e1")
    stages = [
        fanout_pb2.FanOutReport.FromString(value)
        for owner in subject.owners
        for key, value in owner.store.items()
        if b"||progress|" in key
    ]
    subject.known.policy = replace(subject.known.policy, controls=())
    subject.run()
    assert (paused, len(subject.became("e2"))) == ({}, 20)
    assert {(each.state, each.detail) for each in stages} == {
        (fanout_pb2.FAN_OUT_STATE_PAUSED, "halt by mia: wrong data")
    }
    assert subject.became("e1") == dict.fromkeys(names(20), ALLOWED)


def test_a_pause_that_expires_is_waited_for_and_not_longer() -> None:
    subject = cluster(controls=(steer(ControlKind.FANOUT_PAUSE, expires=NOON + 1_000_000),))
    subject.put(*names(4))
    subject.publish("e1", EVERYONE)
    subject.run()
    due = {fanout.next_due(owner.state, subject.known, subject.now) for owner in subject.owners}
    subject.now += 1_000_000
    subject.run()
    assert due == {NOON + 1_000_000}
    assert subject.became("e1") == dict.fromkeys(names(4), ALLOWED)


@pytest.mark.parametrize("match", [{"event": "e1"}, {"source": "oms"}, {"rule": "outage"}, {"category": "outage"}])
def test_an_aborted_fan_out_ends_with_its_report(match: dict[str, Any]) -> None:
    subject = cluster()
    subject.put(*names(900))
    subject.publish("e1", EVERYONE)
    for number in (0, 1, 0, 1):
        subject.step(number)
    done = len(subject.became("e1"))
    subject.known.policy = replace(subject.known.policy, controls=(steer(ControlKind.FANOUT_ABORT, **match),))
    subject.run()
    assert len(subject.became("e1")) == done < 900
    assert {each.state for each in subject.reports()} == {fanout_pb2.FAN_OUT_STATE_ABORTED}
    assert sum(each.judged + each.pending for each in subject.reports()) == 900


@pytest.mark.parametrize("match", [{"event": "e2"}, {"source": "crm"}, {"rule": "other"}])
def test_a_control_for_others_leaves_a_fan_out_alone(match: dict[str, Any]) -> None:
    subject = cluster(controls=(steer(ControlKind.FANOUT_ABORT, **match),))
    subject.put(*names(4))
    subject.publish("e1", EVERYONE)
    subject.run()
    assert subject.became("e1") == dict.fromkeys(names(4), ALLOWED)


def test_a_member_whom_our_code_fails_on_costs_no_other_member() -> None:
    def bad(scope: Scope) -> bool:
        if scope.customer is not None and scope.customer.customer in ("c3", "c5"):
            raise ZeroDivisionError
        return True

    subject = cluster(rule(plan=EMAIL, who=condition(bad)))
    subject.put(*names(10))
    subject.publish("e1", EVERYONE)
    subject.run()
    assert subject.became("e1") == {**dict.fromkeys(names(10), ALLOWED), "c3": "POISON", "c5": "POISON"}
    letters = [write for _, write in subject.written if write.topic == TOPICS.dead_letters]
    homes = {partition_of(f"northwind|{name}".encode(), PARTITIONS) for name in ("c3", "c5")}
    assert len(letters) == len(homes), "the event is put aside once for each partition"
    assert sum(report.failed for report in subject.reports()) == 2


def test_what_is_no_fan_out_is_a_dead_letter() -> None:
    subject = cluster()
    subject.append(TOPICS.fanouts, b"x", b"\xff\xfe", partition=0)
    subject.run()
    assert [write.topic for _, write in subject.written].count(TOPICS.dead_letters) == 1
    assert len(subject.owners[0].state.fanouts) == 0


def test_a_fan_out_with_names_of_another_partition_is_a_dead_letter() -> None:
    subject = cluster()
    value = fanout_records.encode(b"id", event(customers=("ana",)), NOON, 1)
    away = 1 - partition_of(b"northwind|ana", PARTITIONS)
    subject.append(TOPICS.fanouts, b"x", value, partition=away)
    subject.run()
    assert [write.topic for _, write in subject.written].count(TOPICS.dead_letters) == 1
    assert subject.decisions() == []


def test_what_belongs_to_the_partition_is_no_customer_to_be_freed_of_anything() -> None:
    subject = cluster(controls=(steer(ControlKind.FANOUT_PAUSE),))
    subject.put("ana")
    subject.publish("e1", EVERYONE)
    subject.run()
    for number in (0, 1, 0, 1):
        subject.crash(number)
        subject.step(number)
    subject.known.policy = replace(subject.known.policy, controls=())
    subject.run()
    assert subject.became("e1") == {"ana": ALLOWED}


def test_who_comes_and_goes_is_judged_as_he_is_when_his_chunk_is_taken() -> None:
    subject = cluster()
    subject.put(*names(700))
    subject.publish("e1", EVERYONE)
    for number in (0, 1, 0, 1):
        subject.step(number)
    told = subject.became("e1")
    late = next(name for name in sorted(names(700), reverse=True) if name not in told)
    subject.put(late, preferences=[{"category": "outage", "value": "off"}])
    subject.run()
    assert subject.became("e1") == {**dict.fromkeys(names(700), ALLOWED), late: "PREFERENCE_OFF"}


def test_one_instant_for_all_members_of_a_pass() -> None:
    subject = cluster()
    subject.put(*names(900))
    subject.publish("e1", EVERYONE)
    while any(subject.waits(number) for number in range(PARTITIONS)):
        for number in range(PARTITIONS):
            subject.step(number)
        subject.now += 1_000
    by_pass: dict[tuple[int, int], set[int]] = defaultdict(set)
    for each in subject.decisions():
        home = partition_of(f"northwind|{each.customer}".encode(), PARTITIONS)
        by_pass[home, each.pass_number].add(each.decide_time_us)
    assert len(by_pass) > PARTITIONS
    assert all(len(times) == 1 for times in by_pass.values())
