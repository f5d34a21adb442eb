"""Runs the rule tests of a policy: values in, one report out.

The policy is compiled once, each expression once; nothing here reads a clock or a file. The same bundle gives the
same report, to the byte.
"""

from collections.abc import Collection

from msgspec import Struct

from services.policy.bundle import Bundle
from services.policy.compile import Examined, examine
from services.policy.mistakes import Mistake, PolicyError
from services.policy.templates import Templates, compile_templates
from services.policy.testing import coverage, expect
from services.policy.testing.coverage import RuleCoverage
from services.policy.testing.expect import Checked
from services.policy.testing.files import read
from services.policy.testing.messages import Messages
from services.policy.testing.names import documents_of, names_of
from services.policy.testing.timeline import Timeline
from services.policy.testing.world import History, live
from services.router.decision.model import Policy


class Lived(Struct, frozen=True):
    """One test file: its timeline, all that became of it, and which expectations held."""

    timeline: Timeline
    history: History
    checked: tuple[Checked, ...]

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.history.faults and all(each.passed for each in self.checked)


class Report(Struct, frozen=True):
    """What came out; `coverage` is over the files that were run."""

    policy: Policy
    files: tuple[Lived, ...]
    coverage: tuple[RuleCoverage, ...]

    @property
    def passed(self) -> bool:
        """Whether every file passed."""
        return all(each.passed for each in self.files)

    @property
    def never(self) -> tuple[str, ...]:
        """The rules that no event matched, in their order."""
        return tuple(each.rule for each in self.coverage if not each.matched)


class Suite(Struct):
    """A policy made ready to test: compiled, with its templates and its timelines."""

    policy: Policy
    templates: Templates
    timelines: tuple[Timeline, ...]


def suite(bundle: Bundle) -> Suite:
    """Make a policy ready to test; raise PolicyError with all mistakes, those in its tests too."""
    examined = examine(bundle)
    timelines, mistakes = _timelines(examined)
    if examined.policy is None or mistakes:
        raise PolicyError([*examined.mistakes, *mistakes])
    return Suite(examined.policy, templates_of(bundle), timelines)


def _timelines(examined: Examined) -> tuple[tuple[Timeline, ...], list[Mistake]]:
    names, timelines, mistakes = names_of(examined), [], []
    for document in documents_of(examined):
        timeline, found = read(document, names)
        mistakes += found
        if timeline is not None:
            timelines.append(timeline)
    return tuple(timelines), mistakes


def templates_of(bundle: Bundle) -> Templates:
    """Return the templates of a policy without mistakes; its tests need not be read again for that."""
    return compile_templates(Bundle({path: text for path, text in bundle.files.items() if not _is_test(path)}))


def run(bundle: Bundle, only: Collection[str] = ()) -> Report:
    """Run the tests of a policy, or only some of its files (by path in the bundle); raise PolicyError."""
    ready = suite(bundle)
    messages = Messages(ready.templates, ready.policy.defaults)
    files = []
    for timeline in ready.timelines:
        if not only or timeline.path in only:
            history = live(timeline, ready.policy)
            files.append(Lived(timeline, history, expect.check(timeline, history, messages)))
    return Report(ready.policy, tuple(files), coverage.coverage(ready.policy, [each.history for each in files]))


def _is_test(path: str) -> bool:
    return path.startswith("tests/")
