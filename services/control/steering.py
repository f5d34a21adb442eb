"""Stops and pauses on a running Clarion: set, lifted, listed.

A control is one record under its name; setting it again replaces it, lifting it deletes it. What it may name is
checked against the policy in force, so that a typo does not stop nothing. Everything is acknowledged by all in-sync
replicas.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from services.control.errors import ClarionError
from services.control.place import Place
from services.control.read import only_tenant, policies_in_force, reading
from services.control.records_out import write_records
from services.policy.controls import Controls, control_key, control_record, name_of
from services.policy.mistakes import nearest
from services.policy.words import CHANNELS
from services.router.decision.model import Control, Policy

NAME_LIMIT = 200


async def set_control(where: Place, wanted: Control) -> Control:
    """Put a control in force; raise ClarionError for a name that the policy in force does not have."""
    async with reading(where.bootstrap, where.topics) as log:
        tenant = where.tenant or await only_tenant(log)
        policy = (await policies_in_force(log)).get(tenant)
    if policy is None:
        raise ClarionError(f"no policy is in force for {tenant}")
    check(wanted, policy, where.now)
    named = replace(wanted, name=wanted.name or name_of(wanted), author=wanted.author or where.author)
    if "|" in named.name or len(named.name) > NAME_LIMIT:
        raise ClarionError(f"the name of a control has no | and at most {NAME_LIMIT} characters; give it one: --name")
    await write_records(where, where.topics.controls, [control_record(tenant, named)])
    return named


async def lift(where: Place, name: str) -> Control:
    """End a control; raise ClarionError when there is none of that name."""
    tenant, found = await controls(where)
    for control in found:
        if control.name == name:
            await write_records(where, where.topics.controls, [(control_key(tenant, name), None)])
            return control
    hint = nearest(name, (control.name for control in found))
    known = f" (did you mean {hint!r}?)" if hint else "; none is in force" if not found else ""
    raise ClarionError(f"there is no control {name!r}{known}")


async def controls(where: Place) -> tuple[str, tuple[Control, ...]]:
    """Return the tenant and its controls, in order of their names."""
    known = Controls()
    async with reading(where.bootstrap, where.topics) as log:
        tenant = where.tenant or await only_tenant(log)
        for record in await log.records(where.topics.controls):
            known.take(record.key or b"", record.value)
    return tenant, known.of(tenant)


def check(wanted: Control, policy: Policy, now: int) -> None:
    """Raise ClarionError for what a control can't mean."""
    _known("rule", wanted.rule, tuple(policy.rules_by_name))
    _known("category", wanted.category, tuple(policy.categories))
    _known("channel", wanted.channel, CHANNELS)
    if 0 < wanted.expires <= now:
        raise ClarionError("the control would end before it begins")


def _known(what: str, name: str, names: Sequence[str]) -> None:
    if name and name not in names:
        hint = nearest(name, names)
        raise ClarionError(f"the policy has no {what} {name!r}" + (f" (did you mean {hint!r}?)" if hint else ""))
