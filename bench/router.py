"""The router's processor time for each event, beside a loop on the same Kafka that only copies.

Both read the same events; rounds alternate, and the ratio is taken round by round. Every event names one customer who
has a profile, and is decided in full: policy, preferences, quiet hours, caps, trace, exactly once.
Run: `make bench`, or `python -m bench.router [--events N] [--rounds N] [--customers N]`.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence

import httpx2
from msgspec import Struct

from bench.stage import TENANT, Message, Stage, cpu_seconds, json_bytes, machine, stage
from clarion.v1 import profile_pb2
from services.control.ports import free_ports
from tests.support.daytime import daytime_zone


class Round(Struct, frozen=True):
    """Processor and wall time for each event, microseconds."""

    cpu: float
    wall: float


def profiles(customers: int) -> list[Message]:
    zone = daytime_zone()
    found: list[Message] = []
    for number in range(customers):
        customer = f"c{number}"
        patch = {"addresses": {"email": f"{customer}@example.org"}, "locale": "en", "timezone": zone}
        change = profile_pb2.Change(tenant=TENANT, customer=customer, merge_patch=json_bytes(patch))
        found.append((f"{TENANT}|{customer}".encode(), change.SerializeToString(), []))
    return found


def events(round_number: int, count: int, customers: Sequence[str]) -> list[Message]:
    found = []
    for number in range(count):
        customer = customers[number % len(customers)]
        event_id = f"r{round_number}-{number}"
        data = {"order": event_id, "problem": "delayed", "fixed_by": "2030-01-01T00:00:00Z", "amount": "12.50"}
        headers = {
            "ce_specversion": "1.0",
            "ce_id": event_id,
            "ce_source": "bench",
            "ce_type": "com.northwind.order.error",
            "ce_subject": event_id,
            "ce_tenant": TENANT,
            "ce_audience": f'{{"customers":["{customer}"]}}',
            "content-type": "application/json",
            "clarion-door": "grpc",
        }
        key = f"{TENANT}|{customer}".encode()
        found.append((key, json_bytes(data), [(name, text.encode()) for name, text in headers.items()]))
    return found


@contextlib.asynccontextmanager
async def child(*arguments: str, environment: dict[str, str]) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments, env=environment, stdout=PIPE)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has failed already, and has said why
            process.terminate()
        await process.wait()


async def until_ready(port: int) -> None:
    async with asyncio.timeout(60), httpx2.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                if (await client.get(f"http://127.0.0.1:{port}/ready")).status_code == httpx2.codes.OK:
                    return
            await asyncio.sleep(0.05)


async def measure(on: Stage, pid: int, source: str, output: str, load: list[Message]) -> Round:
    since = await on.end(output)
    cpu, wall = cpu_seconds(pid), time.perf_counter()
    await on.write(source, load)
    await on.await_records(since, len(load), key=b"@pass")
    spent = Round((cpu_seconds(pid) - cpu) / len(load) * 1e6, (time.perf_counter() - wall) / len(load) * 1e6)
    print(".", end="", flush=True)
    return spent


async def run(options: argparse.Namespace) -> None:
    async with stage() as on:
        (port,) = free_ports(1)
        source, target = await on.create("copier-in"), await on.create("copier-out")
        await on.write(on.topics.changes, profiles(options.customers))
        copying = child("bench.copier", on.bootstrap, source, target, "bench-copier", environment=on.environment())
        deciding = child("services.router", environment=on.environment(CLARION_ROUTER_HEALTH_PORT=str(port)))
        async with copying as copier, deciding as router:
            assert copier.stdout is not None
            await copier.stdout.readline()
            await until_ready(port)
            rounds = []
            for number in range(options.rounds + 1):
                load = events(number, options.events, [f"c{customer}" for customer in range(options.customers)])
                copied = await measure(on, copier.pid, source, target, load)
                decided = await measure(on, router.pid, on.topics.events, on.topics.decisions, load)
                rounds.append((copied, decided))
    report(rounds[1:], options)


def report(rounds: list[tuple[Round, Round]], options: argparse.Namespace) -> None:
    print(f"\n{machine()}")
    print(
        f"{options.events} events a round, {options.rounds} rounds after one to warm up, {options.customers} customers"
    )
    print(f"{'':24}{'copier':>12}{'router':>12}{'ratio: median (min-max)':>30}")
    for name in ("cpu", "wall"):
        copied = [getattr(one, name) for one, _ in rounds]
        decided = [getattr(other, name) for _, other in rounds]
        ratios = [b / a for a, b in zip(copied, decided, strict=True)]
        ratio = f"{statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})"
        medians = f"{statistics.median(copied):12.1f}{statistics.median(decided):12.1f}"
        print(f"{name + ', us an event':24}{medians}{ratio:>30}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--customers", type=int, default=20_000)
    asyncio.run(run(parser.parse_args()))
