//! What plugins say of their endpoints, and what becomes of it in the document.

use std::time::Duration;

use super::*;
use crate::http::plugin_routes::tests::Listed;
use crate::metrics::Metrics;
use crate::shutdown::Tasks;

/// A mount below `/api` of the instance `shop`.
fn shop(more: Value) -> Value {
    let mut mount = json!({ "prefix": { "base": "" } });
    if let (Some(mount), Value::Object(more)) = (mount.as_object_mut(), more) {
        mount.extend(more);
    }
    mount
}

/// The document of a server with a secret and these mounts, each of the instance that it names.
fn document(mounts: &[(&str, Value)]) -> Result<Value, DocumentError> {
    let offered = mounts.iter().map(|(instance, info)| {
        let info = serde_json::from_value(info.clone()).unwrap();
        Listed(info).offered(instance)
    });
    let table = RouteTable::build(offered.collect(), "/api", &Metrics::default());
    let pipeline = Pipeline::new(Vec::new(), Duration::MAX, &Tasks::new());
    let document = Document::of(&Served {
        base_path: "/api",
        mounts: &table,
        auth: Auth::All,
        has_secret: true,
        pipeline: &pipeline,
        is_open: true,
    })?;
    Ok(serde_json::to_value(document.show(&[], &[])).unwrap())
}

fn described(operation: &Value) -> Value {
    json!([{ "methods": ["GET"], "path": "/books/:id", "operation": operation }])
}

fn refusal(mount: Value) -> String {
    document(&[("shop", shop(mount))]).unwrap_err().to_string()
}

#[test]
fn an_endpoint_that_says_nothing_is_there_with_what_the_server_knows() {
    let endpoints = json!([{ "methods": ["GET", "POST"], "path": "/books/:id/{*rest}" }]);
    let document = document(&[("shop", shop(json!({ "endpoints": endpoints })))]).unwrap();
    let item = &document["paths"]["/api/books/{id}/{rest}"];
    for method in ["get", "post"] {
        let operation = &item[method];
        assert_eq!(operation["tags"], json!(["shop"]));
        assert_eq!(operation["security"], json!([{ "secret": [] }]));
        assert_eq!(operation["parameters"][0]["name"], "id");
        assert_eq!(operation["parameters"][1]["name"], "rest");
        assert!(operation["responses"]["default"].is_object());
    }
}

#[test]
fn what_is_said_passes_through_and_what_is_missing_is_added() {
    let operation = json!({
        "operationId": "find",
        "x-anything": { "$ref": "#/stays" },
        "parameters": [{ "name": "q", "in": "query", "schema": { "type": "string" } }],
        "responses": { "200": { "description": "It" }, "5XX": { "description": "Not it" } },
    });
    let mount = shop(json!({ "endpoints": described(&operation) }));
    let document = document(&[("shop", mount)]).unwrap();
    let found = &document["paths"]["/api/books/{id}"]["get"];
    assert_eq!(found["operationId"], "shop.find");
    assert_eq!(found["x-anything"], json!({ "$ref": "#/stays" }));
    assert_eq!(found["parameters"][1]["name"], "id");
    let statuses: Vec<_> = found["responses"].as_object().unwrap().keys().collect();
    assert_eq!(
        statuses,
        [
            "200", "400", "401", "404", "408", "413", "414", "431", "5XX"
        ]
    );
    assert_eq!(
        found["responses"]["404"],
        json!({ "$ref": "#/components/responses/NOT_FOUND" })
    );
}

#[test]
fn references_lead_to_the_same_in_the_document() {
    let operation = json!({
        "responses": { "200": {
            "description": "It",
            "content": {
                "application/json": { "schema": { "$ref": "#/components/schemas/Book" } },
                "text/x": { "schema": {
                    "$defs": { "a b": { "items": { "$ref": "#" } } },
                    "properties": { "$ref": { "$ref": "#/$defs/a%20b" }, "default": { "$ref": "#" } },
                    "default": { "$ref": "#" },
                } },
            },
        } },
    });
    let components = json!({ "schemas": { "Book": {
        "$id": "https://books.example/book",
        "properties": { "next": { "$ref": "#" }, "author": { "$ref": "#/$defs/author" } },
        "$defs": { "author": { "type": "string" } },
    } } });
    let mount = shop(json!({ "components": components, "endpoints": described(&operation) }));
    let document = document(&[("shop", mount)]).unwrap();
    let content = &document["paths"]["/api/books/{id}"]["get"]["responses"]["200"]["content"];
    assert_eq!(
        content["application/json"]["schema"]["$ref"],
        "#/components/schemas/shop.Book"
    );
    let book = &document["components"]["schemas"]["shop.Book"];
    assert_eq!(
        book["properties"]["next"]["$ref"],
        "#/components/schemas/shop.Book"
    );
    assert_eq!(
        book["properties"]["author"]["$ref"],
        "#/components/schemas/shop.Book/$defs/author"
    );
    let at = "#/paths/~1api~1books~1%7Bid%7D/get/responses/200/content/text~1x/schema";
    let schema = &content["text/x"]["schema"];
    let properties = &schema["properties"];
    assert_eq!(properties["$ref"]["$ref"], format!("{at}/$defs/a%20b"));
    assert_eq!(properties["default"]["$ref"], at);
    assert_eq!(schema["$defs"]["a b"]["items"]["$ref"], at);
    assert_eq!(schema["default"], json!({ "$ref": "#" }), "that is data");
}

#[test]
fn what_a_mount_asks_for_and_how_it_refuses_is_its_own() {
    let operation = json!({
        "security": [{ "token": [] }],
        "responses": { "200": { "description": "It" } },
    });
    let components = json!({
        "responses": { "Error": { "description": "Why not" } },
        "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
    });
    let mount = shop(json!({
        "access": "own",
        "rendersErrors": true,
        "components": components,
        "endpoints": described(&operation),
    }));
    let document = document(&[("shop", mount)]).unwrap();
    let found = &document["paths"]["/api/books/{id}"]["get"];
    assert_eq!(found["security"], json!([{ "shop.token": [] }]));
    assert_eq!(
        found["responses"]["401"],
        json!({ "$ref": "#/components/responses/shop.Error" })
    );
    let said = refusal(json!({ "access": "own", "endpoints": described(&operation) }));
    assert!(
        said.contains("no \"shop.token\" in securitySchemes"),
        "{said}"
    );
}

#[test]
fn paths_that_differ_in_names_alone_are_one_path() {
    let said = |name: &str| {
        json!({
            "parameters": [
                { "name": name, "in": "path", "required": true, "schema": { "type": "integer" } },
            ],
            "responses": { "204": { "description": "Done" } },
        })
    };
    let endpoints = json!([
        { "methods": ["GET"], "path": "/books/:id" },
        { "methods": ["DELETE"], "path": "/books/:book", "operation": said("book") },
        { "methods": ["PUT"], "path": "/:agent/run", "operation": said("agent") },
    ]);
    let document = document(&[("shop", shop(json!({ "endpoints": endpoints })))]).unwrap();
    let paths = &document["paths"];
    let parameter = &paths["/api/books/{id}"]["delete"]["parameters"][0];
    assert_eq!(parameter["name"], "id");
    assert_eq!(parameter["schema"]["type"], "integer");
    assert_eq!(
        paths["/api/{name}/run"]["put"]["parameters"][0]["name"],
        "name"
    );
}

#[test]
fn two_instances_of_one_library_do_not_clash() {
    let mount = |prefix: &str| {
        json!({
            "prefix": { "base": prefix },
            "components": { "schemas": { "Book": true } },
            "endpoints": described(&json!({
                "operationId": "find",
                "responses": { "200": { "description": "It" } },
            })),
        })
    };
    let both = [("one", mount("/one")), ("two", mount("/two"))];
    let document = document(&both).unwrap();
    let schemas = &document["components"]["schemas"];
    assert!(schemas["one.Book"] == true && schemas["two.Book"] == true);
}

#[test]
fn what_is_no_operation_is_refused_with_its_place() {
    let ok = json!({ "200": { "description": "It" } });
    let cases = [
        (json!("GET"), "must be object"),
        (json!({}), "must have required property 'responses'"),
        (
            json!({ "responses": {} }),
            "/responses must NOT have fewer than 1 properties",
        ),
        (
            json!({ "reponses": ok, "responses": ok }),
            "must NOT have additional properties",
        ),
        (
            json!({ "responses": { "20": {} } }),
            "/responses must NOT have additional properties",
        ),
        (
            json!({ "responses": { "200": {} } }),
            "/responses/200 must have required property 'description'",
        ),
        (
            json!({ "responses": ok, "parameters": [{ "name": "q", "in": "body" }] }),
            "/parameters/0",
        ),
        (
            json!({ "responses": ok, "parameters": [
                { "name": "isbn", "in": "path", "required": true, "schema": {} },
            ] }),
            "the path parameter \"isbn\"",
        ),
        (
            json!({ "responses": ok, "requestBody": { "content": { "application/json": {
                "schema": { "type": "text" },
            } } } }),
            "not a JSON Schema",
        ),
        (
            json!({ "responses": ok, "requestBody": { "content": { "application/json": {
                "schema": { "$ref": "#/components/schemas/Ghost" },
            } } } }),
            "its components have no \"shop.Ghost\" in schemas",
        ),
        (
            json!({ "responses": { "200": { "$ref": "#/components/responses/Ghost" } } }),
            "its components have no \"shop.Ghost\" in responses",
        ),
        (
            json!({ "responses": ok, "requestBody": { "content": { "application/json": {
                "schema": { "$ref": "https://elsewhere.example/schema" },
            } } } }),
            "elsewhere.example",
        ),
    ];
    for (operation, expected) in cases {
        let said = refusal(json!({ "endpoints": described(&operation) }));
        assert!(said.contains("the plugin shop"), "{said}");
        assert!(said.contains("GET /api/books/{id}"), "{said}");
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
}

#[test]
fn what_are_no_components_is_refused() {
    let cases = [
        (json!([]), "must be object"),
        (
            json!({ "schemata": {} }),
            "must NOT have additional properties",
        ),
        (json!({ "schemas": { "a b": {} } }), "must match pattern"),
        (
            json!({ "schemas": { "Book": { "type": 7 } } }),
            "not a JSON Schema",
        ),
        (json!({ "responses": { "Error": {} } }), "'description'"),
    ];
    for (components, expected) in cases {
        let endpoints = json!([{ "methods": ["GET"], "path": "/books" }]);
        let said = refusal(json!({ "components": components, "endpoints": endpoints }));
        assert!(
            said.contains("the plugin shop says of its components"),
            "{said}"
        );
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
}

#[test]
fn an_operation_id_and_a_component_belong_to_one() {
    let operation = json!({
        "operationId": "find", "responses": { "200": { "description": "It" } },
    });
    let endpoints = json!([
        { "methods": ["GET"], "path": "/a", "operation": operation },
        { "methods": ["GET"], "path": "/b", "operation": operation },
    ]);
    assert_eq!(
        refusal(json!({ "endpoints": endpoints })),
        "GET /api/a and GET /api/b both have the operationId \"shop.find\"; give one of them another"
    );
    let mount = |path: &str, schema: Value| {
        shop(json!({
            "components": { "schemas": { "Book": schema } },
            "endpoints": [{ "methods": ["GET"], "path": path }],
        }))
    };
    let same = [
        ("shop", mount("/a", json!(true))),
        ("shop", mount("/b", json!(true))),
    ];
    assert!(document(&same).is_ok());
    let other = [
        ("shop", mount("/a", json!(true))),
        ("shop", mount("/b", json!({}))),
    ];
    let said = document(&other).unwrap_err().to_string();
    assert!(
        said.contains("the component \"shop.Book\" differently"),
        "{said}"
    );
}
