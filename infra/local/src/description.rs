//! The OpenAPI description in `infra/openapi.yaml`, and a check that answers of the API conform to it.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::http::{HeaderMap, header};
use boon::{Compiler, SchemaIndex, Schemas};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sam_local::Error;
use serde_json::Value;

use crate::docs;

/// URI under which the validator knows the description. Nothing is fetched from it.
const LOCATION: &str = "http://localhost/openapi.json";

/// JSON pointer to the description of the response to a request that matches no operation.
const NO_ROUTE: &str = "/components/responses/NoRoute";

/// Characters that are percent-encoded in the fragment of a URI: all but letters, digits, `/`, `~`, `.` and `-`.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'~').remove(b'.').remove(b'-');

/// Headers that HTTP and API Gateway add to every response.
const ADDED: [&str; 4] = ["content-length", "content-type", "date", "apigw-requestid"];

static DESCRIPTION: LazyLock<Result<Description, String>> =
    LazyLock::new(|| Description::read(docs::document()?.clone()));

/// The OpenAPI description of the API, with its schemas compiled to check answers.
pub struct Description {
    document: Value,
    schemas: Schemas,
    /// Described answers by route, such as `GET /pets/{id}`, and by status.
    answers: BTreeMap<String, BTreeMap<u16, Described>>,
}

/// Description of an answer.
#[derive(Clone)]
struct Described {
    body: DescribedBody,
    headers: Vec<Header>,
    /// Values that an error's `reason` may have; empty if the answer is no error.
    reasons: Vec<String>,
}

/// Description of an answer's body.
#[derive(Clone)]
enum DescribedBody {
    /// No body.
    None,
    /// JSON that fits this schema.
    Json(SchemaIndex),
    /// Text of this content type.
    Text(String),
}

#[derive(Clone)]
struct Header {
    name: String,
    required: bool,
    schema: SchemaIndex,
}

impl Description {
    /// Returns the description of Tenure's API, which is compiled at the first call.
    pub fn of_api() -> Result<&'static Self, Error> {
        DESCRIPTION.as_ref().map_err(|why| Error::new(format!("openapi.yaml: {why}")))
    }

    /// Returns the description as JSON.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Returns the operations by route, such as `GET /pets/{id}`.
    #[must_use]
    pub fn operations(&self) -> BTreeMap<String, &Value> {
        operations(&self.document)
    }

    /// Returns the value that `value` refers to by `$ref`, or `value` itself if it is no reference.
    #[must_use]
    pub fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        resolve(&self.document, value)
    }

    /// Checks an answer of this route against the description. Fails with the first deviation.
    pub fn check(
        &self,
        route: &str,
        status: u16,
        headers: &HeaderMap,
        body: &str,
    ) -> Result<(), String> {
        let answers = self.answers.get(route).ok_or("the route is not described")?;
        let described = answers.get(&status).ok_or("the status is not described")?;
        match &described.body {
            DescribedBody::Json(schema) => {
                self.check_body(*schema, &described.reasons, headers, body)?;
            }
            DescribedBody::Text(content_type) => check_text(content_type, headers, body)?,
            DescribedBody::None if body.is_empty() => {}
            DescribedBody::None => return Err("there is a body".to_owned()),
        }
        for header in &described.headers {
            match headers.get(&header.name) {
                Some(value) => self.check_header(header, value.to_str().unwrap_or_default())?,
                None if header.required => return Err(format!("{} is missing", header.name)),
                None => {}
            }
        }
        let is_known = |name: &str| {
            ADDED.contains(&name)
                || described.headers.iter().any(|known| known.name.eq_ignore_ascii_case(name))
        };
        match headers.keys().find(|name| !is_known(name.as_str())) {
            Some(name) => Err(format!("the header {name} is not described")),
            None => Ok(()),
        }
    }

    fn check_body(
        &self,
        schema: SchemaIndex,
        reasons: &[String],
        headers: &HeaderMap,
        body: &str,
    ) -> Result<(), String> {
        let content_type = headers.get(header::CONTENT_TYPE);
        if content_type.is_none_or(|value| value != "application/json") {
            return Err(format!("the content type is {content_type:?}"));
        }
        let body: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
        let outcome = self.schemas.validate(&body, schema);
        outcome.map_err(|error| format!("the body is not as described: {error:#}"))?;
        match body["error"]["reason"].as_str() {
            Some(reason) if !reasons.iter().any(|described| described == reason) => {
                Err(format!("the reason {reason} is not described"))
            }
            _ => Ok(()),
        }
    }

    fn check_header(&self, header: &Header, text: &str) -> Result<(), String> {
        let number = text.parse::<i64>().map(Value::from);
        let readings = [Value::from(text), number.unwrap_or_default()];
        let fits = |value: &Value| self.schemas.validate(value, header.schema).is_ok();
        if readings.iter().any(fits) {
            return Ok(());
        }
        Err(format!("the header {} is not as described: {text}", header.name))
    }

    fn read(document: Value) -> Result<Self, String> {
        let mut reader = Reader::new(&document)?;
        let mut answers = BTreeMap::new();
        for (route, operation) in operations(&document) {
            let (method, path) = route.split_once(' ').unwrap_or_default();
            let at = format!("/paths/{}/{}", escaped(path), method.to_lowercase());
            let mut statuses = BTreeMap::new();
            for (status, _) in operation["responses"].as_object().into_iter().flatten() {
                let code = status.parse().map_err(|_| format!("{route}: {status} is no status"))?;
                let response = reader.response(&format!("{at}/responses/{status}"));
                statuses.insert(code, response.map_err(|why| format!("{route} {status}: {why}"))?);
            }
            answers.insert(route, statuses);
        }
        let no_route = reader.response(NO_ROUTE)?;
        answers.insert("$default".to_owned(), [(404, no_route)].into());
        let schemas = reader.schemas;
        Ok(Self { document, schemas, answers })
    }
}

/// Reads the described answers from the document, and compiles their schemas.
struct Reader<'a> {
    document: &'a Value,
    compiler: Compiler,
    schemas: Schemas,
    /// Answers read so far, by JSON pointer.
    read: BTreeMap<String, Described>,
}

impl<'a> Reader<'a> {
    fn new(document: &'a Value) -> Result<Self, String> {
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource(LOCATION, document.clone()).map_err(|error| error.to_string())?;
        Ok(Self { document, compiler, schemas: Schemas::new(), read: BTreeMap::new() })
    }

    fn response(&mut self, pointer: &str) -> Result<Described, String> {
        let pointer = self.target(pointer);
        if let Some(read) = self.read.get(&pointer) {
            return Ok(read.clone());
        }
        let mut headers = Vec::new();
        for (name, _) in self.at(&format!("{pointer}/headers"))?.as_object().into_iter().flatten() {
            let header = self.target(&format!("{pointer}/headers/{name}"));
            headers.push(Header {
                name: name.clone(),
                required: self.at(&header)?["required"] == true,
                schema: self.schema(&format!("{header}/schema"))?,
            });
        }
        let content = self.at(&pointer)?.get("content").and_then(Value::as_object);
        let body = match content.and_then(|content| content.keys().next()) {
            None => DescribedBody::None,
            Some(kind) if kind.starts_with("text/") => DescribedBody::Text(kind.clone()),
            Some(_) => {
                let schema = format!("{pointer}/content/application~1json/schema");
                DescribedBody::Json(self.schema(&schema)?)
            }
        };
        let reasons = reasons(self.at(&pointer)?);
        let described = Described { body, headers, reasons };
        self.read.insert(pointer, described.clone());
        Ok(described)
    }

    fn schema(&mut self, pointer: &str) -> Result<SchemaIndex, String> {
        self.at(pointer)?;
        let uri = format!("{LOCATION}#{}", utf8_percent_encode(pointer, PLAIN));
        self.compiler.compile(&uri, &mut self.schemas).map_err(|error| format!("{error:#}"))
    }

    fn at(&self, pointer: &str) -> Result<&'a Value, String> {
        self.document.pointer(pointer).ok_or_else(|| format!("there is no {pointer}"))
    }

    /// Returns the JSON pointer that the reference at `pointer` refers to; `pointer` itself if there is no reference.
    fn target(&self, pointer: &str) -> String {
        let reference = self.document.pointer(pointer).and_then(|value| value["$ref"].as_str());
        reference.and_then(|text| text.strip_prefix('#')).unwrap_or(pointer).to_owned()
    }
}

/// Checks that an answer is UTF-8 text of the content type `described`, and not empty.
fn check_text(described: &str, headers: &HeaderMap, body: &str) -> Result<(), String> {
    let content_type = headers.get(header::CONTENT_TYPE);
    if content_type.is_none_or(|value| value != &format!("{described}; charset=utf-8")) {
        return Err(format!("the content type is {content_type:?}"));
    }
    if body.is_empty() { Err("the body is empty".to_owned()) } else { Ok(()) }
}

fn operations(document: &Value) -> BTreeMap<String, &Value> {
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            // A path item also says what its operations have in common.
            if operation.get("operationId").is_some() {
                operations.insert(format!("{} {path}", method.to_uppercase()), operation);
            }
        }
    }
    operations
}

/// Returns the values that `reason` may have in an error of this response, from its `x-reasons`.
fn reasons(response: &Value) -> Vec<String> {
    let reasons = response["x-reasons"].as_array().into_iter().flatten();
    reasons.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let reference = value["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
    reference.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

/// Returns `path` as a token of a JSON pointer: with `~` and `/` escaped.
fn escaped(path: &str) -> String {
    path.replace('~', "~0").replace('/', "~1")
}
