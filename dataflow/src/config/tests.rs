//! Layers, messages, secrets.

use super::*;

fn flags(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn later_layers_win_and_texts_become_what_they_look_like() {
    let environment = [("PLENUM__WINDOW", "30s"), ("PLENUM__DETECTORS__WARM_UP_WINDOWS", "90"), ("HOME", "x")];
    let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = load(None, environment, &flags(&[("window", "10s"), ("max_devices", "5"), ("max_age", "2d")]));
    let config = config.unwrap();
    assert_eq!(config.job.window_ms, 10_000);
    assert_eq!(config.job.max_devices, 5);
    assert_eq!(config.job.max_age_ms, Some(172_800_000));
    assert_eq!(config.detectors.usual.warm_up_windows, 90);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let said = |pairs: &[(&str, &str)]| load(None, std::iter::empty(), &flags(pairs)).unwrap_err().to_string();
    expect_test::expect![[r#"flag --latenes: unknown setting "latenes"; did you mean "lateness"?"#]]
        .assert_eq(&said(&[("latenes", "1s")]));
    expect_test::expect![[r#"flag --window: setting "window" is 0ms, which is not from 1ms to 1d"#]]
        .assert_eq(&said(&[("window", "0s")]));
    assert!(said(&[("window", "soon")]).contains("duration \"soon\" needs a number"));
    assert!(said(&[("detectors.warm_up_window", "1")]).contains("did you mean \"detectors.warm_up_windows\""));
}

#[test]
fn texts_take_their_secrets_from_the_environment() {
    let variables = [("PW", "hunter2"), ("PLENUM__KAFKA__SASL__USERNAME", "me"), ("W", "soon")];
    let variables = || variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let load = |pairs: &[(&str, &str)]| load_as_written(None, variables(), &flags(pairs));
    let (config, written) = load(&[("kafka.sasl.password", "x${PW}"), ("kafka.fetch.min.bytes", "7")]).unwrap();
    let properties: Vec<_> = config.kafka.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(properties, [("fetch.min.bytes", "7"), ("sasl.password", "xhunter2"), ("sasl.username", "me")]);
    assert!(!format!("{config:?}{written}").contains("hunter2"));
    let said = |pairs: &[(&str, &str)]| load(pairs).unwrap_err().to_string();
    expect_test::expect![[
        r#"flag --set kafka.sasl.password: setting "kafka.sasl.password" needs the environment variable "NONE", which is not set"#
    ]]
    .assert_eq(&said(&[("kafka.sasl.password", "${NONE}")]));
    assert!(said(&[("source", "file:${PW")]).contains("has a \"${\" without"));
    let said = said(&[("window", "${W}")]);
    assert!(said.contains("${W}") && !said.contains("soon"), "{said}");
}

#[test]
fn what_is_printed_can_be_read_again() {
    let text = toml::to_string(&Config::default()).unwrap();
    assert_eq!(from_table("printed", text.parse().unwrap()).unwrap(), Config::default());
}
