"""Which channels of the plan the customer allows, in his order (semantics 4; check 8).

Each channel goes down the eleven steps and the first that hits decides; the verdict names the step. A required
category is allowed whatever the customer prefers, but on one channel only, and those he did not turn off go first.
A closing message takes the channel that carried the last message of its subject first.
A preference of `digest` lets a channel pass here: holding for the flush is check 10's, one entry of `plan.CHECKS`.
A channel that a control stops is out of the plan before anything is asked of it.
"""

from collections.abc import Iterable

from services.router.decision import controls
from services.router.decision.case import Allowed, Case, Ended
from services.router.decision.model import (
    Category,
    Defaults,
    MessageClass,
    Outcome,
    Policy,
    Preference,
    Profile,
    Reason,
    Rule,
    Told,
    Value,
    Verdict,
)

_ALLOWED, _OFF, _MARKETING = Reason.ALLOWED, Value.OFF, MessageClass.MARKETING
# How far a channel came, for the reason of a decision without a channel: section 4's steps, quiet hours, caps, failed.
_CAME = {
    Reason.STOPPED: 0,
    Reason.NO_ADDRESS: 1,
    Reason.ADDRESS_SUPPRESSED: 2,
    Reason.LOCKED: 3,
    Reason.SNOOZED: 5,
    Reason.PREFERENCE_OFF: 10,
    Reason.NO_CONSENT: 11,
    Reason.QUIET_HOURS: 12,
    Reason.CAP_REACHED: 13,
    Reason.CHANNEL_FAILED: 14,
}


def allow(case: Case) -> Ended | None:
    """Check 8: find the allowed channels, in order, and say why each other one is not."""
    rule, profile, policy, category = case.rule, case.draft.profile, case.policy, case.category
    case.every = rule.plan.all and not category.required
    allowed: list[Allowed] = []
    for channel in _order(case, category):
        if channel in case.failed:
            case.verdicts.append(Verdict(channel, Reason.CHANNEL_FAILED))
            continue
        if policy.controls and controls.stops(case, channel):
            case.verdicts.append(Verdict(channel, Reason.STOPPED))
            continue
        verdict, value = judge(channel, rule, category, profile, policy, case.now)
        if verdict.reason is _ALLOWED:
            allowed.append(Allowed(channel, value, verdict.preference, verdict.preference_set))
        else:
            case.verdicts.append(verdict)
    case.allowed = tuple(allowed)
    return None if allowed else Ended(Outcome.SUPPRESSED, furthest(case.verdicts))


def furthest(verdicts: Iterable[Verdict]) -> Reason:
    """Return the reason of the channel that came furthest through the checks; the first of those that tie."""
    best: Reason | None = None
    for verdict in verdicts:
        if best is None or _CAME[verdict.reason] > _CAME[best]:
            best = verdict.reason
    return best or Reason.NO_ADDRESS


def judge(
    channel: str, rule: Rule, category: Category, profile: Profile, policy: Policy, now: int
) -> tuple[Verdict, Value]:
    """Take one channel down the eleven steps."""
    refused = _unreachable(channel, category, profile, policy)
    if refused is not None:
        return refused, _OFF
    if category.required:
        return Verdict(channel, Reason.ALLOWED, "required"), Value.INSTANT
    if profile.snoozed_until > now and rule.message_class is not MessageClass.CRITICAL:
        return Verdict(channel, Reason.SNOOZED, "snoozed", 0, profile.snoozed_until), Value.OFF
    value, said, set_time = wish(channel, category, profile, policy.defaults)
    if value is _OFF:
        return Verdict(channel, Reason.PREFERENCE_OFF, said, set_time), value
    if rule.message_class is _MARKETING and channel not in profile.consents:
        return Verdict(channel, Reason.NO_CONSENT, said, set_time), value
    return Verdict(channel, _ALLOWED, said, set_time), value


def wish(channel: str, category: Category, profile: Profile, defaults: Defaults) -> tuple[Value, str, int]:
    """Return steps 6 to 10: the value, which preference said so, and when the customer set it (0: not his)."""
    hit = _hit(profile.preferences, category.name, channel)
    if hit is not None:
        return hit[0].value, hit[1], hit[0].set_time
    hit = _hit(defaults.preferences, category.name, channel)
    if hit is not None:
        return hit[0].value, "tenant default", 0
    return category.default, "category default", 0


def _unreachable(channel: str, category: Category, profile: Profile, policy: Policy) -> Verdict | None:
    """Steps 1 to 3: what no preference can change; the verdict tells why the address or the channel is barred."""
    for address in profile.addresses:
        if address.channel == channel:
            break
    else:
        return Verdict(channel, Reason.NO_ADDRESS)
    for suppression in profile.suppressed:
        if suppression.channel in (channel, ""):
            return Verdict(channel, Reason.ADDRESS_SUPPRESSED, suppression.why, suppression.set_time)
    for lock in policy.locks:
        if lock.category in (category.name, "") and lock.channel in (channel, ""):
            return Verdict(channel, Reason.LOCKED, lock.reason)
    return None


def _hit(preferences: tuple[Preference, ...], category: str, channel: str) -> tuple[Preference, str] | None:
    """Return the most particular preference that speaks of this category and channel, and its kind in words."""
    if not preferences:
        return None
    kinds = (
        (category, channel, "category x channel"),
        (category, "", "category"),
        ("", channel, "channel"),
        ("", "", "everything"),
    )
    for of_category, of_channel, said in kinds:
        for preference in preferences:
            if preference.category == of_category and preference.channel == of_channel:
                return preference, said
    return None


def _order(case: Case, category: Category) -> tuple[str, ...]:
    """Return the channels of the plan in the order in which they are tried, each once."""
    plan, profile = case.rule.plan, case.draft.profile
    if len(plan.channels) == 1:
        return plan.channels
    if plan.fixed and not (plan.all and category.required):
        order = plan.channels
    else:
        mine = profile.channels or case.policy.defaults.channels
        order = (*(c for c in mine if c in plan.channels), *plan.channels)
        if category.required:
            off = frozenset(
                c for c in plan.channels if wish(c, category, profile, case.policy.defaults)[0] is Value.OFF
            )
            order = (*(c for c in order if c not in off), *order)
    if case.closure:
        earlier = _carried(case.turn.heard.told)
        order = (*(c for c in earlier if c in plan.channels), *order)
    return tuple(dict.fromkeys(order))


def _carried(told: tuple[Told, ...]) -> tuple[str, ...]:
    """Return the channels that carried a subject: of its newest event first, of one event in the order of its plan."""
    newest: list[str] = []
    at = len(told)
    while at:
        first = at - 1
        while first and told[first - 1].event_id == told[at - 1].event_id:
            first -= 1
        newest += [t.channel for t in told[first:at]]
        at = first
    return tuple(newest)
