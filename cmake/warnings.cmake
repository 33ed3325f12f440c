# Warnings are errors. Contraction is off: every fused multiply-add in this project is written as one.
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror -ffp-contract=off -fno-math-errno)
