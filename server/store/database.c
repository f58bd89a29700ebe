/* Opening the database, its schema, and changes as statements. */
#include "server/store/database.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
    [SYN_COLUMN_U64] = "INTEGER", [SYN_COLUMN_I64] = "INTEGER",  [SYN_COLUMN_U32] = "INTEGER",
    [SYN_COLUMN_I32] = "INTEGER", [SYN_COLUMN_BOOL] = "INTEGER", [SYN_COLUMN_F64] = "REAL",
    [SYN_COLUMN_TEXT] = "TEXT",
};

static const char *const schema =
    "CREATE TABLE metrics(number INTEGER, position INTEGER, name TEXT, value REAL,"
    " PRIMARY KEY(number, position)) WITHOUT ROWID;"
    "CREATE TABLE specs(number INTEGER PRIMARY KEY, json TEXT);"
    "CREATE TABLE events(sequence INTEGER PRIMARY KEY, number INTEGER, time_ns INTEGER,"
    " from_state INTEGER, to_state INTEGER, reason INTEGER, attempt INTEGER, text TEXT);"
    "CREATE TABLE requests(id TEXT PRIMARY KEY, method TEXT, body_sha256 TEXT, number INTEGER)"
    " WITHOUT ROWID;"
    "CREATE TABLE launches(number INTEGER, epoch INTEGER, attempt INTEGER, pid INTEGER,"
    " start_ticks INTEGER, PRIMARY KEY(number, epoch)) WITHOUT ROWID;"
    "CREATE TABLE outcomes(number INTEGER, epoch INTEGER, rank INTEGER, state INTEGER,"
    " PRIMARY KEY(number, epoch, rank)) WITHOUT ROWID;"
    "CREATE TABLE checkpoints(number INTEGER, epoch INTEGER, step INTEGER, path TEXT,"
    " manifest_sha256 TEXT, PRIMARY KEY(number, epoch, step)) WITHOUT ROWID;"
    "CREATE TABLE probe(id INTEGER PRIMARY KEY, padding BLOB);";

static const char *const statement_texts[SYN_SQL_N] = {
    [SYN_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SYN_SQL_COMMIT] = "COMMIT",
    [SYN_SQL_ROLLBACK] = "ROLLBACK",
    [SYN_SQL_CLEAR_METRICS] = "DELETE FROM metrics WHERE number = ?",
    [SYN_SQL_PUT_METRIC] = "INSERT INTO metrics VALUES(?, ?, ?, ?)",
    [SYN_SQL_PUT_SPEC] = "INSERT OR REPLACE INTO specs VALUES(?, ?)",
    [SYN_SQL_PUT_EVENT] = "INSERT INTO events VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
    [SYN_SQL_PUT_REQUEST] = "INSERT INTO requests VALUES(?, ?, ?, ?)",
    [SYN_SQL_PUT_LAUNCH] = "INSERT OR REPLACE INTO launches VALUES(?, ?, ?, ?, ?)",
    [SYN_SQL_PUT_OUTCOME] = "INSERT OR REPLACE INTO outcomes VALUES(?, ?, ?, ?)",
    [SYN_SQL_PUT_CHECKPOINT] = "INSERT OR REPLACE INTO checkpoints VALUES(?, ?, ?, ?, ?)",
    [SYN_SQL_PROBE] = "INSERT OR REPLACE INTO probe VALUES(1, zeroblob(16384))",
};

syn_status syn_database_fail(syn_database *db, const char *verb)
{
    int code = sqlite3_extended_errcode(db->handle);
    int system = sqlite3_system_errno(db->handle);
    bool is_full = (code & 0xff) == SQLITE_FULL;
    return SYN_FAIL(is_full ? SYN_RESOURCE_EXHAUSTED : SYN_UNKNOWN,
                    "cannot %s the job store %s: %s%s%s", verb, db->path,
                    sqlite3_errmsg(db->handle), system ? ": " : "", system ? strerror(system) : "");
}

static syn_status execute(syn_database *db, const char *sql)
{
    if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        return syn_database_fail(db, "open");
    return SYN_OK;
}

/* The value of a one-row query; `fallback` when there is none. */
static int64_t query_int(syn_database *db, const char *sql, int64_t fallback)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        fallback = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return fallback;
}

static bool is_sound(syn_database *db)
{
    sqlite3_stmt *statement = NULL;
    bool sound = false;
    if (sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &statement, NULL) ==
            SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        sound = text && strcmp(text, "ok") == 0;
    }
    (void)sqlite3_finalize(statement);
    return sound;
}

static syn_status create_schema(syn_database *db)
{
    syn_status status;
    syn_str sql = {0};
    syn_str_append(&sql, "BEGIN; CREATE TABLE jobs(");
    for (size_t i = 0; i < syn_record_n_columns; i++)
        syn_str_appendf(&sql, "%s %s%s", syn_record_columns[i].name,
                        kind_names[syn_record_columns[i].kind],
                        i == 0                         ? " PRIMARY KEY, "
                        : i + 1 < syn_record_n_columns ? ", "
                                                       : ");");
    syn_str_appendf(&sql, "%s PRAGMA user_version=%d; COMMIT", schema, SYN_SCHEMA_VERSION);
    status = sql.failed ? syn_fail_memory(4096, "the schema") : execute(db, sql.data);
    if (status != SYN_OK)
        syn_database_rollback(db);
    syn_str_release(&sql);
    return status;
}

static syn_status prepare(syn_database *db)
{
    syn_status status = SYN_OK;
    syn_str put_job = {0};
    syn_str_append(&put_job, "INSERT OR REPLACE INTO jobs VALUES(");
    for (size_t i = 0; i < syn_record_n_columns; i++)
        syn_str_append(&put_job, i + 1 < syn_record_n_columns ? "?," : "?)");
    if (put_job.failed)
        status = syn_fail_memory(4096, "a statement");
    for (int i = 0; i < SYN_SQL_N && status == SYN_OK; i++)
        if (sqlite3_prepare_v3(db->handle, i == SYN_SQL_PUT_JOB ? put_job.data : statement_texts[i],
                               -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i],
                               NULL) != SQLITE_OK)
            status = syn_database_fail(db, "use");
    syn_str_release(&put_job);
    return status;
}

/* DATA_LOSS: the file is there but is not what it should be. */
static syn_status try_open(syn_database *db, uint32_t max_pages)
{
    char pragma[64];
    if (sqlite3_open_v2(db->path, &db->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        return db->handle ? syn_database_fail(db, "open") : syn_fail_memory(4096, db->path);
    (void)sqlite3_busy_timeout(db->handle, 2000);
    (void)sqlite3_extended_result_codes(db->handle, 1);
    int64_t version = query_int(db, "PRAGMA user_version", -1);
    int code = sqlite3_errcode(db->handle) & 0xff;
    if (version < 0 && code != SQLITE_NOTADB && code != SQLITE_CORRUPT)
        return syn_database_fail(db, "read");
    if (version > SYN_SCHEMA_VERSION)
        return SYN_FAIL(SYN_FAILED_PRECONDITION,
                        "the job store %s was written by a newer Syncline (schema %lld, this one "
                        "knows %d): use that version or another state folder",
                        db->path, (long long)version, SYN_SCHEMA_VERSION);
    if (version < 0 || !is_sound(db))
        return SYN_FAIL(SYN_DATA_LOSS, "the job store %s is damaged", db->path);
    SYN_TRY(execute(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"));
    if (version == 0) {
        db->is_new = true;
        SYN_TRY(create_schema(db));
    }
    if (prepare(db) != SYN_OK)
        return SYN_FAIL(SYN_DATA_LOSS, "the job store %s lacks tables or columns", db->path);
    if (max_pages > 0) {
        (void)snprintf(pragma, sizeof pragma, "PRAGMA max_page_count=%u", max_pages);
        SYN_TRY(execute(db, pragma));
    }
    return SYN_OK;
}

/* Renames the file and its companions so that a new one can begin and the old one can be looked at.
 */
static syn_status move_aside(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    long long when = (long long)(syn_clock_wall_ns() / 1000000);
    for (size_t i = 0; i < 3; i++) {
        char from[4200], to[4300];
        (void)snprintf(from, sizeof from, "%s%s", path, suffixes[i]);
        (void)snprintf(to, sizeof to, "%s.damaged-%lld%s", path, when, suffixes[i]);
        if (rename(from, to) != 0 && errno != ENOENT)
            return SYN_FAIL(SYN_UNKNOWN, "cannot move the damaged job store %s to %s: %s", from, to,
                            strerror(errno));
    }
    SYN_WARN("%s; it was moved to %s.damaged-%lld and a new one begun", syn_error_message(), path,
             when);
    return SYN_OK;
}

syn_status syn_database_open(const char *path, uint32_t max_pages, syn_database *db_out)
{
    syn_database db = {.path = syn_strdup(path)};
    if (!db.path)
        return syn_fail_memory(strlen(path) + 1, "a path");
    syn_status status = try_open(&db, max_pages);
    if (status == SYN_DATA_LOSS) {
        char *again = db.path;
        db.path = NULL;
        syn_database_close(&db);
        db = (syn_database){.path = again};
        status = move_aside(path);
        if (status == SYN_OK)
            status = try_open(&db, max_pages);
        db.is_new = true;
    }
    if (status != SYN_OK) {
        syn_database_close(&db);
        return status;
    }
    *db_out = db;
    return SYN_OK;
}

void syn_database_close(syn_database *db)
{
    for (int i = 0; i < SYN_SQL_N; i++)
        (void)sqlite3_finalize(db->statements[i]);
    (void)sqlite3_close(db->handle);
    syn_free(db->path);
    *db = (syn_database){0};
}

syn_status syn_database_run(syn_database *db, syn_statement statement)
{
    sqlite3_stmt *prepared = db->statements[statement];
    int code = sqlite3_step(prepared);
    syn_status status = code == SQLITE_DONE ? SYN_OK : syn_database_fail(db, "write");
    (void)sqlite3_reset(prepared);
    (void)sqlite3_clear_bindings(prepared);
    return status;
}

void syn_database_rollback(syn_database *db)
{
    if (!sqlite3_get_autocommit(db->handle))
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

static void bind_u64(sqlite3_stmt *s, int i, uint64_t value)
{
    (void)sqlite3_bind_int64(s, i, (sqlite3_int64)value);
}

static void bind_text(sqlite3_stmt *s, int i, const char *text)
{
    (void)sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
}

static void bind_column(sqlite3_stmt *s, int i, const syn_record_column *column,
                        const syn_job_record *record)
{
    const void *at = (const char *)record + column->offset;
    switch (column->kind) {
    case SYN_COLUMN_U64:
        bind_u64(s, i, *(const uint64_t *)at);
        break;
    case SYN_COLUMN_I64:
        (void)sqlite3_bind_int64(s, i, *(const int64_t *)at);
        break;
    case SYN_COLUMN_U32:
        bind_u64(s, i, *(const uint32_t *)at);
        break;
    case SYN_COLUMN_I32:
        (void)sqlite3_bind_int64(s, i, *(const int32_t *)at);
        break;
    case SYN_COLUMN_BOOL:
        (void)sqlite3_bind_int64(s, i, *(const bool *)at);
        break;
    case SYN_COLUMN_F64:
        (void)sqlite3_bind_double(s, i, *(const double *)at); /* NaN becomes NULL */
        break;
    case SYN_COLUMN_TEXT:
        bind_text(s, i, *(char *const *)at);
        break;
    }
}

static syn_status put_job(syn_database *db, const syn_job_record *record)
{
    sqlite3_stmt *s = db->statements[SYN_SQL_PUT_JOB];
    for (size_t i = 0; i < syn_record_n_columns; i++)
        bind_column(s, (int)i + 1, &syn_record_columns[i], record);
    SYN_TRY(syn_database_run(db, SYN_SQL_PUT_JOB));
    if (record->n_metrics == 0)
        return SYN_OK;
    bind_u64(db->statements[SYN_SQL_CLEAR_METRICS], 1, record->number);
    SYN_TRY(syn_database_run(db, SYN_SQL_CLEAR_METRICS));
    for (size_t i = 0; i < record->n_metrics; i++) {
        s = db->statements[SYN_SQL_PUT_METRIC];
        bind_u64(s, 1, record->number);
        bind_u64(s, 2, i);
        bind_text(s, 3, record->metrics[i].name);
        (void)sqlite3_bind_double(s, 4, record->metrics[i].value);
        SYN_TRY(syn_database_run(db, SYN_SQL_PUT_METRIC));
    }
    return SYN_OK;
}

static syn_status put_event(syn_database *db, const syn_job_event *event)
{
    sqlite3_stmt *s = db->statements[SYN_SQL_PUT_EVENT];
    bind_u64(s, 1, event->sequence);
    bind_u64(s, 2, event->number);
    (void)sqlite3_bind_int64(s, 3, event->time_ns);
    (void)sqlite3_bind_int(s, 4, (int)event->from);
    (void)sqlite3_bind_int(s, 5, (int)event->to);
    (void)sqlite3_bind_int(s, 6, (int)event->reason);
    bind_u64(s, 7, event->attempt);
    bind_text(s, 8, event->text);
    return syn_database_run(db, SYN_SQL_PUT_EVENT);
}

static syn_status put_request(syn_database *db, const syn_store_request *request)
{
    sqlite3_stmt *s = db->statements[SYN_SQL_PUT_REQUEST];
    bind_text(s, 1, request->id);
    bind_text(s, 2, request->method);
    bind_text(s, 3, request->body_sha256);
    bind_u64(s, 4, request->number);
    return syn_database_run(db, SYN_SQL_PUT_REQUEST);
}

static syn_status put_launch(syn_database *db, const syn_store_launch *launch)
{
    sqlite3_stmt *s = db->statements[SYN_SQL_PUT_LAUNCH];
    bind_u64(s, 1, launch->number);
    bind_u64(s, 2, launch->epoch);
    bind_u64(s, 3, launch->attempt);
    (void)sqlite3_bind_int64(s, 4, launch->pid);
    bind_u64(s, 5, launch->start_ticks);
    return syn_database_run(db, SYN_SQL_PUT_LAUNCH);
}

static syn_status put_outcome(syn_database *db, const syn_store_outcome *outcome)
{
    sqlite3_stmt *s = db->statements[SYN_SQL_PUT_OUTCOME];
    bind_u64(s, 1, outcome->number);
    bind_u64(s, 2, outcome->epoch);
    bind_u64(s, 3, outcome->rank);
    (void)sqlite3_bind_int(s, 4, (int)outcome->state);
    return syn_database_run(db, SYN_SQL_PUT_OUTCOME);
}

static syn_status put_checkpoint(syn_database *db, const syn_store_checkpoint *checkpoint)
{
    sqlite3_stmt *s = db->statements[SYN_SQL_PUT_CHECKPOINT];
    bind_u64(s, 1, checkpoint->number);
    bind_u64(s, 2, checkpoint->epoch);
    bind_u64(s, 3, checkpoint->step);
    bind_text(s, 4, checkpoint->path);
    bind_text(s, 5, checkpoint->manifest_sha256);
    return syn_database_run(db, SYN_SQL_PUT_CHECKPOINT);
}

syn_status syn_database_apply(syn_database *db, const syn_change *change)
{
    if (change->record)
        SYN_TRY(put_job(db, change->record));
    if (change->spec_json && change->record) {
        bind_u64(db->statements[SYN_SQL_PUT_SPEC], 1, change->record->number);
        bind_text(db->statements[SYN_SQL_PUT_SPEC], 2, change->spec_json);
        SYN_TRY(syn_database_run(db, SYN_SQL_PUT_SPEC));
    }
    for (size_t i = 0; i < change->n_events; i++)
        SYN_TRY(put_event(db, change->events[i]));
    if (change->has_request)
        SYN_TRY(put_request(db, &change->request));
    if (change->has_launch)
        SYN_TRY(put_launch(db, &change->launch));
    if (change->has_outcome)
        SYN_TRY(put_outcome(db, &change->outcome));
    if (change->has_checkpoint)
        SYN_TRY(put_checkpoint(db, &change->checkpoint));
    return SYN_OK;
}
