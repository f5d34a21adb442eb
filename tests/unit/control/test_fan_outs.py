"""Fan-outs as people see them: summed over partitions, found by their id or event."""

import json

import pytest
from msgspec.structs import replace

from services.common.processor.ports import Record
from services.control import codec, fan_outs
from services.control.errors import ClarionError
from services.control.records import FanOutRecord, FanOutStage
from services.router.decision.model import SECOND, Outcome, Reason
from tests.unit.control.records import NOON, fan_out

OFF = (Outcome.SUPPRESSED, Reason.PREFERENCE_OFF, 2)
SENT = (Outcome.SEND, Reason.ALLOWED, 5)


def parts() -> tuple[FanOutRecord, FanOutRecord]:
    ended = fan_out(partitions=2, judged=7, counts=(SENT, OFF))
    running = fan_out(
        partitions=2,
        partition=4,
        stage=FanOutStage.RUNNING,
        finished=0,
        started=NOON + 3 * SECOND,
        judged=5,
        pending=40,
        counts=(SENT,),
        cursor="cara",
    )
    return ended, running


def test_partitions_are_summed() -> None:
    (one,) = fan_outs.summed(parts())
    assert (one.state, one.judged, one.pending, one.missing) == ("running", 12, 40, 0)
    assert one.decisions == {"SEND ALLOWED": 10, "SUPPRESSED PREFERENCE_OFF": 2}
    assert (one.started, one.finished) == (NOON + SECOND, 0)


@pytest.mark.parametrize(
    ("stages", "state"),
    [
        ((FanOutStage.FINISHED, FanOutStage.FINISHED), "finished"),
        ((FanOutStage.FINISHED, FanOutStage.ABORTED), "aborted"),
        ((FanOutStage.FINISHED, FanOutStage.PAUSED), "paused"),
        ((FanOutStage.FINISHED, FanOutStage.WAITING), "running"),
        ((FanOutStage.WAITING, FanOutStage.WAITING), "waiting"),
        ((FanOutStage.FINISHED,), "running"),
    ],
)
def test_it_has_ended_when_it_has_on_every_partition(stages: tuple[FanOutStage, ...], state: str) -> None:
    records = [fan_out(partition=place, partitions=2, stage=stage) for place, stage in enumerate(stages)]
    (one,) = fan_outs.summed(records)
    assert one.state == state


def test_the_newest_comes_first_and_each_is_found_by_its_event_or_the_beginning_of_its_id() -> None:
    newer = fan_out(fan_out_id=b"\x09" * 20, event_id="4712", first_seen=NOON + SECOND)
    found = fan_outs.summed([fan_out(), newer])
    assert [each.event for each in found] == ["oms/4712", "oms/4711"]
    assert fan_outs.chosen(found, "oms/4711").event == "oms/4711"
    assert fan_outs.chosen(found, found[0].fan_out_id[:6]).event == "oms/4712"
    with pytest.raises(ClarionError, match="no fan-out oms/1"):
        fan_outs.chosen(found, "oms/1")
    with pytest.raises(ClarionError, match="give more of it"):
        fan_outs.chosen(found, "")


def test_a_list_of_names_is_counted_over_all_partitions() -> None:
    here, there = parts()
    (one,) = fan_outs.summed([replace(here, audience="3 named"), replace(there, audience="4 named")])
    assert one.audience == "7 named"


def test_it_is_told_in_words_and_as_json() -> None:
    (one,) = fan_outs.summed(parts())
    told = fan_outs.tell(one)
    assert "oms/4711  com.northwind.order.error about order-4711, for everyone" in told
    assert "12 customers looked at, 40 pending, on 2 partitions" in told
    assert "partition 4: running, 5 looked at, last cara" in told
    assert "running" in fan_outs.table([one]).splitlines()[1]
    assert fan_outs.table([]) == "no event for many has come"
    assert json.loads(fan_outs.as_json(one))["decisions"] == {"SEND ALLOWED": 10, "SUPPRESSED PREFERENCE_OFF": 2}


@pytest.mark.parametrize(
    ("key", "is_report"),
    [
        (b"@fanout", True),
        (b"northwind||progress|0000000000000003", True),
        (b"northwind||fanout|0000000000000003", False),
        (b"northwind|progress|profile|", False),
        (b"@pass", False),
        (None, False),
    ],
)
def test_reports_are_known_by_their_keys(key: bytes | None, *, is_report: bool) -> None:
    assert codec.is_report(key) is is_report


def test_a_report_is_no_decision() -> None:
    assert codec.decision(Record("decisions", 0, 0, NOON, b"@fanout", b"")) is None
