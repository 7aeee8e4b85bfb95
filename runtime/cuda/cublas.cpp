// SPDX-License-Identifier: Apache-2.0
// Matrix products by cuBLASLt, which is opened when the first network is made: a runtime that only moves experts needs
// no such library.
#include <cublasLt.h>
#include <dlfcn.h>

#include <map>
#include <tuple>

#include "runtime/cuda/cudart.h"
#include "runtime/cuda/memory.h"

namespace moe::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{32}
                                   << 20;  // what NVIDIA asks for on sm_90; less costs algorithms, not results

#define MOE_CUBLASLT_FUNCTIONS(X) \
  X(Create)                       \
  X(Destroy)                      \
  X(GetStatusName)                \
  X(Matmul)                       \
  X(MatmulAlgoGetHeuristic)       \
  X(MatmulDescCreate)             \
  X(MatmulDescDestroy)            \
  X(MatmulDescSetAttribute)       \
  X(MatmulPreferenceCreate)       \
  X(MatmulPreferenceDestroy)      \
  X(MatmulPreferenceSetAttribute) \
  X(MatrixLayoutCreate)           \
  X(MatrixLayoutDestroy)

struct Library {
#define MOE_DECLARE(name) decltype(&cublasLt##name) name = nullptr;
  MOE_CUBLASLT_FUNCTIONS(MOE_DECLARE)
#undef MOE_DECLARE
};

Error unsupported(const char* reason) {
  return {Error::Kind::unsupported, std::string("CUDA: cuBLASLt cannot be loaded: ") + (reason ? reason : "unknown")};
}

/// The version that the header is of.
Result<Library> load() {
  const std::string file = "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR);
  void* const handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!handle) return unsupported(::dlerror());
  Library library;
#define MOE_LOAD(name)                                                                        \
  library.name = reinterpret_cast<decltype(library.name)>(::dlsym(handle, "cublasLt" #name)); \
  if (!library.name) return unsupported("it has no cublasLt" #name);
  MOE_CUBLASLT_FUNCTIONS(MOE_LOAD)
#undef MOE_LOAD
  return library;
}

cudaDataType type_of(moe_dtype dtype) {
  if (dtype == MOE_F32) return CUDA_R_32F;
  return dtype == MOE_F16 ? CUDA_R_16F : CUDA_R_16BF;
}

/// cuBLASLt's column-major view: w is [inputs][outputs] and transposed, x is [inputs][n], y is [outputs][n].
class Operation {
 public:
  Operation(const Library& library, const Product& product) : library_(library) {
    const cudaDataType type = type_of(product.dtype);
    const cublasOperation_t transposed = CUBLAS_OP_T;
    good(library.MatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    good(library.MatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed));
    good(library.MatrixLayoutCreate(&w, type, product.inputs, product.outputs, product.inputs));
    good(library.MatrixLayoutCreate(&x, type, product.inputs, product.n, product.inputs));
    good(library.MatrixLayoutCreate(&y, CUDA_R_32F, product.outputs, product.n, product.outputs));
  }
  ~Operation() {
    for (const cublasLtMatrixLayout_t layout : {w, x, y}) {
      if (layout) library_.MatrixLayoutDestroy(layout);
    }
    if (desc) library_.MatmulDescDestroy(desc);
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;  ///< the first that was none
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t w = nullptr, x = nullptr, y = nullptr;

 private:
  void good(cublasStatus_t made) {
    if (status == CUBLAS_STATUS_SUCCESS) status = made;
  }
  const Library& library_;
};

class CublasLt final : public Blas {
 public:
  explicit CublasLt(const Library& library) : library_(library) {}
  ~CublasLt() override {
    if (handle_) library_.Destroy(handle_);
  }

  Result<void> prepare(Driver& driver) {
    if (Result<void> made = check(library_.Create(&handle_), "start cuBLASLt"); !made) return made;
    Result<Memory<std::byte>> workspace = Memory<std::byte>::allocate(driver, kWorkspaceBytes);
    if (!workspace) return workspace.error();
    workspace_ = std::move(workspace).value();
    return {};
  }

  Result<void> multiply(const Product& product, Stream stream) override {
    const Operation operation(library_, product);
    if (Result<void> made = check(operation.status, "describe a matrix product"); !made) return made;
    const Result<cublasLtMatmulAlgo_t> algorithm = choose(product, operation);
    if (!algorithm) return algorithm.error();
    const float one = 1;
    const float zero = 0;
    const cublasStatus_t status = library_.Matmul(
        handle_, operation.desc, &one, product.w, operation.w, product.x, operation.x, &zero, product.y, operation.y,
        product.y, operation.y, &*algorithm, workspace_.data(), kWorkspaceBytes, static_cast<cudaStream_t>(stream));
    return check(status, "multiply matrices");
  }

 private:
  using Shape = std::tuple<moe_dtype, uint32_t, uint32_t, uint32_t>;

  Result<void> check(cublasStatus_t status, const char* what) {
    if (status == CUBLAS_STATUS_SUCCESS) return {};
    return Error{Error::Kind::device, std::string("CUDA: cannot ") + what + ": " + library_.GetStatusName(status)};
  }

  /// Once for a shape: the same algorithm ever after, wherever the weights lie, so that the bits are the same, too.
  Result<cublasLtMatmulAlgo_t> choose(const Product& product, const Operation& operation) {
    const Shape shape{product.dtype, product.n, product.outputs, product.inputs};
    if (const auto known = algorithms_.find(shape); known != algorithms_.end()) return known->second;
    cublasLtMatmulPreference_t preference = nullptr;
    cublasStatus_t status = library_.MatmulPreferenceCreate(&preference);
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      if (status != CUBLAS_STATUS_SUCCESS) return;
      status = library_.MatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value);
    };
    const uint32_t weight_alignment = 16;  // the offsets in a slot are what an engine says; scratch memory has 256
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, weight_alignment);
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    if (status == CUBLAS_STATUS_SUCCESS) {
      status = library_.MatmulAlgoGetHeuristic(handle_, operation.desc, operation.w, operation.x, operation.y,
                                               operation.y, preference, 1, &best, &found);
    }
    if (preference) library_.MatmulPreferenceDestroy(preference);
    if (status == CUBLAS_STATUS_SUCCESS && found == 0) status = CUBLAS_STATUS_NOT_SUPPORTED;
    if (Result<void> chosen = check(status, "choose an algorithm for a matrix product"); !chosen) {
      return chosen.error();
    }
    algorithms_.emplace(shape, best.algo);
    return best.algo;
  }

  const Library library_;
  cublasLtHandle_t handle_ = nullptr;
  Memory<std::byte> workspace_;
  std::map<Shape, cublasLtMatmulAlgo_t> algorithms_;
};

}  // namespace

Result<std::unique_ptr<Blas>> open_cublas(Driver& driver) {
  const Result<Library> library = load();
  if (!library) return library.error();
  auto blas = std::make_unique<CublasLt>(*library);
  if (Result<void> ready = blas->prepare(driver); !ready) return ready.error();
  return std::unique_ptr<Blas>(std::move(blas));
}

}  // namespace moe::cuda
