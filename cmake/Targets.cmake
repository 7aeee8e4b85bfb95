# The three kinds of target. Includes are written from the repository's root ("ir/policy.h"); the public C header as <moe/moe.h>.

# moe_add_library(NAME SOURCES... [LIBS ...]): a static library, linked into the programs and the two shared libraries.
function(moe_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/runtime/include)
  target_link_libraries(${name} PUBLIC ${ARG_LIBS} PRIVATE moe_warnings)
endfunction()

# moe_add_program(NAME SOURCES... [LIBS ...])
function(moe_add_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/runtime/include)
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} moe_warnings)
endfunction()

# moe_uses_regex(SOURCE...): GCC 12 takes std::regex's own moves for reads of what was never written, in instrumented code only.
function(moe_uses_regex)
  if(MOE_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -Wno-maybe-uninitialized)
  endif()
endfunction()

# moe_add_test(NAME SOURCES... [LIBS ...] [LABELS ...] [TIMEOUT seconds]): a doctest program and its CTest entry. Exit code
# 77 is "skipped". Tests run in the repository's root, so that they find examples/ and tests/.
function(moe_add_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LIBS;LABELS;ARGS" ${ARGN})
  moe_add_program(${name} SOURCES ${ARG_SOURCES} LIBS ${ARG_LIBS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name} ${ARG_ARGS} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  # Nothing of the user's cache of compiled policies, and nothing into it.
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
    ENVIRONMENT "MOE_CACHE_DIR=")
endfunction()
