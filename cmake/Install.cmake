# `cmake --install build/release --prefix DIR`: libraries, the C header, programs, the standard policies, and what other
# builds find us by.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(MOE_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/moe)
# Programs and libmoec find the libraries beside them, wherever the tree is.
set_target_properties(moe moec_lib PROPERTIES INSTALL_RPATH "$ORIGIN")
set_target_properties(moec moec-run PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")

install(TARGETS moe moec_lib EXPORT moeTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS moec moec-run RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/include/moe DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET moe_cuda)  # beside libmoe, which looks for it there
  install(TARGETS moe_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/stdlib-policies/ DESTINATION ${CMAKE_INSTALL_DATADIR}/moe/std FILES_MATCHING PATTERN "*.moe")
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/diagnostics/ DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/moe/diagnostics OPTIONAL)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples/editors/ DESTINATION ${CMAKE_INSTALL_DATADIR}/moe/editors)
install(EXPORT moeTargets NAMESPACE moe:: DESTINATION ${MOE_PACKAGE_DIR})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/moeConfig.cmake.in ${CMAKE_BINARY_DIR}/moeConfig.cmake
  INSTALL_DESTINATION ${MOE_PACKAGE_DIR})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/moeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/moeConfig.cmake ${CMAKE_BINARY_DIR}/moeConfigVersion.cmake DESTINATION ${MOE_PACKAGE_DIR})
# Relative to the file itself, so that an installed tree can be moved.
file(RELATIVE_PATH MOE_PREFIX_FROM_PC "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(${PROJECT_SOURCE_DIR}/cmake/moe.pc.in ${CMAKE_BINARY_DIR}/moe.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/moe.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
