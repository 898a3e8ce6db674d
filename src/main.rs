//! The program `posixlake`. Everything it does is in the library.

/// Faster than the system's for the many short-lived buffers of a query.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    posixlake::cli::main()
}
