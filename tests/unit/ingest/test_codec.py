"""Records of events: what the door takes, the router takes."""

import pytest

from clarion.v1 import event_pb2
from services.common import identifiers
from services.common.processor.ports import Record as Read
from services.ingest.check import Reason, Refused, Taken
from services.ingest.codec import Record, event_record, fit
from services.router import codec as router


def record_with(data_bytes: int) -> Record:
    data = b'{"a":"' + b"x" * (data_bytes - 8) + b'"}'
    event = event_pb2.Event(id="o1", source="oms", type="t", tenant="northwind", data=data)
    return event_record(Taken("northwind", "ana", event), "", "grpc")


@pytest.mark.parametrize("over", [0, 1])
def test_the_door_and_the_router_draw_the_limit_at_the_same_byte(over: int) -> None:
    attributes = sum(len(value) for _, value in record_with(100).headers)
    record = record_with(identifiers.MAX_EVENT_BYTES - attributes + over)
    read = Read("events", 0, 0, 1, record.key, record.value, record.headers)

    if over:
        answer = fit(record)
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.TOO_LARGE
        with pytest.raises(router.PoisonError, match="64 KiB"):
            router.event(read, "")
    else:
        assert fit(record) is record
        assert router.event(read, "").customers == ("ana",)
