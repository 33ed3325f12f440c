# The workspace rust/: programs around libraries that exist in Rust only. Cargo.lock pins them; the first build fetches them from the crates registry, later
# ones need no network. Without it everything else builds, and what needs them refuses by name.
find_program(CARAT_CARGO cargo)
mark_as_advanced(CARAT_CARGO)
set(CARAT_CARGO_FITS OFF)
if(CARAT_CARGO AND NOT CMAKE_CROSSCOMPILING)
  execute_process(COMMAND ${CARAT_CARGO} --version OUTPUT_VARIABLE version ERROR_QUIET RESULT_VARIABLE status)
  if(status EQUAL 0 AND version MATCHES "cargo ([0-9.]+)" AND CMAKE_MATCH_1 VERSION_GREATER_EQUAL 1.85)
    set(CARAT_CARGO_FITS ON)
  endif()
endif()
option(CARAT_RUST "build rust/ (chat templates of others); needs cargo 1.85" ${CARAT_CARGO_FITS})

if(CARAT_RUST AND NOT CARAT_ONLY_ROOMS)
  if(NOT CARAT_CARGO_FITS)
    message(FATAL_ERROR "CARAT_RUST is on, but there is no cargo 1.85 or newer for this machine: install it (Debian: cargo-web rustc-web), or give -DCARAT_RUST=OFF")
  endif()
  # Beside the program that starts it.
  set(program ${CMAKE_BINARY_DIR}/carat-template)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/rust/*.rs ${CMAKE_SOURCE_DIR}/rust/Cargo.toml ${CMAKE_SOURCE_DIR}/rust/Cargo.lock)
  add_custom_command(OUTPUT ${program}
    COMMAND ${CARAT_CARGO} build --quiet --locked --release --manifest-path ${CMAKE_SOURCE_DIR}/rust/Cargo.toml --target-dir ${CMAKE_BINARY_DIR}/cargo
    COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_BINARY_DIR}/cargo/release/carat-template ${program}
    DEPENDS ${sources}
    COMMENT "Building carat-template"
    VERBATIM)
  add_custom_target(carat_template ALL DEPENDS ${program})
endif()
