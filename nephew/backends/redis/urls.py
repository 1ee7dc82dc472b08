"""Which Redis is meant, by a URL: a server, one that Sentinels watch over, or a cluster."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from redis import Connection, RedisCluster, RedisError, Sentinel, SSLConnection, UnixDomainSocketConnection
from redis import ConnectionError as Unreachable
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import parse_url
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from nephew.errors import ConfigError

#: What is understood; `valkey` may stand for `redis` everywhere.
FORMS = (
    "redis://[user:password@]host:port/db, rediss://… (TLS), unix:///path.sock?db=0, "
    "redis+sentinel://host:port,host:port/service/db or redis+cluster://host:port,host:port"
)
#: Schemes, and the ports that are meant when none is said.
PORTS = {
    "redis": 6379,
    "rediss": 6379,
    "unix": 0,
    "redis+sentinel": 26379,
    "rediss+sentinel": 26379,
    "redis+cluster": 6379,
    "rediss+cluster": 6379,
}
#: What may be said behind the ?, and everything that begins with `ssl_`.
OPTIONS = ("db", "username", "password", "client_name", "socket_timeout", "socket_connect_timeout", "socket_keepalive",
           "socket_read_size", "sentinel_username", "sentinel_password")  # fmt: skip
#: Seconds until a server counts as not answering, or as not there.
TIMEOUTS = {"socket_timeout": 5.0, "socket_connect_timeout": 3.0}
#: Seconds that one Sentinel is given, before the next one is asked.
SENTINEL_TIMEOUT = 1.0

Address = tuple[str, int]


class Place(NamedTuple):
    """Where a Redis is.

    :ivar description: for people, without user and password.
    :ivar kind: redis-py's class of the connections to it.
    :ivar options: what these are made with, the address aside when it has to be asked for.
    :ivar locate: asks for the address of the server that holds a key; None: the address is in the options.
    """

    description: str
    kind: Callable[..., Any]
    options: Mapping[str, Any]
    locate: Callable[[str], Address] | None = None


def place_of(url: str) -> Place:
    """The place that a URL names; connects to nothing.

    :raises ConfigError: when the URL is of no such form.
    """
    parts = _split(url)
    if "@" not in parts.netloc and "@" in url:  # it would be shown as a part of the host
        raise ConfigError("expected / ? # and @ of the password to be written as %2F %3F %23 and %40 in the Redis URL")
    scheme = parts.scheme.replace("valkey", "redis", 1)
    parts = parts._replace(scheme=scheme)
    if scheme not in PORTS:
        raise ConfigError(f"expected a URL like {FORMS}, got {_shown(parts)!r}")
    if scheme == "unix":
        return _unix(parts)
    way = scheme.partition("+")[2]
    return _sentinel(parts) if way == "sentinel" else _cluster(parts) if way == "cluster" else _server(parts)


def _split(url: str) -> SplitResult:
    """A URL in its parts; its hosts are left as they are, since some Pythons refuse several of them."""
    found = re.match(r"([^:/?#]*)://([^/?#]*)(.*)", url, re.DOTALL)
    try:
        if found is None:
            return urlsplit(url)
        scheme, hosts, rest = found.groups()
        return urlsplit(f"{scheme}://{rest}")._replace(netloc=hosts)
    except ValueError as error:
        raise ConfigError(f"expected a URL like {FORMS}, got one that cannot be read: {error}") from None


def _unix(parts: SplitResult) -> Place:
    if not parts.path or parts.hostname:
        raise ConfigError(f"expected a path in unix:///path.sock?db=0, got {_shown(parts)!r}")
    return Place(_shown(parts), UnixDomainSocketConnection, _options(parts, ""))


def _server(parts: SplitResult) -> Place:
    (address,) = _addresses(parts, most=1)
    options = _options(parts, parts.path.strip("/")) | dict(zip(("host", "port"), address, strict=True))
    return Place(_shown(parts), _kind(parts), options)


def _sentinel(parts: SplitResult) -> Place:
    service, _, db = parts.path.strip("/").partition("/")
    if not service:
        raise ConfigError(f"expected the service's name in redis+sentinel://host:port/service, got {_shown(parts)!r}")
    addresses, options = _addresses(parts), _options(parts, db)
    own = {
        name.removeprefix("sentinel_"): options.pop(name, None) for name in ("sentinel_username", "sentinel_password")
    }
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    own |= tls | {"ssl": _kind(parts) is SSLConnection, "retry": options["retry"]}
    own |= {"socket_timeout": SENTINEL_TIMEOUT, "socket_connect_timeout": SENTINEL_TIMEOUT}

    def locate(key: str) -> Address:
        sentinels = Sentinel(addresses, sentinel_kwargs=own)
        try:
            host, port = sentinels.discover_master(unquote(service))
            return host, port
        finally:
            for each in sentinels.sentinels:
                each.close()

    return Place(_shown(parts), _kind(parts), options, locate)


def _cluster(parts: SplitResult) -> Place:
    if parts.path.strip("/") not in ("", "0"):
        raise ConfigError(f"expected no database but 0, the only one of a cluster, got {_shown(parts)!r}")
    addresses, options = _addresses(parts), _options(parts, "")
    if options["db"]:
        raise ConfigError(f"expected no database but 0, the only one of a cluster, got db={options['db']}")
    given = {name: value for name, value in options.items() if name not in ("db", "retry")}
    given |= {"ssl": _kind(parts) is SSLConnection, "require_full_coverage": False}

    def locate(key: str) -> Address:
        try:
            # Made anew for each question: what it remembers of the nodes is out of date when one asks.
            with closing(RedisCluster(startup_nodes=[ClusterNode(*each) for each in addresses], **given)) as cluster:
                node = cluster.get_node_from_key(key)
        except RedisClusterException as error:
            raise _reason(error) from error
        return node.host, int(node.port)

    return Place(_shown(parts), _kind(parts), options, locate)


def _reason(error: RedisClusterException) -> RedisError:
    """Why no node was found: the last one's own error, if it is known."""
    return error.__cause__ if isinstance(error.__cause__, RedisError) else Unreachable(str(error))


def _kind(parts: SplitResult) -> type[Connection]:
    return SSLConnection if parts.scheme.startswith("rediss") else Connection


def _addresses(parts: SplitResult, most: int | None = None) -> list[Address]:
    hosts = parts.netloc.rpartition("@")[2]
    try:
        found = [urlsplit(f"//{host}") for host in hosts.split(",")]
        addresses = [(unquote(each.hostname or "localhost"), each.port or PORTS[parts.scheme]) for each in found]
        for host, _ in addresses:
            host.encode("idna")
    except ValueError as error:
        raise ConfigError(f"expected host:port in {_shown(parts)!r}: {error}") from None
    if most is not None and len(addresses) > most:
        raise ConfigError(
            f"expected one host, got {_shown(parts)!r}; several are named in redis+sentinel:// or redis+cluster://"
        )
    return addresses


def _options(parts: SplitResult, db: str) -> dict[str, Any]:
    """What redis-py makes connections with, as its own URLs say it."""
    if db and not db.isdecimal():
        raise ConfigError(f"expected the number of a database behind the last / of {_shown(parts)!r}, got {db!r}")
    user = parts.netloc.rpartition("@")[0]
    if parts.scheme == "unix":
        plain = f"unix://{parts.netloc}{parts.path}?{parts.query}"
    else:
        plain = urlunsplit(("redis", f"{user}@host" if user else "host", f"/{db}", parts.query, ""))
    try:
        options: dict[str, Any] = parse_url(plain)
        options.pop("connection_class", None)
        options.pop("host", None)
        _check(options, parts)
        options = {"db": 0} | TIMEOUTS | options
        # Replies as scripts give them, and no repetition but ours.
        options |= {"protocol": 2, "retry": Retry(NoBackoff(), 0)}
        kind: Callable[..., Any] = UnixDomainSocketConnection if parts.scheme == "unix" else _kind(parts)
        kind(**{name: value for name, value in options.items() if not name.startswith("sentinel_")})
    except (ValueError, TypeError, RedisError) as error:
        raise ConfigError(f"expected options that redis-py knows in {_shown(parts)!r}: {error}") from None
    return options


def _check(options: Mapping[str, Any], parts: SplitResult) -> None:
    known = (*OPTIONS, "path") if parts.scheme == "unix" else OPTIONS
    unknown = [name for name in options if name not in known and not name.startswith("ssl_")]
    if unknown:
        expected = f"{', '.join(OPTIONS)} or ssl_…"
        raise ConfigError(f"expected only {expected} after ? in {_shown(parts)!r}, got {', '.join(unknown)}")


def _shown(parts: SplitResult) -> str:
    """A URL without what is secret in it."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
