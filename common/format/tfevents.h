/* TensorBoard event files: TFRecord framing with masked CRC-32C around `tensorflow.Event` messages
 * (scalars only). */
#ifndef COMMON_FORMAT_TFEVENTS_H
#define COMMON_FORMAT_TFEVENTS_H

#include <stdint.h>
#include <syncline/status.h>

typedef struct syn_tfevents syn_tfevents;

/* Creates `events.out.tfevents.<seconds>.<host>` in the folder and writes the version record. */
syn_status syn_tfevents_open(const char *folder, int64_t wall_ns, syn_tfevents **writer_out);
syn_status syn_tfevents_scalar(syn_tfevents *writer, const char *tag, double value, int64_t step,
                               int64_t wall_ns);
syn_status syn_tfevents_flush(syn_tfevents *writer);
/* Flushes, closes and frees; NULL is accepted. */
syn_status syn_tfevents_close(syn_tfevents *writer);

#endif
