# How Retort's own targets are made: one static library per folder of lib/, one program per tool.

# Flags that all of our own code is compiled with; warnings are errors where RETORT_WERROR says so.
add_library(retort_flags INTERFACE)
target_include_directories(retort_flags INTERFACE ${PROJECT_SOURCE_DIR}/lib)
if(RETORT_TORCH)
  # LibTorch carries a fmt of its own among its headers; the one that we link must be found before it.
  get_target_property(fmt_include fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/fmt_first)
  file(CREATE_LINK ${fmt_include}/fmt ${PROJECT_BINARY_DIR}/fmt_first/fmt SYMBOLIC)
  target_include_directories(retort_flags SYSTEM BEFORE INTERFACE ${PROJECT_BINARY_DIR}/fmt_first)
endif()
target_compile_options(retort_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual>
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>)
target_compile_definitions(retort_flags INTERFACE RETORT_VERSION="${PROJECT_VERSION}")
target_compile_definitions(retort_flags INTERFACE $<$<BOOL:${RETORT_TORCH}>:RETORT_WITH_TORCH>
                           $<$<BOOL:${RETORT_FAISS}>:RETORT_WITH_FAISS>)
if(RETORT_WERROR)
  target_compile_options(retort_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>
                         $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings>)
endif()
if(RETORT_SANITIZE)
  target_compile_options(retort_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${RETORT_SANITIZE}
                         -fno-omit-frame-pointer -fno-sanitize-recover=all>)
  target_link_options(retort_flags INTERFACE -fsanitize=${RETORT_SANITIZE})
endif()

# retort_precompile(NAME LIBRARIES lib... HEADERS header...) makes NAME, a precompiled header that targets of the same flags (-fPIC is
# one) take by retort_use_precompiled(TARGET NAME). Sources include what they use all the same, and the preset tidy, which does
# without, holds them to it. A source with options of its own sets SKIP_PRECOMPILE_HEADERS.
option(RETORT_PRECOMPILE "Precompile the headers that most sources include" ON)
function(retort_precompile name)
  cmake_parse_arguments(ARG "" "" "LIBRARIES;HEADERS" ${ARGN})
  if(NOT RETORT_PRECOMPILE)
    return()
  endif()
  set(source ${PROJECT_BINARY_DIR}/${name}.cpp)
  if(NOT EXISTS ${source})
    file(TOUCH ${source})
  endif()
  add_library(${name} OBJECT ${source})
  target_link_libraries(${name} PUBLIC retort_flags ${ARG_LIBRARIES})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
endfunction()

function(retort_use_precompiled target name)
  if(TARGET ${name})
    target_precompile_headers(${target} REUSE_FROM ${name})
  endif()
endfunction()

# What most sources include: JSON costs a second or two of each, Catch another two of a test, CLI11 three of a tool.
set(common_libraries fmt::fmt nlohmann_json::nlohmann_json)
set(common_headers <algorithm> <cmath> <cstdint> <filesystem> <fmt/format.h> <functional> <map> <memory> <nlohmann/json.hpp>
                   <optional> <span> <string> <unordered_map> <vector>)
retort_precompile(retort_pch LIBRARIES ${common_libraries} HEADERS ${common_headers})
retort_precompile(retort_tool_pch LIBRARIES ${common_libraries} CLI11::CLI11 HEADERS ${common_headers} <CLI/CLI.hpp>)
if(RETORT_TESTS)
  retort_precompile(retort_test_pch LIBRARIES ${common_libraries} Catch2::Catch2 HEADERS ${common_headers} <catch2/catch.hpp>)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
retort_precompile(retort_hidden_pch LIBRARIES ${common_libraries} HEADERS ${common_headers})
unset(CMAKE_POSITION_INDEPENDENT_CODE)
unset(CMAKE_CXX_VISIBILITY_PRESET)

# LibTorch's is half a minute of each.
if(RETORT_TORCH)
  retort_precompile(retort_torch_pch LIBRARIES LibTorch::LibTorch fmt::fmt HEADERS <torch/torch.h> <fmt/format.h>)
endif()

# retort_library(NAME DEPENDS lib...) compiles the sources of the current folder into libretort_NAME.a.
# Sources named torch_*.cpp include LibTorch and share its precompiled header; a build without LibTorch leaves them out,
# as one without FAISS leaves out faiss_*.cpp, one without ONNX onnx_*.cpp, and one without CUDA *.cu and torch_cuda_*.cpp. The
# others see which there are as RETORT_WITH_TORCH and RETORT_WITH_FAISS; lib/kmeans also has RETORT_WITH_CUDA, lib/export
# RETORT_WITH_ONNX.
function(retort_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  file(GLOB torch_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/torch_*.cpp)
  file(GLOB faiss_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/faiss_*.cpp)
  file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cu)
  list(REMOVE_ITEM sources ${torch_sources} ${faiss_sources} "")
  if(NOT RETORT_ONNX)
    list(FILTER sources EXCLUDE REGEX "/onnx_[^/]*$")
  endif()
  if(RETORT_WITH_CUDA)
    list(APPEND sources ${cuda_sources})
  else()
    list(FILTER torch_sources EXCLUDE REGEX "/torch_cuda_[^/]*$")
  endif()
  set(target retort_${name})

  if(torch_sources AND RETORT_TORCH)
    add_library(${target}_torch OBJECT ${torch_sources})
    target_link_libraries(${target}_torch PUBLIC retort_flags ${ARG_DEPENDS} LibTorch::LibTorch)
    retort_use_precompiled(${target}_torch retort_torch_pch)
    list(APPEND sources $<TARGET_OBJECTS:${target}_torch>)
    list(APPEND ARG_DEPENDS LibTorch::LibTorch)
  endif()
  if(faiss_sources AND RETORT_FAISS)
    list(APPEND sources ${faiss_sources})
    list(APPEND ARG_DEPENDS faiss::faiss)
  endif()

  if(sources)
    add_library(${target} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(${target} ${scope} retort_flags ${ARG_DEPENDS})
  if(sources AND CMAKE_POSITION_INDEPENDENT_CODE)
    retort_use_precompiled(${target} retort_hidden_pch)
  elseif(sources)
    retort_use_precompiled(${target} retort_pch)
  endif()
endfunction()

# retort_embed_json(TARGET FOLDER FUNCTION) makes data/FOLDER/*.json string literals of TARGET, which FUNCTION() returns
# (lib/base/embedded_json.h).
function(retort_embed_json target folder function)
  set(root ${PROJECT_SOURCE_DIR}/data/${folder})
  file(GLOB files CONFIGURE_DEPENDS RELATIVE ${root} ${root}/*.json)
  list(TRANSFORM files REPLACE "\\.json$" "" OUTPUT_VARIABLE names)
  list(SORT names)
  set(FUNCTION ${function})
  set(ENTRIES "")
  foreach(name IN LISTS names)
    set(file ${root}/${name}.json)
    file(READ ${file} text)
    string(APPEND ENTRIES "      {\"${name}\", R\"json(${text})json\"},\n")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  endforeach()
  configure_file(${PROJECT_SOURCE_DIR}/cmake/embedded_json.cpp.in ${function}.cpp @ONLY)
  target_sources(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/${function}.cpp)
endfunction()

# retort_tool(NAME DEPENDS lib...) builds the program apps/NAME.cpp.
function(retort_tool name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  add_executable(${name} ${name}.cpp)
  target_link_libraries(${name} PRIVATE retort_tool_common ${ARG_DEPENDS})
  retort_use_precompiled(${name} retort_tool_pch)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# retort_torch_twin(NAME DEPENDS lib...) builds a tool that does without LibTorch once more, with it (apps/common/torch_twin.h). LibTorch
# comes first: it and FAISS's BLAS both have an sgemm_, the first one serves the whole program, and OpenBLAS heeds no thread
# count that LibTorch is given.
function(retort_torch_twin name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  add_executable(${name}-torch ${name}.cpp)
  target_link_libraries(${name}-torch PRIVATE ${LibTorch_CPU_LIBRARY} retort_tool_common ${ARG_DEPENDS})
  retort_use_precompiled(${name}-torch retort_tool_pch)
  target_compile_definitions(${name}-torch PRIVATE RETORT_IS_TORCH_TWIN)
  set_target_properties(${name}-torch PROPERTIES OUTPUT_NAME ${name}
                        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/libexec/retort)
  add_dependencies(${name} ${name}-torch)
endfunction()

# retort_test(NAME DEPENDS lib...) builds the current folder's *_test.cpp into one Catch2 program and registers it.
function(retort_test name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp)
  file(GLOB torch_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/torch_*_test.cpp)
  list(REMOVE_ITEM sources ${torch_sources} "")
  set(target test_${name})
  if(torch_sources AND RETORT_TORCH)
    add_library(${target}_torch OBJECT ${torch_sources})
    target_link_libraries(${target}_torch PUBLIC retort_flags ${ARG_DEPENDS} LibTorch::LibTorch Catch2::Catch2)
    retort_use_precompiled(${target}_torch retort_torch_pch)
    target_compile_definitions(${target}_torch PRIVATE RETORT_FIXTURES="${PROJECT_SOURCE_DIR}/tests/fixtures")
    list(APPEND sources $<TARGET_OBJECTS:${target}_torch>)
  endif()
  if(NOT sources)
    return()
  endif()
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE retort_test_main ${ARG_DEPENDS})
  retort_use_precompiled(${target} retort_test_pch)
  target_compile_definitions(${target} PRIVATE RETORT_FIXTURES="${PROJECT_SOURCE_DIR}/tests/fixtures")
  add_test(NAME ${name} COMMAND ${target})
endfunction()
