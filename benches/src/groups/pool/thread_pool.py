"""One sample of concurrent.futures.ThreadPoolExecutor, timed by itself.

Usage: thread_pool.py WORKLOAD SECONDS; prints the figures of the workload.
"""

import statistics
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from time import perf_counter, sleep

WORKERS = 2


def tiny(argument):
    return argument + 1


def started():
    pool = ThreadPoolExecutor(WORKERS)
    list(pool.map(tiny, range(100)))
    return pool


def p99(times):
    return statistics.quantiles(times, n=100)[98] if len(times) > 1 else times[0]


def round_trips(pool, seconds, pause):
    times = []
    begin = perf_counter()
    while perf_counter() - begin < seconds:
        if pause:
            sleep(pause)
        submitted = perf_counter()
        assert pool.submit(tiny, 1).result() == 2
        times.append((perf_counter() - submitted) * 1e6)
    return times


def batches(pool, seconds, take):
    """Mean microseconds of 1,000 tasks that `take` gets the results of, as a sum."""
    times = []
    begin = perf_counter()
    while perf_counter() - begin < seconds:
        submitted = perf_counter()
        assert take(pool, [pool.submit(tiny, i) for i in range(1_000)]) == 500_500
        times.append((perf_counter() - submitted) * 1e6)
    return statistics.mean(times)


def in_order(_pool, futures):
    return sum(future.result() for future in futures)


def completed(_pool, futures):
    return sum(future.result() for future in as_completed(futures))


def all_of(_pool, futures):
    wait(futures)
    return in_order(_pool, futures)


def with_callbacks(_pool, futures):
    results = []
    for future in futures:
        future.add_done_callback(lambda future: results.append(future.result()))
    wait(futures)
    while len(results) < len(futures):
        sleep(0)
    return sum(results)


def main(workload, seconds):
    with started() as pool:
        match workload:
            case "outside":
                print(1e9 / batches(pool, seconds, in_order))
            case "asleep":
                times = round_trips(pool, 2 * seconds, 0.001)
                print(statistics.median(times), p99(times))
            case "awake":
                times = round_trips(pool, seconds, 0)
                print(statistics.mean(times), statistics.median(times), p99(times))
            case "fan":
                print(batches(pool, seconds, in_order))
            case "completed":
                print(batches(pool, seconds, completed))
            case "all":
                print(batches(pool, seconds, all_of))
            case "callbacks":
                print(batches(pool, seconds, with_callbacks))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
