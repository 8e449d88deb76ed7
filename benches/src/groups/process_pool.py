"""One sample of concurrent.futures.ProcessPoolExecutor, timed by itself.

Usage: process_pool.py start | round-trip | map SECONDS; prints the figures of the workload.
"""

import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter

WORKERS = 2


def tiny(argument):
    return argument + 1


def started():
    pool = ProcessPoolExecutor(WORKERS)
    list(pool.map(tiny, range(100)))
    return pool


def start(_seconds):
    begin = perf_counter()
    with ProcessPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(tiny, i) for i in range(WORKERS)]
        assert [future.result() for future in futures] == [1, 2]
        print((perf_counter() - begin) * 1e3)


def round_trip(seconds):
    with started() as pool:
        times = []
        begin = perf_counter()
        while perf_counter() - begin < seconds:
            submitted = perf_counter()
            assert pool.submit(tiny, 1).result() == 2
            times.append((perf_counter() - submitted) * 1e6)
        print(statistics.mean(times), statistics.median(times))


def map_items(seconds):
    with started() as pool:
        items = 0
        begin = perf_counter()
        while perf_counter() - begin < seconds:
            assert sum(pool.map(tiny, range(500))) == 500 * 501 // 2
            items += 500
        print(items / (perf_counter() - begin))


if __name__ == "__main__":
    workload = {"start": start, "round-trip": round_trip, "map": map_items}[sys.argv[1]]
    workload(float(sys.argv[2]))
