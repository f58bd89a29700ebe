/* TailLogs: log bytes from an offset, then as they are written, and one last record that says how
 * the job ended. */
#include "server/rpc/internal.h"

#include "common/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024, POLL_MS = 150 };

typedef struct tail {
    syn_stream stream; /* first */
    syn_job *job;
    bool is_launcher, follow, has_ended, is_pumping;
    uint32_t rank;
    uint64_t offset;
    uv_timer_t timer; /* always initialised */
} tail;

/* The log's files in order: one for a rank; one per attempt for the launcher, which count as one
 * long file. */
static bool file_at(const tail *t, uint32_t i, syn_str *path_out)
{
    const syn_job_record *record = syn_job_shown(t->job);
    syn_str_clear(path_out);
    if (t->is_launcher)
        syn_str_appendf(path_out, "%s/attempt-%u/launcher.log", syn_text_get(record->run_dir),
                        i + 1);
    else
        syn_str_appendf(path_out, "%s/logs/rank-%u.log", syn_text_get(record->run_dir), t->rank);
    return !path_out->failed && i < (t->is_launcher ? record->attempt : 1);
}

/* Reads at most CHUNK bytes at the offset; 0 when there are none (yet). */
static size_t read_chunk(const tail *t, char *buffer)
{
    syn_str path = {0};
    uint64_t start = 0;
    ssize_t n = 0;
    for (uint32_t i = 0; n <= 0 && file_at(t, i, &path); i++) {
        struct stat info;
        int fd = open(path.data, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
            continue;
        if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
            uint64_t end = start + (uint64_t)info.st_size;
            if (t->offset >= start && t->offset < end)
                n = pread(fd, buffer, CHUNK, (off_t)(t->offset - start));
            start = end;
        }
        (void)close(fd);
    }
    syn_str_release(&path);
    return n > 0 ? (size_t)n : 0;
}

static void send_record(tail *t, const char *bytes, size_t n, bool is_last)
{
    Syncline__V1__TailLogsResponse response = SYNCLINE__V1__TAIL_LOGS_RESPONSE__INIT;
    syn_job_state state = syn_job_shown(t->job)->state;
    response.offset = t->offset;
    response.data = (ProtobufCBinaryData){.len = n, .data = (uint8_t *)bytes};
    response.is_last = is_last;
    if (is_last && syn_job_state_is_terminal(state))
        response.final_state = (Syncline__V1__JobState)state;
    (void)syn_rpc_call_send(t->stream.call, &response.base);
    t->offset += n;
    t->stream.services->log_bytes += n;
}

static void pump(tail *t)
{
    if (t->is_pumping || t->has_ended)
        return;
    t->is_pumping = true;
    char *buffer = syn_malloc(CHUNK);
    while (buffer && syn_rpc_call_is_writable(t->stream.call)) {
        /* Asked before the reading: what an ended job has written is all there. */
        bool is_over = !t->follow || syn_job_state_is_terminal(syn_job_shown(t->job)->state);
        size_t n = read_chunk(t, buffer);
        if (n > 0) {
            send_record(t, buffer, n, false);
            continue;
        }
        if (is_over) {
            t->has_ended = true;
            send_record(t, NULL, 0, true);
            syn_rpc_call_finish(t->stream.call, SYN_OK, NULL);
        }
        break;
    }
    syn_free(buffer);
    t->is_pumping = false;
}

static void on_poll(uv_timer_t *timer)
{
    pump(timer->data);
}

void syn_tail_start(syn_rpc_call *call, const ProtobufCMessage *message, void *user)
{
    syn_services *services = user;
    const Syncline__V1__TailLogsRequest *request = (const Syncline__V1__TailLogsRequest *)message;
    syn_job *job = syn_jobs_find(services->jobs, request->job_id);
    bool has_rank = request->source_case == SYNCLINE__V1__TAIL_LOGS_REQUEST__SOURCE_RANK;
    if (!job) {
        syn_rpc_call_fail(call, SYN_FAIL(SYN_NOT_FOUND, "there is no job %.40s", request->job_id));
        return;
    }
    if (has_rank && request->rank >= syn_job_shown(job)->n_ranks) {
        syn_rpc_call_fail(call,
                          SYN_FAIL(SYN_OUT_OF_RANGE, "job %s has %u ranks, there is no rank %u",
                                   syn_job_id(job), syn_job_shown(job)->n_ranks, request->rank));
        return;
    }
    tail *t = syn_calloc(1, sizeof *t);
    if (!t || uv_timer_init(services->loop, &t->timer) != 0) {
        syn_free(t);
        syn_rpc_call_fail(call, syn_fail_memory(sizeof *t, "a log reader"));
        return;
    }
    t->stream = (syn_stream){.services = services, .call = call};
    t->job = job;
    t->is_launcher = request->source_case == SYNCLINE__V1__TAIL_LOGS_REQUEST__SOURCE_LAUNCHER &&
                     request->launcher;
    t->rank = has_rank ? request->rank : 0;
    t->offset = request->offset;
    t->follow = request->follow;
    t->timer.data = t;
    syn_rpc_call_set_data(call, t);
    syn_stream_link(&t->stream, &services->tails);
    pump(t);
    if (!t->has_ended)
        (void)uv_timer_start(&t->timer, on_poll, POLL_MS, POLL_MS);
}

void syn_tail_drain(syn_rpc_call *call, void *user)
{
    (void)user;
    tail *t = syn_rpc_call_data(call);
    if (t)
        pump(t);
}

static void free_tail(uv_handle_t *handle)
{
    syn_free(handle->data);
}

void syn_tail_end(syn_rpc_call *call, syn_status status, void *user)
{
    (void)status, (void)user;
    tail *t = syn_rpc_call_data(call);
    if (!t)
        return;
    syn_rpc_call_set_data(call, NULL);
    syn_stream_unlink(&t->stream);
    t->has_ended = true;
    uv_close((uv_handle_t *)&t->timer, free_tail);
}
