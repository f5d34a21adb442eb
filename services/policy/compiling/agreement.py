"""What the files of a policy say about each other, beyond single rules and caps."""

from collections.abc import Sequence

from services.policy.compiling.notes import Notes
from services.policy.documents import Document
from services.policy.draft import Draft, PlacedCap, PlacedRule
from services.policy.mistakes import Mistake, nearest
from services.policy.shapes import QuietHours, TenantFile
from services.policy.template_lint import DIGEST


class Agreement:
    """Compares the files of a policy."""

    def __init__(self, found: Draft, notes: Notes) -> None:
        self._draft = found
        self._notes = notes

    def compare(self) -> None:
        """Check what concerns the policy as a whole."""
        self._twice("rule", [(placed, placed.rule.name) for placed in self._draft.rules])
        self._twice("cap", [(placed, placed.cap.name) for placed in self._draft.caps])
        self._last_rule()
        tenant = self._draft.tenant
        if tenant is not None:
            document = self._draft.documents["clarion.yaml"]
            self._quiet_hours(document, tenant.defaults.quiet_hours)
            self._settings(document, tenant)
            self._digest_template(tenant)

    def _digest_template(self, tenant: TenantFile) -> None:
        """Whoever may put messages into a digest needs the words for it."""
        if DIGEST in self._draft.template_names:
            return
        needs = f"needs the template {DIGEST!r}"
        for kind, given in (
            ("channel", tenant.defaults.preferences.channel),
            ("category", tenant.defaults.preferences.category),
        ):
            for name, value in given.items():
                if value == "digest":
                    keys = ["defaults", "preferences", kind, name]
                    self._notes.note(self._draft.documents["clarion.yaml"].mistake(keys, f"'digest' {needs}"))
        categories = self._draft.categories
        for name, category in categories.categories.items() if categories else ():
            if category.default == "digest":
                document = self._draft.documents["categories.yaml"]
                self._notes.note(document.mistake(["categories", name, "default"], f"'digest' {needs}"))
        for placed in self._draft.caps:
            if placed.cap.over == "digest":
                self._notes.at(placed, ["over"], f"'digest' {needs}")

    def _twice(self, what: str, named: Sequence[tuple[PlacedRule | PlacedCap, str]]) -> None:
        seen: set[str] = set()
        for placed, name in named:
            if name in seen:
                self._notes.at(placed, ["name"], f"the {what} name {name!r} is used twice")
            seen.add(name)

    def _last_rule(self) -> None:
        paths = [path for path in self._draft.documents if path.startswith("rules/")]
        wanted = 'the last rule must be `on: "*"` with `ignore: true` and nothing else'
        if not paths:
            self._notes.note(Mistake("rules/", 1, 1, "", f"there is no rule; {wanted}"))
            return
        if not self._draft.whole("rules"):
            return
        if not self._draft.rules:
            self._notes.note(self._draft.documents[paths[-1]].mistake(["rules"], wanted))
            return
        last = self._draft.rules[-1]
        if last.rule.on != ["*"] or not last.rule.ignore or last.rule.when is not None:
            self._notes.at(last, [], wanted)

    def _quiet_hours(self, document: Document, quiet: QuietHours | None) -> None:
        keys = ["defaults", "quiet_hours"]
        if quiet is None:
            return
        if (quiet.start is None) != (quiet.end is None):
            missing = "end" if quiet.end is None else "start"
            self._notes.note(document.mistake(keys, f"{missing!r} is missing", at_key=True))
        if quiet.start is None and quiet.end is None and not quiet.days:
            self._notes.note(document.mistake(keys, "needs 'start' and 'end', or 'days'", at_key=True))
        if quiet.start is not None and quiet.start == quiet.end:
            self._notes.note(document.mistake([*keys, "end"], "start and end are the same"))
        for day, window in quiet.days.items():
            if window.start == window.end:
                self._notes.note(document.mistake([*keys, "days", day, "end"], "start and end are the same"))

    def _settings(self, document: Document, tenant: TenantFile) -> None:
        categories = self._draft.categories
        if categories is None:
            return
        names = categories.categories
        places: list[tuple[list[str | int], str]] = [
            (["locks", index, "category"], lock.category) for index, lock in enumerate(tenant.locks) if lock.category
        ]
        places += [
            (["defaults", "preferences", "category", name], name) for name in tenant.defaults.preferences.category
        ]
        for keys, name in places:
            if name not in names:
                at_key = keys[0] == "defaults"
                message = f"unknown category {name[:60]!r}"
                self._notes.note(document.mistake(keys, message, nearest(name, names), at_key=at_key))
