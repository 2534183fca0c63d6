"""Ranks that do not start, or do not belong to the same run, are reported by their numbers; Gloo would abort the process."""
import concurrent.futures
import http.client
import http.server
import re
import socket
import threading

import pytest

from open_seq2seq.distributed.startup_barrier import wait_for_all_ranks
from open_seq2seq.errors import DeviceError

PROGRAM = '''
from open_seq2seq.distributed import open_group
group = open_group("cpu")
print("started", group.rank, group.size)
'''


def messages(port, ranks, sizes=(2, 2), **variables):
    """The error message of each of ``ranks``, which wait in a thread each, or "started"."""
    def wait(rank):
        environ = dict({"HOROVOD_GLOO_RENDEZVOUS_ADDR": "127.0.0.1", "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port)}, **variables)
        try:
            wait_for_all_ranks(rank, sizes[rank], environ)
        except DeviceError as error:
            return str(error)
        return "started"
    with concurrent.futures.ThreadPoolExecutor(len(ranks)) as threads:
        return list(threads.map(wait, ranks))


@pytest.mark.slow
def test_the_others_name_a_rank_that_does_not_start(rendezvous):
    found = messages(rendezvous(3), [0, 2], sizes=(3, 3, 3), HOROVOD_START_TIMEOUT="0.5")
    assert [message.split(".  ")[0][:52] for message in found] == [
        "rank %d of 3: rank 1 did not start within 0.5 s. The " % rank for rank in (0, 2)]


@pytest.mark.slow
def test_two_processes_that_claim_the_same_rank(rendezvous):
    port = rendezvous(2)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        first = thread.submit(messages, port, [1])
        store = http.client.HTTPConnection("127.0.0.1", port)
        status = None
        while status != 200:
            store.request("GET", "/startup_barrier/1")
            response = store.getresponse()
            status = response.status
            response.read()
            store.close()
        store.request("PUT", "/startup_barrier/1", body=b"2 elsewhere:77")
        assert store.getresponse().status == 200
        assert first.result()[0].startswith("rank 1 of 2: another process, elsewhere:77, has the same rank.")


def test_a_request_to_a_busy_server_is_repeated():
    """The server closes the first two connections without a response; then it responds like the rendezvous server."""
    notes, dropped = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle(self):
            if len(dropped) < 2:
                dropped.append(self.client_address)
            else:
                super().handle()

        def do_PUT(self):
            notes[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(200, b"")

        def do_GET(self):
            self._answer(200 if self.path in notes else 404, notes.get(self.path, b""))

        def _answer(self, status, content):
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            assert messages(server.server_port, [0], sizes=(1,)) == ["started"]
        finally:
            server.shutdown()
            thread.join()
    assert len(dropped) == 2 and list(notes) == ["/startup_barrier/0"]


@pytest.mark.slow
def test_no_rendezvous_server_at_the_address():
    # bound, so that no other program listens there, and not listening
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        message, = messages(port, [1])
    assert re.match("rank 1 of 2: no rendezvous server answers at 127.0.0.1:%d: .*refused" % port, message)


def test_an_interface_that_this_machine_does_not_have():
    message, = messages(1, [1], HOROVOD_GLOO_IFACE="nowhere0")
    assert re.match("rank 1 of 2: HOROVOD_GLOO_IFACE names the network interface nowhere0, but this machine has only ", message)


@pytest.mark.parametrize("seconds", ["soon", "-1", "0", "nan", "inf"])
def test_a_time_limit_that_is_not_a_number_of_seconds(seconds):
    message, = messages(1, [0], HOROVOD_START_TIMEOUT=seconds)
    assert message == 'rank 0 of 2: HOROVOD_START_TIMEOUT is "%s", expected a number of seconds above 0' % seconds


@pytest.mark.slow
def test_ranks_with_different_numbers_of_ranks(rendezvous):
    first, second = messages(rendezvous(2), [0, 1], sizes=(2, 3))
    assert re.match(r"rank 0 of 2: HOROVOD_SIZE is 2 here but 3 on rank 1 \(.+:\d+\)", first)
    assert re.match(r"rank 1 of 3: HOROVOD_SIZE is 3 here but 2 on rank 0 \(.+:\d+\)", second)


@pytest.mark.slow
def test_a_server_can_be_used_for_a_second_run(run_ranks, rendezvous):
    port = str(rendezvous(2))
    for _ in range(2):
        outcomes = run_ranks(PROGRAM, HOROVOD_GLOO_RENDEZVOUS_PORT=port)
        assert sorted(outcome.out.split() for outcome in outcomes) == [["started", "0", "2"], ["started", "1", "2"]]
