"""The codec keeps what it accepts exactly, and refuses the rest, naming the place."""

from __future__ import annotations

import binascii
import collections
import dataclasses
import datetime as dt
import enum
import math
import os
import pathlib
import subprocess
import sys
import zoneinfo
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from huey import MemoryHuey
from huey.api import chord
from huey.exceptions import CancelExecution, RateLimitExceeded, RetryTask, TaskException
from huey.registry import Message
from huey.utils import SKIPPED, ChordConfig, Error
from hypothesis import example, given
from hypothesis import strategies as st

from nephew.codec import PLAIN_MESSAGE, VALUE, Codec
from nephew.codec.beside import LONG
from nephew.errors import ConfigError, DecodeError, EncodeError, JobEnded, RemoteError
from nephew.job import new_ids

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
PLUS_ONE = dt.timezone(dt.timedelta(hours=1))

MESSAGE = Message("7f3b", "shop.send", None, 0, 0, None, (42, "a@b.c", True), {}, retry_backoff=0)


class Color(enum.Enum):
    RED = 1
    GREEN = (2, 3)


class Level(enum.IntEnum):
    LOW = 1


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


@dataclasses.dataclass(frozen=True)
class Point:
    x: Any
    y: Any = 0
    norm: float = dataclasses.field(init=False, default=0.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", 5.0)


class Pair(NamedTuple):
    left: Any
    right: Any = None


class Name(str):
    pass


class Opaque:
    """A class that no codec knows."""

    executed: list[str] = []

    def __init__(self) -> None:
        self.executed.append("init")

    def __setstate__(self, state: object) -> None:
        self.executed.append("setstate")

    def __repr__(self) -> str:
        return "<opaque>"


class ShopError(Exception):
    made = 0

    def __init__(self, order: int, *, reason: str) -> None:
        super().__init__(f"order {order}: {reason}")
        self.order, self.reason = order, reason
        type(self).made += 1


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def there_and_back(value: Any, codec: Codec | None = None) -> Any:
    codec = codec or Codec()
    return codec.deserialize(codec.serialize(value))


def same(left: Any, right: Any) -> bool:
    """Equal, and of equal types all the way down; NaN is itself, the order of a dict counts."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return math.copysign(1, left) == math.copysign(1, right) if left == right else left != left and right != right
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, set | frozenset):
        return left == right and {(type(item), item) for item in left} == {(type(item), item) for item in right}
    if isinstance(left, dt.datetime | dt.time):
        return (left.replace(tzinfo=None), left.fold, left.tzinfo) == (
            right.replace(tzinfo=None),
            right.fold,
            right.tzinfo,
        )
    if isinstance(left, Decimal):
        return left.as_tuple() == right.as_tuple()
    return bool(left == right)


def raised(make: Callable[[], BaseException]) -> BaseException:
    """The exception with a traceback."""
    try:
        raise make()
    except BaseException as error:
        return error


# --- what is kept ---

SAMPLES = [
    None,
    True,
    0,
    -1,
    2**64,
    -(2**70),
    10**4000,
    0.0,
    -0.0,
    0.1,
    1e308,
    math.inf,
    -math.inf,
    math.nan,
    "",
    "naïve ☃ 😀 \x00 \u2028",
    "\ud83d\ude00",
    "\udcff",
    b"",
    b"\x00\xff",
    bytearray(b"ab"),
    [],
    [1, [2, [3]]],
    (),
    (1,),
    ((1, "a"), [2.5, None]),
    {},
    {"a": 1, "b": {"c": [True]}},
    {1: "int", "1": "str", None: 0, (1, 2): [3], 2.5: {}},
    {"!": 1},
    {"!": ["tuple", 1], "x": {"!": None}},
    set(),
    {1, "a", (2, 3)},
    frozenset({b"x", frozenset({1})}),
    dt.datetime(2030, 1, 2, 3, 4, 5, 6),
    dt.datetime(2030, 1, 2, fold=1),
    dt.datetime(2030, 1, 2, tzinfo=dt.UTC),
    dt.datetime(2030, 1, 2, tzinfo=PLUS_ONE),
    dt.datetime(2030, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
    dt.datetime(1, 1, 1),
    dt.datetime.max,
    dt.date(2030, 1, 2),
    dt.time(1, 2, 3, 4),
    dt.time(1, tzinfo=dt.timezone(dt.timedelta(seconds=-3723, microseconds=5), "odd")),
    dt.timedelta(days=-1, microseconds=1),
    dt.timedelta.max,
    dt.UTC,
    BERLIN,
    Decimal("1.10"),
    Decimal("-Infinity"),
    Decimal("NaN"),
    Decimal("1E+1000000"),
    UUID(int=5),
    pathlib.Path("/a/b ☃"),
    pathlib.PurePosixPath("a/../b"),
    pathlib.PureWindowsPath("C:\\a\\b"),
    SKIPPED,
    Error({"error": "KeyError('x')", "retries": 0, "traceback": "…", "task_id": "7f3b"}),
    ChordConfig("c1", 3, 0, None),
    MESSAGE,
]


# A set's text differs from process to process, and the processes of one run have to agree on what they run.
@pytest.mark.parametrize("value", SAMPLES, ids=[f"{type(value).__name__}-{n}" for n, value in enumerate(SAMPLES)])
def test_an_everyday_value_comes_back_as_it_was(value: Any) -> None:
    assert same(there_and_back(value), value)
    assert same(there_and_back([{"x": (value,)}]), [{"x": (value,)}])
    assert same(there_and_back(MESSAGE._replace(args=(value,), kwargs={"a": value})).args, (value,))


def test_an_int_with_more_digits_than_python_writes_comes_back() -> None:
    huge = 10**5000

    assert there_and_back([huge, -huge, {huge: 1, "a": 2}, {huge, 1}]) == [
        huge,
        -huge,
        {huge: 1, "a": 2},
        {huge, 1},
    ]
    assert there_and_back(MESSAGE._replace(args=(huge, "x"))).args == (huge, "x")


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.datetimes()
    | st.datetimes(timezones=st.timezones())
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.builds(pathlib.PurePosixPath, st.text())
)
# Each NaN is a key of its own, until JSON makes them one object.
keys = scalars.filter(lambda value: value == value) | st.tuples(st.integers(), st.text())
values = st.recursive(
    scalars | st.sets(st.integers() | st.text()) | st.frozensets(st.dates()),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner) | st.dictionaries(keys, inner)
    ),
    max_leaves=20,
)


@given(values)
def test_any_combination_of_values_comes_back_as_it_was(value: Any) -> None:
    assert same(there_and_back(value), value)


times = st.none() | st.datetimes()
numbers = st.none() | st.integers() | st.floats(allow_nan=False)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
messages = st.builds(
    Message,
    st.text(),
    st.text(),
    times,
    numbers,
    numbers,
    numbers,
    st.lists(plain | values, max_size=3).map(tuple),
    st.dictionaries(st.text(), plain | values, max_size=3),
    st.none() | st.just(MESSAGE),
    st.none() | st.just(MESSAGE._replace(on_error=MESSAGE)),
    numbers | times | st.timedeltas(),
    times,
    numbers,
    st.none() | st.just(("c1", 3, 0, MESSAGE)),
    numbers,
)


@given(messages)
def test_any_message_comes_back_as_it_was(message: Message) -> None:
    assert same(there_and_back(message), message)


@given(
    st.lists(plain, max_size=4),
    st.dictionaries(st.text(), plain, max_size=3),
    times.map(lambda moment: moment and moment.replace(fold=0)),
)
def test_any_plain_message_comes_back_as_it_was(args: list[Any], kwargs: dict[str, Any], eta: Any) -> None:
    message = MESSAGE._replace(args=tuple(args), kwargs=kwargs, eta=eta, expires_resolved=eta)

    data = Codec().serialize(message)

    assert data.startswith(PLAIN_MESSAGE)
    assert same(Codec().deserialize(data), message)


@given(messages, st.lists(st.lists(plain | values, max_size=3).map(tuple), max_size=4))
@example(MESSAGE._replace(on_complete=None), [(1,), ("two", 10**5000)])
def test_calls_written_together_are_the_bytes_of_each(message: Message, arguments: list[tuple[Any, ...]]) -> None:
    ids = new_ids(len(arguments))

    together = Codec().serialize_calls(message, ids, arguments)

    each = [message._replace(id=id, args=args) for id, args in zip(ids, arguments, strict=True)]
    assert together == list(map(Codec().serialize, each))


LONG_BYTES = bytes(range(256)) * (LONG // 256)


@pytest.mark.parametrize(
    "value",
    [
        LONG_BYTES,
        [LONG_BYTES, b"short", (LONG_BYTES[::-1], 10**5000)],
        {LONG_BYTES: LONG_BYTES[::-1], b"": 1},
        {LONG_BYTES, LONG_BYTES[::-1]},
        bytearray(LONG_BYTES),
        MESSAGE._replace(
            args=(LONG_BYTES,), kwargs={"a": LONG_BYTES}, on_complete=MESSAGE._replace(args=(LONG_BYTES,))
        ),
    ],
    ids=["alone", "list", "dict", "set", "bytearray", "message"],
)
def test_long_bytes_come_back_wherever_they_are(value: Any) -> None:
    assert same(there_and_back(value), value)


def test_long_bytes_are_kept_as_they_are() -> None:
    assert len(Codec().serialize(LONG_BYTES)) < len(LONG_BYTES) + 40


def test_long_bytes_of_earlier_versions_are_read() -> None:
    text = binascii.b2a_base64(LONG_BYTES, newline=False).decode()

    assert Codec().deserialize(VALUE + f'[{{"!":["bytes","{text}"]}}]'.encode()) == [LONG_BYTES]


def test_messages_of_pipelines_and_chords_come_back_as_hueys_registry_made_them() -> None:
    huey = MemoryHuey(serializer=Codec(), utc=True)

    @huey.task()
    def add(a: int, b: int = 0) -> int:
        return a + b

    task = add.s(1, b=2).then(add, 3).then(add, 4).error(add, 5)
    task.eta = dt.datetime(2030, 1, 1)
    back = huey.deserialize_task(huey.serialize_task(task))
    assert huey._registry.create_message(back) == huey._registry.create_message(task)

    huey.enqueue(chord([add.s(1), add.s(2)], add.s()))
    configs = [huey.dequeue().chord_config for _ in range(2)]
    assert [(config.size, config.idx, config.callback.name) for config in configs] == [
        (2, 0, "add"),
        (2, 1, "add"),
    ]


def test_a_pipeline_may_be_longer_than_values_may_be_deep() -> None:
    message = MESSAGE
    for _ in range(500):
        message = MESSAGE._replace(on_complete=message)

    assert there_and_back(message) == message


def test_hueys_skipped_mark_stays_the_one_object() -> None:
    assert there_and_back([SKIPPED])[0] is SKIPPED


def test_a_time_of_hueys_of_a_subclass_becomes_a_plain_datetime() -> None:
    class Moment(dt.datetime):
        pass

    message = there_and_back(MESSAGE._replace(eta=Moment(2030, 1, 2)))

    assert message.eta == dt.datetime(2030, 1, 2)
    assert type(message.eta) is dt.datetime


def test_a_frozen_clock_of_freezegun_is_taken_for_the_real_one() -> None:
    FakeDatetime = type("FakeDatetime", (dt.datetime,), {"__module__": "freezegun.api"})
    FakeDate = type("FakeDate", (dt.date,), {"__module__": "freezegun.api"})

    assert same(there_and_back(FakeDatetime(2030, 1, 2, 3)), dt.datetime(2030, 1, 2, 3))
    assert same(there_and_back(FakeDate(2030, 1, 2)), dt.date(2030, 1, 2))


def test_bytes_may_come_back_from_a_database_as_a_memoryview() -> None:
    data = Codec().serialize([1])

    assert Codec().deserialize(memoryview(data)) == [1]  # type: ignore[arg-type]
    assert Codec().deserialize(bytearray(data)) == [1]


def test_equal_sets_give_equal_bytes_in_every_process() -> None:
    program = (
        "from nephew.codec import Codec\n"
        "print(Codec().serialize([{'a', 'b', 'c', 1, (2, 'x'), None}, frozenset('xyz')]).hex())"
    )

    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=pathlib.Path(__file__).resolve().parents[2],
            capture_output=True,
            check=True,
        ).stdout
        for seed in "123"
    }

    assert len(outputs) == 1


# --- registered classes ---


@pytest.fixture
def codec() -> Codec:
    codec = Codec()
    for cls in (Color, Level, Access, Point, Pair, ShopError):
        codec.register(cls)
    codec.register(Name, encode=str.__str__, decode=Name)
    codec.register(collections.OrderedDict, encode=dict, decode=collections.OrderedDict)
    return codec


@pytest.mark.parametrize(
    "value",
    [
        Color.RED,
        Color.GREEN,
        Level.LOW,
        Access.READ,
        Access.READ | Access.WRITE,
        Access(0),
        Point(1, Color.RED),
        Point({1: (2,)}, [Point(3)]),
        Pair(1, {"a": Pair(2)}),
        Name("x"),
        collections.OrderedDict(b=1, a=2),
        {Color.RED: {Point(1)}},
    ],
)
def test_an_instance_of_a_registered_class_comes_back_as_it_was(codec: Codec, value: Any) -> None:
    assert same(there_and_back(value, codec), value)


def test_a_dataclass_with_fields_that_its_constructor_does_not_take_comes_back_whole(codec: Codec) -> None:
    point = Point(1)
    object.__setattr__(point, "norm", 7.0)

    assert there_and_back(point, codec).norm == 7.0


def test_a_field_that_is_new_gets_its_default(codec: Codec) -> None:
    data = codec.serialize(Point(1, 2)).replace(b',"y":2', b"")

    assert codec.deserialize(data) == Point(1)


def test_register_is_a_decorator() -> None:
    codec = Codec()

    @codec.register
    class Bare(enum.Enum):
        A = 1

    @codec.register(name="size")
    class Named(enum.Enum):
        A = 1

    assert there_and_back([Bare.A, Named.A], codec) == [Bare.A, Named.A]
    assert b'"size"' in codec.serialize(Named.A)


def test_registering_with_one_codec_leaves_others_as_they_were(codec: Codec) -> None:
    with pytest.raises(EncodeError):
        Codec().serialize(Color.RED)
    with pytest.raises(DecodeError, match=r"test_codec\.Color is not registered here"):
        Codec().deserialize(codec.serialize(Color.RED))


def test_a_class_that_was_loaded_again_replaces_itself() -> None:
    codec = Codec()
    first, second = (enum.Enum("Size", "S M", module="shop") for _ in range(2))

    codec.register(first)
    codec.register(second)

    assert there_and_back(second.S, codec) is second.S


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cls": Opaque}, r"test_codec\.Opaque is no Enum, .* register it with encode= and decode="),
        ({"cls": Opaque, "encode": repr}, "needs both encode= and decode="),
        ({"cls": Opaque, "decode": repr}, "needs both encode= and decode="),
        ({"cls": dt.datetime}, "kept anyway, got <class 'datetime.datetime'>"),
        ({"cls": 5}, "expected a class to register"),
        ({"cls": Point, "name": "color"}, r"'color' stands for .*Color; give .*Point another name="),
        (
            {"cls": Point, "name": "builtins.ValueError"},
            "'builtins.ValueError' stands for builtins.ValueError",
        ),
        ({"cls": ShopError, "name": "color"}, "'color' stands for"),
    ],
)
def test_a_class_that_cannot_be_registered_is_refused(arguments: dict[str, Any], message: str) -> None:
    codec = Codec()
    codec.register(Color, name="color")

    with pytest.raises(ConfigError, match=message):
        codec.register(**arguments)


def test_a_dataclass_that_cannot_be_made_of_its_fields_is_refused() -> None:
    @dataclasses.dataclass
    class Secret:
        key: dataclasses.InitVar[str]
        x: int = 0

    with pytest.raises(ConfigError, match="its constructor also wants 'key'"):
        Codec().register(Secret)


# --- what is refused ---


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            Opaque(),
            r"value cannot be stored: it is of type <class '.*Opaque'>; accepted are None, .*register.*id",
        ),
        ([0, Opaque()], r"value\[1\] cannot"),
        ({"user": (1, Opaque())}, r"value\['user'\]\[1\] cannot"),
        ({1: Opaque()}, r"value\[1\] cannot"),
        ({"a": 1, (Opaque(),): 2}, r"value\.keys\(\)\[0\] cannot"),
        ({Opaque()}, r"value\{…\} cannot"),
        (Color.RED, r"Color'>; register its class with huey\.codec\.register"),
        (Level.LOW, r"Level'>; register its class"),
        (Point(1), r"Point'>; register its class"),
        (Pair(1), r"Pair'>; register its class"),
        (Name("x"), r"Name'>; it would come back as a plain str: pass that or register"),
        (collections.OrderedDict(), "it would come back as a plain dict"),
        (collections.Counter(), "it would come back as a plain dict"),
        (collections.defaultdict(list), "it would come back as a plain dict"),
        ([Name("x")], r"value\[0\] cannot"),
        ({Name("x"): 1}, r"value\.keys\(\) cannot.*plain str"),
        (type("Stamp", (dt.datetime,), {})(2030, 1, 1), "it would come back as a plain datetime"),
        (1j, "complex'>; accepted are"),
        (len, "builtin_function_or_method"),
        (Opaque, "<class 'type'>"),
        (object(), "<class 'object'>"),
        (..., "ellipsis"),
        (range(3), "range"),
        (memoryview(b"x"), "memoryview"),
        (
            dt.datetime(2030, 1, 1, tzinfo=type("Zone", (dt.tzinfo,), {})()),
            r"its time zone is a .*Zone; use zoneinfo",
        ),
        (Error(Opaque()), "Opaque"),
    ],
)
def test_what_would_not_come_back_as_it_is_is_refused(value: Any, message: str) -> None:
    with pytest.raises(EncodeError, match=message):
        Codec().serialize(value)


@pytest.mark.parametrize(
    ("message", "place"),
    [
        (MESSAGE._replace(args=(1, Opaque())), r"args[1] of a call of shop.send"),
        (MESSAGE._replace(kwargs={"when": Opaque()}), r"kwargs['when'] of a call of shop.send"),
        (MESSAGE._replace(args=({"user": Point(Opaque())},)), r"args[0]['user'].x of a call of shop.send"),
        (
            MESSAGE._replace(args=({"user": Pair(1, Opaque())},)),
            r"args[0]['user'].right of a call of shop.send",
        ),
        (MESSAGE._replace(priority=Opaque()), r"priority of a call of shop.send"),
        (
            MESSAGE._replace(
                on_complete=MESSAGE._replace(on_complete=MESSAGE._replace(name="shop.last", args=(Opaque(),)))
            ),
            r"on_complete.on_complete.args[0] of a call of shop.last",
        ),
        (
            MESSAGE._replace(on_error=MESSAGE._replace(args=(Opaque(),))),
            r"on_error.args[0] of a call of shop.send",
        ),
        (
            MESSAGE._replace(chord_config=("c", 1, 0, MESSAGE._replace(args=(Opaque(),)))),
            r"chord_config[3].args[0] of",
        ),
    ],
)
def test_a_refused_argument_is_named(codec: Codec, message: Message, place: str) -> None:
    with pytest.raises(EncodeError) as caught:
        codec.serialize(message)

    assert str(caught.value).startswith(place)
    assert "test_codec.Opaque" in str(caught.value)


def test_what_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append({"x": (endless,)})
    error = ValueError()
    error.args = (error, error)

    for value in (endless, error):
        with pytest.raises(EncodeError, match="may be nested 100 deep; is it contained in itself"):
            Codec().serialize(value)


@pytest.mark.parametrize(
    "wrap", [lambda value: [value], lambda value: (value,), lambda value: {1: value}, Point, ValueError]
)
def test_what_is_nested_a_hundred_times_can_be_read_and_more_is_refused(codec: Codec, wrap: Any) -> None:
    value: Any = 1
    for _ in range(100):
        value = wrap(value)

    assert repr(there_and_back(value, codec)) == repr(value)
    with pytest.raises(EncodeError, match="nested 100 deep"):
        codec.serialize(wrap([value, []]))


def test_an_encoder_of_a_registered_class_that_fails_is_an_encode_error() -> None:
    codec = Codec()
    codec.register(Opaque, encode=lambda value: value.missing, decode=lambda value: value)

    with pytest.raises(EncodeError, match=r"a builtins\.list cannot be stored: AttributeError: .*missing"):
        codec.serialize([Opaque()])


# --- exceptions ---


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad", 1),
        KeyError("x"),
        Exception(),
        SystemExit(3),
        FileNotFoundError(2, "No such file", "/x"),
        OSError(5, "I/O", "a", None, "b"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        ImportError("no x", name="x", path="/x.py"),
        StopIteration(5),
        ExceptionGroup("many", [ValueError(1), KeyError("k")]),
        SyntaxError("bad", ("f.py", 1, 2, "text", 1, 3)),
        RetryTask("again", delay=5),
        CancelExecution("no", retry=False),
        RateLimitExceeded("key", 5, True),
        TaskException({"error": "boom"}),
        JobEnded("7f3b", "expired"),
    ],
    ids=repr,
)
def test_an_exception_that_is_known_comes_back_as_itself(error: BaseException) -> None:
    back = there_and_back(error)

    assert type(back) is type(error)
    assert (str(back), repr(back)) == (str(error), repr(error))
    if not isinstance(error, ExceptionGroup):
        assert back.args == error.args
        assert vars(back) == vars(error)


def test_what_c_code_keeps_of_an_exception_comes_back_too() -> None:
    assert there_and_back(ImportError("no x", name="x")).name == "x"
    assert there_and_back(FileNotFoundError(2, "No such file", "/x")).filename == "/x"
    assert there_and_back(SystemExit(3)).code == 3


def test_an_exception_brings_its_traceback_as_text() -> None:
    error = raised(lambda: ValueError("bad"))

    back = there_and_back(error)

    assert back.traceback.startswith("Traceback (most recent call last)")
    assert back.traceback.endswith("ValueError: bad\n")
    assert there_and_back(back).traceback == back.traceback


def test_notes_and_attributes_of_an_exception_come_back() -> None:
    error = ValueError("bad")
    error.add_note("while testing")
    error.order = 5  # type: ignore[attr-defined]

    back = there_and_back(error)

    assert (back.__notes__, back.order) == (["while testing"], 5)


def test_an_arg_that_cannot_be_kept_comes_back_as_text() -> None:
    back = there_and_back(ValueError(Opaque()))
    assert (type(back), str(back)) == (ValueError, str(ValueError(Opaque())))

    assert there_and_back(ValueError("bad", Opaque())).args == ("bad", "<opaque>")


def test_an_exception_that_is_not_known_comes_back_as_one_that_looks_like_it() -> None:
    error = raised(lambda: ShopError(5, reason="sold out"))
    made = ShopError.made

    back = there_and_back(error)

    assert type(back) is RemoteError
    assert (str(back), repr(back)) == (str(error), repr(error))
    assert back.class_name == f"{__name__}.ShopError"
    assert "ShopError: order 5: sold out" in back.traceback
    assert ShopError.made == made


def test_a_remote_error_travels_on_as_what_it_stands_for(codec: Codec) -> None:
    back = there_and_back(there_and_back(raised(lambda: ShopError(5, reason="sold out"))))

    assert (type(back), back.class_name, str(back)) == (
        RemoteError,
        f"{__name__}.ShopError",
        "order 5: sold out",
    )
    assert "ShopError" in back.traceback


def test_a_registered_exception_comes_back_as_itself_without_its_constructor(codec: Codec) -> None:
    error = ShopError(5, reason="sold out")
    made = ShopError.made

    back = there_and_back(error, codec)

    assert type(back) is ShopError
    assert (back.order, back.reason, back.args) == (5, "sold out", error.args)
    assert ShopError.made == made


def test_an_exception_that_would_come_back_broken_comes_back_as_one_that_looks_like_it(codec: Codec) -> None:
    for error in (ShopError(5, reason="x"), TaskException({"error": "boom"})):
        error.order = Opaque()  # type: ignore[assignment,union-attr]

        back = there_and_back(error, codec)

        assert type(back) is RemoteError
        assert repr(back) == repr(error)


def test_an_exception_that_cannot_even_be_shown_is_stored() -> None:
    back = there_and_back(raised(Unprintable))

    assert str(back) == repr(back) == "<unprintable Unprintable object>"


def test_exceptions_are_kept_inside_of_other_values() -> None:
    error = there_and_back(Error({"error": ValueError("bad")})).metadata["error"]
    assert repr(error) == "ValueError('bad')"

    message = there_and_back(MESSAGE._replace(on_error=MESSAGE._replace(args=(1, KeyError("k")))))
    assert repr(message.on_error.args) == "(1, KeyError('k'))"
