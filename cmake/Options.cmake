# How everything is built: the language, warnings, floating point, sanitizers, ccache.

option(MOE_BUILD_TESTS "Build the tests" ON)
option(MOE_BUILD_BENCH "Build the benchmarks" ON)
option(MOE_FUZZ "Build the libFuzzer targets of tests/fuzz and nothing else; the compiler must be clang" OFF)
set(MOE_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them: address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Decisions agree bit for bit between four engines only if no compiler fuses a*b+c on its own.
add_compile_options(-ffp-contract=off)

add_library(moe_warnings INTERFACE)
target_compile_options(moe_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(moe_warnings INTERFACE -Wno-restrict)  # GCC 12 sees overlaps in std::string that are not there
endif()

if(MOE_SANITIZE)
  add_compile_options(-fsanitize=${MOE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MOE_SANITIZE})
endif()

if(MOE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
  target_compile_options(moe_warnings INTERFACE -w)  # the product is GCC's; clang has other opinions on libstdc++ 12
endif()

find_program(MOE_CCACHE ccache)
if(MOE_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${MOE_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${MOE_CCACHE})
endif()

find_package(Threads REQUIRED)

# CUDA is found when present and never needed. The host backend is the only one of this version.
option(MOE_REQUIRE_CUDA "Fail when the CUDA compiler is not found" OFF)
find_program(MOE_NVCC nvcc HINTS /usr/local/cuda/bin)
if(MOE_NVCC)
  message(STATUS "CUDA compiler: ${MOE_NVCC}")
elseif(MOE_REQUIRE_CUDA)
  message(FATAL_ERROR "preset cuda needs nvcc: put it on the PATH, or use preset release")
else()
  message(STATUS "CUDA compiler: none, which is fine")
endif()
