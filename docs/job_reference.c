/* Prints docs/job-file.md from the table of job keys. */
#include "common/format/job_spec.h"

int main(void)
{
    syn_job_spec_print_reference(stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}
