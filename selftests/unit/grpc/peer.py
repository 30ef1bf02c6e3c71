#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An independent gRPC peer (grpcio) for test_grpc: `peer.py client SOCKET` calls our server and says "ok";
`peer.py server SOCKET` serves /test.T/{Echo,Fail,Slow} and says "ready", until its standard input ends."""
import sys
import threading
from concurrent import futures

import grpc


def raw(data):
    return data


def expect(code, call):
    try:
        call()
    except grpc.RpcError as err:
        assert err.code() == code, (err.code(), err.details(), code)
        return err
    raise AssertionError(f"no {code}")


def client(path):
    with grpc.insecure_channel(f"unix:{path}", options=[("grpc.max_receive_message_length", -1)]) as channel:
        def unary(name, **kw):
            return channel.unary_unary(f"/test.T/{name}", request_serializer=raw, response_deserializer=raw, **kw)

        for size in (0, 1, 100, 65535, 65536, 1000000):
            data = bytes(i & 255 for i in range(size))
            assert unary("Echo")(data) == data, size
        many = [unary("Later").future(b"%d" % i) for i in range(200)]
        assert [f.result() for f in many] == [b"%d" % i for i in range(200)]
        err = expect(grpc.StatusCode.NOT_FOUND, lambda: unary("Fail")(b"x"))
        assert err.details() == "no such thing: 50% or ü", err.details()
        expect(grpc.StatusCode.UNIMPLEMENTED, lambda: unary("Absent")(b"x"))
        expect(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: unary("Echo")(bytes(2 << 20)))
        expect(grpc.StatusCode.UNIMPLEMENTED,
               lambda: unary("Echo")(bytes(5000), compression=grpc.Compression.Gzip))
        expect(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: unary("Never")(b"x", timeout=0.1))
        stream = channel.unary_stream("/test.T/Count", request_serializer=raw, response_deserializer=raw)
        got = list(stream(b"x"))
        assert [len(m) for m in got] == [i * 10000 for i in range(50)], [len(m) for m in got]
        cancelled = stream(b"x")
        next(cancelled)
        cancelled.cancel()
        assert unary("Echo")(b"still there") == b"still there"
    print("ok", flush=True)


def server(path):
    stop = threading.Event()

    def handler(fn):
        return grpc.unary_unary_rpc_method_handler(fn, request_deserializer=raw, response_serializer=raw)

    def fail(request, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: 5% ü")

    def slow(request, context):
        stop.wait(20)
        return request

    serving = grpc.server(futures.ThreadPoolExecutor(4))
    serving.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.T", {
        "Echo": handler(lambda request, context: request),
        "Fail": handler(fail),
        "Slow": handler(slow),
    }),))
    assert serving.add_insecure_port(f"unix:{path}")
    serving.start()
    print("ready", flush=True)
    sys.stdin.read()
    stop.set()
    serving.stop(0)


{"client": client, "server": server}[sys.argv[1]](sys.argv[2])
