"""The addresses that may be called: by their form, and by what is behind them."""

import threading
from ipaddress import ip_address

import pytest

from chalicelib.outbound.address import Destination, Rules, Unsafe, addresses, check, destination, resolve_by_dns
from tests.support.world import BODY, World

PUBLIC, LOCAL = Rules(), Rules(local=True)
PLAIN = {name: BODY[name] for name in ("to_number", "from_number")}

#: addresses that are unsafe by their form alone
BAD = [
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "//example.com/",
    "example.com",
    "https://",
    "https:///x",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://example.com@169.254.169.254/",
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.169.254./",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://0x7f.1/",
    "https://0x7f000001/",
    "https://0X7F000001/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://127.0.0.1.:443/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://256.1.1.1/",
    "https://1.2.3.4.5/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/",
    "https://[fc00::1]/",
    "https://[ff02::1]/",
    "https://[::1",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://api.localhost/",
    "https://metadata/",
    "https://metadata.google.internal/",
    "https://ip-10-0-0-1.ec2.internal/",
    "https://printer.local/",
    "https://example.com:22/",
    "https://example.com:80/",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://example.com:x/",
    "https://exa mple.com/",
    "https://example.com/\n",
    "https://example.com\\@127.0.0.1/",
    "https://ⓔxample.com/",
    "https://127。0。0。1/",
    "https://bücher.example/",
    "https://-x.example/",
    "https://x..example/",
    "https://" + "a" * 64 + ".example/",
    "https://example.com/" + "a" * 2048,
    "https://%31%32%37.0.0.1/",
    "",
]


@pytest.mark.parametrize("url", BAD)
def test_an_address_of_a_bad_form_is_refused(url: str) -> None:
    with pytest.raises(Unsafe):
        destination(url, PUBLIC)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://example.com", Destination("https", "example.com", 443, "/")),
        ("https://Example.COM./hook?a=b#c", Destination("https", "example.com", 443, "/hook?a=b")),
        ("https://example.com:8443/x", Destination("https", "example.com", 8443, "/x")),
        ("https://xn--bcher-kva.example/", Destination("https", "xn--bcher-kva.example", 443, "/")),
        ("https://8.8.8.8/", Destination("https", "8.8.8.8", 443, "/")),
        ("https://[2606:4700::1111]/", Destination("https", "2606:4700::1111", 443, "/")),
        ("https://7.example.com/", Destination("https", "7.example.com", 443, "/")),
        ("https://0x7f.1.example.com/", Destination("https", "0x7f.1.example.com", 443, "/")),
    ],
)
def test_an_address_of_a_good_form_is_taken_apart(url: str, wanted: Destination) -> None:
    assert destination(url, PUBLIC) == wanted


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:5005/hook", "http://localhost:5005/", "https://[::1]:1/", "http://10.1.2.3/"]
)
def test_localhost_may_be_called_if_local_addresses_are_allowed(url: str) -> None:
    assert destination(url, LOCAL).host in ("127.0.0.1", "localhost", "::1", "10.1.2.3")


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/", "https://[fd00:ec2::254]/", "https://[fe80::1]/", "http://0/", "ftp://127.0.0.1/"],
)
def test_the_metadata_service_is_never_let_in(url: str) -> None:
    with pytest.raises(Unsafe):
        destination(url, LOCAL)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("10.255.255.255", "private"),
        ("169.254.169.254", "metadata service"),
        ("100.127.255.255", "shared by a carrier's customers"),
        ("239.1.1.1", "multicast"),
        ("240.0.0.1", "reserved"),
        ("::ffff:a9fe:a9fe", "an IPv4 address written as IPv6"),
        ("::a9fe:a9fe", "an IPv4 address written as IPv6"),
        ("64:ff9b::a9fe:a9fe", "NAT64"),
        ("2002:a9fe:a9fe::1", "6to4"),
        ("2001:0:a9fe:a9fe::1", "Teredo"),
        ("fdff::1", "private"),
        ("fec0::1", "site-local"),
        ("4000::1", "not a public address"),
    ],
)
def test_an_ip_address_is_refused_with_what_it_is(address: str, says: str) -> None:
    with pytest.raises(Unsafe, match=says):
        check(ip_address(address), PUBLIC)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "2606:4700::1"]
)
def test_a_public_ip_address_is_let_through(address: str) -> None:
    check(ip_address(address), PUBLIC)


def test_every_address_of_a_name_is_checked() -> None:
    to = destination("https://example.com/", PUBLIC)
    assert addresses(to, PUBLIC, lambda host, port: ["1.1.1.1", "1.1.1.1", "8.8.8.8"]) == ["1.1.1.1", "8.8.8.8"]
    for found in (["1.1.1.1", "10.0.0.1"], ["2606:4700::1", "::1"], [], ["fe80::1%eth0"], ["nonsense"]):
        with pytest.raises(Unsafe):
            addresses(to, PUBLIC, lambda host, port, found=found: found)


class TestWebhookUrl:
    """The field ``webhook_url`` of POST /calls."""

    @pytest.mark.parametrize("url", ["https://hooks.example.com/redial", "http://169.254.169.254/", "", 7, {}])
    def test_any_is_refused_until_it_is_called(self, world: World, url: object) -> None:
        answer = world.request("POST", "/calls", {**PLAIN, "webhook_url": url})
        (wrong,) = answer.json_body["errors"]
        assert (answer.status_code, wrong["pointer"]) == (422, "/webhook_url")
        assert wrong["detail"].startswith("webhook_url is not available yet")
        assert world.twilio.requests == []

    def test_null_is_no_webhook(self, world: World) -> None:
        assert world.place(webhook_url=None)["webhook_url"] is None


def test_a_resolver_that_does_not_answer_is_waited_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr("chalicelib.outbound.address.RESOLVE_SEC", 0.1)
    monkeypatch.setattr("chalicelib.deadline.socket.getaddrinfo", lambda *_, **__: released.wait(5) and [])
    with pytest.raises(OSError, match="not resolved in time"):
        resolve_by_dns("slow.example", 443)
    released.set()
