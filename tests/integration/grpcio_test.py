#!/usr/bin/python3
"""Another language's gRPC client: finds the services by reflection, submits, watches, reads logs, cancels."""
import os
import subprocess
import sys
import uuid

from harness import DIGITS, SOURCE, Coordinator, check, finish, scratch, skip

try:
    import grpc
    from google.protobuf import descriptor_pb2
    import grpc_tools  # noqa: F401
except ImportError as error:
    skip("%s (Debian: python3-grpcio python3-grpc-tools)" % error)


def make_stubs(folder):
    proto = os.path.join(SOURCE, "proto")
    files = [os.path.relpath(os.path.join(where, name), proto) for where, _, names in os.walk(proto) for name in names
             if name.endswith(".proto")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I" + proto, "--python_out=" + folder,
                    "--grpc_python_out=" + folder, *files], check=True)
    # Generated packages must not hide Python's own `grpc`: import ours by path.
    sys.path.insert(0, folder)


def reflect(channel, service_name):
    """Names of the services, and the files that define one of them, by server reflection."""
    import importlib.util
    path = os.path.join(sys.path[0], "grpc", "reflection", "v1alpha", "reflection_pb2.py")
    spec = importlib.util.spec_from_file_location("reflection_pb2", path)
    pb = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pb)
    call = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                 request_serializer=pb.ServerReflectionRequest.SerializeToString,
                                 response_deserializer=pb.ServerReflectionResponse.FromString)
    requests = [pb.ServerReflectionRequest(list_services=""), pb.ServerReflectionRequest(file_containing_symbol=service_name)]
    listed, described = list(call(iter(requests), timeout=10))
    files = [descriptor_pb2.FileDescriptorProto.FromString(raw) for raw in described.file_descriptor_response.file_descriptor_proto]
    return {s.name for s in listed.list_services_response.service}, files


def main():
    folder = scratch()
    stubs = os.path.join(folder, "stubs")
    os.mkdir(stubs)
    coordinator = Coordinator(folder, listen="127.0.0.1:0")
    try:
        make_stubs(stubs)
        from syncline.v1 import job_pb2, jobs_pb2, jobs_pb2_grpc
        channel = grpc.insecure_channel(coordinator.address)
        names, files = reflect(channel, "syncline.v1.Jobs")
        check({"syncline.v1.Jobs", "syncline.v1.Workers", "syncline.v1.Cluster", "grpc.health.v1.Health"} <= names,
              "reflection lists the services: %s" % sorted(names))
        check(any(s.name == "Jobs" for f in files for s in f.service), "and gives the file that defines Jobs")

        jobs = jobs_pb2_grpc.JobsStub(channel)
        request = jobs_pb2.SubmitJobRequest(
            request_id=str(uuid.uuid4()), job_file=open(DIGITS, "rb").read(), file_name=b"digits.yaml", n_ranks=1,
            overrides=[b"train.max_steps=40", b"train.epochs=0", b"data.n_train=1000", b"data.n_test=200"])
        job = jobs.SubmitJob(request, timeout=10).job
        again = jobs.SubmitJob(request, timeout=10).job
        check(again.job_id == job.job_id, "the same request makes no second job")
        changed = jobs_pb2.SubmitJobRequest()
        changed.CopyFrom(request)
        changed.n_ranks = 2
        try:
            jobs.SubmitJob(changed, timeout=10)
            check(False, "the same request_id with another body is refused")
        except grpc.RpcError as error:
            check(error.code() == grpc.StatusCode.ALREADY_EXISTS, "refused with %s" % error.code())

        states = [r.event.to for r in jobs.WatchJobs(jobs_pb2.WatchJobsRequest(job_id=job.job_id), timeout=60) if r.HasField("event")]
        check(states[0] == job_pb2.JOB_STATE_QUEUED and states[-1] == job_pb2.JOB_STATE_SUCCEEDED, "watched states: %s" % states)
        records = list(jobs.TailLogs(jobs_pb2.TailLogsRequest(job_id=job.job_id, rank=0, follow=True), timeout=20))
        check(records and records[-1].is_last and records[-1].final_state == job_pb2.JOB_STATE_SUCCEEDED, "a followed log ends with the state")
        check(sum(len(r.data) for r in records) > 0, "and has text")

        request.request_id = str(uuid.uuid4())
        request.overrides.append(b"train.max_steps=1000000")
        long_job = jobs.SubmitJob(request, timeout=10).job
        seen = []
        for record in jobs.WatchJobs(jobs_pb2.WatchJobsRequest(job_id=long_job.job_id, progress_interval_ms=100), timeout=60):
            if record.HasField("event"):
                seen.append(record.event.to)
            if record.job.state == job_pb2.JOB_STATE_RUNNING and record.job.progress.step > 0 and len(seen) < 100:
                jobs.CancelJob(jobs_pb2.CancelJobRequest(request_id=str(uuid.uuid4()), job_id=long_job.job_id), timeout=10)
                seen += [None] * 100
        check(seen[-1] == job_pb2.JOB_STATE_CANCELLED, "cancelled: %s" % [s for s in seen if s])

        for bad, code in ((jobs_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), job_file=b"modle: 3\n"), grpc.StatusCode.INVALID_ARGUMENT),
                          (jobs_pb2.SubmitJobRequest(), grpc.StatusCode.INVALID_ARGUMENT)):
            try:
                jobs.SubmitJob(bad, timeout=10)
                check(False, "a bad job is refused")
            except grpc.RpcError as error:
                check(error.code() == code, "%s: %s" % (error.code(), error.details()))
        try:
            jobs.GetJob(jobs_pb2.GetJobRequest(job_id="j-999999"), timeout=10)
            check(False, "an unknown job is NOT_FOUND")
        except grpc.RpcError as error:
            check(error.code() == grpc.StatusCode.NOT_FOUND, "unknown job: %s" % error.code())
    finally:
        coordinator.stop()
    finish(folder)


if __name__ == "__main__":
    main()
