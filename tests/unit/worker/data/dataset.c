/* Data sets: shapes, normalisation, augmentation, fingerprints and refusals. */
#include "worker/data/dataset.h"

#include "tests/unit/worker/data/support.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

static void read_batch(const syn_dataset *dataset, syn_split split, const int64_t *samples,
                       int64_t n, syn_batch *batch)
{
    syn_batch_request request = {.split = split, .samples = samples, .n = n};

    if (syn_dataset_batch(dataset, &request, batch) != SYN_OK)
        fail_msg("%s", syn_error_message());
}

static void idx_files_give_normalised_images_and_labels(void **state)
{
    char *folder = make_folder();
    syn_batch batch;
    (void)state;
    write_four_files(folder, 9, 6);
    syn_job_spec spec = idx_spec(folder);
    syn_dataset *dataset = open_dataset(&spec);
    const syn_dataset_info *info = syn_dataset_get_info(dataset);
    assert_int_equal(syn_batch_init(&batch, dataset, 2), SYN_OK);

    read_batch(dataset, SYN_SPLIT_TRAIN, (int64_t[]){4, 0}, 2, &batch);

    assert_int_equal(info->n_train, 9);
    assert_int_equal(info->n_test, 6);
    assert_int_equal(info->n_classes, 3);
    assert_int_equal(info->x_shape.ndim, 3);
    assert_int_equal(info->x_shape.dims[1], 3);
    assert_int_equal(info->x_shape.dims[2], 2);
    assert_int_equal(info->x_dtype, SYN_F32);
    /* Bytes 0..53: mean 26.5, variance (54^2 - 1) / 12. */
    double mean = 26.5, std = sqrt((54.0 * 54.0 - 1) / 12);
    assert_true(fabs(info->mean * 255 - mean) < 1e-9 && fabs(info->std * 255 - std) < 1e-9);
    const float *x = batch.x;
    for (int k = 0; k < 6; k++) {
        assert_true(fabs((double)x[k] - (24 + k - mean) / std) < 1e-6);
        assert_true(fabs((double)x[6 + k] - (k - mean) / std) < 1e-6);
    }
    assert_int_equal(batch.n, 2);
    assert_int_equal(batch.y[0], 1);
    assert_int_equal(batch.y[1], 0);
    syn_batch_release(&batch);
    syn_dataset_free(dataset);
    remove_folder(folder);
}

static void f64_jobs_read_f64_images(void **state)
{
    char *folder = make_folder();
    syn_batch batch;
    (void)state;
    write_four_files(folder, 9, 6);
    syn_job_spec spec = idx_spec(folder);
    spec.dtype = SYN_F64;
    syn_dataset *dataset = open_dataset(&spec);
    const syn_dataset_info *info = syn_dataset_get_info(dataset);
    assert_int_equal(syn_batch_init(&batch, dataset, 1), SYN_OK);

    read_batch(dataset, SYN_SPLIT_TEST, (int64_t[]){5}, 1, &batch);

    assert_int_equal(batch.x_bytes, 6 * sizeof(double));
    assert_true(fabs(((double *)batch.x)[5] - (35.0 / 255 - info->mean) / info->std) < 1e-14);
    assert_int_equal(batch.y[0], 2);
    syn_batch_release(&batch);
    syn_dataset_free(dataset);
    remove_folder(folder);
}

static void n_train_and_n_test_limit_what_is_used(void **state)
{
    char *folder = make_folder();
    (void)state;
    write_four_files(folder, 9, 6);
    syn_job_spec spec = idx_spec(folder);
    spec.data.n_train = 5;
    spec.data.n_test = 100;
    syn_dataset *dataset = open_dataset(&spec);

    assert_int_equal(syn_dataset_get_info(dataset)->n_train, 5);
    assert_int_equal(syn_dataset_get_info(dataset)->epoch_samples, 5);
    assert_int_equal(syn_dataset_get_info(dataset)->n_test, 6);
    syn_dataset_free(dataset);
    remove_folder(folder);
}

static void expect_refusal(const syn_job_spec *spec, const char *says)
{
    syn_dataset *dataset = NULL;

    assert_int_not_equal(syn_dataset_open(spec, &dataset), SYN_OK);
    assert_null(dataset);
    assert_error_says(says);
}

static void files_that_do_not_fit_together_are_refused(void **state)
{
    char *folder = make_folder();
    (void)state;
    write_four_files(folder, 9, 6);
    syn_job_spec spec = idx_spec(folder);

    syn_str labels = idx_bytes(1, (int64_t[]){8}, 0, 3);
    write_file(folder, "train-labels-idx1-ubyte", labels.data, labels.length);
    expect_refusal(&spec, "train-images-idx3-ubyte has 9 images but ");
    expect_refusal(&spec, "train-labels-idx1-ubyte has 8 labels");
    write_four_files(folder, 9, 6);
    syn_str images = idx_bytes(3, (int64_t[]){6, 3, 3}, 0, 9);
    write_file(folder, "t10k-images-idx3-ubyte", images.data, images.length);
    expect_refusal(&spec, "has images of 3 x 2 but ");
    write_four_files(folder, 9, 6);
    syn_str high = idx_bytes(1, (int64_t[]){6}, 0, 7);
    write_file(folder, "t10k-labels-idx1-ubyte", high.data, high.length);
    expect_refusal(&spec, "t10k-labels-idx1-ubyte: label 3 of item 3 does not occur in ");

    syn_str_release(&labels);
    syn_str_release(&images);
    syn_str_release(&high);
    remove_folder(folder);
}

static void missing_data_is_one_sentence_with_the_path(void **state)
{
    char *folder = make_folder(), *missing = syn_path_join(folder, "nowhere");
    syn_job_spec idx = idx_spec(missing), text = text_spec(missing, 4, 0), file, no_text;
    (void)state;
    write_file(folder, "f", "x", 1);
    char *path = syn_path_join(folder, "f");
    file = idx_spec(path);
    no_text = text_spec(folder, 4, 0);

    expect_refusal(&idx, "/nowhere: No such file or directory");
    expect_refusal(&text, "/nowhere: No such file or directory");
    expect_refusal(&file, "is a file, idx data needs the folder with the four files");
    expect_refusal(&no_text, "is not a regular file");
    idx.data.path = NULL;
    expect_refusal(&idx, "data.path is not set");
    text.data.path = NULL;
    expect_refusal(&text, "data.path is not set");

    syn_free(path);
    syn_free(missing);
    remove_folder(folder);
}

static void a_folder_without_permission_is_one_sentence(void **state)
{
    (void)state;
    if (geteuid() == 0)
        skip(); /* root may read everything */
    char *folder = make_folder();
    syn_job_spec spec = idx_spec(folder);
    write_four_files(folder, 9, 6);
    assert_int_equal(chmod(folder, 0), 0);

    expect_refusal(&spec, "Permission denied");
    assert_int_equal(chmod(folder, 0700), 0);
    remove_folder(folder);
}

static void images_of_integers_are_refused(void **state)
{
    syn_job_spec spec = digits_spec(10, 10);
    (void)state;

    spec.dtype = SYN_I32;
    expect_refusal(&spec, "images are read as f32 or f64, not as i32");
    spec = digits_spec(0, 10);
    expect_refusal(&spec, "data.n_train is 0");
    spec = digits_spec(10, 10);
    spec.data.augment_shift = 28;
    expect_refusal(&spec, "data.augment_shift is 28, images of 28 x 28");
}

static void a_text_becomes_tokens_and_windows(void **state)
{
    char *folder = make_folder(), *path = syn_path_join(folder, "t");
    syn_batch batch;
    (void)state;
    write_file(folder, "t", "hello world, hello!\n", 20);
    syn_job_spec spec = text_spec(path, 4, 0.3);
    syn_dataset *dataset = open_dataset(&spec);
    const syn_dataset_info *info = syn_dataset_get_info(dataset);
    assert_int_equal(syn_batch_init(&batch, dataset, 2), SYN_OK);

    /* 14 bytes to train with, "hello world, h"; "ello!\n" to validate. */
    assert_int_equal(info->n_classes, 11);
    assert_memory_equal(info->vocabulary, "\n !,dehlorw", 11);
    assert_int_equal(info->n_train, 10);
    assert_int_equal(info->epoch_samples, 3);
    assert_int_equal(info->n_test, 1);
    assert_int_equal(info->x_dtype, SYN_U8);
    assert_int_equal(info->n_targets, 4);
    read_batch(dataset, SYN_SPLIT_TRAIN, (int64_t[]){0, 9}, 2, &batch);
    const uint8_t *x = batch.x;
    for (int t = 0; t < 4; t++) {
        assert_int_equal(info->vocabulary[x[t]], "hello"[t]);
        assert_int_equal(info->vocabulary[batch.y[t]], "hello"[t + 1]);
        assert_int_equal(info->vocabulary[x[4 + t]], "ld, h"[t]);
        assert_int_equal(info->vocabulary[batch.y[4 + t]], "ld, h"[t + 1]);
    }
    read_batch(dataset, SYN_SPLIT_TEST, (int64_t[]){0}, 1, &batch);
    assert_int_equal(info->vocabulary[x[0]], 'e');
    assert_int_equal(info->vocabulary[batch.y[3]], '!');

    syn_batch_release(&batch);
    syn_dataset_free(dataset);
    syn_free(path);
    remove_folder(folder);
}

static void a_text_too_short_for_its_windows_is_refused(void **state)
{
    char *folder = make_folder(), *path = syn_path_join(folder, "t");
    (void)state;
    write_file(folder, "t", "0123456789", 10);

    syn_job_spec spec = text_spec(path, 10, 0);
    expect_refusal(&spec, "its training part has 10 bytes, a window of block 10 needs 11");
    spec = text_spec(path, 4, 0.2);
    expect_refusal(&spec, "val_fraction 0.2 leaves 2 bytes for validation");
    spec = text_spec(path, 0, 0.2);
    expect_refusal(&spec, "model.block is 0");
    spec = text_spec(path, 4, 1);
    expect_refusal(&spec, "data.val_fraction is 1");
    write_file(folder, "t", "", 0);
    spec = text_spec(path, 4, 0);
    expect_refusal(&spec, "is empty");

    syn_free(path);
    remove_folder(folder);
}

static void a_shift_moves_the_image_and_is_keyed(void **state)
{
    char *folder = make_folder();
    syn_batch plain, moved;
    int n_moved = 0;
    (void)state;
    write_four_files(folder, 9, 6);
    syn_job_spec spec = idx_spec(folder);
    spec.data.augment_shift = 1;
    syn_dataset *dataset = open_dataset(&spec);
    const syn_dataset_info *info = syn_dataset_get_info(dataset);
    float black = (float)((0 - info->mean) / info->std);
    assert_int_equal(syn_batch_init(&plain, dataset, 1), SYN_OK);
    assert_int_equal(syn_batch_init(&moved, dataset, 1), SYN_OK);

    for (uint64_t key = 0; key < 50; key++) {
        int64_t sample = (int64_t)(key % 9);
        syn_batch_request request = {
            .samples = &sample, .n = 1, .augment = true, .augment_key = key};
        read_batch(dataset, SYN_SPLIT_TRAIN, &sample, 1, &plain);
        assert_int_equal(syn_dataset_batch(dataset, &request, &moved), SYN_OK);
        const float *from = plain.x, *to = moved.x;
        bool found = false;
        for (int dy = -1; dy <= 1 && !found; dy++) {
            for (int dx = -1; dx <= 1 && !found; dx++) {
                found = true;
                for (int k = 0; k < 6 && found; k++) {
                    int row = k / 2 - dy, column = k % 2 - dx;
                    bool inside = row >= 0 && row < 3 && column >= 0 && column < 2;
                    found = to[k] == (inside ? from[row * 2 + column] : black);
                }
            }
        }
        assert_true(found);
        n_moved += memcmp(from, to, plain.x_bytes) != 0;
        float copy[6];
        memcpy(copy, to, sizeof copy);
        assert_int_equal(syn_dataset_batch(dataset, &request, &moved), SYN_OK);
        assert_memory_equal(copy, moved.x, sizeof copy);
        request.split = SYN_SPLIT_TEST; /* never moved */
        sample %= 6;
        assert_int_equal(syn_dataset_batch(dataset, &request, &moved), SYN_OK);
        read_batch(dataset, SYN_SPLIT_TEST, &sample, 1, &plain);
        assert_memory_equal(plain.x, moved.x, plain.x_bytes);
    }

    assert_in_range(n_moved, 30, 50);
    syn_batch_release(&plain);
    syn_batch_release(&moved);
    syn_dataset_free(dataset);
    remove_folder(folder);
}

static void digits_are_the_same_however_they_are_asked_for(void **state)
{
    syn_job_spec small = digits_spec(30, 10), large = digits_spec(60, 20);
    syn_dataset *a = open_dataset(&small), *b = open_dataset(&large);
    syn_batch from_a, from_b;
    (void)state;
    assert_int_equal(syn_batch_init(&from_a, a, 3), SYN_OK);
    assert_int_equal(syn_batch_init(&from_b, b, 3), SYN_OK);

    for (int split = 0; split < 2; split++) {
        read_batch(a, (syn_split)split, (int64_t[]){7, 2, 7}, 3, &from_a);
        read_batch(b, (syn_split)split, (int64_t[]){7, 2, 7}, 3, &from_b);
        assert_memory_equal(from_a.y, from_b.y, 3 * sizeof *from_a.y);
        assert_memory_equal(from_a.x, (char *)from_a.x + 2 * from_a.x_bytes, from_a.x_bytes);
    }
    assert_int_equal(syn_dataset_get_info(a)->n_classes, 10);
    syn_batch_release(&from_a);
    syn_batch_release(&from_b);
    syn_dataset_free(a);
    syn_dataset_free(b);
}

static void the_fingerprint_tells_data_apart(void **state)
{
    char *folder = make_folder();
    syn_job_spec small = digits_spec(30, 10), large = digits_spec(31, 10);
    syn_dataset *a = open_dataset(&small), *b = open_dataset(&small), *c = open_dataset(&large);
    (void)state;

    assert_string_equal(syn_dataset_get_info(a)->fingerprint, syn_dataset_get_info(b)->fingerprint);
    assert_string_not_equal(syn_dataset_get_info(a)->fingerprint,
                            syn_dataset_get_info(c)->fingerprint);
    assert_int_equal(strlen(syn_dataset_get_info(a)->fingerprint), 64);
    char *path = syn_path_join(folder, "t");
    syn_job_spec text = text_spec(path, 3, 0);
    write_file(folder, "t", "one two three", 13);
    syn_dataset *d = open_dataset(&text);
    write_file(folder, "t", "one two ehree", 13);
    syn_dataset *e = open_dataset(&text);
    assert_string_not_equal(syn_dataset_get_info(d)->fingerprint,
                            syn_dataset_get_info(e)->fingerprint);

    syn_dataset_free(a);
    syn_dataset_free(b);
    syn_dataset_free(c);
    syn_dataset_free(d);
    syn_dataset_free(e);
    syn_free(path);
    remove_folder(folder);
}

static void samples_that_do_not_exist_are_refused(void **state)
{
    syn_job_spec spec = digits_spec(10, 4);
    syn_dataset *dataset = open_dataset(&spec);
    syn_batch batch;
    int64_t sample = 4;
    syn_batch_request request = {.split = SYN_SPLIT_TEST, .samples = &sample, .n = 1};
    (void)state;
    assert_int_equal(syn_batch_init(&batch, dataset, 1), SYN_OK);

    assert_int_equal(syn_dataset_batch(dataset, &request, &batch), SYN_OUT_OF_RANGE);
    assert_error_says("sample 4 is not among the 4 of the test data");
    sample = -1;
    assert_int_equal(syn_dataset_batch(dataset, &request, &batch), SYN_OUT_OF_RANGE);
    request.n = 2;
    assert_int_equal(syn_dataset_batch(dataset, &request, &batch), SYN_INVALID_ARGUMENT);
    request.n = 0;
    assert_int_equal(syn_dataset_batch(dataset, &request, &batch), SYN_OK);
    assert_int_equal(batch.n, 0);

    syn_batch_release(&batch);
    syn_dataset_free(dataset);
}

static void a_failing_allocation_is_an_error_wherever_it_happens(void **state)
{
    char *folder = make_folder();
    (void)state;
    write_four_files(folder, 9, 6);
    syn_job_spec specs[] = {digits_spec(5, 5), idx_spec(folder)};

    for (int i = 0; i < 2; i++) {
        for (long n = 1;; n++) {
            syn_dataset *dataset = NULL;
            syn_mem_fail_after(n);
            syn_status status = syn_dataset_open(&specs[i], &dataset);
            int failed = syn_mem_has_failed();
            syn_mem_fail_after(0);
            assert_int_equal(status, failed ? SYN_RESOURCE_EXHAUSTED : SYN_OK);
            syn_dataset_free(dataset);
            if (!failed)
                break;
        }
    }
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idx_files_give_normalised_images_and_labels),
        cmocka_unit_test(f64_jobs_read_f64_images),
        cmocka_unit_test(n_train_and_n_test_limit_what_is_used),
        cmocka_unit_test(files_that_do_not_fit_together_are_refused),
        cmocka_unit_test(missing_data_is_one_sentence_with_the_path),
        cmocka_unit_test(a_folder_without_permission_is_one_sentence),
        cmocka_unit_test(images_of_integers_are_refused),
        cmocka_unit_test(a_text_becomes_tokens_and_windows),
        cmocka_unit_test(a_text_too_short_for_its_windows_is_refused),
        cmocka_unit_test(a_shift_moves_the_image_and_is_keyed),
        cmocka_unit_test(digits_are_the_same_however_they_are_asked_for),
        cmocka_unit_test(the_fingerprint_tells_data_apart),
        cmocka_unit_test(samples_that_do_not_exist_are_refused),
        cmocka_unit_test(a_failing_allocation_is_an_error_wherever_it_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
