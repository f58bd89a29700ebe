# The same bits on any number of ranks: it starts some thirty small trainings.
add_test(NAME integration/virtual_shards
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/virtual_shards_test.py)
syn_test_env(integration/virtual_shards)
set_tests_properties(integration/virtual_shards PROPERTIES TIMEOUT 600 RUN_SERIAL TRUE)
