//! Where memory comes from, and goes back to.
#![allow(unsafe_code, reason = "both allocators are asked through C")]

use std::ptr::null_mut;

/// What threads pass to each other is freed by others than made it; the system's allocator keeps that in ever more
/// heaps. Its limits stand in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// `MALLCTL_ARENAS_ALL` is 4096.
const PURGE: &std::ffi::CStr = c"arena.4096.purge";

/// Gives the memory that is free back to the system, at once. By itself the allocator does so within a second or so.
pub fn give_back() {
    // SAFETY: the name ends with a zero, and this command takes and gives no value.
    let failed = unsafe { tikv_jemalloc_sys::mallctl(PURGE.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
    if failed != 0 {
        tracing::debug!(code = failed, "the allocator gives nothing back");
    }
    // librdkafka, which is C, has its memory from the system's allocator.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
