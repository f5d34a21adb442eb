"""The example of the reference page, and reports as a whole."""

import msgspec
import pytest

from services.policy.check import check
from services.policy.mistakes import PolicyError
from services.policy.testing.coverage import RuleCoverage
from services.policy.testing.run import run
from tests.unit.policy.testing.policies import ORDER, OUTAGE_NIGHT, policy, written


def test_the_example_of_the_reference_passes() -> None:
    report = run(policy({"outage_night": OUTAGE_NIGHT}))
    (lived,) = report.files
    assert [(each.expectation.line, each.passed) for each in lived.checked] == [
        (21, True),
        (22, True),
        (23, True),
        (24, True),
    ]
    assert report.passed


@pytest.mark.parametrize(
    ("was", "instead", "lines"),
    [
        ("channels: [sms]}", "channels: [email]}", [21]),
        ("verdicts: {sms: CHANNEL_FAILED}", "verdicts: {sms: ALLOWED}", [22, 24]),
        ('INC-7"}', 'INC-8"}', [23]),
        ("at: 25m, outcome", "at: 26m, outcome", [22, 24]),
        ("reason: ALLOWED", "reason: CLOSURE", [21]),
        ("event: o1, at: 25m, outcome: SEND", "event: o1, at: 25m, outcome: HOLD", [22, 24]),
    ],
)
def test_the_example_fails_where_it_is_changed(was: str, instead: str, lines: list[int]) -> None:
    (lived,) = run(policy({"outage_night": OUTAGE_NIGHT.replace(was, instead)})).files
    assert [each.expectation.line for each in lived.checked if not each.passed] == lines


def test_rules_are_covered_by_all_files_together() -> None:
    rest = written(
        f"""
- {{at: 0m, event: {{id: a, source: shop, {ORDER}, audience: {{customers: [ana]}}}}}}
- {{at: 1m, event: {{id: b, source: shop, {ORDER}, audience: {{customers: [cem]}}}}}}
- {{at: 2m, event: {{id: c, source: oms, type: com.northwind.outage, audience: {{customers: [ana]}},
                    data: {{area: M, feeder: F, customers_affected: 1}}}}}}
"""
    )
    report = run(policy({"outage_night": OUTAGE_NIGHT, "again": OUTAGE_NIGHT, "rest": rest}))
    counted = [msgspec.structs.replace(each, place="") for each in report.coverage]
    assert counted == [
        RuleCoverage("outage-opened", "", matched=2, sent=4),
        RuleCoverage("outage-updated", ""),
        RuleCoverage("outage-over", ""),
        RuleCoverage("order", "", matched=2, sent=1, suppressed=1),
        RuleCoverage("nothing-else", "", ignores=True, matched=1),
    ]
    assert report.never == ("outage-updated", "outage-over")


def test_only_the_files_asked_for_are_run() -> None:
    tests = {"one": OUTAGE_NIGHT, "two": OUTAGE_NIGHT.replace("channels: [sms]}", "channels: [push]}")}
    assert [each.timeline.path for each in run(policy(tests), ["tests/one.yaml"]).files] == ["tests/one.yaml"]
    assert not run(policy(tests)).passed


def test_the_same_bundle_gives_the_same_decisions() -> None:
    first, second = (run(policy({"outage_night": OUTAGE_NIGHT})).files[0].history for _ in range(2))
    ids = [[each.decision.decision_id for each in history.happened] for history in (first, second)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 2


def test_mistakes_of_the_policy_and_of_its_tests_are_told_together() -> None:
    tests = {"t": OUTAGE_NIGHT.replace("lifecycle: opened", "lifecycle: open")}
    broken = policy(tests, **{"caps.yaml": "caps:\n  - {name: x, per: custmer, limit: 1, window: 1h, over: drop}\n"})
    with pytest.raises(PolicyError) as raised:
        run(broken)
    assert [(mistake.path, mistake.line) for mistake in raised.value.mistakes] == [
        ("caps.yaml", 2),
        ("tests/t.yaml", 15),
    ]


def test_a_mistake_in_a_test_is_found_by_check_and_the_policy_still_compiles() -> None:
    from services.policy.compile import compile_policy  # noqa: PLC0415

    bundle = policy({"t": OUTAGE_NIGHT.replace("of: o1", "of: o2")})
    assert [str(mistake) for mistake in check(bundle).mistakes] == [
        "tests/t.yaml:18:78: timeline[2].feedback.of: no event 'o2' is in the timeline"
    ]
    assert compile_policy(bundle).tenant == "northwind"
