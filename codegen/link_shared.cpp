// SPDX-License-Identifier: Apache-2.0
#include <lld/Common/Driver.h>
#include <llvm/Support/FileSystem.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/raw_ostream.h>

#include <fstream>
#include <mutex>

#include "codegen/module.h"

LLD_HAS_DRIVER(elf)

namespace moe::codegen {
namespace {

/// A file of its own name that is gone at the end of the scope.
class TemporaryFile {
 public:
  explicit TemporaryFile(const char* suffix) {
    llvm::SmallString<128> path;
    if (!llvm::sys::fs::createTemporaryFile("moe-policy", suffix, path)) path_ = path.str().str();
  }
  ~TemporaryFile() {
    if (!path_.empty()) llvm::sys::fs::remove(path_);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

bool write(const TemporaryFile& to, std::string_view bytes) {
  std::ofstream file(to.path(), std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  return file.good();
}

}  // namespace

Result<std::string> link_shared(std::string_view object, std::string_view soname) {
  const TemporaryFile in("o");
  const TemporaryFile math("o");
  const TemporaryFile out("so");
  if (in.path().empty() || math.path().empty() || out.path().empty()) {
    return Error{Error::Kind::io, "cannot create a temporary file to link in; is TMPDIR writable?"};
  }
  if (!write(in, object) || !write(math, math_object())) {
    return Error{Error::Kind::io, "cannot write " + in.path() + " or " + math.path()};
  }

  const std::string name(soname);
  const char* arguments[] = {"ld.lld",
                             "-shared",
                             "--threads=1",  // its own would stay until the process ends
                             "-z",
                             "now",
                             "-z",
                             "noexecstack",
                             "--hash-style=gnu",
                             "-soname",
                             name.c_str(),
                             "--build-id=sha1",
                             "-o",
                             out.path().c_str(),
                             in.path().c_str(),
                             "--start-lib",  // taken only where the policy calls it
                             math.path().c_str(),
                             "--end-lib"};
  static std::mutex one_at_a_time;  // LLD keeps its state in globals
  const std::lock_guard<std::mutex> lock(one_at_a_time);
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  const lld::Result result = lld::lldMain(arguments, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0) return Error{Error::Kind::internal, "cannot link the policy: " + stream.str()};
  auto linked = llvm::MemoryBuffer::getFile(out.path(), /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!linked) return Error{Error::Kind::io, "cannot read the linked policy: " + linked.getError().message()};
  return (*linked)->getBuffer().str();
}

}  // namespace moe::codegen
