from collections.abc import Mapping

from services.policy.bundle import Bundle
from services.policy.codec import Activation, StoredBundle, activation_record, bundle_record
from services.policy.registry import Registry
from tests.support import policies

BUNDLE = Bundle({name: text.encode() for name, text in policies.FILES.items()})


def stored(files: Mapping[str, bytes] = BUNDLE.files, tenant: str = "acme") -> tuple[bytes, bytes]:
    return bundle_record(StoredBundle(tenant, Bundle(files).hash, files))


def activated(policy_hash: str = BUNDLE.hash) -> tuple[bytes, bytes]:
    return activation_record(Activation("acme", policy_hash, "test", 1))


def test_a_policy_is_in_force_from_its_activation_on() -> None:
    registry = Registry()
    registry.take(*stored())
    assert registry.active("acme") is None
    registry.take(*activated())
    found = registry.active("acme")
    assert found is not None
    assert (found.hash, registry.tenants()) == (BUNDLE.hash, ["acme"])


def test_a_bundle_that_comes_after_its_activation_is_in_force_too() -> None:
    registry = Registry()
    registry.take(*activated())
    assert registry.active("acme") is None
    assert "is not there" in registry.refused["acme"]
    registry.take(*stored())
    assert registry.active("acme") is not None
    assert registry.refused == {}


def test_a_policy_that_does_not_compile_leaves_the_one_before_in_force() -> None:
    registry = Registry()
    registry.take(*stored())
    registry.take(*activated())
    broken = {**BUNDLE.files, "caps.yaml": b"caps: 7"}
    registry.take(*stored(broken))
    registry.take(*activated(Bundle(broken).hash))
    found = registry.active("acme")
    assert found is not None
    assert found.hash == BUNDLE.hash
    assert "caps.yaml" in registry.refused["acme"]


def test_a_record_speaks_for_the_tenant_of_its_key_only() -> None:
    registry = Registry()
    registry.take(*stored())
    registry.take(b"other", activated()[1])
    assert registry.tenants() == []
    assert "another tenant" in registry.refused["other"]


def test_garbage_and_deletion() -> None:
    registry = Registry()
    registry.take(*stored())
    registry.take(*activated())
    registry.take(b"acme", b"\xff\xff")
    assert registry.active("acme") is not None
    registry.take(b"acme", None)
    assert registry.active("acme") is None


def test_a_channel_that_nobody_serves_is_locked() -> None:
    registry = Registry(served=("email", "sms"))
    registry.take(*stored())
    registry.take(*activated())
    found = registry.active("acme")
    assert found is not None
    locked = {lock.channel: lock.reason for lock in found.locks if not lock.category}
    assert locked == {c: f"no sender of {c} runs here" for c in ("push", "chat", "webhook", "inbox", "gateway")}
    assert found.hash == BUNDLE.hash
