// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include "runtime/device/findings.h"
#include "runtime/device/measure.h"
#include "tools/moec.h"

namespace moe::tools {
namespace {

struct Options {
  std::string storage = ".";
  std::string name;
  std::string expert = "16MiB";
  std::string out;
  std::string show;
  std::string format = "text";
  bool json = false;
};

constexpr const char* kRow = "{:<15} {}\n";

std::string size_of(uint64_t bytes) {
  if (bytes >= uint64_t{1} << 30 && bytes % (1 << 20) == 0)
    return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
  if (bytes >= 1 << 20 && bytes % (1 << 20) == 0) return fmt::format("{} MiB", bytes >> 20);
  if (bytes % (1 << 10) == 0) return fmt::format("{} KiB", bytes >> 10);
  return fmt::format("{} B", bytes);
}

std::string gib(uint64_t bytes) { return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30)); }

std::string speed_of(const device::Rate* rate) {
  return rate ? fmt::format("{:.2f} GB/s", rate->bytes_per_s / 1e9) : "-";
}

void print_machine(const device::DeviceProfile& profile) {
  const auto yes = [](bool has) { return has ? "yes" : "no"; };
  const device::Cpu& cpu = profile.cpu;
  const device::Memory& memory = profile.memory;
  fmt::print(kRow, "machine", fmt::format("{}, {}, by {}", profile.name, profile.date, profile.build));
  fmt::print(kRow, "processor", fmt::format("{}, cores: {}", cpu.name, cpu.cores));
  fmt::print(kRow, "", fmt::format("AVX2 {}, AVX-512 {}, AMX {}", yes(cpu.avx2), yes(cpu.avx512), yes(cpu.amx)));
  fmt::print(kRow, "memory",
             fmt::format("{}, {} available, pages of {}", gib(memory.total_bytes), gib(memory.available_bytes),
                         size_of(memory.page_bytes)));
  fmt::print(kRow, "locked memory",
             memory.lock_limit_bytes ? "at most " + size_of(*memory.lock_limit_bytes) : "no limit");
  fmt::print(kRow, "backend", profile.backend);
  if (profile.devices.empty()) fmt::print(kRow, "devices", "none (" + profile.no_devices + ")");
  for (const std::string& name : profile.devices) fmt::print(kRow, "device", name);
}

void print_copies(const device::DeviceProfile& profile) {
  fmt::print("\n{:<15} {:>12} {:>14} {:>14}\n", "one thread", "block", "host to host", "to fast tier");
  for (const device::Rate& rate : profile.link) {
    fmt::print("{:<15} {:>12} {:>14} {:>14}\n", rate.block_bytes == profile.expert_bytes ? "  an expert" : "",
               size_of(rate.block_bytes), speed_of(device::find_rate(profile.host_copy, rate.block_bytes)),
               speed_of(&rate));
  }
}

void print_disk(const device::Disk& disk) {
  fmt::print("\n");
  fmt::print(kRow, "disk",
             fmt::format("{} ({}), a file of {}", disk.folder, disk.file_system, size_of(disk.file_bytes)));
  fmt::print(kRow, "  io_uring", disk.io_uring_refusal.empty() ? "usable" : "not usable: " + disk.io_uring_refusal);
  fmt::print(kRow, "  O_DIRECT", disk.direct_refusal.empty() ? "usable" : "not usable: " + disk.direct_refusal);
  fmt::print("{:<15} {:>12} {:>14}\n", "  random reads", "block", fmt::format("{} at once", disk.depth));
  for (const device::Rate& rate : disk.reads) {
    fmt::print("{:<15} {:>12} {:>14}\n", "", size_of(rate.block_bytes), speed_of(&rate));
  }
  const device::Latency& latency = disk.latency;
  fmt::print(kRow, "  one at a time",
             fmt::format("{:>12}   p50 {:.0f} us, p99 {:.0f} us, of {} reads", size_of(latency.block_bytes),
                         latency.p50_us, latency.p99_us, latency.reads));
}

void print_text(const device::DeviceProfile& profile) {
  print_machine(profile);
  print_copies(profile);
  if (profile.disk) print_disk(*profile.disk);
  const std::vector<device::Finding> findings = device::findings_of(profile);
  fmt::print("\n{}\n", findings.empty() ? "nothing found wrong" : "found:");
  for (const device::Finding& finding : findings) fmt::print("- {}\n  {}\n", finding.what, finding.todo);
}

Result<device::DeviceProfile> measured(const Options& options) {
  const std::optional<uint64_t> expert_bytes = parse_size(options.expert);
  if (!expert_bytes) {
    return Error{Error::Kind::invalid, "`--expert " + options.expert + "` is not a size; write for example 16MiB"};
  }
  device::MeasureOptions how;
  how.name = options.name;
  how.memory.expert_bytes = *expert_bytes;
  how.disk->folder = options.storage;
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "measuring, for about three seconds\n");
  return device::measure(how);
}

int run(const Options& options) {
  const Result<device::DeviceProfile> profile =
      options.show.empty() ? measured(options) : device::read_profile(options.show);
  if (!profile) return report(profile.error());
  const std::string json = device::to_json(*profile);
  if (!options.out.empty()) {
    if (Result<void> written = write_output(options.out, json); !written) return report(written.error());
  }
  if (options.out == "-") return kFine;
  if (options.json || options.format == "json") {
    fmt::print("{}", json);
  } else {
    print_text(*profile);
  }
  return kFine;
}

}  // namespace

void register_doctor(CLI::App& app, const Common&, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("doctor", "measure what this machine can do, and say what is wrong with it");
  command->add_option("--storage", options->storage, "a folder on the disk that has the models; writes 256 MiB there")
      ->type_name("DIR")
      ->capture_default_str();
  command->add_option("--expert", options->expert, "size of an expert, to copy blocks of it")
      ->type_name("SIZE")
      ->capture_default_str();
  command->add_option("--name", options->name, "of the profile, instead of the host's")->type_name("NAME");
  command->add_option("-o,--out", options->out, "write the device profile (docs/device-profile.md)")->type_name("FILE");
  command->add_option("--show", options->show, "print a device profile that was written before; measure nothing")
      ->type_name("FILE")
      ->excludes("--storage")
      ->excludes("--expert")
      ->excludes("--name");
  command->add_option("--format", options->format, "text, or json: the device profile")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->add_flag("--json", options->json, "as --format json");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace moe::tools
