// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "runtime/checkpoint/quantize_model.h"
#include "tools/moec.h"
#include "tools/progress.h"

namespace moe::tools {
namespace {

struct Options {
  std::string model;
  std::string out;
  std::string weights = "qint4";
  std::string group;
  std::string format = "text";
  checkpoint::QuantizeOptions quantize;
};

Error usage(std::string message) { return {Error::Kind::invalid, std::move(message)}; }

/// What the texts of the command line mean.
Result<void> resolve(Options& options) {
  const auto format = precision::find_format(options.weights);
  const bool known = format && *format != precision::Format::native && *format != precision::Format::f8_e4m3fnuz;
  if (!known) {
    return usage("`--weights " + options.weights +
                 "` is none of qint8, qint4, qint2, qfloat8_e4m3fn, qfloat8_e5m2, hadamard4");
  }
  options.quantize.format = *format;
  const bool affine = precision::info(*format).affine;
  if (!affine && (!options.group.empty() || options.quantize.hqq)) {
    return usage("`--group` and `--hqq` are for qint4 and qint2; " + std::string(precision::info(*format).name) +
                 " has its scales where they are");
  }
  if (options.group.empty()) return {};
  if (options.group == "none") {
    options.quantize.group = 0;
    return {};
  }
  uint32_t group = 0;
  const char* end = options.group.data() + options.group.size();
  const auto [rest, error] = std::from_chars(options.group.data(), end, group);
  if (error != std::errc() || rest != end || group < 8 || group > 65536 || group % 8 != 0) {
    return usage("`--group " + options.group + "` is neither `none` nor a multiple of 8, such as 32, 64 or 128");
  }
  options.quantize.group = group;
  return {};
}

void print_json(const Options& options, const checkpoint::QuantizeReport& report) {
  nlohmann::ordered_json json;
  json["out"] = options.out;
  json["weights"] = precision::info(options.quantize.format).name;
  json["modules"] = report.num_modules;
  json["kept"] = report.num_kept;
  json["bytes_before"] = report.bytes_before;
  json["bytes_after"] = report.bytes_after;
  json["relative_rms"] = report.relative_rms;
  json["zero_scales"] = report.num_zero_rows;
  json["map"] = report.map_file;
  fmt::print("{}\n", json.dump());
}

void print_text(const Options& options, const checkpoint::QuantizeReport& report) {
  fmt::print("{}: {} modules in {}, {} other tensors as they were\n", options.out, report.num_modules,
             precision::info(options.quantize.format).name, report.num_kept);
  fmt::print("{:.2f} MB of {:.2f} MB; relative RMS error of the quantized weights {:.5f}\n",
             static_cast<double>(report.bytes_after) / 1e6, static_cast<double>(report.bytes_before) / 1e6,
             report.relative_rms);
}

void print_notes(const Options& options, const checkpoint::QuantizeReport& report) {
  const bool float8 = precision::info(options.quantize.format).float8 != nullptr;
  if (float8 && report.num_zero_rows > 0) {
    fmt::print(
        stderr,
        "moec: note: {} rows are zero, or too small for a scale, and are kept as 0; quanto makes NaNs of zeros\n",
        report.num_zero_rows);
  }
  if (report.num_not_fitting > 0) {
    fmt::print(stderr, "moec: note: {} weights stay, as their rows are no multiple of 32 long\n",
               report.num_not_fitting);
  }
  if (report.map_file == "moe_qmap.json") {
    fmt::print(stderr, "moec: note: optimum-quanto cannot read this: the map is {}, not quanto_qmap.json\n",
               report.map_file);
  }
}

int run(Options& options) {
  if (Result<void> resolved = resolve(options); !resolved) return report(resolved.error());
  Result<checkpoint::QuantizeReport> done = [&] {
    ProgressBar bar("quantizing");
    options.quantize.progress = [&bar](uint64_t bytes, uint64_t total) { bar.show(bytes, total); };
    return checkpoint::quantize_model(options.model, options.out, options.quantize);
  }();
  if (!done) return report(done.error());
  options.format == "json" ? print_json(options, *done) : print_text(options, *done);
  print_notes(options, *done);
  return kFine;
}

}  // namespace

void register_quantize(CLI::App& app, const Common& /*common*/, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("quantize", "write a quantized copy of a model, in optimum-quanto's layout");
  command->add_option("MODEL_DIR", options->model, "a Hugging Face model folder with safetensors")->required();
  command->add_option("-o", options->out, "the folder to write; it must be new or empty")->type_name("OUT")->required();
  command
      ->add_option("--weights", options->weights,
                   "qint8, qint4, qint2, qfloat8_e4m3fn, qfloat8_e5m2 or hadamard4 (not for quanto)")
      ->capture_default_str();
  command->add_option("--group", options->group,
                      "of qint4 and qint2: numbers that share a scale, or none for a whole row; without it quanto's "
                      "choice for each module");
  command->add_option("--exclude", options->quantize.excluded, "modules that stay, by name (may be repeated)")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  command->add_flag("--experts-only", options->quantize.experts_only, "quantize nothing but experts");
  command->add_flag("--hqq", options->quantize.hqq, "of qint4 and qint2: search shifts with a smaller error (slow)");
  command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace moe::tools
