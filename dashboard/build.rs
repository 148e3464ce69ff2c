//! Lists the files under `assets/`, so that a new one is served without being named anywhere.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=assets");
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo says it")).join("assets");
    let mut files = Vec::new();
    list(&folder, &folder, &mut files);
    files.sort();
    let mut text = "&[\n".to_owned();
    for name in files {
        let path = folder.join(&name);
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(text, "    ({name:?}, include_bytes!({:?})),", path.display().to_string()).expect("a text takes it");
    }
    text += "]\n";
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo says it")).join("assets.rs");
    std::fs::write(out, text).expect("the folder of the build can be written");
}

fn list(folder: &Path, root: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("the folder of assets can be read") {
        let path = entry.expect("the folder of assets can be read").path();
        if path.is_dir() {
            list(&path, root, files);
        } else {
            let name = path.strip_prefix(root).expect("it is below").to_str().expect("names are text");
            files.push(name.replace('\\', "/"));
        }
    }
}
