/* Labelled grey images from IDX files, checked as they are opened, or from the digit generator. */
#include "worker/data/images.h"

#include "common/base/mem.h"
#include "worker/data/digits.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The generated data set is always the same one, as a downloaded one would be: the job's seed
 * shuffles it only. */
static const uint64_t digits_seed = 0x5916175;
enum { N_DRAWN_MAX = 10000000 };
static const uint64_t test_first_index = (uint64_t)1 << 40;
enum { STATE_EMPTY, STATE_BUSY, STATE_READY };

static syn_status check_folder(const char *folder)
{
    struct stat info;

    if (!*folder)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "data.path is not set: idx data needs the folder with the four files");
    if (stat(folder, &info) < 0)
        return SYN_FAIL(errno == EACCES ? SYN_PERMISSION_DENIED : SYN_NOT_FOUND, "data.path %s: %s",
                        folder, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "data.path %s: is a file, idx data needs the folder with the four files",
                        folder);
    if (access(folder, R_OK | X_OK) < 0)
        return SYN_FAIL(SYN_PERMISSION_DENIED, "data.path %s: cannot be read: %s", folder,
                        strerror(errno));
    return SYN_OK;
}

static syn_status open_part(const char *folder, const char *images, const char *labels,
                            int64_t n_wanted, syn_image_part *part)
{
    SYN_TRY(syn_idx_open(folder, images, 3, &part->images));
    SYN_TRY(syn_idx_open(folder, labels, 1, &part->labels));
    if (part->images.dims[0] != part->labels.dims[0])
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s has %lld images but %s has %lld labels",
                        part->images.path, (long long)part->images.dims[0], part->labels.path,
                        (long long)part->labels.dims[0]);
    part->n = part->images.dims[0];
    if (n_wanted > 0 && n_wanted < part->n)
        part->n = n_wanted;
    return SYN_OK;
}

/* Classes are counted from the training labels; test labels must be among them. */
static syn_status check_labels(syn_images *images)
{
    const syn_idx *train = &images->parts[0].labels, *test = &images->parts[1].labels;
    int highest = 0;

    for (int64_t i = 0; i < train->dims[0]; i++)
        highest = train->data[i] > highest ? train->data[i] : highest;
    for (int64_t i = 0; i < test->dims[0]; i++) {
        if (test->data[i] > highest)
            return SYN_FAIL(
                SYN_INVALID_ARGUMENT,
                "%s: label %d of item %lld does not occur in %s, whose labels are 0 to %d",
                test->path, test->data[i], (long long)i, train->path, highest);
    }
    images->n_classes = highest + 1;
    return SYN_OK;
}

syn_status syn_images_open_idx(const char *folder, int64_t n_train, int64_t n_test,
                               syn_images *images_out)
{
    syn_status status = SYN_OK;
    syn_images images = {0};
    const syn_idx *train = &images.parts[0].images, *test = &images.parts[1].images;

    SYN_GOTO(check_folder(folder));
    SYN_GOTO(open_part(folder, "train-images-idx3-ubyte", "train-labels-idx1-ubyte", n_train,
                       &images.parts[0]));
    SYN_GOTO(open_part(folder, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", n_test,
                       &images.parts[1]));
    if (train->dims[1] != test->dims[1] || train->dims[2] != test->dims[2])
        SYN_GOTO(SYN_FAIL(SYN_INVALID_ARGUMENT,
                          "%s has images of %lld x %lld but %s of %lld x %lld", train->path,
                          (long long)train->dims[1], (long long)train->dims[2], test->path,
                          (long long)test->dims[1], (long long)test->dims[2]));
    images.height = train->dims[1];
    images.width = train->dims[2];
    SYN_GOTO(check_labels(&images));
    *images_out = images;
    return SYN_OK;
out:
    syn_images_release(&images);
    return status;
}

static syn_status prepare_drawn(const char *key, int64_t n, uint64_t first_index,
                                syn_image_part *part)
{
    if (n < 1 || n > N_DRAWN_MAX)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%s is %lld: digits are drawn 1 to %d at a time", key,
                        (long long)n, N_DRAWN_MAX);
    part->state = syn_calloc((size_t)n, sizeof *part->state);
    if (!part->state)
        return syn_fail_memory((size_t)n, "the digits");
    /* A mapping, so that memory is used only for the digits this rank reads. */
    size_t size = (size_t)n * SYN_DIGITS_PIXELS;
    void *drawn = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (drawn == MAP_FAILED)
        return syn_fail_memory(size, "the digits");
    part->drawn = drawn;
    part->n = n;
    part->first_index = first_index;
    return SYN_OK;
}

syn_status syn_images_open_digits(int64_t n_train, int64_t n_test, syn_images *images_out)
{
    syn_status status = SYN_OK;
    syn_images images = {.height = SYN_DIGITS_SIDE, .width = SYN_DIGITS_SIDE, .n_classes = 10};

    SYN_GOTO(prepare_drawn("data.n_train", n_train, 0, &images.parts[0]));
    SYN_GOTO(prepare_drawn("data.n_test", n_test, test_first_index, &images.parts[1]));
    *images_out = images;
    return SYN_OK;
out:
    syn_images_release(&images);
    return status;
}

void syn_images_release(syn_images *images)
{
    for (int i = 0; i < 2; i++) {
        syn_image_part *part = &images->parts[i];
        syn_idx_release(&part->images);
        syn_idx_release(&part->labels);
        if (part->drawn)
            (void)munmap(part->drawn, (size_t)part->n * SYN_DIGITS_PIXELS);
        syn_free((void *)part->state);
    }
    *images = (syn_images){0};
}

const uint8_t *syn_images_pixels(const syn_images *images, int part_index, int64_t index,
                                 uint8_t *scratch)
{
    const syn_image_part *part = &images->parts[part_index];

    if (!part->drawn)
        return part->images.data + index * images->height * images->width;

    uint8_t *drawn = part->drawn + index * SYN_DIGITS_PIXELS;
    unsigned char state = STATE_EMPTY;
    if (atomic_compare_exchange_strong_explicit(&part->state[index], &state, STATE_BUSY,
                                                memory_order_acquire, memory_order_acquire)) {
        syn_digits_render(digits_seed, part->first_index + (uint64_t)index, drawn);
        atomic_store_explicit(&part->state[index], STATE_READY, memory_order_release);
        return drawn;
    }
    if (state == STATE_READY)
        return drawn;
    syn_digits_render(digits_seed, part->first_index + (uint64_t)index, scratch);
    return scratch;
}

uint8_t syn_images_label(const syn_images *images, int part_index, int64_t index)
{
    const syn_image_part *part = &images->parts[part_index];

    return part->drawn ? syn_digits_label(digits_seed, part->first_index + (uint64_t)index)
                       : part->labels.data[index];
}
