/* metrics.csv: its header, empty cells, and the rows that a resumed run keeps. */
#include "worker/train/metrics.h"

#include "tests/unit/worker/train/scratch.h"

#define HEADER                                                                      \
    "step,epoch,time_s,lr,train_loss,grad_norm,samples_per_s,hidden_ms,exposed_ms," \
    "test_accuracy,val_loss\n"

static void add_row(syn_metrics *metrics, double step, double time_s, double loss)
{
    syn_metrics_row row = {0};
    syn_metrics_set(&row, SYN_METRIC_step, step);
    syn_metrics_set(&row, SYN_METRIC_time_s, time_s);
    syn_metrics_set(&row, SYN_METRIC_train_loss, loss);
    assert_int_equal(syn_metrics_add(metrics, &row, false), SYN_OK);
}

static void rows_have_empty_cells_for_what_is_not_known(void **state)
{
    syn_metrics *metrics = NULL;

    assert_int_equal(syn_metrics_open(*state, 0, &metrics), SYN_OK);
    add_row(metrics, 1, 0.5, 2.25);
    add_row(metrics, 2, 1, 0.1);
    assert_int_equal(syn_metrics_close(metrics), SYN_OK);

    char *text = read_file(*state, "metrics.csv");
    assert_string_equal(text, HEADER "1,,0.5,,2.25,,,,,,\n2,,1,,0.1,,,,,,\n");
    syn_free(text);
}

static void a_run_from_scratch_forgets_the_old_rows(void **state)
{
    syn_metrics *metrics = NULL;
    write_file(*state, "metrics.csv", HEADER "1,,0.5,,2.25,,,,,,\n");

    assert_int_equal(syn_metrics_open(*state, 0, &metrics), SYN_OK);
    assert_int_equal(syn_metrics_close(metrics), SYN_OK);

    char *text = read_file(*state, "metrics.csv");
    assert_string_equal(text, HEADER);
    syn_free(text);
}

static void a_resumed_run_keeps_the_rows_up_to_its_step(void **state)
{
    syn_metrics *metrics = NULL;
    write_file(*state, "metrics.csv", HEADER "1,,0.5,,3,,,,,,\n2,,1.5,,2,,,,,,\n3,,2.5,,1,,,,,,\n");

    assert_int_equal(syn_metrics_open(*state, 2, &metrics), SYN_OK);
    assert_true(syn_metrics_last_time_s(metrics) == 1.5);
    add_row(metrics, 3, 9, 0.5);
    assert_int_equal(syn_metrics_close(metrics), SYN_OK);

    char *text = read_file(*state, "metrics.csv");
    assert_string_equal(text, HEADER "1,,0.5,,3,,,,,,\n2,,1.5,,2,,,,,,\n3,,9,,0.5,,,,,,\n");
    syn_free(text);
}

static void a_torn_last_row_is_dropped(void **state)
{
    syn_metrics *metrics = NULL;
    write_file(*state, "metrics.csv", HEADER "1,,0.5,,3,,,,,,\n2,,1.5,,");

    assert_int_equal(syn_metrics_open(*state, 5, &metrics), SYN_OK);
    assert_int_equal(syn_metrics_close(metrics), SYN_OK);

    char *text = read_file(*state, "metrics.csv");
    assert_string_equal(text, HEADER "1,,0.5,,3,,,,,,\n");
    syn_free(text);
}

static void junk_in_an_old_file_ends_what_is_kept(void **state)
{
    syn_metrics *metrics = NULL;
    write_file(*state, "metrics.csv", "no newline at all");
    assert_int_equal(syn_metrics_open(*state, 5, &metrics), SYN_OK);
    assert_int_equal(syn_metrics_close(metrics), SYN_OK);
    write_file(*state, "metrics.csv", HEADER "1,,0.5,,3,,,,,,\nhello\n2,,1,,3,,,,,,\n");
    assert_int_equal(syn_metrics_open(*state, 5, &metrics), SYN_OK);
    assert_int_equal(syn_metrics_close(metrics), SYN_OK);

    char *text = read_file(*state, "metrics.csv");
    assert_string_equal(text, HEADER "1,,0.5,,3,,,,,,\n");
    syn_free(text);
}

static void a_file_that_cannot_be_written_is_named(void **state)
{
    syn_metrics *metrics = NULL;
    char *path = path_in(*state, "metrics.csv");
    assert_int_equal(syn_metrics_open(*state, 0, &metrics), SYN_OK);
    assert_int_equal(syn_metrics_close(metrics), SYN_OK);
    metrics = NULL;
    /* A folder stands where the file should. */
    assert_int_equal(remove(path), 0);
    assert_int_equal(syn_dir_make(path), SYN_OK);

    assert_int_not_equal(syn_metrics_open(*state, 0, &metrics), SYN_OK);

    assert_non_null(strstr(syn_error_message(), "metrics.csv"));
    syn_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(rows_have_empty_cells_for_what_is_not_known),
        in_scratch(a_run_from_scratch_forgets_the_old_rows),
        in_scratch(a_resumed_run_keeps_the_rows_up_to_its_step),
        in_scratch(a_torn_last_row_is_dropped),
        in_scratch(junk_in_an_old_file_ends_what_is_kept),
        in_scratch(a_file_that_cannot_be_written_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
