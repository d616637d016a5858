"""A crooked door before a broker: it loses requests and answers of a kind, or answers for it.

`crooked()` opens one. Where a door is to "lose" a request, the broker never sees it; where it is to
"swallow" an answer, the broker has done what it was asked and nobody is told; in both cases the
connection is cut. Where it plays a code, the client is told that error and the broker nothing. A
door that was `shut()` lets nobody through: the broker behind it is out of reach and keeps all.
"""

import queue
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from struct import pack, unpack
from typing import Any, Literal, NamedTuple, TypeAlias

from kafka.protocol.producer import ProduceRequest, ProduceResponse
from kafka.protocol.producer.transaction import (
    AddOffsetsToTxnResponse,
    EndTxnResponse,
    InitProducerIdResponse,
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
)

from tests.broker import free_port
from tests.mockcluster import Api, Code

Trick: TypeAlias = Literal["lose", "swallow"] | Code

_SIMPLE = {  # answers that hold nothing but an error
    Api.END_TXN: EndTxnResponse,
    Api.ADD_OFFSETS_TO_TXN: AddOffsetsToTxnResponse,
    Api.INIT_PRODUCER_ID: InitProducerIdResponse,
}


class _Request(NamedTuple):
    api: int
    version: int
    number: int
    frame: bytes


class _Pending(NamedTuple):
    """An answer that is owed: made here, or to come from the broker, and perhaps swallowed."""

    made: bytes | None
    swallowed: bool = False


@dataclass
class Door:
    """What is to go wrong, by kind of request; each trick is played once."""

    port: int
    behind: int
    tricks: dict[int, deque[tuple[Trick, bytes]]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    played: list[tuple[Api, Trick]] = field(default_factory=list)
    passages: list["_Passage"] = field(default_factory=list, repr=False)
    barred: bool = False

    @property
    def bootstrap(self) -> str:
        """The address that clients are told."""
        return f"127.0.0.1:{self.port}"

    def shut(self) -> None:
        """Cut every connection, and each new one as it comes."""
        self.barred = True
        for passage in list(self.passages):
            passage.cut()

    def open(self) -> None:
        """Let clients through again."""
        self.barred = False

    def play(self, api: Api, *tricks: Trick, naming: str = "") -> None:
        """Have the next requests of that kind go wrong so, one each; or those that name a topic."""
        self.tricks[api] += [(trick, naming.encode()) for trick in tricks]

    def left(self) -> int:
        """Count the tricks that were not played yet."""
        return sum(map(len, self.tricks.values()))

    def trick(self, api: int, frame: bytes) -> Trick | None:
        """Take the next trick for such a request."""
        waiting = self.tricks[api]
        if not waiting or waiting[0][1] not in frame:
            return None
        trick, _ = waiting.popleft()
        self.played.append((Api(api), trick))
        return trick


class _Passage:
    """One client's connection through the door."""

    def __init__(self, door: Door, client: socket.socket) -> None:
        self._door, self._client = door, client
        self._broker = socket.create_connection(("127.0.0.1", door.behind), 5)
        self._broker.settimeout(None)
        self._owed: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()

    def serve(self) -> None:
        """Hand frames on until either side closes, or a trick cuts the line."""
        back = threading.Thread(target=self._back, daemon=True)
        back.start()
        with suppress(OSError):
            self._forth()
        self._owed.put(None)
        self.cut()
        back.join(5)

    def cut(self) -> None:
        """Close both sides."""
        for end in (self._client, self._broker):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _forth(self) -> None:
        while frame := _frame(self._client):
            api, version, number = unpack(">hhi", frame[4:12])
            request = _Request(api, version, number, frame)
            trick = self._door.trick(api, frame)
            if trick == "lose":
                return
            if isinstance(trick, Code):
                self._owed.put(_Pending(refusal(request, trick)))
                continue
            self._broker.sendall(frame)
            if _answers(request):
                self._owed.put(_Pending(None, swallowed=trick == "swallow"))

    def _back(self) -> None:
        with suppress(OSError):
            while owed := self._owed.get():
                answer = owed.made or _frame(self._broker)
                if not answer or owed.swallowed:
                    break
                self._client.sendall(answer)
        self.cut()


def _answers(request: _Request) -> bool:
    """Whether a broker answers it at all: it does not where a producer wants no acknowledgement."""
    return request.api != Api.PRODUCE or bool(_read(ProduceRequest, request).acks)


def refusal(request: _Request, code: Code) -> bytes:
    """Give the answer that tells nothing but an error, of the request and of all in it."""
    api, version = request.api, request.version
    if simple := _SIMPLE.get(Api(api)):
        answer = simple[version](error_code=int(code))
    elif api == Api.TXN_OFFSET_COMMIT:
        answer = _offsets(_read(TxnOffsetCommitRequest, request), version, code)
    elif api == Api.PRODUCE:
        answer = _produced(_read(ProduceRequest, request), version, code)
    else:
        raise ValueError(f"{Api(api).name}: no such refusal is known here")
    answer.with_header(correlation_id=request.number)
    encoded: bytes = answer.encode(header=True, framed=True)
    return bytes(encoded)


def _offsets(asked: Any, version: int, code: Code) -> Any:
    kind = TxnOffsetCommitResponse
    topic = kind.TxnOffsetCommitResponseTopic
    part = topic.TxnOffsetCommitResponsePartition
    topics = [
        topic(
            name=one.name,
            partitions=[
                part(partition_index=each.partition_index, error_code=int(code))
                for each in one.partitions
            ],
        )
        for one in asked.topics
    ]
    return kind[version](topics=topics)


def _produced(asked: Any, version: int, code: Code) -> Any:
    topic = ProduceResponse.TopicProduceResponse
    part = topic.PartitionProduceResponse
    topics = [
        topic(
            name=one.name,
            partition_responses=[
                part(index=each.index, error_code=int(code), base_offset=-1)
                for each in one.partition_data
            ],
        )
        for one in asked.topic_data
    ]
    return ProduceResponse[version](responses=topics)


def _read(kind: Any, request: _Request) -> Any:
    return kind[request.version].decode(request.frame, header=True, framed=True)


def _frame(end: socket.socket) -> bytes:
    """Read one whole frame with its length; empty when the other side has gone."""
    head = _exactly(end, 4)
    if len(head) < 4:
        return b""
    body = _exactly(end, unpack(">i", head)[0])
    return pack(">i", len(body)) + body if body else b""


def _exactly(end: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        piece = end.recv(min(1 << 20, count - len(found)))
        if not piece:
            return b""
        found += piece
    return bytes(found)


@contextmanager
def crooked(behind: int, port: int | None = None) -> Iterator[Door]:
    """Open a door on `port` before the broker on port `behind`, which must advertise the door."""
    door = Door(port or free_port(), behind)
    with socket.create_server(("127.0.0.1", door.port)) as server:

        def welcome() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:  # closed: the test is over
                    return
                if door.barred:
                    client.close()
                    continue
                with suppress(OSError):
                    door.passages.append(_Passage(door, client))
                    threading.Thread(target=door.passages[-1].serve, daemon=True).start()

        thread = threading.Thread(target=welcome)
        thread.start()
        try:
            yield door
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            door.shut()
