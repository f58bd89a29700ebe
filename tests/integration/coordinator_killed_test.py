#!/usr/bin/python3
"""The coordinator is killed ten times while jobs are submitted and run: nothing acknowledged is lost, `list` tells the truth each time."""
import subprocess
import time

from harness import DIGITS, SMALL, Coordinator, check, cli_json, finish, scratch

KILLS = 10
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT")


def jobs_of(coordinator):
    return {j["job_id"]: j for j in cli_json("list", address=coordinator.address)["jobs"]}


def main():
    folder = scratch()
    coordinator = Coordinator(folder, "--slots", "2")
    acknowledged, ended = [], {}
    job = [DIGITS, "-n", "1", *SMALL, "--set", "train.max_steps=1500"]
    try:
        for round_number in range(KILLS):
            acknowledged.append(coordinator.submit(*job, "--set", "seed=%d" % round_number))
            time.sleep(0.15 * round_number)  # a different moment of the jobs' lives each time
            before = jobs_of(coordinator)
            coordinator.kill()
            coordinator.start()
            after = jobs_of(coordinator)
            check(set(after) == set(acknowledged), "after kill %d `list` has %s, acknowledged were %s" %
                  (round_number + 1, sorted(after), acknowledged))
            for job_id, known in before.items():
                if known["state"] in ENDED:
                    ended[job_id] = known["state"]
            for job_id, state in ended.items():
                check(after[job_id]["state"] == state, "%s had ended %s and is now %s" % (job_id, state, after[job_id]["state"]))
        for job_id in acknowledged:
            code, shown = coordinator.wait(job_id, 180)
            check(code == 0 and shown["state"] == "SUCCEEDED", "%s ends %s: %s" % (job_id, shown["state"], shown["reason_text"]))
            check(shown["attempt"] == 1, "%s ran %d times: a dead coordinator harms no running job" % (job_id, shown["attempt"]))
            check(shown["metrics"].get("test_accuracy") is not None, "%s has its metrics" % job_id)
        left = subprocess.run(["pgrep", "-f", folder], capture_output=True, text=True).stdout.split()
        check(left == [str(coordinator.process.pid)], "no process of a job is left: %s" % left)
    finally:
        coordinator.stop()
    finish(folder)


if __name__ == "__main__":
    main()
