// SPDX-License-Identifier: Apache-2.0
// libmoec's part of moe.h: compiling in the process.
#include <algorithm>
#include <cstring>
#include <exception>

#include "compiler/driver.h"
#include "compiler/policy_code.h"
#include "compiler/program.h"
#include "moe/moe.h"
#include "runtime/base/status_of.h"
#include "runtime/policy_owner.h"

/// Findings with everything their accessors return.
struct moe_diagnostics {
  moe::ir::SourceFile source;
  moe::ir::Diagnostics findings;
  std::string text;
};

namespace {

using namespace moe;

moe_status fail(moe_status status, const std::string& text) {
  moe_set_last_error(text.c_str());
  return status;
}

/// The caller's options, with what an older caller does not know left at its default.
Result<moe_compile_options> read_options(const moe_compile_options* given) {
  if (given == nullptr) return Error{Error::Kind::invalid, "`options` is NULL"};
  // An older caller may end before the newest field, never before the shape that every compilation needs.
  const size_t least = offsetof(moe_compile_options, policy_name);
  if (given->struct_size < least || given->struct_size > 4096) {
    return Error{Error::Kind::invalid, "`options.struct_size` is not that of a moe_compile_options"};
  }
  moe_compile_options options{};
  std::memcpy(&options, given, std::min<size_t>(given->struct_size, sizeof options));
  const moe_model_shape& shape = options.shape;
  if (options.opt_level > 3) return Error{Error::Kind::invalid, "`options.opt_level` is above 3"};
  const bool in_range = shape.num_layers >= 1 && shape.num_layers <= 4096 && shape.num_experts >= 1 &&
                        shape.num_experts <= 65534 && shape.top_k >= 1 && shape.top_k <= shape.num_experts;
  if (!in_range)
    return Error{Error::Kind::invalid,
                 "`options.shape` is not a model: 1..4096 layers, 1..65534 experts, top_k of 1..experts"};
  if (options.wait > 1) return Error{Error::Kind::invalid, "`options.wait` is neither 0 nor 1"};
  if (options.num_settings != 0 && options.settings == nullptr) {
    return Error{Error::Kind::invalid, "`options.settings` is NULL with a count"};
  }
  return options;
}

Result<compiler::Target> target_of(const moe_compile_options& options) {
  compiler::Target target;
  target.shape = {options.shape.num_layers, options.shape.num_experts, options.shape.top_k, options.shape.expert_bytes};
  if (options.capacity_slots != 0) target.bind.capacity_slots = options.capacity_slots;
  target.bind.fast_bytes = options.fast_bytes;
  if (options.streaming_slots != 0) target.bind.streaming_slots = options.streaming_slots;
  if (options.policy_name != nullptr) target.policy_name = options.policy_name;
  for (uint32_t i = 0; i < options.num_settings; ++i) {
    if (options.settings[i] == nullptr) return Error{Error::Kind::invalid, "one of `options.settings` is NULL"};
    std::optional<frontend::Setting> setting = compiler::parse_setting(options.settings[i]);
    if (!setting)
      return Error{Error::Kind::invalid, "setting `" + std::string(options.settings[i]) + "` is not NAME=VALUE"};
    target.settings.push_back(std::move(*setting));
  }
  return target;
}

/// All that the caller gave and that makes a policy what it is, if it reads no other file.
std::string given_text(std::string_view source, const moe_compile_options& options) {
  const moe_model_shape& shape = options.shape;
  std::string text;
  for (const uint64_t number :
       {uint64_t{shape.num_layers}, uint64_t{shape.num_experts}, uint64_t{shape.top_k}, shape.expert_bytes,
        uint64_t{options.capacity_slots}, uint64_t{options.streaming_slots}, options.fast_bytes}) {
    text += std::to_string(number) + ' ';
  }
  const auto add = [&text](std::string_view part) {  // with its length, so that no two rows of parts read alike
    text += std::to_string(part.size()) + ':';
    text += part;
  };
  add(options.policy_name != nullptr ? options.policy_name : "");
  for (uint32_t i = 0; i < options.num_settings; ++i) add(options.settings[i]);
  add(source);
  return text;
}

/// The policy of checked arguments, without its program.
moe_status compile(const char* source, size_t size, const moe_compile_options* options, const compiler::Target* target,
                   moe_policy** out_policy, moe_diagnostics** out_diagnostics) {
  compiler::KnownCode known(static_cast<int>(options->opt_level));
  if (known.find_given(given_text(std::string_view(source, size), *options), out_policy)) return MOE_OK;

  const char* name = options->file_name != nullptr ? options->file_name : "<memory>";
  auto report = std::make_unique<moe_diagnostics>(
      moe_diagnostics{ir::SourceFile(name, std::string(source != nullptr ? source : "", size)), {}, ""});
  compiler::Identity identity;
  std::optional<ir::BoundPolicy> bound =
      compiler::compile_to_bound(report->source, *target, report->findings, &identity);
  report->text = ir::render_text(report->source, report->findings, /*color=*/false);
  const size_t num_errors = report->findings.num_errors();
  const bool no_findings = report->findings.empty();
  if (out_diagnostics != nullptr && !report->findings.empty()) *out_diagnostics = report.release();
  if (!bound)
    return fail(MOE_POLICY_ERROR, "the policy has " + std::to_string(num_errors) + " error(s): see the diagnostics");

  const compiler::CodeOptions code{static_cast<int>(options->opt_level), options->wait != 0};
  if (known.find_policy(identity.text, identity.self_contained && no_findings, out_policy)) return MOE_OK;
  return compiler::make_policy(std::move(*bound), std::move(known), code, out_policy);
}

moe_status compile(const char* source, size_t size, const moe_compile_options* given, moe_policy** out_policy,
                   moe_diagnostics** out_diagnostics) {
  if (source == nullptr && size != 0) return fail(MOE_INVALID, "`source` is NULL");
  if (out_policy == nullptr) return fail(MOE_INVALID, "`out_policy` is NULL");
  Result<moe_compile_options> options = read_options(given);
  if (!options) return fail(status_of(options.error().kind), options.error().message);
  Result<compiler::Target> target = target_of(*options);
  if (!target) return fail(status_of(target.error().kind), target.error().message);
  const moe_status status = compile(source, size, &*options, &*target, out_policy, out_diagnostics);
  if (status != MOE_OK) return status;
  // Wherever its code came from, the policy knows its text: a decision log carries it.
  const char* const name = options->file_name != nullptr ? options->file_name : "<memory>";
  const ir::SourceFile text(name, std::string(source != nullptr ? source : "", size));
  return moe_policy_set_program(*out_policy, compiler::print_program(text, *target).c_str());
}

}  // namespace

extern "C" {

MOE_API moe_status moe_policy_compile(const char* source, size_t size, const moe_compile_options* options,
                                      moe_policy** out_policy, moe_diagnostics** out_diagnostics) {
  if (out_diagnostics != nullptr) *out_diagnostics = nullptr;
  try {
    return compile(source, size, options, out_policy, out_diagnostics);
  } catch (const std::bad_alloc&) {
    return fail(MOE_NO_MEMORY, "out of memory while compiling a policy");
  } catch (const std::exception& error) {
    return fail(MOE_INTERNAL, std::string("the compiler failed: ") + error.what());
  }
}

MOE_API uint32_t moe_diagnostics_count(const moe_diagnostics* diagnostics) {
  return diagnostics == nullptr ? 0 : static_cast<uint32_t>(diagnostics->findings.items().size());
}

MOE_API moe_status moe_diagnostics_get(const moe_diagnostics* diagnostics, uint32_t index,
                                       moe_diagnostic* out_finding) {
  if (diagnostics == nullptr || out_finding == nullptr)
    return fail(MOE_INVALID, "`diagnostics` or `out_finding` is NULL");
  if (index >= diagnostics->findings.items().size()) return fail(MOE_INVALID, "`index` is past the last finding");
  const uint32_t caller_size = out_finding->struct_size;
  if (caller_size < sizeof(uint32_t) || caller_size > 4096) {
    return fail(MOE_INVALID, "`out_finding.struct_size` is not that of a moe_diagnostic");
  }
  const ir::Diagnostic& finding = diagnostics->findings.items()[index];
  moe_diagnostic result{};
  result.struct_size = caller_size;
  result.severity = static_cast<uint32_t>(finding.severity);
  result.code = finding.code.c_str();
  result.message = finding.message.c_str();
  result.hint = finding.hint.c_str();
  result.begin = finding.span.begin;
  result.end = finding.span.end;
  if (!finding.span.is_default()) {
    const ir::LineColumn place = diagnostics->source.locate(finding.span.begin);
    result.line = place.line;
    result.column = place.column;
  }
  std::memcpy(out_finding, &result, std::min<size_t>(caller_size, sizeof result));
  return MOE_OK;
}

MOE_API const char* moe_diagnostics_text(const moe_diagnostics* diagnostics) {
  return diagnostics == nullptr ? "" : diagnostics->text.c_str();
}

MOE_API void moe_diagnostics_destroy(moe_diagnostics* diagnostics) { delete diagnostics; }

}  // extern "C"
