"""Values of the decision core.

Everything here is an immutable value; the core takes these and returns these, and nothing else.
Times are whole microseconds since 1970 UTC; durations are whole microseconds; ids are raw bytes.
The numbers of the enums are the wire numbers of `clarion.v1`, so a codec casts instead of looking up.
In Python 3.11 `Enum.MEMBER` takes as long as a call: a member that every decision asks for has a name of its own in
the module that asks.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

from msgspec import Struct

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Lifecycle(IntEnum):
    """Where in the life of its subject an event stands (semantics 1)."""

    POINT = 1
    OPENED = 2
    UPDATED = 3
    RESOLVED = 4
    CANCELLED = 5

    @property
    def closing(self) -> bool:
        """Whether the subject is over."""
        return self >= _RESOLVED


_RESOLVED = Lifecycle.RESOLVED


class Severity(IntEnum):
    """How bad it is (semantics 1)."""

    INFO = 1
    MINOR = 2
    MAJOR = 3
    CRITICAL = 4


class MessageClass(IntEnum):
    """Urgency, the most urgent first (semantics 2)."""

    CRITICAL = 1
    TRANSACTIONAL = 2
    INFORMATIONAL = 3
    MARKETING = 4


class Outcome(IntEnum):
    """How a decision ended (semantics 0)."""

    SEND = 1
    HOLD = 2
    SUPPRESSED = 3
    SUPERSEDED = 4
    STALE = 5
    TRANSIENT = 6
    EXPIRED = 7
    DUPLICATE = 8
    NO_RULE = 9
    ERROR = 10


class Reason(IntEnum):
    """Why: the closed vocabulary of records, metrics, tests and explanations (semantics 0)."""

    ALLOWED = 1
    CLOSURE = 2
    QUIET_HOURS = 3
    CAP = 4
    DIGEST = 5
    PAUSED = 6
    PREFERENCE_OFF = 7
    NO_CONSENT = 8
    SNOOZED = 9
    LOCKED = 10
    ADDRESS_SUPPRESSED = 11
    NO_ADDRESS = 12
    CAP_REACHED = 13
    NOT_MATERIAL = 14
    NEVER_INFORMED = 15
    ROLLOUT = 16
    HOLDOUT = 17
    STOPPED = 18
    ONCE = 19
    NOT_IN_AUDIENCE = 20
    CHANNEL_FAILED = 21
    SUPERSEDED = 22
    STALE = 23
    TRANSIENT = 24
    EXPIRED = 25
    DUPLICATE = 26
    NO_RULE = 27
    POISON = 28
    ID_REUSED = 29
    UNKNOWN_TYPE = 30
    INVALID_DATA = 31
    POLICY_ERROR = 32


# The reasons that an outcome can have (semantics 0).
REASONS_OF: Mapping[Outcome, tuple[Reason, ...]] = {
    Outcome.SEND: (Reason.ALLOWED, Reason.CLOSURE),
    Outcome.HOLD: (Reason.QUIET_HOURS, Reason.CAP, Reason.DIGEST, Reason.PAUSED),
    Outcome.SUPPRESSED: (
        Reason.PREFERENCE_OFF,
        Reason.NO_CONSENT,
        Reason.SNOOZED,
        Reason.LOCKED,
        Reason.ADDRESS_SUPPRESSED,
        Reason.NO_ADDRESS,
        Reason.CAP_REACHED,
        Reason.QUIET_HOURS,
        Reason.NOT_MATERIAL,
        Reason.NEVER_INFORMED,
        Reason.ROLLOUT,
        Reason.HOLDOUT,
        Reason.STOPPED,
        Reason.ONCE,
        Reason.NOT_IN_AUDIENCE,
        Reason.CHANNEL_FAILED,
    ),
    Outcome.SUPERSEDED: (Reason.SUPERSEDED,),
    Outcome.STALE: (Reason.STALE,),
    Outcome.TRANSIENT: (Reason.TRANSIENT,),
    Outcome.EXPIRED: (Reason.EXPIRED,),
    Outcome.DUPLICATE: (Reason.DUPLICATE,),
    Outcome.NO_RULE: (Reason.NO_RULE,),
    Outcome.ERROR: (Reason.POISON, Reason.ID_REUSED, Reason.UNKNOWN_TYPE, Reason.INVALID_DATA, Reason.POLICY_ERROR),
}


class Value(IntEnum):
    """What a preference says (semantics 4)."""

    INSTANT = 1
    DIGEST = 2
    OFF = 3


class Over(IntEnum):
    """What happens when a cap blocks or quiet hours apply (semantics 5, 6)."""

    DROP = 1
    DEFER = 2
    REROUTE = 3
    DIGEST = 4
    HOLD = 5


class Per(IntEnum):
    """Scope of a cap, always within one customer (semantics 5)."""

    CUSTOMER = 1
    CHANNEL = 2
    CATEGORY = 3
    CLASS = 4
    RULE = 5
    SUBJECT = 6


class ControlKind(IntEnum):
    """What people steer with (policy.md, Events, customers, controls)."""

    STOP = 1
    PAUSE = 2
    FANOUT_PAUSE = 3
    FANOUT_ABORT = 4


class Truth(IntEnum):
    """What a condition says; ABSENT counts as false and is told apart in the trace."""

    FALSE = 0
    TRUE = 1
    ABSENT = 2


class Feedback(IntEnum):
    """What is known of a send (semantics 8); numbers of `clarion.v1.DeliveryOutcome`."""

    ACCEPTED = 1
    REJECTED = 2
    RETRY = 3
    UNKNOWN = 4
    EXPIRED = 5
    DELIVERED = 6
    BOUNCED = 7
    COMPLAINED = 8
    OPENED = 9
    CLICKED = 10
    REPLIED = 11
    SUPPRESSED = 12


# --- what comes in ---------------------------------------------------------------------------


class Event(Struct, frozen=True, gc=False):
    """A checked event and its audience (semantics 1). `data` is never changed.

    The audience is named `customers`, or everyone for whom the CEL expression `select` holds, or `everyone`.
    `bulk`: it goes to so many that its messages, unless critical, must not stand in the way of others.
    """

    tenant: str
    source: str
    id: str
    type: str
    subject: str
    time: int
    lifecycle: Lifecycle
    sequence: int | None
    severity: Severity
    expiry: int | None
    customers: tuple[str, ...]
    data: Mapping[str, Any]
    content_hash: bytes
    accepted: int
    traceparent: str = ""
    door: str = ""
    select: str = ""
    everyone: bool = False
    bulk: bool = False


class Address(Struct, frozen=True, gc=False):
    """Where a customer is reached on one channel."""

    channel: str
    address: str


class Preference(Struct, frozen=True, gc=False):
    """A wish for a category, a channel, or both; an empty name means any."""

    category: str
    channel: str
    value: Value
    set_time: int = 0
    set_by: str = ""


class Suppression(Struct, frozen=True, gc=False):
    """An address that must not be used; `why` is COMPLAINT, HARD_BOUNCE, STOP, UNREGISTERED or ERASED."""

    channel: str
    why: str
    set_time: int = 0


class Window(Struct, frozen=True, gc=False):
    """Local `[start, end)` in minutes after midnight; start != end; crosses midnight when start > end."""

    start: int
    end: int


class QuietTimes(Struct, frozen=True, gc=False):
    """Quiet windows: one for every day (or none) and seven of Monday to Sunday that override it."""

    every: Window | None
    days: tuple[Window | None, ...] = (None,) * 7

    def of_day(self, weekday: int) -> Window | None:
        """Return the window that starts on this weekday (Monday is 0)."""
        return self.days[weekday] or self.every


class DigestTimes(Struct, frozen=True, gc=False):
    """When digests are flushed, local time: every `DAY` at a minute after midnight, or every `HOUR` (semantics 3)."""

    every: int = DAY
    at: int = 8 * 60


class Profile(Struct, frozen=True, gc=False):
    """A customer as he is now. A suppression without channel concerns every channel."""

    customer: str
    addresses: tuple[Address, ...] = ()
    locale: str = ""
    timezone: str = ""
    channels: tuple[str, ...] = ()
    quiet_hours: QuietTimes | None = None
    preferences: tuple[Preference, ...] = ()
    consents: tuple[str, ...] = ()
    suppressed: tuple[Suppression, ...] = ()
    snoozed_until: int = 0
    digest: DigestTimes | None = None
    attributes: Mapping[str, Any] = {}


class Identity(Struct, frozen=True, gc=False):
    """What is remembered of an event that was taken (semantics 1)."""

    content_hash: bytes
    first_seen: int


class Part(Struct, frozen=True, gc=False):
    """One more message in a digest: its admission matches a cap if any of its parts does (semantics 3, digest)."""

    channels: tuple[str, ...]
    category: str
    message_class: MessageClass
    rule: str
    subject: str
    once: str = ""
    closure: bool = False


class Admission(Struct, frozen=True, gc=False):
    """One message that counts against caps, as it was when it was admitted (semantics 5).

    `once` is the key of the rule's `once`, "" for none. An admission of a digest has a `Part` for every item after
    the first one; its own fields are the first item's. `decision_id` is then the flush's (see `ids.digest_id`).
    A channel that was released is not among `channels` any more; an admission without any is forgotten.
    """

    time: int
    decision_id: bytes
    channels: tuple[str, ...]
    category: str
    message_class: MessageClass
    rule: str
    subject: str
    step: int = 0
    closure: bool = False
    once: str = ""
    parts: tuple[Part, ...] = ()


class Told(Struct, frozen=True, gc=False):
    """One message of a subject that was sent to the customer and is not known to have failed.

    `event_id` and `first_seen` name its event, `closing` says whether that closed the subject. `data` is kept only
    on the message before the newest one, so that `previous` can go back to it when the newest fails.
    """

    send_id: bytes
    channel: str
    time: int
    event_id: str = ""
    first_seen: int = 0
    closing: bool = False
    data: Mapping[str, Any] | None = None


class Subject(Struct, frozen=True, gc=False):
    """What a customer has heard of one (source, subject) (semantics 7).

    `told` holds the messages sent after the last closing message; `previous` is the data of the last
    message sent about the subject (None: none was sent). `closed` holds the messages up to the last closing one:
    when that turns out to have failed, the customer is told again. `last_event_time` is when the last event of the
    subject was taken.
    """

    source: str
    subject: str
    highest_sequence: int | None = None
    told: tuple[Told, ...] = ()
    previous: Mapping[str, Any] | None = None
    last_sends: tuple[Told, ...] = ()
    last_event_time: int = 0
    closed: tuple[Told, ...] = ()


class Hold(Struct, frozen=True, gc=False):
    """A decision that waits; decided again at `due` by the rule of its name.

    `since` is when its step was held first, `first_held` when a cap held it first (0: never), `control` the pause that
    holds it.
    `digests` are the channels whose digest it waits for, also while quiet hours or a cap hold it past its flush.
    `announced`: a closing message that goes on though the customer was not told; `ended_a_hold`: its event ended one.
    """

    decision_id: bytes
    due: int
    revision: int
    step: int
    rule: str
    first_seen: int
    first_held: int
    expires: int
    reason: Reason
    message_class: MessageClass
    failed_channels: tuple[str, ...]
    event: Event
    control: str = ""
    digests: tuple[str, ...] = ()
    announced: bool = False
    since: int = 0
    ended_a_hold: bool = False


class Open(Struct, frozen=True, gc=False):
    """A step of a `first` plan that was sent: should it fail before `expires`, the next step is decided (semantics 8).

    `over`: its subject was closed meanwhile, so no other channel is tried. `announced` as in `Hold`.
    """

    send_id: bytes
    decision_id: bytes
    channel: str
    revision: int
    step: int
    rule: str
    first_seen: int
    first_held: int
    expires: int
    message_class: MessageClass
    failed_channels: tuple[str, ...]
    event: Event
    over: bool = False
    announced: bool = False


class Customer(Struct, frozen=True, gc=False):
    """All that the core knows about one customer. `admissions` are in order of time."""

    tenant: str
    id: str
    profile: Profile | None = None
    admissions: tuple[Admission, ...] = ()
    subjects: Mapping[tuple[str, str], Subject] = {}
    holds: tuple[Hold, ...] = ()
    opens: tuple[Open, ...] = ()


# --- the policy, compiled --------------------------------------------------------------------


class Scope(Struct, frozen=True, gc=False):
    """What an expression can see."""

    event: Event
    customer: Profile | None
    previous: Mapping[str, Any] | None
    now: int


class Condition(Struct, frozen=True, gc=False):
    """A checked expression. `evaluate` is pure; `show` gives the values it read, for the trace, or ""."""

    source: str
    evaluate: Callable[[Scope], Truth]
    show: Callable[[Scope], str]


class Key(Struct, frozen=True, gc=False):
    """A checked expression that gives text; None when it can't be told because a value is absent."""

    source: str
    evaluate: Callable[[Scope], str | None]


class Share(Struct, frozen=True, gc=False):
    """A stable part of all customers, in ten-thousandths (semantics 3, check 6)."""

    size: int
    salt: str


class Plan(Struct, frozen=True, gc=False):
    """Channels of a rule: `first` walks them, `all` uses each that passes (semantics 3)."""

    channels: tuple[str, ...]
    all: bool = False
    fixed: bool = False


class Rule(Struct, frozen=True, gc=False):
    """One rule, in the order of the policy. With `ignore` only name, place, on and when mean anything."""

    name: str
    place: str
    on: tuple[str, ...]
    when: Condition | None = None
    who: Condition | None = None
    ignore: bool = False
    go_on: bool = False
    category: str = ""
    message_class: MessageClass = MessageClass.INFORMATIONAL
    plan: Plan = Plan(())
    template: str = ""
    material: Condition | None = None
    expires_after: int = 72 * HOUR
    respects_quiet_hours: bool = True
    segment: Condition | None = None
    rollout: Share | None = None
    holdout: Share | None = None
    once: Key | None = None
    once_window: int = 0
    announce_transient: bool = False
    announce_always: bool = False


class Category(Struct, frozen=True, gc=False):
    """The unit of preference."""

    name: str
    title: str
    default: Value
    required: bool = False


class Cap(Struct, frozen=True, gc=False):
    """A frequency cap (semantics 5). Empty `where_*` fields match anything."""

    name: str
    per: Per
    limit: int
    window: int
    over: Over
    where_channel: str = ""
    where_category: str = ""
    where_class: MessageClass | None = None
    where_rule: str = ""
    exempt: frozenset[MessageClass] = frozenset()
    reserve: tuple[tuple[MessageClass, int], ...] = ()
    max_hold: int = 0


class Lock(Struct, frozen=True, gc=False):
    """A category (or any, when empty) never goes by this channel (or any)."""

    category: str
    channel: str
    reason: str


class QuietPolicy(Struct, frozen=True, gc=False):
    """The policy's quiet hours (semantics 6). No channels given: all."""

    times: QuietTimes
    channels: tuple[str, ...]
    over: Over
    release_spread: int


class Defaults(Struct, frozen=True, gc=False):
    """What holds for customers who said nothing."""

    locale: str = "en"
    timezone: str = "UTC"
    channels: tuple[str, ...] = ()
    quiet_hours: QuietPolicy | None = None
    preferences: tuple[Preference, ...] = ()
    dedup_window: int = DAY
    digest: DigestTimes = DigestTimes()


class EventType(Struct, frozen=True, gc=False):
    """A declared event type. `check` gives the first mistakes of the data as (path, what is wrong)."""

    name: str
    lifecycle: bool
    check: Callable[[Any], tuple[tuple[str, str], ...]]


class Control(Struct, frozen=True, gc=False):
    """A stop or a pause in force: all given fields must match, none given means the whole tenant.

    `expires` is when it ends by itself, 0: when it is lifted.
    """

    name: str
    kind: ControlKind
    rule: str = ""
    category: str = ""
    channel: str = ""
    message_class: MessageClass | None = None
    source: str = ""
    event: str = ""
    author: str = ""
    reason: str = ""
    expires: int = 0


class Walk(Struct, frozen=True, gc=False):
    """The rules of one event type, in order. `candidates` gives the places of those that can hold, in order.

    No other rule can, for the value of the field that they all ask for; None: each rule is tried.
    """

    rules: tuple[Rule, ...]
    candidates: Callable[[Scope], Sequence[int]] | None = None
    field: str = ""


class Policy(Struct, frozen=True, gc=False):
    """A policy, compiled: one immutable value with a content hash.

    `walks` gives, for each declared type, the rules that name it or "*", in order; `rules_by_name` those that make
    messages. `memory` is how long an admission can matter: the longest window of a cap or a rule's `once`. Without
    `digests` (the template) nothing is put into one: who wants that gets his messages at once. `controls` are those in
    force, in order of their names; they are no part of the hash. `attributes` are those of customers that expressions
    can use, with their types.
    """

    tenant: str
    hash: str
    defaults: Defaults
    categories: Mapping[str, Category]
    caps: tuple[Cap, ...]
    locks: tuple[Lock, ...]
    event_types: Mapping[str, EventType]
    rules: tuple[Rule, ...]
    walks: Mapping[str, Walk]
    rules_by_name: Mapping[str, Rule] = {}
    memory: int = 0
    digests: bool = True
    controls: tuple[Control, ...] = ()
    attributes: Mapping[str, str] = {}


# --- what comes out --------------------------------------------------------------------------


class RuleTried(Struct, frozen=True, gc=False):
    """A rule that was tried; `why` is the condition that failed with the values it saw, "" when it held.

    A line without a rule stands for `others` that did not hold and are not told one by one.
    """

    rule: str
    place: str
    truth: Truth
    why: str = ""
    others: int = 0


class CapFinding(Struct, frozen=True, gc=False):
    """What a cap said; `channel` is empty for caps asked once for the decision."""

    cap: str
    channel: str
    used: int
    limit: int
    window: int
    blocked: bool
    next_free: int = 0
    used_times: tuple[int, ...] = ()
    exempt: bool = False


class Verdict(Struct, frozen=True, gc=False):
    """What became of one channel: ALLOWED or why not, and the preference that decided."""

    channel: str
    reason: Reason
    preference: str = ""
    preference_set: int = 0
    until: int = 0


class Send(Struct, frozen=True, gc=False):
    """One message on one channel; `after` is the send of its subject on this channel that goes first.

    `digest`: the message is an item of the digest with this id (see `Digest`), not a message of its own.
    """

    send_id: bytes
    channel: str
    after: bytes = b""
    digest: bool = False


class Decision(Struct, frozen=True, gc=False):
    """One revision of a decision, with all that each check saw. `event` is None only for undecodable input.

    `digest` is the flush whose digest carries the message: its `sends` are then shared with other decisions.
    """

    decision_id: bytes
    revision: int
    step: int
    terminal: bool
    outcome: Outcome
    reason: Reason
    time: int
    customer: str
    event: Event | None
    first_seen: int
    rule: Rule | None = None
    rule_name: str = ""
    expires: int = 0
    due: int = 0
    verdicts: tuple[Verdict, ...] = ()
    rules_tried: tuple[RuleTried, ...] = ()
    caps: tuple[CapFinding, ...] = ()
    timezone: str = ""
    local_time: str = ""
    locale: str = ""
    sends: tuple[Send, ...] = ()
    detail: str = ""
    policy_hash: str = ""
    digest: bytes = b""


class Item(Struct, frozen=True, gc=False):
    """One message in a digest."""

    decision_id: bytes
    rule: Rule
    event: Event
    expires: int
    required: bool = False
    after: bytes = b""


class Digest(Struct, frozen=True, gc=False):
    """One send of several messages on one channel, by class, event time and id (semantics 3, digest).

    `decision_id` is the flush's, the one its admission has; `message_class` is the highest of its items.
    """

    send_id: bytes
    decision_id: bytes
    channel: str
    time: int
    message_class: MessageClass
    items: tuple[Item, ...]
    timezone: str = ""
    locale: str = ""
    policy_hash: str = ""


class Timer(Struct, frozen=True, gc=False):
    """When a hold must be decided again."""

    due: int
    decision_id: bytes


class Result(Struct, frozen=True, gc=False):
    """Decisions in order, the customer afterwards, the timers to set, the identity to remember (or None), digests."""

    decisions: tuple[Decision, ...]
    customer: Customer
    timers: tuple[Timer, ...] = ()
    identity: Identity | None = None
    digests: tuple[Digest, ...] = ()


class Taken(Struct, frozen=True, gc=False):
    """An event after the checks that concern it as a whole, shared by all customers of its audience.

    `decisions` is the event's own record where it ends here (a refusal, NO_RULE): then no customer is judged.
    A rule in `matched` comes with the rules tried up to it.
    """

    event: Event
    first_seen: int
    decisions: tuple[Decision, ...] = ()
    identity: Identity | None = None
    matched: tuple[tuple[Rule, tuple[RuleTried, ...]], ...] = ()
    selector: Condition | None = None


# --- inputs of decide ------------------------------------------------------------------------


class EventInput(Struct, frozen=True, gc=False):
    """An event, with what is remembered of its identity; for `decide` one that names exactly one customer.

    `position` is (partition, offset) of the input: it makes the ids of DUPLICATE and ID_REUSED records distinct.
    `selector` is the event's `select`, compiled.
    """

    event: Event
    seen: Identity | None
    position: tuple[int, int]
    selector: Condition | None = None


class MemberInput(Struct, frozen=True, gc=False):
    """An event that was taken, for one customer who may belong to its audience.

    A named customer is always judged. Any other is judged only if he belongs to the audience: else nothing is decided.
    """

    taken: Taken


class DueInput(Struct, frozen=True, gc=False):
    """The holds of one customer that are due at `now`."""

    decision_ids: frozenset[bytes]


class LiftInput(Struct, frozen=True, gc=False):
    """Controls that are no longer in force: what they paused is due now."""

    controls: frozenset[str]


class FeedbackInput(Struct, frozen=True, gc=False):
    """What became of a send of this customer. `parked` and `hard` as in `clarion.v1.Feedback`."""

    decision_id: bytes
    send_id: bytes
    channel: str
    step: int
    outcome: Feedback
    hard: bool


class EraseInput(Struct, frozen=True, gc=False):
    """The customer wants to be forgotten (semantics 8, erasure)."""


Input = EventInput | MemberInput | DueInput | LiftInput | FeedbackInput | EraseInput
