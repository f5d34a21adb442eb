"""Routers of a few partitions at the level of passes: a store each, what one writes the others read."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec

from clarion.v1 import decision_pb2, fanout_pb2, profile_pb2, send_pb2
from services.common.partitions import partition_of
from services.common.processor.ports import Batch, Change, Position, Record, Write
from services.common.processor.store import MemoryStore
from services.common.topics import Topics
from services.router import fanout
from services.router.deciding import Pass
from services.router.decision.model import Policy
from services.router.indexes import INDEX
from services.router.state import State
from tests.builders import NOON

PARTITIONS = 2
TOPICS = Topics(partitions=PARTITIONS)


class Known:
    """The policy in force."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def active(self, tenant: str) -> Policy | None:
        return self.policy if tenant == "northwind" else None

    def tenants(self) -> list[str]:
        return ["northwind"]


class Owner:
    """One partition: its store, the state over it, and the records it has not read yet."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.store = MemoryStore(INDEX)
        self.state = State(self.store, partition=number)
        self.waiting: dict[str, list[Record]] = defaultdict(list)
        self.offsets: Counter[str] = Counter()
        self.passes = 0


class Cluster:
    """Routers of all partitions; `run` makes passes until nothing waits."""

    def __init__(self, policy: Policy) -> None:
        self.known = Known(policy)
        self.owners = [Owner(number) for number in range(PARTITIONS)]
        self.now = NOON
        self.written: list[tuple[int, Write]] = []

    def append(self, topic: str, key: bytes, value: bytes, headers: Any = (), partition: int | None = None) -> None:
        owner = self.owners[partition_of(key, PARTITIONS) if partition is None else partition]
        owner.offsets[topic] += 1
        place = owner.offsets[topic]
        owner.waiting[topic].append(Record(topic, owner.number, place, self.now, key, value, headers))

    def put(self, *customers: str, **patch: object) -> None:
        """Put customers with an address and whatever else is given."""
        for name in customers:
            self.change(name, {"addresses": {"email": f"{name}@example.org"}, "timezone": "UTC", **patch})

    def change(self, customer: str, patch: Mapping[str, Any]) -> None:
        """Put a merge patch of a customer's profile."""
        change = profile_pb2.Change(
            tenant="northwind", customer=customer, merge_patch=msgspec.json.encode(patch), author="test"
        )
        self.append(TOPICS.changes, f"northwind|{customer}".encode(), change.SerializeToString())

    def publish(self, event_id: str, audience: Mapping[str, Any], away_from: str = "", **headers: str) -> None:
        """Publish an event; on the partition of another key if that is said."""
        record = self.event(event_id, audience, **headers)
        wrong = 1 - partition_of(away_from.encode(), PARTITIONS) if away_from else None
        self.append(TOPICS.events, record.key or b"", record.value or b"", record.headers, wrong)

    def event(self, event_id: str, audience: Mapping[str, Any], **headers: str) -> Record:
        """Return the record of an event."""
        given = {
            "ce_specversion": "1.0",
            "ce_id": event_id,
            "ce_source": "oms",
            "ce_type": "outage",
            "ce_tenant": "northwind",
            "ce_audience": msgspec.json.encode(audience).decode(),
            **{f"ce_{name}": text for name, text in headers.items()},
        }
        found = tuple((name, text.encode()) for name, text in given.items())
        key = f"northwind|{headers.get('subject') or 'oms|' + event_id}".encode()
        if len(audience.get("customers", ())) == 1:
            key = f"northwind|{audience['customers'][0]}".encode()
        return Record(TOPICS.events, 0, 0, self.now, key, b"{}", found)

    def step(self, number: int) -> list[Write]:
        """Make one pass of a partition."""
        return self.finish(number, *self.begin(number))

    def begin(self, number: int) -> tuple[list[Write], list[Change]]:
        """Decide a pass without committing it."""
        owner = self.owners[number]
        taken = {topic: tuple(found) for topic, found in owner.waiting.items() if found}
        batch = Batch(owner.passes + 1, self.now, taken)
        work = Pass(batch, number, TOPICS, self.known, owner.state, "")
        work.decide_all()
        return work.outputs, owner.state.changes()

    def finish(self, number: int, outputs: list[Write], changes: list[Change]) -> list[Write]:
        """Commit a pass."""
        owner = self.owners[number]
        owner.passes += 1
        owner.store.merge(changes, Position({}, owner.passes, self.now), owner.passes)
        owner.state.committed()
        owner.waiting.clear()
        self.written += [(number, write) for write in outputs]
        for write in outputs:
            if write.topic in (TOPICS.fanouts, TOPICS.events):
                self.append(write.topic, write.key, write.value or b"", write.headers, write.partition)
        return outputs

    def crash(self, number: int) -> None:
        """Lose all but what was committed: the state is made anew from the records alone."""
        owner = self.owners[number]
        store = MemoryStore(INDEX)
        store.take(owner.store.items(), owner.passes)
        assert store.scan(b"") == owner.store.scan(b""), "the index is what the records say"
        owner.store, owner.state = store, State(store, partition=number)

    def waits(self, number: int) -> bool:
        owner = self.owners[number]
        due = fanout.next_due(owner.state, self.known, self.now)
        return any(owner.waiting.values()) or (due is not None and due <= self.now + fanout.REST)

    def run(self) -> None:
        for _ in range(500):
            waiting = [number for number in range(PARTITIONS) if self.waits(number)]
            if not waiting:
                return
            for number in waiting:
                self.step(number)
        raise AssertionError("it never ends")

    # --- what was written ---

    def decisions(self, event_id: str = "") -> list[decision_pb2.Decision]:
        found = [
            decision_pb2.Decision.FromString(write.value or b"")
            for _, write in self.written
            if write.topic == TOPICS.decisions and not write.key.startswith(b"@")
        ]
        return [each for each in found if event_id in ("", each.event_id)]

    def became(self, event_id: str) -> dict[str, str]:
        """Return what became of an event for each customer; fail if one has more than one revision."""
        found = self.decisions(event_id)
        assert len({each.customer for each in found}) == len(found)
        return {each.customer: decision_pb2.Reason.Name(each.reason).removeprefix("REASON_") for each in found}

    def reports(self) -> list[fanout_pb2.FanOutReport]:
        return [
            fanout_pb2.FanOutReport.FromString(write.value or b"")
            for _, write in self.written
            if write.key == b"@fanout"
        ]

    def sends(self, lane: str) -> list[send_pb2.Send]:
        topic = TOPICS.sends("email", lane)
        return [send_pb2.Send.FromString(write.value or b"") for _, write in self.written if write.topic == topic]

    def fan_outs(self) -> list[Write]:
        return [write for _, write in self.written if write.topic == TOPICS.fanouts]
