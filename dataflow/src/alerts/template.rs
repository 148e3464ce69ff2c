//! The body of an alert from a template. Whatever a device calls itself, the body stays the JSON that the template's author meant:
//! texts are written with JSON's escapes, so that `"{{ summary }}"` is a text; lists and objects are written as JSON.

use anyhow::{Context as _, bail};
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

use super::alert::Alert;

const NAME: &str = "webhook.template";

/// A template, looked at once.
pub struct Template(Option<Environment<'static>>);

impl Template {
    /// An empty text stands for the object as it is.
    ///
    /// # Errors
    /// If it is no template, or what it makes of a sample is no JSON.
    pub fn new(text: &str) -> anyhow::Result<Template> {
        if text.is_empty() {
            return Ok(Template(None));
        }
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_formatter(write);
        environment.add_template_owned(NAME, text.to_owned()).context("setting \"webhook.template\" is no template")?;
        let template = Template(Some(environment));
        template.body(&Alert::test(0)).context("setting \"webhook.template\" does not fit a test alert")?;
        Ok(template)
    }

    /// What is sent.
    ///
    /// # Errors
    /// If the template asks for what there is not, or makes no JSON.
    pub fn body(&self, alert: &Alert) -> anyhow::Result<String> {
        let Some(environment) = &self.0 else { return Ok(alert.object.to_string()) };
        let template = environment.get_template(NAME).context("the template is known")?;
        let body = template.render(Serde(&alert.context)).context("could not fill the template in")?;
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&body) {
            bail!("what the template makes is no JSON: {error}");
        }
        Ok(body)
    }
}

/// Texts without their quotation marks, all else as JSON; what is safe already (`tojson`) as it is.
fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let failed = |_| Error::new(ErrorKind::WriteFailure, "could not write");
    if value.is_undefined() {
        return minijinja::escape_formatter(out, state, value);
    }
    let json = serde_json::to_string(value)
        .map_err(|cause| Error::new(ErrorKind::BadSerialization, "no JSON").with_source(cause))?;
    match (value.kind(), value.as_str()) {
        (_, Some(text)) if value.is_safe() => out.write_str(text).map_err(failed),
        (ValueKind::String, _) => out.write_str(&json[1..json.len() - 1]).map_err(failed),
        _ => out.write_str(&json).map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device's name can end no text and begin no other.
    #[test]
    fn texts_stay_texts() {
        let mut alert = Alert::test(0);
        let evil = "a\", \"severity\": \"none\\\u{1}\n{{ id }}";
        alert.context["summary"] = evil.into();
        let template = Template::new(
            r#"{"text": "{{ severity | upper }}: {{ summary }}", "list": {{ devices }}, "same": {{ summary | tojson }},
                "n": {{ score }}, "none": {{ location }}, "named": [{% for one in incidents %}"{{ one.device_id }}"{% endfor %}]}"#,
        )
        .unwrap();
        let body: serde_json::Value = serde_json::from_str(&template.body(&alert).unwrap()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"text": format!("WARNING: {evil}"), "list": ["TEST-000"], "same": evil, "n": 0.5,
                "none": null, "named": ["TEST-000"]})
        );
    }

    #[test]
    fn what_makes_no_json_is_said_before_anything_is_sent() {
        let said = |text: &str| Template::new(text).err().map_or_else(String::new, |error| format!("{error:#}"));
        assert!(said("{% for %}").contains("is no template"), "{}", said("{% for %}"));
        assert!(said("{\"a\": {{ summary }}}").contains("no JSON"), "{}", said("{\"a\": {{ summary }}}"));
        assert!(said("{\"a\": {{ sumary }}}").contains("undefined"), "{}", said("{\"a\": {{ sumary }}}"));
        assert_eq!(said("{\"a\": \"{{ summary }}\"}"), "");
    }
}
