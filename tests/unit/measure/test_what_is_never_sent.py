"""What a question is refused for before anything goes over the network: no connection is made in these tests."""

from __future__ import annotations

from datetime import datetime

import pytest

from atoll.fleet.gates import GateReading
from atoll.measure.prometheus import Prometheus

from .questions import NOW, ask

TOKEN = "s3cr3t-t0ken"
NO_ADDRESS = "url is no address of a server; write it like https://prometheus.example.com:9090"


class Noon:
    """It is always noon."""

    def now(self) -> datetime:
        """Return noon."""
        return NOW


async def refuse(url: str, *, token: str = "") -> GateReading:
    asking = Prometheus(Noon())
    reading = await asking.ask(ask(url=url, secret_name="prometheus"), token=token)
    assert asking._session is None, "a session was opened for a question that shall not be sent"
    assert not reading.open
    assert reading.cause == "Error"
    assert reading.time == NOW
    return reading


@pytest.mark.parametrize(
    "url", ["", "prometheus:9090", "ftp://prometheus", "http://", "http://h:99999999", "http://[::1", "/x", "http:///x"]
)
async def test_what_is_no_address(url: str) -> None:
    assert (await refuse(url)).message == NO_ADDRESS


@pytest.mark.parametrize(
    "url",
    ["http://ada:pw@127.0.0.1:9090", "http://ada@127.0.0.1:9090", "http://127.0.0.1:9090?x=1", "http://127.0.0.1/#x"],
)
async def test_an_address_that_holds_more_than_an_address(url: str) -> None:
    message = (await refuse(url)).message
    assert message.startswith("url must hold no user, password, query or fragment")
    assert "pw" not in message.removeprefix("url must hold no user, password")


@pytest.mark.parametrize("url", ["http://prometheus.example.com:9090", "http://10.0.0.5:9090", "http://[fd00::5]"])
async def test_a_token_over_http_to_another_machine(url: str) -> None:
    message = (await refuse(url, token=TOKEN)).message
    assert message.startswith("the token is not sent over http")
    assert TOKEN not in message


@pytest.mark.parametrize("token", ["two words", "line\r\nX-Other: yes", "tökén", "nul\x00"])
async def test_a_token_that_would_be_more_than_a_token(token: str) -> None:
    reading = await refuse("https://127.0.0.1:1", token=token)
    assert reading.message == "the token in Secret prometheus is not one word of plain characters; correct it"
