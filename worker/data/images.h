/* Labelled grey images: two parts of equal shape, read from IDX files or drawn as they are asked
 * for. */
#ifndef WORKER_DATA_IMAGES_H
#define WORKER_DATA_IMAGES_H

#include "worker/data/idx.h"

#include <stdatomic.h>
#include <stdint.h>
#include <syncline/status.h>

/* One part (training or test). Images are drawn by whichever thread asks first. */
typedef struct syn_image_part {
    int64_t n;
    syn_idx images, labels;       /* of files */
    uint8_t *drawn;               /* owned mapping: n images, valid where `state` says so */
    _Atomic unsigned char *state; /* owned: one for each image */
    uint64_t first_index;         /* drawn: the index of sample 0 */
} syn_image_part;

typedef struct syn_images {
    int64_t height, width, n_classes;
    syn_image_part parts[2]; /* by syn_split */
} syn_images;

/* The four MNIST files of a folder; at most n_train and n_test of them (0: all). */
syn_status syn_images_open_idx(const char *folder, int64_t n_train, int64_t n_test,
                               syn_images *images_out);
/* Generated digits. */
syn_status syn_images_open_digits(int64_t n_train, int64_t n_test, syn_images *images_out);
void syn_images_release(syn_images *images);

/* The height * width bytes of an image: borrowed, or drawn into `scratch` (of that size) when
 * another thread is just drawing it. */
const uint8_t *syn_images_pixels(const syn_images *images, int part, int64_t index,
                                 uint8_t *scratch);
uint8_t syn_images_label(const syn_images *images, int part, int64_t index);

#endif
