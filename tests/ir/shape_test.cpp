// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "ir/shape.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace moe::ir {
namespace {

TEST_CASE("a shape in text") {
  const auto shape = parse_shape("27x64x6:17301504");
  REQUIRE(shape.ok());
  CHECK(shape->num_layers == 27);
  CHECK(shape->num_experts == 64);
  CHECK(shape->top_k == 6);
  CHECK(shape->expert_bytes == 17301504);
  CHECK(print_shape(*shape) == "27x64x6:17301504");
  CHECK(print_shape(*parse_shape("1x1x1")) == "1x1x1");
  CHECK(parse_shape("4096x65534x65534").ok());
}

TEST_CASE("texts that are no shape") {
  for (const char* text : {"",
                           "x",
                           "27",
                           "27x64",
                           "27x64x",
                           "27x64x6:",
                           "27x64x6:x",
                           "27x64x6 ",
                           " 27x64x6",
                           "27X64x6",
                           "-1x64x6",
                           "27x64x6:1:2",
                           "0x64x6",
                           "27x0x6",
                           "27x64x0",
                           "27x64x65",
                           "4097x64x6",
                           "27x65535x6",
                           "4294967297x64x6",
                           "99999999999999999999x64x6",
                           "27x64x6:1099511627777"}) {
    CAPTURE(text);
    const auto shape = parse_shape(text);
    REQUIRE_FALSE(shape.ok());
    CHECK_FALSE(shape.error().message.empty());
  }
}

TEST_CASE("a Hugging Face config") {
  struct Row {
    const char* config;
    const char* shape;
  };
  const std::vector<Row> rows{
      {R"({"num_experts":64,"num_experts_per_tok":8,"num_hidden_layers":16,"hidden_size":2048,"intermediate_size":1024,
          "torch_dtype":"bfloat16"})",
       "16x64x8:12582912"},
      {R"({"n_routed_experts":64,"num_experts_per_tok":6,"num_hidden_layers":27,"hidden_size":2048,"intermediate_size":10944,
          "moe_intermediate_size":1408,"dtype":"bfloat16"})",
       "27x64x6:17301504"},
      {R"({"num_local_experts":8,"num_experts_per_tok":2,"num_hidden_layers":32,"hidden_size":4096,"intermediate_size":14336,
          "torch_dtype":"float32"})",
       "32x8x2:704643072"},
      {R"({"num_local_experts":32,"experts_per_token":4,"num_hidden_layers":24,"hidden_size":2880,"intermediate_size":2880,
          "quantization_config":{"quant_method":"mxfp4"}})",
       "24x32x4"},
      {R"({"dtype":"bfloat16","text_config":{"num_experts":128,"num_experts_per_tok":8,"num_hidden_layers":48,
          "hidden_size":2048,"moe_intermediate_size":768}})",
       "48x128x8:9437184"},
      {R"({"num_experts":8,"num_experts_per_tok":2,"num_hidden_layers":4})", "4x8x2"},
      {R"({"num_experts":8,"num_experts_per_tok":2,"num_hidden_layers":4,"hidden_size":18446744073709551615,
          "intermediate_size":18446744073709551615,"dtype":"float16"})",
       "4x8x2"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.config);
    const auto shape = shape_from_config(row.config);
    REQUIRE(shape.ok());
    CHECK(print_shape(*shape) == row.shape);
  }
}

TEST_CASE("configs that are refused") {
  for (const char* config :
       {"", "{", "[]", "3", "{}", R"({"num_hidden_layers":4,"hidden_size":8})",
        R"({"num_experts":0,"num_experts_per_tok":2,"num_hidden_layers":4})",
        R"({"num_experts":8,"num_hidden_layers":4})", R"({"num_experts":8,"num_experts_per_tok":2})",
        R"({"num_experts":-8,"num_experts_per_tok":2,"num_hidden_layers":4})",
        R"({"num_experts":"8","num_experts_per_tok":2,"num_hidden_layers":4})",
        R"({"num_experts":8,"num_experts_per_tok":9,"num_hidden_layers":4})"}) {
    CAPTURE(config);
    CHECK_FALSE(shape_from_config(config).ok());
  }
  CHECK_FALSE(shape_from_config(std::string(100'000, '[')).ok());
  const auto dense = shape_from_config(R"({"num_hidden_layers":4})");
  CHECK(dense.error().message.find("not a mixture of experts") != std::string::npos);
}

TEST_CASE("a model is a shape, a config or a directory") {
  const auto folder = std::filesystem::temp_directory_path() / ("moe_shape_test_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << R"({"num_experts":8,"num_experts_per_tok":2,"num_hidden_layers":4})";
  std::ofstream(folder / "broken.json") << "{";
  for (const std::string& model : {std::string("4x8x2"), folder.string(), (folder / "config.json").string()}) {
    CAPTURE(model);
    const auto shape = load_shape(model);
    REQUIRE(shape.ok());
    CHECK(print_shape(*shape) == "4x8x2");
  }
  const auto broken = load_shape((folder / "broken.json").string());
  REQUIRE_FALSE(broken.ok());
  CHECK(broken.error().message.find("broken.json") != std::string::npos);
  CHECK_FALSE(load_shape("4x8").ok());
  CHECK(load_shape((folder / "missing").string()).error().kind == Error::Kind::io);
  CHECK_FALSE(load_shape("").ok());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace moe::ir
