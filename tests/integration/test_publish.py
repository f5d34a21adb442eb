"""`clarion publish` and `clarion customer put` as a person runs them, against real doors."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.common import kafka as clients
from services.common.topics import Topics
from services.control.publish import publish, read_events
from tests.support.doors import Doors, Open, open_doors
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

DATA = {"area": "Mitte", "feeder": "F-17", "customers_affected": 120}


@pytest.fixture(scope="module")
def shared(kafka: str) -> Iterator[Open]:
    with open_doors(kafka) as found:
        yield found


def line(number: int, customer: str, **changes: object) -> str:
    event = {
        "id": f"o{number}",
        "source": "oms",
        "type": "com.northwind.outage",
        "lifecycle": "updated",
        "subject": "INC-7",
        "sequence": number,
        "tenant": "northwind",
        "audience": {"customers": [customer]},
        "data": DATA,
    }
    return json.dumps({**event, **changes})


async def clarion(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "services.control", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


async def sequences(kafka: str, topics: Topics) -> dict[bytes, list[int]]:
    """Read the sequence numbers of all events by key, in the order in which Kafka has them."""
    consumer = AIOKafkaConsumer(**clients.consumer_settings(kafka, "test"))
    await consumer.start()
    found: dict[bytes, list[int]] = {}
    try:
        partitions = [TopicPartition(topics.events, number) for number in range(topics.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, ()):
                    number = int(dict(record.headers)["ce_sequence"])
                    found.setdefault(record.key or b"", []).append(number)
    finally:
        await consumer.stop()
    return found


def written(folder: Path, lines: Iterable[str]) -> str:
    file = folder / "lines.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(file)


def at(running: Doors) -> tuple[str, str]:
    return "--address", running.address


async def test_what_is_refused_is_told_line_by_line(shared: Open, tmp_path: Path) -> None:
    lines = [
        line(1, "ana"),
        "",
        line(2, "ana", type="com.northwind.outag"),
        "{",
        line(3, "ana", lifecycle="open", data={}),
        line(4, "ana", data={**DATA, "area": 7}),
        line(5, "ben"),
    ]
    code, out, err = await clarion("publish", written(tmp_path, lines), *at(shared.running))

    assert code == 1
    assert out == "2 events taken, 4 refused\n"
    refused = err.splitlines()
    assert refused[0] == (
        "line 3: UNKNOWN_TYPE: type com.northwind.outag is not declared in the policy of northwind"
        " (did you mean com.northwind.outage?)"
    )
    assert refused[1].startswith("line 4: INVALID_EVENT: the line is not JSON")
    assert refused[2] == ("line 5: INVALID_EVENT: lifecycle must be one of point, opened, updated, resolved, cancelled")
    assert refused[3].startswith("line 6: INVALID_DATA: data.area ")
    assert len(refused) == 4


async def test_lines_of_one_customer_keep_their_order(shared: Open) -> None:
    lines = [line(number, f"ordered{number % 7}") for number in range(3_000)]
    report = await publish(shared.running.address, read_events(lines))

    assert (report.taken, report.refused) == (3_000, [])
    found = await sequences(shared.kafka, shared.topics)
    assert {f"northwind|ordered{first}".encode(): list(range(first, 3_000, 7)) for first in range(7)}.items() <= (
        found.items()
    )


async def test_customers_come_from_stdin_and_facts_go_to_programs(shared: Open) -> None:
    lines = ['{"customer": "ana", "locale": "de"}', '{"customer": "ben", "colour": "red"}', '{"locale": "en"}']
    code, out, err = await clarion(
        "customer", "put", "-", "--tenant", "northwind", "--json", *at(shared.running), stdin="\n".join(lines)
    )

    assert (code, err) == (1, "")
    answer = json.loads(out)
    assert answer["taken"] == 1
    assert [(refused["line"], refused["reason"], refused["mistakes"][0]["field"]) for refused in answer["refused"]] == [
        (2, "INVALID_CUSTOMER", "colour"),
        (3, "INVALID_CUSTOMER", "customer"),
    ]


async def test_events_come_from_a_pipe(shared: Open) -> None:
    lines = "\n".join(line(number, f"c{number}") for number in range(500))
    assert await clarion("publish", "-", *at(shared.running), stdin=lines) == (0, "500 events taken, 0 refused\n", "")


def test_what_trickles_through_a_pipe_is_sent_at_once(shared: Open) -> None:
    accepted = 'clarion_ingest_events_total{result="accepted"}'
    before = shared.running.metric(accepted)
    command = [sys.executable, "-m", "services.control", "publish", "-", *at(shared.running)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(line(1, "trickle").encode() + b"\n")
        process.stdin.flush()
        wait_until(lambda: shared.running.metric(accepted) == before + 1, 30)
        assert process.poll() is None
        out, _ = process.communicate()

    assert (process.returncode, out) == (0, b"1 event taken, 0 refused\n")


async def test_wrong_usage_and_a_door_that_is_not_there_are_told_in_one_line(tmp_path: Path) -> None:
    code, _, err = await clarion("publish", str(tmp_path / "nothing.jsonl"))
    assert code == 2
    assert "No such file" in err

    code, _, err = await clarion("publish", written(tmp_path, [line(1, "ana")]), "--address", "127.0.0.1:1")
    assert code == 1
    assert err == "clarion: no door answers at 127.0.0.1:1: start Clarion with `clarion up`\n"
