"""The page has no door for what a message says: no markup from strings, nothing from outside."""

import re
from importlib.resources import files

import httpx2
import pytest
from starlette.applications import Starlette

from services.sandbox import pages

PATHS = ["/", "/page.css", "/page.js", "/icon.svg"]


async def got(path: str) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=Starlette(routes=pages.routes()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        return await client.get(path)


@pytest.mark.parametrize("path", PATHS)
async def test_every_file_is_served_and_may_load_only_from_here(path: str) -> None:
    response = await got(path)
    policy = response.headers["content-security-policy"]
    assert response.status_code == 200
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_is_loaded_from_outside(path: str) -> None:
    addresses = set(re.findall(r"https?://[^\s\"')]+", (await got(path)).text))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, nobody asks there


async def test_all_that_the_page_names_is_served() -> None:
    page = (await got("/")).text
    named = set(re.findall(r'(?:src|href)="(/[^"]*)"', page))
    assert named == set(PATHS) - {"/"}


def test_what_a_message_says_is_never_made_markup() -> None:
    script = files("services.sandbox").joinpath("page", "page.js").read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|eval\(|Function\(", script)
    assert 'setAttribute("sandbox", "")' in script


async def test_every_element_that_the_script_asks_for_is_on_the_page() -> None:
    page, script = (await got("/")).text, (await got("/page.js")).text
    asked = set(re.findall(r'\$\("([a-z-]+)"\)', script))
    assert asked
    assert asked <= set(re.findall(r'id="([a-z-]+)"', page))
