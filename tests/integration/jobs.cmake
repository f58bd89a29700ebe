# The programs together: jobs through a coordinator, and what happens when a part of it dies. One at a time: they use all cores.
foreach(name grpcio pool rank_killed coordinator_killed network_cut bad_jobs run accuracy)
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${name}_test.py)
    add_test(NAME integration/${name} COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/${name}_test.py)
    syn_test_env(integration/${name})
    set_tests_properties(integration/${name} PROPERTIES TIMEOUT 900 RUN_SERIAL TRUE)
  endif()
endforeach()
