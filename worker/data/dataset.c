/* Opens the data of a job and turns samples into batches. */
#include "worker/data/dataset.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "worker/data/images.h"
#include "worker/data/text.h"

#include <math.h>
#include <string.h>
#include <syncline/random.h>

struct syn_dataset {
    syn_dataset_info info;
    syn_images images;
    syn_text text;
    double levels_f64[256]; /* the normalised value of each grey level */
    float levels_f32[256];
};

enum {
    N_NORM_IMAGES = 1000,      /* images that mean and deviation are taken from */
    N_FINGERPRINT_IMAGES = 64, /* images that the fingerprint looks at */
    N_PIXELS_MAX = 4096 * 4096,
};

/* Integer sums, so that every rank gets the same two numbers. */
static syn_status normalise(syn_dataset *dataset)
{
    syn_dataset_info *info = &dataset->info;
    int64_t n_pixels = dataset->images.height * dataset->images.width;
    int64_t n = info->n_train < N_NORM_IMAGES ? info->n_train : N_NORM_IMAGES;
    uint64_t sum = 0, squares = 0;
    uint8_t *scratch = syn_malloc((size_t)n_pixels);

    if (!scratch)
        return syn_fail_memory((size_t)n_pixels, "an image");
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *pixels = syn_images_pixels(&dataset->images, SYN_SPLIT_TRAIN, i, scratch);
        for (int64_t k = 0; k < n_pixels; k++) {
            sum += pixels[k];
            squares += (uint64_t)pixels[k] * pixels[k];
        }
    }
    syn_free(scratch);
    double count = (double)n * (double)n_pixels, mean = (double)sum / count;
    double variance = (double)squares / count - mean * mean;
    info->mean = mean / 255;
    info->std = variance > 1e-6 ? sqrt(variance) / 255 : 1;
    for (int level = 0; level < 256; level++) {
        dataset->levels_f64[level] = ((double)level / 255 - info->mean) / info->std;
        dataset->levels_f32[level] = (float)dataset->levels_f64[level];
    }
    return SYN_OK;
}

static void describe_images(const syn_dataset *dataset, int part, int64_t n, syn_str *out)
{
    const syn_images *images = &dataset->images;
    uint8_t *scratch = syn_malloc((size_t)(images->height * images->width));
    int64_t step = n / N_FINGERPRINT_IMAGES + 1;

    if (!scratch) {
        out->failed = true;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        uint8_t label = syn_images_label(images, part, i);
        syn_str_append_n(out, &label, 1);
    }
    for (int64_t i = 0; i < n; i += step)
        syn_str_append_n(out, syn_images_pixels(images, part, i, scratch),
                         (size_t)(images->height * images->width));
    syn_free(scratch);
}

/* Every label and some of the pixels, or the whole text, with the numbers that say how they are
 * used. */
static syn_status take_fingerprint(syn_dataset *dataset)
{
    syn_dataset_info *info = &dataset->info;
    syn_str text = {0};

    syn_str_appendf(&text, "kind %d train %lld test %lld classes %lld shape", (int)info->kind,
                    (long long)info->n_train, (long long)info->n_test, (long long)info->n_classes);
    for (int i = 0; i < info->x_shape.ndim; i++)
        syn_str_appendf(&text, " %lld", (long long)info->x_shape.dims[i]);
    syn_str_append_n(&text, "", 1);
    if (info->kind == SYN_DATA_TEXT) {
        char hex[65];
        syn_status status = syn_sha256_hex(dataset->text.bytes, dataset->text.size_bytes, hex);
        if (status != SYN_OK) {
            syn_str_release(&text);
            return status;
        }
        syn_str_append(&text, hex);
    } else {
        describe_images(dataset, SYN_SPLIT_TRAIN, info->n_train, &text);
        describe_images(dataset, SYN_SPLIT_TEST, info->n_test, &text);
    }
    syn_status status = text.failed ? syn_fail_memory(text.length, "the data's fingerprint")
                                    : syn_sha256_hex(text.data, text.length, info->fingerprint);
    syn_str_release(&text);
    return status;
}

static syn_status open_images(const syn_job_spec *spec, syn_dataset *dataset)
{
    syn_dataset_info *info = &dataset->info;
    syn_images *images = &dataset->images;

    if (spec->dtype != SYN_F32 && spec->dtype != SYN_F64)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "images are read as f32 or f64, not as %s",
                        syn_dtype_name(spec->dtype));
    if (spec->data.kind == SYN_DATA_IDX)
        SYN_TRY(syn_images_open_idx(spec->data.path ? spec->data.path : "", spec->data.n_train,
                                    spec->data.n_test, images));
    else
        SYN_TRY(syn_images_open_digits(spec->data.n_train, spec->data.n_test, images));
    info->augment_shift = spec->data.augment_shift;
    if (info->augment_shift < 0 || info->augment_shift >= images->height ||
        info->augment_shift >= images->width)
        return SYN_FAIL(SYN_INVALID_ARGUMENT,
                        "data.augment_shift is %lld, images of %lld x %lld can be shifted by less",
                        (long long)info->augment_shift, (long long)images->height,
                        (long long)images->width);
    info->n_train = info->epoch_samples = images->parts[SYN_SPLIT_TRAIN].n;
    info->n_test = images->parts[SYN_SPLIT_TEST].n;
    info->x_shape = SYN_SHAPE(1, images->height, images->width);
    info->x_dtype = spec->dtype;
    info->n_targets = 1;
    info->n_classes = images->n_classes;
    return normalise(dataset);
}

static syn_status open_text(const syn_job_spec *spec, syn_dataset *dataset)
{
    syn_dataset_info *info = &dataset->info;
    syn_text *text = &dataset->text;
    int64_t block = spec->model.block;

    SYN_TRY(syn_text_open(spec->data.path ? spec->data.path : "", spec->data.val_fraction, block,
                          text));
    int64_t n_val = (int64_t)text->size_bytes - text->n_train;
    info->n_train = text->n_train - block;
    info->epoch_samples = (text->n_train - 1) / block;
    info->n_test = n_val > block ? (n_val - 1) / block : 0;
    info->x_shape = SYN_SHAPE(block);
    info->x_dtype = SYN_U8;
    info->n_targets = block;
    info->n_classes = text->n_vocabulary;
    memcpy(info->vocabulary, text->vocabulary, sizeof info->vocabulary);
    return SYN_OK;
}

syn_status syn_dataset_open(const syn_job_spec *spec, syn_dataset **dataset_out)
{
    syn_status status = SYN_OK;
    syn_dataset *dataset = syn_calloc(1, sizeof *dataset);

    if (!dataset)
        return syn_fail_memory(sizeof *dataset, "a data set");
    dataset->info.kind = spec->data.kind;
    if (spec->data.kind == SYN_DATA_TEXT)
        SYN_GOTO(open_text(spec, dataset));
    else
        SYN_GOTO(open_images(spec, dataset));
    SYN_GOTO(take_fingerprint(dataset));
    *dataset_out = dataset;
    return SYN_OK;
out:
    syn_dataset_free(dataset);
    return status;
}

void syn_dataset_free(syn_dataset *dataset)
{
    if (!dataset)
        return;
    syn_images_release(&dataset->images);
    syn_text_release(&dataset->text);
    syn_free(dataset);
}

const syn_dataset_info *syn_dataset_get_info(const syn_dataset *dataset)
{
    return &dataset->info;
}

syn_status syn_batch_init(syn_batch *batch, const syn_dataset *dataset, int64_t capacity)
{
    const syn_dataset_info *info = &dataset->info;
    size_t item = 1;

    for (int i = 0; i < info->x_shape.ndim; i++)
        item *= (size_t)info->x_shape.dims[i];
    *batch = (syn_batch){
        .capacity = capacity,
        .x_bytes = item * syn_dtype_size(info->x_dtype),
        .n_targets = info->n_targets,
    };
    size_t x_bytes = 0, y_bytes = 0;
    if (capacity < 0 || __builtin_mul_overflow(batch->x_bytes, (size_t)capacity, &x_bytes) ||
        __builtin_mul_overflow((size_t)info->n_targets * sizeof *batch->y, (size_t)capacity,
                               &y_bytes))
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "a batch of %lld samples of %zu bytes is too large",
                        (long long)capacity, batch->x_bytes);
    batch->x = syn_malloc(x_bytes);
    batch->y = syn_malloc(y_bytes);
    if (!batch->x || !batch->y) {
        syn_batch_release(batch);
        return syn_fail_memory(x_bytes + y_bytes, "a batch");
    }
    return SYN_OK;
}

void syn_batch_release(syn_batch *batch)
{
    syn_free(batch->x);
    syn_free(batch->y);
    *batch = (syn_batch){0};
}

/* How far the image is moved, in each axis within -shift..shift. */
typedef struct offset {
    int64_t x, y;
} offset;

static offset draw_offset(const syn_dataset *dataset, const syn_batch_request *request,
                          int64_t sample)
{
    int64_t shift = dataset->info.augment_shift;

    if (!request->augment || shift == 0 || request->split != SYN_SPLIT_TRAIN)
        return (offset){0, 0};
    uint64_t key = syn_random_key(request->augment_key, (uint64_t)sample);
    uint64_t range = (uint64_t)(2 * shift + 1);
    return (offset){
        .x = (int64_t)syn_random_below(key, 0, range) - shift,
        .y = (int64_t)syn_random_below(key, 1, range) - shift,
    };
}

/* The grey levels of one moved image through `levels`; what moves in is black. Row by row, so that
 * the inner loop has no branch. */
#define DEFINE_WRITE_IMAGE(name, type)                                                \
    static void name(const uint8_t *pixels, int64_t height, int64_t width, offset by, \
                     const type levels[256], type *x)                                 \
    {                                                                                 \
        int64_t begin = by.x > 0 ? by.x : 0, end = by.x < 0 ? width + by.x : width;   \
        for (int64_t row = 0; row < height; row++, x += width) {                      \
            int64_t source = (row - by.y) * width - by.x;                             \
            bool inside = row - by.y >= 0 && row - by.y < height;                     \
            int64_t first = inside ? begin : width, last = inside ? end : width;      \
            for (int64_t column = 0; column < first; column++)                        \
                x[column] = levels[0];                                                \
            for (int64_t column = first; column < last; column++)                     \
                x[column] = levels[pixels[source + column]];                          \
            for (int64_t column = last; column < width; column++)                     \
                x[column] = levels[0];                                                \
        }                                                                             \
    }
DEFINE_WRITE_IMAGE(write_image_f32, float)
DEFINE_WRITE_IMAGE(write_image_f64, double)

static syn_status read_images(const syn_dataset *dataset, const syn_batch_request *request,
                              syn_batch *batch)
{
    int64_t height = dataset->images.height, width = dataset->images.width;
    uint8_t *scratch = syn_malloc((size_t)(height * width));

    if (!scratch)
        return syn_fail_memory((size_t)(height * width), "an image");
    for (int64_t i = 0; i < request->n; i++) {
        int64_t sample = request->samples[i];
        offset by = draw_offset(dataset, request, sample);
        const uint8_t *pixels =
            syn_images_pixels(&dataset->images, (int)request->split, sample, scratch);
        void *x = (char *)batch->x + (size_t)i * batch->x_bytes;

        if (dataset->info.x_dtype == SYN_F32)
            write_image_f32(pixels, height, width, by, dataset->levels_f32, x);
        else
            write_image_f64(pixels, height, width, by, dataset->levels_f64, x);
        batch->y[i] = syn_images_label(&dataset->images, (int)request->split, sample);
    }
    syn_free(scratch);
    return SYN_OK;
}

static void read_windows(const syn_dataset *dataset, const syn_batch_request *request,
                         syn_batch *batch)
{
    const syn_text *text = &dataset->text;
    int64_t block = dataset->info.n_targets;

    for (int64_t i = 0; i < request->n; i++) {
        int64_t start = request->split == SYN_SPLIT_TRAIN
                            ? request->samples[i]
                            : text->n_train + request->samples[i] * block;
        const uint8_t *bytes = text->bytes + start;
        uint8_t *x = (uint8_t *)batch->x + i * block;
        int64_t *y = batch->y + i * block;
        for (int64_t t = 0; t < block; t++) {
            x[t] = text->token_of[bytes[t]];
            y[t] = text->token_of[bytes[t + 1]];
        }
    }
}

syn_status syn_dataset_batch(const syn_dataset *dataset, const syn_batch_request *request,
                             syn_batch *batch)
{
    const syn_dataset_info *info = &dataset->info;
    bool is_train = request->split == SYN_SPLIT_TRAIN;
    int64_t limit = is_train ? info->n_train : info->n_test;

    if (request->n < 0 || request->n > batch->capacity)
        return SYN_FAIL(SYN_INVALID_ARGUMENT, "%lld samples do not fit a batch with room for %lld",
                        (long long)request->n, (long long)batch->capacity);
    for (int64_t i = 0; i < request->n; i++) {
        if (request->samples[i] < 0 || request->samples[i] >= limit)
            return SYN_FAIL(SYN_OUT_OF_RANGE, "sample %lld is not among the %lld of the %s data",
                            (long long)request->samples[i], (long long)limit,
                            is_train ? "training" : "test");
    }
    if (info->kind == SYN_DATA_TEXT)
        read_windows(dataset, request, batch);
    else
        SYN_TRY(read_images(dataset, request, batch));
    batch->n = request->n;
    return SYN_OK;
}
