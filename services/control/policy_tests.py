"""`clarion policy test`: a report of rule tests as people read it, as JSON, and as JUnit XML.

Each failed expectation says what was expected, what came instead, and why, in the words of `clarion explain`. Times of
a test are told as the test writes them, as offsets from its start.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from services.control.errors import ClarionError
from services.control.policies import read
from services.control.policy_story import story
from services.policy.bundle import Bundle
from services.policy.check import render
from services.policy.mistakes import PolicyError
from services.policy.mistakes import Report as Mistakes
from services.policy.printable import printable
from services.policy.testing.absent import why_not
from services.policy.testing.coverage import RuleCoverage
from services.policy.testing.expect import Checked
from services.policy.testing.moments import iso, offset
from services.policy.testing.run import Lived, Report, run
from services.policy.testing.timeline import Expectation, means
from services.policy.testing.world import Happened
from services.router.decision.model import Outcome

_RED, _GREEN, _RESET = "\x1b[31m", "\x1b[32m", "\x1b[0m"
_GOT_SHOWN = 5


def run_folder(folder: Path, files: Sequence[Path] = ()) -> Report:
    """Run the tests of a policy folder, or some of its files; raise ClarionError when there is none to run."""
    bundle = read(folder)
    only = [_inside(folder, file, bundle) for file in files]
    if not any(path.startswith("tests/") for path in bundle.files):
        raise ClarionError(f"{folder} has no tests: write tests/NAME.yaml")
    try:
        return run(bundle, only)
    except PolicyError as error:
        said = render(Mistakes(error.mistakes), bundle)
        raise ClarionError(f"the policy in {folder} is not right:\n{said}") from None


def _inside(folder: Path, file: Path, bundle: Bundle) -> str:
    """Return the path in the bundle of a test file, given from here or from the folder."""
    try:
        given = [file.resolve(), (folder / file).resolve()]
    except (OSError, RuntimeError):  # a link that leads round in a circle
        given = []
    for path in given:
        if path.is_relative_to(folder.resolve()):
            name = path.relative_to(folder.resolve()).as_posix()
            if name in bundle.files and name.startswith("tests/"):
                return name
    known = ", ".join(path for path in bundle.files if path.startswith("tests/")) or "none"
    raise ClarionError(f"{file} is no test of {folder}: it has {known}")


# --- for people ----------------------------------------------------------------------------------


def as_text(report: Report, *, color: bool = False) -> str:
    """Write a report: a line for each file, each failure with its reason, then what was covered."""
    width = max(len(each.timeline.path) for each in report.files)
    lines = [f"{printable(each.timeline.path):<{width}}  {_dots(each, color=color)}" for each in report.files]
    for lived in report.files:
        for fault in lived.history.faults:
            lines += ["", *_marked([f"FAILED {lived.timeline.path}:{fault.line}  {fault.message}"], color=color)]
        for checked in lived.checked:
            if not checked.passed:
                lines += ["", *_marked(_failure(report, lived, checked), color=color)]
    return "\n".join([*lines, "", *_table(report.coverage), "", _counts(report, color=color), _covered(report)]) + "\n"


def _dots(lived: Lived, *, color: bool) -> str:
    good, bad = (f"{_GREEN}.{_RESET}", f"{_RED}F{_RESET}") if color else (".", "F")
    return bad * len(lived.history.faults) + "".join(good if each.passed else bad for each in lived.checked)


def _marked(lines: Iterable[str], *, color: bool) -> Iterator[str]:
    """Yield the lines of a failure so that nothing in them steers the terminal, its first word in red."""
    for place, line in enumerate(lines):
        safe = printable(line)
        yield f"{_RED}FAILED{_RESET}{safe.removeprefix('FAILED')}" if color and not place else safe


def _failure(report: Report, lived: Lived, checked: Checked) -> Iterator[str]:
    expectation, start = checked.expectation, lived.timeline.start
    yield f"FAILED {lived.timeline.path}:{expectation.line}  {about(expectation, start)}"
    yield f"  expected  {wanted(expectation, start)}"
    for place, happened in enumerate(checked.instead[:_GOT_SHOWN]):
        yield f"  {'got' if not place else '':<8}  {_got(happened, start)}"
    if len(checked.instead) > _GOT_SHOWN:
        yield f"            and {len(checked.instead) - _GOT_SHOWN} more"
    if not checked.instead:
        yield f"  got       {_nothing(expectation)}"
    if checked.said:
        yield from _block("it says", checked.said)
    else:
        yield from _block("because", _because(report, lived, checked))


def _because(report: Report, lived: Lived, checked: Checked) -> str:
    """Tell the whole story of what came instead; of a customer who was left out, why he was."""
    if checked.passed:
        return ""
    expectation, instead = checked.expectation, checked.instead
    customer, event = expectation.customer, expectation.event
    left_out = not any(each.decision.customer == customer and _is(each, event) for each in lived.history.happened)
    if customer and event and left_out and not any(_is(each, event) for each in instead if not each.decision.customer):
        found = why_not(lived.timeline, report.policy, event, customer)
        if found is not None:
            said, history, happened = found
            left = f"{customer} does not belong to the audience: {said}" if said else ""
            return left or story(history, happened, report.policy)
    return story(lived.history, instead[0], report.policy) if instead else ""


def _is(happened: Happened, event: str | None) -> bool:
    return event is not None and happened.decision.event is not None and means(event, happened.decision.event)


def _block(word: str, text: str) -> Iterator[str]:
    for place, line in enumerate(text.splitlines()):
        yield f"  {word if not place else '':<8}  {line}".rstrip()


def about(expectation: Expectation, start: int) -> str:
    """Say whom and what an expectation is about: `ana, event o5, at 12m`."""
    parts = [
        expectation.customer or "",
        f"event {expectation.event}" if expectation.event else "",
        f"rule {expectation.rule}" if expectation.rule else "",
        f"at {offset(expectation.at, start)}" if expectation.at is not None else "",
    ]
    return ", ".join(part for part in parts if part) or "the whole test"


def wanted(expectation: Expectation, start: int) -> str:
    """Say what an expectation asks for, beyond whom and what it is about."""
    if expectation.nothing_else:
        return "nothing else"
    ended = [each.name for each in (expectation.outcome, expectation.reason) if each is not None]
    if expectation.channels is not None:
        ended.append(f"by {', '.join(expectation.channels) or 'no channel'}")
    parts = [" ".join(ended)] if ended else []
    parts += [f"{channel} {reason.name}" for channel, reason in expectation.verdicts]
    for name in ("step", "revision"):
        if getattr(expectation, name) is not None:
            parts.append(f"{name} {getattr(expectation, name)}")
    if expectation.due is not None:
        parts.append(f"until {offset(expectation.due, start)}")
    if expectation.next_free is not None:
        parts.append(f"free again at {offset(expectation.next_free, start)}")
    for name in ("headline", "text"):
        if getattr(expectation, name) is not None:
            parts.append(f"{name} on {expectation.channel}: {getattr(expectation, name)}")
    if expectation.channel is not None and expectation.text is None and expectation.headline is None:
        parts.append(f"a message by {expectation.channel}")
    said = ", ".join(parts) or "any decision"
    return said if expectation.count is None else f"exactly {expectation.count} of: {said}"


def _got(happened: Happened, start: int) -> str:
    decision = happened.decision
    channels = f" by {', '.join(send.channel for send in decision.sends)}" if decision.sends else ""
    until = f" until {offset(decision.due, start)}" if decision.outcome is Outcome.HOLD else ""
    event = decision.event.id if decision.event is not None else ""
    whose = ", ".join(part for part in (decision.customer, event, decision.rule_name) if part)
    ended = f"{decision.outcome.name} {decision.reason.name}"
    ended = decision.outcome.name if decision.outcome.name == decision.reason.name else ended
    again = f", step {decision.step}" if decision.step else ""
    return f"{ended}{channels}{until} at {offset(decision.time, start)}{again} ({whose})"


def _nothing(expectation: Expectation) -> str:
    whom = f" for {expectation.customer}" if expectation.customer else ""
    return f"nothing: there is no decision{whom} that has anything to do with it"


def _counts(report: Report, *, color: bool) -> str:
    checks = [each.passed for lived in report.files for each in lived.checked]
    faults = sum(len(lived.history.faults) for lived in report.files)
    failed = checks.count(False) + faults
    said = f"{checks.count(True)} passed, {failed or 'none'} failed in {_plural(len(report.files), 'file')}"
    return said if not color else f"{_RED if failed else _GREEN}{said}{_RESET}"


def _covered(report: Report) -> str:
    total, never = len(report.coverage), report.never
    said = f"coverage: {total - len(never)} of {_plural(total, 'rule')} matched"
    return f"{said}; never: {', '.join(never)}" if never else said


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _table(rows: Sequence[RuleCoverage]) -> Iterator[str]:
    width = max([len("rule"), *(len(row.rule) for row in rows)])
    yield f"{'rule':<{width}}  matched    sent    held  suppressed  ended otherwise"
    for row in rows:
        if not row.matched:
            yield f"{row.rule:<{width}}    never"
        elif row.ignores:
            yield f"{row.rule:<{width}}  {row.matched:7}  makes no message"
        else:
            counts = f"{row.matched:7}  {row.sent:6}  {row.held:6}  {row.suppressed:10}  {row.ended:15}"
            yield f"{row.rule:<{width}}  {counts}"


# --- for programs --------------------------------------------------------------------------------


def as_json(report: Report) -> bytes:
    """Write a report as JSON; instants are RFC 3339."""
    return msgspec.json.encode(
        {
            "tenant": report.policy.tenant,
            "policy": report.policy.hash,
            "passed": report.passed,
            "files": [_file(report, lived) for lived in report.files],
            "coverage": report.coverage,
            "never": report.never,
        }
    )


def _file(report: Report, lived: Lived) -> dict[str, Any]:
    start = lived.timeline.start
    return {
        "path": lived.timeline.path,
        "passed": lived.passed,
        "faults": lived.history.faults,
        "expectations": [
            {
                "line": checked.expectation.line,
                "passed": checked.passed,
                "about": about(checked.expectation, start),
                "expected": wanted(checked.expectation, start),
                "matched": checked.matched,
                "instead": [_facts(happened) for happened in checked.instead],
                "text": checked.said,
                "because": _because(report, lived, checked),
            }
            for checked in lived.checked
        ],
    }


def _facts(happened: Happened) -> dict[str, Any]:
    decision, event = happened.decision, happened.decision.event
    return {
        "customer": decision.customer,
        "event": f"{event.source}/{event.id}" if event is not None else "",
        "rule": decision.rule_name,
        "at": iso(decision.time),
        "outcome": decision.outcome.name,
        "reason": decision.reason.name,
        "channels": [send.channel for send in decision.sends],
        "verdicts": {verdict.channel: verdict.reason.name for verdict in decision.verdicts},
        "step": decision.step,
        "revision": decision.revision,
        "due": iso(decision.due) if decision.due else None,
        "next_free": [iso(each.next_free) for each in decision.caps if each.blocked and each.next_free],
    }


def as_junit(report: Report) -> bytes:
    """Write a report as JUnit XML: a suite for each file, a case for each expectation."""
    root = ET.Element("testsuites", name="clarion policy test")
    for lived in report.files:
        faults, bad = lived.history.faults, sum(not each.passed for each in lived.checked)
        suite = ET.SubElement(root, "testsuite", name=lived.timeline.path)
        suite.set("tests", str(len(lived.checked) + len(faults)))
        suite.set("failures", str(bad + len(faults)))
        for fault in faults:
            case = _case(suite, lived.timeline.path, fault.line, "the timeline")
            ET.SubElement(case, "failure", message=_legal(fault.message))
        for checked in lived.checked:
            expectation, start = checked.expectation, lived.timeline.start
            case = _case(suite, lived.timeline.path, expectation.line, about(expectation, start))
            if not checked.passed:
                failure = ET.SubElement(case, "failure", message=_legal(f"expected {wanted(expectation, start)}"))
                failure.text = _legal("\n".join(_failure(report, lived, checked)))
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def write_junit(report: Report, file: Path) -> str:
    """Write a report as a file of JUnit XML; return why that can't be, "" when it was."""
    try:
        file.write_bytes(as_junit(report))
    except OSError as error:
        return f"can't write {file}: {error.strerror}"
    return ""


def _case(suite: ET.Element, path: str, line: int, name: str) -> ET.Element:
    case = ET.SubElement(suite, "testcase", classname=path, name=_legal(f"line {line}: {name}"))
    case.set("file", path)
    case.set("line", str(line))
    return case


def _legal(text: str) -> str:
    # XML has no place for control characters, not even escaped.
    return "".join(each for each in text if each.isprintable() or each in "\n\t")
