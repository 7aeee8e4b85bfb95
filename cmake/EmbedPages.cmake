# Writes the pages of docs/diagnostics into a C++ source: the programs need no file of the source tree at run time.
#   cmake -D PAGES_DIR=docs/diagnostics -D OUTPUT=pages.cpp -P EmbedPages.cmake
file(GLOB pages "${PAGES_DIR}/MOE[0-9][0-9][0-9][0-9].md")
list(SORT pages)
set(entries "")
foreach(page IN LISTS pages)
  get_filename_component(code "${page}" NAME_WE)
  file(READ "${page}" text)
  string(REGEX MATCH "^# ${code}: ([^\n]+)\n" first_line "${text}")
  if(first_line STREQUAL "")
    message(FATAL_ERROR "${page} must begin with `# ${code}: what it is`")
  endif()
  string(APPEND entries "    {\"${code}\", R\"page(${CMAKE_MATCH_1})page\", R\"page(${text})page\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "// Made by cmake/EmbedPages.cmake from docs/diagnostics.
#include \"ir/pages.h\"

namespace moe::ir {
namespace {

constexpr DiagnosticPage kPages[] = {
${entries}};

}  // namespace

std::span<const DiagnosticPage> diagnostic_pages() { return kPages; }

}  // namespace moe::ir
")
