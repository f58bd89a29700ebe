/* The store's own state, shared by its files. */
#ifndef SERVER_STORE_STORE_INTERNAL_H
#define SERVER_STORE_STORE_INTERNAL_H

#include "server/store/database.h"

#include <uv.h>

typedef struct syn_change_list {
    syn_change *first, **last; /* last: where the next one is linked in */
} syn_change_list;

struct syn_store {
    syn_database db; /* the writer's, once it runs */
    uv_thread_t writer;
    uv_mutex_t mutex;
    uv_cond_t wake;
    uv_async_t finished; /* the writer has something for the loop */
    bool has_writer, is_closed;
    /* under the mutex: */
    syn_change_list waiting, done;
    bool is_closing, is_broken, is_full;
    double last_commits[64]; /* seconds of commits not yet counted */
    size_t n_last_commits;
    char broken_sentence[1024];
    /* the loop's: */
    syn_histogram commit_seconds;
    bool told_broken;
    char full_sentence[512];
    void (*on_broken)(const char *sentence, void *user);
    void *user;
    void (*on_closed)(void *user);
    void *closed_user;
};

#endif
