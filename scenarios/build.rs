//! Names the compiler, for a cache whose layout is the compiler's own must not outlive it.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("the compiler says its version");
    let version = String::from_utf8(version.stdout).expect("the version is text");
    println!("cargo:rustc-env=PLENUM_RUSTC={}", version.trim());
    println!("cargo:rustc-env=PLENUM_TARGET={}", std::env::var("TARGET").expect("cargo names the target"));
}
