"""One pass of the router: what was gathered goes through the pure core, what comes out becomes records.

Order within a pass: what no control pauses any more; changes; feedback; due timers; members of critical fan-outs;
events; members of other fan-outs. Everything of a pass is committed in one transaction. Nothing here waits for
anything; what a pass takes it decides, but a fan-out, which is taken over at once and worked off over many passes.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import structlog
from msgspec.structs import replace

from services.common.dead_letters import dead_letter, short_key
from services.common.identifiers import event_key
from services.common.partitions import partition_of
from services.common.processor.errors import BrokenStoreError
from services.common.processor.ports import MAX_RECORD_BYTES, Batch, Record, Write
from services.common.topics import Topics
from services.policy import selectors
from services.policy.changes import changed, erased
from services.policy.expressions import ExpressionError
from services.policy.profiles import to_profile
from services.router import codec, fanout_records, metrics, records
from services.router.decision import ids
from services.router.decision.decide import decide, take
from services.router.decision.lifecycle import prune
from services.router.decision.model import (
    DAY,
    Customer,
    Decision,
    DueInput,
    EraseInput,
    Event,
    EventInput,
    Input,
    LiftInput,
    MemberInput,
    Outcome,
    Policy,
    Profile,
    Reason,
    Result,
    Taken,
)
from services.router.fanout import Desk, FanOutWork
from services.router.fanout_records import FanOut
from services.router.indexes import CustomerKey
from services.router.state import State, identity_key, identity_key_of_many

_log = structlog.get_logger()

MAX_DUE = 500
# What a pass writes; fan-outs have what is left of it, and never nothing.
MAX_WRITTEN = 2_000
MAX_WRITTEN_BYTES = 4 * 1024 * 1024
LEAST_WRITTEN = 200
LEAST_WRITTEN_BYTES = 512 * 1024
IDENTITY_BUDGET = 1_000
SWEPT_A_PASS = 20
MAX_PROFILE_BYTES = 65_536
# What a customer wants is never refused for the size of what else is known of him.
WISHES = frozenset({"preferences", "suppressed", "consents", "snoozed_until", "quiet_hours", "channels", "digest"})
MAX_DETAIL = 1_000
LOOK_AGAIN = 60_000_000
FORWARDED = "clarion-forwarded"


class Policies(Protocol):
    """The policies in force."""

    def active(self, tenant: str) -> Policy | None:
        """Return the policy in force for a tenant."""
        ...

    def tenants(self) -> list[str]:
        """Return the tenants that have a policy, in order."""
        ...


class Pass:
    """Decides one batch; afterwards `outputs` and the state's changes are what has to be committed."""

    def __init__(
        self, batch: Batch, partition: int, topics: Topics, policies: Policies, state: State, tenant: str
    ) -> None:
        self.outputs: list[Write] = []
        self._batch = batch
        self._now = batch.now
        self._partition = partition
        self._topics = topics
        self._known = policies
        self._state = state
        self._tenant = tenant
        self._timers: list[bytes] = []
        self._in_force: dict[str, str] = {}
        self._written = 0
        self._bytes = 0
        self._allowed = (MAX_WRITTEN, MAX_WRITTEN_BYTES)
        self._fanning = FanOutWork(Desk(state, policies, topics.partitions, batch.now, self._member, self._has_room))

    def decide_all(self) -> None:
        """Take everything in the order that holds within a pass."""
        taken = self._batch.records
        self._lift()
        for record in taken.get(self._topics.changes, ()):
            self._take(record, "changes", self._change)
        for record in taken.get(self._topics.feedback, ()):
            self._take(record, "feedback", self._feedback)
        for record in taken.get(self._topics.fanouts, ()):
            self._take(record, "fanouts", self._adopt)
        for customer in self._state.timers.take_due(self._now, MAX_DUE):
            self._due(customer)
        self._fan_out(urgent=True)
        for record in taken.get(self._topics.events, ()):
            self._take(record, "events", self._event)
        self._fan_out(urgent=False)
        self._state.forget_identities(self._now - self._longest_dedup_window(), IDENTITY_BUDGET)
        self._sweep()
        self.outputs.append(self._pass_record())

    def _take(self, record: Record, name: str, work: Callable[[Record], None]) -> None:
        """Take one record; whatever it makes fail, the pass goes on: state changes after everything else went well.

        One record must not stop a partition, so a failure of our own makes a dead letter too, and is counted.
        """
        try:
            work(record)
        except BrokenStoreError:
            raise
        except codec.PoisonError as error:
            self._refuse(record, name, str(error))
        except Exception as error:  # noqa: BLE001  # see above
            metrics.FAILURES.inc()
            _log.error("record failed", topic=record.topic, offset=record.offset, reason=type(error).__name__)
            self._refuse(record, name, f"could not be decided: {type(error).__name__}")

    def _refuse(self, record: Record, name: str, detail: str) -> None:
        self._give_up(record, name, Reason.POISON, detail)
        if name == "events":
            self._record_error(record, None, Reason.POISON, detail)

    # --- changes and feedback ---

    def _change(self, record: Record) -> None:
        change = codec.change(record)
        self._check_place(change.tenant, change.customer)
        if change.patch is None:
            self._erase(change, record.offset)
            return
        before = self._state.document(change.tenant, change.customer)
        document = changed(before, change.patch, change.accepted, change.author)
        wishes = change.patch.keys() <= WISHES
        limit = MAX_PROFILE_BYTES * (2 if wishes else 1)
        if len(records.encode_document(document)) > limit:
            raise codec.PoisonError(f"the profile would take more than {limit} bytes")
        self._put_document(change.tenant, change.customer, document)

    def _erase(self, change: codec.ChangeInput, offset: int) -> None:
        """Forget a customer, but that nobody must write to him; what waits for him ends."""
        policy = self._known.active(change.tenant)
        customer = self._state.customer(change.tenant, change.customer)
        document = self._state.document(change.tenant, change.customer)
        if policy is not None:
            self._apply(EraseInput(), policy, customer, offset)
        elif customer.holds:
            raise codec.PoisonError("no policy is in force for the tenant")
        self._put_document(change.tenant, change.customer, erased(change.customer, document))

    def _put_document(self, tenant: str, customer: str, document: dict[str, Any]) -> None:
        value = records.profile(tenant, to_profile(customer, document))
        self._state.put_document(tenant, customer, document)
        self._write(self._topics.profiles, _key(tenant, customer), value)

    def _feedback(self, record: Record) -> None:
        feedback = codec.feedback(record)
        self._check_place(feedback.tenant, feedback.customer)
        policy = self._known.active(feedback.tenant)
        if policy is None:
            raise codec.PoisonError("no policy is in force for the tenant")
        self._apply(feedback.input, policy, self._state.customer(feedback.tenant, feedback.customer), record.offset)

    def _check_place(self, tenant: str, customer: str) -> None:
        if not self._is_here(_key(tenant, customer)):
            raise codec.PoisonError("the record is on the wrong partition: its key must be tenant|customer, by murmur2")

    # --- controls ---

    def _lift(self) -> None:
        """Decide again what no control pauses any more, some customers a pass."""
        for tenant, name, customers in lifted(self._state, self._known, self._now, MAX_DUE):
            policy = self._known.active(tenant)
            for found in customers if policy is not None else ():
                customer = self._state.customer(tenant, found)
                waiting = [hold.decision_id for hold in customer.holds if hold.control == name]
                if policy is not None and self._holds(customer, LiftInput(frozenset({name})), policy):
                    self._timers.extend(waiting)
                else:
                    self._state.kept_paused.add((tenant, name, found))

    # --- timers ---

    def _due(self, key: CustomerKey) -> None:
        tenant, name = key
        customer = self._state.customer(tenant, name)
        due = sorted(hold.decision_id for hold in customer.holds if hold.due <= self._now)
        policy = self._known.active(tenant)
        if not due or policy is None:
            # Without a policy nothing can be decided; the hold waits for one.
            self._state.timers.postpone(key, self._now + LOOK_AGAIN)
            return
        if self._holds(customer, DueInput(frozenset(due)), policy):
            self._timers.extend(due)
        else:
            self._state.timers.postpone(key, self._now + LOOK_AGAIN)

    def _holds(self, customer: Customer, input: DueInput | LiftInput, policy: Policy) -> bool:
        """Decide holds again; one customer's hold that our own code fails on must not stop a partition."""
        try:
            self._apply(input, policy, customer, -1)
        except Exception as error:  # noqa: BLE001  # see above: it waits, counted
            metrics.FAILURES.inc()
            _log.error("hold failed", reason=type(error).__name__)
            return False
        return True

    def _sweep(self) -> None:
        """Free a few customers of what no longer matters, also those whom nothing comes for any more."""
        for customer in self._state.sweep(self._now, SWEPT_A_PASS):
            policy = self._known.active(customer.tenant)
            kept = customer if policy is None else prune(customer, policy, self._now)
            if kept is not customer:
                self._state.put(customer, kept, self._state.changes_of(customer, kept))

    # --- events ---

    def _event(self, record: Record) -> None:
        event = codec.event(record, self._tenant)
        key = event_key(event.tenant, event.customers, event.subject, event.source, event.id)
        if not self._is_here(key):
            self._forward(record, key)
            return
        metrics.DECIDE_LATENCY.observe(max(0, self._now - event.accepted) / 1_000_000)
        policy = self._known.active(event.tenant)
        if policy is None:
            detail = f"no policy is in force for tenant {event.tenant}"
            self._give_up(record, "events", Reason.POLICY_ERROR, detail)
            self._record_error(record, event, Reason.POLICY_ERROR, detail)
            return
        if len(event.customers) != 1:
            self._event_for_many(record, event, key, policy)
            return
        self._state.fanouts.last_event = self._now
        seen_key = identity_key(event.tenant, event.customers[0], event.source, event.id)
        seen = self._state.identity(seen_key)
        customer = self._state.customer(event.tenant, event.customers[0])
        result = self._apply(EventInput(event, seen, (self._partition, record.offset)), policy, customer, record.offset)
        if result.identity is not None and result.identity is not seen:
            self._state.remember(seen_key, result.identity)
        for decision in result.decisions:
            if decision.outcome is Outcome.ERROR:
                self._give_up(record, "events", decision.reason, decision.detail)

    def _event_for_many(self, record: Record, event: Event, key: bytes, policy: Policy) -> None:
        """Take an event for many: what concerns it as a whole is decided here, its members on their partitions."""
        try:
            selector = selectors.selector(policy, event.select).condition if event.select else None
        except ExpressionError as error:
            detail = f"the audience's select: {error}"[:MAX_DETAIL]
            self._give_up(record, "events", Reason.INVALID_DATA, detail)
            self._record_error(record, event, Reason.INVALID_DATA, detail)
            return
        seen_key = identity_key_of_many(event.tenant, key, event.source, event.id)
        seen = self._state.identity(seen_key)
        taken = take(EventInput(event, seen, (self._partition, record.offset), selector), policy, self._now)
        writes = [
            Write(self._topics.decisions, key, records.decision(each, self._batch.number, record.offset, event.tenant))
            for each in taken.decisions
        ]
        if not taken.decisions:
            writes += self._fan_outs(taken, key)
        self._check_sizes(write.value for write in writes)
        self._in_force[event.tenant] = policy.hash
        self.outputs += writes
        for decision in taken.decisions:
            self._count(decision)
            if decision.outcome is Outcome.ERROR:
                self._give_up(record, "events", decision.reason, decision.detail)
        if taken.identity is not None and taken.identity is not seen:
            self._state.remember(seen_key, taken.identity)

    def _fan_outs(self, taken: Taken, key: bytes) -> list[Write]:
        """Return the record for each partition where members may live; each gets its own of a list of names."""
        event = taken.event
        there: dict[int, list[str]] = {}
        for name in event.customers:
            there.setdefault(partition_of(_key(event.tenant, name), self._topics.partitions), []).append(name)
        partitions = sorted(there) if event.customers else range(self._topics.partitions)
        fan_out_id = ids.decision_id(event, taken.first_seen, "", "")
        return [
            Write(
                self._topics.fanouts,
                key,
                fanout_records.encode(
                    fan_out_id,
                    replace(event, customers=tuple(there.get(partition, ()))),
                    taken.first_seen,
                    len(partitions),
                ),
                partition=partition,
            )
            for partition in partitions
        ]

    # --- fan-outs ---

    def _adopt(self, record: Record) -> None:
        fan = fanout_records.decode(record)
        if not all(self._is_here(_key(fan.event.tenant, name)) for name in fan.event.customers):
            raise codec.PoisonError("the fan-out names customers of another partition")
        self._state.fanouts.adopt(fan, record.value or b"")

    def _fan_out(self, *, urgent: bool) -> None:
        self._allowed = (
            max(MAX_WRITTEN, self._written + LEAST_WRITTEN),
            max(MAX_WRITTEN_BYTES, self._bytes + LEAST_WRITTEN_BYTES),
        )
        self._fanning.work(urgent=urgent)
        for ending in self._fanning.endings:
            value = fanout_records.report(ending.fan, ending.progress, self._partition, finished=self._now)
            self._write(self._topics.decisions, fanout_records.REPORT_KEY, value)
        self._fanning.endings.clear()

    def _has_room(self) -> bool:
        records_allowed, bytes_allowed = self._allowed
        return self._written < records_allowed and self._bytes < bytes_allowed

    def _member(
        self, taken: Taken, policy: Policy, name: str, fan: FanOut, first: bool
    ) -> tuple[Sequence[Decision], bool]:
        """Decide for one customer of a fan-out; return the decisions, and whether that failed."""
        try:
            customer = self._state.customer(taken.event.tenant, name)
            return self._apply(MemberInput(taken), policy, customer, fan.offset).decisions, False
        except BrokenStoreError:
            raise
        except Exception as error:  # noqa: BLE001  # one customer must not stop a fan-out: an error is recorded for him
            metrics.FAILURES.inc()
            _log.error("member failed", offset=fan.offset, reason=type(error).__name__)
            detail = str(error) if isinstance(error, codec.PoisonError) else f"failed: {type(error).__name__}"
            return (self._record_failure(taken, name, fan, detail, letter=first),), True

    def _record_failure(self, taken: Taken, name: str, fan: FanOut, detail: str, *, letter: bool) -> Decision:
        """Record that a member could not be judged; the first one of a fan-out leaves its event as a dead letter."""
        event, key = taken.event, _key(taken.event.tenant, name)
        decision = Decision(
            decision_id=ids.decision_id(event, taken.first_seen, "", name),
            revision=0,
            step=0,
            terminal=True,
            outcome=Outcome.ERROR,
            reason=Reason.POISON,
            time=self._now,
            customer=name,
            event=event,
            first_seen=taken.first_seen,
            detail=detail,
        )
        self._write(
            self._topics.decisions, key, records.decision(decision, self._batch.number, fan.offset, event.tenant)
        )
        self._count(decision)
        if letter:
            value = fanout_records.encode(fan.id, event, fan.first_seen, fan.partitions)
            place = Record(self._topics.fanouts, self._partition, fan.offset, event.accepted, key, value)
            self._give_up(place, "fanouts", Reason.POISON, detail)
        return decision

    def _is_here(self, key: bytes) -> bool:
        return partition_of(key, self._topics.partitions) == self._partition

    def _forward(self, record: Record, key: bytes) -> None:
        if any(name == FORWARDED for name, _ in record.headers):
            raise codec.PoisonError("forwarded once, and still not on its own partition")
        metrics.FORWARDED.inc()
        headers = (*record.headers, (FORWARDED, str(self._partition).encode()))
        target = partition_of(key, self._topics.partitions)
        self.outputs.append(Write(self._topics.events, key, record.value, headers, target))

    # --- what comes out ---

    def _apply(
        self,
        input: Input,
        policy: Policy,
        customer: Customer,
        offset: int,
    ) -> Result:
        """Decide, make all records of it, and only then take it over."""
        result = decide(input, policy, prune(customer, policy, self._now), self._now)
        key = _key(customer.tenant, customer.id)
        writes = []
        for decision in result.decisions:
            value = records.decision(decision, self._batch.number, offset, customer.tenant)
            writes.append(Write(self._topics.decisions, key, value))
            if decision.sends and not decision.digest:
                writes += self._sends(decision, policy, customer.profile, key)
        for digest in result.digests:
            lane, value = records.digest(digest, customer)
            writes.append(Write(self._topics.sends(digest.channel, lane), key, value))
        changes = self._state.changes_of(customer, result.customer)
        values = [*(write.value for write in writes), *changes.values()]
        self._check_sizes(values)
        self._written += len(values)
        self._bytes += sum(len(value) for value in values if value is not None)
        self._in_force[customer.tenant] = policy.hash
        self.outputs += writes
        self._state.put(customer, result.customer, changes)
        for decision in result.decisions:
            self._count(decision)
        for digest in result.digests:
            metrics.SENDS[digest.channel, records.LANES[digest.message_class]].inc()
        return result

    def _check_sizes(self, values: Iterable[bytes | None]) -> None:
        largest = max((len(value) for value in values if value is not None), default=0)
        if largest > MAX_RECORD_BYTES:
            raise codec.PoisonError(f"what comes of it would be a record of {largest} bytes")

    def _count(self, decision: Decision) -> None:
        metrics.DECISIONS[decision.outcome, decision.reason].inc()
        for one in decision.sends:
            if decision.rule is not None and decision.event is not None and not one.digest:
                metrics.SENDS[one.channel, records.lane(decision.rule.message_class, decision.event)].inc()

    def _sends(self, decision: Decision, policy: Policy, profile: Profile | None, key: bytes) -> list[Write]:
        rule = decision.rule
        required = rule is not None and policy.categories[rule.category].required
        locale = profile.locale if profile and profile.locale else policy.defaults.locale
        zone = profile.timezone if profile and profile.timezone else policy.defaults.timezone
        made = ((one.channel, *records.send(decision, one, required, zone, locale)) for one in decision.sends)
        return [Write(self._topics.sends(channel, lane), key, value) for channel, lane, value in made]

    def _write(self, topic: str, key: bytes, value: bytes) -> None:
        self.outputs.append(Write(topic, key, value))

    def _give_up(self, record: Record, name: str, reason: Reason, detail: str) -> None:
        metrics.DEAD_LETTERS[name].inc()
        letter = dead_letter(record, "router", reason.name, detail, self._now)
        self._write(self._topics.dead_letters, short_key(record.key), letter)

    def _record_error(self, record: Record, event: Event | None, reason: Reason, detail: str) -> None:
        decision = Decision(
            decision_id=records.position_id(record),
            revision=0,
            step=0,
            terminal=True,
            outcome=Outcome.ERROR,
            reason=reason,
            time=self._now,
            customer="",
            event=event,
            first_seen=record.timestamp,
            detail=detail,
        )
        if event is None:
            key, tenant = short_key(record.key), ""
        else:
            key = event_key(event.tenant, event.customers, event.subject, event.source, event.id)
            tenant = event.tenant
        value = records.decision(decision, self._batch.number, record.offset, tenant)
        self._write(self._topics.decisions, key, value)
        self._count(decision)

    def _pass_record(self) -> Write:
        batch = self._batch
        policies = sorted(self._in_force.items())
        chunks = self._fanning.chunks
        value = records.pass_record(batch.number, batch.now, batch.records, self._timers, policies, chunks)
        return Write(self._topics.decisions, b"@pass", value)

    def _longest_dedup_window(self) -> int:
        policies = (self._known.active(tenant) for tenant in self._known.tenants())
        return max((policy.defaults.dedup_window for policy in policies if policy is not None), default=DAY)


def lifted(state: State, policies: Policies, now: int, limit: int) -> list[tuple[str, str, list[str]]]:
    """Return the controls that pause something here and are in force no more, each with whom it keeps waiting."""
    found = []
    for tenant, name in state.pauses():
        policy = policies.active(tenant)
        if policy is None or any(c.name == name and not 0 < c.expires <= now for c in policy.controls):
            continue
        customers = state.paused_by(tenant, name, limit + len(state.kept_paused))
        waiting = [each for each in customers if (tenant, name, each) not in state.kept_paused]
        if waiting:
            found.append((tenant, name, waiting[:limit]))
    return found


def _key(tenant: str, customer: str) -> bytes:
    return f"{tenant}|{customer}".encode()
