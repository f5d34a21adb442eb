"""Rollout and holdout: stable parts of all customers (semantics 3, check 6).

A customer has one bucket of ten thousand for each salt, by a hash, so he stays where he is while a rollout grows.
A rollout lets the first buckets through, a holdout keeps the first ones out. Neither touches what a customer must
know: class critical, a required category, the end of what he was told of.
"""

from hashlib import blake2b

from services.router.decision.case import Case, Ended
from services.router.decision.model import MessageClass, Outcome, Reason

BUCKETS = 10_000


def check(case: Case) -> Ended | None:
    """Check 6: whether the rule has reached this customer, and whether he is kept out of it for comparison."""
    rule = case.rule
    if rule.rollout is None and rule.holdout is None:
        return None
    if rule.message_class is MessageClass.CRITICAL or case.category.required or case.closure:
        return None
    customer = case.draft.origin.id
    if rule.rollout is not None:
        place = bucket(rule.rollout.salt, customer)
        if place >= rule.rollout.size:
            case.detail = f"bucket {place} of {BUCKETS}, the rollout has the first {rule.rollout.size}"
            return Ended(Outcome.SUPPRESSED, Reason.ROLLOUT)
    if rule.holdout is not None:
        place = bucket(rule.holdout.salt, customer)
        if place < rule.holdout.size:
            case.detail = f"bucket {place} of {BUCKETS}, the holdout has the first {rule.holdout.size}"
            return Ended(Outcome.SUPPRESSED, Reason.HOLDOUT)
    return None


def bucket(salt: str, customer: str) -> int:
    """Return a customer's place among ten thousand for a salt."""
    digest = blake2b(f"{salt}|{customer}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % BUCKETS
