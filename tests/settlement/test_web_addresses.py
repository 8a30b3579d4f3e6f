"""Where webhooks may go: the table of what is refused is the point."""

from ipaddress import ip_address

import pytest

from settlement.web_addresses import AddressRefused, Target, check_addresses, is_public, target_of


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://acme.example", Target("https", "acme.example", 443, "/")),
        ("https://acme.example:8443/a/b?c=d&e", Target("https", "acme.example", 8443, "/a/b?c=d&e")),
        ("https://[2606:4700::1111]/x", Target("https", "2606:4700::1111", 443, "/x")),
        ("http://127.0.0.1:8000/x", Target("http", "127.0.0.1", 8000, "/x")),
        ("http://[::1]:8000/x", Target("http", "::1", 8000, "/x")),
    ],
)
def test_an_address_is_taken_apart(url: str, target: Target) -> None:
    assert target_of(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "acme.example/hook",
        "https://",
        "https:///hook",
        "https://acme.example:port/",
        "https://acme.example:99999/",
        "http://acme.example/",
        "http://10.0.0.1/",
        "http://localhost:8000/",
        "ftp://acme.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_",
        "javascript:alert(1)",
        "https://user:secret@acme.example/",
        "https://user@acme.example/",
        "https://@acme.example/",
        "https://acme.example/#here",
        "https://acme.example/#",
        "https://acme.example/a b",
        "https://acme.example/\r\nX-Header: 1",
        "https://acme.exämple/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://[::1",
        "https://acme..example/",
        "https://.acme.example/",
        f"https://{'a' * 64}.example/",
        "https://10.0.0.1./",
    ],
)
def test_an_address_that_is_none_or_hides_something_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        target_of(url)


PUBLIC = ["93.184.216.34", "1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::808:808"]
PRIVATE = [
    "0.0.0.0",  # noqa: S104  # refused
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::10.0.0.1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called(address: str) -> None:
    assert is_public(ip_address(address))
    check_addresses("acme.example", [address], loopback_allowed=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public_are_refused_also_beside_one_that_is(address: str) -> None:
    with pytest.raises(AddressRefused, match="not a public address") as refused:
        check_addresses("acme.example", ["1.1.1.1", address], loopback_allowed=False)
    assert address not in str(refused.value), "who names a host is not told what it stands for inside"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_embedded_stack_may_call_its_own_machine(address: str) -> None:
    check_addresses("localhost", [address], loopback_allowed=True)


@pytest.mark.parametrize("address", [it for it in PRIVATE if not ip_address(it).is_loopback])
def test_the_embedded_stack_may_call_nothing_else_that_is_private(address: str) -> None:
    if (mapped := getattr(ip_address(address), "ipv4_mapped", None)) is not None and mapped.is_loopback:
        return
    with pytest.raises(AddressRefused):
        check_addresses("acme.example", [address], loopback_allowed=True)
