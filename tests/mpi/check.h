/* A test program under mpirun: its functions run in the same order on every rank; a failed check
 * ends all ranks. */
#ifndef TESTS_MPI_CHECK_H
#define TESTS_MPI_CHECK_H

#include "worker/comm/comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The check's text goes through a format of its own, as it may hold a '%'. */
static inline void check_failed(const char *file, int line, const char *text)
{
    char sentence[2048];
    (void)snprintf(sentence, sizeof sentence, "%s:%d: %s (last error: %s)", file, line, text,
                   syn_error_message());
    syn_comm_abort(1, sentence);
}

#define CHECK(condition)                                  \
    do {                                                  \
        if (!(condition))                                 \
            check_failed(__FILE__, __LINE__, #condition); \
    } while (0)
#define CHECK_OK(call) CHECK((call) == SYN_OK)
/* One test: starts and ends together on all ranks. */
#define RUN(test)                                              \
    do {                                                       \
        CHECK_OK(syn_comm_barrier(syn_comm_world()));          \
        if (world_rank() == 0)                                 \
            (void)printf("%s\n", #test), (void)fflush(stdout); \
        test();                                                \
    } while (0)

static inline int world_rank(void)
{
    return syn_comm_rank(syn_comm_world());
}
static inline int world_size(void)
{
    return syn_comm_size(syn_comm_world());
}

#endif
