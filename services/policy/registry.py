"""The policies known to a process, fed by the records of `clarion.policies.v1` in their order.

A policy is in force for its tenant from its activation record on; bundles are compiled once, when first asked for,
and stay available by hash, since what was decided under a policy is rendered with that policy.
A bundle that this version can't compile never comes into force: the one before it stays, and `refused` says why.
Channels that nobody serves here are locked: a plan goes on to its next channel, and the record says why.
The controls in force go with the policy (see `controls`); whoever feeds no controls has none.
"""

from collections.abc import Collection

from google.protobuf.message import DecodeError
from msgspec.structs import replace

from services.policy.bundle import Bundle
from services.policy.codec import Activation, StoredBundle, parse
from services.policy.compile import PolicyError, compile_policy
from services.policy.controls import Controls
from services.policy.templates import Templates, compile_templates
from services.policy.words import CHANNELS
from services.router.decision.model import Lock, Policy

UNSERVED = "no sender of"


def unserved(served: Collection[str]) -> tuple[str, ...]:
    """Return the channels of the language that are not among these."""
    return tuple(channel for channel in CHANNELS if channel not in served)


class Registry:
    """Policies by tenant (in force) and by hash (all)."""

    def __init__(self, served: Collection[str] = CHANNELS) -> None:
        self._locks = tuple(Lock("", channel, f"{UNSERVED} {channel} runs here") for channel in unserved(served))
        self.refused: dict[str, str] = {}
        self._controls = Controls()
        self._bundles: dict[tuple[str, str], Bundle] = {}
        self._active: dict[str, Policy] = {}
        self._wanted: dict[str, str] = {}
        self._templates: dict[tuple[str, str], Templates] = {}

    def take(self, key: bytes, value: bytes | None) -> None:
        """Take one record; an unreadable one changes nothing and is named in `refused`."""
        if value is None:
            self._forget(key.decode(errors="replace"))
            return
        try:
            record = parse(key, value)
        except DecodeError as error:
            self.refused[key.decode(errors="replace")] = str(error)
            return
        tenant = key.decode(errors="replace").partition("|")[0]
        if record.tenant != tenant:
            self.refused[tenant] = f"a record under the key of {tenant} speaks for another tenant"
            return
        match record:
            case StoredBundle():
                self._bundles[record.tenant, record.hash] = Bundle.from_files(record.files)
                # Compaction can leave an activation before the bundle that it names.
                active = self._active.get(record.tenant)
                if self._wanted.get(record.tenant) == record.hash and (active is None or active.hash != record.hash):
                    self._activate(Activation(record.tenant, record.hash, "", 0))
            case Activation():
                self._activate(record)

    def take_control(self, key: bytes, value: bytes | None) -> None:
        """Take one record of `clarion.controls.v1`."""
        tenant = self._controls.take(key, value)
        if tenant in self._active:
            self._active[tenant] = replace(self._active[tenant], controls=self._controls.of(tenant))

    def active(self, tenant: str) -> Policy | None:
        """Return the policy in force for a tenant."""
        return self._active.get(tenant)

    def tenants(self) -> list[str]:
        """Return the tenants that have a policy, in order."""
        return sorted(self._active)

    def templates(self, tenant: str, policy_hash: str) -> Templates | None:
        """Return the templates of a policy by its hash, in force or not."""
        found = self._templates.get((tenant, policy_hash))
        if found is None and (bundle := self._bundles.get((tenant, policy_hash))) is not None:
            found = self._templates[tenant, policy_hash] = compile_templates(bundle)
        return found

    def _activate(self, record: Activation) -> None:
        self._wanted[record.tenant] = record.hash
        bundle = self._bundles.get((record.tenant, record.hash))
        if bundle is None:
            self.refused[record.tenant] = f"the bundle {record.hash} is not there"
            return
        try:
            policy = compile_policy(bundle)
            locks, controls = (*policy.locks, *self._locks), self._controls.of(record.tenant)
            self._active[record.tenant] = replace(policy, locks=locks, controls=controls)
        except PolicyError as error:
            self.refused[record.tenant] = str(error)
        else:
            self.refused.pop(record.tenant, None)

    def _forget(self, key: str) -> None:
        tenant, _, policy_hash = key.partition("|")
        if policy_hash:
            self._bundles.pop((tenant, policy_hash), None)
            self._templates.pop((tenant, policy_hash), None)
        else:
            self._active.pop(tenant, None)
            self._wanted.pop(tenant, None)
