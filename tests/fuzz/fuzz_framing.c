/* gRPC messages out of a stream that arrives in pieces: the first byte chooses how large the pieces
 * are. */
#include "tests/fuzz/fuzz.h"

#include "common/rpc/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static volatile unsigned sink;
    syn_budget budget = {.limit = 1 << 16};
    syn_framing framing = {.budget = &budget, .max_bytes = 1 << 12};
    size_t step = size > 0 ? 1 + bytes[0] % 64 : 1;
    syn_status status = SYN_OK;

    for (size_t at = 1; status == SYN_OK && at < size; at += step) {
        const unsigned char *piece = bytes + at;
        const unsigned char *end = piece + (size - at < step ? size - at : step);
        for (syn_framing_message message = {bytes, 0}; status == SYN_OK && message.bytes;) {
            status = syn_framing_next(&framing, &piece, end, &message);
            for (size_t i = 0; status == SYN_OK && message.bytes && i < message.size; i++)
                sink = sink + message.bytes[i];
        }
    }
    (void)syn_framing_is_whole(&framing);
    syn_framing_release(&framing);
    SYN_BUG_ON(budget.used != 0);
    return 0;
}
