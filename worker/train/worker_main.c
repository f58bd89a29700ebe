/* syncline-worker: one rank of a job, under mpirun alone, for a coordinator's job, or in a pool. */
#include "common/base/str.h"
#include "worker/agent/coordinated.h"
#include "worker/comm/comm.h"
#include "worker/train/plain.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: mpirun -np N syncline-worker JOB_FILE [--set KEY=VALUE]... [--run-dir DIR]\n"
    "                                    [--resume DIR] [--json]\n"
    "       mpirun -np N syncline-worker --resume RUN_DIR\n"
    "       mpirun -np N syncline-worker --coordinator ADDRESS\n"
    "\n"
    "Trains the job of JOB_FILE on N ranks. With --coordinator the ranks form a pool that\n"
    "takes jobs from a coordinator (syncline serve).\n"
    "SIGTERM stops the run at its next step, with a checkpoint if the job writes any. Open MPI\n"
    "kills the ranks one second after it: --mca odls_base_sigkill_timeout 60 gives them longer.\n"
    "\n"
    "  --set KEY=VALUE        overrides a key of the job file, as in --set train.epochs=3\n"
    "  --run-dir DIR          where the run is written (default runs/NAME-TIME)\n"
    "  --resume DIR           goes on from a run's newest checkpoint, or from one checkpoint\n"
    "  --json                 prints the result as JSON instead of progress\n"
    "  --coordinator ADDRESS  unix:///PATH or HOST:PORT of the coordinator\n"
    "  --job ID --epoch E --attempt N\n"
    "                         the coordinator's job these ranks were launched for\n"
    "  --help, --version\n";

enum { MAX_OVERRIDES = 256 };

typedef struct arguments {
    syn_plain_options plain;
    const char *overrides[MAX_OVERRIDES];
    const char *coordinator, *job;
    int64_t epoch, attempt;
} arguments;

enum {
    OPT_SET = 256,
    OPT_RUN_DIR,
    OPT_RESUME,
    OPT_JSON,
    OPT_COORDINATOR,
    OPT_JOB,
    OPT_EPOCH,
    OPT_ATTEMPT,
    OPT_HELP,
    OPT_VERSION
};
static const struct option options[] = {{"set", required_argument, NULL, OPT_SET},
                                        {"run-dir", required_argument, NULL, OPT_RUN_DIR},
                                        {"resume", required_argument, NULL, OPT_RESUME},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"coordinator", required_argument, NULL, OPT_COORDINATOR},
                                        {"job", required_argument, NULL, OPT_JOB},
                                        {"epoch", required_argument, NULL, OPT_EPOCH},
                                        {"attempt", required_argument, NULL, OPT_ATTEMPT},
                                        {"help", no_argument, NULL, OPT_HELP},
                                        {"version", no_argument, NULL, OPT_VERSION},
                                        {0}};

/* Before MPI runs, the launcher's variables tell the rank: one process speaks for all. */
static bool is_first_process(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                        "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]))
            return strcmp(getenv(names[i]), "0") == 0;
    return true;
}

/* Prints the sentence once and returns the exit code. */
static int refuse(const char *sentence, const char *word)
{
    if (!is_first_process())
        return SYN_EXIT_OK;
    (void)fprintf(stderr, "syncline-worker: %s%s%s%s (see syncline-worker --help)\n", sentence,
                  word ? " '" : "", word ? word : "", word ? "'" : "");
    return SYN_EXIT_USAGE;
}

/* Takes one option; false with the exit code if it is not right. */
static bool take_option(arguments *args, int option, char **argv, int *code_out)
{
    switch (option) {
    case OPT_SET:
        if (args->plain.n_overrides == MAX_OVERRIDES || !strchr(optarg, '=')) {
            *code_out = refuse("--set wants KEY=VALUE, not", optarg);
            return false;
        }
        args->overrides[args->plain.n_overrides++] = optarg;
        return true;
    case OPT_RUN_DIR:
        args->plain.run_dir = optarg;
        return true;
    case OPT_RESUME:
        args->plain.resume = optarg;
        return true;
    case OPT_JSON:
        args->plain.json = true;
        return true;
    case OPT_COORDINATOR:
        args->coordinator = optarg;
        return true;
    case OPT_JOB:
        args->job = optarg;
        return true;
    case OPT_EPOCH:
    case OPT_ATTEMPT:
        if (syn_parse_i64(optarg, option == OPT_EPOCH ? &args->epoch : &args->attempt) &&
            (option == OPT_EPOCH ? args->epoch : args->attempt) > 0)
            return true;
        *code_out = refuse(option == OPT_EPOCH ? "--epoch wants a number from 1, not"
                                               : "--attempt wants a number from 1, not",
                           optarg);
        return false;
    case OPT_HELP:
    case OPT_VERSION:
        if (is_first_process())
            (void)fputs(option == OPT_HELP ? usage : "syncline-worker " SYN_VERSION "\n", stdout);
        *code_out = SYN_EXIT_OK;
        return false;
    default:
        *code_out = option == ':' ? refuse("a value is missing after", argv[optind - 1])
                                  : refuse("there is no option", argv[optind - 1]);
        return false;
    }
}

/* Whether the options go together; false with the exit code otherwise. */
static bool check_arguments(arguments *args, int argc, char **argv, int *code_out)
{
    if (optind < argc)
        args->plain.job_file = argv[optind];
    if (optind + 1 < argc)
        *code_out = refuse("only one job file is taken, not also", argv[optind + 1]);
    else if (args->coordinator &&
             (args->plain.job_file || args->plain.run_dir || args->plain.resume ||
              args->plain.n_overrides || args->plain.json))
        *code_out = refuse("--coordinator takes jobs from the coordinator: no job file, --set, "
                           "--run-dir, --resume or --json beside it",
                           NULL);
    else if (!args->coordinator && (args->job || args->epoch || args->attempt))
        *code_out = refuse("--job, --epoch and --attempt need --coordinator", NULL);
    else if (args->coordinator && (args->job || args->epoch || args->attempt) &&
             !(args->job && args->epoch && args->attempt))
        *code_out = refuse("--job, --epoch and --attempt go together", NULL);
    else if (!args->coordinator && !args->plain.job_file && !args->plain.resume)
        *code_out = refuse("a job file is missing", NULL);
    else
        return true;
    return false;
}

static bool parse_arguments(arguments *args, int argc, char **argv, int *code_out)
{
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1)
        if (!take_option(args, option, argv, code_out))
            return false;
    args->plain.overrides = args->overrides;
    return check_arguments(args, argc, argv, code_out);
}

int main(int argc, char **argv)
{
    arguments args = {0};
    int code = SYN_EXIT_OK;

    if (!parse_arguments(&args, argc, argv, &code))
        return code;
    if (syn_comm_start(&argc, &argv) != SYN_OK) {
        (void)fprintf(stderr, "syncline-worker: %s\n", syn_error_message());
        return SYN_EXIT_FAILED;
    }
    if (args.job)
        code = syn_launched_job_run(&(syn_launched_job){.address = args.coordinator,
                                                        .job_id = args.job,
                                                        .epoch = (uint64_t)args.epoch,
                                                        .attempt = (uint32_t)args.attempt});
    else if (args.coordinator)
        code = syn_pool_run(args.coordinator);
    else
        code = syn_plain_run(&args.plain);
    syn_comm_stop();
    return code;
}
