"""The router as business: caps, quiet hours that end and a digest that goes out while the seed runs, fallbacks.

The handler is the router's own; the pure part that replays is its pass on a state of its own. A sender is pretended
that reports some messages as rejected. The auditor judges what is committed, beside the replay.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from random import Random

import msgspec

from clarion.v1 import decision_pb2, feedback_pb2, profile_pb2, send_pb2
from services.common.clock import Clock
from services.common.partitions import partition_of
from services.common.processor.log import Tail
from services.common.processor.ports import (
    Batch,
    Change,
    Committer,
    Handler,
    HandlerFactory,
    Headers,
    Input,
    Plan,
    Position,
    Record,
    Store,
    Write,
)
from services.common.processor.store import MemoryStore
from services.common.topics import LANES, Topics
from services.control import codec
from services.control.audit.caps_kept import caps_kept
from services.control.audit.decided_once import decided_once
from services.control.audit.evidence import Evidence
from services.control.audit.opt_outs_kept import opt_outs_kept
from services.control.audit.quiet_kept import quiet_kept
from services.policy.bundle import Bundle
from services.policy.codec import Activation, StoredBundle, activation_record, bundle_record
from services.policy.registry import Registry
from services.router.app import Deciding
from services.router.deciding import Pass
from services.router.decision.lifecycle import prune
from services.router.decision.model import SECOND, Policy
from services.router.indexes import INDEX
from services.router.state import State
from tests.simulation.broker import Broker
from tests.simulation.business import Pure, Taken, committed
from tests.simulation.loop import Loop

EVENTS = 36
CHANGES = 14
SECONDS = 30.0
LOOKS = 0.9
# Five seconds, and as long as a process may sleep between reading and deciding.
OPT_OUT_GRACE = 20 * SECOND
CUSTOMERS = ("ana", "ben", "cem", "dag", "eva")
CHANNELS = ("email", "sms")

# The seed starts 15 s before eight o'clock.
POLICY = {
    "clarion.yaml": """\
tenant: acme
defaults:
  locale: en
  timezone: UTC
  channels: [sms, email]
  quiet_hours: {start: "22:00", end: "08:00", over: hold, channels: [sms], release_spread: 0s}
  digest: {every: 1h}
""",
    "categories.yaml": """\
categories:
  order: {title: "Orders", default: instant}
  alarm: {title: "Alarms", default: instant}
  tips: {title: "Tips", default: digest}
""",
    "caps.yaml": """\
caps:
  - {name: mails, per: channel, where: {channel: email}, limit: 2, window: 8s, over: drop, exempt: [critical]}
  - {name: all, per: customer, limit: 3, window: 10s, over: defer, max_hold: 20s, exempt: [critical]}
""",
    "events/order.yaml": """\
type: order
owner: orders
description: Something about an order.
lifecycle: true
data: {type: object, properties: {at: {type: integer}}}
""",
    "rules/10.yaml": """\
rules:
  - name: alarm
    owner: orders
    on: order
    when: data.at == 0
    category: alarm
    class: critical
    channels: {first: [sms, email]}
    template: order
    expires_after: 1h
  - name: tip
    owner: orders
    on: order
    when: data.at == 1
    category: tips
    class: informational
    channels: {first: [email]}
    template: order
    expires_after: 4h
  - name: order
    owner: orders
    on: order
    category: order
    class: informational
    channels: {first: [sms, email]}
    template: order
    expires_after: 1h
  - name: nothing-else
    on: "*"
    ignore: true
""",
    "templates/order/en.yaml": """\
headline: "Order"
what: "Something happened."
next: "We tell you more."
action: {label: "See it", url: "https://acme.example/"}
sms: "{{ headline }} {{ action.url }}"
""",
    "templates/digest/en.yaml": """\
headline: "News"
what: "There is news."
next: "We tell you more."
action: {label: "See it", url: "https://acme.example/"}
sms: "{{ headline }} {{ action.url }}"
""",
}


@cache
def registry() -> Registry:
    """Return the policy in force; it never changes, so all seeds share it."""
    bundle = Bundle.from_files({name: text.encode() for name, text in POLICY.items()})
    found = Registry(served=CHANNELS)
    found.take(*bundle_record(StoredBundle("acme", bundle.hash, bundle.files)))
    found.take(*activation_record(Activation("acme", bundle.hash, "", 0)))
    assert found.refused == {}
    return found


def policy() -> Policy:
    """Return the policy in force."""
    found = registry().active("acme")
    assert found is not None
    return found


class PurePass:
    """The pure part of the router."""

    def __init__(self, partition: int, topics: Topics) -> None:
        self._partition = partition
        self._topics = topics
        self._store = MemoryStore(INDEX)
        self._state = State(self._store)

    def decide(self, batch: Batch) -> tuple[Sequence[Write], Sequence[Change]]:
        work = Pass(batch, self._partition, self._topics, registry(), self._state, "acme")
        work.decide_all()
        changes = self._state.changes()
        self._store.merge(changes, Position(), 0)
        self._state.committed()
        return work.outputs, [change for change in changes if not change.local]


class Routing:
    """See business.Business."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._topics = topics = Topics(partitions=partitions, channels=CHANNELS)
        self.plan = Plan(
            application="router",
            group="router",
            inputs=(
                Input(topics.changes, to_the_end=True),
                Input(topics.feedback, to_the_end=True),
                Input(topics.events),
            ),
            changelog=topics.state,
            index=INDEX,
        )
        self.passes_topic = topics.decisions
        self._reported: set[bytes] = set()

    def publish(self, loop: Loop, broker: Broker, random: Random) -> float:
        for customer in CUSTOMERS:
            loop.later(
                0.0,
                self._change,
                broker,
                random,
                customer,
                {"addresses": {"email": "a@a.example", "sms": "+4915112345678"}},
            )
        for _ in range(CHANGES):
            wish = {"category": "order", "value": random.choice(("instant", "digest", "off"))}
            patch: object = random.choice(
                ({"preferences": [wish]}, {"timezone": random.choice(("UTC", "Asia/Tokyo"))}, None)
            )
            if patch is None and random.random() < 0.7:
                patch = {"suppressed": []}
            loop.later(random.uniform(0, SECONDS), self._change, broker, random, random.choice(CUSTOMERS), patch)
        for n in range(EVENTS):
            loop.later(random.uniform(0, SECONDS), self._event, broker, random, n)
        looks = int(SECONDS / LOOKS)
        for n in range(1, looks):
            loop.later(n * LOOKS, self._report, broker, random)
        return SECONDS

    def _home(self, customer: str) -> int:
        return partition_of(f"acme|{customer}".encode(), self.partitions)

    def _change(self, broker: Broker, random: Random, customer: str, patch: object) -> None:
        _ = random
        change = profile_pb2.Change(tenant="acme", customer=customer, author="customer")
        if patch is None:
            change.erase = True
        else:
            change.merge_patch = msgspec.json.encode(patch)
        tail = Tail(self._topics.changes, self._home(customer))
        broker.write(tail, f"acme|{customer}".encode(), change.SerializeToString())

    def _event(self, broker: Broker, random: Random, n: int) -> None:
        customer = random.choice(CUSTOMERS)
        # Some come twice; other clients hash in another way.
        event_id = n if random.random() < 0.9 else max(0, n - 1)
        home = self._home(customer) if random.random() < 0.85 else random.randrange(self.partitions)
        headers: dict[str, str] = {
            "ce_specversion": "1.0",
            "ce_id": f"e{event_id}",
            "ce_source": "shop",
            "ce_type": "order",
            "ce_subject": random.choice(("A", "B")),
            "ce_tenant": "acme",
            "ce_lifecycle": random.choice(("opened", "updated", "updated", "resolved")),
            "ce_audience": msgspec.json.encode({"customers": [customer]}).decode(),
        }
        if random.random() < 0.03:
            del headers["ce_source"]  # nobody can read it
        found: Headers = tuple((name, text.encode()) for name, text in headers.items())
        value = b'{"at":%d}' % random.randrange(4)
        broker.write(Tail(self._topics.events, home), f"acme|{customer}".encode(), value, found)

    def _report(self, broker: Broker, random: Random) -> None:
        """Pretend to be senders: some messages can't be sent."""
        for channel in CHANNELS:
            for lane in LANES:
                for number in range(self.partitions):
                    for record in committed(broker, self._topics.sends(channel, lane), number):
                        self._reject(broker, random, record, number)

    def _reject(self, broker: Broker, random: Random, record: Record, number: int) -> None:
        send = send_pb2.Send.FromString(record.value or b"")
        if send.send_id in self._reported:
            return
        self._reported.add(send.send_id)
        if random.random() < 0.7:
            return
        feedback = feedback_pb2.Feedback(
            tenant="acme",
            customer=send.customer,
            send_id=send.send_id,
            decision_id=send.decision_id,
            channel=send.channel,
            step=send.step,
            rule=send.rule,
            outcome=feedback_pb2.DELIVERY_OUTCOME_REJECTED,
        )
        broker.write(Tail(self._topics.feedback, number), record.key or b"", feedback.SerializeToString())

    def handlers(self, clock: Clock) -> HandlerFactory:
        _ = clock

        async def make(partition: int, store: Store, committer: Committer) -> Handler:
            return Deciding(partition, State(store), committer, self._topics, registry(), "acme")

        return make

    def pure(self, partition: int) -> Pure:
        return PurePass(partition, self._topics)

    def taken(self, record: Record) -> Taken | None:
        if record.key != b"@pass":
            return None
        wire = decision_pb2.Pass.FromString(record.value or b"")
        ranges = tuple((each.topic, each.first_offset, each.last_offset) for each in wire.inputs)
        return Taken(wire.number, wire.now_us, ranges)

    def settled(self, state: Mapping[bytes, bytes], now: int) -> Mapping[bytes, bytes]:
        """Free all customers of what no longer matters: a handler begins anew with that when it is made."""
        store = MemoryStore(INDEX)
        store.take(state.items(), 1)
        working = State(store)
        for customer in working.sweep(now, len(state)):
            kept = prune(customer, policy(), now)
            working.put(customer, kept, working.changes_of(customer, kept))
        store.merge(working.changes(), Position(), 1)
        return dict(store.items())

    def promises(self, broker: Broker) -> Iterator[str]:
        """Let the auditor judge, and hold the sends against the decisions."""
        evidence = self._evidence(broker)
        yield from decided_once(evidence, broker.now()).broken
        yield from caps_kept(evidence).broken
        yield from opt_outs_kept(evidence, OPT_OUT_GRACE).broken
        yield from quiet_kept(evidence, OPT_OUT_GRACE).broken
        sends = Counter(send.send_id for send in evidence.sends)
        decided = {send_id for decision in evidence.sent() for send_id in decision.send_ids}
        if sends != Counter(decided):
            yield f"{sends.total()} sends, {len(decided)} decided"

    def _evidence(self, broker: Broker) -> Evidence:
        topics = self._topics
        letters = [codec.dead_letter(record) for record in self._all(broker, topics.dead_letters)]
        return Evidence(
            events=tuple(codec.accepted_event(record, "acme") for record in self._all(broker, topics.events)),
            dead_letters=frozenset((number, offset) for topic, number, offset in letters if topic == topics.events),
            changes=tuple(codec.change(record) for record in self._all(broker, topics.changes)),
            decisions=tuple(filter(None, map(codec.decision, self._all(broker, topics.decisions)))),
            sends=tuple(
                send
                for channel in CHANNELS
                for lane in LANES
                for send in map(partial(codec.send, lane=lane), self._all(broker, topics.sends(channel, lane)))
            ),
            feedback=tuple(codec.feedback(record) for record in self._all(broker, topics.feedback)),
            policies={policy().hash: policy()},
        )

    def _all(self, broker: Broker, topic: str) -> Iterator[Record]:
        for number in range(self.partitions):
            yield from committed(broker, topic, number)
