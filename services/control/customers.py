"""200 invented customers of Northwind, a power company, for the demo and for `clarion up --demo-customers`.

Nobody here exists: names are put together from lists, addresses end in example.org. The same 200 come every time; only
quiet hours and the hour of the digest depend on the instant they are made for, so that it is night for some and day for
the others whenever the demo runs, and no digest is due meanwhile. What a customer is good for in the demo follows from
his number, so that roles are spread over all names.
"""

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from services.router.decision.model import SECOND

TENANT = "northwind"
COUNT = 200
FEEDER = "F-17"
_STRIDE = 73  # has no divisor in common with COUNT: each role number is met once


class Culture(Struct, frozen=True):
    """Where some of the customers live, and how they are called."""

    timezone: str
    locale: str
    first: str
    last: str


CULTURES = (
    Culture(
        "Europe/Lisbon",
        "en-GB",
        "Ana João Inês Tiago Marta Rui Sofia Nuno Beatriz Duarte",
        "Lopes Ferreira Sousa Pinto",
    ),
    Culture(
        "Europe/Berlin",
        "de-DE",
        "Ben Jürgen Käthe Lena Moritz Anke Jonas Greta Uwe Frieda",
        "Schröder Weiß Köhler Brandt",
    ),
    Culture(
        "Europe/Vienna",
        "de-AT",
        "Resi Leopold Hannah Florian Vroni Xaver Magda Lukas Elfi Toni",
        "Gruber Pichler Höller Moser",
    ),
    Culture(
        "Europe/Warsaw",
        "en",
        "Zofia Paweł Agnieszka Łukasz Ewa Michał Hania Stanisław Ola Kuba",
        "Nowak Wiśniewska Kamiński Zając",
    ),
    Culture(
        "Europe/Istanbul", "de", "Ayşe Mehmet Elif Çağla Emre Zeynep Kerem Şirin Deniz Yusuf", "Yılmaz Öztürk Aydın Koç"
    ),
    Culture(
        "Africa/Lagos",
        "en",
        "Chioma Emeka Ngozi Tunde Adaeze Kelechi Yetunde Obinna Amara Femi",
        "Okafor Adeyemi Eze Balogun",
    ),
    Culture(
        "Asia/Kolkata",
        "en-IN",
        "Priya Arjun Lakshmi Rahul Meera Vikram Anjali Sanjay Kavya Ravi",
        "Sharma Iyer Patel Banerjee",
    ),
    Culture(
        "Asia/Tokyo", "en", "Yuki Haruto Sakura Kenji Aiko Ren Naomi Takumi Hana Sora", "Tanaka Suzuki Watanabe Mori"
    ),
    Culture(
        "America/Mexico_City",
        "en-US",
        "Lucía Diego Ximena Mateo Guadalupe Iván Paloma Andrés Itzel Raúl",
        "Hernández Ibarra Muñoz Vega",
    ),
    Culture(
        "Europe/Copenhagen",
        "de",
        "Søren Astrid Mikkel Freja Rasmus Signe Aksel Maja Jørgen Ida",
        "Nielsen Østergaard Lund Kjær",
    ),
)
_ASCII = str.maketrans(
    {"ß": "ss", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "ı": "i", "æ": "ae", "ä": "ae", "ö": "oe", "ü": "ue"}
)


class DemoCustomer(Struct, frozen=True):
    """An invented customer; `role` is 0 to 199, `night` says that it is quiet time for him at the instant given."""

    id: str
    name: str
    role: int
    timezone: str
    locale: str
    email: str
    feeder: str
    contract: str
    quiet_start: str
    quiet_end: str
    digest_at: str
    night: bool
    off: tuple[str, ...]
    wanted: tuple[str, ...]
    consents: tuple[str, ...]

    @property
    def on_feeder(self) -> bool:
        """Whether the power cut of the demo concerns him."""
        return self.feeder == FEEDER

    def line(self) -> dict[str, Any]:
        """Return the customer as a line for `clarion customer put`."""
        return {
            "customer": self.id,
            "addresses": {"email": self.email} if self.email else {},
            "locale": self.locale,
            "timezone": self.timezone,
            "channels": ["email"],
            "quiet_hours": {"start": self.quiet_start, "end": self.quiet_end},
            "digest": {"every": "1d", "at": self.digest_at},
            "preferences": [
                *({"category": category, "value": "off"} for category in self.off),
                *({"category": category, "value": "instant"} for category in self.wanted),
            ],
            "consents": list(self.consents),
            "attributes": {"feeder": self.feeder, "contract": self.contract},
        }


# Roles: who stands for what. The first 118 are on the feeder of the power cut; 11 of them sleep.
ON_FEEDER = range(118)
AT_NIGHT = range(107, 129)
NO_ADDRESS = range(129, 136)
ORDER_OFF = range(136, 138)
TERMS_OFF = range(138, 141)
MANY_ORDERS = range(194, 200)
OFFERS_WANTED = range(150, 160)
USAGE_MEASURED = range(160, 180)
WITHOUT_CONSENT = range(158, 160)  # want offers, but never agreed to marketing by mail


def customers(now: int) -> tuple[DemoCustomer, ...]:
    """Make the 200, such that at `now` it is night for those who are to sleep and for nobody else."""
    return tuple(_customer(number, name, culture, now) for number, (name, culture) in enumerate(_people()))


def _people() -> Iterator[tuple[str, Culture]]:
    for culture in CULTURES:
        first, last = culture.first.split(), culture.last.split()
        for number in range(COUNT // len(CULTURES)):
            turn = number // len(first)
            yield f"{first[number % len(first)]} {last[(number + turn) % len(last)]}", culture


def _customer(number: int, name: str, culture: Culture, now: int) -> DemoCustomer:
    role = number * _STRIDE % COUNT
    slug = _ascii(name)
    night = role in AT_NIGHT
    local = datetime.fromtimestamp(now // SECOND, UTC).astimezone(ZoneInfo(culture.timezone)).replace(minute=0)
    start, end = _quiet_hours(local, night=night)
    off = [category for category, roles in (("order", ORDER_OFF), ("policy", TERMS_OFF)) if role in roles]
    return DemoCustomer(
        id=slug.replace(" ", "-"),
        name=name,
        role=role,
        timezone=culture.timezone,
        locale=culture.locale,
        email="" if role in NO_ADDRESS else f"{slug.replace(' ', '.')}@example.org",
        feeder=FEEDER if role in ON_FEEDER else f"F-{1 + role % 16:02}",
        contract="gold" if role % 10 == 0 else "standard",
        quiet_start=start,
        quiet_end=end,
        digest_at=f"{local + timedelta(hours=6):%H:%M}",
        night=night,
        off=tuple(off),
        wanted=("offers",) if role in OFFERS_WANTED else (),
        consents=("email",) if role in OFFERS_WANTED and role not in WITHOUT_CONSENT else (),
    )


def _quiet_hours(local: datetime, *, night: bool) -> tuple[str, str]:
    """Return eight quiet hours around an hour, or eight that begin eight hours after it."""
    start = local + timedelta(hours=-3 if night else 8)
    return f"{start:%H:%M}", f"{start + timedelta(hours=8):%H:%M}"


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.translate(_ASCII))
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).lower()
