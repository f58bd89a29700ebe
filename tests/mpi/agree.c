/* Agreement: the worst status and its author everywhere, sums, flags and maxima beside it. */
#include "tests/mpi/check.h"

static int last(void)
{
    return world_size() - 1;
}

static void all_well_sums_flags_and_maxima_are_combined(void)
{
    syn_agreement a = {.sums = {0.5, world_rank(), [SYN_AGREE_SUMS - 1] = 2},
                       .flags = UINT64_C(1) << world_rank(),
                       .max = -10 + world_rank()};

    CHECK_OK(syn_comm_agree(syn_comm_world(), SYN_OK, NULL, &a));

    CHECK(a.sums[0] == 0.5 * world_size());
    CHECK(a.sums[1] == world_size() * last() / 2.0);
    CHECK(a.sums[2] == 0 && a.sums[SYN_AGREE_SUMS - 1] == 2.0 * world_size());
    CHECK(a.flags == (UINT64_C(1) << world_size()) - 1);
    CHECK(a.max == -10 + last());
    CHECK(a.culprit == -1 && a.host[0] == '\0' && a.sentence[0] == '\0');
}

static void one_failing_rank_fails_all_with_its_sentence(void)
{
    syn_agreement a = {.sums = {1}};
    char expected[512];
    syn_status mine = world_rank() == last()
                          ? SYN_FAIL(SYN_DATA_LOSS, "block 7 of train.bin is damaged")
                          : SYN_OK;

    CHECK(syn_comm_agree(syn_comm_world(), mine, NULL, &a) == SYN_DATA_LOSS);

    CHECK(a.culprit == last());
    CHECK(strcmp(a.sentence, "block 7 of train.bin is damaged") == 0);
    CHECK(strcmp(a.host, syn_comm_host(syn_comm_world(), last())) == 0);
    (void)snprintf(expected, sizeof expected, "rank %d (%s): block 7 of train.bin is damaged",
                   last(), a.host);
    CHECK(strcmp(syn_error_message(), expected) == 0);
    CHECK(a.sums[0] == world_size());
}

static void the_lowest_of_equally_failing_ranks_speaks(void)
{
    syn_agreement a = {0};

    CHECK(syn_comm_agree(syn_comm_world(), SYN_INTERNAL,
                         world_rank() == 0 ? "zero's words" : "another's", &a) == SYN_INTERNAL);

    CHECK(a.culprit == 0 && strcmp(a.sentence, "zero's words") == 0);
}

static void a_cause_counts_more_than_its_consequences(void)
{
    syn_agreement a = {0};
    syn_status mine = world_rank() == last() ? SYN_OUT_OF_RANGE : SYN_UNAVAILABLE;

    CHECK(syn_comm_agree(syn_comm_world(), mine, "words", &a) == SYN_OUT_OF_RANGE);
    CHECK(a.culprit == last());

    mine = world_rank() == last() ? SYN_ABORTED : SYN_CANCELLED;
    CHECK(syn_comm_agree(syn_comm_world(), mine, "words", &a) == SYN_ABORTED);
    CHECK(a.culprit == last());
}

static void a_failure_without_words_gets_its_statuss_text(void)
{
    syn_agreement a = {0};

    syn_error_clear();
    CHECK(syn_comm_agree(syn_comm_world(), SYN_CANCELLED, "", &a) == SYN_CANCELLED);

    CHECK(strcmp(a.sentence, "cancelled") == 0);
}

static void a_long_sentence_is_cut_not_overrun(void)
{
    syn_agreement a = {0};
    char words[4096];
    memset(words, 'x', sizeof words - 1);
    words[sizeof words - 1] = '\0';

    CHECK(syn_comm_agree(syn_comm_world(), SYN_INTERNAL, words, &a) == SYN_INTERNAL);

    CHECK(strlen(a.sentence) == sizeof a.sentence - 1);
}

static void agreeing_works_without_an_agreement_and_after_failures(void)
{
    CHECK(syn_comm_agree(syn_comm_world(), world_rank() ? SYN_OK : SYN_NOT_FOUND, "gone", NULL) ==
          SYN_NOT_FOUND);
    CHECK_OK(syn_comm_agree(syn_comm_world(), SYN_OK, NULL, NULL));
}

int main(int argc, char **argv)
{
    if (syn_comm_start(&argc, &argv) != SYN_OK)
        return 1;
    RUN(all_well_sums_flags_and_maxima_are_combined);
    RUN(one_failing_rank_fails_all_with_its_sentence);
    RUN(the_lowest_of_equally_failing_ranks_speaks);
    RUN(a_cause_counts_more_than_its_consequences);
    RUN(a_failure_without_words_gets_its_statuss_text);
    RUN(a_long_sentence_is_cut_not_overrun);
    RUN(agreeing_works_without_an_agreement_and_after_failures);
    syn_comm_stop();
    return 0;
}
