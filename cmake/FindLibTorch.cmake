# Finds LibTorch in deps/libtorch (scripts/setup puts it there) or in -DTORCH_ROOT=DIR, where DIR is an unpacked
# LibTorch or the `torch` folder of a Python installation. The package that comes with the wheel insists on a
# CUDA toolkit, which a CPU build does not need; hence this module.
#
# Makes LibTorch::LibTorch, LibTorch_VERSION and LibTorch_CUDA (TRUE where libtorch_cuda is linked too).
set(TORCH_ROOT "${PROJECT_SOURCE_DIR}/deps/libtorch" CACHE PATH "LibTorch: a folder with include/ and lib/")

find_path(LibTorch_INCLUDE_DIR torch/csrc/api/include/torch/torch.h
          PATHS ${TORCH_ROOT}/include NO_DEFAULT_PATH)
find_library(LibTorch_CPU_LIBRARY torch_cpu PATHS ${TORCH_ROOT}/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_LIBRARY c10 PATHS ${TORCH_ROOT}/lib NO_DEFAULT_PATH)
find_library(LibTorch_CUDA_LIBRARY torch_cuda PATHS ${TORCH_ROOT}/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_CUDA_LIBRARY c10_cuda PATHS ${TORCH_ROOT}/lib NO_DEFAULT_PATH)

if(LibTorch_INCLUDE_DIR AND EXISTS ${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h)
  file(STRINGS ${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h version_line REGEX "define TORCH_VERSION ")
elseif(LibTorch_INCLUDE_DIR AND EXISTS ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include/torch/version.h)
  file(STRINGS ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include/torch/version.h version_line REGEX "define TORCH_VERSION ")
endif()
if(version_line MATCHES "\"([0-9.]+)")
  set(LibTorch_VERSION ${CMAKE_MATCH_1})
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "Run scripts/setup, or point -DTORCH_ROOT= at a LibTorch of version 2.6 or newer (now: ${TORCH_ROOT}). A build with -DRETORT_TORCH=OFF needs none.")

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  set_target_properties(LibTorch::LibTorch PROPERTIES
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
    INTERFACE_INCLUDE_DIRECTORIES "${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES "${LibTorch_CPU_LIBRARY};${LibTorch_C10_LIBRARY}")
  set(LibTorch_CUDA FALSE)
  if(LibTorch_CUDA_LIBRARY AND LibTorch_C10_CUDA_LIBRARY)
    # libtorch_cuda registers its kernels when loaded and exports nothing we call, so the linker must not drop it.
    set_property(TARGET LibTorch::LibTorch APPEND PROPERTY INTERFACE_LINK_LIBRARIES
                 "-Wl,--no-as-needed,${LibTorch_CUDA_LIBRARY},${LibTorch_C10_CUDA_LIBRARY},--as-needed")
    set(LibTorch_CUDA TRUE)
  endif()
  # libtorch_cpu was linked against libcudart and libcupti even though a CPU run calls neither.
  set_property(TARGET LibTorch::LibTorch APPEND PROPERTY INTERFACE_LINK_OPTIONS
               "-Wl,-rpath,${TORCH_ROOT}/lib" "-Wl,-rpath-link,${TORCH_ROOT}/lib"
               "-Wl,--allow-shlib-undefined")
endif()
