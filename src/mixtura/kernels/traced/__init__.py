"""A log-density written in torch becomes machine code, with its gradient: traced, differentiated, compiled by LLVM."""
