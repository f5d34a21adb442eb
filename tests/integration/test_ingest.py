"""The doors as a real process on a real Kafka."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx2
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from clarion.v1 import event_pb2, ingest_pb2, ingest_pb2_grpc, profile_pb2
from services.common.partitions import partition_of
from services.common.topics import Topics
from services.control.broker import cluster
from services.ingest.statuses import DETAILS_KEY
from tests.support.doors import Open, activate_example, doors, open_doors, ready_doors, record_at
from tests.support.kafka import created_topics
from tests.support.waiting import wait_until, wait_until_async

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

NORTHWIND = "northwind"
DATA = {"area": "Mitte", "feeder": "F-17", "customers_affected": 120}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def shared(kafka: str) -> Iterator[Open]:
    with open_doors(kafka) as found:
        yield found


def event(number: int = 1, customer: str = "ana", **fields: object) -> event_pb2.Event:
    given = {
        "id": f"o{number}",
        "source": "oms",
        "type": "com.northwind.outage",
        "subject": "INC-7",
        "lifecycle": event_pb2.LIFECYCLE_OPENED,
        "audience": event_pb2.Audience(customers=event_pb2.Audience.Customers(ids=[customer])),
        "data": json.dumps(DATA).encode(),
        **fields,
    }
    return event_pb2.Event(**given)  # type: ignore[arg-type]


def ingest(channel: grpc.aio.Channel) -> "ingest_pb2_grpc.IngestServiceAsyncStub":
    stub: ingest_pb2_grpc.IngestServiceAsyncStub = ingest_pb2_grpc.IngestServiceStub(channel)
    return stub


def customers(channel: grpc.aio.Channel) -> "ingest_pb2_grpc.CustomerServiceAsyncStub":
    stub: ingest_pb2_grpc.CustomerServiceAsyncStub = ingest_pb2_grpc.CustomerServiceStub(channel)
    return stub


async def call_raw(channel: grpc.aio.Channel, method: str, request: bytes) -> bytes:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{method}")
    return await call(request)


def details(error: grpc.aio.AioRpcError) -> tuple[ErrorInfo, BadRequest, RetryInfo]:
    packed = next(value for name, value in error.trailing_metadata() if name == DETAILS_KEY)
    assert isinstance(packed, bytes)
    found = (ErrorInfo(), BadRequest(), RetryInfo())
    for detail in Status.FromString(packed).details:
        assert any(detail.Unpack(message) for message in found)
    return found


async def refusal(channel: grpc.aio.Channel, given: event_pb2.Event) -> tuple[grpc.StatusCode, str, list[str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ingest(channel).Publish(ingest_pb2.PublishRequest(event=given))
    info, request, _ = details(caught.value)
    assert info.domain == "clarion"
    return caught.value.code(), info.reason, [violation.field for violation in request.field_violations]


async def test_ok_means_that_kafka_has_the_event_where_its_customer_lives(shared: Open) -> None:
    async with shared.channel() as channel:
        answer = await ingest(channel).Publish(
            ingest_pb2.PublishRequest(event=event()), metadata=(("traceparent", TRACE),)
        )

        record = await record_at(shared.kafka, shared.topics.events, answer.partition, answer.offset)
        assert record.key == b"northwind|ana"
        assert answer.partition == partition_of(b"northwind|ana", shared.topics.partitions)
        assert record.value == json.dumps(DATA).encode()
        headers = dict(record.headers)
        assert headers["ce_tenant"] == b"northwind"
        assert headers["ce_traceparent"] == TRACE.encode()
        assert "ce_time" not in headers


async def test_each_mistake_has_its_status(shared: Open) -> None:
    invalid, precondition = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION
    typo = event_pb2.Audience(select="customer.attributes.feedr == 'F-17'")
    big = json.dumps({**DATA, "cause": "x" * 300 * 1024}).encode()
    async with shared.channel() as channel:
        before = shared.running.metric('clarion_ingest_events_total{result="refused"}')
        assert await refusal(channel, event(id="", source="")) == (invalid, "INVALID_EVENT", ["id", "source"])
        assert await refusal(channel, event(tenant="orion")) == (precondition, "NO_POLICY", ["tenant"])
        assert await refusal(channel, event(data=big, tenant=NORTHWIND)) == (invalid, "TOO_LARGE", ["event"])
        assert await refusal(channel, event(type="com.northwind.outag", tenant=NORTHWIND)) == (
            invalid,
            "UNKNOWN_TYPE",
            ["type"],
        )
        assert await refusal(channel, event(audience=typo, tenant=NORTHWIND)) == (
            invalid,
            "INVALID_AUDIENCE",
            ["audience.select"],
        )
        wrong = json.dumps({**DATA, "area": 7}).encode()
        assert await refusal(channel, event(data=wrong, tenant=NORTHWIND)) == (invalid, "INVALID_DATA", ["data.area"])
        assert shared.running.metric('clarion_ingest_events_total{result="refused"}') == before + 6


async def test_bytes_that_are_no_message_are_refused_in_words(shared: Open) -> None:
    async with shared.channel() as channel:
        for method in ("IngestService/Publish", "IngestService/PublishBatch", "CustomerService/PutCustomer"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call_raw(channel, f"clarion.v1.{method}", b"\xff\xff\xff")
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "is not a clarion.v1." in (caught.value.details() or "")


async def test_each_event_of_a_batch_has_its_own_result_in_order(shared: Open) -> None:
    async with shared.channel() as channel:
        batch = [event(number, id="" if number % 3 == 0 else f"o{number}") for number in range(300)]

        answer = await ingest(channel).PublishBatch(ingest_pb2.PublishBatchRequest(events=batch))

        refused = [number for number, result in enumerate(answer.results) if result.HasField("refused")]
        offsets = [result.accepted.offset for result in answer.results if result.HasField("accepted")]
        assert refused == list(range(0, 300, 3))
        assert offsets == list(range(offsets[0], offsets[0] + 200))


async def test_a_change_of_a_customer_is_written_under_his_key(shared: Open) -> None:
    patch = json.dumps({"addresses": {"email": "ana@example.org"}, "locale": "de"}).encode()
    async with shared.channel() as channel:
        answer = await customers(channel).PutCustomer(
            ingest_pb2.PutCustomerRequest(customer="ana", merge_patch=patch),
        )

        record = await record_at(shared.kafka, shared.topics.changes, answer.partition, answer.offset)
        change = profile_pb2.Change.FromString(record.value or b"")
        assert record.key == b"northwind|ana"
        assert (change.tenant, change.customer, change.merge_patch) == ("northwind", "ana", patch)
        assert change.HasField("accept_time")


async def test_a_wrong_change_of_a_customer_names_every_field(shared: Open) -> None:
    patch = json.dumps({"timezone": "Europe/Berln", "colour": "red", "addresses": {"email": "CANARY"}}).encode()
    async with shared.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await customers(channel).PutCustomer(ingest_pb2.PutCustomerRequest(customer="a|b", merge_patch=patch))

        info, request, _ = details(caught.value)
        assert (caught.value.code(), info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_CUSTOMER")
        assert {violation.field for violation in request.field_violations} == {
            "customer",
            "timezone",
            "colour",
            "addresses.email",
        }
        assert "CANARY" not in str(caught.value.trailing_metadata())


async def test_the_doors_are_ready_once_a_policy_is_in_force(kafka: str, topics: Topics) -> None:
    with doors(kafka, topics, CLARION_TENANT="northwind") as running:
        async with grpc.aio.insecure_channel(running.address) as channel:
            assert running.waits_for() == ["northwind has no policy in force"]
            assert running.metric('clarion_ingest_events_total{result="accepted"}') == 0
            assert running.metric('clarion_ingest_refused_total{reason="TOO_LARGE"}') == 0
            code, reason, _ = await refusal(channel, event())
            assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_POLICY")

            await activate_example(kafka, topics)
            wait_until(lambda: running.waits_for() == [])

            await ingest(channel).Publish(ingest_pb2.PublishRequest(event=event()))
            assert running.metric('clarion_ingest_events_total{result="accepted"}') == 1

            async def serving() -> bool:
                request = HealthCheckRequest(service="clarion.v1.IngestService").SerializeToString()
                answer = HealthCheckResponse.FromString(await call_raw(channel, "grpc.health.v1.Health/Check", request))
                return bool(answer.status == HealthCheckResponse.SERVING)

            await wait_until_async(serving)


def test_the_door_tells_tools_its_methods(shared: Open) -> None:
    with grpc.insecure_channel(shared.running.address) as channel:
        stub = ServerReflectionStub(channel)
        requests = iter([ServerReflectionRequest(list_services="")])
        (answer,) = stub.ServerReflectionInfo(requests)  # type: ignore[operator]  # its stub says nothing of methods

    names = {service.name for service in answer.list_services_response.service}
    assert {"clarion.v1.IngestService", "clarion.v1.CustomerService", "grpc.health.v1.Health"} <= names


async def test_at_a_stop_every_ok_was_meant(kafka: str, topics: Topics) -> None:
    async with ready_doors(kafka, topics, CLARION_TENANT="northwind") as (running, channel):
        stub = ingest(channel)
        calls = [stub.Publish(ingest_pb2.PublishRequest(event=event(number, f"c{number}"))) for number in range(500)]
        await calls[0]
        code = await asyncio.to_thread(running.stop)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        taken = [answer for answer in answers if isinstance(answer, ingest_pb2.PublishResponse)]

    assert code == 0
    assert len({(answer.partition, answer.offset) for answer in taken}) == len(taken)
    for answer in taken[-3:]:
        assert (await record_at(kafka, topics.events, answer.partition, answer.offset)).offset == answer.offset


async def test_while_kafka_is_away_callers_are_told_to_come_back() -> None:
    async with await cluster.start(ephemeral=True) as own, created_topics(own.bootstrap) as topics:
        settings = {"CLARION_TENANT": "northwind", "CLARION_INGEST_TIMEOUT_S": "1"}
        async with ready_doors(own.bootstrap, topics, **settings) as (running, channel):
            await own.kill()

            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ingest(channel).Publish(ingest_pb2.PublishRequest(event=event()))
            info, _, retry = details(caught.value)
            assert (caught.value.code(), info.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
            assert retry.retry_delay.seconds == 1
            wait_until(lambda: running.waits_for() == ["Kafka does not answer"])

            await own.restart()
            wait_until(lambda: running.waits_for() == [], 30)
            await ingest(channel).Publish(ingest_pb2.PublishRequest(event=event(2)))


async def test_an_error_that_the_producer_cannot_get_over_ends_the_process(kafka: str, topics: Topics) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        small = {"max.message.bytes": "500", "message.timestamp.type": "LogAppendTime"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topics.events, small)])
    finally:
        await admin.close()
    async with ready_doors(kafka, topics, CLARION_TENANT="northwind") as (running, channel):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ingest(channel).Publish(
                ingest_pb2.PublishRequest(event=event(data=json.dumps({**DATA, "cause": "x" * 200}).encode()))
            )
        code = await asyncio.to_thread(running.process.wait, 20)

    assert (caught.value.code(), code) == (grpc.StatusCode.UNAVAILABLE, 1)


async def test_a_second_door_on_the_same_port_does_not_start(kafka: str, topics: Topics) -> None:
    async with ready_doors(kafka, topics) as (running, _):
        port = running.address.rpartition(":")[2]
        with (
            pytest.raises(AssertionError, match="the doors ended with 1"),
            doors(kafka, topics, CLARION_INGEST_GRPC_PORT=port),
        ):
            pass


async def test_nothing_about_anyone_is_logged_or_counted(kafka: str, topics: Topics, tmp_path: Path) -> None:
    await activate_example(kafka, topics)
    good = json.dumps({**DATA, "cause": "CANARY"}).encode()
    bad = json.dumps({**DATA, "cause": ["CANARY"], "CANARY": 1}).encode()
    patch = json.dumps({"addresses": {"email": "CANARY@example.org"}, "CANARY": 1}).encode()
    with (tmp_path / "log").open("wb") as log, doors(kafka, topics, log=log, CLARION_TENANT="northwind") as running:
        wait_until(lambda: running.waits_for() == [])
        async with grpc.aio.insecure_channel(running.address) as channel:
            await ingest(channel).Publish(ingest_pb2.PublishRequest(event=event(customer="CANARY", data=good)))
            _, reason, _ = await refusal(channel, event(customer="CANARY", data=bad))
            assert reason == "INVALID_DATA"
            for request in (good, bad, patch):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await customers(channel).PutCustomer(
                        ingest_pb2.PutCustomerRequest(customer="CANARY", merge_patch=request)
                    )
                assert "CANARY@" not in str(caught.value)
        counted = httpx2.get(f"{running.health}/metrics", timeout=5).text
        assert running.stop() == 0

    assert "CANARY" not in (tmp_path / "log").read_text()
    assert "CANARY" not in counted
