# Fails when docs/job-file.md is not what PROGRAM prints from the table of job keys.
execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE printed RESULT_VARIABLE code)
file(READ ${FILE} committed)
if(NOT code EQUAL 0 OR NOT printed STREQUAL committed)
  message(FATAL_ERROR "docs/job-file.md is not what the table of job keys says; renew it:\n"
    "    ${PROGRAM} > ${FILE}")
endif()
