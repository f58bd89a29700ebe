/* Agreement on the worst status of all ranks, with sums, flags and the culprit's sentence, in one
 * small all-reduce. */
#include "worker/comm/internal.h"

#include <stdio.h>
#include <string.h>

/* What travels. `key` orders failures: severity above, then the lower rank, then the status; 0 when
 * all is well. */
struct vote {
    uint64_t key, flags;
    int64_t max;
    double sums[SYN_AGREE_SUMS];
};

struct ballot {
    struct vote vote;
    char sentence[sizeof((syn_agreement *)0)->sentence];
};

static uint64_t severity(syn_status status)
{
    switch (status) {
    case SYN_OK:
        return 0;
    case SYN_CANCELLED:
        return 1;
    case SYN_ABORTED:
    case SYN_UNAVAILABLE:
        return 2;
    default:
        return 3;
    }
}

static uint64_t vote_key(syn_status status, int rank)
{
    if (status == SYN_OK)
        return 0;
    return severity(status) << 40 | (uint64_t)(UINT32_MAX - (uint32_t)rank) << 8 | (uint64_t)status;
}

static void combine(void *in, void *in_out, int *n, MPI_Datatype *type)
{
    const struct vote *a = in;
    struct vote *b = in_out;
    (void)type;
    for (int i = 0; i < *n; i++) {
        b[i].key = a[i].key > b[i].key ? a[i].key : b[i].key;
        b[i].flags |= a[i].flags;
        b[i].max = a[i].max > b[i].max ? a[i].max : b[i].max;
        for (int k = 0; k < SYN_AGREE_SUMS; k++)
            b[i].sums[k] += a[i].sums[k];
    }
}

static syn_status run_agree(syn_comm_work *work)
{
    struct ballot *ballot = work->engine.buffer;
    syn_comm *comm = work->engine.comm;
    MPI_Datatype type;
    MPI_Op op;

    (void)MPI_Type_contiguous((int)sizeof(struct vote), MPI_BYTE, &type);
    (void)MPI_Type_commit(&type);
    (void)MPI_Op_create(combine, 1, &op);
    int error = MPI_Allreduce(MPI_IN_PLACE, &ballot->vote, 1, type, op, comm->mpi);
    (void)MPI_Op_free(&op);
    (void)MPI_Type_free(&type);
    SYN_TRY(comm_check(error, comm, "MPI_Allreduce", sizeof(struct vote)));
    if (ballot->vote.key == 0)
        return SYN_OK;
    int culprit = (int)(UINT32_MAX - (uint32_t)(ballot->vote.key >> 8));
    error = MPI_Bcast(ballot->sentence, (int)sizeof ballot->sentence, MPI_CHAR, culprit, comm->mpi);
    return comm_check(error, comm, "MPI_Bcast", sizeof ballot->sentence);
}

syn_status syn_comm_agree(syn_comm *comm, syn_status local, const char *sentence,
                          syn_agreement *agreement)
{
    syn_agreement none = {0}, *a = agreement ? agreement : &none;
    struct ballot ballot = {
        .vote = {.key = vote_key(local, comm->rank), .flags = a->flags, .max = a->max}};
    syn_comm_work work = {.engine = {.run = run_agree, .comm = comm, .buffer = &ballot},
                          .bytes = sizeof(struct vote),
                          .algorithm = "agreement"};

    memcpy(ballot.vote.sums, a->sums, sizeof a->sums);
    (void)snprintf(ballot.sentence, sizeof ballot.sentence, "%s",
                   sentence ? sentence : syn_error_message());
    SYN_TRY(comm_run(&work));
    memcpy(a->sums, ballot.vote.sums, sizeof a->sums);
    a->flags = ballot.vote.flags;
    a->max = ballot.vote.max;
    a->culprit = -1;
    a->host[0] = a->sentence[0] = '\0';
    if (ballot.vote.key == 0)
        return SYN_OK;

    syn_status worst = (syn_status)(ballot.vote.key & 0xff);
    a->culprit = (int)(UINT32_MAX - (uint32_t)(ballot.vote.key >> 8));
    (void)snprintf(a->host, sizeof a->host, "%s", syn_comm_host(comm, a->culprit));
    memcpy(a->sentence, ballot.sentence, sizeof a->sentence);
    if (a->sentence[0] == '\0')
        (void)snprintf(a->sentence, sizeof a->sentence, "%s", syn_status_text(worst));
    return SYN_FAIL(worst, "rank %d (%s): %s", a->culprit, a->host, a->sentence);
}
