"""Which addresses this platform may call: pure, so that every client decides alike.

Providers' addresses are typed by people, and names resolve to whatever their owner says. What is not public (this
machine, private networks, a cloud's metadata service) is reached only where the operator has said so. The check is made
where a connection opens, on the very address that it opens to, so that no second look-up can change it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

NETWORKS_SETTING = "EGRESS_ALLOWED_NETWORKS"
PORTS_SETTING = "EGRESS_ALLOWED_PORTS"
LOOPBACK = "127.0.0.0/8,::1/128"
# Web ports, those that model servers choose, and the lowest, where nothing listens and a provider may be parked; not
# shells, mail, name servers and file shares.
USUAL_PORTS = "1-19,80,443,1024-65535"
NONE = "none"
SCHEMES = ("http", "https")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# IANA's special-purpose registries (RFC 6890 and its successors), multicast and reserved space.
_NOT_PUBLIC_V4 = tuple(
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_PUBLIC_V6 = IPv6Network("2000::/3")  # the only global unicast space that is given out
_NOT_PUBLIC_V6 = tuple(IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20"))
_NAT64 = IPv6Network("64:ff9b::/96")
# They hand out a machine's credentials, and some lie in networks that people have reasons to allow.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        *("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
        *("100.100.100.200", "168.63.129.16", "192.0.0.192"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What is allowed beyond public addresses, and the ports (first and last of each range) for all of them."""

    networks: tuple[Network, ...]
    ports: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, *, networks: str, ports: str) -> Policy:
        """From the settings' text: comma-separated, `none` for nothing. Raises `ValueError` with a plain sentence."""
        return cls(
            networks=tuple(_network(part) for part in _parts(networks)),
            ports=tuple(_range(part) for part in _parts(ports)),
        )

    def __str__(self) -> str:
        return ", ".join(map(str, self.networks)) or NONE


class EgressRefusedError(OSError):
    """The operator's settings allow no connection there. Its text is for people, and the same for every address."""


def check(ip: Address, port: int, policy: Policy) -> None:
    """Raises `EgressRefusedError` where no connection may open to `ip`."""
    check_port(port, policy)
    if not is_allowed(ip, policy):
        raise EgressRefusedError(_why(ip))


def check_port(port: int, policy: Policy) -> None:
    if not any(first <= port <= last for first, last in policy.ports):
        raise EgressRefusedError(f"Port {port} may not be called. The setting {PORTS_SETTING} says which may.")


def check_host(host: str, policy: Policy) -> None:
    """What can be said of a host before it is looked up. Raises `EgressRefusedError`."""
    known = _known_addresses(host)
    if _is_disguised(host):
        raise EgressRefusedError(f"Write that address as {known[0]}: other forms of it are not called.")
    if known and not any(is_allowed(ip, policy) for ip in known):
        raise EgressRefusedError(_why(known[0]))


def is_allowed(ip: Address, policy: Policy) -> bool:
    """Whether a connection may open to `ip`. An address that stands for an IPv4 one is judged as that one."""
    meant = _meant(ip)
    listed = [network for network in policy.networks if ip in network or meant in network]
    if meant in _METADATA:
        return any(network.num_addresses == 1 for network in listed)
    return bool(listed) or is_public(ip)


def is_public(ip: Address) -> bool:
    meant = _meant(ip)
    if isinstance(meant, IPv4Address):
        return not _in(meant, _NOT_PUBLIC_V4)
    return meant in _PUBLIC_V6 and not _in(meant, _NOT_PUBLIC_V6)


def is_own_network(host: str) -> bool:
    """Whether `host` is plainly not public: a literal address, or a name of this machine."""
    return any(not is_public(ip) for ip in _known_addresses(host))


def literal(host: str) -> Address | None:
    """The address that a host's text is, in any form that a resolver takes: `2130706433`, `0x7f.1`, `0177.0.0.1`."""
    text = unicodedata.normalize("NFKC", host).rstrip(".")
    try:
        return ip_address(text)
    except ValueError:
        return _old_ipv4(text)


def _is_disguised(host: str) -> bool:
    """`2130706433` and its like: the pooled client takes none of them, nor does anybody mean well by them."""
    try:
        ip_address(host)
    except ValueError:
        return literal(host) is not None
    return False


def _known_addresses(host: str) -> tuple[Address, ...]:
    ip = literal(host)
    if ip is not None:
        return (ip,)
    name = host.rstrip(".").lower()
    return _LOCAL if name == "localhost" or name.endswith(".localhost") else ()


_LOCAL: tuple[Address, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


def _in(ip: Address, networks: Iterable[Network]) -> bool:
    return any(ip in network for network in networks)


def _meant(ip: Address) -> Address:
    """The IPv4 address within an IPv4-mapped (RFC 4291), NAT64 (RFC 6052) or 6to4 (RFC 3056) one.

    Any other without its zone (`%eth0`), which makes addresses unequal that lead to the same place.
    """
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or IPv6Address(int(ip))


_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


def _old_ipv4(text: str) -> IPv4Address | None:
    """As inet_aton(3) reads it: one to four numbers, decimal, octal or hexadecimal, the last filling what is left."""
    parts = text.split(".")
    if len(parts) > 4 or not all(map(_NUMBER.fullmatch, parts)):
        return None
    try:
        *leading, last = map(_number, parts)
    except ValueError:  # an 8 in an octal number
        return None
    room = 8 * (4 - len(leading))
    if any(part > 255 for part in leading) or last >= 1 << room:
        return None
    return IPv4Address(sum(part << (24 - 8 * place) for place, part in enumerate(leading)) + last)


def _number(text: str) -> int:
    if text[:2] in ("0x", "0X"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


def _why(ip: Address) -> str:
    if _meant(ip) in _METADATA:
        return f"That address is a cloud's metadata service: only {NETWORKS_SETTING} with that very address allows it."
    return (
        "That address is not public: it is this machine's, a private network's or reserved. "
        f"The setting {NETWORKS_SETTING} says which of those may be called."
    )


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip() not in ("", NONE)]


def _network(text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{NETWORKS_SETTING} lists networks, for example 127.0.0.0/8,10.1.2.3, or says {NONE}; not {text!r}."
        ) from None


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    try:
        found = int(first), int(last or first)
    except ValueError:
        found = (0, 0)
    if not 0 < found[0] <= found[1] <= 65_535:
        raise ValueError(f"{PORTS_SETTING} lists ports and ranges, for example 443,8000-8999; not {text!r}.")
    return found
