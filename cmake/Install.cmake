# cmake --install and cpack: the programs and their twins, libretort with its header, CMake package and pkg-config file,
# documents, recipes and examples.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(tools cluster copy distill evaluate export extract import inspect label prepare report)
list(TRANSFORM tools PREPEND retort-)
# What links LibTorch keeps the rpath that cmake/FindLibTorch.cmake makes a link option: installing takes off CMake's own only.
if(RETORT_TORCH)
  install(TARGETS retort-extract-torch retort-label-torch retort-cluster-torch retort-evaluate-torch DESTINATION libexec/retort)  # where apps/common/torch_twin.cpp looks
endif()
install(TARGETS ${tools} DESTINATION ${CMAKE_INSTALL_BINDIR})

install(TARGETS retort EXPORT retort-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/retort DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/Retort)
install(EXPORT retort-targets NAMESPACE Retort:: FILE RetortConfig.cmake DESTINATION ${package_folder})
write_basic_package_version_file(RetortConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/RetortConfigVersion.cmake DESTINATION ${package_folder})

# Paths relative to the file itself, so that a prefix may be moved.
file(RELATIVE_PATH to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/retort.pc.in retort.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/retort.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY data/recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/retort FILES_MATCHING PATTERN "*.json")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME retort)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_DESCRIPTION "Programs that prepare, encode, label and convert speech with HuBERT-like models and their distilled
students, and libretort, a C library for features and units of speech, also as it comes in.")
set(CPACK_PACKAGE_CONTACT "Retort <retort@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})  # that the library's folder is chosen for
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION sound)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# shlibdeps finds libretort.so.0, which the package itself holds, where the build has it.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/lib)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
    WORLD_READ WORLD_EXECUTE)
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_CURRENT_SOURCE_DIR}/cmake/CPackChecks.cmake)
set(CPACK_RETORT_TORCH ${RETORT_TORCH})
include(CPack)
