#!/usr/bin/python3
"""A pool of 4 ranks and three 2-rank jobs: two side by side, the third follows, no rank restarts, each curve as the job has alone."""
import json
import os

from harness import (DIGITS, SMALL, Coordinator, Pool, check, cli, cli_json, finish, read_losses, scratch, wait_until)

STEPS = 1200


def main():
    folder = scratch()
    coordinator = Coordinator(folder, "--slots", "0")
    job = [DIGITS, "-n", "2", *SMALL, "--set", "train.max_steps=%d" % STEPS, "--set", "train.log_every_steps=20"]
    early = coordinator.submit(*job, "--set", "seed=1")
    check(coordinator.job(early)["state"] == "QUEUED", "a job waits for a pool when there are no slots")

    pool = Pool(folder, 4, coordinator.address)
    try:
        ids = [early] + [coordinator.submit(*job, "--set", "seed=%d" % seed) for seed in (2, 3)]
        def ended():
            jobs = cli_json("list", address=coordinator.address)["jobs"]
            return all(j["state"] in ("SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT") for j in jobs)

        wait_until(ended, "all three jobs have ended", 240)
        jobs = [coordinator.job(i) for i in ids]
        for j in jobs:
            check(j["state"] == "SUCCEEDED", "%s is %s: %s" % (j["job_id"], j["state"], j["reason_text"]))
            check(j["attempt"] == 1, "%s took attempt %d" % (j["job_id"], j["attempt"]))
        # The recorded times say who ran beside whom, however late somebody looks.
        times = sorted((j["started"], j["ended"]) for j in jobs)
        at_once = [sum(start <= moment < end for start, end in times) for moment, _ in times]
        check(max(at_once) == 2, "two jobs run side by side, a third would need ranks of the others: %s" % times)
        check(times[2][0] >= min(times[0][1], times[1][1]), "the third starts when one of the first two has ended")

        nodes = cli_json("nodes", address=coordinator.address)["nodes"]
        pools = [n for n in nodes if n["kind"] == "pool"]
        check(len(pools) == 1 and pools[0]["slots"] == 4 and pools[0]["used"] == 0, "the pool is idle again: %s" % nodes)
        check(pool.process.poll() is None, "the pool still runs")
        # Alone, under plain mpirun on this machine: the same numbers, digit by digit.
        for number, j in enumerate(jobs):
            alone = os.path.join(folder, "alone-%d" % number)
            done = cli("run", *job, "--set", "seed=%d" % (number + 1), "--run-dir", alone, "--quiet")
            check(done.returncode == 0, "the job alone: %s" % done.stderr)
            pooled, single = read_losses(j["run_dir"]), read_losses(alone)
            check(len(single) >= STEPS // 20 and pooled == single, "the curve of seed %d is the one it has alone" % (number + 1))
            check(j["weights_sha256"] and j["weights_sha256"] == json.load(
                open(os.path.join(alone, "result.json")))["weights_sha256"], "and so are its weights")
    finally:
        pool.stop()
        coordinator.stop()
    finish(folder)


if __name__ == "__main__":
    main()
