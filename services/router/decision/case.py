"""What is at hand while one input is decided.

A `Draft` is the customer as he becomes, with the decisions made so far. A `Turn` is one event's part of it: all
rules of an event see the subject as it was before the event, so it is looked up once. A `Case` is one (event, rule,
customer) on its way through the checks: it starts with facts and gathers findings, which become the trace.
These are the only values of the core that change; none of them leaves `decide`.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from msgspec import Struct

from services.router.decision.model import (
    Admission,
    CapFinding,
    Category,
    Customer,
    Decision,
    Digest,
    Event,
    Hold,
    Identity,
    Open,
    Outcome,
    Policy,
    Profile,
    Reason,
    Result,
    Rule,
    RuleTried,
    Scope,
    Subject,
    Timer,
    Told,
    Value,
    Verdict,
)


class Ended(Struct, frozen=True, gc=False):
    """How a check ended a case; of a hold also when it is due, the control that pauses it, the digests it waits for."""

    outcome: Outcome
    reason: Reason
    due: int = 0
    control: str = ""
    digests: tuple[str, ...] = ()


class Heard(Struct, frozen=True, gc=False):
    """What the customer has heard of the event's subject, apart from the event itself (semantics 7)."""

    told: tuple[Told, ...] = ()
    previous: Mapping[str, Any] | None = None
    highest_sequence: int | None = None


class Allowed(Struct, frozen=True, gc=False):
    """A channel that passed the preferences, and the value that let it pass."""

    channel: str
    value: Value
    preference: str
    preference_set: int


class Then(IntEnum):
    """What a blocked channel means for the walk over the plan (semantics 3, channel plan)."""

    NEXT = 1
    HOLD = 2
    DROP = 3


class Blocked(Struct, frozen=True, gc=False):
    """Why a channel cannot be used now. `due` with NEXT: the decision may wait for it if no other channel is left."""

    reason: Reason
    then: Then
    until: int = 0
    due: int = 0
    control: str = ""


class Draft(Struct):
    """The customer while one input is decided, and what was decided."""

    origin: Customer
    admissions: tuple[Admission, ...]
    subjects: Mapping[tuple[str, str], Subject]
    holds: tuple[Hold, ...]
    opens: tuple[Open, ...]
    profile: Profile
    superseded: list[Decision] = []
    decisions: list[Decision] = []
    timers: list[Timer] = []
    digests: list[Digest] = []

    @classmethod
    def of(cls, customer: Customer) -> "Draft":
        """Start from the customer as he is; one nobody knows has a profile without anything."""
        profile = customer.profile or Profile(customer.id)
        return cls(customer, customer.admissions, customer.subjects, customer.holds, customer.opens, profile)

    def put(self, subject: Subject) -> None:
        """Keep what is now known of a subject; the other subjects stay the same objects."""
        self.subjects = {**self.subjects, (subject.source, subject.subject): subject}

    def result(self, identity: Identity | None = None) -> Result:
        """Return what was decided, ended holds first, and the customer afterwards: the same object if unchanged."""
        old = self.origin
        kept = (
            self.admissions is old.admissions
            and self.subjects is old.subjects
            and self.holds is old.holds
            and self.opens is old.opens
        )
        customer = old
        if not kept:
            customer = Customer(old.tenant, old.id, old.profile, self.admissions, self.subjects, self.holds, self.opens)
        decisions = (*self.superseded, *self.decisions)
        return Result(decisions, customer, tuple(self.timers), identity, tuple(self.digests))


class Turn(Struct):
    """One event's turn. `older` are the holds of its subject; the flags say what its cases did so far.

    `announces`: a rule of this closing event tells of the end also those who were not told of the beginning.
    """

    event: Event
    first_seen: int
    heard: Heard
    older: tuple[Hold, ...] = ()
    announces: bool = False
    in_sequence: bool = False
    ended_a_hold: bool = False


class Case(Struct):
    """One (event, rule, customer) on its way through the checks.

    `flushing` are the channels whose digest it waited for, when that is due now; `waited` those of one that strays from
    its digest. `since` is when this step was held first, 0: never.
    """

    policy: Policy
    draft: Draft
    turn: Turn
    rule: Rule
    category: Category
    now: int
    decision_id: bytes
    expires: int
    closure: bool
    revision: int = 0
    step: int = 0
    first_held: int = 0
    failed: tuple[str, ...] = ()
    tried: tuple[RuleTried, ...] = ()
    flushing: tuple[str, ...] = ()
    waited: tuple[str, ...] = ()
    since: int = 0
    announced: bool = False
    once: str = ""
    detail: str = ""
    every: bool = False
    allowed: tuple[Allowed, ...] = ()
    verdicts: list[Verdict] = []
    findings: list[CapFinding] = []
    asked: dict[str, CapFinding] = {}
    used: tuple[str, ...] = ()
    timezone: str = ""
    local_time: str = ""
    quiet_until: int | None = None

    def scope(self) -> Scope:
        """Return what the rule's expressions can see."""
        return Scope(self.turn.event, self.draft.profile, self.turn.heard.previous, self.now)


Check = Callable[[Case], Ended | None]
ChannelCheck = Callable[[Case, Allowed], Blocked | None]
