#!/usr/bin/python3
"""Python's gRPC against the RPC room's server, and attacks on it: rpc_python.py PATH_OF_RPC_ECHO_SERVER."""
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

try:
    import grpc
    import grpc_tools  # noqa: F401
except ImportError as error:
    print("skipped: %s (Debian: python3-grpcio python3-grpc-tools)" % error)
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.join(HERE, "..", "..", "proto", "grpc")
with open(sys.argv[1], "rb") as program:
    IS_TSAN = b"__tsan_init" in program.read()
SCRATCH = tempfile.mkdtemp(prefix="syn-rpc-")


def make_stubs():
    """Generated under names of their own: a package `grpc` would hide Python's."""
    for source, name in [(os.path.join(HERE, "rpc_echo.proto"), "rpc_echo"),
                         (os.path.join(PROTO, "health/v1/health.proto"), "health_v1"),
                         (os.path.join(PROTO, "reflection/v1/reflection.proto"), "reflection_v1"),
                         (os.path.join(PROTO, "reflection/v1alpha/reflection.proto"), "reflection_v1alpha")]:
        shutil.copy(source, os.path.join(SCRATCH, name + ".proto"))
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I" + SCRATCH, "--python_out=" + SCRATCH,
                        "--grpc_python_out=" + SCRATCH, name + ".proto"], check=True, cwd=SCRATCH)
    sys.path.insert(0, SCRATCH)


make_stubs()
import health_v1_pb2  # noqa: E402
import health_v1_pb2_grpc  # noqa: E402
import reflection_v1_pb2  # noqa: E402
import reflection_v1_pb2_grpc  # noqa: E402
import reflection_v1alpha_pb2  # noqa: E402
import reflection_v1alpha_pb2_grpc  # noqa: E402
import rpc_echo_pb2 as pb  # noqa: E402
import rpc_echo_pb2_grpc as pb_grpc  # noqa: E402


class Server:
    """The echo server on a port of its own and a unix socket."""

    def __init__(self):
        self.path = tempfile.mktemp(prefix="s", dir=SCRATCH)
        # under AddressSanitizer freed memory must not count for long
        environment = dict(os.environ, ASAN_OPTIONS="quarantine_size_mb=1:" + os.environ.get("ASAN_OPTIONS", ""))
        self.process = subprocess.Popen([sys.argv[1], "127.0.0.1:0", "unix://" + self.path], stdout=subprocess.PIPE,
                                        text=True, env=environment)
        self.address = self.process.stdout.readline().strip()
        self.unix = self.process.stdout.readline().strip()
        assert self.address.startswith("127.0.0.1:") and self.unix == "unix://" + self.path
        self.channel = grpc.insecure_channel(self.address)
        self.echo = pb_grpc.EchoStub(self.channel)

    def resident_mib(self):
        if IS_TSAN:  # which keeps several bytes for each of the program's
            return 0
        with open("/proc/%d/status" % self.process.pid) as status:
            return [int(line.split()[1]) for line in status if line.startswith("VmRSS")][0] / 1024

    def serves(self):
        return self.echo.Unary(pb.EchoRequest(text="well"), timeout=10).text == "well"

    def stop(self):
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=20)
        assert code == 0, "the server ended with %d" % code
        assert not os.path.exists(self.path), "the unix socket is left behind"


def fails(code, function, *arguments, **keywords):
    """The details of the RpcError with this code."""
    try:
        function(*arguments, **keywords)
    except grpc.RpcError as error:
        assert error.code() == code, "%s: %s" % (error.code(), error.details())
        return error.details()
    raise AssertionError("the call succeeded, %s was expected" % code)


# ---- calls ----

def unary_calls_are_echoed(server):
    answer = server.echo.Unary(pb.EchoRequest(text="grüß", payload=b"\0\xff"))
    assert (answer.text, answer.payload, answer.deadline_left_ms) == ("grüß", b"\0\xff", -1)
    assert answer.peer.startswith("127.0.0.1:")


def unix_sockets_work(server):
    with grpc.insecure_channel("unix:" + server.path) as channel:
        answer = pb_grpc.EchoStub(channel).Unary(pb.EchoRequest(text="u"))
        assert answer.peer == "unix:pid %d uid %d" % (os.getpid(), os.getuid()), answer.peer


def big_messages_pass(server):
    payload = os.urandom(4 * 1024 * 1024 - 200)
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.address, options=options) as channel:
        echo = pb_grpc.EchoStub(channel)
        assert echo.Unary(pb.EchoRequest(payload=payload)).payload == payload
        details = fails(grpc.StatusCode.RESOURCE_EXHAUSTED, echo.Unary, pb.EchoRequest(payload=payload + b"x" * 200))
        assert "over the limit" in details, details
        assert echo.Unary(pb.EchoRequest(text="on")).text == "on"


def streams_come_whole_and_in_order(server):
    answers = list(server.echo.Stream(pb.EchoRequest(payload=b"x" * 10000, count=3000)))
    assert [a.index for a in answers] == list(range(3000))
    assert all(len(a.payload) == 10000 for a in answers)


def a_stream_may_end_in_an_error_after_its_messages(server):
    call = server.echo.Stream(pb.EchoRequest(text="enough", count=3, code=10))
    seen = 0
    try:
        for _ in call:
            seen += 1
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.ABORTED and error.details() == "enough"
    assert seen == 3


def client_streams_are_collected(server):
    answer = server.echo.Collect(pb.EchoRequest(payload=b"y" * 50000) for _ in range(200))
    assert (answer.index, answer.total_bytes) == (200, 10000000)
    assert server.echo.Collect(iter([])).index == 0


def an_answer_may_come_before_the_client_has_ended(server):
    def requests():
        yield pb.EchoRequest(payload=b"z")
        yield pb.EchoRequest(code=9, text="enough of it")
        for _ in range(10000):
            yield pb.EchoRequest(payload=b"z" * 1000)
    assert fails(grpc.StatusCode.FAILED_PRECONDITION, server.echo.Collect, requests()) == "enough of it"


def both_sides_talk(server):
    ready = threading.Semaphore(1)

    def requests():
        for i in range(50):
            ready.acquire()
            yield pb.EchoRequest(text=str(i))
    seen = []
    for answer in server.echo.Talk(requests()):
        seen.append(answer.text)
        ready.release()
    assert seen == [str(i) for i in range(50)]


def status_texts_survive(server):
    for text in ["100% plain", "zwei\nZeilen\tund ein %25", "日本語 \x7f ~", "", "x" * 3000]:
        call = server.echo.Unary.future(pb.EchoRequest(code=5, text=text))
        assert call.code() == grpc.StatusCode.NOT_FOUND
        assert call.details() == text, repr(call.details())
    for code in grpc.StatusCode:
        if code.value[0]:
            fails(code, server.echo.Unary, pb.EchoRequest(code=code.value[0], text="t"))


def unknown_methods_are_unimplemented(server):
    for path in ["/syncline.test.Echo/None", "/no.Service/M", "/"]:
        call = server.channel.unary_unary(path, request_serializer=lambda r: r, response_deserializer=lambda r: r)
        fails(grpc.StatusCode.UNIMPLEMENTED, call, b"")


def deadlines_are_seen_and_kept(server):
    answer = server.echo.Unary(pb.EchoRequest(), timeout=30)
    assert 20000 < answer.deadline_left_ms <= 31000, answer.deadline_left_ms  # gRPC rounds up what it sends
    start = time.monotonic()
    fails(grpc.StatusCode.DEADLINE_EXCEEDED, server.echo.Unary, pb.EchoRequest(delay_ms=-1), timeout=0.2)
    assert time.monotonic() - start < 5
    fails(grpc.StatusCode.DEADLINE_EXCEEDED, list, server.echo.Stream(pb.EchoRequest(payload=b"x"), timeout=0.2))


def until(condition):
    for _ in range(400):
        if condition():
            return
        time.sleep(0.025)
    raise AssertionError("it did not come about within 10 s")


def cancellation_reaches_the_server(server):
    before = server.echo.Unary(pb.EchoRequest()).n_cancelled
    calls = [server.echo.Unary.future(pb.EchoRequest(delay_ms=-1)) for _ in range(5)]
    stream = server.echo.Stream(pb.EchoRequest(payload=b"x" * 100))
    next(stream)
    for call in calls:
        call.cancel()
    stream.cancel()
    until(lambda: server.echo.Unary(pb.EchoRequest()).n_cancelled >= before + 6)


def many_calls_at_once_all_come_back(server):
    failures = []

    def work(number):
        try:
            with grpc.insecure_channel(server.address, options=[("test.number", number)]) as channel:
                echo = pb_grpc.EchoStub(channel)
                calls = [echo.Unary.future(pb.EchoRequest(text=str(i), delay_ms=i % 3)) for i in range(300)]
                for i, call in enumerate(calls):
                    assert call.result().text == str(i)
        except Exception as error:  # told below
            failures.append(error)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


def messages_that_mean_harm_are_refused(server):
    raw = server.channel.unary_unary("/syncline.test.Echo/Unary", request_serializer=lambda r: r,
                                     response_deserializer=lambda r: r)
    bombs = {
        "nested": (grpc.StatusCode.INVALID_ARGUMENT, nest(3000)),
        "not UTF-8": (grpc.StatusCode.INVALID_ARGUMENT, b"\x0a\x02\xc3\x28"),
        "NUL": (grpc.StatusCode.INVALID_ARGUMENT, b"\x0a\x03a\0b"),
        "cut": (grpc.StatusCode.INVALID_ARGUMENT, b"\x0a\x05ab"),
        "group": (grpc.StatusCode.INVALID_ARGUMENT, b"\x0b\x0c"),
        "swelling": (grpc.StatusCode.RESOURCE_EXHAUSTED, b"\x3a\x00" * 1000000),
    }
    for code, message in bombs.values():
        fails(code, raw, message)
    assert raw(b"") is not None


def nest(depth):
    """EchoRequest.nest = 6 holding `depth` Nests inside each other."""
    def length(n):
        out = b""
        while True:
            out += bytes([n & 0x7f | (0x80 if n > 0x7f else 0)])
            n >>= 7
            if not n:
                return out
    inner = b""
    for _ in range(depth):
        inner = b"\x0a" + length(len(inner)) + inner
    return b"\x32" + length(len(inner)) + inner


# ---- health and reflection ----

def health_is_told(server):
    stub = health_v1_pb2_grpc.HealthStub(server.channel)
    for service in ["", "syncline.test.Echo", "grpc.health.v1.Health"]:
        assert stub.Check(health_v1_pb2.HealthCheckRequest(service=service)).status == 1
    fails(grpc.StatusCode.NOT_FOUND, stub.Check, health_v1_pb2.HealthCheckRequest(service="no.Such"))
    watch = stub.Watch(health_v1_pb2.HealthCheckRequest())
    assert next(watch).status == 1
    watch.cancel()


def reflection_describes_the_services(server):
    from google.protobuf import descriptor_pb2, descriptor_pool
    for pb2, pb2_grpc in [(reflection_v1_pb2, reflection_v1_pb2_grpc),
                          (reflection_v1alpha_pb2, reflection_v1alpha_pb2_grpc)]:
        stub = pb2_grpc.ServerReflectionStub(server.channel)
        requests = [pb2.ServerReflectionRequest(list_services="*"),
                    pb2.ServerReflectionRequest(file_containing_symbol="syncline.test.Echo"),
                    pb2.ServerReflectionRequest(file_containing_symbol="syncline.v1.Jobs"),
                    pb2.ServerReflectionRequest(file_by_filename="no.proto")]
        services, echo, jobs, none = list(stub.ServerReflectionInfo(iter(requests), timeout=10))
        names = [s.name for s in services.list_services_response.service]
        assert "syncline.test.Echo" in names and "grpc.health.v1.Health" in names, names
        assert none.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
        pool = descriptor_pool.DescriptorPool()
        for answer in [echo, jobs]:
            for raw in reversed(answer.file_descriptor_response.file_descriptor_proto):
                pool.Add(descriptor_pb2.FileDescriptorProto.FromString(raw))
        method = pool.FindServiceByName("syncline.test.Echo").FindMethodByName("Talk")
        assert method.input_type.full_name == "syncline.test.EchoRequest"
        assert pool.FindServiceByName("syncline.v1.Jobs").FindMethodByName("SubmitJob") is not None


# ---- attacks ----

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, WINDOW, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def headers(stream, path=b"/syncline.test.Echo/Stream", content_type=b"application/grpc", extra=b"", end=False):
    block = (literal(b":method", b"POST") + literal(b":scheme", b"http") + literal(b":path", path) +
             literal(b":authority", b"x") + literal(b"content-type", content_type) + literal(b"te", b"trailers") + extra)
    return frame(HEADERS, 0x5 if end else 0x4, stream, block)


class Attacker:
    def __init__(self, server, settings=b""):
        host, port = server.address.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.sent = 0
        if settings is not None:
            self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        """Whether the server still takes it."""
        try:
            self.socket.sendall(data)
            self.sent += len(data)
            return True
        except OSError:
            return False

    def is_dropped(self):
        """Whether the server hangs up; reads all it says."""
        try:
            while self.socket.recv(65536):
                pass
            return True
        except socket.timeout:
            return False
        except OSError:
            return True


def garbage_is_dropped(server):
    for data in [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", os.urandom(10000), PREFACE + os.urandom(5000)]:
        attacker = Attacker(server, None)
        attacker.send(data)
        assert attacker.is_dropped()


def cut_frames_harm_nobody(server):
    whole = PREFACE + frame(SETTINGS, 0, 0) + headers(1) + frame(DATA, 0, 1, b"\0\0\0\0\x05ab")
    for n in range(0, len(whole), 7):
        attacker = Attacker(server, None)
        attacker.send(whole[:n])
        attacker.socket.close()


def a_rapid_reset_is_dropped(server):
    attacker = Attacker(server)
    for round in range(200):
        burst = b"".join(headers(2 * (round * 100 + i) + 1) + frame(RST, 0, 2 * (round * 100 + i) + 1, struct.pack(">I", 8))
                         for i in range(100))
        if not attacker.send(burst):
            break
    assert attacker.is_dropped()
    assert round < 199, "20000 resets were taken"


def floods_are_dropped(server):
    for flood in [frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0), frame(DATA, 0, 1), frame(WINDOW, 0, 0, b"\0\0\0\1"),
                  frame(PRIORITY, 0, 1, b"\0\0\0\3\x10")]:
        attacker = Attacker(server)
        attacker.send(headers(1))
        for _ in range(100):
            if not attacker.send(flood * 2000):
                break
        assert attacker.is_dropped(), flood


def header_bombs_are_refused(server):
    attacker = Attacker(server)
    attacker.send(headers(1, extra=literal(b"x", b"v" * 120) * 119))  # over 16 KiB with overhead
    attacker.send(frame(HEADERS, 0, 3, b""))  # and one without end
    for _ in range(20):
        if not attacker.send(frame(CONTINUATION, 0, 3, literal(b"y", b"z"))):
            break
    assert attacker.is_dropped()
    attacker = Attacker(server)  # one entry in the table, named ever again by a byte
    attacker.send(frame(HEADERS, 0, 1, b"\x40\x01a\x7f\x81\x1e" + b"v" * 4000 + b"\xbe" * 12000))
    for _ in range(7):
        attacker.send(frame(CONTINUATION, 0, 1, b"\xbe" * 16384))
    attacker.send(frame(CONTINUATION, 4, 1, b"\xbe" * 16384))
    assert server.serves()


def unfinished_messages_cost_little(server):
    before = server.resident_mib()
    attackers = []
    for _ in range(20):
        attacker = Attacker(server)
        for stream in range(1, 200, 2):
            attacker.send(headers(stream, path=b"/syncline.test.Echo/Unary") +
                          frame(DATA, 0, stream, b"\0\0\x3f\xff\xff" + b"x"))  # 4 MiB announced, a byte sent
        attackers.append(attacker)
    assert server.serves()
    grown = server.resident_mib() - before
    assert grown < 40, "2000 unfinished messages cost %.0f MiB" % grown
    for attacker in attackers:
        attacker.socket.close()


def readers_that_read_nothing_cost_little(server):
    before = server.resident_mib()
    message = pb.EchoRequest(payload=b"p" * 50000).SerializeToString()
    body = b"\0" + struct.pack(">I", len(message)) + message
    attackers = []
    for _ in range(5):
        attacker = Attacker(server, struct.pack(">HI", 4, 0))  # streams start with a window of nothing
        attacker.send(frame(WINDOW, 0, 0, struct.pack(">I", 1 << 24)))
        for stream in range(1, 200, 2):
            chunks = [body[i:i + 16000] for i in range(0, len(body), 16000)]
            attacker.send(headers(stream) + b"".join(frame(DATA, i == len(chunks) - 1, stream, c) for i, c in enumerate(chunks)))
        attackers.append(attacker)
    assert server.serves()
    grown = server.resident_mib() - before
    assert grown < 100, "500 endless streams that nobody reads cost %.0f MiB" % grown
    for attacker in attackers:
        attacker.socket.close()


def half_read_streams_cost_little(server):
    before = server.resident_mib()
    calls = [server.echo.Stream(pb.EchoRequest(payload=b"p" * 100000), timeout=60) for _ in range(50)]
    for call in calls:
        assert len(next(call).payload) == 100000  # none starves because the others are not read
    assert server.serves()
    grown = server.resident_mib() - before
    assert grown < 60, "50 endless streams that nobody reads cost %.0f MiB" % grown
    for call in calls:
        call.cancel()


def too_many_streams_are_refused(server):
    attacker = Attacker(server)
    before = server.echo.Unary(pb.EchoRequest()).n_ended
    for stream in range(1, 1000, 2):
        attacker.send(headers(stream, path=b"/syncline.test.Echo/Talk"))
    refused, reader = 0, attacker.socket.makefile("rb")
    while refused < 400:
        head = reader.read(9)
        assert len(head) == 9, "hung up after %d refusals" % refused
        payload = reader.read(struct.unpack(">I", b"\0" + head[:3])[0])
        refused += head[3] == RST and struct.unpack(">I", payload)[0] == 7  # REFUSED_STREAM
    reader.close()
    attacker.socket.close()
    until(lambda: server.echo.Unary(pb.EchoRequest()).n_ended >= before + 100)


# ---- the end ----

def draining_lets_calls_end_and_tells_clients(_):
    server = Server()
    slow = server.echo.Unary.future(pb.EchoRequest(text="slow", delay_ms=700))
    watch = health_v1_pb2_grpc.HealthStub(server.channel).Watch(health_v1_pb2.HealthCheckRequest())
    assert next(watch).status == 1
    server.serves()
    server.process.send_signal(signal.SIGTERM)
    assert next(watch).status == 2  # NOT_SERVING
    assert slow.result(timeout=10).text == "slow"
    assert server.process.wait(timeout=10) == 0
    fails(grpc.StatusCode.UNAVAILABLE, server.echo.Unary, pb.EchoRequest(), timeout=5)
    server.channel.close()


def what_hangs_is_ended_after_the_grace(_):
    server = Server()
    hanging = server.echo.Unary.future(pb.EchoRequest(delay_ms=-1))
    server.serves()
    server.process.send_signal(signal.SIGTERM)
    assert hanging.exception(timeout=15).code() == grpc.StatusCode.UNAVAILABLE
    assert server.process.wait(timeout=10) == 0
    server.channel.close()


def a_port_in_use_is_one_sentence(server):
    for address in [server.address, server.unix, "0.0.0.0:0"]:
        result = subprocess.run([sys.argv[1], address], capture_output=True, text=True, timeout=20)
        assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
        assert "cannot listen on " + address in result.stderr, result.stderr


def a_killed_servers_socket_is_taken_over(_):
    first = Server()
    first.process.kill()
    first.process.wait()
    first.channel.close()
    assert os.path.exists(first.path)
    second = subprocess.Popen([sys.argv[1], "unix://" + first.path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert second.stdout.readline().strip() == "unix://" + first.path
    second.terminate()
    assert second.wait(timeout=10) == 0


TESTS = [
    unary_calls_are_echoed, unix_sockets_work, big_messages_pass, streams_come_whole_and_in_order,
    a_stream_may_end_in_an_error_after_its_messages, client_streams_are_collected,
    an_answer_may_come_before_the_client_has_ended, both_sides_talk, status_texts_survive, unknown_methods_are_unimplemented,
    deadlines_are_seen_and_kept, cancellation_reaches_the_server, many_calls_at_once_all_come_back,
    messages_that_mean_harm_are_refused, health_is_told, reflection_describes_the_services,
    garbage_is_dropped, cut_frames_harm_nobody, a_rapid_reset_is_dropped, floods_are_dropped, header_bombs_are_refused,
    unfinished_messages_cost_little, readers_that_read_nothing_cost_little, half_read_streams_cost_little,
    too_many_streams_are_refused, draining_lets_calls_end_and_tells_clients, what_hangs_is_ended_after_the_grace,
    a_port_in_use_is_one_sentence, a_killed_servers_socket_is_taken_over,
]


def main():
    failed = 0
    server = Server()
    try:
        for test in TESTS:
            start = time.monotonic()
            try:
                test(server)
                assert server.serves()
                print("ok      %-55s %6.2f s" % (test.__name__, time.monotonic() - start), flush=True)
            except Exception:
                failed += 1
                print("FAILED  %s" % test.__name__, flush=True)
                traceback.print_exc()
                if server.process.poll() is not None:
                    print("the server has ended with %s" % server.process.returncode)
                    server = Server()
        server.stop()
    finally:
        if server.process.poll() is None:
            server.process.kill()
        shutil.rmtree(SCRATCH, ignore_errors=True)
    print("%d of %d failed" % (failed, len(TESTS)) if failed else "all %d passed" % len(TESTS))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
