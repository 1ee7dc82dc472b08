"""Hostile bytes give a value or a DecodeError, and run and import nothing; pickles are read once verified."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nephew.codec import PLAIN_MESSAGE, VALUE, WITH_BYTES, Codec, SignedPickle
from nephew.codec.beside import LONG
from nephew.errors import ConfigError, DecodeError, EncodeError, RemoteError
from tests.unit import test_codec
from tests.unit.test_codec import MESSAGE, SAMPLES, Color, Name, Opaque, Pair, Point, ShopError, raised


@contextmanager
def no_side_effects() -> Iterator[None]:
    """Fails if anything is imported, executed, opened or started meanwhile."""
    events: list[tuple[Any, ...]] = []
    WATCHES.append(events)
    try:
        yield
    finally:
        WATCHES.remove(events)
    assert events == []


WATCHES: list[list[tuple[Any, ...]]] = []
WATCHED = (
    "import",
    "exec",
    "compile",
    "open",
    "pickle.",
    "os.",
    "subprocess.",
    "socket.",
    "ctypes.",
    "marshal.",
)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    for events in WATCHES:
        if event.startswith(WATCHED):
            events.append((event, arguments))


@pytest.fixture(scope="module", autouse=True)
def audited() -> None:
    # There is no way to take an audit hook off again; this one does nothing while nobody watches.
    sys.addaudithook(_audit)


def read_hostile(data: bytes, codec: Codec) -> None:
    """Only a value or DecodeError may come out; showing the value must not kill the process."""
    try:
        with no_side_effects():
            value = codec.deserialize(data)
    except DecodeError:
        return
    if isinstance(value, BaseException):
        str(value), repr(value)


HOSTILE = Codec()
HOSTILE.register(Color)
HOSTILE.register(Point)
HOSTILE.register(Pair)
HOSTILE.register(ShopError)

# A ZoneInfo is left out: the first one of a name reads the time zone database.
ENCODED = [
    HOSTILE.serialize(value)
    for value in [
        *(sample for sample in SAMPLES if "zoneinfo" not in repr(sample)),
        Color.RED,
        Point(1),
        Pair(1),
        ShopError(1, reason="x"),
        raised(lambda: ValueError("bad", {"a": (1,)})),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
        MESSAGE._replace(eta=dt.datetime(2030, 1, 1), kwargs={"a": 1}),
        MESSAGE._replace(on_complete=MESSAGE, on_error=MESSAGE, chord_config=("c", 1, 0, MESSAGE)),
        [b"long" * LONG, {"a": b"longer" * LONG}],
    ]
]


@given(st.binary())
def test_random_bytes_are_not_read(data: bytes) -> None:
    read_hostile(data, HOSTILE)
    read_hostile(VALUE + data, HOSTILE)
    read_hostile(PLAIN_MESSAGE + data, HOSTILE)
    read_hostile(WITH_BYTES + data, HOSTILE)


@given(st.sampled_from(ENCODED), st.data())
def test_damaged_bytes_give_a_value_or_a_decode_error(data: bytes, draw: st.DataObject) -> None:
    changed = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        start = draw.draw(st.integers(0, len(changed)))
        end = draw.draw(st.integers(start, min(len(changed), start + 6)))
        changed[start:end] = draw.draw(
            st.binary(max_size=4) | st.sampled_from([b'"', b"[", b"]", b"{", b"}", b"-9", b"!"])
        )

    read_hostile(bytes(changed), HOSTILE)


CODES = [
    *(
        "int",
        "bytes",
        "bytearray",
        "tuple",
        "set",
        "frozenset",
        "dict",
        "datetime",
        "time",
        "date",
        "timedelta",
    ),
    *(
        "timezone",
        "decimal",
        "uuid",
        "path",
        "skipped",
        "message",
        "error",
        "chord",
        "class",
        "exception",
        "unknown",
    ),
]
NAMES = [
    *(
        f"builtins.{name}"
        for name in ("ValueError", "OSError", "UnicodeDecodeError", "UnicodeEncodeError", "SyntaxError")
    ),
    *(
        "builtins.ExceptionGroup",
        "builtins.eval",
        "os.system",
        "huey.exceptions.TaskException",
        "nephew.errors.JobEnded",
    ),
    *(f"{test_codec.__name__}.{name}" for name in ("Color", "Point", "Pair", "ShopError", "Opaque")),
]
trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([*NAMES, "2030-01-01", "00", "/", "PosixPath", "RED", "AA==", "x" * 10, 10**30, -(10**12)]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.sampled_from(["!", "x", "args", "__class__", "__dict__", "start"]), inner)
        | st.builds(lambda code, parts: {"!": [code, *parts]}, st.sampled_from(CODES), st.lists(inner, max_size=6))
        | st.builds(
            lambda name, *parts: {"!": ["exception", name, "", "", *parts]},
            st.sampled_from(NAMES),
            st.none(),
            st.lists(inner, max_size=5),
            st.none() | st.dictionaries(st.sampled_from(["start", "end", "object", "args", "text", "x"]), inner),
        )
    ),
)


@given(trees)
def test_well_formed_nonsense_gives_a_value_or_a_decode_error(tree: Any) -> None:
    text = json.dumps(tree).encode()

    read_hostile(VALUE + text, HOSTILE)
    read_hostile(PLAIN_MESSAGE + text, HOSTILE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 2",
        "nul",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"!":["tuple",' * 100_000,
        "9" * 100_000,
        '{"!":[]}',
        '{"!":5}',
        '{"!":null}',
        '{"!":[["tuple"]]}',
        '{"!":["tuple"],"x":1}',
        '{"!":["nothing"]}',
        '{"!":["int","xyz"]}',
        '{"!":["int",5]}',
        '{"!":["bytes","A"]}',
        '{"!":["bytes","*"]}',
        '{"!":["bytes",1]}',
        '{"!":["set",[1]]}',
        '{"!":["dict",1]}',
        '{"!":["dict",[],1]}',
        '{"!":["date","2030-13-01"]}',
        '{"!":["datetime","now"]}',
        '{"!":["datetime","2030-01-01",0,"UTC"]}',
        '{"!":["timedelta",1e99]}',
        '{"!":["timezone",5,0,0]}',
        '{"!":["zoneinfo","../../etc/passwd"]}',
        '{"!":["zoneinfo","/etc/passwd"]}',
        '{"!":["zoneinfo","os.path/x"]}',
        '{"!":["zoneinfo","No/Where"]}',
        '{"!":["decimal","x"]}',
        '{"!":["uuid",null]}',
        '{"!":["path","os","x"]}',
        '{"!":["message"]}',
        '{"!":["message",[]]}',
        '{"!":["message",["id","name",0,0,0,0,[],{},{}]]}',
        '{"!":["class","os.system","ls"]}',
        '{"!":["class",[],1]}',
        '{"!":["exception"]}',
        '{"!":["exception",1,2,3]}',
    ],
    ids=lambda text: text[:40],
)
def test_bytes_that_nobody_wrote_give_a_decode_error(text: str) -> None:
    for mark in (VALUE, PLAIN_MESSAGE):
        with pytest.raises(DecodeError):
            Codec().deserialize(mark + text.encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'"no line feed"',
        b"nothing\n",
        b'{"!":["beside",0,5]}\nfour',
        b'{"!":["beside",0,3]}\nfour',
        b'{"!":["beside",-1,2]}\nfour',
        b'{"!":["beside",3,-1]}\nfour',
        b'{"!":["beside",0,true]}\nfour',
        b'{"!":["beside",0.0,4]}\nfour',
        b'{"!":["beside",0]}\nfour',
        b'[{"!":["beside",0,4]},{"!":["beside",0,4]}]\nfour',
    ],
)
def test_bytes_that_are_not_there_give_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        Codec().deserialize(WITH_BYTES + data)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        '["id"]',
        '["id","task",[],{},0,0,0]',
        '["id","task",{},{},0,0,0,0]',
        '[1,"task",[],{},0,0,0,0]',
        '["id","task",[],{},0,0,0,0,0]',
        '["id","task",[],{},0,0,0,0,null,null,"x",null]',
        '["id","task",[],{},0,0,0,0,null,null,5,null]',
    ],
)
def test_an_array_that_is_not_a_message_gives_a_decode_error(text: str) -> None:
    with pytest.raises(DecodeError):
        Codec().deserialize(PLAIN_MESSAGE + text.encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(1), "a pickle, as Huey's own serializer writes"),
        (SignedPickle("0123456789abcdef").serialize(1), "nephew.codec.SignedPickle"),
        (b"\x1f\x8b", "gzip"),
        (b"", "0 stored bytes are not a value of this codec"),
        (b'{"job": 1}', "they begin with b'{\"job\": '"),
        (None, "expected stored bytes, got <class 'NoneType'>"),
        ("text", "expected stored bytes"),
        (10**12, "expected stored bytes"),
    ],
)
def test_bytes_of_others_are_recognised(data: Any, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        Codec().deserialize(data)


def test_an_exception_that_would_read_foreign_memory_is_not_rebuilt() -> None:
    """With start=-10**12 and end=1-10**12, its str() is a segmentation fault (Python 3.11 to 3.13)."""
    args = ["utf-8", {"!": ["bytes", "AA=="]}, -(10**12), 1 - 10**12, "x"]
    tree = {"!": ["exception", "builtins.UnicodeDecodeError", "text", "repr", None, args, {}]}

    back = Codec().deserialize(VALUE + json.dumps(tree).encode())

    assert (type(back), str(back)) == (RemoteError, "text")


def test_an_exception_with_a_class_that_is_none_is_not_looked_for() -> None:
    for name in ("builtins.eval", "os.system", "builtins.int", f"{test_codec.__name__}.Opaque"):
        tree = {"!": ["exception", name, "text", "repr", None, ["echo"], {}]}

        back = Codec().deserialize(VALUE + json.dumps(tree).encode())

        assert (type(back), back.class_name) == (RemoteError, name)


def test_a_constructor_that_fails_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="cannot be read back: TypeError"):
        HOSTILE.deserialize(HOSTILE.serialize(Point(1)).replace(b'"x"', b'"z"'))
    with pytest.raises(DecodeError, match="cannot be read back: KeyError: 'BLUE'"):
        HOSTILE.deserialize(HOSTILE.serialize(Color.RED).replace(b'"RED"', b'"BLUE"'))


# --- signed pickles ---

SECRET = "correct horse battery"


class Bomb:
    """Says so when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Opaque.executed.append, ("boom",)


def test_a_signed_pickle_keeps_what_pickle_keeps() -> None:
    serializer = SignedPickle(SECRET)

    assert serializer.deserialize(serializer.serialize({Name("x"): 1j})) == {Name("x"): 1j}
    assert SignedPickle(SECRET.encode()).deserialize(memoryview(serializer.serialize(1))) == 1  # type: ignore[arg-type]


def test_a_pickle_without_the_right_signature_is_not_unpickled() -> None:
    serializer, boom = SignedPickle(SECRET), Opaque.executed.count("boom")
    good = serializer.serialize(Bomb())
    forged = [
        pickle.dumps(Bomb()),
        good[:1] + bytes(32) + good[33:],
        good[:1] + good[33:],
        good[:20],
        good + b"x",
        SignedPickle("another secret 16").serialize(Bomb()),
        b"",
    ]

    for data in forged:
        with pytest.raises(DecodeError):
            serializer.deserialize(data)

    assert Opaque.executed.count("boom") == boom


@given(st.binary())
def test_random_bytes_are_not_unpickled(data: bytes) -> None:
    with pytest.raises(DecodeError), no_side_effects():
        SignedPickle(SECRET).deserialize(data)


def test_a_pickle_of_a_class_that_is_gone_is_a_decode_error(monkeypatch: pytest.MonkeyPatch) -> None:
    data = SignedPickle(SECRET).serialize(Name("x"))
    monkeypatch.delattr(test_codec, "Name")

    with pytest.raises(DecodeError, match="a pickle cannot be read back: AttributeError"):
        SignedPickle(SECRET).deserialize(data)


def test_what_pickle_refuses_is_an_encode_error() -> None:
    with pytest.raises(EncodeError, match="cannot be pickled"):
        SignedPickle(SECRET).serialize(lambda: None)


@pytest.mark.parametrize("secret", ["", "fifteen bytes..", b"short", None, 1234567890123456])
def test_a_secret_that_is_too_short_is_refused(secret: Any) -> None:
    with pytest.raises(ConfigError, match="at least 16 bytes"):
        SignedPickle(secret)


def test_a_secret_does_not_show(capsys: pytest.CaptureFixture[str]) -> None:
    serializer = SignedPickle(SECRET)

    assert SECRET not in repr(serializer) + repr(vars(serializer))
    with pytest.raises(DecodeError) as caught:
        serializer.deserialize(b"")
    assert SECRET not in "".join(traceback.format_exception(caught.value))
