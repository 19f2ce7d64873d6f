//! Tables of schema and value against what Ajv 8 says with `allErrors`.

use serde_json::{Value, json};

use super::{Issue, Schema};

fn issues(schema: &Value, value: &Value) -> Vec<Issue> {
    let schema = Schema::compile(schema).unwrap();
    schema.validate(value).err().unwrap_or_default()
}

/// `"/path message"` of each issue.
fn said(schema: &Value, value: &Value) -> Vec<String> {
    issues(schema, value)
        .into_iter()
        .map(|issue| format!("{} {}", issue.instance_path, issue.message))
        .collect()
}

#[test]
fn the_place_of_an_issue_leads_to_what_is_missing() {
    let schema = json!({ "properties": { "a/b": { "items": { "required": ["c"] } } } });
    let issues = issues(&schema, &json!({ "a/b": [{}] }));
    assert_eq!(json!(issues[0].place()), json!(["a/b", 0, "c"]));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of all keywords")]
fn every_keyword_says_what_ajv_says() {
    for (schema, value, expected) in [
        (
            json!({ "type": ["string", "null"] }),
            json!(1),
            vec!["must be string,null"],
        ),
        (
            json!({ "type": "boolean" }),
            json!(1),
            vec!["must be boolean"],
        ),
        (
            json!({ "maxItems": 1 }),
            json!([1, 2]),
            vec!["must NOT have more than 1 items"],
        ),
        (
            json!({ "minLength": 2 }),
            json!("a"),
            vec!["must NOT have fewer than 2 characters"],
        ),
        (
            json!({ "maxLength": 2 }),
            json!("abc"),
            vec!["must NOT have more than 2 characters"],
        ),
        (
            json!({ "minProperties": 1 }),
            json!({}),
            vec!["must NOT have fewer than 1 properties"],
        ),
        (
            json!({ "maxProperties": 0 }),
            json!({"a": 1}),
            vec!["must NOT have more than 0 properties"],
        ),
        (json!({ "maximum": 1.0 }), json!(2), vec!["must be <= 1"]),
        (
            json!({ "exclusiveMaximum": 2.5 }),
            json!(2.5),
            vec!["must be < 2.5"],
        ),
        (
            json!({ "multipleOf": 3 }),
            json!(4),
            vec!["must be multiple of 3"],
        ),
        (
            json!({ "const": 1 }),
            json!(2),
            vec!["must be equal to constant"],
        ),
        (
            json!({ "not": { "type": "string" } }),
            json!("a"),
            vec!["must NOT be valid"],
        ),
        (json!(false), json!(1), vec!["boolean schema is false"]),
        (
            json!({ "properties": { "a": false } }),
            json!({"a": 1}),
            vec!["boolean schema is false"],
        ),
        (
            json!({ "additionalProperties": false }),
            json!({ "a": {}, "b": 2 }),
            vec![
                "must NOT have additional properties",
                "must NOT have additional properties",
            ],
        ),
        (
            json!({ "properties": { "additionalProperties": false } }),
            json!({ "additionalProperties": {} }),
            vec!["boolean schema is false"],
        ),
        (
            json!({ "contains": { "type": "string" } }),
            json!([1]),
            vec!["must contain at least 1 valid item(s)"],
        ),
        (
            json!({ "contains": { "type": "string" }, "minContains": 2, "maxContains": 3 }),
            json!(["a"]),
            vec!["must contain at least 2 and no more than 3 valid item(s)"],
        ),
        (
            json!({ "uniqueItems": true }),
            json!([1, 2, 1]),
            vec!["must NOT have duplicate items (items ## 0 and 2 are identical)"],
        ),
        (
            json!({ "uniqueItems": true }),
            json!([1, { "a": 1, "b": 2 }, 1, { "b": 2, "a": 1 }, "x"]),
            vec!["must NOT have duplicate items (items ## 1 and 3 are identical)"],
        ),
        (
            json!({ "uniqueItems": true, "items": { "type": "number" } }),
            json!([1, 3, 1, 3, 3, 2]),
            vec!["must NOT have duplicate items (items ## 4 and 3 are identical)"],
        ),
        (
            json!({ "uniqueItems": true, "items": { "type": "number" } }),
            json!([1, 2, 1]),
            vec!["must NOT have duplicate items (items ## 2 and 0 are identical)"],
        ),
        (
            json!({ "oneOf": [{ "type": "null" }, { "minimum": 1 }, { "maximum": 9 }, { "type": "null" }] }),
            json!(5),
            vec!["must be null", "must match exactly one schema in oneOf"],
        ),
        (
            json!({ "prefixItems": [{ "type": "string" }], "items": false }),
            json!([1, 2]),
            vec!["must be string", "boolean schema is false"],
        ),
        (
            json!({ "unevaluatedProperties": false }),
            json!({ "a": 1, "b": 2 }),
            vec![
                "must NOT have unevaluated properties",
                "must NOT have unevaluated properties",
            ],
        ),
        (
            json!({ "propertyNames": { "maxLength": 1 } }),
            json!({ "ab": 1 }),
            vec![
                "must NOT have more than 1 characters",
                "property name must be valid",
            ],
        ),
        (
            json!({ "dependentRequired": { "a": ["b", "c"] } }),
            json!({ "a": 1, "b": 2 }),
            vec!["must have properties b, c when property a is present"],
        ),
        (
            json!({
                "$schema": "http://json-schema.org/draft-07/schema#",
                "dependencies": { "a": ["b"], "c": { "required": ["d"] } },
            }),
            json!({ "a": 1, "c": 1 }),
            vec![
                "must have property b when property a is present",
                "must have required property 'd'",
            ],
        ),
        (
            json!({ "$schema": "http://json-schema.org/draft-07/schema#", "format": "email" }),
            json!("nobody"),
            vec!["must match format \"email\""],
        ),
        (
            json!({ "type": "string", "enum": ["a"] }),
            json!(1),
            vec![
                "must be string",
                "must be equal to one of the allowed values",
            ],
        ),
    ] {
        let messages: Vec<_> = issues(&schema, &value)
            .into_iter()
            .map(|it| it.message)
            .collect();
        assert_eq!(messages, expected, "{schema} against {value}");
    }
}

#[test]
fn a_condition_is_reported_once_after_what_failed_in_it() {
    let schema = json!({
        "if": { "properties": { "status": { "const": "success" } }, "required": ["status"] },
        "then": { "required": ["result", "time"] },
        "else": { "required": ["error"] },
    });
    assert_eq!(
        said(&schema, &json!({ "status": "success" })),
        [
            " must have required property 'result'",
            " must have required property 'time'",
            " must match \"then\" schema",
        ]
    );
    let found = issues(&schema, &json!({}));
    assert_eq!(found[1].message, "must match \"else\" schema");
    assert_eq!(found[1].schema_path, "#/if");
    assert_eq!(found[1].params, json!({ "failingKeyword": "else" }));

    let list = json!({ "items": schema, "type": "array" });
    assert_eq!(
        said(&list, &json!([{}, { "error": 1 }, {}])),
        [
            "/0 must have required property 'error'",
            "/0 must match \"else\" schema",
            "/2 must have required property 'error'",
            "/2 must match \"else\" schema",
        ]
    );
}

#[test]
fn an_issue_carries_its_paths_and_params() {
    let schema = json!({
        "type": "object",
        "required": ["input"],
        "properties": {
            "userId": { "type": "string" },
            "age": { "minimum": 1 },
            "a/b": { "$ref": "#/$defs/short" },
        },
        "additionalProperties": false,
        "$defs": { "short": { "maxLength": 1 } },
    });
    let found = issues(
        &schema,
        &json!({ "userId": 1, "age": 0, "a/b": "xx", "other": 1 }),
    );
    let found: Vec<_> = found
        .iter()
        .map(|it| {
            let at = (it.instance_path.as_str(), it.schema_path.as_str());
            (at, it.keyword.as_str(), it.params.clone())
        })
        .collect();
    assert_eq!(
        found,
        [
            (
                ("", "#/required"),
                "required",
                json!({ "missingProperty": "input" })
            ),
            (
                ("", "#/additionalProperties"),
                "additionalProperties",
                json!({ "additionalProperty": "other" })
            ),
            (
                ("/userId", "#/properties/userId/type"),
                "type",
                json!({ "type": "string" })
            ),
            (
                ("/age", "#/properties/age/minimum"),
                "minimum",
                json!({ "comparison": ">=", "limit": 1 })
            ),
            (
                ("/a~1b", "#/$defs/short/maxLength"),
                "maxLength",
                json!({ "limit": 1 })
            ),
        ]
    );
}

#[test]
fn a_bad_schema_says_what_is_wrong_and_where() {
    for (schema, expected) in [
        (
            json!({ "properties": { "a": { "type": "text" } } }),
            "at /properties/a/type",
        ),
        (json!({ "pattern": "(" }), "at /pattern"),
        (
            json!({ "$ref": "https://example.com/schema.json" }),
            "the server fetches none",
        ),
        (
            json!({ "$ref": "file:///etc/passwd" }),
            "the server fetches none",
        ),
        (json!({ "$ref": "#/$defs/missing" }), "/$defs/missing"),
        (json!(5), "not a JSON Schema"),
    ] {
        let error = Schema::compile(&schema).unwrap_err().to_string();
        assert!(error.contains(expected), "{schema}: {error}");
    }
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    for schema in [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#" }] }),
        json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
    ] {
        if let Ok(schema) = Schema::compile(&schema) {
            let _ = schema.validate(&json!({ "a": 1 }));
        }
    }
}

#[test]
fn a_pattern_that_explodes_is_a_mismatch() {
    let schema = json!({ "pattern": "^(?=(a+)+$)(a|aa)+\\1$" });
    let value = json!(format!("{}b", "a".repeat(200)));
    assert_eq!(issues(&schema, &value)[0].keyword, "pattern");
}

#[test]
fn every_property_that_is_too_many_is_named_where_none_may_be() {
    let schema =
        json!({ "properties": { "o": { "type": "object", "additionalProperties": false } } });
    let issues = issues(&schema, &json!({ "o": { "a": 1, "b": 2 } }));
    let told: Vec<_> = issues
        .iter()
        .map(|issue| {
            (
                issue.instance_path.as_str(),
                issue.schema_path.as_str(),
                issue.keyword.as_str(),
                issue.params["additionalProperty"].as_str(),
            )
        })
        .collect();
    let expected = |name| {
        (
            "/o",
            "#/properties/o/additionalProperties",
            "additionalProperties",
            Some(name),
        )
    };
    assert_eq!(told, [expected("a"), expected("b")]);
}
