"""Nothing goes to who opted out: by preference, withdrawn consent, a suppressed address or erasure.

Judged by the customer's own words alone. A word counts from some seconds (the promise's five) after it was accepted: a
message is wrong when the customer's words forbade it all through the seconds before the provider took it.
A required category can't be switched off.
"""

from services.control.audit.evidence import Evidence, Histories, Promise, about
from services.control.records import DecisionRecord
from services.router.decision.model import Feedback, MessageClass, Profile, Value


def opt_outs_kept(evidence: Evidence, grace: int) -> Promise:
    """Check every send against the customer as he was in the `grace` microseconds before the call."""
    histories = Histories(evidence.changes)
    called = {finding.send_id: finding.time for finding in evidence.feedback if finding.outcome is Feedback.ACCEPTED}
    released = evidence.released()
    broken = []
    looked_at = 0
    for decision in evidence.sent():
        policy = evidence.policies.get(decision.policy_hash)
        category = policy.categories.get(decision.category) if policy is not None else None
        for channel, send_id in zip(decision.channels, decision.send_ids, strict=True):
            if send_id in released:
                continue
            looked_at += 1
            call = max(decision.decided, called.get(send_id, 0))
            required = category is not None and category.required
            whys = [
                _forbidden(profile, decision, channel, required=required)
                for profile in histories.between(decision.tenant, decision.customer, call - grace, call)
            ]
            broken += [f"{about(decision)} went by {channel}: {whys[0]}"] if all(whys) else []
    return Promise("nothing goes to who opted out", looked_at, "messages", tuple(sorted(broken)))


def _forbidden(profile: Profile | None, decision: DecisionRecord, channel: str, *, required: bool) -> str:
    """Return why this customer must not get it, or ""."""
    if profile is None:
        return "the customer was not known, or erased"
    marketing = decision.message_class is MessageClass.MARKETING
    stands_against = {
        "there was no address": channel not in {address.channel for address in profile.addresses},
        "the address was suppressed": bool({channel, ""} & {suppression.channel for suppression in profile.suppressed}),
        "it was switched off": not required and _wish(profile, decision.category, channel) is Value.OFF,
        "there was no consent": not required and marketing and channel not in profile.consents,
    }
    return next((why for why, stands in stands_against.items() if stands), "")


def _wish(profile: Profile, category: str, channel: str) -> Value | None:
    """Return the customer's own word, the most exact one first."""
    for wanted in ((category, channel), (category, ""), ("", channel), ("", "")):
        for preference in profile.preferences:
            if (preference.category, preference.channel) == wanted:
                return preference.value
    return None
