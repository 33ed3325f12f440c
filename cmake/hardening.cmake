# Hardening of the product. The sanitizers bring their own checks and do not mix with FORTIFY.
if(NOT CARAT_SANITIZE)
  add_compile_options(-fstack-protector-strong $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
  add_link_options(-Wl,-z,relro -Wl,-z,now)
endif()
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)
