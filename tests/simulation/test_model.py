"""The model does what Kafka does where the six rules depend on it."""

import asyncio
from collections.abc import Iterator
from random import Random

import pytest

from services.common.processor.log import Tail
from services.common.processor.ports import Write
from tests.simulation.broker import TRANSACTION_SECONDS, Broker
from tests.simulation.errors import ConcurrentError, SequenceError, SimFencedError, StateError
from tests.simulation.group import SESSION_SECONDS, Group
from tests.simulation.loop import Loop, Process

STATE, OUT = Tail("state", 0), Tail("out", 0)


class Kafka:
    """A broker and the raw requests of clients with one transactional id."""

    def __init__(self, *, verifies: bool = True, forgets: float = 0.0) -> None:
        self.loop = Loop(Random(1))  # noqa: S311  # what it draws doesn't matter
        topics = frozenset({STATE.topic})
        random = Random(2)  # noqa: S311  # as above
        self.broker = Broker(self.loop, random, verifies=verifies, forgets=forgets, changelogs=topics)

    def later(self, seconds: float = 0.5) -> None:
        self.loop.run(lambda: False, self.loop.time() + seconds, 1_000_000)

    def start(self) -> tuple[int, int]:
        return self.broker.init("t")

    def write(self, producer: tuple[int, int], tail: Tail, sequence: int, *keys: bytes) -> int:
        name, epoch = producer
        self.broker.add("t", epoch, [tail])
        return self.produce((name, epoch), tail, sequence, *keys)

    def produce(self, producer: tuple[int, int], tail: Tail, sequence: int, *keys: bytes) -> int:
        writes = [Write(tail.topic, key, b"value") for key in keys]
        return self.broker.produce("t", *producer, tail, sequence, writes)

    def end(self, producer: tuple[int, int], *, commit: bool = True) -> None:
        self.broker.end("t", producer[1], commit=commit)

    def keys(self, tail: Tail) -> list[bytes | None]:
        return [record.key for record in self.broker.partition(tail).read(0, 100)[0]]


@pytest.fixture
def kafka() -> Iterator[Kafka]:
    found = Kafka()
    yield found
    found.loop.close()


def test_records_are_seen_when_their_transaction_is_committed(kafka: Kafka) -> None:
    producer = kafka.start()
    kafka.write(producer, STATE, 0, b"a")
    kafka.later()
    open_ = kafka.keys(STATE), kafka.broker.partition(STATE).stable(), kafka.broker.partition(STATE).end
    kafka.end(producer)
    kafka.later()
    assert open_ == ([], 0, 1)
    assert (kafka.keys(STATE), kafka.broker.partition(STATE).stable()) == ([b"a"], 2)


def test_an_open_transaction_hides_what_others_committed_behind_it(kafka: Kafka) -> None:
    producer = kafka.start()
    kafka.write(producer, STATE, 0, b"a")
    kafka.broker.write(STATE, b"b", b"plain")
    assert kafka.keys(STATE) == []
    kafka.end(producer, commit=False)
    kafka.later()
    assert kafka.keys(STATE) == [b"b"]


def test_a_new_producer_fences_the_old_one_and_aborts_its_transaction(kafka: Kafka) -> None:
    old = kafka.start()
    kafka.write(old, STATE, 0, b"a")
    with pytest.raises(ConcurrentError):  # the abort is under way
        kafka.start()
    kafka.later()
    new = kafka.start()
    assert (kafka.keys(STATE), new[1]) == ([], old[1] + 2)
    for request in (lambda: kafka.write(old, STATE, 1, b"b"), lambda: kafka.end(old)):
        with pytest.raises(SimFencedError):
            request()


def test_the_coordinator_aborts_what_takes_too_long_and_fences_it(kafka: Kafka) -> None:
    producer = kafka.start()
    kafka.write(producer, STATE, 0, b"a")
    kafka.later(TRANSACTION_SECONDS + 1)
    with pytest.raises(SimFencedError):
        kafka.end(producer)
    assert (kafka.keys(STATE), kafka.broker.partition(STATE).open) == ([], {})


def test_a_batch_that_comes_twice_is_written_once_and_a_gap_is_refused(kafka: Kafka) -> None:
    producer = kafka.start()
    assert kafka.write(producer, STATE, 0, b"a", b"b") == kafka.produce(producer, STATE, 0, b"a", b"b") == 0
    with pytest.raises(SequenceError):
        kafka.produce(producer, STATE, 3, b"d")
    kafka.end(producer)
    kafka.later()
    assert kafka.keys(STATE) == [b"a", b"b"]


def test_a_transaction_commits_without_the_batch_that_failed(kafka: Kafka) -> None:
    producer = kafka.start()
    kafka.write(producer, STATE, 0, b"a")
    kafka.broker.add("t", producer[1], [OUT])
    kafka.end(producer)
    kafka.later()
    assert (kafka.keys(STATE), kafka.keys(OUT)) == ([b"a"], [])


def test_a_late_request_for_the_end_commits_half_of_the_next_transaction_of_the_same_epoch(kafka: Kafka) -> None:
    producer = kafka.start()
    kafka.write(producer, STATE, 0, b"a")
    kafka.end(producer)
    kafka.later()
    kafka.write(producer, STATE, 1, b"b")
    kafka.end(producer)  # the first request once more
    kafka.later()
    with pytest.raises(StateError):
        kafka.produce(producer, OUT, 0, b"b")
    assert kafka.keys(STATE) == [b"a", b"b"]


def test_an_old_broker_takes_what_comes_late_and_the_transaction_hangs() -> None:
    kafka = Kafka(verifies=False)
    producer = kafka.start()
    kafka.write(producer, STATE, 0, b"a")
    kafka.end(producer)
    kafka.later()
    kafka.produce(producer, STATE, 1, b"late")
    kafka.later(TRANSACTION_SECONDS + 1)
    hanging = kafka.broker.partition(STATE).stable(), kafka.broker.partition(STATE).end
    kafka.broker.abort_hanging()
    assert hanging == (2, 3)
    assert (kafka.keys(STATE), kafka.broker.partition(STATE).stable()) == ([b"a"], 4)


def test_a_forgotten_marker_hides_a_committed_transaction_until_it_comes() -> None:
    kafka = Kafka(forgets=1.0)
    producer = kafka.start()
    kafka.write(producer, STATE, 0, b"a")
    kafka.end(producer)
    kafka.later(0.011)
    hidden = kafka.keys(STATE)
    kafka.start()  # the coordinator thinks that all is well
    kafka.later(40)
    assert (hidden, kafka.keys(STATE)) == ([], [b"a"])


def test_compaction_keeps_the_last_committed_value_of_each_key_and_the_offsets(kafka: Kafka) -> None:
    producer = kafka.start()
    kafka.write(producer, STATE, 0, b"a", b"b", b"a")
    kafka.end(producer)
    kafka.later()
    kafka.write(producer, STATE, 3, b"b")
    kafka.end(producer, commit=False)
    kafka.later()
    partition = kafka.broker.partition(STATE)
    partition.compact(kafka.broker.now(), partition.end)
    assert [(entry.offset, entry.key) for entry in partition.entries] == [(1, b"b"), (2, b"a")]
    assert partition.read(0, 100)[1] == partition.end == 6


def test_nothing_of_a_killed_process_runs_again_and_a_frozen_one_goes_on(kafka: Kafka) -> None:
    done: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(1)
            done.append(name)
        finally:
            done.append(f"{name} ends")

    dead, frozen = Process("dead"), Process("frozen")
    for process in (dead, frozen):
        kafka.loop.start(process, work(process.name))
    kafka.later(0.5)
    kafka.loop.kill(dead)
    kafka.loop.freeze(frozen)
    kafka.later(10)
    asleep = list(done)
    kafka.loop.thaw(frozen)
    kafka.later(0.1)
    assert (asleep, done) == ([], ["frozen", "frozen ends"])


def test_a_member_that_is_silent_loses_its_partitions_and_a_static_one_that_restarts_keeps_them(kafka: Kafka) -> None:
    group = Group(kafka.loop, 2)
    got: list[tuple[str, list[int]]] = []

    def join(member: str, instance: str) -> None:
        group.join(member, instance, ("in",), lambda tails: got.append((member, [n for _, n in tails or ()])))

    join("a1", "a")
    join("b1", "b")
    assert group.beat("a1")
    join("a1", "a")
    join("a2", "a")
    kafka.later(SESSION_SECONDS / 2)
    assert not group.beat("b1")
    kafka.later(SESSION_SECONDS - 2)
    assert group.beat("b1")
    join("b1", "b")
    assert got == [("a1", [0, 1]), ("a1", [0]), ("b1", [1]), ("a2", [0]), ("b1", [0, 1])]


def test_who_waits_for_a_member_that_leaves_gets_its_partitions_at_once(kafka: Kafka) -> None:
    group = Group(kafka.loop, 2)
    got: list[tuple[str, int]] = []

    def join(member: str) -> None:
        group.join(member, "", ("in",), lambda tails: got.append((member, len(tails or ()))))

    join("a")
    join("b")
    group.leave("a")
    assert got == [("a", 2), ("b", 2)]
