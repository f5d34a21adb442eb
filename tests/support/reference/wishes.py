"""What a customer allows, whom a rule is for, and what people stopped (semantics 3 to 4)."""

from hashlib import blake2b

from services.router.decision.model import (
    Category,
    Control,
    Defaults,
    Event,
    MessageClass,
    Policy,
    Preference,
    Profile,
    Reason,
    Rule,
    Scope,
    Share,
    Truth,
    Value,
)

FURTHEST = (
    Reason.STOPPED,
    Reason.NO_ADDRESS,
    Reason.ADDRESS_SUPPRESSED,
    Reason.LOCKED,
    Reason.SNOOZED,
    Reason.PREFERENCE_OFF,
    Reason.NO_CONSENT,
    Reason.QUIET_HOURS,
    Reason.CAP_REACHED,
    Reason.CHANNEL_FAILED,
)


def furthest(verdicts: dict[str, Reason]) -> Reason:
    """Return the reason of the channel that came furthest."""
    return max(verdicts.values(), key=FURTHEST.index)


def belongs(rule: Rule, event: Event, profile: Profile | None, now: int) -> bool:
    """Say whether the rule's `segment` and `who` hold for this customer."""
    scope = Scope(event, profile, None, now)
    return all(c is None or c.evaluate(scope) is Truth.TRUE for c in (rule.segment, rule.who))


def within(share: Share, customer: str) -> bool:
    """Say whether a customer belongs to a share of all."""
    digest = blake2b(f"{share.salt}|{customer}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 10_000 < share.size


def hits(control: Control, rule: Rule, event: Event, now: int) -> bool:
    """Say whether a control is in force and about this message, whatever its channel."""
    given = (
        (control.rule, rule.name),
        (control.category, rule.category),
        (control.source, event.source),
        (control.event, event.id),
    )
    return (
        (control.expires == 0 or now < control.expires)
        and all(wanted in ("", there) for wanted, there in given)
        and control.message_class in (None, rule.message_class)
    )


def in_order(rule: Rule, profile: Profile | None, defaults: Defaults) -> list[str]:
    """Return the channels of a plan as the customer wants them."""
    plan = list(rule.plan.channels)
    if rule.plan.fixed:
        return plan
    liked = list((profile.channels if profile else ()) or defaults.channels)
    return [c for c in liked if c in plan] + [c for c in plan if c not in liked]


def said(preferences: tuple[Preference, ...], category: str, channel: str) -> Value | None:
    """Return what the narrowest of these wishes says, the first one of several."""
    for key in ((category, channel), (category, ""), ("", channel), ("", "")):
        for preference in preferences:
            if (preference.category, preference.channel) == key:
                return preference.value
    return None


def wanted(policy: Policy, category: Category, profile: Profile | None, channel: str) -> Value:
    """Return instant, digest or off, whatever the class."""
    own = said(profile.preferences, category.name, channel) if profile else None
    return own or said(policy.defaults.preferences, category.name, channel) or category.default


def excluded(policy: Policy, rule: Rule, profile: Profile | None, channel: str, now: int) -> Reason | None:
    """Return why a customer is not to be reached by this channel, None if he may."""
    category = policy.categories[rule.category]
    if profile is None:
        return Reason.NO_ADDRESS
    snoozed = profile.snoozed_until > now and rule.message_class is not MessageClass.CRITICAL
    off = wanted(policy, category, profile, channel) is Value.OFF
    marketing = rule.message_class is MessageClass.MARKETING
    in_order = [
        (Reason.NO_ADDRESS, channel not in [a.channel for a in profile.addresses]),
        (Reason.ADDRESS_SUPPRESSED, any(s.channel in ("", channel) for s in profile.suppressed)),
        (Reason.LOCKED, any(k.category in ("", category.name) and k.channel in ("", channel) for k in policy.locks)),
        (Reason.SNOOZED, snoozed and not category.required),
        (Reason.PREFERENCE_OFF, off and not category.required),
        (Reason.NO_CONSENT, marketing and channel not in profile.consents and not category.required),
    ]
    return next((reason for reason, holds in in_order if holds), None)


def switched_off(policy: Policy, rule: Rule, profile: Profile | None, channel: str) -> bool:
    """Say whether this channel is switched off, should it be allowed all the same because the category is required."""
    return wanted(policy, policy.categories[rule.category], profile, channel) is Value.OFF


def to_digest(policy: Policy, rule: Rule, profile: Profile | None, channel: str) -> bool:
    """Say whether the customer wants messages of this kind in a digest (check 10)."""
    category = policy.categories[rule.category]
    never = category.required or rule.message_class is MessageClass.CRITICAL
    return not never and wanted(policy, category, profile, channel) is Value.DIGEST
