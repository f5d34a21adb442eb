"""What a recipient of an event for everyone costs, and what urgent events notice of it.

Cost: one event for everyone beside as many events for one customer each, in turn, the same rule; the ratio is taken
round by round. Urgency: critical events for one customer each come at a steady rate, first to an idle router, then
while a fan-out that is not critical runs; measured is from their writing to their committed send.
Run: `make bench-fanout`, or `python -m bench.fanout [--customers N] [--rounds N] [--rate N] [--seconds N]`.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.router import Round, child, events, measure, profiles, until_ready
from bench.stage import TENANT, Message, Stage, cpu_seconds, json_bytes, machine, stage
from clarion.v1 import profile_pb2, send_pb2
from services.common import kafka
from services.common.partitions import partition_of
from services.control.ports import free_ports

ORDER = {"order": "A-1", "problem": "delayed", "fixed_by": "2030-01-01T00:00:00Z", "amount": "12.50"}
OUTAGE = {"area": "Mitte", "feeder": "F-17", "customers_affected": 12}


def event(event_id: str, audience: object, kind: str, data: object, key: str, **more: str) -> Message:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": "bench",
        "ce_type": kind,
        "ce_subject": event_id,
        "ce_tenant": TENANT,
        "ce_audience": json_bytes(audience).decode(),
        "content-type": "application/json",
        **more,
    }
    found = [(name, text.encode()) for name, text in headers.items()]
    return f"{TENANT}|{key}".encode(), json_bytes(data), found


def for_everyone(event_id: str) -> Message:
    return event(event_id, {"everyone": True}, "com.northwind.order.error", ORDER, event_id)


def urgent(event_id: str, customer: str) -> Message:
    whom = {"customers": [customer]}
    return event(event_id, whom, "com.northwind.outage", OUTAGE, customer, ce_lifecycle="opened")


def feeders(customers: int) -> list[Message]:
    """Put every customer on the feeder of the urgent events."""
    found: list[Message] = []
    for number in range(customers):
        patch = json_bytes({"attributes": {"feeder": "F-17"}})
        change = profile_pb2.Change(tenant=TENANT, customer=f"c{number}", merge_patch=patch)
        found.append((f"{TENANT}|c{number}".encode(), change.SerializeToString(), []))
    return found


async def measure_fan_out(on: Stage, pid: int, event_id: str, members: int) -> Round:
    """Measure one event for everyone as if each member were an event."""
    since = await on.end(on.topics.decisions)
    cpu, wall = cpu_seconds(pid), time.perf_counter()
    await on.write(on.topics.events, [for_everyone(event_id)])
    await on.await_records(since, members, key=b"@pass")
    spent = Round((cpu_seconds(pid) - cpu) / members * 1e6, (time.perf_counter() - wall) / members * 1e6)
    print(".", end="", flush=True)
    return spent


@asynccontextmanager
async def clients(on: Stage) -> AsyncIterator[tuple[AIOKafkaProducer, AIOKafkaConsumer]]:
    producer = AIOKafkaProducer(**kafka.producer_settings(on.bootstrap, "bench"))
    consumer = AIOKafkaConsumer(**kafka.consumer_settings(on.bootstrap, "bench"))
    await producer.start()
    await consumer.start()
    try:
        tails = [TopicPartition(on.topics.sends("email", "urgent"), each) for each in range(on.topics.partitions)]
        consumer.assign(tails)
        await consumer.seek_to_end(*tails)
        yield producer, consumer
    finally:
        await producer.stop()
        await consumer.stop()


async def latencies(on: Stage, name: str, options: argparse.Namespace, fan_out: str = "") -> list[float]:
    """Return milliseconds from writing an urgent event to its committed send, each."""
    written: dict[str, float] = {}
    found: list[float] = []
    count = int(options.rate * options.seconds)
    async with clients(on) as (producer, consumer):
        if fan_out:
            await on.write(on.topics.events, [for_everyone(fan_out)])
            await asyncio.sleep(0.5)

        async def write() -> None:
            begin = time.perf_counter()
            for number in range(count):
                await asyncio.sleep(max(0.0, begin + number / options.rate - time.perf_counter()))
                event_id, customer = f"{name}-{number}", f"c{number % options.customers}"
                key, value, headers = urgent(event_id, customer)
                written[event_id] = time.perf_counter()
                place = partition_of(key, on.topics.partitions)
                await producer.send(on.topics.events, value, key=key, headers=headers, partition=place)

        async def read() -> None:
            async with asyncio.timeout(120):
                while len(found) < count:
                    for records in (await consumer.getmany(timeout_ms=100)).values():
                        for record in records:
                            since = written.get(send_pb2.Send.FromString(record.value or b"").event.id)
                            if since is not None:
                                found.append((time.perf_counter() - since) * 1e3)

        await asyncio.gather(write(), read())
    return found


async def run(options: argparse.Namespace) -> None:
    async with stage() as on:
        (port,) = free_ports(1)
        await on.write(on.topics.changes, profiles(options.customers))
        await on.write(on.topics.changes, feeders(options.customers))
        async with child("services.router", environment=on.environment(CLARION_ROUTER_HEALTH_PORT=str(port))) as router:
            await until_ready(port)
            rounds = []
            for number in range(options.rounds + 1):
                load = events(number, options.customers, [f"c{customer}" for customer in range(options.customers)])
                single = await measure(on, router.pid, on.topics.events, on.topics.decisions, load)
                await asyncio.sleep(1.5)  # chunks are short for a second after a single event
                many = await measure_fan_out(on, router.pid, f"everyone-{number}", options.customers)
                rounds.append((single, many))
            idle = await latencies(on, "idle", options)
            busy = await latencies(on, "busy", options, "running")
            since = await on.end(on.topics.decisions)
            still = sum(since.values())
            await asyncio.sleep(1)
            ended = sum((await on.end(on.topics.decisions)).values()) == still
    report(rounds[1:], idle, busy, options, ended=ended)


def report(
    rounds: list[tuple[Round, Round]], idle: list[float], busy: list[float], options: argparse.Namespace, *, ended: bool
) -> None:
    print(f"\n{machine()}")
    print(f"{options.customers} customers, {options.rounds} rounds after one to warm up")
    print(f"{'':24}{'single':>12}{'everyone':>12}{'ratio: median (min-max)':>30}")
    for name in ("cpu", "wall"):
        single = [getattr(one, name) for one, _ in rounds]
        many = [getattr(other, name) for _, other in rounds]
        ratios = [b / a for a, b in zip(single, many, strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        medians = f"{statistics.median(single):12.1f}{statistics.median(many):12.1f}"
        print(f"{name + ', us a recipient':24}{medians}{ratio:>30}")
    print(f"urgent events, {options.rate}/s for {options.seconds} s, written to committed send, ms: p50 p99")
    for name, found in (("idle", idle), ("while a fan-out runs", busy)):
        cuts = statistics.quantiles(found, n=100)
        print(f"{name:24}{cuts[49]:12.1f}{cuts[98]:12.1f}")
    print("the fan-out had ended before the urgent events did" if ended else "the fan-out outlasted the urgent events")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=5)
    asyncio.run(run(parser.parse_args()))
