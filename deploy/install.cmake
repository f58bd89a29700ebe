# cmake --install: programs, library, headers, pkg-config file and CMake package.
include(CMakePackageConfigHelpers)

install(TARGETS syncline syncline-worker RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS syncline_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/worker/include/syncline ${PROJECT_SOURCE_DIR}/common/include/syncline
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/proto/syncline DESTINATION ${CMAKE_INSTALL_DATADIR}/syncline/proto)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/examples/ DESTINATION ${CMAKE_INSTALL_DATADIR}/syncline/examples)

file(RELATIVE_PATH SYN_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${PROJECT_SOURCE_DIR}/deploy/syncline.pc.in ${CMAKE_BINARY_DIR}/syncline.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/syncline.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
configure_package_config_file(${PROJECT_SOURCE_DIR}/deploy/SynclineConfig.cmake.in
  ${CMAKE_BINARY_DIR}/SynclineConfig.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Syncline
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/SynclineConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/SynclineConfig.cmake ${CMAKE_BINARY_DIR}/SynclineConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Syncline)
