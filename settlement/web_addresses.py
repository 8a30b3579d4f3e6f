"""Where a webhook may go: to a public address over https, and never into the network that the engine runs in. Pure.

Whoever asks for webhooks names an address that the engine then calls, so the address is judged twice: as it is written,
and, once names are resolved, as the addresses that stand behind it. Following a redirect would undo both.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from ledger.records import dataclass

_HTTP, _HTTPS = 80, 443
_LONGEST_LABEL = 63
# An IPv4 address is the end of these: RFC 6052 (NAT64), RFC 4291 (compatible).
_ENDS_IN_IPV4 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("::/96"))
_IP = IPv4Address | IPv6Address


class AddressRefused(ValueError):
    """A webhook may not go there; the message says why. Another address mends it, trying again does not."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address taken apart: `path` with its query is what a request asks for."""

    scheme: str
    host: str
    port: int
    path: str


def target_of(url: str) -> Target:
    """The parts of an address as it is written; raises AddressRefused.

    It is https, or http to a loopback address for the embedded stack, without a user, a password or a fragment.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused(f"{url!r} is not an address; write https://host/path") from None
    if not url.isascii() or not url.isprintable() or " " in url or not parts.hostname:
        raise AddressRefused(f"{url!r} is not an address; write https://host/path, in ASCII and without blanks")
    if parts.username is not None or parts.fragment or "#" in url:
        raise AddressRefused("an address has neither a user nor a fragment; webhooks are signed instead")
    host, literal = parts.hostname, _literal(parts.hostname)
    if parts.scheme != "https" and not (parts.scheme == "http" and literal is not None and literal.is_loopback):
        raise AddressRefused(f"{parts.scheme}://{host} is not https; only on the embedded stack http to 127.0.0.1 is")
    if literal is None and _looks_like_a_number(host):
        raise AddressRefused(f"{host} is a number in disguise; write a name")
    if literal is None and not all(0 < len(label) <= _LONGEST_LABEL for label in host.removesuffix(".").split(".")):
        raise AddressRefused(f"{host} is not a name; between its dots stand 1 to {_LONGEST_LABEL} characters")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or (_HTTPS if parts.scheme == "https" else _HTTP), path)


def check_addresses(host: str, addresses: Iterable[str], *, loopback_allowed: bool) -> None:
    """Raise AddressRefused unless every address behind a host is public; on the embedded stack loopback is, too."""
    for text in addresses:
        address = ip_address(text)
        if not (is_public(address) or (loopback_allowed and address.is_loopback)):
            raise AddressRefused(f"what {host} stands for is not a public address; give one that is")


def is_public(address: _IP) -> bool:
    """Whether an address is one of the public Internet, also if it carries an IPv4 address inside."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and any(address in network for network in _ENDS_IN_IPV4):
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _literal(host: str) -> _IP | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _looks_like_a_number(host: str) -> bool:
    """Whether a resolver might take a host for an IPv4 address written otherwise: 2130706433, 0x7f.1, 127.1."""
    last = host.rstrip(".").rpartition(".")[2]
    return last.isdigit() or last.startswith("0x")
