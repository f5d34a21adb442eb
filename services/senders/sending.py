"""The business of one partition of a channel: new sends and those that are due, from the ledger to the provider.

A pass goes in rounds: take what may go, re-check and render it, commit the intents (a zombie is fenced here, before
any call), call the provider, many at once, each customer's in order. What came of the calls is committed with the next
round's intents, at the end with the position of the input. A call that takes long is not waited for: its intent holds
the whole send, the position moves on, a later pass takes the answer. Nothing is called on a profile that was read more
than three seconds ago; what was not called by then goes back into the queue.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog
from msgspec import Struct

from services.common.dead_letters import dead_letter, short_key
from services.common.processor.ports import Batch, Change, Committer, Record, Store, Write
from services.common.topics import LANES
from services.senders import codec, ledger, recheck
from services.senders.desk import Customers, Desk
from services.senders.ledger import Entry, Finding, Intent, Open, Parked, Result, Waiting
from services.senders.message import Message
from services.senders.outcome import Kind, Outcome, Reason
from services.senders.schedule import Schedule, in_order
from services.senders.send import Recipient, Send

SECOND = 1_000_000
FRESH = 3 * SECOND
LOOK_AGAIN = SECOND // 10
WRITES_A_COMMIT = 1000
SLOT_SECONDS = 1.0
KEPT = 7 * 24 * 3600 * SECOND
DRAIN_SECONDS = 10.0
CLEANED_A_PASS = 200


class _Call(Struct, frozen=True):
    intent: Intent
    message: Message


class Sending:
    """A handler (see services/common/processor/ports.py), made from the committed ledger alone."""

    def __init__(self, desk: Desk, customers: Customers, store: Store, committer: Committer) -> None:
        self._desk = desk
        self._customers = customers
        self._store = store
        self._committer = committer
        self._schedule = Schedule(self._in_ledger, desk.after_grace)
        self._ended: deque[tuple[int, bytes]] = deque()
        self._changes: dict[bytes, Entry | None] = {}
        self._outputs: list[Write] = []
        self._answers: deque[tuple[Intent, Outcome | None]] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._look_again = 0
        self._log = structlog.get_logger()
        self._restore()

    def _restore(self) -> None:
        ended = []
        for key, value in self._store.items():
            match codec.decode_entry(value):
                case Waiting() as entry:
                    self._schedule.wait(entry)
                case Intent() as entry:
                    self._schedule.orphan(entry, entry.time + self._desk.lease_grace)
                case Result() | Parked() as entry:
                    ended.append((entry.time + KEPT, key))
        self._ended.extend(sorted(ended))
        self._desk.metrics.open.inc(len(self._schedule))

    async def process(self, batch: Batch) -> None:
        """Take a batch and what is due."""
        before = len(self._schedule)
        await self._customers.refresh()
        fresh_until = self._now(batch) + FRESH
        self._adopt(batch)
        self._take_answers(self._now(batch))
        while await self._round(batch, fresh_until):
            self._take_answers(self._now(batch))
        self._look_again = self._now(batch) + LOOK_AGAIN
        self._clean(batch.now)
        if batch.records or self._changes or self._outputs:
            await self._commit(batch)
        self._desk.metrics.open.inc(len(self._schedule) - before)

    async def _round(self, batch: Batch, fresh_until: int) -> bool:
        """Take what may go and call the provider; return whether there may be more to do in this pass."""
        due = self._schedule.next_due()
        if due is None or due > self._now(batch):
            return False
        slots = await self._desk.slots.take(SLOT_SECONDS)
        try:
            if self._now(batch) >= fresh_until:
                return False
            taken = self._schedule.take(self._now(batch), slots)
            await self._desk.content.prepare([entry.send for entry in taken if isinstance(entry, Waiting)])
            calls = self._judge(taken, batch)
            if calls or len(self._outputs) >= WRITES_A_COMMIT:
                await self._commit(None)
            slots -= len(calls)
            started = self._start(calls, fresh_until)
        finally:
            self._desk.slots.give_back(slots)
        if started:
            await asyncio.wait(started, timeout=self._desk.patience)
        return bool(taken)

    def next_due(self) -> int | None:
        """Return when to look again: a send is due, a call may have ended, the ledger can be cleaned."""
        instants = [self._schedule.next_due(), self._ended[0][0] if self._ended else None]
        if self._answers:
            instants.append(0)
        elif self._calls:
            instants.append(self._look_again)
        return min((instant for instant in instants if instant is not None), default=None)

    async def drain(self) -> None:
        """Wait for the calls under way and note what came of them; one that takes longer becomes unknown."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=DRAIN_SECONDS)
        self._take_answers(self._desk.clock.now())
        if self._outputs:
            await self._commit(None)

    async def close(self) -> None:
        """Give up the calls under way; their intents are in the ledger."""
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)
        self._desk.metrics.open.dec(len(self._schedule))
        await self._customers.stop()

    def _now(self, batch: Batch) -> int:
        return max(self._desk.clock.now(), batch.now)

    # --- gather ------------------------------------------------------------------------------

    def _adopt(self, batch: Batch) -> None:
        new = []
        for topic, records in batch.records.items():
            for record in records:
                try:
                    send = codec.send(record, self._desk.lanes[topic], self._desk.channel_name)
                except codec.UnreadableError as error:
                    self._bury(record, str(error), batch.now)
                    continue
                new.append(Waiting(send, record.offset, due=batch.now))
        for entry in in_order(new):
            key = codec.ledger_key(entry.send.lane, entry.send.send_id)
            if entry.send.send_id in self._schedule or key in self._changes or self._store.get(key) is not None:
                self._desk.metrics.prevented.inc()
            else:
                self._put(entry)

    def _bury(self, record: Record, detail: str, now: int) -> None:
        letter = dead_letter(record, self._desk.name, "POISON", detail, now)
        self._outputs.append(Write(self._desk.dead_letters, short_key(record.key), letter))
        self._desk.metrics.dead_letters.inc()
        self._log.warning("send is not readable", topic=record.topic, offset=record.offset, reason=detail)

    def _in_ledger(self, send_id: bytes) -> bool:
        return any(self._store.get(codec.ledger_key(lane, send_id)) is not None for lane in LANES)

    # --- decide ------------------------------------------------------------------------------

    def _judge(self, taken: Sequence[Open], batch: Batch) -> list[_Call]:
        """Note the intents of what goes to the provider, end or postpone the rest."""
        now, calls = self._now(batch), []
        for entry in taken:
            if isinstance(entry, Intent):
                self._conclude(*ledger.interrupted(entry, now))
                continue
            match self._message(entry.send, now):
                case Outcome() as outcome:
                    self._conclude(*ledger.decline(entry, outcome, now))
                case (message, content_hash):
                    intent = ledger.intend(entry, self._desk.channel.provider, content_hash, now)
                    self._put(intent)
                    calls.append(_Call(intent, message))
        return calls

    def _message(self, send: Send, now: int) -> tuple[Message, bytes] | Outcome:
        if (late := recheck.lateness(send, now)) is not None:
            return late
        try:
            recipient = self._customers.recipient(send.tenant, send.customer)
        except codec.UnreadableError:
            return Outcome(Kind.RETRY, Reason.UNREADABLE_PROFILE)
        objection = recheck.objection(send, recipient)
        if objection is not None or recipient is None:
            return objection or Outcome(Kind.SUPPRESSED, Reason.NO_ADDRESS)
        left = recheck.remaining(send, recipient, now)
        if send.items and not left.items:
            return Outcome(Kind.EXPIRED, Reason.EXPIRED)
        message = self._compose(left, recipient)
        return message if isinstance(message, Outcome) else (message, codec.content_hash(message.content))

    def _compose(self, send: Send, recipient: Recipient) -> Message | Outcome:
        """Make the message; whatever that raises ends this one send."""
        try:
            letter = self._desk.content.letter(send, recipient)
            return letter if isinstance(letter, Outcome) else self._desk.channel.compose(letter)
        except Exception as error:  # noqa: BLE001  # data can break a template or a library in ways nobody foresees
            # The process would meet this send again after every restart; the error's text could hold personal data.
            self._log.warning("send can't be rendered", send=codec.name(send.send_id), error=type(error).__name__)
            return Outcome(Kind.REJECTED, Reason.RENDER_ERROR)

    def _conclude(self, following: Entry, finding: Finding) -> None:
        """Note what became of a try."""
        send, outcome, metrics = finding.send, finding.outcome, self._desk.metrics
        self._put(following, send)
        key = codec.customer_key(send.tenant, send.customer)
        self._outputs.append(Write(self._desk.feedback, key, codec.feedback(finding)))
        metrics.outcomes[outcome.kind].inc()
        metrics.reasons[outcome.reason].inc()
        if finding.parked:
            metrics.parked.inc()
        if outcome.kind is Kind.UNKNOWN and finding.provider:
            metrics.unknown.inc()
        self._log.debug(
            "tried",
            send=codec.name(send.send_id),
            outcome=outcome.kind.name,
            reason=outcome.reason.value,
            code=outcome.code,
            attempt=finding.attempt,
        )

    def _put(self, entry: Entry, send: Send | None = None) -> None:
        """Note the new state of a send."""
        match entry:
            case Waiting():
                self._schedule.wait(entry)
                send = entry.send
            case Intent():
                self._schedule.start(entry)
                send = entry.send
            case Result() | Parked():
                assert send is not None  # noqa: S101  # an ended entry names none
                self._schedule.end(send)
                self._ended.append((entry.time + KEPT, codec.ledger_key(send.lane, send.send_id)))
        self._changes[codec.ledger_key(send.lane, send.send_id)] = entry

    def _take_answers(self, now: int) -> None:
        while self._answers:
            intent, outcome = self._answers.popleft()
            if outcome is None:
                self._put(ledger.not_called(intent, now))
            else:
                self._conclude(*ledger.conclude(intent, outcome, now))

    def _clean(self, now: int) -> None:
        """Forget what ended long ago, a little at a time."""
        for _ in range(CLEANED_A_PASS):
            if not self._ended or self._ended[0][0] > now:
                return
            self._changes[self._ended.popleft()[1]] = None

    # --- apply -------------------------------------------------------------------------------

    async def _commit(self, batch: Batch | None) -> None:
        """Write what changed. Sends that were only adopted are written when the position moves past their records."""
        held_back = {} if batch is not None else {key: e for key, e in self._changes.items() if _only_adopted(e)}
        changes = [
            Change(key, None if entry is None else codec.encode_entry(entry))
            for key, entry in self._changes.items()
            if key not in held_back
        ]
        outputs, self._outputs, self._changes = self._outputs, [], held_back
        await self._committer.commit(outputs, changes, batch)
        self._schedule.committed()

    def _start(self, calls: Sequence[_Call], fresh_until: int) -> list[asyncio.Task[None]]:
        """Start the calls, each customer's one after the other; their slots are free again when they have ended."""
        chains: dict[tuple[str, str], list[_Call]] = {}
        for call in calls:
            chains.setdefault((call.intent.send.tenant, call.intent.send.customer), []).append(call)
        return [self._start_chain(chain, fresh_until) for chain in chains.values()]

    def _start_chain(self, chain: Sequence[_Call], fresh_until: int) -> asyncio.Task[None]:
        def ended(task: asyncio.Task[None]) -> None:
            self._calls.discard(task)
            self._desk.slots.give_back(len(chain))

        task = self._desk.tasks.create_task(self._chain(chain, fresh_until))
        self._calls.add(task)
        task.add_done_callback(ended)
        return task

    async def _chain(self, chain: Sequence[_Call], fresh_until: int) -> None:
        for call in chain:
            self._answers.append((call.intent, await self._outcome(call, fresh_until)))

    async def _outcome(self, call: _Call, fresh_until: int) -> Outcome | None:
        """Call the provider, or don't when it has become too late for that (None)."""
        metrics, send = self._desk.metrics, call.intent.send
        if self._desk.clock.now() >= min(fresh_until, send.expires):
            return None
        with metrics.in_flight.track_inprogress(), metrics.provider_seconds.time():
            return await self._desk.channel.send(call.message, codec.name(send.send_id))


def _only_adopted(entry: Entry | None) -> bool:
    return isinstance(entry, Waiting) and entry.attempt == 0
