"""Records of `clarion.policies.v1`: bundles and which of them is in force."""

from collections.abc import Mapping

from msgspec import Struct

from clarion.v1 import control_pb2


class StoredBundle(Struct, frozen=True):
    """The files of one policy."""

    tenant: str
    hash: str
    files: Mapping[str, bytes]


class Activation(Struct, frozen=True):
    """The policy that a tenant has; `time` in microseconds since 1970; `history` those before, the newest first."""

    tenant: str
    hash: str
    author: str
    time: int
    history: tuple["Activation", ...] = ()


def bundle_record(bundle: StoredBundle) -> tuple[bytes, bytes]:
    """Return key and value of a bundle's record."""
    message = control_pb2.PolicyBundle(tenant=bundle.tenant, policy_hash=bundle.hash, files=dict(bundle.files))
    return f"{bundle.tenant}|{bundle.hash}".encode(), message.SerializeToString(deterministic=True)


def activation_record(activation: Activation) -> tuple[bytes, bytes]:
    """Return key and value of the record that puts a policy in force."""
    message = control_pb2.ActivePolicy(
        tenant=activation.tenant,
        policy_hash=activation.hash,
        author=activation.author,
        activate_time_us=activation.time,
        history=[
            control_pb2.PastActivation(policy_hash=past.hash, author=past.author, activate_time_us=past.time)
            for past in activation.history
        ],
    )
    return activation.tenant.encode(), message.SerializeToString(deterministic=True)


def parse(key: bytes, value: bytes) -> StoredBundle | Activation:
    """Return what a record says; raise google.protobuf.message.DecodeError when it says nothing."""
    if b"|" in key:
        bundle = control_pb2.PolicyBundle.FromString(value)
        return StoredBundle(bundle.tenant, bundle.policy_hash, dict(bundle.files))
    active = control_pb2.ActivePolicy.FromString(value)
    history = tuple(
        Activation(active.tenant, past.policy_hash, past.author, past.activate_time_us) for past in active.history
    )
    return Activation(active.tenant, active.policy_hash, active.author, active.activate_time_us, history)
