#!/usr/bin/python3
"""The connection between ranks and coordinator is cut, and stays away for a while: the job goes on and its outcome arrives."""
import os
import socket
import threading

from harness import DIGITS, SMALL, Coordinator, Pool, check, finish, scratch, wait_until


class Proxy:
    """Forwards TCP; `cut` ends every connection and refuses new ones until `mend`."""

    def __init__(self, target):
        host, port = target.rsplit(":", 1)
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.lock, self.open, self.is_cut, self.n_accepted = threading.Lock(), set(), False, 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            with self.lock:
                if self.is_cut:
                    client.close()
                    continue
                self.n_accepted += 1
            try:
                server = socket.create_connection(self.target)
            except OSError:
                client.close()
                continue
            with self.lock:
                self.open |= {client, server}
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        with self.lock:
            self.is_cut = True
            for end in self.open:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.open.clear()

    def mend(self):
        with self.lock:
            self.is_cut = False


def main():
    folder = scratch()
    coordinator = Coordinator(folder, "--slots", "0", listen="127.0.0.1:0")
    proxy = Proxy(coordinator.address)
    pool = Pool(folder, 2, proxy.address)
    try:
        job_id = coordinator.submit(DIGITS, "-n", "2", *SMALL, "--set", "train.max_steps=1200")
        wait_until(lambda: coordinator.job(job_id)["state"] == "RUNNING", "the job runs")
        accepted = proxy.n_accepted
        proxy.cut()
        check(coordinator.job(job_id)["state"] == "RUNNING", "a cut connection alone ends no job")
        proxy.mend()
        wait_until(lambda: proxy.n_accepted > accepted, "the ranks attach again")
        code, job = coordinator.wait(job_id, 120)
        check(code == 0 and job["attempt"] == 1, "the job ends %s in attempt %d: %s" % (job["state"], job["attempt"], job["reason_text"]))

        # Cut at the end: the outcome is told later, not lost.
        job_id = coordinator.submit(DIGITS, "-n", "2", *SMALL, "--set", "train.max_steps=300")
        wait_until(lambda: coordinator.job(job_id)["state"] == "RUNNING", "the second job runs")
        run_dir = coordinator.job(job_id)["run_dir"]
        proxy.cut()
        wait_until(lambda: os.path.exists(os.path.join(run_dir, "result.json")), "the job ends by itself meanwhile")
        proxy.mend()
        code, job = coordinator.wait(job_id, 60)
        check(code == 0 and job["metrics"].get("test_accuracy") is not None, "its outcome arrives: %s %s" % (job["state"], job["metrics"]))
    finally:
        pool.stop()
        coordinator.stop()
    finish(folder)


if __name__ == "__main__":
    main()
