# The installed package is usable.
add_test(NAME integration/install COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/install_test.sh ${CMAKE_BINARY_DIR})
syn_test_env(integration/install)
if(SYN_SANITIZE)
  set_property(TEST integration/install APPEND PROPERTY ENVIRONMENT "SYNCLINE_TEST_CFLAGS=-fsanitize=${SYN_SANITIZE}")
endif()
