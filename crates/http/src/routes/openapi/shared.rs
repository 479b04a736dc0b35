//! The parts of the OpenAPI document that operations share: parameters, headers, error responses, tags and metadata.

use serde_json::{Map, Value, json};

use super::entity_tags::WITH_ENTITY_TAG;

/// The path prefix of all operations that require authentication.
const AUTHENTICATED: &str = "/api/iam/";

/// The tags with their descriptions, in the order of the documentation.
const TAGS: [(&str, &str); 13] = [
    ("Caller", "The caller: its identity, and its levels in each company."),
    ("Decisions", "What a user may see and do: checks, explanations, all permissions of a user, and the user's menu."),
    ("User levels", "The levels (roles) of a company, and their assignment to users."),
    ("Permissions", "The permission matrices of a level: its rules for views and for actions on features."),
    ("Catalog", "The views, features and modules of the platform, and the mappings between them."),
    ("Menu", "The menu items and sub-items of the platform and of companies."),
    (
        "Companies",
        "The companies: their names and status, their modules, quotas and ceilings, provisioning and erasure.",
    ),
    ("Members", "The users of a company: their profiles, and their removal from the company."),
    ("Navigation trail", "The pages that the caller visited."),
    ("Users", "External ids of users, token cut-offs, and the companies of users."),
    ("API keys", "The API keys of services."),
    ("Audit", "The audit log of each company and of the platform."),
    ("Health", "Liveness and readiness of the process, and health of the storage. These operations need no token."),
];

/// The tags of operations that can change a company. Changes to an erased company are rejected with 409.
const OF_COMPANIES: [&str; 7] =
    ["User levels", "Permissions", "Menu", "Companies", "Members", "API keys", "Navigation trail"];

/// The error responses that operations share: the status, the name of the component, and the description.
pub(super) const ERRORS: [(&str, &str, &str); 15] = [
    ("400", "BadRequest", "The request is invalid, or does not specify a company that the operation requires."),
    ("401", "Unauthorized", "The request has no valid token or API key."),
    ("403", "Forbidden", "The caller lacks the permission for the operation or for this change."),
    ("404", "NotFound", "The entity does not exist, or the caller may not see it."),
    ("405", "MethodNotAllowed", "The path does not support the method of the request."),
    ("409", "Conflict", "The change conflicts with the stored data. `message` states the reason."),
    ("410", "Gone", "The data has changed since the first page was read. Read the list again from its first page."),
    (
        "412",
        "PreconditionFailed",
        "The data has changed since the client read it: `If-Match` or `X-IAM-If-Version` does not match.",
    ),
    (
        "408",
        "RequestTimeout",
        "The client sent the body too slowly. Each interval must bring at least 16 KiB, or the rest of the body.",
    ),
    ("413", "PayloadTooLarge", "The body is larger than 1 MiB."),
    (
        "415",
        "UnsupportedMediaType",
        "The `Content-Type` of the body is not JSON, or the body has a `Content-Encoding`.",
    ),
    ("422", "UnprocessableContent", "The idempotency key belongs to another request of the caller."),
    (
        "429",
        "TooManyRequests",
        "A budget of the caller, of the company or of the client address is exhausted: see `RateLimit`. Retry after the \
            number of seconds in `Retry-After`.",
    ),
    ("500", "InternalServerError", "An unexpected error. The log of the service contains the details."),
    (
        "503",
        "ServiceUnavailable",
        "The storage or the keys of the token's issuer are unavailable, the request timed out, or too much work is in \
            progress.",
    ),
];

/// Completes the OpenAPI document: adds the metadata, the tags, and the parameters, headers and responses that
/// operations share.
pub(super) fn complete(document: &mut Value) {
    document["info"] = info();
    document["servers"] = json!([{ "url": "/", "description": "The server that serves this document" }]);
    document["tags"] = TAGS.iter().map(|(name, text)| json!({ "name": name, "description": text })).collect();
    document["components"]["securitySchemes"] = json!({ "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT or API key",
        "description": "A token of a trusted issuer, or an API key (`iam_…`).",
    } });
    document["components"]["headers"] = headers();
    document["components"]["responses"] = ERRORS
        .iter()
        .map(|(status, name, text)| ((*name).to_owned(), error(status, text)))
        .collect::<Map<_, _>>()
        .into();
    let mut bodies = vec!["CheckRequest".to_owned()];
    for (path, item) in members(&mut document["paths"]) {
        for (method, operation) in members(item) {
            complete_operation(path, method, operation);
            if path.starts_with(AUTHENTICATED) && !path.contains("{companyId}") {
                bodies.extend(body_schema(operation));
            }
        }
    }
    for name in ["CheckRequest", "ChecksRequest", "ExplanationsRequest"] {
        document["components"]["schemas"][name]["additionalProperties"] = json!(false);
    }
    name_data(document);
    clean_descriptions(document);
    for name in bodies {
        document["components"]["schemas"][name]["properties"]["companyId"] = json!({
            "type": "string",
            "format": "uuid",
            "description": "The company of the request. Equivalent to the header `X-Company-Id`.",
        });
    }
}

/// Replaces the data schemas in the envelopes of successful responses with references, so that each schema occurs once.
fn name_data(document: &mut Value) {
    let schemas = &mut document["components"]["schemas"];
    let envelopes = schemas.as_object().into_iter().flat_map(Map::keys);
    let names: Vec<_> = envelopes.filter_map(|name| name.strip_prefix("Success_").map(str::to_owned)).collect();
    for name in names {
        if schemas[&name].is_object() {
            schemas[format!("Success_{name}")]["properties"]["data"] = json!({
                "$ref": format!("#/components/schemas/{name}"),
                "description": "The data of the response.",
            });
        }
    }
}

/// Joins the lines of each paragraph in descriptions, and removes the brackets of links to Rust items.
fn clean_descriptions(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "description" || name == "summary" => {
                        let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
                        let clean = paragraphs.collect::<Vec<_>>().join("\n\n");
                        *text = clean.replace("[`", "`").replace("`]", "`");
                    }
                    value => clean_descriptions(value),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(clean_descriptions),
        _ => {}
    }
}

fn info() -> Value {
    json!({
        "title": "IAM",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "Multi-tenant authorization",
        "description": "Decides what each user of each company may see and do, and explains why.\n\n\
            `HEAD` is supported wherever `GET` is.",
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        "contact": { "name": "The maintainers of the IAM service" },
    })
}

/// Returns the response headers that operations share.
fn headers() -> Value {
    json!({
        "RequestId": {
            "description": "The id of the request: the value of the request header, or a generated id.",
            "required": true,
            "schema": { "type": "string" },
        },
        "EntityTag": {
            "description": "The entity tag of the content, for `If-Match` and `If-None-Match`.",
            "required": true,
            "schema": { "type": "string", "pattern": "^\"[!#-~]+\"$" },
        },
        "Location": {
            "description": "The URL of the created resource, relative to the server.",
            "required": true,
            "schema": { "type": "string", "format": "uri-reference", "pattern": "^/api/iam/" },
        },
        "Version": {
            "description": "The version of the data that the response reflects, as an opaque string. Send it as \
                `X-IAM-Min-Version` to require this version or a later one.",
            "schema": { "type": "string" },
        },
        "Age": {
            "description": "Only while the storage is unavailable: the number of seconds since the data was last \
                confirmed to be up to date.",
            "schema": { "type": "string", "pattern": "^[0-9]+$" },
        },
        "Warning": {
            "description": "Only while the storage is unavailable: warns that the response may be stale.",
            "schema": { "type": "string" },
        },
        "RetryAfter": {
            "description": "The number of seconds after which the client may retry the request.",
            "schema": { "type": "string", "pattern": "^[0-9]+$" },
        },
        "RateLimitPolicy": {
            "description": "The policy of a budget: its name, the quota `q` (of work: in cost units), and the \
                window `w` in seconds. Omitted if no budget with a limit was charged.",
            "schema": { "type": "string", "pattern": "^\"[a-z]+\";q=[0-9]+;w=[0-9]+$" },
        },
        "RateLimit": {
            "description": "The state of the budget: its name, the remaining units `r`, and the number of seconds `t` \
                after which the quota is available again. If the budget is exhausted (429), `t` is the number of seconds \
                after which a request can be admitted.",
            "schema": { "type": "string", "pattern": "^\"[a-z]+\";r=[0-9]+;t=[0-9]+$" },
        },
        "Authenticate": {
            "description": "The authentication scheme. For an invalid credential, also the error code \
                `invalid_token` with a description (RFC 6750).",
            "required": true,
            "schema": { "type": "string", "pattern": "^Bearer( error=\"invalid_token\", error_description=\"[^\"]+\")?$" },
        },
        "Allow": {
            "description": "The methods that the path supports.",
            "required": true,
            "schema": { "type": "string" },
        },
    })
}

/// Returns an error response with its body and headers.
fn error(status: &str, description: &str) -> Value {
    let mut headers = json!({ "X-Request-Id": header("RequestId") });
    add_rate_limit(&mut headers);
    match status {
        "401" => headers["WWW-Authenticate"] = header("Authenticate"),
        "405" => headers["Allow"] = header("Allow"),
        "429" | "503" => headers["Retry-After"] = header("RetryAfter"),
        _ => {}
    }
    json!({
        "description": description,
        "headers": headers,
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
    })
}

/// Adds the headers that state the budget of the caller.
fn add_rate_limit(headers: &mut Value) {
    headers["RateLimit-Policy"] = header("RateLimitPolicy");
    headers["RateLimit"] = header("RateLimit");
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// Returns the members of a JSON object. For any other value, the iterator is empty.
fn members(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flatten()
}

/// Returns the name of the schema of an operation's request body.
fn body_schema(operation: &Value) -> Option<String> {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let reference = schema["$ref"].as_str()?;
    reference.strip_prefix("#/components/schemas/").map(str::to_owned)
}

fn complete_operation(path: &str, method: &str, operation: &mut Value) {
    let id = camel_case(operation["operationId"].as_str().unwrap_or_default());
    if operation["description"].is_null() {
        operation["description"] = operation["summary"].clone();
    }
    complete_body(operation);
    let creates = creates(path, method, operation);
    if creates {
        add_repetitions(operation);
    }
    let is_authenticated = path.starts_with(AUTHENTICATED);
    let is_change = method != "get";
    let tag = operation["tags"][0].as_str().unwrap_or_default().to_owned();
    let versions = match tag.as_str() {
        "Decisions" => true,
        "Caller" | "Navigation trail" | "API keys" | "Users" => false,
        _ => is_change || id == "getMatrix",
    };
    let has_entity_tag = WITH_ENTITY_TAG.contains(&id.as_str());
    let takes_version = is_change && versions && tag != "Decisions" && !path.ends_with("/ceilings/preview");
    add_parameters(path, is_authenticated, operation);
    if takes_version {
        add_expected_version(operation);
    }
    for (status, response) in members(&mut operation["responses"]) {
        if let Some((_, name, _)) = ERRORS.iter().find(|(error, ..)| error == status) {
            // The error response of a probe has its own body schema.
            let is_probe = !is_authenticated && response["content"].is_object();
            let own = response["description"].as_str().unwrap_or_default();
            if is_probe {
                response["description"] = json!("The process is not ready, or the storage is unavailable.");
                response["headers"] = json!({ "X-Request-Id": header("RequestId") });
            } else if own.is_empty() {
                *response = json!({ "$ref": format!("#/components/responses/{name}") });
            } else {
                *response = error(status, own);
            }
            continue;
        }
        if response["description"].as_str().unwrap_or_default().is_empty() {
            response["description"] = json!(match status.as_str() {
                "201" => "The entity was created.",
                "304" => "The content has not changed: `If-None-Match` matches the entity tag.",
                _ => "The operation succeeded.",
            });
        }
        let mut headers = json!({ "X-Request-Id": header("RequestId") });
        if is_authenticated {
            add_rate_limit(&mut headers);
        }
        if versions {
            headers["X-IAM-Version"] = header("Version");
        }
        if tag == "Decisions" {
            headers["Age"] = header("Age");
            headers["Warning"] = header("Warning");
        }
        if has_entity_tag {
            headers["ETag"] = header("EntityTag");
        }
        if status == "201" || creates {
            headers["Location"] = header("Location");
        }
        response["headers"] = headers;
    }
    let mut shared = vec!["405", "500"];
    if is_authenticated {
        shared.extend(["400", "401", "403", "429", "503"]);
        if is_change {
            shared.extend(["408", "413", "415"]);
            if takes_version && id != "previewChange" {
                shared.push("412");
            }
            if OF_COMPANIES.contains(&tag.as_str()) {
                shared.push("409");
            }
        }
        operation["security"] = json!([{ "token": [] }]);
    } else {
        operation["security"] = json!([]);
    }
    for (status, name, _) in ERRORS.iter().filter(|(status, ..)| shared.contains(status)) {
        if operation["responses"][status].is_null() {
            operation["responses"][status] = json!({ "$ref": format!("#/components/responses/{name}") });
        }
    }
    operation["operationId"] = json!(id);
}

/// Returns `true` if the operation creates an entity, so that it accepts an idempotency key.
fn creates(path: &str, method: &str, operation: &Value) -> bool {
    method == "post" && operation["responses"]["201"].is_object() && !NOT_ONCE.contains(&path)
}

/// Operations that respond with 201 but ignore idempotency keys: provisioning is idempotent by itself, and a step of a
/// navigation trail is no entity.
const NOT_ONCE: [&str; 2] = ["/api/iam/companies/{companyId}/provision", "/api/iam/nav-trail"];

/// Adds the parameter and the responses of requests with an idempotency key.
fn add_repetitions(operation: &mut Value) {
    let text = "Marks all repetitions of one request: 1 to 255 visible ASCII characters that the client chooses. A \
        repetition within 24 hours creates nothing, and the response is 200. With another body, the response is 422.";
    let schema = json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" });
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    parameters.push(parameter("Idempotency-Key", "header", (text, schema)));
    operation["parameters"] = parameters.into();
    let responses = &mut operation["responses"];
    if responses["200"].is_null() {
        responses["200"] = responses["201"].clone();
    }
    responses["200"]["description"] = json!("An earlier request with the same `Idempotency-Key` created the entity.");
    for status in ["409", "422"] {
        if responses[status].is_null() {
            responses[status] = json!({ "description": "" });
        }
    }
}

/// Sets the field `required` of the request body. The generated schema of an optional body is a union with `null`.
/// Since the body itself must not be `null`, this function replaces the union.
fn complete_body(operation: &mut Value) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    let schema = body["content"]["application/json"]["schema"].clone();
    let variants = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let optional = variants.into_iter().find(|variant| variant["$ref"].is_string());
    body["required"] = json!(optional.is_none());
    if let Some(schema) = optional {
        body["content"]["application/json"]["schema"] = schema.clone();
    }
}

/// Adds the parameters that operations share: the path parameters, the company, preconditions, and the required
/// consistency.
fn add_parameters(path: &str, is_authenticated: bool, operation: &mut Value) {
    let mut parameters: Vec<_> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| parameter(name, "path", path_parameter(name)))
        .collect();
    if is_authenticated {
        let has_status = |status: &str| operation["responses"][status].is_object();
        if !path.contains("{companyId}") {
            let uuid = json!({ "type": "string", "format": "uuid" });
            let text = "The company of the request. It can be specified in this header, in the query, or in the body (except for `GET`).";
            parameters.push(parameter("X-Company-Id", "header", (text, uuid.clone())));
            let text = "The company of the request. Equivalent to the header `X-Company-Id`.";
            parameters.push(parameter("companyId", "query", (text, uuid)));
        }
        let string = || json!({ "type": "string" });
        if has_status("412") {
            let text = "The expected entity tags of the content. If none of them matches, the response is 412.";
            parameters.push(parameter("If-Match", "header", (text, string())));
        }
        if has_status("304") {
            let text = "The entity tags that the client has cached. If one of them matches, the response is 304.";
            parameters.push(parameter("If-None-Match", "header", (text, string())));
        }
        let text = "The minimum version of the permissions that the response is based on: the `X-IAM-Version` of an \
            earlier response. All other data is read from the storage and satisfies every minimum version.";
        parameters.push(parameter("X-IAM-Min-Version", "header", (text, version())));
        let text = "`no-cache` forces a read of the storage. The rate of such reads is limited for each caller.";
        parameters.push(parameter("Cache-Control", "header", (text, string())));
    }
    if let Value::Array(own) = &operation["parameters"] {
        parameters.extend(own.iter().cloned());
    }
    operation["parameters"] = parameters.into();
}

/// Adds the parameter of a change that is made only at a certain version.
fn add_expected_version(operation: &mut Value) {
    let text = "The version that the company and the catalog must still have: the `X-IAM-Version` of an earlier response, \
        such as the preview of the change. If the version differs, the response is 412. For a change to the catalog, only \
        the version of the catalog is compared.";
    if let Some(parameters) = operation["parameters"].as_array_mut() {
        parameters.push(parameter("X-IAM-If-Version", "header", (text, version())));
    }
}

/// Returns the schema of the header `X-IAM-Version`.
fn version() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{16}\\.[0-9]+\\.[0-9]+$" })
}

fn parameter(name: &str, location: &str, (description, schema): (&str, Value)) -> Value {
    json!({
        "name": name,
        "in": location,
        "description": description,
        "required": location == "path",
        "schema": schema,
    })
}

/// Returns the description and the schema of a path parameter.
fn path_parameter(name: &str) -> (&'static str, Value) {
    let uuid = json!({ "type": "string", "format": "uuid" });
    match name {
        "userId" => {
            let text = "The user: a UUID, or for a user of an external issuer the `pathId` or `issuer|subject`.";
            (text, json!({ "type": "string", "minLength": 1 }))
        }
        "companyId" => ("The id of the company.", uuid),
        "moduleId" => ("The id of the module.", uuid),
        "levelId" => ("The id of the level.", uuid),
        _ => ("The id of the entity.", uuid),
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        name + &letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect::<String>())
    })
}
