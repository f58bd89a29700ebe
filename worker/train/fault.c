/* Failures made on purpose, for tests only. */
#include "worker/train/fault.h"

#include "common/base/str.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static bool matches(const char *name, int64_t value)
{
    const char *text = getenv(name);
    int64_t wanted;
    return text && syn_parse_i64(text, &wanted) && wanted == value;
}

syn_status syn_train_fault(int rank, int64_t step, uint32_t attempt, double *loss)
{
    if (!matches("SYNCLINE_TEST_KILL_RANK", rank) || !matches("SYNCLINE_TEST_KILL_STEP", step))
        return SYN_OK;
    if (attempt > 1 && !matches("SYNCLINE_TEST_EVERY_ATTEMPT", 1))
        return SYN_OK;
    const char *fault = getenv("SYNCLINE_TEST_FAULT");
    if (!fault || strcmp(fault, "kill") == 0)
        (void)raise(SIGKILL);
    if (fault && strcmp(fault, "stop") == 0)
        (void)raise(SIGSTOP);
    if (fault && strcmp(fault, "nan") == 0)
        *loss = NAN;
    if (fault && strcmp(fault, "fail") == 0)
        return SYN_FAIL(SYN_INTERNAL, "a failure made by SYNCLINE_TEST_FAULT in step %" PRId64,
                        step);
    return SYN_OK;
}
