# The RPC room against Python's gRPC and against attackers: a server of a small service of its own.
set(ECHO ${CMAKE_CURRENT_BINARY_DIR}/rpc_echo)
file(MAKE_DIRECTORY ${ECHO})
add_custom_command(
  OUTPUT ${ECHO}/rpc_echo.pb-c.c ${ECHO}/rpc_echo.pb-c.h
  COMMAND ${PROTOC_C} --proto_path=${CMAKE_CURRENT_SOURCE_DIR} --c_out=${ECHO} rpc_echo.proto
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/rpc_echo.proto WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} VERBATIM)
add_custom_command(
  OUTPUT ${ECHO}/descriptors.c
  COMMAND ${PROTOC} --proto_path=${CMAKE_CURRENT_SOURCE_DIR} --include_imports
          --descriptor_set_out=${ECHO}/descriptors.binpb rpc_echo.proto
  COMMAND ${CMAKE_COMMAND} -DIN=${ECHO}/descriptors.binpb -DOUT=${ECHO}/descriptors.c -DNAME=rpc_echo_descriptors
          -P ${PROJECT_SOURCE_DIR}/proto/embed.cmake
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/rpc_echo.proto WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} VERBATIM)
add_library(rpc_echo_proto STATIC ${ECHO}/rpc_echo.pb-c.c ${ECHO}/descriptors.c)
target_include_directories(rpc_echo_proto PUBLIC ${ECHO})
target_link_libraries(rpc_echo_proto PUBLIC PkgConfig::PROTOBUF_C)
add_executable(rpc_echo_server ${CMAKE_CURRENT_SOURCE_DIR}/rpc_echo_server.c)
set_target_properties(rpc_echo_server PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(rpc_echo_server PRIVATE syn_flags syn_common rpc_echo_proto)
add_test(NAME integration/rpc_python
  COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/rpc_python.py $<TARGET_FILE:rpc_echo_server>)
syn_test_env(integration/rpc_python)
set_tests_properties(integration/rpc_python PROPERTIES TIMEOUT 300)
