# Everything Retort links that is not its own. Debian 12's packages, LibTorch apart (cmake/FindLibTorch.cmake).
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SNDFILE REQUIRED IMPORTED_TARGET sndfile)
pkg_check_modules(SOXR REQUIRED IMPORTED_TARGET soxr)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-cpp)
pkg_check_modules(ZIP REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)

if(RETORT_FAISS)
  # Debian ships libfaiss as a static library without a CMake package; it wants a BLAS and OpenMP.
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  find_library(FAISS_LIBRARY faiss REQUIRED)
  find_path(FAISS_INCLUDE_DIR faiss/Clustering.h REQUIRED)
  find_library(OPENBLAS_LIBRARY openblas REQUIRED)
  add_library(faiss::faiss STATIC IMPORTED)
  set_target_properties(faiss::faiss PROPERTIES
    IMPORTED_LOCATION ${FAISS_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${FAISS_INCLUDE_DIR}
    INTERFACE_LINK_LIBRARIES "${OPENBLAS_LIBRARY};$<LINK_ONLY:OpenMP::OpenMP_CXX>")
endif()

if(RETORT_ONNX)
  # Debian ships ONNX's schema, checker and shape inference without a CMake package; messages are protobuf's.
  find_package(Protobuf REQUIRED)
  find_library(ONNX_LIBRARY onnx REQUIRED)
  find_library(ONNX_PROTO_LIBRARY onnx_proto REQUIRED)
  find_path(ONNX_INCLUDE_DIR onnx/onnx_pb.h REQUIRED)
  add_library(onnx::onnx SHARED IMPORTED)
  set_target_properties(onnx::onnx PROPERTIES
    IMPORTED_LOCATION ${ONNX_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${ONNX_INCLUDE_DIR}
    INTERFACE_COMPILE_DEFINITIONS "ONNX_ML=1;ONNX_NAMESPACE=onnx"
    INTERFACE_LINK_LIBRARIES "${ONNX_PROTO_LIBRARY};protobuf::libprotobuf")
endif()

if(RETORT_TORCH)
  find_package(LibTorch 2.6 REQUIRED)
  # Training in several processes: LibTorch has Gloo and NCCL within it, and includes their headers in its own.
  find_path(GLOO_INCLUDE_DIR gloo/context.h)
  if(LibTorch_CUDA)
    find_package(CUDAToolkit QUIET)
    find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  endif()
endif()

# CUDA kernels need nvcc to be built, and LibTorch for memory and streams: one that tells the streams' handles. They link
# neither libtorch_cuda nor, but statically, the CUDA runtime: such a build runs on machines without a GPU too.
set(RETORT_WITH_CUDA OFF)
if(NOT RETORT_CUDA STREQUAL "OFF" AND RETORT_TORCH)
  file(STRINGS ${LibTorch_INCLUDE_DIR}/c10/core/Stream.h tells_handles REGEX "native_handle")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER AND tells_handles)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80 90)  # newer GPUs compile what is for 90 when a program starts
    endif()
    enable_language(CUDA)
    if(CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12)
      set(CMAKE_CUDA_STANDARD 17)  # all that Debian 12's CMake knows of nvcc
      set(CMAKE_CUDA_STANDARD_REQUIRED ON)
      set(RETORT_WITH_CUDA ON)
    endif()
  endif()
endif()
if(RETORT_CUDA STREQUAL "ON" AND NOT RETORT_WITH_CUDA)
  message(FATAL_ERROR "RETORT_CUDA=ON needs nvcc 12 or newer (set CUDACXX if it is not in the path), RETORT_TORCH=ON and a LibTorch as new as scripts/setup installs")
endif()
message(STATUS "CUDA k-means engine: ${RETORT_WITH_CUDA}")

if(RETORT_TESTS)
  find_package(Catch2 2.13 REQUIRED)
endif()
