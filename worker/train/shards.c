/* The table of virtual shards. */
#include "worker/train/shards.h"

#include "common/base/str.h"

#include <inttypes.h>
#include <string.h>

/* The next number of "5,1,2"; -1 if there is none, or the number is below 1 or above `most`. */
static int64_t take_number(const char **text, int64_t most)
{
    char digits[16];
    int64_t value;
    size_t n = strcspn(*text, ",");

    if (n == 0 || n >= sizeof digits)
        return -1;
    memcpy(digits, *text, n);
    digits[n] = '\0';
    *text += n + ((*text)[n] == ',');
    return syn_parse_i64(digits, &value) && value >= 1 && value <= most ? value : -1;
}

syn_status syn_shard_table(int64_t n_shards, int n_ranks, const char *text, int *table_out)
{
    int64_t left = n_shards;

    if (n_ranks > n_shards)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "%d ranks cannot share %" PRId64
                        " virtual shards; use fewer ranks or raise virtual_shards",
                        n_ranks, n_shards);
    if (!text) {
        for (int r = 0; r < n_ranks; r++)
            table_out[r] = (int)(n_shards / n_ranks + (r < n_shards % n_ranks));
        return SYN_OK;
    }
    const char *rest = text;
    for (int r = 0; r < n_ranks; r++) {
        int64_t n = take_number(&rest, left);
        if (n < 0)
            break;
        table_out[r] = (int)n;
        left -= n;
        if (r == n_ranks - 1 && left == 0 && !*rest && rest[-1] != ',')
            return SYN_OK;
    }
    return SYN_FAIL(SYN_INVALID_ARGUMENT,
                    "the shard table \"%.80s\" does not divide %" PRId64
                    " virtual shards among %d ranks",
                    text, n_shards, n_ranks);
}
