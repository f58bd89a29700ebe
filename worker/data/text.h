/* A text file as tokens: one for each distinct byte, in byte order. */
#ifndef WORKER_DATA_TEXT_H
#define WORKER_DATA_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <syncline/status.h>

typedef struct syn_text {
    const uint8_t *bytes; /* owned mapping */
    size_t size_bytes;
    int64_t n_train; /* tokens before the validation part */
    int n_vocabulary;
    uint8_t vocabulary[256]; /* the byte of each token */
    uint8_t token_of[256];   /* the token of each byte that occurs */
} syn_text;

/* Maps the file; the last `val_fraction` of it (0 <= f < 1) is the validation part. Both parts must
 * hold a window of `block` tokens and the one after it. */
syn_status syn_text_open(const char *path, double val_fraction, int64_t block, syn_text *text_out);
void syn_text_release(syn_text *text);

#endif
