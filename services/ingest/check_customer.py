"""What the doors let in about customers: pure checks of a merge patch (RFC 7396), all violations at once.

The form is the one that the policy language gives profiles. Who has no policy yet may put customers all the same, so
that a tenant can be filled before the first policy is activated.
"""

from collections.abc import Iterator

from services.common.identifiers import MAX_EVENT_BYTES
from services.common.strict_json import JsonMistake, parse
from services.ingest.check import (
    Reason,
    Refused,
    Violation,
    customer_violations,
    refused,
    tenant_violations,
    too_large,
)
from services.policy.profiles import violations as profile_violations


def check_customer(tenant: str, customer: str, merge_patch: bytes) -> Refused | None:
    """Check a change of a customer; None means that it may come in."""
    if len(merge_patch) > MAX_EVENT_BYTES:
        return refused([too_large("merge_patch", len(merge_patch))])
    violations = [
        *tenant_violations(tenant, Reason.INVALID_CUSTOMER),
        *customer_violations("customer", customer, Reason.INVALID_CUSTOMER),
        *_patch(merge_patch),
    ]
    return refused(violations) if violations else None


def _patch(merge_patch: bytes) -> Iterator[Violation]:
    try:
        value = parse(merge_patch)
    except JsonMistake as mistake:
        yield Violation("merge_patch", str(mistake), Reason.INVALID_CUSTOMER)
        return
    if not isinstance(value, dict):
        yield Violation("merge_patch", "must be a JSON object", Reason.INVALID_CUSTOMER)
        return
    for field, description in profile_violations(merge_patch):
        yield Violation(field or "merge_patch", description, Reason.INVALID_CUSTOMER)
