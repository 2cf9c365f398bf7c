"""Files with bytes changed at random, through HTTP: each is a dataset or refused, and nothing of it is left.

CHAINRULE_TEST_MUTANTS=20000 sends so many; CHAINRULE_TEST_SEED draws others.
"""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import psutil
import pytest

from tests.support.mutants import mutant, originals
from tests.support.server import Server

COUNT = int(os.environ.get("CHAINRULE_TEST_MUTANTS", "30"))
SEED = int(os.environ.get("CHAINRULE_TEST_SEED", "1"))
WARM_UP = 20
AT_ONCE = 3
GROWTH_BYTES = 20 << 20
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("mutants") / "data", workers=0)
    yield server.start()
    server.close()


def test_mutants_are_read_or_refused(server: Server) -> None:
    files = originals()
    api = psutil.Process(server.process.pid)
    client = server.client()

    def send(number: int) -> tuple[int, str]:
        content = mutant(files, Random(f"{SEED} {number}"))
        answer = client.post("/v1/datasets", content=content, headers=OCTETS)
        told = answer.json()
        if answer.status_code == 201:
            assert client.delete(f"/v1/datasets/{told['id']}").status_code == 204, number
            return 201, told["status"]
        assert answer.status_code in (413, 422), (SEED, number, answer.status_code, told)
        return answer.status_code, told["errors"][0]["code"]

    for content in files:
        answer = client.post("/v1/datasets", content=content, headers=OCTETS)
        assert answer.status_code == 201, answer.text
        assert client.delete(f"/v1/datasets/{answer.json()['id']}").status_code == 204
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = Counter(pool.map(send, range(WARM_UP)))
        before = api.memory_info().rss
        found += Counter(pool.map(send, range(WARM_UP, WARM_UP + COUNT)))
    grown = api.memory_info().rss - before
    print(f"seed {SEED}, {COUNT} mutants; the API grew by {grown / 2**20:.1f} MiB")
    print(*(f"{count:6} {status} {code}" for (status, code), count in found.most_common()), sep="\n")
    assert grown <= GROWTH_BYTES
    assert list((server.data_dir / "incoming").iterdir()) == []
    assert "parsing failed unexpectedly" not in server.log.read_text()
