/* Handwritten-looking digits, drawn instead of downloaded: every sample is a pure function of
 * (seed, index). */
#ifndef WORKER_DATA_DIGITS_H
#define WORKER_DATA_DIGITS_H

#include <stdint.h>

enum { SYN_DIGITS_SIDE = 28, SYN_DIGITS_PIXELS = SYN_DIGITS_SIDE * SYN_DIGITS_SIDE };

/* One pen stroke through control points, in percent of the digit's box, y downwards; a point given
 * twice is a corner. */
typedef struct syn_digit_stroke {
    int n;
    int8_t points[12][2];
} syn_digit_stroke;
/* One way of writing a digit. */
typedef struct syn_digit_glyph {
    int digit, n_strokes;
    syn_digit_stroke strokes[2];
} syn_digit_glyph;

extern const syn_digit_glyph syn_digit_glyphs[];
extern const int syn_n_digit_glyphs;

/* The digit 0..9 of sample `index`; about uniform. */
uint8_t syn_digits_label(uint64_t seed, uint64_t index);
/* Draws sample `index`, light on dark as in MNIST, 28 x 28 bytes. Uses no function of the
 * mathematical library but the square root, so the bytes are the same on every machine. */
void syn_digits_render(uint64_t seed, uint64_t index, uint8_t *pixels_out);

#endif
