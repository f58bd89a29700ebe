/* The SQL of the store: opening, schema, and one change as statements. Used by one thread at a
 * time. */
#ifndef SERVER_STORE_DATABASE_H
#define SERVER_STORE_DATABASE_H

#include "server/store/store.h"

#include <sqlite3.h>

enum { SYN_SCHEMA_VERSION = 1 };

typedef enum syn_statement {
    SYN_SQL_BEGIN,
    SYN_SQL_COMMIT,
    SYN_SQL_ROLLBACK,
    SYN_SQL_PUT_JOB,
    SYN_SQL_CLEAR_METRICS,
    SYN_SQL_PUT_METRIC,
    SYN_SQL_PUT_SPEC,
    SYN_SQL_PUT_EVENT,
    SYN_SQL_PUT_REQUEST,
    SYN_SQL_PUT_LAUNCH,
    SYN_SQL_PUT_OUTCOME,
    SYN_SQL_PUT_CHECKPOINT,
    SYN_SQL_PROBE,
    SYN_SQL_N,
} syn_statement;

typedef struct syn_database {
    sqlite3 *handle;
    sqlite3_stmt *statements[SYN_SQL_N];
    char *path; /* owned */
    bool is_new;
} syn_database;

/* Opens the file, or moves a damaged one aside and begins a new one. */
syn_status syn_database_open(const char *path, uint32_t max_pages, syn_database *db_out);
void syn_database_close(syn_database *db);
/* Each returns SYN_OK, RESOURCE_EXHAUSTED (the disk is full; the transaction can be rolled back and
 * is not on disk) or UNKNOWN (anything else: what is on disk is not known). */
syn_status syn_database_run(syn_database *db, syn_statement statement);
syn_status syn_database_apply(syn_database *db, const syn_change *change);
/* Ends an open transaction without keeping it. */
void syn_database_rollback(syn_database *db);
/* The sentence for the last failure of `db`. */
syn_status syn_database_fail(syn_database *db, const char *verb);

#endif
