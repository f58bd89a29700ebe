#!/usr/bin/python3
"""A pool of 4 ranks and three 2-rank jobs: two side by side, the third follows, no rank restarts, each curve as the job has alone."""
import json
import os

from harness import (DIGITS, SMALL, Coordinator, Pool, check, cli, cli_json, finish, read_losses, scratch, wait_until)

STEPS = 400


def main():
    folder = scratch()
    coordinator = Coordinator(folder, "--slots", "0")
    job = [DIGITS, "-n", "2", *SMALL, "--set", "train.max_steps=%d" % STEPS, "--set", "train.log_every_steps=20"]
    early = coordinator.submit(*job, "--set", "seed=1")
    check(coordinator.job(early)["state"] == "QUEUED", "a job waits for a pool when there are no slots")

    pool = Pool(folder, 4, coordinator.address)
    try:
        ids = [early] + [coordinator.submit(*job, "--set", "seed=%d" % seed) for seed in (2, 3)]
        side_by_side = set()

        def ended():
            jobs = cli_json("list", address=coordinator.address)["jobs"]
            running = [j["job_id"] for j in jobs if j["state"] in ("STARTING", "RUNNING")]
            side_by_side.add(len(running))
            return all(j["state"] in ("SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT") for j in jobs)

        wait_until(ended, "all three jobs have ended", 240)
        jobs = [coordinator.job(i) for i in ids]
        for j in jobs:
            check(j["state"] == "SUCCEEDED", "%s is %s: %s" % (j["job_id"], j["state"], j["reason_text"]))
            check(j["attempt"] == 1, "%s took attempt %d" % (j["job_id"], j["attempt"]))
        check(2 in side_by_side, "two jobs run side by side, seen: %s" % sorted(side_by_side))
        check(3 not in side_by_side, "a third one would need ranks of the others")
        starts = sorted((j["started"], j["ended"]) for j in jobs)
        check(starts[2][0] >= min(starts[0][1], starts[1][1]), "the third starts when one of the first two has ended")

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
