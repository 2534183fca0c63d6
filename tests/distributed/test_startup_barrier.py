"""Processes that do not all come, or do not belong together, are told so by name instead of being aborted."""
import concurrent.futures
import http.client
import http.server
import re
import socket
import threading

import pytest

from open_seq2seq.distributed.startup_barrier import answer_roll_call
from open_seq2seq.errors import DeviceError

MEET = '''
import sys
from open_seq2seq.distributed import open_group
from open_seq2seq.errors import DeviceError
try:
    group = open_group("cpu")
    print("met", group.rank, group.size)
except DeviceError as error:
    print(error)
    sys.exit(error.exit_status)
'''


def answers(port, ranks, size=2, **variables):
    """What each of ``ranks``, a thread each, gets from the roll call: its error's text, or "met"."""
    def answer(rank):
        environ = dict({"HOROVOD_GLOO_RENDEZVOUS_ADDR": "127.0.0.1", "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port)}, **variables)
        try:
            answer_roll_call(rank, size, environ)
        except DeviceError as error:
            return str(error)
        return "met"
    with concurrent.futures.ThreadPoolExecutor(len(ranks)) as threads:
        return list(threads.map(answer, ranks))


@pytest.mark.slow
def test_a_rank_that_never_comes_is_named_by_the_others(rendezvous):
    for rank, answer in zip([0, 2], answers(rendezvous(3), [0, 2], size=3, HOROVOD_START_TIMEOUT="3")):
        assert answer.startswith("rank %d of 3: rank 1 did not start within 3 s." % rank)


@pytest.mark.slow
def test_two_processes_that_claim_the_same_rank(rendezvous):
    port = rendezvous(2)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        first = thread.submit(answers, port, [1])
        store = http.client.HTTPConnection("127.0.0.1", port)
        status = None
        while status != 200:
            store.request("GET", "/roll_call/1")
            answer = store.getresponse()
            status = answer.status
            answer.read()
            store.close()
        store.request("PUT", "/roll_call/1", body=b"2 elsewhere:77")
        assert store.getresponse().status == 200
        assert first.result()[0].startswith("rank 1 of 2: another process, elsewhere:77, has the same rank.")


@pytest.mark.slow
def test_no_rendezvous_server_at_the_address(run_ranks):
    # bound, so that nobody else listens there, and not listening
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        outcome, = run_ranks(MEET, started=[1], expect_success=False, HOROVOD_GLOO_RENDEZVOUS_PORT=str(port))
    assert outcome.status == 4, outcome.err
    assert re.match("rank 1 of 2: no rendezvous server answers at 127.0.0.1:%d: .*refused" % port, outcome.out)


def test_a_server_that_is_busy_is_asked_again():
    """The first two connections are dropped without an answer; then it answers as the rendezvous server does."""
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
            assert answers(server.server_port, [0], size=1) == ["met"]
        finally:
            server.shutdown()
            thread.join()
    assert len(dropped) == 2 and list(notes) == ["/roll_call/0"]


@pytest.mark.slow
def test_an_interface_that_this_machine_lacks(run_ranks):
    for outcome in run_ranks(MEET, expect_success=False, HOROVOD_GLOO_IFACE="nowhere0"):
        assert outcome.status == 4, outcome.err
        assert re.match("rank %d of 2: HOROVOD_GLOO_IFACE names the network interface nowhere0; this machine has .*lo"
                        % outcome.rank, outcome.out)


@pytest.mark.slow
def test_ranks_that_were_told_different_numbers_of_ranks(run_ranks):
    snippet = 'import os\nos.environ["HOROVOD_SIZE"] = str(2 + int(os.environ["HOROVOD_RANK"]))\n' + MEET
    outcomes = run_ranks(snippet, expect_success=False)
    assert [outcome.status for outcome in outcomes] == [4, 4], outcomes
    assert re.match(r"rank 0 of 2: HOROVOD_SIZE is 2 here but 3 on rank 1 \(.+:\d+\)", outcomes[0].out)
    assert re.match(r"rank 1 of 3: HOROVOD_SIZE is 3 here but 2 on rank 0 \(.+:\d+\)", outcomes[1].out)


@pytest.mark.slow
def test_a_server_can_be_used_for_a_second_run(run_ranks, rendezvous, tmp_path):
    port = str(rendezvous(2))
    for _ in range(2):
        outcomes = run_ranks(MEET, HOROVOD_GLOO_RENDEZVOUS_PORT=port)
        assert sorted(outcome.out.split() for outcome in outcomes) == [["met", "0", "2"], ["met", "1", "2"]]
