# The worker under plain mpirun: training, checkpoints, failures, signals. One at a time: they use all cores.
foreach(name train_plain train_resume train_failure train_pool)
  add_test(NAME integration/${name} COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/${name}.py)
  syn_test_env(integration/${name})
  set_tests_properties(integration/${name} PROPERTIES TIMEOUT 600 RUN_SERIAL TRUE)
endforeach()
