/* SPDX-License-Identifier: Apache-2.0
 * moe.h is C11, and a C program needs nothing but libmoe.so. */
#include <moe/cuda.h>
#include <moe/moe.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(moe_model_shape) == 24, "moe_model_shape has no padding at its end");
_Static_assert(sizeof(moe_plan_entry) % 8 == 0, "entries lie side by side");

static int failed(const char* what, moe_status status) {
  if (status == MOE_OK) return 0;
  fprintf(stderr, "%s: %s: %s\n", what, moe_status_text(status), moe_last_error());
  return 1;
}

int main(void) {
  static const char weights[4][8] = {"expert0", "expert1", "expert2", "expert3"};
  const int32_t ids[2] = {3, 1};
  moe_runtime_config config;
  moe_runtime* runtime = NULL;
  moe_policy* policy = NULL;
  moe_dispatch_args args;
  moe_plan plan;
  uint32_t i;

  memset(&config, 0, sizeof config);
  config.struct_size = sizeof config;
  config.shape.struct_size = sizeof config.shape;
  config.shape.num_layers = 1;
  config.shape.num_experts = 4;
  config.shape.top_k = 2;
  if (failed("create", moe_runtime_create(&config, &runtime))) return 1;
  for (i = 0; i < 4; ++i) {
    if (failed("add", moe_store_add(runtime, 0, i, weights[i], sizeof weights[i]))) return 1;
  }
  if (failed("resident", moe_policy_resident(&config.shape, &policy))) return 1;
  if (failed("attach", moe_policy_attach(runtime, policy))) return 1;
  if (failed("destroy", moe_policy_destroy(policy))) return 1;

  memset(&args, 0, sizeof args);
  args.struct_size = sizeof args;
  args.num_tokens = 1;
  args.top_k = 2;
  args.ids = ids;
  memset(&plan, 0, sizeof plan);
  plan.struct_size = sizeof plan;
  if (failed("dispatch", moe_dispatch(runtime, &args, &plan))) return 1;
  for (i = 0; i < plan.num_entries; ++i) {
    if (failed("wait", moe_plan_wait(runtime, &plan, i, NULL))) return 1;
    if (memcmp(plan.entries[i].data, weights[ids[i]], sizeof weights[0]) != 0) return 1;
    if (failed("done", moe_plan_done(runtime, &plan, i, NULL))) return 1;
  }
  if (failed("release", moe_plan_release(runtime, &plan, NULL))) return 1;
  return failed("destroy", moe_runtime_destroy(runtime));
}
