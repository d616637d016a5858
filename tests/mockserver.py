"""The child process of `tests.mockcluster`: librdkafka's mock, told what to do line by line.

A line in is JSON, `["broker_set_down", 1]`; a line out is `{"result": ...}` or `{"error": code}`,
the first of them, unasked, the addresses of the brokers.
"""

import ctypes
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from ctypes import POINTER, byref, c_char_p, c_int, c_int16, c_int32, c_int64, c_size_t, c_void_p
from importlib.metadata import files
from typing import Any

_VERBS: dict[str, Sequence[type[Any]]] = {  # those that answer with an error code
    "topic_create": (c_char_p, c_int, c_int),
    "broker_set_down": (c_int32,),
    "broker_set_up": (c_int32,),
    "broker_set_rtt": (c_int32, c_int),
    "partition_set_leader": (c_char_p, c_int32, c_int32),
    "partition_delete_records": (c_char_p, c_int32, c_int64),
    "coordinator_set": (c_char_p, c_char_p, c_int32),
}


def _library() -> ctypes.CDLL:
    """Load the library that confluent-kafka's wheel carries."""
    import confluent_kafka  # noqa: F401, PLC0415 - loads what the library itself stands on

    found = [one for one in files("confluent-kafka") or () if one.match("librdkafka-*.so*")]
    return ctypes.CDLL(str(found[0].locate()))


class Server:
    """A cluster and its verbs.

    Args:
        brokers: how many.
    """

    def __init__(self, brokers: int) -> None:
        self._c = _library()
        make = self._function("rd_kafka_new", c_void_p, c_int, c_void_p, c_char_p, c_size_t)
        client = make(0, self._quiet(), ctypes.create_string_buffer(512), 512)
        cluster = self._function("rd_kafka_mock_cluster_new", c_void_p, c_void_p, c_int)
        self._cluster = cluster(client, brokers)
        self._mock("group_initial_rebalance_delay_ms", None, c_int32)(0)
        self._mock("start_request_tracking", None)()

    def _quiet(self) -> Any:
        """Settings of the client that a cluster hangs from: it connects nowhere, and says so."""
        conf = self._function("rd_kafka_conf_new", c_void_p)()
        words = (c_void_p, c_char_p, c_char_p, c_char_p, c_size_t)
        self._function("rd_kafka_conf_set", c_int, *words)(conf, b"log_level", b"3", None, 0)
        return conf

    def bootstrap(self) -> str:
        """Give the brokers' addresses."""
        text: bytes = self._mock("cluster_bootstraps", c_char_p)()
        return text.decode()

    def obey(self, verb: str, *words: Any) -> dict[str, Any]:
        """Do it and give the answer."""
        if verb == "errors":
            return self._errors(*words)
        if verb == "requests":
            return {"result": self._requests()}
        if verb == "clear_request_errors":
            self._mock(verb, None, c_int16)(*words)
            return {"result": None}
        raw = [word.encode() if isinstance(word, str) else word for word in words]
        code = self._mock(verb, c_int, *_VERBS[verb])(*raw)
        return {"error": code} if code else {"result": None}

    def _errors(self, api: int, codes: Sequence[int], broker: int | None) -> dict[str, Any]:
        if broker is not None:  # pairs of a code and a delay
            fixed = (c_int32, c_int16, c_size_t)
            push = self._mock("broker_push_request_error_rtts", c_int, *fixed)
            pairs = [c_int(number) for code in codes for number in (code, 0)]
            return {"result": push(broker, api, len(codes), *pairs)}
        push = self._mock("push_request_errors_array", None, c_int16, c_size_t, POINTER(c_int))
        push(api, len(codes), (c_int * len(codes))(*codes))
        return {"result": None}

    def _requests(self) -> dict[int, int]:
        count = c_size_t()
        found = self._mock("get_requests", POINTER(c_void_p), POINTER(c_size_t))(byref(count))
        kind = self._function("rd_kafka_mock_request_api_key", c_int16, c_void_p)
        kinds = Counter(int(kind(found[at])) for at in range(count.value))
        free = self._function(
            "rd_kafka_mock_request_destroy_array", None, POINTER(c_void_p), c_size_t
        )
        free(found, count)
        self._mock("clear_requests", None)()
        return dict(kinds)

    def _mock(self, name: str, result: Any, *words: Any) -> Callable[..., Any]:
        function = self._function(f"rd_kafka_mock_{name}", result, c_void_p, *words)
        return lambda *given: function(self._cluster, *given)

    def _function(self, name: str, result: Any, *words: Any) -> Any:
        function = getattr(self._c, name)
        function.restype, function.argtypes = result, words
        return function


def main() -> None:
    """Serve until standard input ends."""
    server = Server(int(sys.argv[1]))
    answer: dict[str, Any] = {"result": server.bootstrap()}
    _say(answer)
    for line in sys.stdin:
        _say(server.obey(*json.loads(line)))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
