"""A sender's surroundings in memory: a ledger that really applies commits, a provider with a script, a virtual clock.

`Outside` plays the processor: it hands out batches from the committed position on, makes a new handler from the
committed state after every failure, and turns the clock to the next timer.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from enum import Enum

from prometheus_client import CollectorRegistry

from clarion.v1 import event_pb2, feedback_pb2, send_pb2
from services.common.processor.ports import Batch, Change, Record, Write
from services.common.topics import LANES, Topics
from services.senders import codec
from services.senders.desk import Desk
from services.senders.message import Letter, Message
from services.senders.metrics import SenderMetrics
from services.senders.outcome import Kind, Outcome, Reason
from services.senders.send import Recipient, Send
from services.senders.sending import Sending
from services.senders.slots import Slots

SECOND = 1_000_000
START = 1_800_000_000 * SECOND
HOUR = 3600 * SECOND
TOPICS = Topics(prefix="t-", partitions=1)
FINAL = {int(kind) for kind in (Kind.ACCEPTED, Kind.REJECTED, Kind.EXPIRED, Kind.SUPPRESSED)}


def send_id(number: int) -> bytes:
    return number.to_bytes(20, "big")


def send(number: int = 1, **changes: object) -> Send:
    fields: dict[str, object] = {
        "send_id": send_id(number),
        "decision_id": send_id(1_000_000 + number),
        "lane": "normal",
        "step": 0,
        "tenant": "northwind",
        "customer": "ana",
        "channel": "email",
        "rule": "order-problem",
        "category": "order",
        "critical": False,
        "marketing": False,
        "required": False,
        "template": "order_problem",
        "locale": "en",
        "timezone": "Europe/Berlin",
        "policy_hash": "cafe",
        "expires": START + 24 * HOUR,
        "decided": START,
        "source": "oms",
        "event_id": f"e{number}",
        "subject": "",
        "event": b"",
        "after": b"",
        **changes,
    }
    return Send(**fields)  # type: ignore[arg-type]


def wire(value: Send) -> bytes:
    """Return a send as the router writes it."""
    urgency = event_pb2.MESSAGE_CLASS_CRITICAL if value.critical else event_pb2.MESSAGE_CLASS_INFORMATIONAL
    return send_pb2.Send(
        send_id=value.send_id,
        decision_id=value.decision_id,
        step=value.step,
        tenant=value.tenant,
        customer=value.customer,
        channel=value.channel,
        rule=value.rule,
        category=value.category,
        message_class=event_pb2.MESSAGE_CLASS_MARKETING if value.marketing else urgency,
        template=value.template,
        locale=value.locale,
        timezone=value.timezone,
        policy_hash=value.policy_hash,
        expire_time_us=value.expires,
        decide_time_us=value.decided,
        event=event_pb2.Event(id=value.event_id, source=value.source, subject=value.subject, data=b"{}"),
        after=value.after,
        required=value.required,
    ).SerializeToString()


class VirtualClock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> int:
        return self.time


class CrashError(Exception):
    """The process died here."""


class Ledger:
    """Committed state, committed records and the committed position of one partition."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.outputs: list[Write] = []
        self.positions: dict[str, int] = {}
        self.commits = 0
        self.lost: frozenset[int] = frozenset()
        self.unclear: frozenset[int] = frozenset()

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.values.items())

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> list[tuple[bytes, bytes]]:
        raise NotImplementedError  # a sender reads its whole ledger

    async def commit(self, outputs: Sequence[Write], changes: Sequence[Change], batch: Batch | None) -> None:
        await asyncio.sleep(0)
        self.commits += 1
        if self.commits in self.lost:
            raise CrashError
        for change in changes:
            if change.value is None:
                self.values.pop(change.key, None)
            else:
                self.values[change.key] = change.value
        self.outputs.extend(outputs)
        for topic, records in (batch.records if batch else {}).items():
            self.positions[topic] = records[-1].offset + 1
        if self.commits in self.unclear:
            raise CrashError

    def feedback(self) -> list[feedback_pb2.Feedback]:
        return [feedback_pb2.Feedback.FromString(w.value or b"") for w in self.outputs if w.topic == TOPICS.feedback]


class Answer(Enum):
    """What the provider does with a call."""

    ACCEPT = 1
    REJECT = 2
    TRY_LATER = 3
    DROP_BEFORE = 4
    DROP_AFTER = 5
    CRASH_BEFORE = 6
    CRASH_AFTER = 7
    STALL = 8


class Provider:
    """A channel whose provider answers by a script, then accepts everything."""

    provider = "pretend"

    def __init__(self, clock: VirtualClock) -> None:
        self.script: list[Answer] = []
        self.calls: list[tuple[str, int]] = []
        self.accepted: list[str] = []
        self.unknown: list[str] = []
        self.before_call: Callable[[str], None] = lambda _: None
        self.crashed = asyncio.Event()
        self.stalled = asyncio.Event()
        self._clock = clock

    def compose(self, letter: Letter) -> Message | Outcome:
        if letter.headline == "unfit":
            return Outcome(Kind.REJECTED, Reason.RENDER_ERROR)
        return Message(letter.address, letter.text.encode())

    async def send(self, message: Message, idempotency_key: str) -> Outcome:
        _ = message
        self.before_call(idempotency_key)
        answer = self.script[len(self.calls)] if len(self.calls) < len(self.script) else Answer.ACCEPT
        self.calls.append((idempotency_key, self._clock.now()))
        await asyncio.sleep(0)
        if answer in {Answer.ACCEPT, Answer.DROP_AFTER, Answer.CRASH_AFTER}:
            self.accepted.append(idempotency_key)
        if answer in {Answer.CRASH_BEFORE, Answer.CRASH_AFTER}:
            self.crashed.set()
            await asyncio.Event().wait()
        if answer is Answer.STALL:
            await self.stalled.wait()
            self.accepted.append(idempotency_key)
        return self._outcome(answer, idempotency_key)

    def _outcome(self, answer: Answer, key: str) -> Outcome:
        match answer:
            case Answer.REJECT:
                return Outcome(Kind.REJECTED, Reason.ADDRESS_REFUSED, hard=True, code="550")
            case Answer.TRY_LATER:
                return Outcome(Kind.RETRY, Reason.TRY_LATER, code="451")
            case Answer.DROP_BEFORE | Answer.DROP_AFTER:
                self.unknown.append(key)
                return Outcome(Kind.UNKNOWN, Reason.CONNECTION_LOST)
            case _:
                return Outcome(Kind.ACCEPTED, Reason.TAKEN)


class People:
    """Customers of the partition; everybody has an address unless it is said otherwise."""

    def __init__(self) -> None:
        self.known: dict[str, Recipient | None] = {}
        self.unreadable: set[str] = set()

    async def refresh(self) -> None:
        await asyncio.sleep(0)

    async def stop(self) -> None:
        await asyncio.sleep(0)

    def recipient(self, tenant: str, customer: str) -> Recipient | None:
        _ = tenant
        if customer in self.unreadable:
            raise codec.UnreadableError
        return self.known.get(customer, Recipient(customer, f"{customer}@example.org"))


class Writer:
    """Content without templates: the template's name is the headline."""

    def __init__(self) -> None:
        self.missing_policies: set[str] = set()

    async def prepare(self, sends: Sequence[Send]) -> None:
        _ = sends
        await asyncio.sleep(0)

    def letter(self, send: Send, recipient: Recipient) -> Letter | Outcome:
        if send.policy_hash in self.missing_policies:
            return Outcome(Kind.RETRY, Reason.NO_POLICY)
        name = codec.name(send.send_id)
        return Letter(name, name, recipient.address, send.template, name, name, send.decided)


class Outside:
    """Everything around a handler, and the way to run it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.ledger = Ledger()
        self.provider = Provider(self.clock)
        self.people = People()
        self.writer = Writer()
        self.registry = CollectorRegistry()
        self.metrics = SenderMetrics("email", self.registry)
        self.inputs: dict[str, list[Record]] = {TOPICS.sends("email", lane): [] for lane in LANES}
        self.crashes = 0
        self.patience = 5.0
        self._number = 0

    def put(self, *sends: Send) -> None:
        for value in sends:
            self.put_bytes(value.lane, wire(value))

    def put_bytes(self, lane: str, value: bytes | None) -> None:
        topic = TOPICS.sends("email", lane)
        records = self.inputs[topic]
        records.append(Record(topic, 0, len(records), self.clock.now(), b"northwind|ana", value))

    def desk(self, tasks: asyncio.TaskGroup) -> Desk:
        return Desk(
            name="sender-email",
            channel_name="email",
            channel=self.provider,
            content=self.writer,
            lanes={TOPICS.sends("email", lane): lane for lane in LANES},
            feedback=TOPICS.feedback,
            dead_letters=TOPICS.dead_letters,
            lease_grace=45 * SECOND,
            after_grace=60 * SECOND,
            clock=self.clock,
            metrics=self.metrics,
            slots=Slots(4),
            tasks=tasks,
            patience=self.patience,
        )

    async def run(self, until: int = START + 48 * HOUR, portion: int = 500) -> None:
        """Work until nothing is left to do before `until`."""
        while self.clock.now() < until:
            async with asyncio.TaskGroup() as tasks:
                handler = Sending(self.desk(tasks), self.people, self.ledger, self.ledger)
                try:
                    await self._work(handler, until, portion)
                except CrashError:
                    self.crashes += 1
                    self.clock.time += SECOND
                else:
                    return
                finally:
                    await handler.close()

    async def _work(self, handler: Sending, until: int, portion: int) -> None:
        while True:
            batch = self.batch(portion)
            due = handler.next_due()
            if not batch.records and (due is None or due >= until):
                return
            if not batch.records and due is not None and due > self.clock.now():
                self.clock.time = due
                continue
            await self._pass(handler, batch)

    async def _pass(self, handler: Sending, batch: Batch) -> None:
        """Process a batch; raise CrashError when the process dies in it."""

        async def survived() -> bool:
            try:
                await handler.process(batch)
            except CrashError:
                return False
            return True

        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(survived())
            crash = tasks.create_task(self.provider.crashed.wait())
            await asyncio.wait({work, crash}, return_when=asyncio.FIRST_COMPLETED)
            died = not work.done() or not work.result()
            work.cancel()
            crash.cancel()
        if died:
            self.provider.crashed.clear()
            raise CrashError

    def batch(self, portion: int = 500) -> Batch:
        """Return what is not committed yet, at most so many records of a lane."""
        self._number += 1
        records = {}
        for topic, known in self.inputs.items():
            first = self.ledger.positions.get(topic, 0)
            if fresh := tuple(known[first : first + portion]):
                records[topic] = fresh
        return Batch(self._number, self.clock.now(), records)

    def ends(self) -> dict[bytes, list[feedback_pb2.Feedback]]:
        """Return the findings that end a send, by send."""
        found: dict[bytes, list[feedback_pb2.Feedback]] = {}
        for finding in self.ledger.feedback():
            if finding.parked or int(finding.outcome) in FINAL:
                found.setdefault(finding.send_id, []).append(finding)
        return found
