"""The environment variables that may be stored with a run, and text that may not be."""

import os
import re

# The variables that the libraries read and that may change numbers. Others with such a prefix may contain secrets.
# CUDA_VISIBLE_DEVICES only selects the GPU, whose model is recorded: workers of a sweep have different values.
NUMERICAL = frozenset(
    {
        # kernels of the CPU: oneDNN, NumPy, Eigen
        "DNNL_DEFAULT_FPMATH_MODE",
        "DNNL_MAX_CPU_ISA",
        "MKL_CBWR",
        "NPY_DISABLE_CPU_FEATURES",
        "NPY_ENABLE_CPU_FEATURES",
        "ONEDNN_CPU_ISA_HINTS",
        "ONEDNN_DEFAULT_FPMATH_MODE",
        "ONEDNN_MAX_CPU_ISA",
        "OPENBLAS_CORETYPE",
        "TF_ENABLE_ONEDNN_OPTS",
        "TF_ENABLE_ZENDNN_OPTS",
        "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS",
        "TF_SET_ONEDNN_FPMATH_MODE",
        # kernels of the GPU
        "CUBLAS_WORKSPACE_CONFIG",
        "NVIDIA_TF32_OVERRIDE",
        "TF_CONV2D_USE_FP16_ACCUMULATE",
        "TF_CUBLAS_WORKSPACE_LIMIT_IN_MB",
        "TF_CUDNN_DETERMINISTIC",
        "TF_CUDNN_DISABLE_CONV_1X1_OPTIMIZATION",
        "TF_CUDNN_USE_AUTOTUNE",
        "TF_CUDNN_USE_RUNTIME_FUSION",
        "TF_CUDNN_WORKSPACE_LIMIT_IN_MB",
        "TF_DISABLE_JIT_KERNELS",
        "TF_DISABLE_RZ_CHECK",
        "TF_DISABLE_SCATTER_OP_DETERMINISM",
        "TF_DISABLE_SEGMENT_REDUCTION_OP_DETERMINISM_EXCEPTIONS",
        "TF_ENABLE_WINOGRAD_NONFUSED",
        "TF_FP16_CONV_USE_FP32_COMPUTE",
        "TF_FP16_MATMUL_USE_FP32_COMPUTE",
        "TF_MATMUL_AUTOTUNE_ENABLE",
        "TF_USE_CUBLASLT",
        "TF_USE_CUDNN_BATCHNORM_SPATIAL_PERSISTENT",
        "TF_USE_DEFAULT_CONV_ALGO",
        # compilation by XLA
        "TF_XLA_FLAGS",
        "XLA_FLAGS",
        # threads and devices
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TF_GPU_ALLOCATOR",
        "TF_NUM_INTEROP_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_OVERRIDE_GLOBAL_THREADPOOL",
        # TensorFlow's operations
        "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_LEVEL",
        "TF_DETERMINISTIC_OPS",
        "TF_ENABLE_MAXPOOL_NANPROP",
        "TF_USE_DEEP_CONV2D",
    }
)
SECRET = re.compile(r"://[^/\s]*@|passw|secret|token|credential|api_?key", re.IGNORECASE)
HIDDEN = "(not stored: looks like a secret)"


def storable(text: str) -> str:
    """Return a value or an argument as it may be stored: no secret, and ``\\xff`` for a byte that is not UTF-8."""
    return HIDDEN if SECRET.search(text) else os.fsencode(text).decode(errors="backslashreplace")
