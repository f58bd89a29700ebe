/* Reading the store back at start, row by row. */
#include "server/store/database.h"
#include "server/store/store_internal.h"

#include "common/base/log.h"
#include "common/base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef bool (*row_fn)(sqlite3_stmt *row, const syn_store_visitor *visitor);

static char *text_of(sqlite3_stmt *row, int i)
{
    const char *text = (const char *)sqlite3_column_text(row, i);
    return text ? syn_strdup(text) : NULL;
}

static void copy_text(char *to, size_t size, sqlite3_stmt *row, int i)
{
    const char *text = (const char *)sqlite3_column_text(row, i);
    (void)snprintf(to, size, "%s", text ? text : "");
}

static double real_of(sqlite3_stmt *row, int i)
{
    return sqlite3_column_type(row, i) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(row, i);
}

static void read_column(sqlite3_stmt *row, int i, const syn_record_column *column,
                        syn_job_record *record)
{
    void *at = (char *)record + column->offset;
    sqlite3_int64 value = sqlite3_column_int64(row, i);
    switch (column->kind) {
    case SYN_COLUMN_U64:
    case SYN_COLUMN_I64:
        memcpy(at, &value, sizeof value);
        break;
    case SYN_COLUMN_U32:
        *(uint32_t *)at = (uint32_t)value;
        break;
    case SYN_COLUMN_I32:
        *(int32_t *)at = (int32_t)value;
        break;
    case SYN_COLUMN_BOOL:
        *(bool *)at = value != 0;
        break;
    case SYN_COLUMN_F64:
        *(double *)at = real_of(row, i);
        break;
    case SYN_COLUMN_TEXT:
        *(char **)at = text_of(row, i);
        break;
    }
}

static bool read_job(sqlite3_stmt *row, const syn_store_visitor *visitor)
{
    syn_job_record *record = syn_calloc(1, sizeof *record);
    if (!record)
        return false;
    for (size_t i = 0; i < syn_record_n_columns; i++)
        read_column(row, (int)i, &syn_record_columns[i], record);
    bool makes_sense = record->number > 0 && record->state > SYN_JOB_UNSPECIFIED &&
                       (unsigned)record->state < SYN_JOB_N_STATES && record->n_ranks > 0 &&
                       (unsigned)record->reason < SYN_N_REASONS;
    if (!makes_sense) {
        syn_job_record_free(record);
        return false;
    }
    return visitor->on_job(record, visitor->user);
}

static bool read_spec(sqlite3_stmt *row, const syn_store_visitor *visitor)
{
    const char *json = (const char *)sqlite3_column_text(row, 1);
    return json && visitor->on_spec((uint64_t)sqlite3_column_int64(row, 0), json, visitor->user);
}

static bool read_event(sqlite3_stmt *row, const syn_store_visitor *visitor)
{
    syn_job_event *event = syn_calloc(1, sizeof *event);
    if (!event)
        return false;
    event->sequence = (uint64_t)sqlite3_column_int64(row, 0);
    event->number = (uint64_t)sqlite3_column_int64(row, 1);
    event->time_ns = sqlite3_column_int64(row, 2);
    event->from = (syn_job_state)sqlite3_column_int(row, 3);
    event->to = (syn_job_state)sqlite3_column_int(row, 4);
    event->reason = (syn_reason)sqlite3_column_int(row, 5);
    event->attempt = (uint32_t)sqlite3_column_int64(row, 6);
    event->text = text_of(row, 7);
    return visitor->on_event(event, visitor->user);
}

static bool read_request(sqlite3_stmt *row, const syn_store_visitor *visitor)
{
    syn_store_request request = {.number = (uint64_t)sqlite3_column_int64(row, 3)};
    copy_text(request.id, sizeof request.id, row, 0);
    copy_text(request.method, sizeof request.method, row, 1);
    copy_text(request.body_sha256, sizeof request.body_sha256, row, 2);
    return visitor->on_request(&request, visitor->user);
}

static bool read_launch(sqlite3_stmt *row, const syn_store_visitor *visitor)
{
    syn_store_launch launch = {.number = (uint64_t)sqlite3_column_int64(row, 0),
                               .epoch = (uint64_t)sqlite3_column_int64(row, 1),
                               .attempt = (uint32_t)sqlite3_column_int64(row, 2),
                               .pid = sqlite3_column_int64(row, 3),
                               .start_ticks = (uint64_t)sqlite3_column_int64(row, 4)};
    return visitor->on_launch(&launch, visitor->user);
}

static bool read_outcome(sqlite3_stmt *row, const syn_store_visitor *visitor)
{
    syn_store_outcome outcome = {.number = (uint64_t)sqlite3_column_int64(row, 0),
                                 .epoch = (uint64_t)sqlite3_column_int64(row, 1),
                                 .rank = (uint32_t)sqlite3_column_int64(row, 2),
                                 .state = (syn_job_state)sqlite3_column_int(row, 3)};
    return visitor->on_outcome(&outcome, visitor->user);
}

/* Calls `on_row` for every row; rows that make no sense are named and left where they are. */
static syn_status for_each(syn_database *db, const char *what, const char *sql, row_fn on_row,
                           const syn_store_visitor *visitor)
{
    sqlite3_stmt *statement = NULL;
    syn_status status = SYN_OK;
    int code;
    if (sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL) != SQLITE_OK)
        return syn_database_fail(db, "read");
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        if (!on_row(statement, visitor))
            SYN_WARN("the job store %s has a%s %s that makes no sense (key %lld): it is left alone",
                     db->path, strchr("aeiou", what[0]) ? "n" : "", what,
                     (long long)sqlite3_column_int64(statement, 0));
    if (code != SQLITE_DONE)
        status = syn_database_fail(db, "read");
    (void)sqlite3_finalize(statement);
    return status;
}

/* Reads a job's final metrics into its record while the jobs are visited. */
typedef struct metric_reader {
    const syn_store_visitor *inner;
    sqlite3_stmt *statement;
} metric_reader;

static bool add_metrics(syn_job_record *record, void *user)
{
    metric_reader *reader = user;
    sqlite3_stmt *s = reader->statement;
    (void)sqlite3_bind_int64(s, 1, (sqlite3_int64)record->number);
    while (sqlite3_step(s) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(s, 0);
        if (name)
            (void)syn_job_record_set_metric(record, name, real_of(s, 1));
    }
    (void)sqlite3_reset(s);
    return reader->inner->on_job(record, reader->inner->user);
}

static syn_status load_jobs(syn_database *db, const syn_store_visitor *visitor)
{
    metric_reader reader = {.inner = visitor};
    syn_store_visitor wrapped = {.on_job = add_metrics, .user = &reader};
    if (sqlite3_prepare_v2(db->handle,
                           "SELECT name, value FROM metrics WHERE number = ? ORDER BY position", -1,
                           &reader.statement, NULL) != SQLITE_OK)
        return syn_database_fail(db, "read");
    syn_status status =
        for_each(db, "job", "SELECT * FROM jobs ORDER BY number", read_job, &wrapped);
    (void)sqlite3_finalize(reader.statement);
    return status;
}

#define OF_OPEN_JOBS "WHERE number IN (SELECT number FROM jobs WHERE state < 8)"

syn_status syn_store_load(syn_store *store, const syn_store_visitor *visitor)
{
    syn_database *db = &store->db;
    _Static_assert(SYN_JOB_SUCCEEDED == 8, "the first terminal state is in OF_OPEN_JOBS");
    SYN_TRY(load_jobs(db, visitor));
    SYN_TRY(for_each(db, "job description", "SELECT number, json FROM specs " OF_OPEN_JOBS,
                     read_spec, visitor));
    SYN_TRY(for_each(db, "event", "SELECT * FROM events ORDER BY sequence", read_event, visitor));
    SYN_TRY(for_each(db, "request", "SELECT * FROM requests", read_request, visitor));
    SYN_TRY(for_each(db, "launch", "SELECT * FROM launches " OF_OPEN_JOBS, read_launch, visitor));
    return for_each(db, "outcome", "SELECT * FROM outcomes " OF_OPEN_JOBS, read_outcome, visitor);
}
