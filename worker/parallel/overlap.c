/* Overlap accounting: a sum over the buckets. */
#include "worker/parallel/overlap.h"

void syn_overlap_compute(syn_overlap *overlap, uint64_t backward_end_ns, bool is_concurrent)
{
    uint64_t busy = 0, hidden = 0, last_end = 0;

    overlap->bytes = 0;
    for (int i = 0; i < overlap->n_buckets; i++) {
        const syn_bucket_timing *b = &overlap->buckets[i];
        uint64_t early_end = b->end_ns < backward_end_ns ? b->end_ns : backward_end_ns;
        busy += b->end_ns - b->start_ns;
        hidden += early_end > b->start_ns ? early_end - b->start_ns : 0;
        last_end = b->end_ns > last_end ? b->end_ns : last_end;
        overlap->bytes += b->bytes;
    }
    uint64_t exposed = last_end > backward_end_ns ? last_end - backward_end_ns : 0;
    if (!is_concurrent) {
        hidden = 0;
        exposed = busy;
    }
    overlap->hidden_ms = (double)hidden * 1e-6;
    overlap->exposed_ms = (double)exposed * 1e-6;
    overlap->bytes_per_s = busy > 0 ? (double)overlap->bytes * 1e9 / (double)busy : 0;
}
