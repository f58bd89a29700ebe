/* Rows of metrics.csv and scalars of the TensorBoard file. */
#include "worker/train/metrics.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/format/tfevents.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file of half a gigabyte holds several million steps. */
static const size_t csv_limit_bytes = (size_t)1 << 29;

struct syn_metrics {
    char *path;           /* owned: of metrics.csv */
    FILE *csv;            /* owned */
    syn_tfevents *events; /* owned */
    double last_time_s;
};

static const char *const columns[] = {
#define NAME(name, tag) #name,
    SYN_METRIC_LIST(NAME)
#undef NAME
};
static const char *const tags[] = {
#define TAG(name, tag) tag,
    SYN_METRIC_LIST(TAG)
#undef TAG
};

static void append_header(syn_str *text)
{
    for (int i = 0; i < SYN_N_METRICS; i++)
        syn_str_appendf(text, "%s%s", i ? "," : "", columns[i]);
    syn_str_append(text, "\n");
}

/* The time_s cell of a row. */
static double row_time(const char *row)
{
    const char *cell = row;
    for (int i = 0; i < SYN_METRIC_time_s && cell; i++) {
        cell = strchr(cell, ',');
        cell = cell ? cell + 1 : NULL;
    }
    return cell ? strtod(cell, NULL) : 0;
}

/* Keeps whole rows up to `resume_step` of the old file in `kept`. Rows are in the order of their
 * steps. */
static void keep_rows(const char *old, int64_t resume_step, syn_str *kept, double *time_s_out)
{
    const char *line = strchr(old, '\n');
    while (line && line[1]) {
        const char *row = line + 1, *end = strchr(row, '\n');
        char *after = NULL;
        long long step = strtoll(row, &after, 10);
        if (!end || after == row || *after != ',' || step > resume_step)
            break;
        *time_s_out = row_time(row);
        syn_str_append_n(kept, row, (size_t)(end - row) + 1);
        line = end;
    }
}

/* Replaces metrics.csv by its header and the rows to keep. */
static syn_status start_csv(syn_metrics *metrics, int64_t resume_step)
{
    syn_status status = SYN_OK;
    syn_str text = {0};
    char *old = NULL;
    size_t old_size = 0;

    append_header(&text);
    if (resume_step >= 0 && syn_path_exists(metrics->path)) {
        SYN_GOTO(syn_file_read(metrics->path, csv_limit_bytes, &old, &old_size));
        keep_rows(old, resume_step, &text, &metrics->last_time_s);
    }
    if (text.failed)
        SYN_GOTO(syn_fail_memory(text.length, "metrics.csv"));
    SYN_GOTO(syn_file_write_atomic(metrics->path, text.data, text.length));
    metrics->csv = fopen(metrics->path, "ae");
    if (!metrics->csv)
        status = SYN_FAIL(SYN_UNKNOWN, "cannot open %s: %s", metrics->path, strerror(errno));
out:
    syn_free(old);
    syn_str_release(&text);
    return status;
}

syn_status syn_metrics_open(const char *run_dir, int64_t resume_step, syn_metrics **metrics_out)
{
    syn_status status = SYN_OK;
    syn_metrics *metrics = syn_calloc(1, sizeof *metrics);

    if (!metrics)
        return syn_fail_memory(sizeof *metrics, "the metrics");
    metrics->path = syn_path_join(run_dir, "metrics.csv");
    if (!metrics->path)
        SYN_GOTO(syn_fail_memory(strlen(run_dir), "a path"));
    SYN_GOTO(start_csv(metrics, resume_step));
    SYN_GOTO(syn_tfevents_open(run_dir, syn_clock_wall_ns(), &metrics->events));
    *metrics_out = metrics;
    metrics = NULL;
out:
    (void)syn_metrics_close(metrics);
    return status;
}

double syn_metrics_last_time_s(const syn_metrics *metrics)
{
    return metrics->last_time_s;
}

static syn_status fail_write(const syn_metrics *metrics)
{
    syn_status code = errno == ENOSPC || errno == EDQUOT ? SYN_RESOURCE_EXHAUSTED : SYN_UNKNOWN;
    return SYN_FAIL(code, "cannot write %s: %s", metrics->path, strerror(errno));
}

syn_status syn_metrics_add(syn_metrics *metrics, const syn_metrics_row *row, bool with_events)
{
    int64_t step = (int64_t)row->values[SYN_METRIC_step], now = syn_clock_wall_ns();
    int written = 0;

    for (int i = 0; i < SYN_N_METRICS && written >= 0; i++) {
        const char *before = i ? "," : "";
        written = row->has[i] ? fprintf(metrics->csv, "%s%.12g", before, row->values[i])
                              : fputs(before, metrics->csv);
        if (with_events && row->has[i] && tags[i])
            SYN_TRY(syn_tfevents_scalar(metrics->events, tags[i], row->values[i], step, now));
    }
    if (written < 0 || fputc('\n', metrics->csv) == EOF)
        return fail_write(metrics);
    return SYN_OK;
}

syn_status syn_metrics_flush(syn_metrics *metrics)
{
    if (fflush(metrics->csv) != 0)
        return fail_write(metrics);
    return syn_tfevents_flush(metrics->events);
}

syn_status syn_metrics_close(syn_metrics *metrics)
{
    if (!metrics)
        return SYN_OK;
    syn_status status = SYN_OK;
    if (metrics->csv && fclose(metrics->csv) != 0)
        status = fail_write(metrics);
    syn_status closed = syn_tfevents_close(metrics->events);
    if (status == SYN_OK)
        status = closed;
    syn_free(metrics->path);
    syn_free(metrics);
    return status;
}
