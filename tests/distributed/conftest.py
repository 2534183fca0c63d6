"""One run of four Horovod processes whose results several tests check: starting processes takes longer than their work."""
import json
import os

import pytest

from tests.fixtures.processes import clean_environment, horovod_environment, run_processes

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "four_ranks.py")


@pytest.fixture(scope="session")
def four_ranks(needs_horovod, tmp_path_factory):
    """List by rank of the results of ``four_ranks.py``: dict from a section's name to its dict."""
    from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
    from horovod.runner.http.http_server import RendezvousServer
    server = RendezvousServer()
    port = server.start()
    server.init(get_host_assignments(parse_hosts("localhost:4"), 4))
    try:
        environments = [dict(clean_environment(), **horovod_environment(rank, 4, port)) for rank in range(4)]
        with open(PROGRAM, encoding="utf-8") as file:
            outcomes = run_processes(file.read(), environments, tmp_path_factory.mktemp("four_ranks"), 240)
    finally:
        server.stop()
    for outcome in outcomes:
        assert outcome.status == 0, "rank %d ended with %d:\n%s" % (outcome.rank, outcome.status, outcome.err[-3000:])
    return [json.loads(outcome.out) for outcome in outcomes]
