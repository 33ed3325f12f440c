# 64-bit ARM on an x86 machine: Debian's cross compiler, and qemu to run the tests.
# -cpu max has dot products and int8 matrix products; -DCARAT_QEMU_CPU=cortex-a57 has neither (for the dispatch).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CARAT_QEMU_CPU max CACHE STRING "the CPU that qemu plays")
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-cpu;${CARAT_QEMU_CPU};-L;/usr/aarch64-linux-gnu")
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES CARAT_QEMU_CPU)
