//! The settings in `docker-compose.yml` are settings that the job knows.

use super::*;

/// Name and value of the lines `PLENUM__NAME: value`, with the default where a value can be given.
fn settings() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker-compose.yml");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| line.trim().split_once(": "));
    let settings = lines.filter(|(name, _)| name.starts_with("PLENUM__")).map(|(name, value)| {
        let default = value.split_once(":-").map_or(value, |(_, default)| default.trim_end_matches('}'));
        (name.to_owned(), default.to_owned())
    });
    settings.collect()
}

fn validate(settings: Vec<(String, String)>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dataflow"));
    command.args(["config", "validate"]).envs(settings).current_dir(folder()).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn the_jobs_settings_in_the_compose_file_are_valid() {
    let settings = settings();
    assert!(
        settings.iter().any(|(name, value)| name == "PLENUM__SOURCE" && value == "kafka://kafka:19092/iot-metrics")
    );
    let output = validate(settings.clone());
    assert!(output.status.success(), "{output:?}");
    let mut misspelt = settings;
    misspelt[0].0 += "X";
    assert_eq!(validate(misspelt).status.code(), Some(1));
}
