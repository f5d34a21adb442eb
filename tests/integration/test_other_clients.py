"""A CloudEvent that another Kafka client writes is decided exactly as one that came over gRPC."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import confluent_kafka
import grpc
import msgspec
import pytest

from clarion.v1 import event_pb2, ingest_pb2, ingest_pb2_grpc
from services.common.topics import Topics
from services.control.records import DecisionRecord
from tests.support.daytime import daytime_zone
from tests.support.following import following
from tests.support.stack import TENANT, Headers, Stack, event, running_stack

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]

DATA = {"order": "O-1", "problem": "delayed", "fixed_by": "2030-01-01T00:00:00Z"}
CUSTOMERS = tuple(f"c{number}" for number in range(12))  # enough that every partition has some

Produce = Callable[[str, str, list[tuple[bytes | None, bytes, Headers]]], None]


def by_confluent(bootstrap: str, topic: str, records: list[tuple[bytes | None, bytes, Headers]]) -> None:
    """Write as librdkafka does by default: CRC32 of the key, or any partition without one."""
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap})
    for key, value, headers in records:
        producer.produce(topic, value, key, headers=dict[str, str | bytes | None](headers))
    assert producer.flush(30) == 0


def by_confluent_compressed(bootstrap: str, topic: str, records: list[tuple[bytes | None, bytes, Headers]]) -> None:
    """Write with each compression in turn, as producers elsewhere are set up."""
    for number, compression in enumerate(("gzip", "snappy", "lz4", "zstd")):
        producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "compression.type": compression})
        for key, value, headers in records[number::4]:
            producer.produce(topic, value, key, headers=dict[str, str | bytes | None](headers))
        assert producer.flush(30) == 0


def by_kcat(bootstrap: str, topic: str, records: list[tuple[bytes | None, bytes, Headers]]) -> None:
    """Write one record for each run of kcat; without a key that is any partition too."""
    for key, value, headers in records:
        named = ["-k", key.decode()] if key else []
        said = [part for name, text in headers for part in ("-H", f"{name}={text.decode()}")]
        command = ["kcat", "-P", "-q", "-b", bootstrap, "-t", topic, *named, *said]
        subprocess.run(command, input=value, check=True, timeout=30)


async def over_grpc(stack: Stack, customers: tuple[str, ...]) -> None:
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        stub: ingest_pb2_grpc.IngestServiceAsyncStub = ingest_pb2_grpc.IngestServiceStub(channel)
        for customer in customers:
            given = event_pb2.Event(
                id=f"grpc-{customer}",
                source="test",
                type="com.northwind.order.error",
                subject="O-1",
                tenant=TENANT,
                audience=event_pb2.Audience(customers=event_pb2.Audience.Customers(ids=[customer])),
                data=msgspec.json.encode(DATA),
            )
            await stub.Publish(ingest_pb2.PublishRequest(event=given))


def told(decision: DecisionRecord) -> DecisionRecord:
    """Return a decision without what names its event and its place: what is left must be the same through any door."""
    return msgspec.structs.replace(
        decision,
        decision_id=b"",
        event_id="",
        door="",
        event_time=0,
        accepted=0,
        decided=0,
        expires=0,
        admitted=0,
        local_time="",
        send_ids=(),
        caps=tuple(msgspec.structs.replace(cap, used=0, used_times=()) for cap in decision.caps),
        offset=0,
    )


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "without key"])
@pytest.mark.parametrize(
    "produce", [by_confluent, by_confluent_compressed, by_kcat], ids=["confluent", "compressed", "kcat"]
)
async def test_events_of_other_clients_are_decided_as_those_over_grpc(
    kafka: str, topics: Topics, tmp_path: Path, produce: Produce, *, keyed: bool
) -> None:
    if produce is by_kcat and shutil.which("kcat") is None:
        pytest.skip("kcat is not on this machine; the same library is tested by confluent-kafka")
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:
        await stack.activate()
        zone = daytime_zone()
        await stack.put({name: {"addresses": {"email": f"{name}@example.org"}, "timezone": zone} for name in CUSTOMERS})
        await stack.start("ingest", "router")
        records = [event(customer, f"other-{customer}", DATA, subject="O-1") for customer in CUSTOMERS]
        written = [(key if keyed else None, value, headers) for key, value, headers in records]
        await asyncio.to_thread(produce, kafka, topics.events, written)
        await over_grpc(stack, CUSTOMERS)
        await found.until(lambda found: found.ended() >= 2 * len(CUSTOMERS))
        assert await stack.metric("router", "clarion_router_forwarded_total") > 0, "every record was at home by chance"
    for customer in CUSTOMERS:
        ours = [each for each in found.decisions if each.customer == customer]
        assert sorted(each.door for each in ours) == ["grpc", "kafka"]
        assert told(ours[0]) == told(ours[1])
        assert ours[0].outcome.name == "SEND"


async def test_a_key_of_tenant_and_customer_is_an_audience(kafka: str, topics: Topics, tmp_path: Path) -> None:
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:
        await stack.activate()
        await stack.start("router")
        key, value, headers = event("c1", "e1", DATA)
        without = [(name, text) for name, text in headers if name != "ce_audience"]
        await asyncio.to_thread(by_confluent, kafka, topics.events, [(key, value, without)])
        await found.until(lambda found: found.ended() >= 1)
    (decision,) = found.decisions
    assert (decision.customer, decision.reason.name) == ("c1", "NO_ADDRESS")
