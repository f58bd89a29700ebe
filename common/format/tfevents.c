/* Scalar curves as TensorBoard reads them: TFRecord frames around Event messages. */
#include "common/format/tfevents.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <isa-l/crc.h>
#include <stdio.h>
#include <string.h>
#include <tensorflow/event.pb-c.h>
#include <unistd.h>

enum { BUFFER_BYTES = 64 * 1024, TAG_MAX = 4096 };

struct syn_tfevents {
    int fd;
    char *path;     /* owned */
    syn_str buffer; /* whole records not yet written */
    off_t written;  /* bytes of whole records in the file */
};

/* TensorFlow masks CRC-32C so that data which contain CRCs do not weaken it. isa-l leaves both
 * inversions to us. */
static uint32_t masked_crc(const void *bytes, size_t size)
{
    uint32_t crc = ~crc32_iscsi((unsigned char *)(uintptr_t)bytes, (int)size, 0xffffffffu);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static syn_status add_record(syn_tfevents *writer, const Tensorflow__Event *event)
{
    uint64_t size = tensorflow__event__get_packed_size(event);
    size_t before = writer->buffer.length;
    unsigned char *bytes = syn_malloc(size);

    if (!bytes)
        return syn_fail_memory(size, writer->path);
    (void)tensorflow__event__pack(event, bytes);
    uint32_t size_crc = masked_crc(&size, sizeof size), crc = masked_crc(bytes, size);
    syn_str_append_n(&writer->buffer, &size, sizeof size);
    syn_str_append_n(&writer->buffer, &size_crc, sizeof size_crc);
    syn_str_append_n(&writer->buffer, bytes, size);
    syn_str_append_n(&writer->buffer, &crc, sizeof crc);
    syn_free(bytes);
    if (writer->buffer.failed) {
        /* Whole records only: what was appended of this one is taken back. */
        writer->buffer.length = before;
        writer->buffer.failed = false;
        return syn_fail_memory(size, writer->path);
    }
    return writer->buffer.length >= BUFFER_BYTES ? syn_tfevents_flush(writer) : SYN_OK;
}

/* A file of our own: where the name is taken already (two runs in a second), a number is added. */
static syn_status create(const char *folder, int64_t wall_ns, syn_tfevents *writer)
{
    char host[256] = "localhost", name[320];

    if (gethostname(host, sizeof host - 1) != 0)
        (void)snprintf(host, sizeof host, "localhost");
    for (int i = 0; i < 1000; i++) {
        int n = snprintf(name, sizeof name, "events.out.tfevents.%010" PRId64 ".%s",
                         wall_ns / 1000000000, host);
        if (i > 0)
            (void)snprintf(name + n, sizeof name - (size_t)n, ".%d", i);
        syn_free(writer->path);
        writer->path = syn_path_join(folder, name);
        if (!writer->path)
            return syn_fail_memory(strlen(folder), folder);
        writer->fd = open(writer->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
        if (writer->fd >= 0)
            return SYN_OK;
        if (errno != EEXIST)
            break;
    }
    return SYN_FAIL(errno == ENOENT ? SYN_NOT_FOUND : SYN_UNKNOWN, "cannot create %s: %s",
                    writer->path, strerror(errno));
}

syn_status syn_tfevents_open(const char *folder, int64_t wall_ns, syn_tfevents **writer_out)
{
    static char version[] = "brain.Event:2";
    syn_status status = SYN_OK;
    Tensorflow__Event event = TENSORFLOW__EVENT__INIT;
    syn_tfevents *writer = syn_calloc(1, sizeof *writer);

    if (!writer)
        return syn_fail_memory(sizeof *writer, folder);
    writer->fd = -1;
    SYN_GOTO(create(folder, wall_ns, writer));
    event.wall_time = (double)wall_ns * 1e-9;
    event.what_case = TENSORFLOW__EVENT__WHAT_FILE_VERSION;
    event.file_version = version;
    SYN_GOTO(add_record(writer, &event));
    SYN_GOTO(syn_tfevents_flush(writer));
    *writer_out = writer;
    writer = NULL;
out:
    if (writer) {
        writer->buffer.length = 0;
        (void)syn_tfevents_close(writer);
    }
    return status;
}

syn_status syn_tfevents_scalar(syn_tfevents *writer, const char *tag, double value, int64_t step,
                               int64_t wall_ns)
{
    Tensorflow__Event event = TENSORFLOW__EVENT__INIT;
    Tensorflow__Summary summary = TENSORFLOW__SUMMARY__INIT;
    Tensorflow__Summary__Value entry = TENSORFLOW__SUMMARY__VALUE__INIT, *entries[] = {&entry};
    size_t length = strlen(tag);

    if (length == 0 || length > TAG_MAX || !syn_utf8_is_valid(tag, length))
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "%s: a tag is UTF-8 text of 1 to %d bytes, this one has %zu", writer->path,
                        TAG_MAX, length);
    entry.tag = (char *)(uintptr_t)tag;
    entry.value_case = TENSORFLOW__SUMMARY__VALUE__VALUE_SIMPLE_VALUE;
    entry.simple_value = (float)value;
    summary.n_value = 1;
    summary.value = entries;
    event.wall_time = (double)wall_ns * 1e-9;
    event.step = step;
    event.what_case = TENSORFLOW__EVENT__WHAT_SUMMARY;
    event.summary = &summary;
    return add_record(writer, &event);
}

syn_status syn_tfevents_flush(syn_tfevents *writer)
{
    syn_status status =
        syn_file_write_all(writer->fd, writer->path, writer->buffer.data, writer->buffer.length);
    if (status == SYN_OK)
        writer->written += (off_t)writer->buffer.length;
    else if (ftruncate(writer->fd, writer->written) != 0)
        (void)syn_fail_context(status, "the file now ends in half a record");
    syn_str_clear(
        &writer->buffer); /* records that could not be written are lost, later ones are not */
    return status;
}

syn_status syn_tfevents_close(syn_tfevents *writer)
{
    syn_status status = SYN_OK;

    if (!writer)
        return SYN_OK;
    if (writer->fd >= 0) {
        status = syn_tfevents_flush(writer);
        if (close(writer->fd) != 0 && status == SYN_OK)
            status = SYN_FAIL(SYN_UNKNOWN, "cannot close %s: %s", writer->path, strerror(errno));
    }
    syn_str_release(&writer->buffer);
    syn_free(writer->path);
    syn_free(writer);
    return status;
}
