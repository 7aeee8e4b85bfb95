// SPDX-License-Identifier: Apache-2.0
#include "runtime/pack/pack.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/pack/stream_encoder.h"
#include "tools/moec.h"
#include "tools/pack_order.h"
#include "tools/progress.h"

namespace moe::tools {
namespace {

struct Options {
  std::string model;
  std::string out;
  std::vector<std::string> precisions;
  OrderOptions order;
  std::string cluster_bytes;
};

/// The formats of copies, each once, in the order of the command line. Native is always there.
Result<std::vector<precision::Format>> formats_of(const std::vector<std::string>& names) {
  std::vector<precision::Format> formats;
  for (const std::string& name : names) {
    if (name == store::kNativePrecision) continue;
    const std::optional<precision::Format> format = precision::find_format(name);
    if (!format || *format == precision::Format::native) {
      return Error{Error::Kind::invalid, "`--precision " + name +
                                             "` is none of native, qint8, qint4, qint2, qfloat8_e4m3fn, qfloat8_e5m2, "
                                             "qfloat8_e4m3fnuz, hadamard4"};
    }
    if (std::find(formats.begin(), formats.end(), *format) == formats.end()) formats.push_back(*format);
  }
  return formats;
}

Result<std::vector<pack::StreamEncoder>> encoders_of(const std::vector<precision::Format>& formats,
                                                     const store::ExpertLayout& layout) {
  std::vector<pack::StreamEncoder> encoders;
  for (const precision::Format format : formats) {
    Result<pack::StreamEncoder> encoder = pack::StreamEncoder::make(format, layout);
    if (!encoder) return encoder.error();
    encoders.push_back(std::move(*encoder));
  }
  return encoders;
}

int run(const Options& options) {
  const Result<std::vector<precision::Format>> formats = formats_of(options.precisions);
  if (!formats) return report(formats.error());
  OrderOptions order = options.order;
  if (!options.cluster_bytes.empty()) {
    order.cluster_bytes = parse_size(options.cluster_bytes);
    if (!order.cluster_bytes) {
      return report({Error::Kind::invalid,
                     "`--cluster-bytes " + options.cluster_bytes + "` is not a size; write for example 64MiB"});
    }
  }
  const Result<pack::Source> source = pack::open_source(options.model);
  if (!source) return report(source.error());
  const Result<std::vector<pack::StreamEncoder>> encoders = encoders_of(*formats, source->experts().layout);
  if (!encoders) return report(encoders.error());
  pack::PackOptions how;
  for (const pack::StreamEncoder& encoder : *encoders) how.encoders.push_back(&encoder);
  if (!order.trace.empty()) {
    if (const Result<void> ordered = order_by_trace(*source, order, how); !ordered) return report(ordered.error());
  }
  const Result<pack::PackReport> packed = [&] {
    ProgressBar bar("packing");
    how.progress = [&bar](uint64_t done, uint64_t total) { bar.show(done, total); };
    return pack::pack(*source, options.out, how);
  }();
  if (!packed) return report(packed.error());
  fmt::print("{}: {} extents, {} bytes{}\n", options.out, packed->num_extents, packed->bytes,
             packed->was_there  ? ", was there and is undamaged"
             : packed->kept > 0 ? fmt::format(", {} of them written by an earlier run", packed->kept)
                                : "");
  return kFine;
}

}  // namespace

void register_pack(CLI::App& app, const Common&, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("pack", "write a model as a store made for streaming experts");
  command->add_option("MODEL_DIR", options->model, "a Hugging Face model folder, or a Chronos expert cache")
      ->required();
  command
      ->add_option("-o,--out", options->out, "the store to write, a folder; run again after an interruption to go on")
      ->type_name("STORE")
      ->required();
  command
      ->add_option("--precision", options->precisions,
                   "further copies of every expert: qint8, qint4, ... (docs/store.md)")
      ->type_name("NAME,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      ->add_option("--trace", options->order.trace, "put experts side by side that this routing trace needs together")
      ->type_name("T");
  command
      ->add_option("--cluster-bytes", options->cluster_bytes,
                   "experts that are put together: at most so many bytes; 64MiB")
      ->type_name("SIZE");
  command->add_option("--seed", options->order.seed, "of the clustering")->capture_default_str();
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace moe::tools
