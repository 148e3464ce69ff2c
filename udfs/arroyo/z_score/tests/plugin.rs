//! The built plugin, loaded and called through its exported symbol as the engine does, against the job's function.

use arroyo_udf_plugin::arrow::array::{Array as _, ArrayData, Float64Array};
use arroyo_udf_plugin::arrow::ffi::from_ffi;
use arroyo_udf_plugin::{FfiArraySchema, FfiArrays, RunResult};
use libloading::{Library, Symbol};

type Run = unsafe extern "C-unwind" fn(FfiArrays) -> RunResult;
type Row = [Option<f64>; 3];

/// Cargo puts the plugin beside the test binaries.
fn plugin() -> Library {
    let test = std::env::current_exe().expect("a test knows its own file");
    let file = test.with_file_name(libloading::library_filename("z_score"));
    // SAFETY: it is this workspace's own library; nothing runs when it is loaded.
    unsafe { Library::new(&file) }.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// One call with a batch of rows.
fn call(library: &Library, rows: &[Row]) -> Vec<Option<f64>> {
    let column = |index: usize| Float64Array::from_iter(rows.iter().map(|row| row[index])).into_data();
    // SAFETY: `__run` is what the engine's macro exports, with this signature; the same Rust and the same allocator on
    // both sides, so that the plugin may free the arguments.
    let result = unsafe {
        let run: Symbol<Run> = library.get(b"__run").expect("the plugin exports __run");
        run(FfiArrays::from_vec((0..3).map(column).collect()))
    };
    let RunResult::Ok(FfiArraySchema(array, schema)) = result else { panic!("the plugin panicked") };
    // SAFETY: both come from the plugin as a pair.
    let data: ArrayData = unsafe { from_ffi(array, &schema) }.expect("a well-formed array");
    Float64Array::from(data).iter().collect()
}

fn expected(row: &Row) -> Option<f64> {
    udfs::z_score(row[0]?, row[1]?, row[2]?)
}

fn bits(scores: impl IntoIterator<Item = Option<f64>>) -> Vec<Option<u64>> {
    scores.into_iter().map(|score| score.map(f64::to_bits)).collect()
}

#[test]
fn every_combination_of_odd_numbers_and_nulls_gives_the_bits_of_the_jobs_function() {
    let odd = [
        None,
        Some(0.0),
        Some(-0.0),
        Some(1.5),
        Some(-72.25),
        Some(1e-300),
        Some(f64::MAX),
        Some(f64::INFINITY),
        Some(f64::NAN),
    ];
    let rows: Vec<Row> = odd
        .into_iter()
        .flat_map(|a| odd.into_iter().flat_map(move |b| odd.into_iter().map(move |c| [a, b, c])))
        .collect();
    let scores = call(&plugin(), &rows);
    assert_eq!(bits(scores.iter().copied()), bits(rows.iter().map(expected)));
    assert!(scores.iter().any(Option::is_some) && scores.iter().any(Option::is_none));
}

#[test]
fn a_large_batch_keeps_its_order_and_its_nulls() {
    let rows: Vec<Row> = (0..100_000u32)
        .map(|n| [(n % 7 != 0).then_some(f64::from(n) * 0.1), Some(70.0), Some(f64::from(n % 5) * 0.3)])
        .collect();
    let library = plugin();
    let scores = call(&library, &rows);
    assert_eq!(bits(scores.iter().copied()), bits(rows.iter().map(expected)));
    assert_eq!(scores[1], Some((0.1 - 70.0) / 0.3));
    assert_eq!(call(&library, &[]), []);
}
