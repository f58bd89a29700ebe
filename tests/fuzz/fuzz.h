/* What a fuzz target defines, as libFuzzer and replay.c call it. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Takes any bytes; a fault is a crash, an abort() or a sanitizer's report. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
