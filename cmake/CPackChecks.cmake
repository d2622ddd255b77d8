# Read by cpack before it makes anything.
if(CPACK_RETORT_TORCH)
  message(FATAL_ERROR "cpack: this build links LibTorch out of a Python wheel, which no Debian package holds: make it of a build without LibTorch (cmake --preset package), or install this one by cmake --install")
endif()
