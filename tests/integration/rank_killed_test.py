#!/usr/bin/python3
"""A rank killed with SIGKILL: RECOVERING, relaunched, resumed from its last checkpoint, SUCCEEDED; `show` names rank, host and signal."""
import os
import signal
import socket

from harness import DIGITS, SMALL, Coordinator, check, cli, cli_json, finish, scratch, wait_until

JOB = [DIGITS, "-n", "2", *SMALL, "--set", "train.max_steps=1500", "--set", "checkpoint.every_steps=50", "--set", "train.log_every_steps=50"]


def main():
    folder = scratch()
    coordinator = Coordinator(folder)
    try:
        job_id = coordinator.submit(*JOB)

        def running():
            job = coordinator.job(job_id)
            past = os.path.isdir(os.path.join(job["run_dir"], "checkpoints", "step-00000050"))
            return job if past and len(job["rank_status"]) == 2 and job["progress"] else None

        job = wait_until(running, "the job runs and has its first checkpoint", 60)
        victim = next(r for r in job["rank_status"] if r["rank"] == 1)
        os.kill(victim["pid"], signal.SIGKILL)
        code, job = coordinator.wait(job_id, 120)
        check(code == 0 and job["state"] == "SUCCEEDED", "the job ends %s: %s" % (job["state"], job["reason_text"]))
        check(job["attempt"] == 2, "in its second attempt, not %d" % job["attempt"])
        failure = job["first_failure"] or {}
        check(failure.get("rank") == 1 and failure.get("signal") == 9 and failure.get("host") == socket.gethostname(),
              "the first failure is rank 1, signal 9, this host: %s" % failure)
        states = [e["to"] for e in job["events"]]
        check("RECOVERING" in states, "the history shows RECOVERING: %s" % states)
        log = cli("logs", job_id, address=coordinator.address).stdout
        check("resum" in log.lower(), "the second attempt says that it resumes")

        # The same job undisturbed has the same final weights: nothing was lost or done twice.
        alone = cli_json("run", *JOB, "--run-dir", os.path.join(folder, "alone"), "--quiet")
        check(alone["weights_sha256"] == job["weights_sha256"], "the weights equal those of an undisturbed run")
    finally:
        coordinator.stop()
    finish(folder)


if __name__ == "__main__":
    main()
