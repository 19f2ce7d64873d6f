//! Texts with values filled in. Feature `template`.
//!
//! The language is Jinja's as minijinja speaks it: values, conditions, loops, filters. It runs no
//! code and reads no file, and what one template may do is bounded.

use std::borrow::Cow;
use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{
    AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior, Value as Known,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A text, ready to be filled in.
///
/// ```
/// use mortise_plugin_api::Template;
/// use mortise_plugin_api::prelude::*;
///
/// let template = Template::parse("Classify ticket: {{ payload.text }}").unwrap();
/// let payload = json!({ "text": "printer on fire" });
/// let text = template.render([("payload", &payload)]).unwrap();
/// assert_eq!(text, "Classify ticket: printer on fire");
/// ```
pub struct Template(Parsed);

enum Parsed {
    /// Nothing is to be filled in.
    Plain(String),
    Compiled(Box<Environment<'static>>),
}

/// A text that is no template, or values that one cannot be filled in from.
#[derive(Debug, thiserror::Error)]
#[error("{}", told(.0))]
pub struct TemplateError(#[from] minijinja::Error);

/// The name of the one template in an environment.
const NAME: &str = "text";

/// How many instructions of its machine one filling in may take: a loop ends.
const FUEL: u64 = 100_000;

// === impl Template ===

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, and in which line. A filter, test or function that does not exist is
    /// found where it is reached without values; elsewhere, the first rendering finds it.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        if !["{{", "{%", "{#"].iter().any(|mark| source.contains(mark)) {
            return Ok(Self(Parsed::Plain(source.to_owned())));
        }
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_formatter(write_value);
        environment.set_syntax(
            SyntaxConfig::builder()
                .keep_trailing_newline(true)
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()?,
        );
        environment.set_fuel(Some(FUEL));
        environment.add_template_owned(NAME, source.to_owned())?;
        let known = environment.get_template(NAME)?.render(Known::UNDEFINED);
        if let Err(error) = known
            && is_misspelt(&error)
        {
            return Err(error.into());
        }
        Ok(Self(Parsed::Compiled(Box::new(environment))))
    }

    /// The text with these values by their names; what is absent is empty, a text is put in as it
    /// is, anything else as JSON.
    ///
    /// # Errors
    /// Where the values are not what the template works with, or it goes on for too long.
    pub fn render<const N: usize>(
        &self,
        values: [(&str, &Value); N],
    ) -> Result<String, TemplateError> {
        match &self.0 {
            Parsed::Plain(text) => Ok(text.clone()),
            Parsed::Compiled(environment) => {
                let template = environment.get_template(NAME)?;
                let values = values.map(|(name, value)| (name, Known::from(Serde(value))));
                Ok(template.render(Known::from_pairs(values))?)
            }
        }
    }
}

/// A setting of a plugin may be a template.
impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let source = String::deserialize(from)?;
        Self::parse(&source).map_err(|error| D::Error::custom(format!("is no template: {error}")))
    }
}

impl JsonSchema for Template {
    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Template")
    }
}

/// Texts as they are, nothing for what is absent or null, anything else as JSON.
fn write_value(
    output: &mut Output<'_>,
    _state: &mut State<'_, '_>,
    value: &Known,
) -> Result<(), minijinja::Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(());
    }
    if let Some(text) = value.as_str() {
        return Ok(output.write_str(text)?);
    }
    let json = serde_json::to_string(value)
        .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(output.write_str(&json)?)
}

/// Whether a name is wrong whatever the values are.
fn is_misspelt(error: &minijinja::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
    )
}

/// What is wrong, and in which line of the template.
fn told(error: &minijinja::Error) -> String {
    let what = error.kind();
    let detail = error.detail().map(|detail| format!(": {detail}"));
    let line = error.line().map(|line| format!(" (line {line})"));
    format!(
        "{what}{}{}",
        detail.unwrap_or_default(),
        line.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(template: &str, context: Option<&Value>) -> Result<String, TemplateError> {
        let values = [("context", context.unwrap_or(&Value::Null))];
        Template::parse(template)?.render(values)
    }

    #[test]
    fn values_of_the_context_are_put_in() {
        let context = json!({
            "user": { "name": "Ann", "tags": ["a", "b"] },
            "n": 3, "half": 0.5, "yes": true, "nothing": null, "z": { "b": 1, "a": [2, "x"] },
        });
        for (template, expected) in [
            ("User {{context.user.name}}!", "User Ann!"),
            ("{{ context.n }}{{context.user.tags[1]}}", "3b"),
            ("{{ context.user.tags.1 }}", "b"),
            ("{{ context.half }} {{ context.yes }}", "0.5 true"),
            ("{{ context.z }}", r#"{"b":1,"a":[2,"x"]}"#),
            ("{{ context.user.tags | join(', ') }}\n", "a, b\n"),
            ("{% if context.n > 2 %}many{% else %}few{% endif %}", "many"),
            (
                "{% for tag in context.user.tags %}\n- {{ tag }}\n{% endfor %}",
                "- a\n- b\n",
            ),
            ("{{ context.user.name | default('you') }}", "Ann"),
            ("<b> & \"quotes\" {{ '<' }}", "<b> & \"quotes\" <"),
            ("{# not shown #}no { braces }", "no { braces }"),
        ] {
            let rendered = render(template, Some(&context)).unwrap();
            assert_eq!(rendered, expected, "{template}");
        }
    }

    #[test]
    fn what_is_absent_is_empty() {
        let context = json!({ "nothing": null, "text": "x" });
        let template = "{{context.absent}}|{{context.absent.deeper}}|{{other}}|\
                        {{context.nothing}}|{{context.text.deeper}}|\
                        {% for one in context.absent %}x{% endfor %}";
        for context in [
            None,
            Some(&Value::Null),
            Some(&json!("text")),
            Some(&context),
        ] {
            assert_eq!(render(template, context).unwrap(), "|||||", "{context:?}");
        }
        let named = "{{ context.absent | default('you') }}";
        assert_eq!(render(named, None).unwrap(), "you");
    }

    #[test]
    fn a_value_is_never_read_as_a_template() {
        let context = json!({"x": "{{context.secret}}{% raw %}", "secret": "s"});
        assert_eq!(
            render("{{context.x}}", Some(&context)).unwrap(),
            "{{context.secret}}{% raw %}"
        );
    }

    #[test]
    fn what_is_no_template_is_told_with_its_line() {
        for (template, expected) in [
            ("one\n{{ context.x", "line 2"),
            ("{% if context.x %}", "line 1"),
            ("{% include 'x' %}", "line 1"),
            ("{{ context.x | shell }}", "unknown filter"),
        ] {
            let error = render(template, None).unwrap_err().to_string();
            assert!(error.contains(expected), "{template}: {error}");
        }
    }

    #[test]
    fn a_name_that_does_not_exist_is_no_template() {
        for (template, expected) in [
            ("{{ context.x | shell }}", "unknown filter"),
            (
                "{% if context.x is nothing_such %}a{% endif %}",
                "unknown test",
            ),
            ("one\n{{ nothing_such() }}", "line 2"),
        ] {
            let error = Template::parse(template).unwrap_err().to_string();
            assert!(error.contains(expected), "{template}: {error}");
        }
        for needs_values in [
            "{{ context.x + 1 }}",
            "{{ context.x.items() }}",
            "{{ context.x | items }}",
        ] {
            assert!(Template::parse(needs_values).is_ok(), "{needs_values}");
        }
    }

    #[test]
    fn a_template_cannot_go_on_for_ever() {
        let template =
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        let error = render(template, None).unwrap_err().to_string();
        assert!(error.contains("fuel"), "{error}");
    }
}
